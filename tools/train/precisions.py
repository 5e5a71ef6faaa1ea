"""What narrower numbers cost: average precision on the test scenes' seen things, per model file and precision.

    precisions.py --program ../../build/glip MODEL.gguf [MODEL.gguf...] [--scenes 150]

The first file in the first precision is what the others are compared with. One file may be the same model converted with
`glip convert --type i8`.
"""
import argparse
import os

import test_set
from evaluate import Detection, Program


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", required=True)
    p.add_argument("--scenes", type=int, default=150)
    p.add_argument("--compute", default="f32,i16,bf16,i8", help="precisions, joined by commas; default %(default)s")
    p.add_argument("models", nargs="+")
    a = p.parse_args()
    asked = [(m, c, Program(a.program, m, ("--compute", c)), Detection()) for m in a.models for c in a.compute.split(",")]
    for i in range(a.scenes):
        q = test_set.seen(i)
        for _, _, program, detection in asked:
            detection.add(program(q), q.truth)
    print("| file | MB | precision | AP@0.5 | points lost | AP@[.5:.95] | points lost |\n|---|---|---|---|---|---|---|")
    best = asked[0][3].summary()
    for model, compute, _, detection in asked:
        ap50, ap = detection.summary()
        print("| %s | %.2f | %s | %.4f | %.2f | %.4f | %.2f |" % (
            os.path.basename(model), os.path.getsize(model) / 1e6, compute, ap50, 100 * (best[0] - ap50), ap, 100 * (best[1] - ap)))


if __name__ == "__main__":
    main()
