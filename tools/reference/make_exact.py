#!/usr/bin/env python3
"""Float64 values of the reference activations that float32 alone cannot decide.

The dumps of the reference are float32. On the top levels of the small cases, a few numbers that are sums which nearly
cancel, the dump itself lies up to 1.4e-5 (relative L2) from the same network evaluated in float64: more than the 1e-5
that an implementation may differ by. For every tensor whose dump is more than FLOOR away, this writes the float64
values, so that the test can ask which of the two is nearer to the truth.

    make_exact.py [--reference DIR] OUT.json      (needs PyTorch; the network is tools/train/model.py)
"""
import argparse
import glob
import json
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../train"))
import deform  # noqa: E402
import test_model  # noqa: E402

FLOOR = 5e-6


def exact(case_dir, case, reference):
    """Every activation in float64, from the dumped network input."""
    model = test_model.load(reference, case["variant"], case["seed"]).double()
    image = torch.from_numpy(np.load(os.path.join(case_dir, "input.npy"))).double()
    return test_model.activations(model, image, torch.tensor([case["token_ids"]]), model.config.fusion)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reference", default=os.path.join(HERE, "../../../shared/reference"))
    p.add_argument("out")
    a = p.parse_args()
    deform.KERNEL = None  # the compiled kernel is float32
    table = {}
    for case_dir in sorted(glob.glob(os.path.join(a.reference, "cases", "mini-*"))):
        case = json.load(open(os.path.join(case_dir, "case.json")))
        values, tokens = {}, len(case["token_ids"])
        for name, x in exact(case_dir, case, a.reference).items():
            if name not in case["tensors"]:
                continue
            x, dump = x.numpy(), np.load(os.path.join(case_dir, name + ".npy"))
            if name.startswith("bert") or name.endswith("lang"):
                dump = dump[:, :tokens]
            elif "dot_logits" in name:
                dump = dump[..., :tokens]
            away = np.linalg.norm(dump - x) / np.linalg.norm(x)
            if away > FLOOR:
                values[name] = {"dump": float("%.3g" % away), "values": [float("%.9g" % v) for v in x.ravel()]}
        table[os.path.basename(case_dir)] = values
    with open(a.out, "w") as f:
        json.dump(table, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
