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

LOSS_STEPS = 10  # steps of training before the loss that all programs must agree on
BATCHES = 8      # distinct batches, used in turn
PARAM_STREAM, INPUT_STREAM, TARGET_STREAM = 100, 200, 300
PIECE = 1 << 16  # numbers made at a time, so that making them is not what takes most memory


# --- numbers that every program can make ---

def bits(stream, start, n):
    """The upper 24 bits of SplitMix64 of (stream << 32) + i, as in fill.c."""
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

def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                         nn.Linear(512, 10))


def tiny():
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(),
                         nn.Linear(16, 1))


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 10))


class Block(nn.Module):
    """Of ResNet, with a projection where sizes change."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet20(nn.Module):
    """He et al. 2016."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(i, o, s), Block(o, o, 1), Block(o, o, 1))
            for i, o, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2)))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def vgg16():
    layers, inputs = [], 3
    for group in (2 * [64], 2 * [128], 3 * [256], 3 * [512], 3 * [512]):
        for outputs in group:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                       nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


class Recurrent(nn.Sequential):
    """Embedding, LSTM or GRU, linear; with `carry` the state goes on from batch to batch."""

    def __init__(self, embedding, recurrent, linear, carry=False):
        super().__init__(embedding, recurrent, linear)
        self.carry, self.state, self.next = carry, None, None

    def forward(self, x):
        y, self.next = self[1](self[0](x), self.state)
        return self[2](y)

    def stepped(self):
        if self.carry:
            self.state = tuple(s.detach() for s in self.next)


def lstm():
    return Recurrent(nn.Embedding(10000, 200), nn.LSTM(200, 200, 2), nn.Linear(200, 10000), True)


def gru():
    return Recurrent(nn.Embedding(65, 256), nn.GRU(256, 256), nn.Linear(256, 65))


class Position(nn.Module):
    def __init__(self, length, size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(length, size))

    def forward(self, x):
        return x + self.weight


class Attention(nn.Module):
    """Of each place to those before it and itself."""

    def __init__(self, size, heads, length):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * size))
        self.out_proj = nn.Linear(size, size)
        self.register_buffer("mask", torch.full((length, length), -float("inf")).triu(1),
                             persistent=False)

    def forward(self, x):
        n, length, size = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = attend(q, k, v, self.mask)
        return self.out_proj(y.transpose(1, 2).reshape(n, length, size))


def attend_softmax(q, k, v, mask):
    return torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask, -1) @ v


def attend_baddbmm(q, k, v, mask):
    shape = q.shape
    q, k, v = (t.reshape(-1, *t.shape[-2:]) for t in (q, k, v))
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=shape[-1] ** -0.5)
    return torch.bmm(torch.softmax(scores, -1), v).view(shape)


def attend_function(q, k, v, mask):
    return F._scaled_dot_product_attention(q, k, v, mask)[0]


attend = attend_softmax


class Layer(nn.Module):
    """Of a transformer, norms first."""

    def __init__(self, size, heads, length):
        super().__init__()
        self.self_attn = Attention(size, heads, length)
        self.linear1, self.linear2 = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x):
        x = x + self.self_attn(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Encoder(nn.Module):
    def __init__(self, layers, size, heads, length):
        super().__init__()
        self.layers = nn.Sequential(*(Layer(size, heads, length) for _ in range(layers)))
        self.norm = nn.LayerNorm(size)

    def forward(self, x):
        return self.norm(self.layers(x))


def gpt():
    return nn.Sequential(nn.Embedding(65, 384), Position(256, 384), Encoder(6, 384, 6, 256),
                         nn.Linear(384, 65, bias=False))


def class_loss(y, t):
    return F.cross_entropy(y.flatten(0, -2), t)


class Training:
    """step(i) is what is timed, result() what every program must agree on."""
    trains = True

    def __init__(self, build, make_optimizer, make_input, make_target, loss=class_loss, clip=None):
        self.net = build()
        set_weights(self.net)
        self.optimizer = make_optimizer(self.net.parameters())
        self.batches = [(make_input(INPUT_STREAM + b), make_target(TARGET_STREAM + b))
                        for b in range(BATCHES)]
        self.loss, self.clip = loss, clip

    def step(self, i):
        x, t = self.batches[i % BATCHES]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.net(x), t)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.optimizer.step()
        if isinstance(self.net, Recurrent):
            self.net.stepped()
        return loss.item()

    def result(self):
        x, t = self.batches[0]
        with torch.no_grad():
            return self.loss(self.net(x), t).item()


class Inference:
    trains = False

    def __init__(self, build, make_input):
        self.net = build().eval()
        set_weights(self.net)
        self.x = [make_input(INPUT_STREAM + b) for b in range(BATCHES)]

    def step(self, i):
        with torch.inference_mode():
            return self.net(self.x[i % BATCHES])

    def result(self):
        return fingerprint(self.step(0))


# --- single functions ---

class Chain:
    """One double through 100,000 steps."""
    trains = False

    def step(self, _):
        y = y0 = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        for _ in range(100000):
            y = torch.sin(y * 1.0001 + 0.1)
        y.backward()
        return y.item() + 0 * y0.grad.item()

    def result(self):
        return self.step(0)


class Fused:
    """Ten million floats through few ops."""
    trains = False

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


class Convolution:
    """The output, the gradient of the input or that of the weight."""
    trains = False
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
    return lambda p: torch.optim.SGD(p, lr=lr, momentum=momentum, weight_decay=decay)


WORKLOADS = {
    "mlp": lambda: Training(mlp, lambda p: torch.optim.Adam(p, lr=1e-3), images(128, 784),
                            words(10, 128)),
    "lenet": lambda: Training(lenet, sgd(0.01, 0.9), images(64, 1, 28, 28), words(10, 64)),
    "resnet20": lambda: Training(ResNet20, sgd(1e-3, 0.9, 1e-4), images(32, 3, 32, 32),
                                 words(10, 32)),
    "vgg16": lambda: Training(vgg16, sgd(1e-5, 0.9), images(16, 3, 32, 32), words(10, 16)),
    "lstm": lambda: Training(lstm, sgd(1.0), words(10000, 35, 20), words(10000, 700), clip=0.25),
    "gru": lambda: Training(gru, lambda p: torch.optim.Adam(p, lr=1e-3), words(65, 64, 32),
                            words(65, 2048)),
    "gpt": lambda: Training(gpt, lambda p: torch.optim.AdamW(p, lr=3e-4), words(65, 4, 256),
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


def measure(work, steps, warmup):
    """Milliseconds of each step, those of all threads in the mean, and the result."""
    first = LOSS_STEPS if work.trains else 0
    for i in range(first):
        work.step(i)
    result, times, cpu = work.result(), [], 0
    for i in range(-warmup, steps):
        if i == 0:
            cpu = time.process_time()
        start = time.perf_counter()
        work.step(first + warmup + i)
        times.append(1e3 * (time.perf_counter() - start))
    return times[warmup:], 1e3 * (time.process_time() - cpu) / steps, result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    idle = status_mb("VmRSS")
    times, cpu, result = measure(WORKLOADS[args.workload](), args.steps, args.warmup)
    peak = status_mb("VmHWM")
    print(json.dumps({
        "workload": args.workload, "threads": args.threads,
        "step_ms": round(statistics.median(times), 6), "step_ms_min": round(min(times), 6),
        "cpu_ms": round(cpu, 6), "loss10": result, "peak_mb": round(peak, 1),
        "peak_minus_idle_mb": round(peak - idle, 1), "version": "PyTorch " + torch.__version__,
        "blas": blas_path()}))


if __name__ == "__main__":
    main()
