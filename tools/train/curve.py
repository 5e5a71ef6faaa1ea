"""Draws a run's log: losses over images seen, each on its own scale from 0 to its largest value. Where a run that started from a
released model follows another, its images count on.

    curve.py RUN_DIR/log.jsonl OUT.png
"""
import argparse
import json

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 900, 420, 50
SERIES = (("align", (200, 40, 40)), ("box", (40, 90, 200)), ("centre", (40, 150, 70)), ("bridge", (160, 110, 20)),
          ("rate", (150, 150, 150)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("log")
    p.add_argument("out")
    a = p.parse_args()
    rows, before = [], 0
    for row in map(json.loads, open(a.log)):
        if rows and before + row["images"] < rows[-1]["images"]:
            before = rows[-1]["images"]
        row["images"] += before
        rows.append(row)
    im = Image.new("RGB", (WIDTH, HEIGHT), "white")
    d = ImageDraw.Draw(im)
    last = rows[-1]["images"]
    d.rectangle([MARGIN, 20, WIDTH - 20, HEIGHT - MARGIN], outline=(0, 0, 0))
    for k in range(5):
        x = MARGIN + (WIDTH - 20 - MARGIN) * k / 4
        d.text((x - 14, HEIGHT - MARGIN + 6), "%dk" % round(last * k / 4000), fill=(0, 0, 0))
    d.text((WIDTH // 2 - 30, HEIGHT - 22), "images seen", fill=(0, 0, 0))
    for i, (name, colour) in enumerate(SERIES):
        points = [(r["images"], r[name]) for r in rows if name in r]
        if not points:
            continue
        top = max(v for _, v in points)
        line = [(MARGIN + (WIDTH - 20 - MARGIN) * n / last, HEIGHT - MARGIN - (HEIGHT - MARGIN - 24) * v / top) for n, v in points]
        d.line(line, fill=colour, width=2)
        d.text((WIDTH - 260, 30 + 14 * i), "%-7s  0..%.3g, last %.3g" % (name, top, points[-1][1]), fill=colour)
    im.save(a.out)


if __name__ == "__main__":
    main()
