"""Writes float32 arrays to a GGUF file (version 3), reads them, bfloat16 and int32 ones: enough for test data and trained models."""
import struct

import numpy as np

ALIGNMENT = 64
TYPE_U32, TYPE_STRING, TYPE_ARRAY = 4, 8, 9
TENSOR_F32, TENSOR_I32, TENSOR_BF16 = 0, 26, 30
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}        # bytes of the metadata types of one size


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


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def numbers(self, form):
        out = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return out

    def string(self):
        n, = self.numbers("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def skip_value(self, kind):
        if kind == TYPE_STRING:
            self.string()
        elif kind == TYPE_ARRAY:
            kind, n = self.numbers("IQ")
            for _ in range(n):
                self.skip_value(kind)
        else:
            self.at += SIZES[kind]


def read(path):
    """-> {name: array}, float32 or int32; the metadata are passed over."""
    with open(path, "rb") as f:
        r = _Reader(f.read())
    _, _, count, fields = r.numbers("4sIQQ")
    for _ in range(fields):
        r.string()
        r.skip_value(*r.numbers("I"))
    infos = []
    for _ in range(count):
        name, (dims,) = r.string(), r.numbers("I")
        infos.append((name, r.numbers("%dQ" % dims)[::-1], *r.numbers("IQ")))
    start, out = -(-r.at // ALIGNMENT) * ALIGNMENT, {}
    for name, shape, kind, offset in infos:
        stored = {TENSOR_F32: "<f4", TENSOR_I32: "<i4", TENSOR_BF16: "<u2"}[kind]
        a = np.frombuffer(r.data, stored, int(np.prod(shape)), start + offset).reshape(shape)
        out[name] = (a.astype("<u4") << 16).view("<f4") if kind == TENSOR_BF16 else a
    return out
