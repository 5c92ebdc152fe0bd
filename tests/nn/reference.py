#!/usr/bin/env python3
"""Writes reference.safetensors: what PyTorch's layers compute, and their gradients.

    python3 tests/nn/reference.py tests/nn/reference.safetensors

To be run by hand, with PyTorch 1.13; the tests read the file only. Weights and inputs are float32
numbers, kept as such; outputs and gradients are computed from them in float64. Of each case:

    NAME/state/KEY   the state dict
    NAME/in/KEY      inputs
    NAME/out/I       outputs
    NAME/grad/KEY    of sum_I sum_i sin(1.7 i + 0.4 + I) out_I[i], for each parameter
    NAME/dx/KEY      for each floating input
    NAME/after/KEY   buffers afterwards, where they changed
"""
# SPDX-License-Identifier: MIT
import json
import struct
import sys

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}


def write(path, tensors):
    header, blobs, at = {}, [], 0
    for name, t in tensors.items():
        blob = t.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def objective(outputs):
    total = 0
    for k, y in enumerate(outputs):
        i = torch.arange(y.numel(), dtype=torch.float64)
        total = total + (y.reshape(-1) * torch.sin(1.7 * i + 0.4 + k)).sum()
    return total


def stir(module):
    """No parameter or statistic stays at its 0 or 1."""
    with torch.no_grad():
        for key, t in module.state_dict().items():
            if t.dtype == torch.float32 and (t == t.flatten()[0]).all() and t.numel() > 1:
                t += 0.3 * torch.rand_like(t)


def case(store, name, module, inputs, call=None, train=True, gradients=True):
    """call(module, inputs) gives the outputs."""
    stir(module)
    module.train(train)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    for key, t in before.items():
        store[f"{name}/state/{key}"] = t
    for key, t in inputs.items():
        store[f"{name}/in/{key}"] = t
    module.double()
    wide = {k: t.double().requires_grad_() if t.dtype == torch.float32 else t for k, t in inputs.items()}
    outputs = call(module, wide) if call else [module(*wide.values())]
    for k, y in enumerate(outputs):
        store[f"{name}/out/{k}"] = y.double()
    if gradients:
        objective(outputs).backward()
        for key, p in module.named_parameters():
            store[f"{name}/grad/{key}"] = p.grad
        for key, t in wide.items():
            if t.dtype == torch.float64:
                store[f"{name}/dx/{key}"] = t.grad
    for key, b in module.named_buffers():
        if not torch.equal(b.float(), before[key].float()):
            store[f"{name}/after/{key}"] = b


class Block(nn.Module):
    """The basic block of ResNet-20, with convolutions on its way around where sizes change."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = None
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.shortcut(x) if self.shortcut else x))


def resnet20(widths, classes):
    def stage(before, after, stride):
        return nn.Sequential(Block(before, after, stride), Block(after, after, 1), Block(after, after, 1))

    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(3, widths[0], 3, 1, 1, bias=False))
    net.add_module("bn1", nn.BatchNorm2d(widths[0]))
    net.add_module("relu", nn.ReLU())
    net.add_module("layer1", stage(widths[0], widths[0], 1))
    net.add_module("layer2", stage(widths[0], widths[1], 2))
    net.add_module("layer3", stage(widths[1], widths[2], 2))
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(widths[2], classes))
    return net


def normal(*shape):
    return torch.randn(*shape)


def main(path):
    torch.manual_seed(1)
    store = {}
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    padding = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]], dtype=torch.bool)

    def add(name, module, call=None, **options):
        inputs = {k: v for k, v in options.items() if torch.is_tensor(v)}
        others = {k: v for k, v in options.items() if not torch.is_tensor(v)}
        case(store, name, module, inputs, call, **others)

    add("mlp", nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), x=normal(4, 5))
    net = resnet20((2, 4, 8), 5)
    add("resnet20_train", net, x=normal(4, 3, 16, 16))
    add("resnet20_eval", resnet20((2, 4, 8), 5), x=normal(4, 3, 16, 16), train=False, gradients=False)
    add("batch_norm1d_train", nn.BatchNorm1d(3), x=normal(6, 3))
    add("batch_norm1d_eval", nn.BatchNorm1d(3), x=normal(6, 3, 4), train=False)
    add("batch_norm2d_train", nn.BatchNorm2d(3, momentum=None), x=normal(2, 3, 4, 5))
    add("batch_norm2d_eval", nn.BatchNorm2d(3, eps=1e-3), x=normal(2, 3, 4, 5), train=False)
    add("batch_norm3d_train", nn.BatchNorm3d(2, affine=False, momentum=0.4), x=normal(2, 2, 3, 2, 3))

    def recurrent(module, inputs):
        state = inputs["h"] if "c" not in inputs else (inputs["h"], inputs["c"])
        x = inputs["x"]
        if "lengths" in inputs:
            x = pack_padded_sequence(x, inputs["lengths"], enforce_sorted=False)
        y, last = module(x, state)
        if "lengths" in inputs:
            y, _ = pad_packed_sequence(y)
        return [y, last] if torch.is_tensor(last) else [y, *last]

    add("lstm", nn.LSTM(3, 4, 2, bidirectional=True), recurrent, x=normal(5, 2, 3), h=normal(4, 2, 4), c=normal(4, 2, 4))
    add("lstm_lengths", nn.LSTM(3, 4, 2, bidirectional=True), recurrent, x=normal(5, 3, 3), h=normal(4, 3, 4), c=normal(4, 3, 4), lengths=torch.tensor([3, 5, 1]))
    add("gru", nn.GRU(3, 4, 2, batch_first=True), recurrent, x=normal(2, 5, 3), h=normal(2, 2, 4))
    add("gru_lengths", nn.GRU(3, 4, bidirectional=True, bias=False), recurrent, x=normal(5, 3, 3), h=normal(2, 3, 4), lengths=torch.tensor([3, 5, 1]))
    add("rnn", nn.RNN(3, 4, 2, nonlinearity="relu"), recurrent, x=normal(5, 2, 3), h=normal(2, 2, 4))

    def attention(module, inputs):
        y, weights = module(inputs["q"], inputs["k"], inputs["v"], attn_mask=inputs.get("mask"), key_padding_mask=inputs.get("padding"))
        return [y, weights]

    add("attention", nn.MultiheadAttention(8, 2), attention, q=normal(4, 2, 8), k=normal(5, 2, 8), v=normal(5, 2, 8))
    add("attention_masks", nn.MultiheadAttention(8, 2, batch_first=True), attention, q=normal(2, 5, 8), k=normal(2, 5, 8), v=normal(2, 5, 8), mask=causal, padding=padding)
    add("attention_added", nn.MultiheadAttention(8, 4), attention, q=normal(5, 2, 8), k=normal(5, 2, 8), v=normal(5, 2, 8), mask=normal(5, 5), padding=padding)
    add("attention_heads", nn.MultiheadAttention(8, 2), attention, q=normal(5, 2, 8), k=normal(5, 2, 8), v=normal(5, 2, 8), mask=normal(4, 5, 5))
    add("attention_sizes", nn.MultiheadAttention(8, 2, kdim=3, vdim=5, bias=False), attention, q=normal(4, 2, 8), k=normal(5, 2, 3), v=normal(5, 2, 5))

    def encode(module, inputs):
        return [module(inputs["x"], inputs["mask"], inputs["padding"])]

    options = dict(dim_feedforward=6, dropout=0.0)
    add("encoder_layer", nn.TransformerEncoderLayer(4, 2, **options), encode, x=normal(5, 2, 4), mask=causal, padding=padding)
    add("encoder_layer_norm_first", nn.TransformerEncoderLayer(4, 2, activation="gelu", norm_first=True, batch_first=True, **options), encode, x=normal(2, 5, 4), mask=causal, padding=padding)
    add("encoder", nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, norm_first=True, **options), 2, nn.LayerNorm(4)), x=normal(5, 2, 4))

    def decode(module, inputs):
        return [module(inputs["x"], inputs["memory"], tgt_mask=inputs["mask"], memory_key_padding_mask=inputs["padding"])]

    add("decoder_layer", nn.TransformerDecoderLayer(4, 2, **options), decode, x=normal(5, 2, 4), memory=normal(5, 2, 4), mask=causal, padding=padding)
    add("decoder_layer_norm_first", nn.TransformerDecoderLayer(4, 2, norm_first=True, **options), decode, x=normal(5, 2, 4), memory=normal(5, 2, 4), mask=causal, padding=padding)

    add("bilinear", nn.Bilinear(3, 2, 4), a=normal(5, 3), b=normal(5, 2))
    add("conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), x=normal(2, 4, 9))
    add("conv1d_circular", nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), x=normal(2, 2, 6))
    add("conv2d", nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)), x=normal(2, 2, 6, 5))
    add("conv2d_reflect", nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode="reflect"), x=normal(2, 2, 6, 5))
    add("conv3d", nn.Conv3d(2, 2, (2, 3, 1), padding=1), x=normal(2, 2, 3, 4, 3))
    add("conv_transpose1d", nn.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2), x=normal(2, 4, 5))
    add("conv_transpose2d", nn.ConvTranspose2d(2, 3, (3, 2), stride=2, padding=1, dilation=(2, 1)), x=normal(2, 2, 4, 3))
    add("conv_transpose3d", nn.ConvTranspose3d(4, 2, (3, 2, 1), stride=(2, 1, 2), padding=(1, 0, 0), output_padding=(1, 0, 1), dilation=(1, 2, 1), groups=2), x=normal(2, 4, 3, 2, 2))
    add("layer_norm", nn.LayerNorm((3, 4)), x=normal(2, 3, 4))
    add("group_norm", nn.GroupNorm(2, 4), x=normal(2, 4, 3, 2))
    add("instance_norm", nn.InstanceNorm2d(3, affine=True), x=normal(2, 3, 4, 2))
    add("prelu", nn.PReLU(3), x=normal(4, 3, 2))
    add("embedding", nn.Embedding(6, 3, padding_idx=2), words=torch.tensor([[0, 2, 5], [5, 1, 2]]))
    write(path, store)


if __name__ == "__main__":
    main(sys.argv[1])
