#!/usr/bin/env python3
"""Writes tests/data/images: small pictures in every format, and what Pillow's resize makes of one of them.

usage: make_images.py tests/data/images      (needs Pillow and numpy)
"""
import os
import struct
import sys
import zlib

import numpy
from PIL import Image

WIDTH, HEIGHT = 16, 9
RESIZED = [(61, 38), (20, 12), (7, 5), (37, 9), (11, 23), (1, 1), (100, 3)]


def gradient():
    """Known to the tests: red 15 x, green 28 y, blue 255 - 7 (x + y)."""
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    return Image.fromarray(numpy.stack([15 * x, 28 * y, 255 - 7 * (x + y)], -1).astype(numpy.uint8))


def bomb():
    """A PNG of one pixel whose data inflate to 8 MiB."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    data = zlib.compress(bytes(8 << 20), 9)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data)
            + chunk(b"IEND", b""))


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    image = gradient()
    grey = Image.fromarray(numpy.asarray(image)[:, :, 0])

    def save(picture, name, **options):
        picture.save(os.path.join(folder, name), **options)

    save(image, "rgb.png")
    save(image.convert("RGBA"), "rgba.png")
    save(grey, "grey.png")
    deep = numpy.asarray(grey).astype(numpy.uint16) * numpy.uint16(256) + numpy.uint16(200)
    save(Image.fromarray(deep), "grey16.png")
    save(grey.convert("P"), "palette.png")
    save(image, "rgb.bmp")
    save(grey, "grey.bmp")
    save(image, "rgb.ppm")
    save(grey, "grey.pgm")
    save(image, "baseline.jpg", quality=95, subsampling=0)
    save(image, "progressive.jpg", quality=95, subsampling=0, progressive=True)
    save(grey, "grey.jpg", quality=95)
    save(image.convert("CMYK"), "cmyk.jpg")
    with open(os.path.join(folder, "bomb.png"), "wb") as file:
        file.write(bomb())

    noise = numpy.random.default_rng(5).integers(0, 256, (23, 37, 3)).astype(numpy.uint8)
    noise[:, :12] = noise[:, :12] // 128 * 255
    source = Image.fromarray(noise)
    save(source, "resize.png")
    for width, height in RESIZED:
        save(source.resize((width, height), Image.BILINEAR), f"resize_{width}x{height}.png")


main()
