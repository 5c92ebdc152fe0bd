#!/bin/sh
# Installs into an empty folder and uses the result as a stranger would: the README's first program
# through pkg-config, and the header from C++ where there is a compiler for it.
set -eu
build=$1 source=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$root" -name gradus.pc)
[ -n "$pc" ] || { echo 'gradus.pc was not installed'; exit 1; }
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$root"
flags=$(pkg-config --cflags --libs gradus)
lib=$(find "$root" -name 'libgradus.so' -exec dirname {} \;)

# shellcheck disable=SC2086 # flags are words
cc -std=c11 -Wall -Wextra -Werror -o "$root/xor" "$source/examples/xor.c" $flags -lm
LD_LIBRARY_PATH=$lib "$root/xor"

if command -v c++ >/dev/null 2>&1; then
    cat >"$root/plus.cc" <<'CC'
#include <gradus/gradus.h>
int main() { return gr_version()[0] == 0; }
CC
    # shellcheck disable=SC2086
    c++ -std=c++11 -Wall -Wextra -Werror -o "$root/plus" "$root/plus.cc" $flags
    LD_LIBRARY_PATH=$lib "$root/plus"
else
    echo 'no C++ compiler: the header was not tried from C++'
fi

# Nothing but the public names is visible.
stray=$(nm -D --defined-only "$lib/libgradus.so" | awk '{ print $3 }' | grep -v '^gr_[a-z]' || true)
[ -z "$stray" ] || { echo "the library exports: $stray"; exit 1; }
