#!/usr/bin/env python3
"""Packs the averaged perceptron tagger (JSON lines) into the binary file that weights/TAGGER.md describes.

usage: make_tagger.py perceptron-tagger.jsonl weights/tagger.bin
"""
import json
import struct
import sys

CONTEXT_TAGS = ["-START-", "-START2-"]
BLOCK = 32  # features per entry of the row index
# Name in the source, tags and words that follow it. The order gives the template's number.
TEMPLATES = [
    ("bias", 0, 0), ("i suffix", 0, 1), ("i pref1", 0, 1), ("i-1 tag", 1, 0), ("i-2 tag", 1, 0),
    ("i tag+i-2 tag", 2, 0), ("i word", 0, 1), ("i-1 tag+i word", 1, 1), ("i-1 word", 0, 1), ("i-1 suffix", 0, 1),
    ("i-2 word", 0, 1), ("i+1 word", 0, 1), ("i+1 suffix", 0, 1), ("i+2 word", 0, 1),
]


def split_feature(name):
    """Template number, tags, word (or None)."""
    matches = [k for k, t in enumerate(TEMPLATES) if name == t[0] or name.startswith(t[0] + " ")]
    template = max(matches, key=lambda k: len(TEMPLATES[k][0]))
    title, tags, words = TEMPLATES[template]
    parts = name[len(title) + 1:].split(" ", tags) if tags else [name[len(title) + 1:]]
    if len(parts) < tags + words or (not words and len(parts) > max(tags, 1)):
        raise ValueError(f"cannot read the feature {name!r}")
    return template, parts[:tags], parts[tags] if words else None


def main(source, target):
    with open(source, encoding="utf-8", newline="\n") as lines:
        classes = sorted(json.loads(next(lines))["classes"])
        tagdict = json.loads(next(lines))["tagdict"]
        features = [json.loads(line) for line in lines]
    features = [(split_feature(name), weights) for name, weights in features if weights]
    tags = classes + CONTEXT_TAGS
    words = sorted({f[2] for f, _ in features if f[2] is not None} | set(tagdict), key=lambda w: w.encode())
    assert len(words) < 1 << 16 and len(tags) < 1 << 6
    tag_number = {t: i for i, t in enumerate(tags)}
    word_number = {w: i for i, w in enumerate(words)}

    rows = []
    for (template, feature_tags, word), weights in features:
        key = template << 28
        if len(feature_tags) > 0:
            key |= tag_number[feature_tags[0]] << 16
        if len(feature_tags) > 1:
            key |= tag_number[feature_tags[1]] << 22
        if word is not None:
            key |= word_number[word]
        row = b""
        for tag, weight in sorted(weights.items()):
            scaled = round(weight * 1000)
            assert scaled / 1000 == weight and abs(scaled) < 1 << 17 and tag_number[tag] < len(classes)
            row += struct.pack("<I", tag_number[tag] << 18 | scaled & 0x3FFFF)[:3]
        rows.append((key, row))
    rows.sort()
    assert len({key for key, _ in rows}) == len(rows) and all(len(row) // 3 < 256 for _, row in rows)

    def strings(items):
        offsets, text = [], b""
        for item in items:
            offsets.append(len(text))
            text += item.encode() + b"\0"
        return struct.pack(f"<{len(offsets)}I", *offsets), text

    index, total = [], 0
    for i, (_, row) in enumerate(rows):
        if i % BLOCK == 0:
            index.append(total)
        total += len(row) // 3
    tag_offsets, tag_text = strings(tags)
    word_offsets, word_text = strings(words)
    known = sorted((word_number[w], tag_number[t]) for w, t in tagdict.items())
    header = struct.pack("<8s9I", b"GLIPTAG1", len(classes), len(tags), len(tag_text), len(words), len(word_text),
                         len(known), len(rows), total, 0)
    with open(target, "wb") as out:
        out.write(header + tag_offsets + word_offsets + struct.pack(f"<{len(index)}I", *index))
        out.write(struct.pack(f"<{len(rows)}I", *(key for key, _ in rows)))
        out.write(b"".join(struct.pack("<HB", w, t) for w, t in known))
        out.write(bytes(len(row) // 3 for _, row in rows))
        out.write(b"".join(row for _, row in rows) + tag_text + word_text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
