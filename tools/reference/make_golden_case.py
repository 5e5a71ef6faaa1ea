#!/usr/bin/env python3
"""One forward pass of a small model on a photo of the repository, for tests/golden/test_cases.c: tests/data/cases/photo.

The model is tools/train/model.py in double precision, the weights are those of the rule (tests/support/rule_weights.h). A
tensor of over 4096 elements is stored as samples at the flat indices k * n / 4096.

    make_golden_case.py REFERENCE          needs python3-torch, Pillow, and the folder that holds weights.py
"""
import json
import os
import sys

import numpy as np
import torch
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "train"))
import boxes                                                                   # noqa: E402
import deform                                                                  # noqa: E402
from test_model import activations, load                                       # noqa: E402

deform.KERNEL = None                                                           # the compiled one knows float32 alone

IMAGE = "examples/photos/chelsea.png"
SHORT, LONG = 112, 150
VARIANT, SEED = "mini-t", 7
CAPTION = "a brown cat with green eyes. the nose of the cat"
LABELS = [[(0, 11), (40, 47)], [(17, 27)], [(29, 37)]]                         # spans in characters
MEAN, STD = (103.530, 116.280, 123.675), (57.375, 57.120, 58.395)


def network_size(width, height):
    short, long = min(width, height), max(width, height)
    size = SHORT
    if long / short * size > LONG:
        size = int(round(LONG * short / long))
    other = int(size * long / short)
    return (size, other) if width < height else (other, size)


def tokenize(text):
    """Words that the vocabulary holds whole, and full stops."""
    vocabulary = {line.rstrip("\n"): i for i, line in enumerate(open(os.path.join(ROOT, "weights/bert-base-uncased-vocab.txt")))}
    ids, at, begin = [vocabulary["[CLS]"]], [None], 0
    for word in text.replace(".", " .").split():
        begin = text.index(word, begin)
        ids.append(vocabulary[word])
        at.append((begin, begin + len(word)))
        begin += len(word)
    return ids + [vocabulary["[SEP]"]], at + [None]


def main():
    photo = Image.open(os.path.join(ROOT, IMAGE)).convert("RGB")
    width, height = network_size(*photo.size)
    pixels = np.asarray(photo.resize((width, height), Image.BILINEAR))[:, :, ::-1]
    padded = (-(-height // 32) * 32, -(-width // 32) * 32)
    image = np.zeros((1, 3, *padded))
    image[0, :, :height, :width] = ((pixels - np.array(MEAN)) / np.array(STD)).transpose(2, 0, 1)
    ids, at = tokenize(CAPTION)
    tokens = [[t for t, span in enumerate(at) if span and any(b <= span[0] < e for b, e in spans)] for spans in LABELS]

    model = load(sys.argv[1], VARIANT, SEED).double()
    x, words = torch.from_numpy(image), torch.tensor([ids])
    got = {"input": x, **activations(model, x, words, True)}
    with torch.no_grad():
        out = model(x, words, torch.ones_like(words, dtype=torch.bool))
    folder = os.path.join(ROOT, "tests/data/cases/photo")
    os.makedirs(folder, exist_ok=True)
    shapes = {}
    for name, value in got.items():
        if ".bert.p" in name or ".dyconv.lang" in name:                        # what the layer hands through
            continue
        value = value.contiguous().numpy()
        if name.startswith("bert.") or name.endswith(".lang"):
            value = np.pad(value, ((0, 0), (0, 256 - value.shape[1]), (0, 0)))
        elif "dot_logits" in name:
            value = np.pad(value, ((0, 0), (0, 0), (0, 256 - value.shape[2])))
        shapes[name] = list(value.shape)
        flat = value.reshape(-1)
        if flat.size > 4096:
            value = flat[np.arange(4096) * flat.size // 4096]
        np.save(os.path.join(folder, name + ".npy"), value.astype(np.float32))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"name": "photo", "variant": VARIANT, "seed": SEED, "image": IMAGE, "short_side": SHORT,
                   "longest_side": LONG, "network_size": [width, height], "padded_size": [padded[1], padded[0]],
                   "caption": CAPTION, "tokens_positive": LABELS, "token_ids": ids, "full": False,
                   "tensors": shapes}, f)
        f.write("\n")
    sx, sy = photo.size[0] / width, photo.size[1] / height
    found = boxes.detections(out, 0, tokens, width, height)
    with open(os.path.join(folder, "detections.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(
            {"label": label + 1, "score": round(score, 6),
             "box_image": [round(v * s, 3) for v, s in zip(box, (sx, sy, sx, sy))]}) for label, score, box in found) + "\n]\n")
    print(len(found), "detections,", len(shapes), "tensors, network", width, "x", height)


if __name__ == "__main__":
    main()
