"""Measures a model on held-out scenes: average precision, zero-shot compositions, phrase grounding, silence.

    evaluate.py --program ../../build/glip --model MODEL.gguf --report FILE      by the C program
    evaluate.py --checkpoint CHECKPOINT.pth [--scenes 100]                      by the PyTorch model

The program is asked through `glip ground --json`, one run a caption, each scene at its own size. Boxes count their last
pixel (a width is x2 - x1 + 1). AP is COCO's: per class over the scenes where it was asked, interpolated at 101 recalls,
averaged over the classes that occur. R@1: the phrase's best box overlaps one of its objects by 0.5.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

THRESHOLDS = np.arange(0.5, 0.96, 0.05)
RECALLS = np.linspace(0, 1, 101)
BARS = (("AP@0.5, seen", "seen.ap50", ">=", 0.95), ("AP@[.5:.95], seen", "seen.ap", ">=", 0.75),
        ("AP@0.5, held-out compositions", "held_out.ap50", ">=", 0.85),
        ("R@1, sentences without relations", "sentence.r1", ">=", 0.92), ("R@1, a relation decides", "relation.r1", ">=", 0.70),
        ("boxes over 0.5 a scene, absent names", "nothing.boxes", "<=", 0.1),
        ("AP@0.5, 40 names against lists of 10, difference", "long_list.difference", "<=", 0.02),
        ("file, MB", "file.megabytes", "<=", 6), ("a 320-pixel scene, one thread, float32, ms", "speed.milliseconds", "<=", 150))


# ------------------------------------------------------------------------------------------ metrics

def iou(a, b):
    """(n, 4), (m, 4) -> (n, m), last pixels inside"""
    a, b = np.asarray(a, float).reshape(-1, 4), np.asarray(b, float).reshape(-1, 4)
    wh = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]) + 1
    both = wh.clip(0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2] + 1).prod(1), (b[:, 2:] - b[:, :2] + 1).prod(1)
    return both / (area_a[:, None] + area_b[None] - both)


def match(boxes, truth, thresholds=THRESHOLDS):
    """Which of the boxes, best first, hit a truth box that no better one hit: (thresholds, boxes) bool."""
    overlaps = iou(boxes, truth)
    hit = np.zeros((len(thresholds), len(boxes)), bool)
    for t, threshold in enumerate(thresholds):
        free = np.ones(len(truth), bool)
        for i in range(len(boxes)):
            o = np.where(free, overlaps[i], -1)
            if len(truth) and o.max() >= threshold - 1e-9:
                free[o.argmax()] = False
                hit[t, i] = True
    return hit


def average_precision(scores, hits, total):
    """AP of one class at one threshold: scores (K,), hits (K,) bool, number of truth boxes."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    true = np.cumsum(np.asarray(hits, bool)[order])
    if not len(true):
        return 0.0
    recall, precision = true / total, true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS - 1e-12)
    return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0).mean())


class Detection:
    """Collects (answers, truth) of class lists; a class is its name."""

    def __init__(self):
        self.scores, self.hits, self.total = collections.defaultdict(list), collections.defaultdict(list), collections.Counter()

    def add(self, found, truth):
        """found: [(label from 0, score, box)] best first; truth: per label (class, boxes)"""
        for label, (name, boxes) in enumerate(truth):
            mine = [d for d in found if d[0] == label]
            self.total[name] += len(boxes)
            self.scores[name] += [d[1] for d in mine]
            self.hits[name].append(match([d[2] for d in mine], boxes))

    def per_class(self):
        """{class: (AP per threshold, truth boxes)} of the classes that occur"""
        out = {}
        for name, total in self.total.items():
            if total:
                hits = np.concatenate(self.hits[name], 1)
                out[name] = ([average_precision(self.scores[name], h, total) for h in hits], total)
        return out

    def summary(self, only=None):
        """(mean AP@0.5, mean AP@[.5:.95]) over the classes, or those in `only`"""
        table = np.array([ap for name, (ap, _) in self.per_class().items() if only is None or name in only])
        return float(table[:, 0].mean()), float(table.mean())


def first_hit(found, label, boxes):
    """Whether the label's best box overlaps one of `boxes` by 0.5."""
    mine = [d for d in found if d[0] == label]
    return bool(mine) and bool(iou([mine[0][2]], boxes).max() >= 0.5)


# ------------------------------------------------------------------------------------------ engines

def parse_ground(text):
    """`glip ground --json` of one image: [(label from 0, score, box)] best first."""
    answer = json.loads(text)
    found = [(d["label"] - 1, d["score"], d["box"]) for d in answer["detections"]]
    return sorted(found, key=lambda d: -d[1])


class Program:
    """Asks the C program; a picture goes through a file."""

    def __init__(self, program, model, arguments=()):
        self.model = model
        self.command = [program, "ground", "-m", model, *arguments]
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "scene.png")
        self.image = None
        self.name = "%s, %s" % (os.path.basename(program), os.path.basename(model))

    def __call__(self, q):
        from PIL import Image
        if self.image is not q.image:
            Image.fromarray(q.image).save(self.path, compress_level=1)
            self.image = q.image
        spans = []
        for label in q.caption.labels:
            spans += ["--span", ",".join("%d:%d" % tuple(s) for s in label.spans)]
        height, width = q.image.shape[:2]
        command = self.command + [self.path, "--caption", q.caption.text, *spans, "--threshold", "0", "--short-side",
                                  str(min(width, height)), "--long-side", "0", "--threads", "1", "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(" ".join(command) + "\n" + done.stderr)
        return parse_ground(done.stdout)

    def size_and_speed(self, scenes=21):
        """The last two bars: megabytes of the file, median milliseconds of a 320-pixel scene with a list of ten."""
        import random
        from PIL import Image
        from scenes import scene
        from test_set import SEEN
        folder = os.path.join(self.folder.name, "320")
        os.makedirs(folder, exist_ok=True)
        for i in range(scenes):
            Image.fromarray(scene(random.Random("test speed %d" % i), 320, 320).image).save(os.path.join(folder, "%d.png" % i))
        names = ", ".join(p.text for p in random.Random("test speed").sample(SEEN, 10))
        done = subprocess.run(self.command + [folder, "--classes", names, "--short-side", "320", "--threads", "1", "-v"],
                              capture_output=True, text=True)
        times = [float(t) for t in re.findall(r"total ([0-9.]+) ms", done.stderr)]
        return {"file.megabytes": os.path.getsize(self.model) / 1e6, "speed.milliseconds": float(np.median(times))}


class Checkpoint:
    """Asks the PyTorch model of a checkpoint (train.py's or an exported one) or of a released file."""

    def __init__(self, path):
        import torch
        from export import load_model
        torch.set_num_threads(1)
        self.torch, self.name = torch, os.path.basename(path)
        self.model, self.encoder = load_model(path)

    def __call__(self, q):
        from boxes import detections
        from train import network_input
        height, width = q.image.shape[:2]
        rows, mask, tokens = self.encoder([q.caption])
        with self.torch.no_grad():
            out = self.model(network_input(q.image)[None], rows, mask)
        return detections(out, 0, tokens[0], width, height)


# ------------------------------------------------------------------------------------------ the report

QUESTIONS = ("seen", "held_out", "sentence", "relation", "nothing", "long_list")


def measure(engine, scenes, questions=QUESTIONS, log=lambda text: None):
    """The figures of BARS by name that the questions answer, and the class tables."""
    import test_set
    figures, tables = {}, {}

    def each(function):
        begun = time.time()
        for i in range(scenes):
            yield function(i)
        log("%-16s %d scenes, %.0f s" % (function.__name__, scenes, time.time() - begun))

    if "seen" in questions:
        d = Detection()
        for q in each(test_set.seen):
            d.add(engine(q), q.truth)
        figures["seen.ap50"], figures["seen.ap"] = d.summary()
        tables["seen"] = d.per_class()
    if "held_out" in questions:
        d = Detection()
        for q in each(test_set.held_out):
            d.add(engine(q), q.truth)
        names = {p.text for p in test_set.HELD_OUT}
        figures["held_out.ap50"], figures["held_out.ap"] = d.summary(names)
        tables["held_out"] = {k: v for k, v in d.per_class().items() if k in names}
    if "sentence" in questions:
        hits = []
        for q in each(test_set.plain_sentence):
            found = engine(q)
            hits += [first_hit(found, k, boxes) for k, (_, boxes) in enumerate(q.truth)]
        figures["sentence.r1"], figures["sentence.phrases"] = float(np.mean(hits)), len(hits)
    if "relation" in questions:
        hits = collections.defaultdict(list)
        for q in each(test_set.relation):
            hits[q.caption.relation].append(first_hit(engine(q), 0, q.truth[0][1]))
        figures["relation.r1"] = float(np.mean(sum(hits.values(), [])))
        for name, h in hits.items():
            figures["relation.r1, " + name] = float(np.mean(h))
    if "nothing" in questions:
        figures["nothing.boxes"] = sum(s > 0.5 for q in each(test_set.nothing) for _, s, _ in engine(q)) / scenes
    if "long_list" in questions:
        whole, parts = Detection(), Detection()
        for asked in each(test_set.long_list):
            whole.add(engine(asked[0]), asked[0].truth)
            for q in asked[1:]:
                parts.add(engine(q), q.truth)
        figures["long_list.ap50, 40 at once"], figures["long_list.ap50, lists of 10"] = whole.summary()[0], parts.summary()[0]
        figures["long_list.difference"] = abs(whole.summary()[0] - parts.summary()[0])
    return figures, tables


def bars_table(figures):
    lines = ["| | to reach | measured | |", "|---|---|---|---|"]
    for title, key, sign, bar in BARS:
        if key not in figures:
            continue
        value = figures[key]
        reached = value >= bar if sign == ">=" else value <= bar
        lines.append("| %s | %s %.4g | %.4g | %s |" % (title, sign, bar, value, "reached" if reached else "**missed**"))
    return "\n".join(lines)


def write_report(path, engine, scenes, figures, tables, notes):
    with open(path, "w") as f:
        f.write("# The bundled model, measured\n\n%s\n\n%d held-out scenes a line, by %s.\n\n" % (bars_table(figures), scenes, engine))
        for note in notes:
            f.write(note + "\n")
        f.write("\nScene i of question k is drawn by Python's `random.Random(\"test k i\")`, see `tools/train/test_set.py`; training's "
                "seeds begin with \"train\". All figures:\n\n")
        for key, value in figures.items():
            f.write("- %s: %.4g\n" % (key, value))
        for title, name in (("Seen classes, worst first", "seen"), ("Held-out compositions, worst first", "held_out")):
            f.write("\n## %s\n\n| class | boxes | AP@0.5 | AP@[.5:.95] |\n|---|---|---|---|\n" % title)
            for cls, (ap, total) in sorted(tables[name].items(), key=lambda x: (np.mean(x[1][0]), x[0])):
                f.write("| %s | %d | %.3f | %.3f |\n" % (cls, total, ap[0], np.mean(ap)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program")
    p.add_argument("--model")
    p.add_argument("--checkpoint")
    p.add_argument("--scenes", type=int, default=500)
    p.add_argument("--seeds", default="test", help="other scenes, for checks while training goes on")
    p.add_argument("--questions", default=",".join(QUESTIONS), help="only these, joined by commas; default %(default)s")
    p.add_argument("--report", help="Markdown file to write")
    p.add_argument("--note", action="append", default=[], help="a line for the report")
    a = p.parse_args()
    if not a.checkpoint and not (a.program and a.model):
        p.error("give --checkpoint, or --program and --model")
    engine = Checkpoint(a.checkpoint) if a.checkpoint else Program(a.program, a.model)
    import test_set
    test_set.SEEDS = a.seeds
    figures, tables = measure(engine, a.scenes, a.questions.split(","), lambda text: print(text, file=sys.stderr, flush=True))
    if isinstance(engine, Program):
        figures.update(engine.size_and_speed())
    print(bars_table(figures))
    for key, value in figures.items():
        print("%s: %.4g" % (key, value))
    if a.report:
        write_report(a.report, engine.name, a.scenes, figures, tables, a.note)


if __name__ == "__main__":
    main()
