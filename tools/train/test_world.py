"""What is held out stays out of training, and what training adds leaves the test set as it is."""
import hashlib
import random
import re
import sys

import numpy as np

import test_set
from scenes import EXTRA, RELATIVES, SEEN_THINGS, training_sample
from world import HELD_OUT_PAIRS, THINGS, TONES, glyph

HELD_OUT = [i for i, t in enumerate(THINGS) if t.held_out]
# SHA-256 of the first 40 questions of each kind: pixels, captions, spans, boxes. With Debian 12's font, Pillow and NumPy; others may
# draw a pixel differently.
DIGESTS = {"seen": "06b2efaf5f8da5d2", "held_out": "99472e463cc09c8e", "nothing": "988ecc7907820272", "long_list": "2e1b73ce872e0981",
           "plain_sentence": "8c667d4206d0b759", "relation": "0de6d68b52ee47cf"}


def test_set_is_what_it_was():
    assert test_set.SEEDS == "test"
    for kind, wanted in DIGESTS.items():
        digest = hashlib.sha256()
        for i in range(40):
            asked = getattr(test_set, kind)(i)
            for q in asked if isinstance(asked, list) else [asked]:
                digest.update(q.image.tobytes())
                digest.update(repr((q.caption.text, [label.spans for label in q.caption.labels], q.truth)).encode())
        assert digest.hexdigest().startswith(wanted), (kind, digest.hexdigest())


def test_extra_things_are_no_others():
    names = {n for t in THINGS if not t.extra for n in t.names}
    glyphs = {t.glyph for t in THINGS if not t.extra}
    for t in (THINGS[i] for i in EXTRA):
        assert not t.held_out and names.isdisjoint(t.names) and len(t.parts) == 2, t
        assert t.colour or t.glyph not in glyphs, t
    assert len({THINGS[i].names[0] for i in EXTRA}) == len(EXTRA)
    assert not set(EXTRA) & set(SEEN_THINGS)
    assert not {p.thing for p in test_set.SEEN + test_set.HELD_OUT} & set(EXTRA)
    assert not {k for lists in RELATIVES.values() for others in lists for k in others} & set(HELD_OUT)


def test_extra_looks():
    """No heart or book recoloured looks like one that is held out."""
    def mean(index, tone):
        x = np.asarray(glyph(index, tone), float)
        return (x[..., :3] * x[..., 3:]).sum((0, 1)) / x[..., 3].sum()
    for h in (i for i in HELD_OUT if THINGS[i].parts[1] in ("heart", "book")):
        for i in (i for i in EXTRA if THINGS[i].parts[1] == THINGS[h].parts[1]):
            for tone in range(TONES + 1):
                assert np.abs(mean(i, tone) - mean(h, 0)).max() > 25, (THINGS[i], THINGS[h], tone, mean(i, tone), mean(h, 0))


def test_training_draws_nothing_held_out():
    words = [THINGS[i].names[0] for i in HELD_OUT] + ["%s %s" % p for p in sorted(HELD_OUT_PAIRS)]
    held_out, rng = re.compile(r"\b(%s)\b" % "|".join(words)), random.Random("train held out")
    for _ in range(150):
        s, caption = training_sample(rng, 192, 192, relations=0.2, crowd=1.6)
        assert not any(o.phrase.held_out for o in s.objects)
        assert not held_out.search(caption.text), caption.text


if __name__ == "__main__":
    tests = [f for name, f in sorted(globals().items()) if name.startswith("test_") and callable(f)]
    for f in tests:
        f()
    print("%d passed, 0 failed" % len(tests))
    sys.exit(0)
