# torch_nets.py - the networks of images.c and sequences.c in PyTorch, names of parameters included.
# SPDX-License-Identifier: MIT
import torch
from torch import nn
from torch.nn import functional as F


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
    """Embedding, LSTM or GRU, linear; with `carry` the state goes on from step to step."""

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
        qkv = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = (t.reshape(n * self.heads, length, -1) for t in qkv)
        # Scaled and masked in the product: attention takes a third less time than with operations
        # of their own, and as much as F._scaled_dot_product_attention.
        scores = torch.baddbmm(self.mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
        y = torch.bmm(torch.softmax(scores, -1), v).view(n, self.heads, length, -1)
        return self.out_proj(y.transpose(1, 2).reshape(n, length, size))


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
