"""Ways to spoil a file: bytes, numbers in headers, members of archives, nodes of JSON, bombs."""

from __future__ import annotations

import functools
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]

BOMB_BYTES = 256 << 20
MARKER = "unpickled"
"""File that a planted pickle makes in the working folder if somebody loads it."""
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
    except ValueError:
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


def json_deep(data: bytes, rng: Rng) -> bytes:
    """Nested beyond any stack, or a number of 10,000 digits."""
    nested = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 10_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b"\\u0000" * 10 + b'"',
    ]
    return nested[rng.integers(len(nested))]


def inside_gzip(inner: Mutation) -> Mutation:
    """Mutate what is compressed, and compress again."""

    def mutate(data: bytes, rng: Rng) -> bytes:
        try:
            plain = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return bits_flipped(data, rng)
        return gzip.compress(inner(plain, rng), 1, mtime=0)

    return mutate


@functools.cache
def zeros_gzipped() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 6, mtime=0)


def gzip_bomb(data: bytes, rng: Rng) -> bytes:
    """A quarter of a GiB, or two, of zeros after the rest, in 260 kB each."""
    return data + zeros_gzipped() * int(rng.integers(1, 3))


def inside_zip(inner: Mutation) -> Mutation:
    """Mutate one member."""

    def mutate(data: bytes, rng: Rng) -> bytes:
        members = _members(data)
        if not members:
            return bits_flipped(data, rng)
        which = int(rng.integers(len(members)))
        members[which] = (members[which][0], inner(members[which][1], rng))
        return _zipped(members)

    return mutate


def zip_names(data: bytes, rng: Rng) -> bytes:
    """Names that lead outside, twice the same, links."""
    members = _members(data)
    if not members:
        return data
    names = (
        "../escaped",
        "/tmp/escaped",
        "..\\escaped",
        "a/../../escaped",
        "",
        "C:\\escaped",
        "x" * 300,
        members[0][0],
        "\u202egpj.npy",
        "link",
    )
    which, name = int(rng.integers(len(members))), names[rng.integers(len(names))]
    if rng.random() < 0.5:
        members[which] = (name, members[which][1])
    else:
        members.append((name, b"../../../../etc/passwd"))
    return _zipped(members, link=name == "link")


def zip_bomb(data: bytes, rng: Rng) -> bytes:
    """A member of a quarter of a GiB of zeros: under its own name, or another's."""
    members = _members(data) or [("a.npy", b"")]
    which = int(rng.integers(len(members)))
    head = members[which][1][:128] if rng.random() < 0.5 else b""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, (name, content) in enumerate(members):
            archive.writestr(name, head + bytes(BOMB_BYTES // 4) if number == which else content)
    return buffer.getvalue()


def _members(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # of what is no zip any more
        return []


def _zipped(members: list[tuple[str, bytes]], link: bool = False) -> bytes:
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o120777 if link and name == "link" else 0o100644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def npy_header(data: bytes, rng: Rng) -> bytes:
    """Another shape, another dtype, another order, in an .npy's header."""
    if not data.startswith(b"\x93NUMPY"):
        return bits_flipped(data, rng)
    shapes = (
        "()",
        "(0,)",
        "(-1,)",
        "(1, 2, 3, 4, 5)",
        "(99999999999,)",
        "(4294967296, 4294967296, 4294967296)",
        "(2**9,)",
        "3",
        "(1.5,)",
        "[3]",
        "(100000, 100000)",
        "(True,)",
        "'a'",
    )
    kinds = (
        "|O",
        "<f8",
        ">f2",
        "<c16",
        "|S5",
        "<U3",
        "|b1",
        "<M8[s]",
        "|V7",
        "<i99",
        "garbage",
        [("a", "<f4"), ("b", "|O")],
        "<f16",
    )
    size = int.from_bytes(data[8:10], "little")
    try:
        head = eval(data[10 : 10 + size], {"__builtins__": {}})
    except Exception:
        return bits_flipped(data, rng)
    which = rng.integers(4)
    text = repr(head).encode()
    if which == 0:
        text = re.sub(rb"'shape': \([^)]*\)", lambda _: b"'shape': " + shapes[rng.integers(len(shapes))].encode(), text)
    elif which == 1:
        text = repr({**head, "descr": kinds[rng.integers(len(kinds))]}).encode()
    elif which == 2:
        text = (b"[" * 5000, b"{" + b"'a':" * 3000, b"__import__('os').system('touch unpickled')", b"None")[
            rng.integers(4)
        ]
    else:
        text = repr({**head, "extra": 1}).encode()
    text = text + b" " * (-(len(text) + 11) % 64) + b"\n"
    return data[:8] + min(len(text), 65535).to_bytes(2, "little") + text + data[10 + size :]


class _Planted:
    """Unpickling it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (MARKER, "w")


def npy_pickle(data: bytes, rng: Rng) -> bytes:  # noqa: ARG001
    """An array of objects whose unpickling would leave a mark."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Planted(), {"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def bare_pickle(data: bytes, rng: Rng) -> bytes:  # noqa: ARG001
    """The whole file is a pickle, which NumPy would load if it were allowed to."""
    import pickle

    return pickle.dumps(_Planted(), protocol=int(rng.integers(2, 6)))


def safetensors_header(data: bytes, rng: Rng) -> bytes:
    """The JSON at the beginning mutated, its length put right or not."""
    size = int.from_bytes(data[:8], "little")
    head = json_node(data[8 : 8 + size], rng) if rng.random() < 0.6 else number_in_text(data[8 : 8 + size], rng)
    stated = len(head) if rng.random() < 0.8 else WHOLE[rng.integers(len(WHOLE))] & (2**64 - 1)
    return stated.to_bytes(8, "little") + head + data[8 + size :]


def safetensors_card(data: bytes, rng: Rng) -> bytes:
    """What a network's card says mutated; everything else whole."""
    size = int.from_bytes(data[:8], "little")
    try:
        head = json.loads(data[8 : 8 + size])
        card = head["__metadata__"]["voxbench"].encode()
    except (ValueError, KeyError):
        return bits_flipped(data, rng)
    head["__metadata__"]["voxbench"] = json_node(card, rng).decode()
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def dicom_element(data: bytes, rng: Rng) -> bytes:
    """Values of some elements extreme, missing, or of another kind."""
    import warnings

    import pydicom

    texts = ("", "-1", "0", "nan", "1e308", "A" * 70, "1\\2", "1\\2\\3\\4\\5\\6\\7", "99999999999")
    whole = (0, 1, 3, 7, 12, 32, 64, 65535)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(io.BytesIO(data), force=True)
            holders = [ds, *_items(ds)]
            for _ in range(int(rng.integers(1, 4))):
                holder = holders[rng.integers(len(holders))] if rng.random() < 0.5 else ds
                tags = [element.tag for element in holder]
                element = holder[tags[rng.integers(len(tags))]]
                if rng.random() < 0.3:
                    del holder[element.tag]
                elif element.VR == "SQ":
                    element.value = list(element.value)[: int(rng.integers(0, 2))]
                elif element.VR in {"US", "SS", "UL", "SL"}:
                    element._value = whole[rng.integers(len(whole))]
                elif isinstance(element.value, bytes):
                    element._value = element.value[: int(rng.integers(0, len(element.value) + 1))]
                else:
                    element._value = texts[rng.integers(len(texts))]
            out = io.BytesIO()
            ds.save_as(out, enforce_file_format=False)
            return out.getvalue()
    except Exception:  # what cannot be written is mutated as bytes
        return number_planted(data, rng)


def _items(ds: Any) -> Any:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def dicom_bomb(data: bytes, rng: Rng) -> bytes:
    """The deflated transfer syntax, with 100 MB of zeros in a private element."""
    meta = b"\x02\x00\x10\x00UI\x16\x00" + b"1.2.840.10008.1.2.1.99"
    head = b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta
    size = 100 << 20
    body = b"\x09\x00\x10\x00OB\x00\x00" + size.to_bytes(4, "little")
    coder = zlib.compressobj(1, zlib.DEFLATED, -15)
    return head + coder.compress(body + bytes(size)) + coder.flush() + data[:0] + rng.bytes(2)


def yaml_bomb(data: bytes, rng: Rng) -> bytes:  # noqa: ARG001
    """References to references: a billion in a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 10)
    ]
    return "\n".join([*lines, "DSD: *a9", ""]).encode() + data
