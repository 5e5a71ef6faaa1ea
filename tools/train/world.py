"""The world the bundled model lives in: its things and shapes, how they look and what they are called.

A *thing* is an emoji glyph with one or more names; a *shape* has a kind, a colour, a size and a pattern. An `Obj` is one
of either in a scene, a `Phrase` is a description that objects match or do not.
"""
import os
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = os.path.dirname(os.path.abspath(__file__))
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"      # Debian's fonts-noto-color-emoji
GLYPH = 109                                                     # the one size of the bitmap font

COLOURS = {"red": (220, 30, 35), "orange": (246, 132, 20), "yellow": (250, 222, 45), "green": (40, 160, 60),
           "blue": (35, 85, 215), "purple": (125, 45, 170), "pink": (250, 135, 195), "brown": (118, 70, 35),
           "grey": (128, 128, 128), "black": (22, 22, 22), "white": (246, 246, 246)}
# The same colours as the font has them: what is recoloured lies somewhere between the two.
FONT_COLOURS = {"red": (244, 67, 54), "orange": (255, 152, 0), "yellow": (255, 204, 50), "green": (124, 179, 66), "blue": (33, 150, 243),
                "purple": (171, 71, 188), "pink": (244, 143, 177), "brown": (183, 109, 84), "grey": (158, 158, 158),
                "black": (66, 66, 66), "white": (250, 250, 250)}
TONES = 4                        # steps between the two
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "diamond", "crescent", "arrow", "bowtie", "frame", "oval")
PATTERNS = ("plain", "striped", "outlined")
SIZES = ("small", "large")
SMALL, LARGE = 32, 64            # longest side of the box, pixels: up to SMALL is small, from LARGE on is large
PATTERN_FROM = 28                # a pattern needs so many pixels to be seen

# Pairs no training scene shows and no training caption names.
HELD_OUT_PAIRS = {("green", "circle"), ("purple", "square"), ("orange", "triangle"), ("blue", "star"), ("pink", "ring"),
                  ("red", "cross"), ("yellow", "diamond"), ("white", "crescent"), ("brown", "arrow"), ("black", "bowtie"),
                  ("grey", "frame"), ("red", "oval")}


@dataclass(frozen=True)
class Thing:
    glyph: str
    names: tuple             # the first is the class's name
    composed: bool
    held_out: bool
    least: int               # smallest longest side, pixels
    extra: bool = False      # of training alone
    colour: Optional[str] = None         # that the glyph is recoloured to

    @property
    def parts(self):
        """The words a composed name is made of: "red", "heart"; "woman", "police officer"."""
        return self.names[0].split(" ", 1) if self.composed else ()


def lines(file):
    """(mark, glyph, the rest) of each thing in a file beside this one."""
    with open(os.path.join(HERE, file), encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                glyph, rest = line.rstrip("\n").split(" ", 1)
                yield (glyph[0], glyph[1:], rest) if glyph[0] in "+-*" else ("", glyph, rest)


def least_side(name):
    return 48 if name.startswith(("man ", "woman ")) else 22


def load_things():
    out = []
    for mark, glyph, names in lines("things.txt"):
        out.append(Thing(glyph, tuple(names.split(", ")), mark != "", mark == "-", least_side(names)))
    for mark, glyph, name in lines("extra.txt"):
        if mark:
            name, _, colours = name.partition(": ")
            out += [Thing(glyph, (c + " " + name,), True, False, 22, True, c) for c in colours.split() or COLOURS]
        else:
            out.append(Thing(glyph, (name,), True, False, least_side(name), True))
    return out


THINGS = load_things()


@dataclass(frozen=True)
class Phrase:
    """A thing (and which of its names), or a shape with None where the phrase does not say."""
    thing: Optional[int] = None
    name: int = 0
    shape: Optional[str] = None
    colour: Optional[str] = None
    size: Optional[str] = None
    pattern: Optional[str] = None
    part: Optional[str] = None           # of composed things: whatever has this in its name

    @property
    def text(self):
        if self.part:
            return self.part
        if self.thing is not None:
            return THINGS[self.thing].names[self.name]
        return " ".join(w for w in (self.size, self.pattern, self.colour, self.shape or "shape") if w)

    @property
    def plural(self):
        """None where an s will not do."""
        if self.thing is not None:
            return None
        return self.text + ("es" if self.shape == "cross" else "s")

    @property
    def meaning(self):
        """What two phrases share that always match the same objects."""
        return (self.thing, self.shape, self.colour, self.size, self.pattern, self.part)

    @property
    def held_out(self):
        return THINGS[self.thing].held_out if self.thing is not None else (self.colour, self.shape) in HELD_OUT_PAIRS

    def matches(self, o):
        if self.part:
            return o.thing is not None and self.part in THINGS[o.thing].parts
        if self.thing is not None:
            return self.thing == o.thing
        return (o.thing is None and self.shape in (None, o.shape) and self.colour in (None, o.colour) and self.size in (None, o.size)
                and self.pattern in (None, o.pattern))


@dataclass
class Obj:
    thing: Optional[int] = None
    shape: Optional[str] = None
    colour: Optional[str] = None
    pattern: Optional[str] = None
    box: tuple = ()              # x1, y1, x2, y2: first and last pixel, both inside

    @property
    def side(self):
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1]) + 1

    @property
    def size(self):
        return "small" if self.side <= SMALL else "large" if self.side >= LARGE else None

    @property
    def phrase(self):
        """The class the object counts for in an evaluation: a thing's first name, a shape's colour and kind."""
        return Phrase(thing=self.thing, shape=self.shape, colour=self.colour)


def all_classes(held_out, extra=False):
    """Every class an evaluation knows, of training's or of the held-out ones; with `extra` those of training alone too."""
    things = [Phrase(thing=i) for i, t in enumerate(THINGS) if extra or not t.extra]
    pairs = [Phrase(shape=s, colour=c) for s in SHAPES for c in COLOURS]
    return [p for p in things + pairs if p.held_out == held_out]


# -------------------------------------------------------------------------------------------- looks

@lru_cache(maxsize=None)
def glyph(index, tone=0):
    """A thing's picture, cropped: RGBA. tone: of what is recoloured, from the world's colour (0) to the font's (TONES)."""
    font, t = _font(), THINGS[index]
    im = Image.new("RGBA", (GLYPH * 3, GLYPH * 2))
    ImageDraw.Draw(im).text((20, 20), t.glyph, font=font, embedded_color=True)
    im = im.crop(im.getbbox())
    if t.colour:
        ours, fonts = np.array(COLOURS[t.colour], float), np.array(FONT_COLOURS[t.colour], float)
        im = recoloured(im, ours + (fonts - ours) * tone / TONES)
    return im


def recoloured(im, colour):
    """An RGBA picture with what has its main hue (everything where there is none) in another colour, light and shade kept."""
    x = np.asarray(im, float)
    seen, (h, s, v) = x[..., 3] > 128, (np.asarray(b, float) for b in im.convert("RGB").convert("HSV").split())
    if s[seen].mean() < 60:
        part = np.ones(s.shape)
    else:
        hue = np.bincount(h[seen].astype(int), s[seen], 256)
        main = np.convolve(np.tile(hue, 3), np.ones(9), "same")[256:512].argmax()
        away = np.abs((h - main + 128) % 256 - 128)
        part = ((s - 40) / 60).clip(0, 1) * ((36 - away) / 12).clip(0, 1)
    bright = v - np.median(v[seen & (part > 0.5)])
    x[..., :3] += part[..., None] * (colour + 0.45 * bright[..., None] - x[..., :3])
    return Image.fromarray(x.clip(0, 255).astype(np.uint8), "RGBA")


@lru_cache(maxsize=None)
def _font():
    return ImageFont.truetype(FONT, GLYPH)


def polygon(kind):
    """Corner points of the unit square's shapes, x right and y down."""
    def round_points(n, r0, r1, turn=-np.pi / 2):
        a = turn + np.arange(n) * 2 * np.pi / n
        r = np.where(np.arange(n) % 2, r1, r0)
        return np.stack([0.5 + r * np.cos(a), 0.5 + r * np.sin(a)], 1)
    return {"square": [(.07, .07), (.93, .07), (.93, .93), (.07, .93)],
            "triangle": [(.5, .04), (.98, .93), (.02, .93)],
            "star": round_points(10, 0.5, 0.21),
            "cross": [(.34, 0), (.66, 0), (.66, .34), (1, .34), (1, .66), (.66, .66), (.66, 1), (.34, 1), (.34, .66), (0, .66),
                      (0, .34), (.34, .34)],
            "diamond": [(.5, 0), (.82, .5), (.5, 1), (.18, .5)],
            "arrow": [(0, .33), (.5, .33), (.5, .06), (1, .5), (.5, .94), (.5, .67), (0, .67)],
            "bowtie": [(0, .1), (.5, .4), (1, .1), (1, .9), (.5, .6), (0, .9)]}[kind]


@lru_cache(maxsize=None)
def stencil(kind, pattern, width=160):
    """A shape as an "LA" image: L = share of the second colour, A = coverage."""
    n = width * 3
    a = Image.new("L", (n, n))
    d = ImageDraw.Draw(a)

    def ellipse(x1, y1, x2, y2, fill=255):
        d.ellipse([x1 * n, y1 * n, x2 * n, y2 * n], fill=fill)
    if kind == "circle":
        ellipse(0, 0, 1, 1)
    elif kind == "oval":
        ellipse(0, .23, 1, .77)
    elif kind == "ring":
        ellipse(0, 0, 1, 1)
        ellipse(.25, .25, .75, .75, 0)
    elif kind == "crescent":
        ellipse(0, 0, 1, 1)
        ellipse(.3, -.06, 1.22, .86, 0)
    elif kind == "frame":
        d.rectangle([.05 * n, .05 * n, .95 * n, .95 * n], fill=255)
        d.rectangle([.27 * n, .27 * n, .73 * n, .73 * n], fill=0)
    else:
        d.polygon([(x * n, y * n) for x, y in polygon(kind)], fill=255)
    mix = np.zeros((n, n), np.uint8)
    if pattern == "striped":
        stripe = (np.arange(n)[:, None] + np.arange(n)[None]) / n * 5 % 1 < 0.4
        mix[stripe] = 255
    elif pattern == "outlined":
        edge = Image.new("L", (n + 2, n + 2))
        edge.paste(a, (1, 1))
        reach = n * (0.035 if kind in ("ring", "frame") else 0.05)
        inner = np.asarray(edge.filter(ImageFilter.GaussianBlur(reach)))[1:-1, 1:-1]
        mix[inner < 215] = 255
    la = Image.merge("LA", (Image.fromarray(mix), a)).resize((width, width), Image.BOX)
    return la.crop(la.getchannel("A").getbbox())


def second_colour(colour, pattern):
    if pattern == "striped":
        return (150, 150, 150) if colour == "white" else (250, 250, 250)
    return (250, 250, 250) if colour == "black" else (20, 20, 20)


# How far a shape may turn without becoming another.
TURN = {"circle": 180, "ring": 180, "crescent": 180, "arrow": 180, "bowtie": 180, "oval": 180, "cross": 180, "star": 30,
        "triangle": 25, "square": 15, "diamond": 12, "frame": 15}


def turned(im, longest, angle):
    """The image with its longer side at `longest` pixels, then turned: premultiplied array (h, w, bands) in 0..1."""
    scale = longest / max(im.size)
    im = im.resize((max(3, round(im.width * scale)), max(3, round(im.height * scale))), Image.BILINEAR)
    if angle:
        im = im.rotate(angle, Image.BILINEAR, expand=True)
    x = np.asarray(im, np.float32) / 255
    x[..., :-1] *= x[..., -1:]
    return x


def draw(o, longest, rng):
    """-> (rgb premultiplied (h, w, 3) in 0..255, alpha (h, w, 1)), cropped to what can be seen."""
    if o.thing is not None:
        tone = rng.randint(0, TONES) if THINGS[o.thing].colour else 0
        x = turned(glyph(o.thing, tone), longest, rng.uniform(-25, 25) if rng.random() < 0.7 else 0)
        rgb, a = x[..., :3] * (255 * rng.uniform(0.85, 1.1)), x[..., 3:]
    else:
        turn = TURN[o.shape]
        x = turned(stencil(o.shape, o.pattern), longest, rng.uniform(-turn, turn))
        mix, a = x[..., :1], x[..., 1:]
        c1 = np.array([min(255, max(0, v + rng.uniform(-14, 14))) for v in COLOURS[o.colour]], np.float32)
        c2 = np.array(second_colour(o.colour, o.pattern), np.float32)
        rgb = c1 * (a - mix) + c2 * mix
    seen = a[..., 0] > 0.35
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    s = np.s_[rows[0]:rows[-1] + 1, cols[0]:cols[-1] + 1]
    return rgb[s].clip(0, 255), a[s]


# -------------------------------------------------------------------------------------------- backgrounds

@lru_cache(maxsize=None)
def photos():
    folder = os.path.join(HERE, "photos")
    return [Image.open(os.path.join(folder, f)).convert("RGB") for f in sorted(os.listdir(folder)) if f.endswith(".jpg")]


def background(width, height, rng):
    """(height, width, 3) float32: gradient, noise, texture or photo, held back enough for things to stand out."""
    g = np.random.default_rng(rng.getrandbits(32))
    base = g.uniform(30, 225, 3).astype(np.float32)
    base = base.mean() + (base - base.mean()) * rng.uniform(0.2, 0.9)
    kind = rng.random()

    def field(n, bands):
        """Smooth noise in -1..1 from an n x n grid."""
        x = g.uniform(0, 255, (n, n, bands)).astype(np.uint8)
        x = Image.fromarray(x if bands == 3 else x[..., 0]).resize((width, height), Image.BICUBIC)
        return (np.asarray(x, np.float32) / 127.5 - 1).reshape(height, width, bands)
    if kind < 0.3:
        other = base + g.uniform(-70, 70, 3).astype(np.float32)
        a = rng.uniform(0, 2 * np.pi)
        t = np.cos(a) * np.linspace(-.5, .5, width)[None, :, None] + np.sin(a) * np.linspace(-.5, .5, height)[:, None, None]
        out = base + (other - base) * (t + 0.5).astype(np.float32)
    elif kind < 0.5:
        out = base + field(rng.choice((4, 8, 24, 64)), rng.choice((1, 3))) * rng.uniform(8, 40)
        out = out + g.normal(0, rng.uniform(0, 8), (height, width, 1)).astype(np.float32)
    elif kind < 0.65:
        period, a = rng.uniform(6, 40), rng.uniform(0, np.pi)
        x, y = np.arange(width)[None] * np.cos(a), np.arange(height)[:, None] * np.sin(a)
        wave = np.sin((x + y) * 2 * np.pi / period)
        if rng.random() < 0.5:
            wave = wave * np.sin((np.arange(width)[None] * np.sin(a) - np.arange(height)[:, None] * np.cos(a)) * 2 * np.pi / period)
        out = base + wave[..., None].astype(np.float32) * rng.uniform(5, 25)
    else:
        im = rng.choice(photos())
        scale = max(rng.uniform(0.6, 1.4), (width + 1) / im.width, (height + 1) / im.height)
        w, h = width / scale, height / scale
        x, y = rng.uniform(0, im.width - w), rng.uniform(0, im.height - h)
        p = np.asarray(im.resize((width, height), Image.BILINEAR, box=(x, y, x + w, y + h)), np.float32)
        out = base + (p - base) * rng.uniform(0.25, 0.65)
    return np.array(np.broadcast_to(out, (height, width, 3)), np.float32)
