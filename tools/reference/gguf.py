"""Writes float32 arrays to a GGUF file (version 3): enough for test data."""
import struct

import numpy as np

ALIGNMENT = 64
TYPE_U32, TYPE_STRING = 4, 8
TENSOR_F32 = 0


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def write(path, tensors, metadata=None):
    """tensors: {name: float array}; metadata: {key: int or str}."""
    fields = {"general.architecture": "glip", "general.alignment": ALIGNMENT, **(metadata or {})}
    keys, infos, offset = b"", b"", 0
    arrays = {name: np.ascontiguousarray(np.atleast_1d(a), dtype=np.float32) for name, a in tensors.items()}
    for key, value in fields.items():
        keys += _string(key)
        keys += struct.pack("<I", TYPE_STRING) + _string(value) if isinstance(value, str) else struct.pack(
            "<II", TYPE_U32, value)
    for name, a in arrays.items():
        infos += _string(name) + struct.pack("<I", a.ndim) + struct.pack("<%dQ" % a.ndim, *reversed(a.shape))
        infos += struct.pack("<IQ", TENSOR_F32, offset)
        offset += -(-a.nbytes // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(fields)) + keys + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT))
        for a in arrays.values():
            f.write(a.tobytes() + bytes(-a.nbytes % ALIGNMENT))
