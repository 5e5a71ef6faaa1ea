"""Captions to tokens: WordPiece for the world's plain English, positive maps, and the compact vocabulary of training.

Training holds rows only for the words the world uses; every other id shares row 0. `expand` turns the compact table
into the full one of an official checkpoint.
"""
import os
import re

import torch

from world import COLOURS, PATTERNS, SHAPES, SIZES, THINGS

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = os.path.join(HERE, "../../weights/bert-base-uncased-vocab.txt")
CLS, SEP, UNK, PAD = 101, 102, 100, 0
MOST_TOKENS = 256
# Every word a caption may hold beside names; scenes.py writes its sentences from these.
SENTENCE_WORDS = """a an the and with two three four five many of there is are i we you can see here picture scene image photo that
to left right above below next in on at under near beside behind over side , . : ; ! ? - ' no not some one six object thing shape""".split()


class WordPiece:
    """Longest-match pieces of lower-cased text without accents (the C library does the rest of Unicode)."""

    def __init__(self, path=VOCAB):
        with open(path, encoding="utf-8") as f:
            self.ids = {line.rstrip("\n"): i for i, line in enumerate(f)}

    def pieces(self, word):
        out, b = [], 0
        while b < len(word):
            for e in range(len(word), b, -1):
                piece = ("##" if b else "") + word[b:e]
                if piece in self.ids:
                    out.append((self.ids[piece], b, e))
                    break
            else:
                return [(UNK, 0, len(word))]
            b = e
        return out

    def __call__(self, text):
        """-> ids with [CLS] and [SEP], and each token's character range ((0, 0) for the two)"""
        ids, ranges = [CLS], [(0, 0)]
        for m in re.finditer(r"[a-z0-9]+|[^a-z0-9\s]", text.lower()):
            for i, b, e in self.pieces(m.group()):
                ids.append(i)
                ranges.append((m.start() + b, m.start() + e))
        ids, ranges = ids[:MOST_TOKENS - 1], ranges[:MOST_TOKENS - 1]
        return ids + [SEP], ranges + [(0, 0)]


def positive_tokens(ranges, spans):
    """Indices of the tokens a label's spans cover."""
    return [t for t, (b, e) in enumerate(ranges) if any(b < se and e > sb for sb, se in spans)]


class Vocabulary:
    """Official ids <-> rows of the compact table."""

    def __init__(self, wordpiece):
        words = set(SENTENCE_WORDS) | set(COLOURS) | set(SHAPES) | set(PATTERNS) | set(SIZES)
        words |= {s + "s" for s in SHAPES} | {"crosses", "gray"}
        words |= {n for t in THINGS for n in t.names}
        ids = {CLS, SEP}
        for w in words:
            ids.update(wordpiece(w)[0])
        self.official = sorted(ids)
        self.row = {i: r + 1 for r, i in enumerate(self.official)}

    def __len__(self):
        return len(self.official) + 1

    def rows(self, ids):
        return [self.row.get(i, 0) for i in ids]

    def expand(self, table, vocab=30522):
        """(rows, hidden) -> (vocab, hidden)"""
        full = table[0:1].repeat(vocab, 1)
        full[torch.tensor(self.official)] = table[1:]
        return full

    def compact(self, full):
        """The inverse of expand."""
        rest = next(i for i in range(len(full)) if i not in self.row)
        return full[torch.tensor([rest] + self.official)].clone()


class Encoder:
    """Captions of a batch to the tensors the model and the loss read."""

    def __init__(self, path=VOCAB):
        self.wordpiece = WordPiece(path)
        self.vocabulary = Vocabulary(self.wordpiece)

    def __call__(self, captions):
        """-> rows (B, T) of the compact table, mask (B, T), tokens of each label per caption"""
        encoded = [self.wordpiece(c.text) for c in captions]
        T = max(len(ids) for ids, _ in encoded)
        rows = torch.zeros(len(captions), T, dtype=torch.long)
        mask = torch.zeros(len(captions), T, dtype=torch.bool)
        tokens = []
        for i, ((ids, ranges), c) in enumerate(zip(encoded, captions)):
            rows[i, :len(ids)] = torch.tensor(self.vocabulary.rows(ids))
            mask[i, :len(ids)] = True
            tokens.append([positive_tokens(ranges, label.spans) for label in c.labels])
        return rows, mask, tokens
