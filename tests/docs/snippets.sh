#!/bin/sh
# Snippets in the docs are parts of files that the tests build and run. Before each block of C
# stands where it comes from:
#
#     <!-- from examples/xor.c -->              the whole file, without its licence line
#     <!-- from src/ops/unary.c, tanh -->       the lines between /* [tanh] */ and /* [end] */
#
#     tests/docs/snippets.sh            compares; a block of C without a source fails
#     tests/docs/snippets.sh --update   rewrites the blocks from their sources
set -eu
cd "$(dirname "$0")/../.."
update=${1:-}
failed=0
checked=0

snippet() { # FILE PART
    if [ -z "$2" ]; then
        grep -v 'SPDX-License-Identifier' "$1"
    else
        awk -v part="/\\* [$2] \\*/" '
            index($0, "/* [end] */") { inside = 0 }
            inside { print }
            index($0, "/* [" substr(part, 6, length(part) - 10) "] */") { inside = 1 }' "$1"
    fi
}

render() { # DOC: the document with its blocks filled in from their sources
    awk '{ print NR ":" $0 }' "$1" | while IFS= read -r numbered; do
        line=${numbered#*:}
        case $line in
        '<!-- from '*)
            printf '%s\n' "$line"
            source=${line#'<!-- from '}
            source=${source%' -->'}
            file=${source%%, *}
            part=
            [ "$file" = "$source" ] || part=${source#*, }
            pending=1
            ;;
        '```c')
            printf '%s\n' "$line"
            if [ "${pending:-0}" = 1 ]; then
                snippet "$file" "$part"
                inside=1
            else
                echo 'A BLOCK OF C WITHOUT A SOURCE'
            fi
            pending=0
            ;;
        '```')
            inside=0
            printf '%s\n' "$line"
            ;;
        *) [ "${inside:-0}" = 1 ] || printf '%s\n' "$line" ;;
        esac
    done
}

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
for doc in README.md CONTRIBUTING.md docs/*.md; do
    [ -f "$doc" ] || continue
    render "$doc" >"$fresh"
    checked=$((checked + 1))
    if grep -q 'A BLOCK OF C WITHOUT A SOURCE' "$fresh"; then
        echo "$doc: a block of C does not say which file it comes from"
        failed=1
    elif [ "$update" = --update ]; then
        cmp -s "$fresh" "$doc" || { cp "$fresh" "$doc"; echo "$doc: updated"; }
    elif ! diff -u "$doc" "$fresh"; then
        echo "$doc: differs from its sources; run tests/docs/snippets.sh --update"
        failed=1
    fi
done
[ "$checked" -gt 0 ] || { echo 'no documents found'; failed=1; }
exit "$failed"
