"""Seeded scenes and captions. `scene(rng, ...)` lays objects out; `class_list` and `sentence` describe what is there.

A caption is (text, labels); a label is (phrase text, spans as character ranges, indices of the objects that own it).

    scenes.py OUT.png [--seed N]      a sheet of samples, boxes drawn
"""
import argparse
import math
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from world import COLOURS, HELD_OUT_PAIRS, PATTERN_FROM, PATTERNS, SHAPES, SIZES, THINGS, Obj, Phrase, background, draw

LEAST, MOST = 16, 160                                     # longest side of an object, pixels
SIDES = (192, 224, 256, 288, 320, 352, 384)
RELATIONS = ("left of", "right of", "above", "below", "next to")
SEEN_THINGS = [i for i, t in enumerate(THINGS) if not t.held_out and not t.extra]
COMPOSED = [i for i in SEEN_THINGS if THINGS[i].composed]
# Of training alone: persons; more colours of what the world has in some; what comes in every colour.
EXTRA = [i for i, t in enumerate(THINGS) if t.extra]
PERSONS = [i for i in EXTRA if not THINGS[i].colour]
COLOURED = [i for i in EXTRA if THINGS[i].colour]
MORE_COLOURS = [i for i in COLOURED if any(THINGS[i].parts[1] in THINGS[c].parts for c in COMPOSED)]
# Per thing with a composed name and part of it, the others with that part: other colours of it and other things of its colour, or
# woman and man and other professions.
RELATIVES = {i: [others for part in THINGS[i].parts if (others := [k for k in COMPOSED + EXTRA if k != i and part in THINGS[k].parts])]
             for i in COMPOSED + EXTRA}
# Shapes that composed worst with colours they were not seen in.
HARD_SHAPES = ("crescent", "arrow", "bowtie", "oval", "frame")


@dataclass
class Scene:
    image: np.ndarray                                     # (H, W, 3) uint8
    objects: list = field(default_factory=list)


@dataclass
class Label:
    text: str
    spans: list                                           # [[begin, end)] in the caption, code points
    objects: list                                         # indices into Scene.objects


@dataclass
class Caption:
    text: str
    labels: list
    relation: str = ""                                    # set where it decides the first label
    rivals: list = field(default_factory=list)            # (label, its object, the alike one it is not), per deciding relation


# ---------------------------------------------------------------------------------------- objects

def random_object(rng, held_out=False, things=0.55, composed=0.08, extra=0.0):
    """An object without a place: a thing with one probability, one whose name composes with another. Held-out ones and, with
    probability `extra`, what is of training alone are drawn only on request."""
    if extra and rng.random() < extra:
        return extra_object(rng)
    if rng.random() < things:
        if held_out:
            return Obj(thing=rng.choice([i for i, t in enumerate(THINGS) if t.held_out]))
        return Obj(thing=rng.choice(COMPOSED if rng.random() < composed else SEEN_THINGS))
    if held_out:
        colour, shape = rng.choice(sorted(HELD_OUT_PAIRS))
    else:
        colour, shape = random_pair(rng)
    return Obj(shape=shape, colour=colour, pattern=rng.choice(PATTERNS))


def extra_object(rng):
    kind = rng.random()
    if kind < 0.15:
        colour, shape = random_pair(rng, shape=rng.choice(HARD_SHAPES))
        return Obj(shape=shape, colour=colour, pattern=rng.choice(PATTERNS))
    return Obj(thing=rng.choice(PERSONS if kind < 0.4 else MORE_COLOURS if kind < 0.55 else COLOURED))


def random_pair(rng, colour=None, shape=None):
    """A colour and a shape seen in training, one of them given or neither."""
    while True:
        pair = (colour or rng.choice(list(COLOURS)), shape or rng.choice(SHAPES))
        if pair not in HELD_OUT_PAIRS:
            return pair


def random_side(rng, o, most):
    least = THINGS[o.thing].least if o.thing is not None else LEAST
    return math.exp(rng.uniform(math.log(least), math.log(max(least + 1, most))))


def overlap(a, b):
    """Intersection over the smaller box."""
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / min((a[2] - a[0] + 1) * (a[3] - a[1] + 1), (b[2] - b[0] + 1) * (b[3] - b[1] + 1))


class Canvas:
    """A scene being painted."""

    def __init__(self, width, height, rng):
        self.rng, self.pixels, self.objects = rng, background(width, height, rng), []
        self.width, self.height = width, height

    def place(self, o, longest, where=None, overlapping=0.22, tries=12):
        """Paints o at a free place that `where(box)` accepts; False when none was found."""
        if o.shape and longest < PATTERN_FROM:
            o.pattern = "plain"
        rgb, a = draw(o, longest, self.rng)
        h, w = a.shape[:2]
        if w >= self.width or h >= self.height or max(w, h) > MOST:
            return False
        for _ in range(tries):
            x, y = self.rng.randint(0, self.width - w), self.rng.randint(0, self.height - h)
            box = (x, y, x + w - 1, y + h - 1)
            if where is not None and not where(box):
                continue
            if any(overlap(box, other.box) > overlapping for other in self.objects):
                continue
            view = self.pixels[y:y + h, x:x + w]
            if o.shape or THINGS[o.thing].colour:         # a white ring on snow helps nobody
                behind = view.reshape(-1, 3).mean(0)
                if np.abs(behind - rgb.sum((0, 1)) / a.sum()).max() < 45:
                    continue
            view *= 1 - a
            view += rgb
            o.box = box
            self.objects.append(o)
            return True
        return False

    def done(self):
        return Scene(self.pixels.clip(0, 255).astype(np.uint8), self.objects)


def scene(rng, width, height, count=None, held_out=0.0, crowd=1.0, things=0.55, composed=0.08, extra=0.0):
    """A scene of `count` objects (drawn from 1..12 if None), each held out, a thing, of a composed name and of training alone with
    these probabilities."""
    c = Canvas(width, height, rng)
    n = count or max(1, min(12, round(rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12)) * crowd)))
    most = min(MOST, 0.8 * min(width, height), 1.15 * math.sqrt(width * height / n))
    for _ in range(n):
        if c.objects and rng.random() < 0.12:             # twins make plurals
            like = rng.choice(c.objects)
            o = Obj(like.thing, like.shape, like.colour, like.pattern)
        else:
            o = random_object(rng, rng.random() < held_out, things, composed, extra)
        c.place(o, random_side(rng, o, most))
    while not c.objects:
        o = random_object(rng)
        c.place(o, random_side(rng, o, most))
    return c.done()


# ---------------------------------------------------------------------------------------- relations

def holds(relation, box, anchor):
    """Whether an object at `box` is `relation` the one at `anchor`, clearly."""
    cx, cy = (box[0] + box[2] - anchor[0] - anchor[2]) / 2, (box[1] + box[3] - anchor[1] - anchor[3]) / 2
    if relation == "next to":
        return gap(box, anchor) <= 12
    d, across = {"left of": (-cx, cy), "right of": (cx, cy), "above": (-cy, cx), "below": (cy, cx)}[relation]
    return d > 1.5 * abs(across)


def gap(a, b):
    """Pixels between two boxes."""
    dx = max(a[0] - b[2], b[0] - a[2], 0)
    dy = max(a[1] - b[3], b[1] - a[3], 0)
    return math.hypot(dx, dy)


def relation_scene(rng, width, height, relation=None, pairs=1):
    """A scene where pairs of alike objects are told apart by a relation to another object, the scene's first.

    -> (scene, [(relation, index of the one it holds for, index of the other)]), or None. Later pairs may not find room.
    """
    relation = relation or rng.choice(RELATIONS)
    c = Canvas(width, height, rng)
    anchor, like = random_object(rng), random_object(rng)
    most = 0.34 * min(width, height)
    if like.phrase == anchor.phrase or not c.place(anchor, random_side(rng, anchor, most)):
        return None
    told = []
    if not place_pair(rng, c, like, relation, most):
        return None
    told.append((relation, 1, 2))
    for _ in range(pairs - 1):
        like, relation = random_object(rng), rng.choice(RELATIONS)
        kept = len(c.objects)
        if like.phrase not in [o.phrase for o in c.objects] and place_pair(rng, c, like, relation, 0.8 * most):
            told.append((relation, kept, kept + 1))
        elif len(c.objects) > kept:
            return None                                   # one of the pair is painted without the other
    for _ in range(rng.randint(0, 4)):
        o = random_object(rng)
        if o.phrase not in [x.phrase for x in c.objects]:
            c.place(o, random_side(rng, o, most), overlapping=0.05)
    return c.done(), told


def place_pair(rng, c, like, relation, most):
    """Paints two objects like `like`, the first in the relation to c's first object, the second not."""
    anchor, first = c.objects[0], len(c.objects)
    side = random_side(rng, like, most)

    def twin():
        return Obj(like.thing, like.shape, like.colour, like.pattern)

    def true(box):
        return holds(relation, box, anchor.box) and gap(box, anchor.box) <= 60

    def false(box):
        if relation == "next to":
            return gap(box, anchor.box) >= 48
        return any(holds(r, box, anchor.box) for r in RELATIONS[:4] if r != relation) and gap(box, anchor.box) <= 90
    if not c.place(twin(), side, true, 0.0, 80) or not c.place(twin(), side * rng.uniform(0.85, 1.15), false, 0.0, 80):
        return False
    a, b = c.objects[first:]
    return (a.size, a.pattern) == (b.size, b.pattern)


# ---------------------------------------------------------------------------------------- captions

def describe(rng, o, detail=None):
    """A phrase that o matches."""
    if o.thing is not None:
        names = THINGS[o.thing].names
        return Phrase(thing=o.thing, name=0 if rng.random() < 0.6 else rng.randrange(len(names)))
    r = rng.random() if detail is None else detail
    size = o.size if r > 0.7 and rng.random() < 0.6 else None
    pattern = o.pattern if r > 0.7 and rng.random() < 0.6 and o.side >= PATTERN_FROM else None
    colour = o.colour if r > 0.12 else None
    return Phrase(shape=o.shape, colour=colour, size=size, pattern=pattern)


def describe_loosely(rng, o):
    """describe(), now and then by the colour alone ("red shape") or another part of a composed name: of lists, so that the parts
    are learned apart."""
    if o.shape and rng.random() < 0.2:
        return Phrase(colour=o.colour)
    if o.thing is not None and THINGS[o.thing].composed and rng.random() < 0.4:
        return Phrase(part=rng.choice([p for p in THINGS[o.thing].parts if p not in COLOURS]))
    return describe(rng, o)


def negative(rng, present, confused=None):
    """A phrase of training's world, near one of `present` half of the time, or what the model takes one of them for.

    confused: {class as a phrase: classes}, or None.
    """
    if confused and present and rng.random() < 0.4:
        p = rng.choice(confused.get(rng.choice(present), (None,)))
        if p:
            return describe(rng, Obj(thing=p.thing)) if p.thing is not None else p
    if present and rng.random() < 0.5:
        p = rng.choice(present)
        if p.thing is None:
            which = rng.random()
            if p.colour and which < 0.42:
                return Phrase(shape=p.shape, colour=random_pair(rng, shape=p.shape)[0], size=p.size, pattern=p.pattern)
            if which < 0.8:
                colour, shape = random_pair(rng, colour=p.colour) if p.colour else (None, rng.choice(SHAPES))
                return Phrase(shape=shape, colour=colour, size=p.size, pattern=p.pattern)
            if which < 0.9 and p.size:
                return Phrase(shape=p.shape, colour=p.colour, size=SIZES[p.size == "small"], pattern=p.pattern)
            return Phrase(shape=p.shape, colour=p.colour, size=p.size, pattern=rng.choice(PATTERNS))
        if THINGS[p.thing].composed:
            return describe_loosely(rng, Obj(thing=rng.choice(rng.choice(RELATIVES[p.thing]))))
    if rng.random() < 0.6:
        return describe(rng, Obj(thing=rng.choice(EXTRA if rng.random() < 0.2 else SEEN_THINGS)))
    colour, shape = random_pair(rng)
    if rng.random() < 0.1:
        return Phrase(colour=colour)
    return Phrase(shape=shape, colour=colour if rng.random() < 0.9 else None,
                  size=rng.choice(SIZES) if rng.random() < 0.15 else None,
                  pattern=rng.choice(PATTERNS) if rng.random() < 0.15 else None)


def join_classes(phrases, objects):
    """The caption of a class list: names joined by ". "."""
    text, labels = "", []
    for p in phrases:
        text += ". " if text else ""
        labels.append(Label(p.text, [[len(text), len(text) + len(p.text)]],
                            [i for i, o in enumerate(objects) if p.matches(o)]))
        text += p.text
    return Caption(text, labels)


def class_list(rng, objects, least=4, most=16, confused=None):
    """Positives and negatives, shuffled; now and then few positives or none."""
    total = rng.randint(least, most)
    share = rng.choice((0, 0, 0.2, 0.4, 0.6, 0.75))
    chosen, meanings = [], set()

    def add(p):
        if p.meaning not in meanings:
            meanings.add(p.meaning)
            chosen.append(p)
    if share:
        for o in rng.sample(objects, len(objects)):
            if len(chosen) < max(1, total * share):
                add(describe_loosely(rng, o))
    present = [o.phrase for o in objects if not o.phrase.held_out]
    for _ in range(4 * total):
        if len(chosen) >= total:
            break
        p = negative(rng, present, confused)
        if not any(p.matches(o) for o in objects):
            add(p)
    rng.shuffle(chosen)
    return join_classes(chosen, objects)


NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
OPENINGS = ("", "", "there is ", "a picture of ", "i see ", "a scene with ", "we can see ")


def noun(rng, p, owners, article=None):
    """The phrase as a sentence says it: "a large star", "two blue rings", "the guitar"."""
    if len(owners) > 1 and p.plural:
        return "%s %s" % (NUMBERS.get(len(owners), "many"), p.plural)
    article = article or rng.choice(("a", "a", "the"))
    if article == "a" and p.text[0] in "aeiou":
        article = "an"
    return "%s %s" % (article, p.text)


def sentence(rng, objects):
    """One to four phrases of what is there, joined by words that decide nothing."""
    chosen, taken = [], set()
    for o in rng.sample(objects, len(objects)):
        p = describe(rng, o)
        owners = [i for i, x in enumerate(objects) if p.matches(x)]
        if taken.isdisjoint(owners) and len(chosen) < 4:
            taken.update(owners)
            chosen.append((p, owners))
    chosen = chosen[:rng.choice((1, 2, 2, 3, 3, 4))]
    text, labels = rng.choice(OPENINGS), []
    for i, (p, owners) in enumerate(chosen):
        if i:
            last = i == len(chosen) - 1
            text += rng.choice((" and ", " with ", " and ") if last else (", ", ", ", " with ", " and "))
        s = noun(rng, p, owners)
        labels.append(Label(s, [[len(text), len(text) + len(s)]], owners))
        text += s
    return Caption(text + rng.choice(("", ".")), labels)


def relation_sentence(rng, objects, told):
    """"the red ring left of the pizza", for each of `told`, a relation_scene's;"""
    text, labels, rivals = "", [], []
    for relation, index, other in told:
        a = describe(rng, objects[index])
        a = Phrase(thing=a.thing, name=a.name, shape=a.shape, colour=a.colour)
        if sum(a.matches(o) for o in objects) > 2:        # "the ring" where a ring of another colour is
            a = objects[index].phrase
        b = describe(rng, objects[0])
        text += rng.choice((". ", " and ", ", ")) if text else ""
        first, second = "the " + a.text, "the " + b.text
        rivals.append((len(labels), index, other))
        labels.append(Label(first, [[len(text), len(text) + len(first)]], [index]))
        text += first + " %s%s " % (rng.choice(("", "that is ")), relation)
        owners = [i for i, o in enumerate(objects) if b.matches(o)]
        labels.append(Label(second, [[len(text), len(text) + len(second)]], owners))
        text += second
    return Caption(text, labels, told[0][0], rivals)


def retold(rng, objects, told):
    """The same pairs, some told from the other one's side, in any order: what training asks, so that a phrase means now one, now
    the other of a pair, or each of them once."""
    out = []
    for relation, a, b in told:
        others = [r for r in RELATIONS if holds(r, objects[b].box, objects[0].box) and not holds(r, objects[a].box, objects[0].box)]
        if r := rng.choice(others) if others else None:
            which = rng.random()
            out += [(relation, a, b)] if which < 0.45 else [(r, b, a)] if which < 0.9 else [(relation, a, b), (r, b, a)]
        else:
            out.append((relation, a, b))
    rng.shuffle(out)
    return out


# ---------------------------------------------------------------------------------------- samples

def training_sample(rng, width, height, sentences=0.2, relations=0.1, long_lists=0.15, crowd=1.0, confused=None):
    """(scene, caption) as training sees them."""
    r = rng.random()
    if r < relations:
        found = relation_scene(rng, width, height, pairs=2 if rng.random() < 0.15 else 1)
        if found:
            s, told = found
            return s, relation_sentence(rng, s.objects, retold(rng, s.objects, told))
    s = scene(rng, width, height, crowd=crowd, composed=0.3, extra=0.35)
    if r < relations + sentences:
        return s, sentence(rng, s.objects)
    if rng.random() < long_lists:
        return s, class_list(rng, s.objects, 13, 40, confused)
    return s, class_list(rng, s.objects, confused=confused)


def sheet(samples, columns=4):
    """One picture of many samples with their boxes and captions."""
    tiles = []
    for s, caption in samples:
        im = Image.new("RGB", (400, 440), (255, 255, 255))
        im.paste(Image.fromarray(s.image), (8, 8))
        d = ImageDraw.Draw(im)
        for label in caption.labels:
            for i in label.objects:
                x1, y1, x2, y2 = s.objects[i].box
                d.rectangle([x1 + 8, y1 + 8, x2 + 8, y2 + 8], outline=(255, 0, 0))
                d.text((x1 + 9, y1 - 2), label.text, fill=(255, 0, 0))
        t = caption.text
        for line in range(3):
            d.text((8, 398 + 13 * line), t[line * 64:line * 64 + 64], fill=(0, 0, 0))
        tiles.append(im)
    rows = (len(tiles) + columns - 1) // columns
    out = Image.new("RGB", (columns * 400, rows * 440), (255, 255, 255))
    for i, im in enumerate(tiles):
        out.paste(im, (i % columns * 400, i // columns * 440))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    sheet([training_sample(rng, rng.choice(SIDES), rng.choice(SIDES), 0.25, 0.25) for _ in range(12)]).save(a.out)


if __name__ == "__main__":
    main()
