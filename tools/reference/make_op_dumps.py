#!/usr/bin/python3
"""Small inputs and outputs of PyTorch's operators, for tests/kernels/test_ops_torch.c.

Usage: make_op_dumps.py [FOLDER]   (tests/data/ops by default; needs python3-torch and python3-torchvision)

Maps are saved as [height, width, channels], convolution weights as [out, taps * in].
"""
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

folder = sys.argv[1] if len(sys.argv) > 1 else "tests/data/ops"
os.makedirs(folder, exist_ok=True)
torch.manual_seed(20)
torch.set_num_threads(1)


def save(name, value):
	np.save(os.path.join(folder, name + ".npy"), np.ascontiguousarray(value.detach().numpy().astype(np.float32)))


def save_map(name, value):
	save(name, value[0].permute(1, 2, 0))


def save_weight(name, value):
	save(name, value.permute(0, 2, 3, 1).flatten(1))


x, w, b = torch.randn(5, 40) * 3 + 1, torch.randn(40), torch.randn(40)
save("norm.x", x), save("norm.w", w), save("norm.b", b)
save("norm.y", F.layer_norm(x, (40,), w, b, 1e-5))

x = torch.linspace(-9, 9, 301)
save("element.x", x), save("element.gelu", F.gelu(x)), save("element.sigmoid", torch.sigmoid(x))

x = torch.randn(37, 49) * 4
save("softmax.x", x), save("softmax.rows", x.softmax(1)), save("softmax.columns", x.softmax(0))

x, w, b = torch.randn(1, 6, 9, 7), torch.randn(5, 6, 3, 3), torch.randn(5)
save_map("conv.x", x), save_weight("conv.w", w), save("conv.b", b)
for stride in (1, 2):
	save_map(f"conv.y{stride}", F.conv2d(x, w, b, stride, 1))
	y = F.conv2d(x, w, b, stride, 1)
	offset = torch.randn(1, 18, *y.shape[2:]) * 2
	modulation = torch.rand(1, 9, *y.shape[2:])
	save_map(f"deform.offset{stride}", offset), save_map(f"deform.modulation{stride}", modulation)
	save_map(f"deform.y{stride}", deform_conv2d(x, offset, w, b, stride, 1, mask=modulation))

save_map("up.bilinear", F.interpolate(x, (17, 14), mode="bilinear", align_corners=True))
save_map("up.nearest", F.interpolate(x, (17, 15), mode="nearest"))

x = torch.randn(1, 8, 6, 5) * 2 + 1
w, b = torch.randn(8), torch.randn(8)
save_map("group.x", x), save("group.w", w), save("group.b", b), save_map("group.y", F.group_norm(x, 4, w, b, 1e-5))

# Three windows of 49 tokens, two heads of 8: q, k, v side by side.
qkv, bias, region = torch.randn(3, 49, 3, 2, 8), torch.randn(2, 49, 49), torch.randint(0, 3, (3, 49))
q, k, v = qkv.permute(2, 0, 3, 1, 4)
score = q @ k.transpose(2, 3) * 8 ** -0.5 + bias + (region[:, None, :, None] != region[:, None, None, :]) * -100.0
save("attention.qkv", qkv.flatten(2)), save("attention.bias", bias), save("attention.region", region)
save("attention.y", (score.softmax(3) @ v).transpose(1, 2).flatten(2))
score = (q @ k.transpose(2, 3) * 8 ** -0.5).clamp(-0.5, 0.5)
save("attention.clamped", (score.softmax(3) @ v).transpose(1, 2).flatten(2))
