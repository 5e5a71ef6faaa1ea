#!/usr/bin/env python3
"""Writes tests/data/checkpoints: small files as PyTorch makes them, for the tests of the checkpoint readers.

    make_checkpoints.py [FOLDER]          needs python3-torch

Every file holds the same tensors (see `tensors`); element i of a base tensor is i / 2 - 3, exact in every type.
"""
import collections
import os
import struct
import sys
import zipfile
import zlib

import torch


def base(count, dtype=torch.float32):
    return (torch.arange(count, dtype=torch.float64) / 2 - 3).to(dtype)


def tensors():
    shared = base(24)
    return collections.OrderedDict([
        ("module.plain", base(6).reshape(2, 3)),
        ("module.half", base(6, torch.float16).reshape(3, 2)),
        ("module.bfloat16", base(5, torch.bfloat16)),
        ("module.double", base(4, torch.float64)),
        ("module.scalar", torch.tensor(2.5)),
        ("module.transposed", base(6).reshape(2, 3).t()),
        ("module.permuted", base(24).reshape(2, 3, 4).permute(2, 0, 1)),
        ("module.shared_all", shared.reshape(4, 6)),
        ("module.shared_tail", shared[18:]),
        ("module.shared_column", shared.reshape(4, 6)[:, 2]),
        ("module.expanded", base(3).reshape(1, 3).expand(4, 3)),
        ("module.parameter", torch.nn.Parameter(base(4))),
        ("module.long", torch.arange(3)),
        ("module.int", torch.arange(3, dtype=torch.int32)),
        ("module.bool", torch.tensor([True, False])),
        ("module.empty", torch.zeros(0, 3)),
        ("module.number", 7),
        ("module.unknown", torch.Generator),
    ])


def extra():
    moment = base(3)
    return {"optimizer": {"state": {0: {"step": 1, "exp_avg": moment, "exp_avg_sq": moment}},
                          "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]},
            "scheduler": {"milestones": [1, 2], "last_epoch": -3, "gamma": 0.1, "large": 1 << 70}, "iteration": 70000}


def zip64(source, target):
    """The same archive with every size and offset in Zip64 fields and local sizes behind the data."""
    out, directory, count = b"", b"", 0
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            data, encoded = archive.read(name), name.encode()
            crc, at = zlib.crc32(data), len(out)
            out += struct.pack("<4s5H3L2H", b"PK\3\4", 45, 8, 0, 0, 0, 0, 0, 0, len(encoded), 0) + encoded + data
            out += struct.pack("<4sLQQ", b"PK\7\8", crc, len(data), len(data))
            field = struct.pack("<2H3Q", 1, 24, len(data), len(data), at)
            directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 45, 45, 8, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF,
                                     len(encoded), len(field), 0, 0, 0, 0, 0xFFFFFFFF) + encoded + field
            count += 1
    end = len(out) + len(directory)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(out))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 7) + b"comment"
    with open(target, "wb") as f:
        f.write(out + directory + record + locator + tail)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/data/checkpoints"
    os.makedirs(folder, exist_ok=True)
    path = lambda name: os.path.join(folder, name)
    torch.save({"model": tensors(), **extra()}, path("model.pth"))
    torch.save({"model": tensors(), **extra()}, path("legacy.pth"), _use_new_zipfile_serialization=False)
    torch.save({"state_dict": tensors()}, path("protocol4.pth"), pickle_protocol=4)
    torch.save(dict(tensors()), path("flat.pth"))
    zip64(path("model.pth"), path("zip64.pth"))


main()
