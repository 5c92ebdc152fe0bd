#!/bin/sh
# Every workload takes a step to warm up and one that it reports; an unknown one is refused.
set -eu
workloads=$1
failed=0
for name in $("$workloads" --list); do
    line=$("$workloads" "$name" --steps 1 --seconds 0.001 --unchecked) || line="exit status $?"
    case $line in
    *"\"workload\": \"$name\""*"\"steps\": 1, \"step_ms\": "[0-9]*) ;;
    *)
        echo "$name: expected a report of 1 step, got: $line"
        failed=1
        ;;
    esac
done
if "$workloads" no-such-thing 2>/dev/null; then
    echo "no-such-thing: expected a refusal"
    failed=1
fi
exit $failed
