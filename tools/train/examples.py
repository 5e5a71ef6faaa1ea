"""Draws the scenes of examples/scenes again, with the captions and boxes that the end-to-end test expects.

    examples.py examples/scenes

NAME.png is the scene; NAME.txt holds a line `classes: a, b, c` or `caption: ...` and a line `box: LABEL x1 y1 x2 y2` for each object
that is named (first and last pixel, both inside).
"""
import argparse
import os
import random

from PIL import Image

from scenes import RELATIONS, relation_scene, relation_sentence, scene, sentence
from test_set import SEEN, absent, ask, grounded

# name, kind, number of the seed: chosen by eye among scenes that neither training nor an evaluation draws
EXAMPLES = (("things", "classes", 34), ("sentence", "sentence", 27), ("relation", "relation", 17))
SIDE = (384, 320)


def example(kind, number):
    """A question as test_set.py's, of a seed that begins with "example"."""
    rng = random.Random("example %s %d" % (kind, number))
    width, height = SIDE
    if kind == "classes":
        s = scene(rng, width, height, count=9)
        present = sorted({o.phrase for o in s.objects}, key=lambda p: p.text)
        names = present + absent(rng, s, SEEN, 3)
        rng.shuffle(names)
        return ask(s, names)
    if kind == "sentence":
        s = scene(rng, width, height, count=6)
        return grounded(s, sentence(rng, s.objects))
    found = None
    while not found:
        found = relation_scene(rng, width, height, rng.choice(RELATIONS))
    s, told = found
    return grounded(s, relation_sentence(rng, s.objects, told))


def text(question, kind):
    if kind == "classes":
        lines = ["classes: " + ", ".join(label for label, _ in question.truth)]
    else:
        lines = ["caption: " + question.caption.text]
    for label, boxes in question.truth:
        lines += ["box: %s %d %d %d %d" % (label, *box) for box in boxes]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    a = p.parse_args()
    for name, kind, number in EXAMPLES:
        q = example(kind, number)
        Image.fromarray(q.image).save(os.path.join(a.folder, name + ".png"), optimize=True)
        with open(os.path.join(a.folder, name + ".txt"), "w") as f:
            f.write(text(q, kind))


if __name__ == "__main__":
    main()
