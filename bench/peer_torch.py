#!/usr/bin/python3
# peer_torch.py - the workloads of workloads.c in PyTorch, with the same inputs and weights.
# SPDX-License-Identifier: MIT
"""Prints one JSON line. Debian's python3-torch belongs to /usr/bin/python3."""
import argparse
import json
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from torch_nets import Recurrent, ResNet20, gpt, gru, lenet, lstm, mlp, tiny, vgg16

LOSS_STEPS = 10  # of training before the loss that all programs must agree on
LEAST_STEPS = 2
BATCHES = 8      # distinct batches, used in turn
PARAM_STREAM, INPUT_STREAM, TARGET_STREAM = 100, 200, 300
PIECE = 1 << 16  # numbers made at a time, so that making them is not what takes most memory


# --- numbers that every program can make ---

def bits(stream, start, n):
    """The upper 24 bits of SplitMix64 of (stream << 32) + i, as in numbers.c."""
    with np.errstate(over="ignore"):
        i = np.uint64(start) + np.arange(n, dtype=np.uint64)
        z = (np.uint64(stream << 32) + i) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) >> np.uint64(40)


def fill(shape, dtype, make):
    out = np.empty(int(np.prod(shape)), dtype)
    for start in range(0, out.size, PIECE):
        out[start:start + PIECE] = make(start, min(PIECE, out.size - start))
    return torch.from_numpy(out.reshape(shape))


def uniform(stream, shape, bound=1.0):
    """float32 in [-bound, bound)."""
    return fill(shape, np.float32, lambda start, n: (2 * (bits(stream, start, n).astype(np.float64)
                                                          / (1 << 24)) - 1) * bound)


def indices(stream, shape, below):
    return fill(shape, np.int64, lambda start, n: bits(stream, start, n) % np.uint64(below))


def name_stream(name):
    """FNV-1a: a stream for each name."""
    h = 2166136261
    for byte in name.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


def set_weights(net):
    """Matrices and kernels in (-1/sqrt(fan_in), 1/sqrt(fan_in)), weights of norms around 1, biases
    around 0."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            bound = 1 / (p.numel() // p.shape[0]) ** 0.5 if p.dim() > 1 else 0.1
            p.copy_(uniform(name_stream(name), tuple(p.shape), bound))
            if p.dim() == 1 and name.endswith("weight"):
                p.add_(1)


def fingerprint(x):
    """Of an array: mean of |x_i| (1 + i % 7)."""
    x = x.detach().contiguous().flatten().abs()
    sums = [x[k::7].sum(dtype=torch.float64).item() * (1 + k) for k in range(7)]
    return sum(sums) / x.numel()


# --- networks ---

def class_loss(y, t):
    return F.cross_entropy(y.flatten(0, -2), t)


class Training:
    """step(i) is what is timed, result() what every program must agree on."""
    trains = True

    def __init__(self, build, make_optimizer, make_input, make_target, loss=class_loss, clip=None):
        self.net = build()
        set_weights(self.net)
        self.make_optimizer = make_optimizer
        self.batches = [(make_input(INPUT_STREAM + b), make_target(TARGET_STREAM + b))
                        for b in range(BATCHES)]
        self.loss, self.clip = loss, clip

    def prepare(self, args):
        if args.channels_last:
            self.net.to(memory_format=torch.channels_last)
            self.batches = [(x.contiguous(memory_format=torch.channels_last), t)
                            for x, t in self.batches]
        self.optimizer = self.make_optimizer(self.net.parameters())
        self.bfloat16 = args.bfloat16

    def forward(self, batch):
        x, t = self.batches[batch]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            return self.loss(self.net(x), t)

    def step(self, i):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(i % BATCHES)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.optimizer.step()
        if isinstance(self.net, Recurrent):
            self.net.stepped()
        return loss.item()

    def result(self):
        with torch.no_grad():
            return self.forward(0).item()


class Inference:
    trains = False

    def __init__(self, build, make_input):
        self.net = build().eval()
        set_weights(self.net)
        self.x = [make_input(INPUT_STREAM + b) for b in range(BATCHES)]

    def prepare(self, args):
        if args.jit:
            with torch.no_grad():
                self.net = torch.jit.optimize_for_inference(torch.jit.trace(self.net, self.x[0]))

    def step(self, i):
        with torch.no_grad():
            return self.net(self.x[i % BATCHES])

    def result(self):
        return fingerprint(self.step(0))


# --- single functions ---

class Function:
    trains = False

    def prepare(self, args):
        pass


class Chain(Function):
    """One double through 100,000 steps."""

    def step(self, _):
        y = y0 = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        for _ in range(100000):
            y = torch.sin(y * 1.0001 + 0.1)
        y.backward()
        return y.item() + 0 * y0.grad.item()

    def result(self):
        return self.step(0)


class Fused(Function):
    """Ten million floats through few ops."""

    def __init__(self):
        self.params = [uniform(PARAM_STREAM + i, (10000000,)).requires_grad_() for i in range(3)]

    def step(self, _):
        x, w, b = self.params
        for p in self.params:
            p.grad = None
        y = torch.sum(torch.tanh(x * w + b) * torch.sigmoid(x))
        y.backward()
        return y.item()

    def result(self):
        return self.step(0) / 1e7 + sum(fingerprint(p.grad) for p in self.params)


class Convolution(Function):
    """The output, the gradient of the input or that of the weight."""
    PARTS = {"data": [True, False, False], "weight": [False, True, False]}

    def __init__(self, x, w, stride, padding, part):
        self.x, self.w = uniform(INPUT_STREAM, x), uniform(INPUT_STREAM + 1, w)
        self.o = {"stride": [stride] * 2, "padding": [padding] * 2}
        size = (x[2] + 2 * padding - w[2]) // stride + 1
        self.dy = uniform(INPUT_STREAM + 2, (x[0], w[0], size, size))
        self.mask = self.PARTS.get(part)

    def step(self, _):
        if self.mask is None:
            return F.conv2d(self.x, self.w, **self.o)
        parts = torch.ops.aten.convolution_backward(
            self.dy, self.x, self.w, None, self.o["stride"], self.o["padding"], [1, 1], False,
            [0, 0], 1, self.mask)
        return next(p for p in parts if p is not None)

    def result(self):
        return fingerprint(self.step(0))


CONVOLUTIONS = {  # x, w, stride, padding
    "conv16": ((32, 16, 32, 32), (16, 16, 3, 3), 1, 1),
    "conv64": ((16, 64, 32, 32), (64, 64, 3, 3), 1, 1),
    "conv256": ((8, 256, 14, 14), (256, 256, 3, 3), 1, 1),
    "conv7": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3),
}


def images(*shape):
    return lambda stream: uniform(stream, shape)


def words(below, *shape):
    return lambda stream: indices(stream, shape, below)


def sgd(lr, momentum=0.0, decay=0.0):
    return lambda p: torch.optim.SGD(p, lr=lr, momentum=momentum, weight_decay=decay,
                                     foreach=True)


def adam(rule, lr):
    return lambda p: rule(p, lr=lr, foreach=True)


WORKLOADS = {
    "mlp": lambda: Training(mlp, adam(torch.optim.Adam, 1e-3), images(128, 784), words(10, 128)),
    "lenet": lambda: Training(lenet, sgd(0.01, 0.9), images(64, 1, 28, 28), words(10, 64)),
    "resnet20": lambda: Training(ResNet20, sgd(1e-3, 0.9, 1e-4), images(32, 3, 32, 32),
                                 words(10, 32)),
    "vgg16": lambda: Training(vgg16, sgd(1e-5, 0.9), images(16, 3, 32, 32), words(10, 16)),
    "lstm": lambda: Training(lstm, sgd(1.0), words(10000, 35, 20), words(10000, 700), clip=0.25),
    "gru": lambda: Training(gru, adam(torch.optim.Adam, 1e-3), words(65, 64, 32),
                            words(65, 2048)),
    "gpt": lambda: Training(gpt, adam(torch.optim.AdamW, 3e-4), words(65, 4, 256),
                            words(65, 1024)),
    "tiny": lambda: Training(tiny, sgd(0.01), images(1, 2), images(1, 1), F.mse_loss),
    "chain": Chain,
    "fused": Fused,
    "resnet20-infer": lambda: Inference(ResNet20, images(1, 3, 32, 32)),
    "gpt-infer": lambda: Inference(gpt, words(65, 1, 256)),
    **{f"{name}-{part}": lambda c=c, part=part: Convolution(*c, part)
       for name, c in CONVOLUTIONS.items() for part in ("forward", "data", "weight")},
}


# --- measuring ---

def status_mb(key):
    """VmHWM or VmRSS: unlike ru_maxrss, not inherited from the program that started us."""
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":")) / 1024


def blas_path():
    with open("/proc/self/maps", encoding="utf-8") as f:
        paths = {line.split()[-1] for line in f if "blas" in line.rsplit("/", 1)[-1]}
    return ", ".join(sorted(paths))


def check(work):
    """Trains for LOSS_STEPS, so that rounding errors had their time."""
    for i in range(LOSS_STEPS if work.trains else 0):
        work.step(i)
    return work.result()


def repeat(work, args, least, seconds):
    """Milliseconds of each step, at least `least`, and those of all threads in the mean."""
    times, begun, cpu = [], time.perf_counter(), time.process_time()
    last = begun
    while len(times) < least or (len(times) < args.steps and last - begun < seconds):
        work.step(len(times))
        now = time.perf_counter()
        times.append(1e3 * (now - last))
        last = now
    return times, 1e3 * (time.process_time() - cpu) / len(times)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20000, help="at most")
    parser.add_argument("--seconds", type=float, default=1, help="for what is timed")
    parser.add_argument("--unchecked", action="store_true", help="a warm-up, but no result")
    parser.add_argument("--bfloat16", action="store_true", help="autocast")
    parser.add_argument("--channels-last", action="store_true", help="of images, in memory")
    parser.add_argument("--jit", action="store_true", help="optimize_for_inference")
    return parser.parse_args()


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    idle = status_mb("VmRSS")
    work, result = WORKLOADS[args.workload](), {}
    work.prepare(args)
    if args.unchecked:
        repeat(work, args, 1, args.seconds / 3)
    else:
        result = {"loss10": check(work)}
    times, cpu = repeat(work, args, LEAST_STEPS, args.seconds)
    peak = status_mb("VmHWM")
    print(json.dumps({
        "workload": args.workload, "threads": args.threads, "steps": len(times),
        "step_ms": round(statistics.median(times), 6), "step_ms_min": round(min(times), 6),
        "cpu_ms": round(cpu, 6), **result, "peak_mb": round(peak, 1),
        "peak_minus_idle_mb": round(peak - idle, 1), "version": "PyTorch " + torch.__version__,
        "blas": blas_path()}))


if __name__ == "__main__":
    main()
