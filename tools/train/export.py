"""Writes a training checkpoint as an official one: full vocabulary, names with "module.", values rounded to bfloat16.

    export.py RUN_DIR/checkpoint.pth OUT.pth [--weights average|model] [--start MODEL.gguf]

What is evaluated is what is shipped: the rounding here loses nothing when the converter stores bfloat16. With --start the weights are
the mean of the run's and those of the released model that it started from: near enough for that, and steadier than either.
"""
import argparse
import collections
import copy

import torch

import released
from model import Config, Glip
from text import VOCAB, Encoder
from train import MODEL

WORDS = "language_backbone.body.model.embeddings.word_embeddings.weight"
POSITIONS = "language_backbone.body.model.embeddings.position_embeddings.weight"


def load_model(path, vocab=VOCAB, weights="average"):
    """A model with the compact vocabulary and its encoder, from train.py's checkpoint, an exported one or a released file."""
    encoder = Encoder(vocab)
    model = Glip(Config(vocab=len(encoder.vocabulary), **MODEL)).eval()
    if path.endswith(".gguf"):
        released.load(model, path, encoder.vocabulary)
        return model, encoder
    c = torch.load(path, map_location="cpu")
    if "average" in c:
        state = c[weights]
    else:
        state = {k[len("module."):]: v for k, v in c["model"].items() if "anchor_generator" not in k}
        state[WORDS] = encoder.vocabulary.compact(state[WORDS])
    model.load_state_dict(state)
    return model, encoder


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("out")
    p.add_argument("--weights", choices=("average", "model"), default="average")
    p.add_argument("--start", metavar="MODEL.gguf")
    p.add_argument("--vocab", default=VOCAB)
    a = p.parse_args()
    model, encoder = load_model(a.checkpoint, a.vocab, a.weights)
    start = copy.deepcopy(model)
    if a.start:
        released.load(start, a.start, encoder.vocabulary)       # words that the run added stay the run's
    begun = start.state_dict()
    out = collections.OrderedDict()
    for name, x in model.state_dict().items():
        if x.is_floating_point():
            x = ((x + begun[name]) / 2).bfloat16().float()
        if name == POSITIONS:
            x[256:] = 0                       # a caption has 256 tokens at most
        if name == WORDS:
            x = encoder.vocabulary.expand(x)
        out["module." + name] = x.clone()
    torch.save({"model": out}, a.out)
    distinct = sum(p.numel() for p in model.parameters())
    print("%d distinct values, %.2f MB as bfloat16" % (distinct, distinct * 2 / 1e6))


if __name__ == "__main__":
    main()
