#!/bin/sh
# gradus check --so: right, wrong, crashing and endless functions in shared objects, and files that
# are none.
# SPDX-License-Identifier: MIT
#
# usage: so.sh PATH/TO/gradus FOLDER/OF/SHARED/OBJECTS
set -eu
gradus=$(realpath "$1") plugins=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
# A sanitizer's own report of the crash would hide it from the command.
ASAN_OPTIONS=handle_segv=0:handle_abort=0:${ASAN_OPTIONS:-}
export ASAN_OPTIONS

# check STATUS ARGS...: runs gradus check --so ARGS
check() {
    want=$1
    shift
    status=0
    "$gradus" check --so "$@" >"$work/out" 2>"$work/err" || status=$?
    what="check --so $*"
    if [ "$status" -eq "$want" ]; then
        passed=$((passed + 1))
    else
        echo "$what: expected exit status $want, got $status"
        cat "$work/out" "$work/err"
        failed=$((failed + 1))
    fi
}

# says FILE TEXT: the last run wrote TEXT to out or err
says() {
    if grep -qF -- "$2" "$work/$1"; then
        passed=$((passed + 1))
    else
        echo "$what: no '$2' in $1:"
        cat "$work/$1"
        failed=$((failed + 1))
    fi
}

for so in right linked; do
    check 0 "$plugins/$so.so"
    says out '2 passed, 0 failed, 0 inconclusive'
    says out 'swish'
    says out 'square'
    check 0 "$plugins/$so.so" --order 2 --seed 5 --threads 1
done

check 1 "$plugins/bad.so" --timeout 2
says out '1 passed, 7 failed'
says out "crashed: segmentation fault in op_tile's forward"
says out "crashed: segmentation fault in op_rule's shape rule"
says out "crashed: segmentation fault in crashes's forward"
says out "crashed: aborted in aborts's backward"
says out "no end within 2 s, stopped in loops's backward"
says out "ended the process with exit status 3 in exits's forward"
says out 'FAIL negated (stage S1)'
says err 'no part of the report'
check 1 "$plugins/bad.so" --timeout 1 --json
says out '{"functions":8,"passed":1,"failed":7'
check 1 "$plugins/start.so"
says out "crashed: segmentation fault in start.so's start-up code"

# Files that cannot be graded.
check 1 "$work/missing.so"
says err 'No such file'
echo 'no shared object' >"$work/text.so"
check 1 "$work/text.so"
says err 'text.so'
(cd "$work" && status=0 && "$gradus" check --so text.so 2>"$work/err" || status=$?; [ "$status" = 1 ])
says err './text.so'
check 1 "$plugins/stranger.so"
says err 'neither gradus_ops nor gradus_raws'
check 1 "$plugins/silent.so"
says err 'const gr_abi gradus_abi = GR_ABI;'
check 1 "$plugins/old.so"
says err 'compiled against other headers: ABI 99'
check 1 "$plugins/empty.so"
says err 'lists of functions are empty'

# Wrong usage.
check 2 "$plugins/right.so" --op tanh
check 2 "$plugins/right.so" --timeout 0
status=0
"$gradus" check-so >/dev/null 2>"$work/err" 3<&- || status=$?
what='check-so on its own'
says err 'part of gradus check --so'
[ "$status" -eq 2 ] || failed=$((failed + 1))

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
