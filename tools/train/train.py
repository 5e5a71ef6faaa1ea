"""Trains the bundled model on the generated world, for a given time.

    train.py RUN_DIR --minutes 90        or --until 21:45; goes on from RUN_DIR/checkpoint.pth if there is one
    train.py RUN_DIR --from weights/glip-demo.gguf --rate 8e-4 --text-scale 0.4 --minutes 60      starts from a released model

Beside the grounding loss an auxiliary one (class Bridge, dropped at export) teaches the two encoders each other's classes before
the head joins them: it takes the place of the pre-trained encoders that the official models started from.

Single-threaded processes (two by default) each draw their own scenes and take AdamW steps of their own on weights in shared
memory, without waiting for each other: on a busy machine a step done together would wait for the slower. The rate follows a cosine
over the whole training time, that of earlier runs included. A run that starts from a released model takes the second half of the
cosine, and of all else that changes with the time; a new Bridge is trained alone first, so that it does no harm.
RUN_DIR gets checkpoint.pth (weights, averaged weights, optimizer), log.jsonl and curve.png.
"""
import argparse
import collections
import datetime
import json
import math
import os
import random
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")        # BLAS and OpenMP threads fight
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import released
from boxes import anchors, assign, grounding_loss
from model import BertLayer, Config, Fusion, Glip, initialise
from scenes import RELATIONS, SIDES, scene, training_sample
from text import VOCAB, Encoder
from world import THINGS, all_classes

MEAN = torch.tensor([103.530, 116.280, 123.675]).view(3, 1, 1)
STD = torch.tensor([57.375, 57.120, 58.395]).view(3, 1, 1)

EVERY = 50                                                # steps of the first process between two lines of the log
BRIDGE_STEPS, BRIDGE_RATE = 300, 3e-3                     # of each process that train a new Bridge alone behind a released model
MODEL = dict(swin_dim=32, swin_depths=(2, 2, 2, 1), swin_heads=(1, 2, 4, 8), swin_window=6, hidden=64, bert_layers=2, bert_heads=4,
             intermediate=128, channels=64, head_layers=3, fusion_dim=128, fusion_heads=4)


def network_input(image):
    """(H, W, 3) uint8 RGB -> (3, H', W') normalised BGR, zero-padded to multiples of 32"""
    x = torch.from_numpy(image).permute(2, 0, 1).flip(0).float()
    x = (x - MEAN) / STD
    return F.pad(x, (0, -x.shape[2] % 32, 0, -x.shape[1] % 32))


class Bridge(torch.nn.Module):
    """Tells every object's class, named in the caption or not, by a softmax over many names.

    Twice: from the FPN's features against the text encoder's, through projections of its own, and from the features behind
    the logits against the token vectors that the head would make of a name on its own.
    """

    def __init__(self, config, encoder):
        super().__init__()
        self.image = torch.nn.Linear(config.channels, 64)
        self.text = torch.nn.Linear(config.hidden, 64)
        self.scale = torch.nn.Parameter(torch.tensor(math.log(8.0)))
        self.toward = torch.nn.Linear(config.channels, 4 * 64)
        self.toward_scale = torch.nn.Parameter(torch.tensor(math.log(8.0)))
        self.beside = torch.nn.Parameter(torch.randn(len(RELATIONS), config.channels, config.hidden) * 0.02)
        self.beside_bias = torch.nn.Parameter(torch.full((len(RELATIONS),), -2.0))
        self.classes = all_classes(held_out=False, extra=True)
        self.confused = {}                                # class -> those it was taken for lately
        self.index, self.names = {}, []                  # class -> number, number -> token rows of its names
        for i, p in enumerate(self.classes):
            self.index[p] = i
            texts = THINGS[p.thing].names if p.thing is not None else (p.text,)
            self.names.append([encoder.vocabulary.rows(encoder.wordpiece(t)[0]) for t in texts])

    def choose(self, wanted, rng, others):
        """The classes of `wanted` and some others: (class numbers, rows (K, L), mask (K, L), the names' own tokens (K, L))"""
        classes = sorted(set(wanted) | set(rng.sample(range(len(self.names)), others)))
        ids = [rng.choice(self.names[c]) for c in classes]
        rows = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
        for i, r in enumerate(ids):
            rows[i, :len(r)] = torch.tensor(r)
        length, at = torch.tensor([len(r) for r in ids])[:, None], torch.arange(rows.shape[1])[None]
        return classes, rows, at < length, (at > 0) & (at < length - 1)

    def forward(self, model, trace, scenes, rng, others=120):
        """trace: the model's for the batch of scenes -> the two cross-entropies over the positives, the second only behind a head"""
        maps = trace["maps"]
        sizes = tuple(m.shape[-2:] for m in maps)
        a = anchors(sizes)
        image, level, wanted, beside = [], [], [], []
        for i, s in enumerate(scenes):
            box = torch.tensor([o.box for o in s.objects], dtype=torch.float32)
            owner = assign(box, a, [h * w for h, w in sizes])
            at = (owner >= 0).nonzero()[:, 0]
            image.append(torch.full_like(at, i))
            level.append(at)
            own = torch.tensor([self.index[o.phrase] for o in s.objects])
            wanted += own[owner[at]].tolist()
            holding, distance = relations_between(box)
            distance = torch.where(holding[:4] > 0, distance, torch.full_like(distance, math.inf))
            nearest = distance.min(2)
            beside.append(torch.where(nearest[0] < math.inf, own[nearest[1]], torch.full_like(nearest[1], -1))[:, owner[at]])
        image, level, beside = torch.cat(image), torch.cat(level), torch.cat(beside, 1)

        def features(maps):
            return torch.cat([m.flatten(2) for m in maps], 2)[image, :, level]           # (P, C)
        classes, rows, mask, own = self.choose(wanted, rng, others)
        number = {c: k for k, c in enumerate(classes)}
        target = torch.tensor([number[c] for c in wanted])
        share = own[..., None] / own.sum(1)[:, None, None]                                # means over a name's tokens

        text = model.language_backbone["body"]["model"](rows, mask)                       # (K, L, hidden)
        t = F.normalize(self.text((text * share).sum(1)), dim=-1)
        v = F.normalize(self.image(features(maps)), dim=-1)
        early = F.cross_entropy(v @ t.t() * self.scale.exp(), target)
        # and what is nearest to the left, to the right, above and below: relations need features that know
        v = F.normalize(self.toward(features(maps)).view(-1, 4, 64), dim=-1)
        beside = torch.tensor([[number.get(c, -100) for c in row] for row in beside.tolist()]).t()
        if (beside >= 0).any():
            beside = F.cross_entropy((v @ t.t() * self.toward_scale.exp()).flatten(0, 1), beside.flatten(), ignore_index=-100)
        else:
            beside = early * 0
        if "tower" not in trace:
            return early, beside, None

        head = model.rpn["head"]
        for layer in head.dyhead_tower:
            if isinstance(layer, Fusion):
                text = layer.b_attn.layer_norm_l(text)
            elif isinstance(layer, BertLayer):
                text = layer(text, mask)
        e = F.normalize(text, dim=-1, eps=1e-12)
        t = (head.dot_product_projection_text(e / 2) / head.log_scale.exp() * share).sum(1)
        score = features(trace["tower"][-1][0]) @ t.t() + (e @ head.bias_lang * share[..., 0]).sum(1)
        late = F.cross_entropy(score, target)
        self.remember(classes, wanted, score.detach().scatter(1, target[:, None], -math.inf), rng)
        return early, beside, late

    def remember(self, classes, wanted, score, rng):
        """Notes the wrong classes with the highest scores (P, K) for some of the positives: negatives worth asking."""
        for p in rng.sample(range(len(wanted)), min(24, len(wanted))):
            taken_for = self.confused.setdefault(self.classes[wanted[p]], collections.deque(maxlen=12))
            taken_for.extend(self.classes[classes[k]] for k in score[p].topk(3)[1].tolist())

    def around(self, trace, samples, tokens):
        """Which of the named things lie to the left, to the right, above, below and next to each object, asked of the features behind the
        logits: a binary cross-entropy over all (relation, object, label). Relations between few objects a scene are too
        rare to be learned from captions alone."""
        maps, text = trace["tower"][-1]
        sizes = tuple(m.shape[-2:] for m in maps)
        flat, a, losses = torch.cat([m.flatten(2) for m in maps], 2), anchors(sizes), []
        for i, (s, caption) in enumerate(samples):
            box = torch.tensor([o.box for o in s.objects], dtype=torch.float32)
            n = len(box)
            if n < 2:
                continue
            owner = assign(box, a, [h * w for h, w in sizes])
            at = owner >= 0
            member = F.one_hot(owner[at], n).float()                                          # (P, n)
            v = (member / member.sum(0).clamp(min=1)).t() @ flat[i, :, at].t()                # (n, C)
            t = torch.stack([text[i, where].mean(0) for where in tokens[i]])                  # (L, hidden)
            named = torch.zeros(len(tokens[i]), n)
            for k, label in enumerate(caption.labels):
                named[k, label.objects] = 1
            holding, distance = relations_between(box)
            target = (holding @ named.t()).clamp(max=1)                                       # (relations, n, L)
            score = torch.einsum("ic,rch,lh->ril", v, self.beside, t) + self.beside_bias[:, None, None]
            # what is far away or the object itself does not count either way
            doubtful = (((distance > 70) | torch.eye(n, dtype=torch.bool)).float() @ named.t() > 0)[None] & (target == 0)
            weight = torch.where(target > 0, 3.0, 1.0) * ~doubtful * (member.sum(0) > 0)[None, :, None]
            losses.append((F.binary_cross_entropy_with_logits(score, target, reduction="none") * weight).sum() / weight.sum().clamp(min=1))
        return torch.stack(losses).mean() if losses else maps[0].sum() * 0


def relations_between(box):
    """(n, 4) -> whether box i is in each of RELATIONS to box j (relations, n, n), as scenes.holds, and the gaps (n, n)"""
    cx, cy = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    dx, dy = cx[:, None] - cx[None], cy[:, None] - cy[None]
    gx = torch.maximum(box[:, None, 0] - box[None, :, 2], box[None, :, 0] - box[:, None, 2]).clamp(min=0)
    gy = torch.maximum(box[:, None, 1] - box[None, :, 3], box[None, :, 1] - box[:, None, 3]).clamp(min=0)
    distance = (gx * gx + gy * gy).sqrt()
    near = distance <= 70
    others = ~torch.eye(len(box), dtype=torch.bool)
    out = [-dx > 1.5 * dy.abs(), dx > 1.5 * dy.abs(), -dy > 1.5 * dx.abs(), dy > 1.5 * dx.abs()]
    return torch.stack([x & near & others for x in out] + [(distance <= 12) & others]).float(), distance


def batch(rng, width, height, count, encoder, mix):
    """-> images (B, 3, H, W), rows and mask (B, T), boxes per image, owned tokens per image, the samples"""
    samples = [training_sample(rng, width, height, **mix) for _ in range(count)]
    rows, mask, tokens = encoder([c for _, c in samples])
    boxes, owned = [], []
    for i, (s, c) in enumerate(samples):
        named = sorted({o for label in c.labels for o in label.objects})
        own = torch.zeros(len(named), rows.shape[1])
        for label, at in zip(c.labels, tokens[i]):
            for o in label.objects:
                own[named.index(o), at] = 1
        boxes.append(torch.tensor([s.objects[o].box for o in named], dtype=torch.float32).view(-1, 4))
        owned.append(own)
    return torch.stack([network_input(s.image) for s, _ in samples]), rows, mask, boxes, owned, samples, tokens


def told_apart(out, samples, tokens):
    """Where a relation decides between two alike objects: the loss of putting the phrase's logits at the right one above those
    at the other, and the share that are; None where no caption of the batch has a relation."""
    logits, sizes = out[0], tuple(out[3])
    a, margins = anchors(sizes), []
    for i, (s, caption) in enumerate(samples):
        if not caption.rivals:
            continue
        owner = assign(torch.tensor([o.box for o in s.objects], dtype=torch.float32), a, [h * w for h, w in sizes])
        for label, right, other in caption.rivals:
            score = [logits[i, owner == o][:, tokens[i][label]] for o in (right, other)]
            if all(len(x) for x in score):
                margins.append(score[0].mean() - score[1].mean())
    if not margins:
        return None
    margins = torch.stack(margins)
    return F.softplus(-margins).mean(), float((margins > 0).float().mean())


def encoders_step(model, bridge, rng, count):
    """The loss of a step that leaves the head out: crowds of objects, told apart by the two encoders alone.

    A fifth of the time that an object costs in a whole step: pre-training, as the official models' encoders had it.
    """
    side = rng.choice((192, 192, 192, 240))
    scenes = [scene(rng, side, side, rng.randint(10, 34) * side * side // (192 * 192), things=0.7, composed=0.2, extra=0.4)
              for _ in range(count)]
    image = torch.stack([network_input(s.image) for s in scenes])
    maps = model.backbone["fpn"](model.backbone["body"](image))
    return bridge(model, dict(maps=maps), scenes, rng, others=240)[:2]


def curriculum(progress, rng, relations):
    """(width, height, sample mix) at a share of the training time: small crowded scenes and lists first, relations late."""
    if progress < 0.5:
        return 192, 192, dict(sentences=0.15, relations=0.15 if progress > 0.25 else 0.0, long_lists=0.1, crowd=1.8)
    mix = dict(sentences=0.2, relations=relations, long_lists=0.15, crowd=1.6)
    if rng.random() < 0.65:
        return 192, 192, mix
    return rng.choice(SIDES), rng.choice(SIDES), mix


def encoders_share(progress):
    """The share of steps that leave the head out."""
    return 0.6 if progress < 0.5 else 0.4 if progress < 0.75 else 0.0


def parameters_of(model, bridge):
    return list(model.named_parameters()) + list(bridge.named_parameters("bridge"))


def parameter_groups(named_parameters, rate, text_scale=0.1):
    """The text's layers learn ten times slower than the rest, its word table does not; biases, norms and tables do not decay."""
    groups = {}
    for name, p in named_parameters:
        text = "language_backbone" in name or any(".%s." % k in name for k in ("intermediate", "attention", "output"))
        text = text and "word_embeddings" not in name
        decay = p.dim() > 1 and "embeddings" not in name and "bias_table" not in name
        groups.setdefault((text, decay), []).append(p)
    return [dict(params=ps, scale=text_scale if text else 1.0, lr=rate, weight_decay=0.01 if decay else 0.0)
            for (text, decay), ps in sorted(groups.items())]


def token_cosine(model, rows, mask):
    """Mean cosine between the tokens of a caption after the text encoder: 1 means that words have been lost."""
    with torch.no_grad():
        e = F.normalize(model.language_backbone["body"]["model"](rows[:1], mask[:1])[0][mask[0]], dim=-1)
        n = len(e)
        return float(((e @ e.t()).sum() - n) / (n * (n - 1)))


def worker(rank, a, model, bridge, average, shared):
    """Trains the shared weights on its own scenes until the time is up; the first worker also averages, logs and saves.

    shared: seconds trained, steps and images of all workers, the progress a run's time begins with.
    """
    torch.set_num_threads(1)
    encoder = Encoder(a.vocab)
    named_parameters = parameters_of(model, bridge)
    params = [p for _, p in named_parameters]
    optimizer = torch.optim.AdamW(parameter_groups(named_parameters, a.rate, a.text_scale), lr=a.rate, betas=(0.9, 0.99), foreach=True)
    scales = [g["scale"] for g in optimizer.param_groups]
    path = os.path.join(a.run, "checkpoint.pth")
    saved_state = torch.load(path, map_location="cpu").get("optimizer") if os.path.exists(path) else None
    if saved_state:
        optimizer.load_state_dict(saved_state)
    bridge_alone = BRIDGE_STEPS if a.start and not saved_state else 0
    begun, before, first = time.time(), float(shared[0]), float(shared[3])
    total = before + a.end - begun
    seed = "train %d %d %d %d" % (a.seed, rank, shared[1], shared[2])       # a run that goes on sees new scenes
    rng = random.Random(seed)
    log = open(os.path.join(a.run, "log.jsonl"), "a") if rank == 0 else None
    step, saved, since, since_images = 0, time.time(), time.time(), float(shared[2])
    sums = collections.defaultdict(list)
    while True:
        progress = first + (1 - first) * (before + time.time() - begun) / total
        if progress >= 1:
            break
        model.requires_grad_(step >= bridge_alone)
        alone = rng.random() < encoders_share(progress)
        if alone:
            count = a.batch
            early, beside = encoders_step(model, bridge, rng, count)
            loss = early + 0.5 * beside
        else:
            width, height, mix = curriculum(progress, rng, a.relations)
            count = max(1, round(a.batch * 192 * 192 / (width * height)))
            image, rows, mask, boxes, owned, samples, tokens = batch(rng, width, height, count, encoder, dict(mix, confused=bridge.confused))
            trace = {}
            out = model(image, rows, mask, trace)
            align, box, centre, _ = grounding_loss(out, boxes, owned, mask)
            early, beside, late = bridge(model, trace, [s for s, _ in samples], rng)
            apart = told_apart(out, samples, tokens)
            around = bridge.around(trace, samples, tokens)
            loss = align + box + centre + a.bridge * min(1.0, 2 - 2 * progress) * (early + 0.5 * beside + late + 4 * around)
            if apart:
                loss = loss + a.apart * min(1.0, 2 - 2 * progress) * apart[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params, a.clip)
        warm = 1.0 if saved_state else min(1.0, (step + 1 - bridge_alone) / 100)
        rate = a.rate * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * progress))) if step >= bridge_alone else BRIDGE_RATE
        for g, s in zip(optimizer.param_groups, scales):
            g["lr"] = rate * s
        optimizer.step()
        step += 1
        shared[1] += 1
        shared[2] += count
        if rank:
            continue
        shared[0] = before + time.time() - begun
        keep = 0.998 if saved_state or a.start else min(0.998, step / (step + 20))
        torch._foreach_mul_(average, keep)
        torch._foreach_add_(average, [p.detach() for p in params], alpha=1 - keep)
        if alone:
            sums["crowd"].append(float(early))
            sums["beside"].append(float(beside))
        else:
            for name, v in dict(align=align, box=box, centre=centre, norm=norm, bridge=early, late=late, around=around).items():
                sums[name].append(float(v))
            for name, v in zip(("apart", "right"), apart or ()):
                sums[name].append(float(v))
        if step % EVERY == 0 and sums["align"]:
            now, images = time.time(), float(shared[2])
            row = dict(step=int(shared[1]), images=int(images), minutes=round(float(shared[0]) / 60, 2), progress=round(progress, 4),
                       rate=round(rate, 6), **{name: round(sum(v) / len(v), 4) for name, v in sums.items()},
                       cosine=round(token_cosine(model, rows, mask), 3),
                       speed=round((images - since_images) / (now - since), 2))
            log.write(json.dumps(row) + "\n")
            log.flush()
            sums, since, since_images = collections.defaultdict(list), now, images
        if time.time() - saved > a.save_every:
            save(path, model, bridge, average, named_parameters, optimizer, shared)
            saved = time.time()
    if rank == 0:
        save(path, model, bridge, average, named_parameters, optimizer, shared)


def save(path, model, bridge, average, named_parameters, optimizer, shared):
    mean = dict(model.state_dict())
    mean.update({name: x for (name, _), x in zip(named_parameters, average) if name in mean})
    torch.save(dict(model=model.state_dict(), average=mean, bridge=bridge.state_dict(), optimizer=optimizer.state_dict(),
                    seconds=float(shared[0]), step=int(shared[1]), images=int(shared[2]), first=float(shared[3])), path + ".part")
    os.replace(path + ".part", path)


def end_time(a):
    """Seconds since the epoch."""
    if a.minutes:
        return time.time() + 60 * a.minutes
    h, m = map(int, a.until.split(":"))
    end = datetime.datetime.now().replace(hour=h, minute=m, second=0, microsecond=0)
    if end < datetime.datetime.now():
        end += datetime.timedelta(days=1)
    return end.timestamp()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", help="folder of the run, outside the repository")
    p.add_argument("--from", dest="start", metavar="MODEL.gguf", help="a released model to start from, where RUN_DIR has no checkpoint")
    p.add_argument("--minutes", type=float)
    p.add_argument("--until", default="00:00", help="HH:MM, where --minutes is not given")
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--text-scale", type=float, default=0.1, help="rate of the text's layers, relative; more once words are learned")
    p.add_argument("--clip", type=float, default=1.0)
    p.add_argument("--bridge", type=float, default=0.5, help="weight of the auxiliary loss")
    p.add_argument("--apart", type=float, default=1.0, help="weight of the loss that a relation decides between two objects")
    p.add_argument("--relations", type=float, default=0.3, help="share of captions with relations in the second half")
    p.add_argument("--batch", type=int, default=4, help="192-pixel scenes a process and step")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--save-every", type=float, default=180, help="seconds")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--vocab", default=VOCAB)
    a = p.parse_args()
    os.makedirs(a.run, exist_ok=True)
    a.end = end_time(a)
    encoder = Encoder(a.vocab)
    config = Config(vocab=len(encoder.vocabulary), **MODEL)
    torch.manual_seed(a.seed)
    model, bridge = Glip(config), Bridge(config, encoder)
    initialise(model)
    named_parameters = parameters_of(model, bridge)
    shared = torch.zeros(4, dtype=torch.float64)
    path = os.path.join(a.run, "checkpoint.pth")
    if a.start and not os.path.exists(path):
        released.load(model, a.start, encoder.vocabulary)
        shared[3] = 0.5
    average = [p.detach().clone() for _, p in named_parameters]
    if os.path.exists(path):
        c = torch.load(path, map_location="cpu")
        model.load_state_dict(c["model"])
        bridge.load_state_dict(c["bridge"], strict=False)
        for x, (name, p) in zip(average, named_parameters):
            x.copy_(c["average"].get(name, p.detach()))
        shared[:] = torch.tensor([c["seconds"], c["step"], c["images"], c.get("first", 0.0)])
        del c
    print("%d parameters, %d images seen" % (sum(p.numel() for p in model.parameters()), shared[2]), flush=True)
    for module in (model, bridge):
        module.share_memory()
    for x in average + [shared]:
        x.share_memory_()
    context = mp.get_context("spawn")
    workers = [context.Process(target=worker, args=(r, a, model, bridge, average, shared)) for r in range(a.processes)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return max(w.exitcode for w in workers)


if __name__ == "__main__":
    sys.exit(main())
