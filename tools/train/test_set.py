"""The held-out scenes an evaluation asks about: seeds of their own, one function a question.

A question is (scene, caption, truth): truth lists, per label of the caption, its class and the boxes that answer it.
"""
import random
from dataclasses import dataclass

from scenes import (RELATIONS, SIDES, Caption, join_classes, relation_scene, relation_sentence, scene, sentence)
from world import all_classes

SEEN, HELD_OUT = all_classes(False), all_classes(True)
ABSENT_NAMES = 10
LONG, PART = 40, 10
SEEDS = "test"                        # what the scenes' seeds begin with: another word for checks while training goes on


@dataclass
class Question:
    image: object                     # (H, W, 3) uint8
    caption: Caption
    truth: list                       # per label: (class name, [boxes])


def rng_of(kind, index):
    return random.Random("%s %s %d" % (SEEDS, kind, index))


def class_scene(kind, index, held_out=0.0):
    rng = rng_of(kind, index)
    return rng, scene(rng, rng.choice(SIDES), rng.choice(SIDES), held_out=held_out, crowd=1.2)


def ask(s, phrases):
    caption = join_classes(phrases, s.objects)
    return Question(s.image, caption, [(label.text, [s.objects[i].box for i in label.objects]) for label in caption.labels])


def absent(rng, s, classes, count):
    """`count` classes of which the scene has none."""
    present = {o.phrase for o in s.objects}
    return rng.sample([c for c in classes if c not in present], count)


def seen(index):
    """Every class of the scene and as many absent ones, shuffled."""
    rng, s = class_scene("seen", index)
    present = sorted({o.phrase for o in s.objects}, key=lambda p: p.text)
    names = present + absent(rng, s, SEEN, len(present))
    rng.shuffle(names)
    return ask(s, names)


def held_out(index):
    """The same for scenes where half of the objects are compositions never trained on; half of the negatives are too."""
    rng, s = class_scene("held out", index, held_out=0.5)
    present = sorted({o.phrase for o in s.objects}, key=lambda p: p.text)
    half = min(len(present) // 2, 8)
    names = present + absent(rng, s, HELD_OUT, half) + absent(rng, s, SEEN, len(present) - half)
    rng.shuffle(names)
    return ask(s, names)


def nothing(index):
    """Absent names only, in the scenes of `seen`."""
    _, s = class_scene("seen", index)
    return ask(s, absent(rng_of("nothing", index), s, SEEN, ABSENT_NAMES))


def long_list(index):
    """Forty names at once, then the same in four lists of ten, in the scenes of `seen`."""
    _, s = class_scene("seen", index)
    rng = rng_of("long list", index)
    present = sorted({o.phrase for o in s.objects}, key=lambda p: p.text)
    names = present + absent(rng, s, SEEN, LONG - len(present))
    rng.shuffle(names)
    return [ask(s, names)] + [ask(s, names[i:i + PART]) for i in range(0, LONG, PART)]


def grounded(s, caption):
    return Question(s.image, caption, [(label.text, [s.objects[i].box for i in label.objects]) for label in caption.labels])


def plain_sentence(index):
    rng, s = class_scene("sentence", index)
    return grounded(s, sentence(rng, s.objects))


def relation(index):
    """A sentence whose first phrase fits two objects and whose relation decides between them."""
    rng = rng_of("relation", index)
    while True:
        found = relation_scene(rng, rng.choice(SIDES), rng.choice(SIDES), RELATIONS[index % len(RELATIONS)])
        if found:
            s, told = found
            return grounded(s, relation_sentence(rng, s.objects, told))
