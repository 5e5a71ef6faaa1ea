#!/usr/bin/env python3
"""Writes tests/data/images: small pictures in every format, and what Pillow's resize makes of one of them;
in jpeg/ the kinds of JPEG, each with its pixels as Pillow decodes them.

usage: make_images.py tests/data/images      (needs Pillow, numpy and a C compiler with libjpeg-turbo)
"""
import os
import struct
import subprocess
import sys
import tempfile
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


def jpegs(folder):
    """Sides that fill no block, colours of every frequency. Pillow writes some kinds, write_jpeg.c the others."""
    os.makedirs(folder, exist_ok=True)
    y, x = numpy.mgrid[0:19, 0:29]
    noise = numpy.random.default_rng(7).integers(-40, 41, (19, 29, 3))
    waves = numpy.stack([128 + 90 * numpy.sin(x / 3), 12 * y, 255 - 6 * (x + y)], -1)
    image = Image.fromarray(numpy.clip(waves + noise, 0, 255).astype(numpy.uint8))
    for name, options in {"444": dict(quality=100, subsampling="4:4:4"), "422": dict(quality=90, subsampling="4:2:2"),
                          "420": dict(quality=75, subsampling="4:2:0"), "coarse": dict(quality=30, subsampling="4:2:0"),
                          "progressive": dict(quality=75, subsampling="4:2:0", progressive=True)}.items():
        image.save(os.path.join(folder, name + ".jpg"), **options)
    image.convert("L").save(os.path.join(folder, "luma.jpg"), quality=75)
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, "write_jpeg")
        subprocess.run(["cc", "-o", program, os.path.join(os.path.dirname(__file__), "write_jpeg.c"), "-ljpeg"], check=True)
        for name, options in {"411": ["50", "4x1", "0", "ycc"], "restart": ["75", "2x2", "1", "ycc"],
                              "adobe_rgb": ["75", "1x1", "0", "rgb"]}.items():
            with open(os.path.join(folder, name + ".jpg"), "wb") as file:
                subprocess.run([program, "29", "19", *options], input=image.tobytes(), stdout=file, check=True)
    for name in os.listdir(folder):
        if name.endswith(".jpg"):
            path = os.path.join(folder, name)
            Image.open(path).convert("RGB").save(path[:-4] + ".png", optimize=True)


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
    jpegs(os.path.join(folder, "jpeg"))


main()
