"""Triangles in .ply files: text or binary, either byte order.

The format: G. Turk, The PLY Polygon File Format, Stanford University, 1994.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from voxbench.errors import FileReadError, InputError

_NAMES: str = "char int8 uchar uint8 short int16 ushort uint16 int int32 uint uint32 float float32 double float64"
_CODES: str = "i1 i1 u1 u1 i2 i2 u2 u2 i4 i4 u4 u4 f4 f4 f8 f8"
_TYPES: dict[str, str] = {str(name): str(code) for name, code in zip(_NAMES.split(" "), _CODES.split(" "), strict=True)}
_FORMATS: dict[str, str] = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass
class Element:
    """What the header says of one kind of thing: how many; of each value its name and type (of a list, types)."""

    name: str
    count: int
    values: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def read_ply(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and faces (m, 3); other values are passed over.

    Raises:
        FileReadError: Damaged, or no .ply file.
        InputError: Some faces are no triangles.
    """
    order, elements, body = _header(content)
    tables = _text(elements, body) if order == "" else _binary(elements, body, order)
    if "vertex" not in tables or not {"x", "y", "z"} <= set(tables["vertex"].dtype.names or ()):
        raise FileReadError("damaged: no vertices with x, y, z")
    vertices = np.stack([tables["vertex"][axis].astype(np.float64) for axis in "xyz"], axis=1)
    if "face" not in tables:
        return vertices, np.empty((0, 3), np.int64)
    name = next(name for name in tables["face"].dtype.names or () if name in _CORNERS)
    return vertices, tables["face"][name].astype(np.int64)


def write_ply(vertices: np.ndarray, faces: np.ndarray, comment: str) -> bytes:
    """A binary file; vertices as double."""
    header = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {len(vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    corners = np.zeros(len(faces), np.dtype([("n", "u1"), ("corners", "<i4", 3)]))
    corners["n"], corners["corners"] = 3, faces
    return ("\n".join(header) + "\n").encode("ascii") + vertices.astype("<f8").tobytes() + corners.tobytes()


def _header(content: bytes) -> tuple[str, list[Element], bytes]:
    """Byte order ('' for text), the elements, and what follows."""
    head, found, body = content.partition(b"end_header")
    if not content.startswith(b"ply") or not found:
        raise FileReadError("damaged, or no .ply file: its header is not whole")
    words = [line.split() for line in head.decode("latin-1").splitlines()]
    try:
        order = next(_FORMATS[kind] for name, kind, *_ in (line for line in words if len(line) > 1) if name == "format")
        elements = _elements(words)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        raise FileReadError(f"damaged: its header is not understood: {error}") from error
    return order, elements, body.removeprefix(b"\r").removeprefix(b"\n")


def _elements(words: list[list[str]]) -> list[Element]:
    elements: list[Element] = []
    for line in words:
        match line:
            case ["element", name, count]:
                elements.append(Element(name, int(count)))
            case ["property", "list", number, kind, name]:
                elements[-1].values.append((name, (_TYPES[number], _TYPES[kind])))
            case ["property", kind, name]:
                elements[-1].values.append((name, (_TYPES[kind],)))
    return elements


def _layout(element: Element, order: str) -> tuple[np.dtype, list[str]]:
    """One thing as a record, if each of its lists has three values; the names of the lists' lengths."""
    fields, lengths = [], []
    for name, types in element.values:
        if len(types) == 2:
            lengths.append(f"{name}:length")
            fields.append((lengths[-1], order + types[0]))
            fields.append((name, order + types[1], 3))
        else:
            fields.append((name, order + types[0]))
    return np.dtype(fields), lengths


def _wanted(elements: list[Element]) -> list[Element]:
    """Elements up to the faces; those after them do not matter."""
    names = [element.name for element in elements]
    chosen = elements[: names.index("face") + 1] if "face" in names else elements
    for element in chosen:
        lists = [name for name, types in element.values if len(types) == 2]
        if not element.values or (element.name == "face" and not set(lists) & set(_CORNERS)):
            raise FileReadError(f"damaged: its header does not say what a {element.name} is")
        if element.name == "face" and len(lists) > 1:
            raise InputError("faces with more lists than their corners (textures?) are not read; write it without")
    return chosen


def _binary(elements: list[Element], body: bytes, order: str) -> dict[str, np.ndarray]:
    tables, at = {}, 0
    for element in _wanted(elements):
        layout, lengths = _layout(element, order)
        available = (len(body) - at) // layout.itemsize
        table = np.frombuffer(body, layout, min(element.count, available), at)
        _require_triangles(table, lengths)
        if available < element.count:
            raise FileReadError(
                f"damaged: it states {element.count} of {element.name}, there are {available} (cut off?)"
            )
        tables[element.name] = table
        at += element.count * layout.itemsize
    return tables


def _text(elements: list[Element], body: bytes) -> dict[str, np.ndarray]:
    lines = [line for line in body.splitlines() if line.strip()]
    tables, at = {}, 0
    for element in _wanted(elements):
        layout, lengths = _layout(element, "=")
        own = lines[at : at + element.count]
        if len(own) < element.count:
            raise FileReadError(
                f"damaged: it states {element.count} of {element.name}, there are {len(own)} (cut off?)"
            )
        at += element.count
        tables[element.name] = _rows(own, layout, lengths, element)
    return tables


def _rows(lines: list[bytes], layout: np.dtype, lengths: list[str], element: Element) -> np.ndarray:
    """Lines of numbers as records."""
    columns = sum(4 if len(types) == 2 else 1 for _, types in element.values)
    if any(len(line.split()) != columns for line in lines):
        if lengths:
            raise InputError("faces must be triangles; some are not\n  triangulate it in a mesh editor first")
        raise FileReadError(f"damaged: a {element.name} with too few or too many values")
    try:
        numbers = np.array(b" ".join(lines).split()).reshape(-1, columns).astype(np.float64)
    except ValueError as error:
        raise FileReadError(f"damaged: values that are not numbers: {error}") from error
    table, column = np.zeros(len(lines), layout), 0
    for name in layout.names or ():
        width = 3 if layout[name].shape else 1
        table[name] = numbers[:, column : column + width].reshape(table[name].shape)
        column += width
    _require_triangles(table, lengths)
    return table


def _require_triangles(table: np.ndarray, lengths: list[str]) -> None:
    for name in lengths:
        wrong = table[name][table[name] != 3]
        if wrong.size:
            raise InputError(
                f"faces must be triangles; one has {int(wrong[0])} corners\n  triangulate it in a mesh editor first"
            )
