"""evaluate.py on hand-made boxes."""
import json
import sys

import numpy as np

from evaluate import Detection, average_precision, first_hit, iou, match, parse_ground


def test_iou():
    # Last pixels are inside: a box from 0 to 9 is ten wide. Half of one covered by an equal one: 50 / 150.
    assert abs(iou([[0, 0, 9, 9]], [[5, 0, 14, 9]])[0, 0] - 50 / 150) < 1e-12
    assert iou([[0, 0, 9, 9]], [[10, 0, 19, 9]])[0, 0] == 0
    assert iou([[3, 3, 3, 3]], [[3, 3, 3, 3]])[0, 0] == 1


def test_match():
    truth = [[0, 0, 9, 9], [20, 0, 29, 9]]
    boxes = [[0, 0, 9, 9], [0, 0, 9, 8], [20, 0, 29, 5]]       # exact; a second one on the same; 0.6 of the other
    hit = match(boxes, truth, [0.5, 0.75])
    assert hit.tolist() == [[True, False, True], [True, False, False]]
    assert match(boxes, [], [0.5]).tolist() == [[False, False, False]]
    assert match([], truth, [0.5]).shape == (1, 0)


def test_average_precision():
    assert average_precision([0.9, 0.8], [True, True], 2) == 1
    assert average_precision([], [], 3) == 0
    # hit, miss, hit of two: precision 1 up to recall 0.5 (51 of 101 points), then 2/3
    assert abs(average_precision([0.9, 0.8, 0.7], [True, False, True], 2) - (51 + 50 * 2 / 3) / 101) < 1e-9
    # the order is the scores', not the list's; a truth never found caps the recall
    assert abs(average_precision([0.7, 0.9], [True, False], 2) - 51 * 0.5 / 101) < 1e-9


def test_detection():
    d = Detection()
    star, ring = ("star", [[0, 0, 9, 9]]), ("ring", [])
    d.add([(0, 0.9, [0, 0, 9, 9]), (1, 0.95, [0, 0, 9, 9])], [star, ring])       # the ring found is none
    d.add([(1, 0.5, [0, 0, 9, 9])], [("star", []), ("ring", [[0, 0, 9, 9]])])
    table = d.per_class()
    assert table["star"][0][0] == 1 and table["ring"][0][0] == 0.5
    assert d.summary()[0] == 0.75 and d.summary({"ring"})[0] == 0.5
    d.add([], [("moon", [])])
    assert "moon" not in d.per_class()


def test_first_hit():
    found = [(1, 0.9, [0, 0, 9, 9]), (0, 0.8, [50, 50, 59, 59]), (0, 0.7, [0, 0, 9, 9])]
    assert not first_hit(found, 0, [[0, 0, 9, 9]])             # only the best box counts
    assert first_hit(found, 1, [[40, 40, 49, 49], [0, 0, 9, 9]])
    assert not first_hit(found, 2, [[0, 0, 9, 9]])


def test_parse_ground():
    line = {"image": "a.png", "labels": [{"id": 1}, {"id": 2}],
            "detections": [{"label": 2, "score": 0.3, "box": [1, 2, 3, 4]}, {"label": 1, "score": 0.6, "box": [0, 0, 1, 1]}]}
    assert parse_ground(json.dumps(line)) == [(0, 0.6, [0, 0, 1, 1]), (1, 0.3, [1, 2, 3, 4])]


if __name__ == "__main__":
    tests = [f for name, f in sorted(globals().items()) if name.startswith("test_")]
    for f in tests:
        f()
    print("%d passed, 0 failed" % len(tests))
    sys.exit(0)
