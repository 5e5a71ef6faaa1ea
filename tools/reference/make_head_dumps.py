#!/usr/bin/env python3
"""Makes tests/data/head.gguf: a very small head with random weights, its inputs and what PyTorch gives for them.

    make_head_dumps.py [OUT]

Activations are named in.*, fuse.*, dyconv.*, out.* and lie channels-last: [positions, channels].
"""
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools", "train"))

import gguf                                                            # noqa: E402
from head_names import head_tensors                                    # noqa: E402
from model import Config, Head                                         # noqa: E402

SIZES = ((7, 10), (4, 5), (2, 3), (1, 2), (1, 1))    # odd sides, so that no two levels fit exactly
TOKENS = 5


def randomise(head):
    """Weights that give activations of natural size; offsets of a pixel or two, so that samples leave the map."""
    for name, p in head.named_parameters():
        leaf = name.split(".")[-1]
        norm = "norm" in name or ".bn." in name
        if p.dim() > 1:
            gain = 2.0 if "offset" in name or "v_proj" in name or "l_proj" in name else 1.0
            torch.nn.init.normal_(p, std=gain * p[0].numel() ** -0.5)
        elif norm and leaf == "weight" or leaf in ("scale", "gamma_v", "gamma_l"):
            torch.nn.init.uniform_(p, 0.5, 1.5)
        else:
            torch.nn.init.normal_(p, std=0.3)


def flatten(maps):
    return torch.cat([m.flatten(2) for m in maps], 2)[0].t()


def small_head():
    torch.set_num_threads(1)    # sums in one order: the file is the same every time
    torch.manual_seed(1)
    c = Config(hidden=12, intermediate=24, bert_heads=2, channels=16, head_layers=1, fusion_dim=32, fusion_heads=4,
               groups=4)
    head = Head(c).eval()
    randomise(head)
    state = {"rpn.head." + name: p.numpy() for name, p in head.state_dict().items()}
    tensors = head_tensors(state)
    maps = [torch.randn(1, c.channels, h, w) for h, w in SIZES]
    text = torch.randn(1, TOKENS, c.hidden)
    tensors.update({"in.visual": flatten(maps), "in.text": text[0]})
    trace = []
    with torch.no_grad():
        logits, boxes, centre = head(maps, text, torch.ones(1, TOKENS, dtype=torch.bool), trace)
    (fused, language), (_, encoded), (dynamic, _) = trace
    tensors.update({"fuse.visual": flatten(fused), "fuse.text": language[0], "bert.text": encoded[0],
                    "dyconv.visual": flatten(dynamic), "out.logits": logits[0], "out.box": boxes[0],
                    "out.centerness": centre[0]})
    return {name: np.asarray(t) for name, t in tensors.items()}


if __name__ == "__main__":
    gguf.write((sys.argv[1:] or [os.path.join(ROOT, "tests", "data", "head.gguf")])[0], small_head())
