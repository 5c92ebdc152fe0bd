#!/bin/sh
# command.sh - the gradus command from outside: files, exit statuses, messages.
# SPDX-License-Identifier: MIT
#
# usage: command.sh PATH/TO/gradus [EPOCHS]
#
# EPOCHS  of the trainings that are stopped and taken up again: even, 6 or more. Too few, and one is
#         over before it is interrupted; in instrumented code an epoch takes seconds
set -u
gradus=$1
epochs=${2:-20}
half=$((epochs / 2))
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
failed=0
unset GRADUS_EAGER NO_COLOR

# expect STATUS TEXT COMMAND...: the exit status, and TEXT within what it says on both outputs.
expect() {
    status=$1 text=$2
    shift 2
    "$@" >"$work/stdout" 2>"$work/stderr"
    got=$?
    if [ "$got" != "$status" ]; then
        echo "FAIL: $*: expected status $status, got $got"
        cat "$work/stderr"
        failed=$((failed + 1))
    elif ! cat "$work/stdout" "$work/stderr" | grep -qF -- "$text"; then
        echo "FAIL: $*: expected '$text', got:"
        cat "$work/stdout" "$work/stderr"
        failed=$((failed + 1))
    fi
}

# holds NAME CONDITION...: the condition is true.
holds() {
    name=$1
    shift
    "$@" && return
    echo "FAIL: $name: $*"
    failed=$((failed + 1))
}

# A number of the last line of the last standard output.
field() {
    tail -n 1 "$work/stdout" | sed -n "s/.*\"$1\":\([-0-9.e+]*\).*/\1/p"
}

at_least() { # VALUE BOUND
    awk "BEGIN { exit !($1 >= $2) }"
}

# --- help ---

expect 0 'gradus COMMAND' "$gradus" --help
expect 0 'gradus 0.' "$gradus" --version
expect 2 'gradus COMMAND' "$gradus"
expect 2 "unknown command 'trian'" "$gradus" trian
for command in train predict check flow ops; do
    expect 0 'example:' "$gradus" $command --help
    holds "help of $command is not an error" test ! -s "$work/stderr"
done

# --- usage ---

expect 2 'which network? expected mlp or lenet5' "$gradus" train
expect 2 "unknown network 'resnet'" "$gradus" train resnet
expect 2 "unexpected 'mlp'" "$gradus" train mlp mlp
expect 2 "unknown option '--epoch'" "$gradus" train mlp --epoch 3
expect 2 "unknown option '-e'" "$gradus" train mlp -e
expect 2 '--epochs: expected N after it' "$gradus" train mlp --epochs
expect 2 "--epochs: expected a whole number from 1 to 100000, got 'x'" "$gradus" train mlp --epochs x
expect 2 "got '0'" "$gradus" train mlp --epochs=0
expect 2 "got '1.5'" "$gradus" train mlp --batch 1.5
expect 2 "got '99999999999999999999'" "$gradus" train mlp --batch 99999999999999999999
expect 2 "--lr: expected a number from" "$gradus" train mlp --lr nan
expect 2 "--threads: expected a whole number from 1 to 1024, got '-1'" "$gradus" train mlp --threads -1
expect 2 "--json takes no value, got 'yes'" "$gradus" train mlp --json=yes
expect 2 '--weights FILE is missing' "$gradus" predict
expect 2 "--op: expected the name of an op, got 'tanhh'" "$gradus" check --op tanhh
expect 2 "--order: expected a whole number from 1 to 2, got '3'" "$gradus" check --order 3
expect 2 '--model needs --weights' "$gradus" check --model mlp

expect 2 "unknown op 'tanhh'" "$gradus" ops tanhh
expect 2 "unexpected 'cos'" "$gradus" ops sin cos

# --- ops ---

expect 0 'y = tanh(x)' "$gradus" ops
holds 'a line per op, a head and a sum' \
    test "$(wc -l <"$work/stdout")" = "$(($(tail -n 1 "$work/stdout" | cut -d ' ' -f 1) + 3))"
holds 'ops with gradients' test "$(grep -c '[0-9]  yes' "$work/stdout")" -ge 180
expect 0 'at most 127 bytes of text' "$gradus" ops einsum
expect 0 'reduction: one of mean, sum, none' "$gradus" ops huber
expect 0 'derivation ' "$gradus" ops relu
holds 'ties' grep -q '^ties' "$work/stdout"
expect 0 '{"ops":[{"name":"conv2d","family":"conv","inputs":3,"optional":1,' "$gradus" ops conv2d --json
expect 0 '"differentiable":true,"by_definition":false,"formula":"y = tanh(x)"}' "$gradus" ops --json
holds 'one line of JSON alone' test "$(wc -l <"$work/stdout")" = 1

expect 2 'which network? expected mlp or lenet5' "$gradus" flow
expect 2 "--by: expected layers, params or nodes, got 'depth'" "$gradus" flow mlp --by depth

# --- flow ---

expect 0 'fc1/weight' "$gradus" flow mlp --by params --seed 3
expect 0 'fc2' "$gradus" flow lenet5 --plot "$work/flow.svg"
holds 'bars' grep -q 'norm of the gradient' "$work/flow.svg"
expect 0 'cross_entropy' "$gradus" flow mlp --by nodes
expect 1 'cannot open' "$gradus" flow mlp --weights "$work/nothing"

# --- failures leave nothing behind ---

expect 1 "$work/nowhere/p.json" \
    "$gradus" train mlp --epochs 1 --profile "$work/nowhere/p.json" --out "$work/none"
holds 'no results without the profile' test ! -e "$work/none"
holds 'found out before the training' test "$(grep -c epoch "$work/stderr")" = 0

expect 1 'cannot open' "$gradus" train mlp --data "$work/nowhere" --out "$work/none"
holds 'no folder without data' test ! -e "$work/none"
touch "$work/file"
expect 1 'Not a directory' "$gradus" train mlp --out "$work/file/out"
expect 1 "$work/file: cannot make this folder" "$gradus" train mlp --out "$work/file"
holds 'found out before the training' test "$(grep -c epoch "$work/stderr")" = 0
expect 1 'the loss is' "$gradus" train mlp --epochs 3 --lr 1e30 --out "$work/a/b/c"
holds 'folders are removed again' test ! -e "$work/a"
expect 1 'cannot open' "$gradus" predict --weights "$work/nothing"
expect 1 'file' "$gradus" predict --weights "$work/file"
if [ "$(id -u)" != 0 ]; then
    mkdir "$work/closed"
    chmod a-w "$work/closed"
    expect 1 'Permission denied' "$gradus" train mlp --out "$work/closed"
    holds 'found out before the training' test "$(grep -c epoch "$work/stderr")" = 0
fi
if [ -e /dev/full ]; then
    "$gradus" check --op add >/dev/full 2>"$work/stderr"
    holds 'a full output is a failure' test $? = 1
fi

expect 2 "--precision: expected float32 or bfloat16, got 'half'" \
    "$gradus" train mlp --precision half --out "$work/new"

# --- train, predict, check ---

expect 0 test_accuracy "$gradus" train lenet5 --epochs 3 --seed 5 --json --out "$work/new/out"
holds 'one line of JSON alone' test "$(wc -l <"$work/stdout")" = 1
holds 'accuracy' at_least "$(field test_accuracy)" 0.8
holds 'epochs' test "$(field epochs)" = 3
holds 'parameters' at_least "$(field parameters)" 1000
holds 'train_seconds' at_least "$(field train_seconds)" 0.001
accuracy=$(field test_accuracy)
for name in checkpoint.safetensors model.safetensors history.csv curves.svg confusion.svg tape.dot; do
    holds 'written' test -s "$work/new/out/$name"
done
holds 'nothing else is written' test "$(find "$work/new/out" -type f | wc -l)" = 6
holds 'a row per epoch' test "$(wc -l <"$work/new/out/history.csv")" = 4
holds 'the tape names parameters' grep -q 'd loss / d conv1.weight' "$work/new/out/tape.dot"

expect 0 accuracy "$gradus" predict --weights "$work/new/out/model.safetensors" --json
holds 'the same accuracy from the file' test "$(field accuracy)" = "$accuracy"
expect 0 'and 349 more' "$gradus" predict --weights "$work/new/out/model.safetensors" --limit 10

expect 0 test_accuracy "$gradus" train lenet5 --epochs 3 --seed 5 --json --out "$work/again" \
    --profile "$work/profile.json"
holds 'a table beside JSON would be in its way' test "$(wc -l <"$work/stdout")" = 1
holds 'the profile has a trace' grep -q '"traceEvents":\[{"name":"thread_name"' "$work/profile.json"
holds 'the profile has ops and scopes' grep -q '"name":"conv2",' "$work/profile.json"
holds 'the same seed, the same bits' cmp "$work/new/out/model.safetensors" "$work/again/model.safetensors"

expect 0 'conv2' "$gradus" flow lenet5 --weights "$work/again/model.safetensors"
expect 1 'expected the weights of mlp, got those of lenet5' \
    "$gradus" flow mlp --weights "$work/again/model.safetensors"
expect 0 PASS "$gradus" check --model lenet5 --weights "$work/again/model.safetensors" --batch 2
expect 1 'expected the weights of mlp, got those of lenet5' \
    "$gradus" check --model mlp --weights "$work/again/model.safetensors"
head -c 5000 "$work/again/model.safetensors" >"$work/short"
expect 1 "$work/short" "$gradus" predict --weights "$work/short"

expect 0 PASS "$gradus" check --op tanh
expect 0 '{"ops":1,"passed":1,"failed":0,"inconclusive":0,"worst":' "$gradus" check --op tanh --json
expect 0 'ok 1 - tanh' "$gradus" check --op tanh --tap
expect 0 'TAP version 13' "$gradus" check --op tanh --tap
expect 0 '0 failed' "$gradus" check --dtype float32
expect 0 PASS "$gradus" check --replay op=tanh:sample=1:layout=2:seed=7:order=2:round=3
expect 3 'tanh has no sample 99' "$gradus" check --replay op=tanh:sample=99:seed=7:order=1
expect 2 "--replay: expected a case as in a failing report, got 'op=tanhh'" \
    "$gradus" check --replay op=tanhh:sample=1
expect 2 '--json and --tap exclude each other' "$gradus" check --json --tap
expect 2 '--so and --op exclude each other' "$gradus" check --so ./mine.so --op mine
expect 2 '--replay and --so exclude each other' "$gradus" check --so ./mine.so --replay op=tanh:sample=1
expect 2 "--dtype: expected float32 or float64, got 'float16'" "$gradus" check --dtype float16

# --- precision ---

expect 0 test_accuracy "$gradus" train lenet5 --epochs 3 --seed 5 --precision bfloat16 --json \
    --out "$work/rounded"
holds 'accuracy' at_least "$(field test_accuracy)" 0.8
export GRADUS_ISA=avx2
expect 0 test_accuracy "$gradus" train lenet5 --epochs 1 --json --out "$work/plain"
expect 0 test_accuracy "$gradus" train lenet5 --epochs 1 --precision bfloat16 --json \
    --out "$work/lacking"
holds 'it is said' grep -q 'no fast bfloat16' "$work/stderr"
holds 'and changes nothing' cmp "$work/plain/model.safetensors" "$work/lacking/model.safetensors"
unset GRADUS_ISA

# --- stopped and taken up again ---

expect 0 test_accuracy "$gradus" train mlp --epochs "$epochs" --json --out "$work/whole"
expect 0 "stopped after epoch $half of $epochs" \
    "$gradus" train mlp --epochs "$epochs" --stop-after "$half" --json --out "$work/parts"
holds 'no results half-way' test ! -e "$work/parts/model.safetensors"
expect 0 test_accuracy "$gradus" train mlp --epochs "$epochs" --resume --json --out "$work/parts"
holds 'half of the epochs and the rest are all, to the bit' \
    cmp "$work/whole/model.safetensors" "$work/parts/model.safetensors"
expect 1 'was made with batches of 32, got 64' \
    "$gradus" train mlp --epochs "$epochs" --batch 64 --resume --out "$work/parts"
expect 1 "is not the state of this training" \
    "$gradus" train mlp --epochs "$epochs" --batch-norm --resume --out "$work/parts"
expect 1 "$work/none/checkpoint.safetensors: cannot open" \
    "$gradus" train mlp --resume --out "$work/none"
holds 'no folder without a checkpoint' test ! -e "$work/none"
expect 1 'the loss is nan' "$gradus" train mlp --epochs 1 --lr 1e30 --out "$work/parts"
holds 'a checkpoint of another training is not spoken of' \
    test 0 = "$(grep -c 'last good state' "$work/stderr")"

# A background job of a shell without job control ignores SIGINT: a terminal's Ctrl-C does not.
interrupted() { # COMMAND...: its exit status after SIGINT in its third epoch
    env --default-signal=INT "$@" >"$work/stdout" 2>"$work/stderr" &
    job=$!
    while [ "$(grep -c epoch "$work/stderr")" -lt 3 ] && kill -0 $job 2>/dev/null; do sleep 0.05; done
    kill -INT $job
    wait $job
}
interrupted "$gradus" train mlp --epochs "$epochs" --json --out "$work/cut"
holds 'Ctrl-C ends with 130' test $? = 130
holds 'Ctrl-C says how to go on' grep -q 'resume goes on from' "$work/stderr"
expect 0 test_accuracy "$gradus" train mlp --epochs "$epochs" --resume --json --out "$work/cut"
holds 'the interrupted one goes on to the same bits' \
    cmp "$work/whole/model.safetensors" "$work/cut/model.safetensors"

expect 0 test_accuracy "$gradus" train lenet5 --batch-norm --dropout 0.2 --max-norm 3 --epochs 2 \
    --json --out "$work/bn"
expect 0 accuracy "$gradus" predict --weights "$work/bn/model.safetensors" --json

# --- a text ---

for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    echo 'the derivative of a sum is the sum of the derivatives.'
done >"$work/text"
expect 0 'val_loss' "$gradus" train char-lstm --data "$work/text" --length 16 --hidden 32 \
    --epochs 2 --json --out "$work/lstm"
for name in checkpoint.safetensors model.safetensors vocabulary.json history.csv curves.svg; do
    holds 'written' test -s "$work/lstm/$name"
done
expect 0 'nats per character' "$gradus" train char-lstm --data "$work/text" --length 16 --hidden 32 \
    --epochs 3 --resume --out "$work/lstm"
expect 2 '--data FILE is missing' "$gradus" train char-lstm
expect 1 'cannot open' "$gradus" train char-lstm --data "$work/nothing" --out "$work/none"
expect 1 'cannot cut' "$gradus" train char-lstm --data "$work/text" --length 5000 --out "$work/none"
holds 'no folder without data' test ! -e "$work/none"

# --- a folder in the form of MNIST: seven images of 28 x 28 ---

idx() { # MAGIC DIMENSIONS...: big-endian numbers
    for number in "$@"; do
        printf "\\$(printf %o $((number / 16777216)))\\$(printf %o $((number / 65536 % 256)))"
        printf "\\$(printf %o $((number / 256 % 256)))\\$(printf %o $((number % 256)))"
    done
}
mkdir "$work/mnist"
for part in train t10k; do
    { idx 2051 7 28 28 && head -c $((7 * 28 * 28)) "$gradus"; } >"$work/mnist/$part-images-idx3-ubyte"
    { idx 2049 7 && printf '\0\1\2\3\4\5\6'; } >"$work/mnist/$part-labels-idx1-ubyte"
done
expect 0 '61706 parameters' "$gradus" train lenet5 --data "$work/mnist" --epochs 1 --out "$work/m"
holds 'classes that cannot be learned are named' \
    grep -q 'no training sample is of class 7, nor of 2 others' "$work/stderr"
expect 1 'trained on samples [1,28,28], the data has [1,8,8]' \
    "$gradus" predict --weights "$work/m/model.safetensors"
expect 0 'outside of ops' \
    "$gradus" train mlp --data "$work/mnist" --epochs 1 --out "$work/m2" --profile "$work/p.json"
expect 0 'of 7 images' "$gradus" predict --weights "$work/m/model.safetensors" --data "$work/mnist"
printf '\12' | dd of="$work/mnist/train-labels-idx1-ubyte" bs=1 seek=10 conv=notrunc 2>"$work/stderr"
expect 1 'expected 0 to 9, got 10' "$gradus" train mlp --data "$work/mnist" --out "$work/none"

if [ "$failed" != 0 ]; then
    echo "$failed failed"
    exit 1
fi
