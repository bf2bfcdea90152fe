"""Ways to spoil a file: its bytes, numbers in its header, words of its text, nodes of its JSON."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]

NUMBERS = (
    b"-1",
    b"0",
    b"1",
    b"3",
    b"255",
    b"65536",
    b"2147483647",
    b"4294967296",
    b"99999999999",
    b"1e309",
    b"nan",
    b"-inf",
    b"1e-320",
    b"9" * 400,
    b"9" * 5000,
    b"0x10",
    b"1.5",
    b"",
)
WORDS = (
    b"",
    b"../../../../etc/passwd",
    b"/etc/passwd",
    b"/dev/zero",
    b"LIST",
    b"LOCAL",
    b"%d.raw 1 9 1",
    b"A" * 70000,
    b"\0",
    b"\xff\xfe",
    b"gzip",
    b"bzip2",
    b"raw",
    b"ascii",
    b"none",
    b"True",
    b"float",
    b"list uchar",
    b"{",
    b"[" * 200,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "\0",
    "A" * 10000,
    [],
    {},
    [[]],
    {"0": 1},
    [1] * 1000,
    "1e400",
    2**63,
    -0.0,
)
WHOLE = (-1, 0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
REAL = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e38, 1e-38, 1e300, 65536.0)


def truncated(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, max(len(data), 1)))]


def bits_flipped(data: bytes, rng: Rng) -> bytes:
    out = np.frombuffer(data, np.uint8).copy()
    if not out.size:
        return data
    reach = out.size if rng.random() < 0.5 else min(out.size, 600)  # headers lie at the beginning
    at = rng.integers(0, reach, int(rng.integers(1, 17)))
    out[at] ^= (1 << rng.integers(0, 8, at.size)).astype(np.uint8)
    return out.tobytes()


def number_planted(data: bytes, rng: Rng) -> bytes:
    """An extreme number in binary, anywhere, more often near the beginning."""
    if rng.random() < 0.5:
        size, signed = [(1, "B"), (2, "H"), (4, "I"), (8, "Q")][rng.integers(4)]
        planted = struct.pack("<>"[rng.integers(2)] + signed, WHOLE[rng.integers(len(WHOLE))] & (256**size - 1))
    else:
        kind = "fd"[rng.integers(2)]
        value = REAL[rng.integers(len(REAL))]
        planted = struct.pack(
            "<>"[rng.integers(2)] + kind, value if kind == "d" else float(np.float32(np.clip(value, -3e38, 3e38)))
        )
    reach = len(data) if rng.random() < 0.3 else min(len(data), 400)
    at = int(rng.integers(0, max(reach, 1)))
    return data[:at] + planted + data[at + len(planted) :]


def block_lost(data: bytes, rng: Rng) -> bytes:
    at, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 200))
    return data[:at] + data[at + size :]


def block_twice(data: bytes, rng: Rng) -> bytes:
    at, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 2000))
    return data[: at + size] + data[at:]


def block_overwritten(data: bytes, rng: Rng) -> bytes:
    at, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 200))
    fill = [b"\0" * size, b"\xff" * size, rng.bytes(size)][rng.integers(3)]
    return data[:at] + fill + data[at + size :]


def wrong_magic(data: bytes, rng: Rng) -> bytes:
    heads = (
        b"\x1f\x8b\x08\x00",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"NRRD0005\n",
        b"solid ",
        b"\x80\x04\x95",
        b"DICM",
        b"BZh9",
        b"\x5c\x01\x00\x00",
        b"\x00\x00\x01\x5c",
        b"ply\n",
        b"{",
        b"\x89PNG\r\n\x1a\n",
        rng.bytes(16),
    )
    head = heads[rng.integers(len(heads))]
    return head + data[len(head) :]


def _replaced(pattern: bytes, choices: tuple[bytes, ...]) -> Mutation:
    def mutate(data: bytes, rng: Rng) -> bytes:
        reach = data[:4000] if rng.random() < 0.7 else data
        found = list(re.finditer(pattern, reach))
        if not found:
            return bits_flipped(data, rng)
        one = found[rng.integers(len(found))]
        return data[: one.start()] + choices[rng.integers(len(choices))] + data[one.end() :]

    return mutate


number_in_text = _replaced(rb"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", NUMBERS)
word_in_text = _replaced(rb"[A-Za-z][\w./-]*", WORDS)


def lines_shuffled(data: bytes, rng: Rng) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.integers(0, min(len(lines), 30), 2)
    action = rng.integers(3)
    if action == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif action == 1:
        del lines[one]
    else:
        lines.insert(one, lines[other])
    return b"\n".join(lines)


BYTES: dict[str, Mutation] = {
    "truncated": truncated, "bits flipped": bits_flipped, "number planted": number_planted, "block lost": block_lost,
    "block twice": block_twice, "block overwritten": block_overwritten, "wrong magic": wrong_magic,
}  # fmt: skip
TEXT = {"number in text": number_in_text, "word in text": word_in_text, "lines shuffled": lines_shuffled}


def nifti_field(data: bytes, rng: Rng) -> bytes:
    """A field of the header set to something extreme."""
    if len(data) < 348:
        return data
    dims = (0, 1, 2, 3, 7, 8, -1, 255, 1024, 32767, -32768)
    fields = [(40 + 2 * n, "h", dims) for n in range(8)] + [
        (70, "h", (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2304, 9999))
    ]
    fields += [
        (72, "h", (0, 1, 8, 16, 64, -1)),
        (68, "h", (1007, 1005, -1)),
        (252, "h", (0, 1, -5)),
        (254, "h", (0, 1, 5)),
        (0, "i", (348, 540, 0, -1)),
    ]
    fields += [(at, "f", REAL[:6]) for at in (76, 80, 84, 88, 108, 112, 116, *range(256, 328, 4))]
    fields += [(108, "f", (352.0, 1e9, -352.0, 0.0, float("nan"))), (344, "i", (0, 0x00316E69, -1))]
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, kind, values = fields[rng.integers(len(fields))]
        value = values[rng.integers(len(values))]
        struct.pack_into("<" + kind, out, at, float(np.float32(value)) if kind == "f" else value)
    return bytes(out)


def json_node(data: bytes, rng: Rng) -> bytes:
    """A node replaced, dropped, or a key renamed."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return bits_flipped(data, rng)
    places = list(_places(tree))
    if not places:
        return json.dumps(VALUES[rng.integers(len(VALUES))]).encode()
    for _ in range(int(rng.integers(1, 3))):
        holder, key = places[rng.integers(len(places))]
        try:
            _spoil(holder, key, rng)
        except (KeyError, IndexError):
            continue
    return json.dumps(tree).encode()


def _spoil(holder: Any, key: Any, rng: Rng) -> None:
    kind = rng.integers(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(VALUES[rng.integers(len(VALUES))])] = holder.pop(key)
    else:
        holder[key] = VALUES[rng.integers(len(VALUES))]


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def json_deep(data: bytes, rng: Rng) -> bytes:  # noqa: ARG001
    """Nested beyond any stack, or a number of 10,000 digits."""
    nested = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 10_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b"\\u0000" * 10 + b'"',
    ]
    return nested[rng.integers(len(nested))]


def yaml_bomb(data: bytes, rng: Rng) -> bytes:  # noqa: ARG001
    """References to references: a billion in a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 10)
    ]
    return "\n".join([*lines, "DSD: *a9", ""]).encode() + data
