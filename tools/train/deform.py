"""Modulated deformable 3x3 convolution, padding 1: by deform_columns.c where a compiler is at hand, else through grid_sample."""
import ctypes
import os
import subprocess
import tempfile

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "../../build/train/deform.so")


def load():
    """The compiled kernel, built when it is older than its source; None without a compiler."""
    source = os.path.join(HERE, "deform_columns.c")
    try:
        if not os.path.exists(BUILT) or os.path.getmtime(BUILT) < os.path.getmtime(source):
            os.makedirs(os.path.dirname(BUILT), exist_ok=True)
            with tempfile.TemporaryDirectory(dir=os.path.dirname(BUILT)) as folder:
                made = os.path.join(folder, "deform.so")
                subprocess.run(["cc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", made, source], check=True)
                os.replace(made, BUILT)
        return ctypes.CDLL(BUILT)
    except (OSError, subprocess.CalledProcessError):
        return None


KERNEL = load()


class Columns(torch.autograd.Function):
    """x (B, H, W, C), offset (B, 18, h, w), modulation (B, 9, h, w) -> sampled taps (B, h * w, 9, C)"""

    @staticmethod
    def call(function, tensors, sizes):
        function(*(ctypes.c_void_p(t.data_ptr()) for t in tensors), *(ctypes.c_long(n) for n in sizes))

    @staticmethod
    def forward(ctx, x, offset, modulation, stride):
        x, offset, modulation = x.contiguous(), offset.contiguous(), modulation.contiguous()
        ctx.sizes = (*x.shape, *offset.shape[2:], stride)
        ctx.save_for_backward(x, offset, modulation)
        B, C, n = x.shape[0], x.shape[3], offset.shape[2] * offset.shape[3]
        out = x.new_empty(B, n, 9, C)
        Columns.call(KERNEL.deform_columns, (x, offset, modulation, out), ctx.sizes)
        return out

    @staticmethod
    def backward(ctx, grad):
        x, offset, modulation = ctx.saved_tensors
        out = torch.zeros_like(x), torch.empty_like(offset), torch.empty_like(modulation)
        Columns.call(KERNEL.deform_gradient, (x, offset, modulation, grad.contiguous(), *out), ctx.sizes)
        return (*out, None)


def by_kernel(x, offset, modulation, weight, bias, stride):
    B, C = x.shape[:2]
    h, w = offset.shape[-2:]
    cols = Columns.apply(x.permute(0, 2, 3, 1), offset, modulation, stride)
    out = F.linear(cols.view(B * h * w, 9 * C), weight.permute(0, 2, 3, 1).reshape(-1, 9 * C), bias)
    return out.view(B, h, w, -1).permute(0, 3, 1, 2).contiguous()


def by_grid_sample(x, offset, modulation, weight, bias, stride):
    B, C, H, W = x.shape
    h, w = offset.shape[-2:]
    tap = torch.arange(9)
    y = (torch.arange(h) * stride - 1)[None, :, None] + (tap // 3)[:, None, None]             # (9, h, 1)
    z = (torch.arange(w) * stride - 1)[None, None, :] + (tap % 3)[:, None, None]              # (9, 1, w)
    # grid_sample without aligned corners puts pixel p of n at (2p + 1) / n - 1
    gy = (offset[:, 0::2] + y) * (2 / H) + (1 / H - 1)
    gx = (offset[:, 1::2] + z) * (2 / W) + (1 / W - 1)
    grid = torch.stack([gx, gy], -1).view(B, 9 * h, w, 2)
    cols = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    cols = cols.view(B, C, 9, h * w) * modulation.reshape(B, 1, 9, h * w)
    weight = weight.view(1, weight.shape[0], C * 9).expand(B, -1, -1)       # bmm: matmul would transpose cols
    return torch.bmm(weight, cols.view(B, C * 9, h * w)).view(B, -1, h, w) + bias[:, None, None]


def deform_conv(x, offset, modulation, weight, bias, stride):
    """x: (B, C, H, W); offset: (B, 18, h, w) as (dy, dx) per tap; modulation: (B, 9, h, w) -> (B, O, h, w)"""
    return (by_kernel if KERNEL else by_grid_sample)(x, offset, modulation, weight, bias, stride)
