"""Anchors, box coding, the unified grounding loss and the suppression that turns outputs into detections.

Boxes are x1, y1, x2, y2 with the last pixel inside, so a width is x2 - x1 + 1 except where said otherwise.
"""
import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from model import STRIDES

MOST_GROWTH = math.log(1000.0 / 16)


@lru_cache(maxsize=256)
def anchors(sizes):
    """One square of 8 strides a position: (N, 4)."""
    out = []
    for (h, w), s in zip(sizes, STRIDES):
        cy, cx = torch.meshgrid(torch.arange(h) * s + (s - 1) / 2, torch.arange(w) * s + (s - 1) / 2, indexing="ij")
        c = torch.stack([cx, cy, cx, cy], -1).view(-1, 4)
        half = (8 * s - 1) / 2
        out.append(c + torch.tensor([-half, -half, half, half]))
    return torch.cat(out)


def decode(deltas, a):
    """(..., 4) deltas on anchors (..., 4) -> boxes"""
    side = (a[..., 2:] - a[..., :2]) + 1
    centre = (a[..., 2:] + a[..., :2]) / 2 + deltas[..., :2] / 10 * side
    size = (deltas[..., 2:] / 5).clamp(max=MOST_GROWTH).exp() * side
    return torch.cat([centre - (size - 1) / 2, centre + (size - 1) / 2], -1)


def iou_matrix(a, b):
    """(N, 4), (G, 4) -> (N, G)"""
    area_a, area_b = (a[:, 2:] - a[:, :2] + 1).prod(1), (b[:, 2:] - b[:, :2] + 1).prod(1)
    wh = (torch.min(a[:, None, 2:], b[None, :, 2:]) - torch.max(a[:, None, :2], b[None, :, :2]) + 1).clamp(min=0)
    both = wh.prod(2)
    return both / (area_a[:, None] + area_b[None] - both)


def assign(boxes, a, counts):
    """ATSS: index of the box each anchor is positive for, -1 for none. boxes (G, 4), anchors (N, 4) -> (N,)"""
    iou = iou_matrix(a, boxes)                                                         # (N, G)
    centre = (a[:, :2] + a[:, 2:]) / 2
    distance = (centre[:, None] - ((boxes[:, :2] + boxes[:, 2:]) / 2)[None]).pow(2).sum(2)
    nearest, start = [], 0
    for n in counts:
        nearest.append(distance[start:start + n].topk(min(9, n), 0, largest=False)[1] + start)
        start += n
    nearest = torch.cat(nearest)                                                       # (K, G)
    candidate = iou.gather(0, nearest)
    inside = torch.cat([centre[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - centre[:, None]], 2).min(2)[0] > 0.01
    positive = (candidate >= candidate.mean(0) + candidate.std(0)) & inside.gather(0, nearest)
    claim = torch.full_like(iou, -1.0).scatter_(0, nearest, torch.where(positive, candidate, torch.full_like(candidate, -1.0)))
    best, owner = claim.max(1)
    return torch.where(best >= 0, owner, torch.full_like(owner, -1))


def giou(p, t):
    """(P, 4), (P, 4) -> (P,), widths without the + 1"""
    def area(x):
        return (x[:, 2] - x[:, 0]).clamp(min=0) * (x[:, 3] - x[:, 1]).clamp(min=0)
    both = area(torch.cat([torch.max(p[:, :2], t[:, :2]), torch.min(p[:, 2:], t[:, 2:])], 1))
    hull = area(torch.cat([torch.min(p[:, :2], t[:, :2]), torch.max(p[:, 2:], t[:, 2:])], 1)).clamp(min=1e-7)
    union = (area(p) + area(t) - both).clamp(min=1e-7)
    return both / union - (hull - union) / hull


def grounding_loss(out, boxes, owned, mask):
    """The unified grounding loss: alignment, boxes, centerness.

    out: the model's (logits (B, N, T), deltas (B, N, 4), centerness (B, N), sizes); boxes: per image (G, 4), those the
    caption names; owned: per image (G, T) 1 where the box owns the token; mask: (B, T).
    """
    logits, deltas, centre, sizes = out
    counts = [h * w for h, w in sizes]
    a = anchors(tuple(sizes))
    target = torch.zeros_like(logits)
    which, wanted = [], []
    for i, b in enumerate(boxes):
        if len(b):
            owner = assign(b, a, counts)
            at = (owner >= 0).nonzero()[:, 0]
            target[i, at] = owned[i][owner[at]]
            which.append(torch.stack([torch.full_like(at, i), at], 1))
            wanted.append(b[owner[at]])
    # A batch here may be one image without a named object: its sum over all positions must not drown the others'.
    number = max(10 * len(boxes), sum(len(w) for w in which))
    # focal loss, alpha 0.25, gamma 2, written with one exponential
    p = logits.sigmoid()
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    pt = torch.where(target > 0, p, 1 - p)
    weight = (1 - pt).pow(2) * torch.where(target > 0, 0.25, 0.75) * mask[:, None]
    align = (weight * ce).sum() / number
    if not which:
        return align, deltas.sum() * 0, centre.sum() * 0, number
    which, wanted = torch.cat(which), torch.cat(wanted)
    b, n = which[:, 0], which[:, 1]
    anchor = a[n]
    c = (anchor[:, :2] + anchor[:, 2:]) / 2
    lt, rb = c - wanted[:, :2], wanted[:, 2:] - c
    centred = ((torch.min(lt, rb) / torch.max(lt, rb)).prod(1)).sqrt()
    box = ((1 - giou(decode(deltas[b, n], anchor), wanted)) * centred).sum() / centred.sum() * 2
    return align, box, F.binary_cross_entropy_with_logits(centre[b, n], centred), number


def suppress(boxes, scores, threshold):
    """Greedy suppression: indices kept, best first. boxes (K, 4), scores (K,) numpy."""
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    keep = []
    while len(order):
        i, order = order[0], order[1:]
        keep.append(i)
        w = np.minimum(boxes[i, 2], boxes[order, 2]) - np.maximum(boxes[i, 0], boxes[order, 0]) + 1
        h = np.minimum(boxes[i, 3], boxes[order, 3]) - np.maximum(boxes[i, 1], boxes[order, 1]) + 1
        both = w.clip(0) * h.clip(0)
        order = order[both / (area[i] + area[order] - both) <= threshold]
    return keep


def detections(out, index, tokens, width, height, most=100, nms=0.6):
    """One image's detections, best first: [(label from 0, score, (x1, y1, x2, y2))].

    tokens: per label its token indices; width, height: of the image without padding.
    """
    logits, deltas, centre, sizes = (x[index] if torch.is_tensor(x) else x for x in out)
    boxes = decode(deltas, anchors(tuple(sizes)))
    boxes = torch.stack([boxes[:, 0].clamp(0, width - 1), boxes[:, 1].clamp(0, height - 1),
                         boxes[:, 2].clamp(0, width - 1), boxes[:, 3].clamp(0, height - 1)], 1).numpy()
    p = logits.sigmoid()
    p = torch.stack([p[:, t].mean(1) if t else torch.zeros(len(p)) for t in tokens], 1).numpy()   # (N, labels)
    centre = centre.sigmoid().numpy()
    found, start = [], 0
    for h, w in sizes:
        s = p[start:start + h * w]
        at, label = np.nonzero(s > 0.05)
        rank = s[at, label] * centre[start + at]
        best = np.argsort(-rank, kind="stable")[:1000]
        found.append((boxes[start + at[best]], np.sqrt(rank[best]), label[best]))
        start += h * w
    boxes, scores, labels = (np.concatenate(x) for x in zip(*found))
    out = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        out += [(int(label), float(scores[mine[k]]), tuple(map(float, boxes[mine[k]])))
                for k in suppress(boxes[mine], scores[mine], nms)]
    out.sort(key=lambda d: -d[1])
    return [d for d in out if d[1] >= out[most - 1][1]] if len(out) > most else out
