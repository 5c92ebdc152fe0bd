#!/bin/sh
# The pictures of the docs are what the program draws. Curves near rounding differ from one
# processor to the next, so that only what is written in them is compared, without numbers.
#
#     tests/docs/pictures.sh GRADUS             compares
#     tests/docs/pictures.sh GRADUS --update    draws them anew
set -eu
gradus=$(realpath "$1")
cd "$(dirname "$0")/../.."
picture=docs/gradient-checking.svg

if [ "${2:-}" = --update ]; then
    "$gradus" check --op tanh --plot "$picture" >/dev/null
    exit
fi

words() { # the text elements of a picture: places, counts and powers of ten taken out
    sed -n 's/^<text[^>]*>\(.*\)<\/text>$/\1/p' "$1" | sed 's/[-0-9.⁻⁰¹²³⁴⁵⁶⁷⁸⁹×]//g' | sort -u
}

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$gradus" check --op tanh --plot "$fresh/tanh.svg" >/dev/null
words "$picture" >"$fresh/old"
words "$fresh/tanh.svg" >"$fresh/new"
grep -q 'rounding takes over' "$fresh/new"
if ! diff -u "$fresh/old" "$fresh/new"; then
    echo "$picture: not what the program draws; run tests/docs/pictures.sh GRADUS --update"
    exit 1
fi
if "$gradus" check --plot "$fresh/x.svg" 2>/dev/null; then
    echo 'check --plot without --op is wrong usage'
    exit 1
fi
