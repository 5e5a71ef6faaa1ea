"""Holds model.py against the reference activations: every tensor of the mini cases, by relative error. And the bundled model, read
from its file, against the example scenes that the C program is tested with.

    test_model.py [--reference DIR]
"""
import argparse
import glob
import importlib.util
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")        # sums in one order
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import deform
from evaluate import Checkpoint, iou
from examples import EXAMPLES, example
from model import Config, Glip

TOLERANCE = 2e-5


def load(reference, variant, seed):
    spec = importlib.util.spec_from_file_location("weights", os.path.join(reference, "weights.py"))
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    model = Glip(Config.from_manifest(weights.load_manifest(variant)["hyperparameters"])).eval()
    state = {k: torch.from_numpy(v) for k, v in weights.state_dict(variant, seed).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing, missing
    assert all("anchor_generator" in k or "cls_logits" in k for k in unexpected), unexpected
    return model


def activations(model, image, ids, fused):
    """Every activation under its name in the dumps."""
    trace = {}
    with torch.no_grad():
        logits, boxes, centre, sizes = model(image, ids, torch.ones_like(ids, dtype=torch.bool), trace)
    out = {"bert.hidden": trace["text"], "bert.embedded": trace["text"]}
    out.update({"swin.stage%d" % (i + 1): x for i, x in enumerate(trace["stages"])})
    out.update({"fpn.p%d" % (i + 3): x for i, x in enumerate(trace["maps"])})
    kinds = ("fuse", "bert", "dyconv") if fused else ("dyconv",)
    for i, (maps, text) in enumerate(trace["tower"]):
        layer, kind = divmod(i, len(kinds))
        name = "head.%d.%s" % (layer, kinds[kind])
        out.update({"%s.p%d" % (name, l + 3): x for l, x in enumerate(maps)})
        out[name + ".lang"] = text
    counts = [h * w for h, w in sizes]
    for l, ((h, w), g, b, c) in enumerate(zip(sizes, logits.split(counts, 1), boxes.split(counts, 1), centre.split(counts, 1))):
        out["out.dot_logits.p%d" % (l + 3)] = g
        out["out.bbox_reg.p%d" % (l + 3)] = b.transpose(1, 2).reshape(1, 4, h, w)
        out["out.centerness.p%d" % (l + 3)] = c.view(1, 1, h, w)
    return out


def compare(case_dir, reference):
    case = json.load(open(os.path.join(case_dir, "case.json")))
    assert case["full"], "this test reads whole tensors"
    model = load(reference, case["variant"], case["seed"])
    image = torch.from_numpy(np.load(os.path.join(case_dir, "input.npy")))
    ids = torch.tensor([case["token_ids"]])
    got = activations(model, image, ids, model.config.fusion)
    worst, where, count = 0.0, "", 0
    for name in case["tensors"]:
        if name == "input":
            continue
        want = np.load(os.path.join(case_dir, name + ".npy"))
        x = got[name].numpy()
        if name.startswith("bert") or name.endswith("lang"):
            want = want[:, :x.shape[1]]
        elif "dot_logits" in name:
            want = want[..., :x.shape[2]]
        assert x.shape == want.shape, (name, x.shape, want.shape)
        error = np.abs(x - want).max() / max(np.abs(want).max(), 1e-6)
        count += 1
        if error > worst:
            worst, where = error, name
    return worst, where, count


def compare_convolutions():
    """The kernel against grid_sample: worst relative difference of the output and of every gradient."""
    torch.manual_seed(1)
    worst = 0.0
    for (H, W), (h, w), stride in (((9, 7), (9, 7), 1), ((10, 12), (5, 6), 2), ((3, 3), (2, 2), 2), ((1, 1), (1, 1), 1)):
        inputs = [torch.randn(2, 16, H, W), torch.randn(2, 18, h, w) * 2, torch.rand(2, 9, h, w), torch.randn(8, 16, 3, 3), torch.randn(8)]
        probe, results = torch.randn(2, 8, h, w), []
        for convolution in (deform.by_kernel, deform.by_grid_sample):
            leaves = [t.clone().requires_grad_() for t in inputs]
            out = convolution(*leaves, stride)
            (out * probe).sum().backward()
            results.append([out.detach()] + [t.grad for t in leaves])
        worst = max([worst] + [float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in zip(*results)])
    return worst


def compare_released(here):
    """How many of the example scenes' objects the bundled model finds, and of how many."""
    engine, found, count = Checkpoint(os.path.join(here, "../../weights/glip-demo.gguf")), 0, 0
    for name, kind, number in EXAMPLES:
        q = example(kind, number)
        detections = engine(q)
        for label, (_, boxes) in enumerate(q.truth):
            mine = [box for k, score, box in detections if k == label and score > 0.5]
            found += sum(bool(mine) and iou([box], mine).max() > 0.6 for box in boxes)
            count += len(boxes)
    return found, count


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reference", default=os.path.join(here, "../../../shared/reference"))
    a = p.parse_args()
    failed = False
    if deform.KERNEL:
        worst = compare_convolutions()
        failed |= not worst <= TOLERANCE
        print("%-18s %3d tensors  worst relative error %.1e  (output and gradients)" % ("deform_columns.c", 6, worst))
    for case_dir in sorted(glob.glob(os.path.join(a.reference, "cases", "mini-*"))):
        worst, where, count = compare(case_dir, a.reference)
        failed |= not worst <= TOLERANCE
        print("%-18s %3d tensors  worst relative error %.1e  (%s)" % (os.path.basename(case_dir), count, worst, where))
    found, count = compare_released(here)
    failed |= found < count
    print("%-18s %d of %d objects found" % ("glip-demo.gguf", found, count))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
