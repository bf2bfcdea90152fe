"""Ways to spoil what lies inside archives and containers: gzip, zip, .npy, safetensors, DICOM; bombs and pickles."""

from __future__ import annotations

import functools
import gzip
import io
import json
import re
import warnings
import zipfile
import zlib
from typing import Any

import numpy as np

from bench.fuzz_mutations import WHOLE, Mutation, Rng, bits_flipped, json_node, number_in_text, number_planted

BOMB_BYTES = 256 << 20
MARKER = "unpickled"
"""File that a planted pickle makes in the working folder if somebody loads it."""


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
    except Exception:  # no longer what NumPy wrote
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
    except (ValueError, KeyError, RecursionError):
        return bits_flipped(data, rng)
    head["__metadata__"]["voxbench"] = json_node(card, rng).decode()
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def dicom_element(data: bytes, rng: Rng) -> bytes:
    """Values of some elements extreme, missing, or of another kind."""
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
