#!/usr/bin/env python3
"""Activations of two very small models for tests/golden: tests/data/blocks/NAME/*.npy.

Odd maps, some smaller than a window, so that padding, shift, masks and up-sampling to an exact size all matter. The
weights follow the rule of tests/support/rule_weights.h and are not stored; nor is the input, which is the same rule's
"input" (image) and a formula (token ids). Computed in float64, stored as float32.

    make_block_dumps.py [DIRECTORY]        needs python3-torch
"""
import math
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "train"))
import model as glip                                                           # noqa: E402

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
SEED = 5
TOKENS = 7

# The same numbers stand in tests/golden/test_small_blocks.c.
MODELS = {
    "window3": (glip.Config(swin_dim=8, swin_depths=(2, 2, 3, 2), swin_heads=(1, 2, 4, 4), swin_window=3, vocab=50,
                            hidden=8, bert_layers=2, bert_heads=2, intermediate=12, channels=8, head_layers=1,
                            fusion_dim=8, fusion_heads=2, groups=2), (52, 20)),
    "window4": (glip.Config(swin_dim=4, swin_depths=(1, 2, 2, 2), swin_heads=(2, 2, 1, 8), swin_window=4, vocab=50,
                            hidden=12, bert_layers=1, bert_heads=3, intermediate=20, channels=4, head_layers=1,
                            fusion_dim=8, fusion_heads=2, groups=2), (36, 76)),
}


def uniform(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    h ^= (SEED * GOLDEN) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -23 - 1.0


def base_and_scale(name, shape):
    """As tests/support/rule_weights.c, for the encoders' tensors."""
    leaf = name.split(".")[-1]
    if leaf == "weight" and "norm" in name.lower():
        return 1.0, 0.2
    if leaf == "relative_position_bias_table" or "embeddings" in name:
        return 0.0, 0.5
    if leaf == "bias":
        return 0.0, 0.1
    gain = 0.25 if "attention.output.dense" in name else 1.0
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def fill(net):
    for name, p in net.named_parameters():
        if name.startswith("rpn."):
            continue
        base, scale = base_and_scale(name, p.shape)
        w = (base + scale * uniform(name, p.numel())).astype(np.float32).reshape(p.shape)
        p.data = torch.from_numpy(w).double()


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..", "tests", "data", "blocks")
    for name, (config, (height, width)) in MODELS.items():
        net = glip.Glip(config).double().eval()
        fill(net)
        image = torch.from_numpy(uniform("input", height * width * 3).reshape(1, height, width, 3)).permute(0, 3, 1, 2)
        ids = torch.tensor([[(11 * t + 3) % config.vocab for t in range(TOKENS)]])
        with torch.no_grad():
            stages = net.backbone["body"](image)
            levels = net.backbone["fpn"](stages)
            text = net.language_backbone["body"]["model"](ids, torch.ones_like(ids, dtype=torch.bool))
        dumps = {"bert.hidden": text}
        dumps.update({"swin.stage%d" % (i + 1): x for i, x in enumerate(stages)})
        dumps.update({"fpn.p%d" % (i + 3): x for i, x in enumerate(levels)})
        os.makedirs(os.path.join(out, name), exist_ok=True)
        for key, value in dumps.items():
            print(name, key, tuple(value.shape))
            np.save(os.path.join(out, name, key + ".npy"), value.contiguous().numpy().astype(np.float32))


if __name__ == "__main__":
    main()
