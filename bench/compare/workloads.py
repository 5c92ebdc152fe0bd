# workloads.py - what is compared: work that no program can avoid, and targets.
# SPDX-License-Identifier: MIT
"""Operations are those of matrix products and convolutions: 2 r k n for [r, k] by [k, n]. Training
takes three times the forward pass: as much again for the gradient of the weight, and as much for
that of the input, save in a first layer that reads data.
"""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    name: str               # as the programs know it
    tag: str
    title: str
    gflop: float = 0        # of a step; 0: not what it is about
    gbyte: float = 0        # to and from memory, of what is too large for a cache
    target: dict = field(default_factory=dict)   # threads: times as fast as PyTorch
    stretch: dict = field(default_factory=dict)
    gemm_share: float = 0   # target: part of the rate of products; 0: none
    memory: float = 1       # target: part of PyTorch's memory, where that exceeds 32 MB
    bfloat16: bool = False


def linear(rows, inner, outputs):
    return 2e-9 * rows * inner * outputs


def conv(batch, inputs, outputs, kernel, size):
    """size: of the output's height and width."""
    return linear(batch * size * size, inputs * kernel * kernel, outputs)


def training(layers, first=0.0):
    """layers: GFLOP of each, forward; first: of those whose input needs no gradient."""
    return 3 * sum(layers) - first


def mlp():
    layers = [linear(128, 784, 512), linear(128, 512, 512), linear(128, 512, 10)]
    return training(layers, layers[0])


def lenet():
    layers = [conv(64, 1, 6, 5, 28), conv(64, 6, 16, 5, 10), linear(64, 400, 120),
              linear(64, 120, 84), linear(64, 84, 10)]
    return training(layers, layers[0])


def resnet20(batch):
    layers = [conv(batch, 3, 16, 3, 32)] + 6 * [conv(batch, 16, 16, 3, 32)]
    for inputs, outputs, size in ((16, 32, 16), (32, 64, 8)):
        layers += [conv(batch, inputs, outputs, 3, size), conv(batch, inputs, outputs, 1, size)]
        layers += 5 * [conv(batch, outputs, outputs, 3, size)]
    return layers + [linear(batch, 64, 10)]


def vgg16(batch):
    layers, inputs, size = [], 3, 32
    for group in (2 * [64], 2 * [128], 3 * [256], 3 * [512], 3 * [512]):
        for outputs in group:
            layers.append(conv(batch, inputs, outputs, 3, size))
            inputs = outputs
        size //= 2
    return layers + [linear(batch, 512, 10)]


def recurrent(gates, steps, batch, inputs, hidden, layers, outputs):
    rows = steps * batch
    each = [linear(rows, inputs if i == 0 else hidden, gates * hidden) for i in range(layers)]
    return each + layers * [linear(rows, hidden, gates * hidden)] + [linear(rows, hidden, outputs)]


def gpt(batch, length=256, size=384, layers=6, letters=65):
    """Of scores and of what they weigh only the half that the mask leaves."""
    rows = batch * length
    layer = [linear(rows, size, 12 * size), linear(rows, length, size)]
    return layers * layer + [linear(rows, size, letters)]


def convolution(name, title, gflop, target):
    tag, parts = "W11", ("forward", "data", "weight")
    return [Workload(f"{name}-{part}", tag, f"{title}, {part}", gflop, target={1: target})
            for part in parts]


def both(one, two):
    return {1: one, 2: two}


_resnet, _vgg = resnet20(32), vgg16(16)

WORKLOADS = {w.name: w for w in [
    Workload("mlp", "W1", "MLP 784-512-512-10, batch 128, Adam", mlp(),
             target=both(1.5, 1.5), stretch={1: 1.7}),
    Workload("lenet", "W2", "LeNet-5, batch 64, SGD with momentum", lenet(),
             target=both(3, 3), stretch={1: 4}),
    Workload("resnet20", "W3", "ResNet-20, batch 32, SGD with momentum",
             training(_resnet, _resnet[0]), target=both(1.4, 1.4), stretch={1: 1.6},
             gemm_share=0.75, memory=0.7, bfloat16=True),
    Workload("vgg16", "W4", "VGG-16-BN, batch 16, SGD with momentum",
             training(_vgg, _vgg[0]), target=both(1.15, 1.2), stretch={1: 1.3},
             gemm_share=0.75, memory=0.7, bfloat16=True),
    Workload("lstm", "W5", "LSTM of words, 2x200, 35 steps, batch 20, SGD",
             training(recurrent(4, 35, 20, 200, 200, 2, 10000)),
             target=both(1.4, 1.5), stretch={1: 1.7}, gemm_share=0.75),
    Workload("gru", "W6", "GRU of letters, 256, 64 steps, batch 32, Adam",
             training(recurrent(3, 64, 32, 256, 256, 1, 65)),
             target=both(1.7, 2), stretch={1: 2}),
    Workload("gpt", "W7", "GPT, 6 layers of 384, context 256, batch 4, AdamW", training(gpt(4)),
             target=both(1.2, 1.3), stretch={1: 1.4}, gemm_share=0.75, memory=0.7,
             bfloat16=True),
    Workload("tiny", "W8", "MLP 2-16-16-1, batch 1, SGD",
             target=both(60, 60), stretch={1: 90}),
    Workload("chain", "W9", "y = sin(1.0001 y + 0.1), 100,000 steps",
             target=both(60, 60), stretch={1: 90}),
    Workload("fused", "W10", "sum(tanh(x w + b) sigmoid(x)), 10^7 floats", gbyte=0.24,
             target=both(6, 6), stretch=both(8, 9)),
    *convolution("conv16", "(32,16,32,32) -> 16, 3x3", conv(32, 16, 16, 3, 32), 1.3),
    *convolution("conv64", "(16,64,32,32) -> 64, 3x3", conv(16, 64, 64, 3, 32), 1.3),
    *convolution("conv256", "(8,256,14,14) -> 256, 3x3", conv(8, 256, 256, 3, 14), 1),
    *convolution("conv7", "(8,3,224,224) -> 64, 7x7/2", conv(8, 3, 64, 7, 112), 1),
    Workload("resnet20-infer", "W12", "ResNet-20, inference, batch 1", sum(resnet20(1)),
             target=both(2, 2), stretch={1: 3}),
    Workload("gpt-infer", "W12", "GPT, inference, batch 1", sum(gpt(1)),
             target=both(1.2, 1.3), stretch={1: 1.4}),
]}
