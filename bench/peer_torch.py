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

LOSS_STEPS = 10  # steps before the loss that both programs must agree on
BATCHES = 8      # distinct batches, used in turn
PARAM_STREAM, INPUT_STREAM, LABEL_STREAM = 100, 200, 300


def mlp():
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                        nn.Linear(512, 10))
    return net, lambda p: torch.optim.Adam(p, lr=1e-3)


def lenet():
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                        nn.Linear(84, 10))
    return net, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)


WORKLOADS = {  # name: (builder, batch, shape of a sample)
    "mlp": (mlp, 128, (784,)),
    "lenet": (lenet, 64, (1, 28, 28)),
}


def bits(stream, n):
    """n numbers of 64 bits: SplitMix64 of (stream << 32) + i, the same in workloads.c."""
    with np.errstate(over="ignore"):
        z = (np.uint64(stream << 32) + np.arange(n, dtype=np.uint64)) * np.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(stream, shape, bound):
    """float32 in [-bound, bound), from the upper 24 bits."""
    u = (bits(stream, int(np.prod(shape))) >> np.uint64(40)).astype(np.float64) / (1 << 24)
    return torch.from_numpy(((2 * u - 1) * bound).astype(np.float32).reshape(shape))


def labels(stream, n):
    return torch.from_numpy(((bits(stream, n) >> np.uint64(40)) % np.uint64(10)).astype(np.int64))


def set_weights(net):
    """Weights and biases alike in (-1/sqrt(fan_in), 1/sqrt(fan_in)), by order of creation."""
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            if p.dim() > 1:
                bound = 1 / (p.numel() // p.shape[0]) ** 0.5
            p.copy_(uniform(PARAM_STREAM + i, tuple(p.shape), bound))


def status_mb(key):
    """VmHWM or VmRSS: unlike ru_maxrss, not inherited from the program that started us."""
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":")) / 1024


def blas_path():
    with open("/proc/self/maps", encoding="utf-8") as f:
        paths = {line.split()[-1] for line in f if "blas" in line.rsplit("/", 1)[-1]}
    return ", ".join(sorted(paths))


def measure(net, optimizer, batches, steps, warmup):
    """The times of `steps` steps, and the loss of batch 0 after LOSS_STEPS steps."""
    def step(i):
        x, t = batches[i % BATCHES]
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), t)
        loss.backward()
        optimizer.step()
        return loss.item()

    for i in range(LOSS_STEPS):
        step(i)
    with torch.no_grad():
        loss = F.cross_entropy(net(batches[0][0]), batches[0][1]).item()
    times = []
    for i in range(LOSS_STEPS, LOSS_STEPS + warmup + steps):
        start = time.perf_counter()
        step(i)
        times.append(1e3 * (time.perf_counter() - start))
    return times[warmup:], loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    idle = status_mb("VmRSS")

    build, n, shape = WORKLOADS[args.workload]
    net, make_optimizer = build()
    set_weights(net)
    optimizer = make_optimizer(net.parameters())
    batches = [(uniform(INPUT_STREAM + b, (n, *shape), 1), labels(LABEL_STREAM + b, n))
               for b in range(BATCHES)]
    times, loss = measure(net, optimizer, batches, args.steps, args.warmup)
    peak = status_mb("VmHWM")
    print(json.dumps({
        "workload": args.workload, "threads": args.threads,
        "step_ms": round(statistics.median(times), 4), "step_ms_min": round(min(times), 4),
        "loss10": loss, "peak_mb": round(peak, 1), "peak_minus_idle_mb": round(peak - idle, 1),
        "version": "PyTorch " + torch.__version__, "blas": blas_path()}))


if __name__ == "__main__":
    main()
