"""Trains the bundled model on the generated world, for a given time.

    train.py RUN_DIR --minutes 90        or --until 21:45; goes on from RUN_DIR/checkpoint.pth if there is one

Beside the grounding loss an auxiliary one (class Bridge, dropped at export) teaches the two encoders each other's classes before
the head joins them: it takes the place of the pre-trained encoders that the official models started from.

Single-threaded processes (two by default) each draw their own scenes, average their gradients through shared memory and
take the same AdamW step. The rate follows a cosine over the whole training time, that of earlier runs included.
RUN_DIR gets checkpoint.pth (weights, averaged weights, optimizer), log.jsonl and curve.png.
"""
import argparse
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

from boxes import anchors, assign, grounding_loss
from model import Config, Glip, initialise
from scenes import SIDES, training_sample
from text import VOCAB, Encoder
from world import THINGS, all_classes

MEAN = torch.tensor([103.530, 116.280, 123.675]).view(3, 1, 1)
STD = torch.tensor([57.375, 57.120, 58.395]).view(3, 1, 1)

MODEL = dict(swin_dim=32, swin_depths=(2, 2, 2, 1), swin_heads=(1, 2, 4, 8), swin_window=6, hidden=64, bert_layers=2, bert_heads=4,
             intermediate=128, channels=64, head_layers=3, fusion_dim=128, fusion_heads=4)


def network_input(image):
    """(H, W, 3) uint8 RGB -> (3, H', W') normalised BGR, zero-padded to multiples of 32"""
    x = torch.from_numpy(image).permute(2, 0, 1).flip(0).float()
    x = (x - MEAN) / STD
    return torch.nn.functional.pad(x, (0, -x.shape[2] % 32, 0, -x.shape[1] % 32))


class Bridge(torch.nn.Module):
    """Tells every object's class, seen or named or not, from its FPN features: softmax over many names' text features."""

    def __init__(self, config, encoder):
        super().__init__()
        self.image = torch.nn.Linear(config.channels, 64)
        self.text = torch.nn.Linear(config.hidden, 64)
        self.scale = torch.nn.Parameter(torch.tensor(math.log(8.0)))
        self.index, self.names = {}, []                  # class -> number, number -> token rows of its names
        for i, p in enumerate(all_classes(held_out=False)):
            self.index[p] = i
            texts = THINGS[p.thing].names if p.thing is not None else (p.text,)
            self.names.append([encoder.vocabulary.rows(encoder.wordpiece(t)[0]) for t in texts])

    def forward(self, model, maps, samples, rng, others=120):
        """maps: P3..P7 of the batch; samples: its (scene, caption) pairs -> cross-entropy over the positives"""
        sizes = tuple(m.shape[-2:] for m in maps)
        a = anchors(sizes)
        flat = torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)                 # (B, N, C)
        features, wanted = [], []
        for i, (s, _) in enumerate(samples):
            owner = assign(torch.tensor([o.box for o in s.objects], dtype=torch.float32), a, [h * w for h, w in sizes])
            at = (owner >= 0).nonzero()[:, 0]
            features.append(flat[i, at])
            wanted += [self.index[s.objects[k].phrase] for k in owner[at].tolist()]
        classes = sorted(set(wanted) | set(rng.sample(range(len(self.names)), others)))
        ids = [rng.choice(self.names[c]) for c in classes]
        rows, mask = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long), None
        for i, r in enumerate(ids):
            rows[i, :len(r)] = torch.tensor(r)
        mask = torch.arange(rows.shape[1])[None] < torch.tensor([len(r) for r in ids])[:, None]
        inner = mask[:, 1:] & (torch.arange(1, rows.shape[1])[None] < mask.sum(1, keepdim=True) - 1)
        text = model.language_backbone["body"]["model"](rows, mask)[:, 1:] * inner[..., None]
        text = torch.nn.functional.normalize(self.text(text.sum(1) / inner.sum(1, keepdim=True)), dim=-1)
        image = torch.nn.functional.normalize(self.image(torch.cat(features)), dim=-1)
        number = {c: k for k, c in enumerate(classes)}
        target = torch.tensor([number[c] for c in wanted])
        return torch.nn.functional.cross_entropy(image @ text.t() * self.scale.exp(), target)


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
    return torch.stack([network_input(s.image) for s, _ in samples]), rows, mask, boxes, owned, samples


def curriculum(progress, rng):
    """(width, height, sample mix) at a share of the training time: small crowded scenes and lists first."""
    if progress < 0.5:
        return 192, 192, dict(sentences=0.15, relations=0.1 if progress > 0.25 else 0.0, long_lists=0.1, crowd=1.8)
    mix = dict(sentences=0.2, relations=0.2, long_lists=0.2, crowd=1.5)
    if rng.random() < 0.55:
        return 192, 192, mix
    return rng.choice(SIDES), rng.choice(SIDES), mix


def parameter_groups(model, bridge, rate):
    """The text's layers learn ten times slower than the rest, its word table does not; biases, norms and tables do not decay."""
    groups = {}
    for name, p in list(model.named_parameters()) + list(bridge.named_parameters("bridge")):
        text = "language_backbone" in name or any(".%s." % k in name for k in ("intermediate", "attention", "output"))
        text = text and "word_embeddings" not in name
        decay = p.dim() > 1 and "embeddings" not in name and "bias_table" not in name
        groups.setdefault((text, decay), []).append(p)
    return [dict(params=ps, scale=0.1 if text else 1.0, lr=rate, weight_decay=0.01 if decay else 0.0)
            for (text, decay), ps in sorted(groups.items())]


def token_cosine(model, rows, mask):
    """Mean cosine between the tokens of a caption after the text encoder: 1 means that words have been lost."""
    with torch.no_grad():
        e = torch.nn.functional.normalize(model.language_backbone["body"]["model"](rows[:1], mask[:1])[0][mask[0]], dim=-1)
        n = len(e)
        return float(((e @ e.t()).sum() - n) / (n * (n - 1)))


def save(path, state):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def worker(rank, a, buffer, clock, barrier):
    torch.set_num_threads(1)
    encoder = Encoder(a.vocab)
    config = Config(vocab=len(encoder.vocabulary), **MODEL)
    torch.manual_seed(a.seed)
    model = Glip(config)
    initialise(model)
    bridge = Bridge(config, encoder)
    groups = parameter_groups(model, bridge, a.rate)
    params = [p for g in groups for p in g["params"]]
    optimizer = torch.optim.AdamW(groups, lr=a.rate, betas=(0.9, 0.99), foreach=True)
    average = [p.detach().clone() for p in params]
    names = {id(p): n for n, p in list(model.named_parameters()) + list(bridge.named_parameters("bridge"))}
    path = os.path.join(a.run, "checkpoint.pth")
    step = images = 0
    spent = 0.0
    if os.path.exists(path):
        c = torch.load(path, map_location="cpu")
        model.load_state_dict(c["model"])
        if "bridge" in c:
            bridge.load_state_dict(c["bridge"])
            optimizer.load_state_dict(c["optimizer"])
        average = [c["average"].get(names[id(p)], p.detach().clone()) for p in params]
        step, images, spent = c["step"], c["images"], c["seconds"]
    scales = [g["scale"] for g in groups]
    begun = time.time()
    total = spent + a.end - begun
    log = open(os.path.join(a.run, "log.jsonl"), "a") if rank == 0 else None
    first = step
    saved, sums, since, since_images = time.time(), [0.0] * 5, time.time(), images
    while True:
        if rank == 0:
            clock[0] = spent + time.time() - begun
        barrier.wait()
        progress = float(clock[0]) / total
        if progress >= 1:
            break
        shared = random.Random("%d %d" % (a.seed, step))               # what the processes decide alike
        width, height, mix = curriculum(progress, shared)
        count = max(1, round(a.batch * 192 * 192 / (width * height)))
        rng = random.Random("train %d %d %d" % (a.seed, step, rank))
        image, rows, mask, boxes, owned, samples = batch(rng, width, height, count, encoder, mix)
        trace = {}
        out = model(image, rows, mask, trace)
        align, box, centre, _ = grounding_loss(out, boxes, owned, mask)
        optimizer.zero_grad(set_to_none=False)
        named = bridge(model, trace["maps"], samples, rng)
        (align + box + centre + a.bridge * named).backward()
        start = 0
        for p in params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            buffer[rank, start:start + p.numel()] = p.grad.view(-1)
            start += p.numel()
        barrier.wait()
        flat = buffer.mean(0)
        norm = float(flat.norm())
        flat *= min(1.0, a.clip / (norm + 1e-6))
        start = 0
        for p in params:
            p.grad.copy_(flat[start:start + p.numel()].view_as(p))
            start += p.numel()
        rate = a.rate * min(1.0, (step - first + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
        for g, s in zip(optimizer.param_groups, scales):
            g["lr"] = rate * s
        optimizer.step()
        step += 1
        images += count * a.processes
        if rank:
            continue
        keep = min(0.998, step / (step + 20))
        torch._foreach_mul_(average, keep)
        torch._foreach_add_(average, [p.detach() for p in params], alpha=1 - keep)
        for i, v in enumerate((align, box, centre, norm, named)):
            sums[i] += float(v)
        if step % 50 == 0:
            now = time.time()
            row = dict(step=step, images=images, minutes=round(float(clock[0]) / 60, 2), progress=round(progress, 4),
                       rate=round(rate, 6), align=round(sums[0] / 50, 4), box=round(sums[1] / 50, 4),
                       centre=round(sums[2] / 50, 4), norm=round(sums[3] / 50, 3), bridge=round(sums[4] / 50, 4), cosine=round(token_cosine(model, rows, mask), 3),
                       speed=round((images - since_images) / (now - since), 2))
            log.write(json.dumps(row) + "\n")
            log.flush()
            sums, since, since_images = [0.0] * 5, now, images
        if time.time() - saved > a.save_every:
            save_all(path, model, bridge, optimizer, average, params, names, step, images, float(clock[0]))
            saved = time.time()
    if rank == 0:
        save_all(path, model, bridge, optimizer, average, params, names, step, images, float(clock[0]))


def save_all(path, model, bridge, optimizer, average, params, names, step, images, seconds):
    mean = dict(model.state_dict())
    mean.update({names[id(p)]: x for p, x in zip(params, average) if not names[id(p)].startswith("bridge")})
    save(path, dict(model=model.state_dict(), average=mean, bridge=bridge.state_dict(), optimizer=optimizer.state_dict(), step=step, images=images,
                    seconds=seconds))


def end_time(a):
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
    p.add_argument("--minutes", type=float)
    p.add_argument("--until", default="00:00", help="HH:MM, where --minutes is not given")
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--clip", type=float, default=1.0)
    p.add_argument("--bridge", type=float, default=0.5, help="weight of the auxiliary loss")
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
    size = sum(p.numel() for m in (Glip(config), Bridge(config, encoder)) for p in m.parameters())
    print("%d parameters" % size, flush=True)
    buffer = torch.zeros(a.processes, size).share_memory_()
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    context = mp.get_context("spawn")
    barrier = context.Barrier(a.processes)
    workers = [context.Process(target=worker, args=(r, a, buffer, clock, barrier)) for r in range(a.processes)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return max(w.exitcode for w in workers)


if __name__ == "__main__":
    sys.exit(main())
