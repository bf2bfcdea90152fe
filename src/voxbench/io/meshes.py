"""Surface meshes in .obj, .stl and .ply files.

The world is RAS+ mm inside. None of these formats says which way its axes point or what its unit is: coordinates are
taken as mm. A file may state its axes in a comment, ``SPACE=LPS`` or ``SPACE=RAS`` (3D Slicer's habit); without one
they are taken as RAS unless the caller says ``space="LPS"``. What is written states its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry.mesh import Mesh, same_positions
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.ply import read_ply, write_ply

Space = Literal["RAS", "LPS"]
Parts = tuple[np.ndarray, np.ndarray]

_STATED = re.compile(rb"SPACE=(RAS|LPS)")
_COMMENTS = 4096
_STL_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_STL_HEADER = 84
_LPS = np.array([-1.0, -1.0, 1.0])


def read_mesh(path: AnyPath, *, space: Space | None = None) -> Mesh:
    """Read a triangle mesh; vertices and faces keep their number and order, nothing is merged or removed.

    Only in .stl files, where every face has corners of its own, those at exactly the same position become one vertex.

    Args:
        path: A .obj, .stl (text or binary) or .ply file.
        space: Which way its axes point; if not given, as the file states in a comment, else RAS.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        InputError: Faces that are no triangles, vertices that are not finite, or nothing there; the file is named.
    """
    path = require_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise FileReadError(f"{path}: unknown kind of mesh\n  known are {', '.join(READERS)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileReadError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        vertices, faces = reader(content)
        if (space or _stated_space(content)) == "LPS":
            vertices = vertices * _LPS  # half a turn: faces still turn the same way
        return Mesh(vertices, faces)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error


def write_mesh(path: AnyPath, mesh: Mesh, *, space: Space = "RAS") -> None:
    """Write a mesh, with a comment that states its axes.

    .obj and .ply keep every bit of the vertices; .stl is binary, in float32, and knows faces only.

    Args:
        path: A .obj, .stl or .ply file; replaced if there.
        mesh: What to write.
        space: Which way the axes point in the file.

    Raises:
        FileWriteError: Unknown suffix, or the file cannot be written.
    """
    writer = WRITERS.get(Path(path).suffix.lower())
    if writer is None:
        raise FileWriteError(f"{path}: unknown kind of mesh to write\n  known are {', '.join(WRITERS)}")
    vertices = mesh.vertices * _LPS if space == "LPS" else mesh.vertices
    content = writer(vertices, mesh.faces, f"voxbench SPACE={space}")
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _stated_space(content: bytes) -> str:
    """What a comment near the beginning says, else RAS."""
    found = _STATED.search(content[:_COMMENTS])
    return found[1].decode() if found else "RAS"


def _read_obj(content: bytes) -> Parts:
    """Lines ``v`` and ``f``; everything else (normals, textures, groups, materials) is passed over."""
    points = re.findall(rb"^v[ \t](.*)", content, re.MULTILINE)
    corners = re.findall(rb"^f[ \t](.*)", content, re.MULTILINE)
    if not points or not corners:
        raise FileReadError(f"no triangle mesh: {len(points)} vertices, {len(corners)} faces")
    columns = len(points[0].split())  # more than three: colours, or a fourth coordinate of 1
    if columns < 3:
        raise FileReadError(f"damaged: a vertex has {columns} coordinates")
    vertices = _numbers(b"\n".join(points), len(points), columns, ("vertices", np.float64))[:, :3]
    text = b"\n".join(corners)
    if b"/" in text:
        text = re.sub(rb"/\S*", b"", text)
    if len(text.split()) != 3 * len(corners):
        _refuse_faces([len(line.split()) for line in text.split(b"\n")])
    faces = _numbers(text, len(corners), 3, ("faces", np.int64))
    if (faces == 0).any():
        raise FileReadError("damaged: a face names vertex 0; .obj counts from 1")
    return vertices, np.where(faces > 0, faces - 1, faces + len(vertices))


def _refuse_faces(corners: list[int]) -> None:
    """Say which number of corners is wrong."""
    wrong = next(n for n in corners if n != 3)
    if wrong < 3:
        raise FileReadError(f"damaged: a face has {wrong} corners (cut off?)")
    raise InputError(f"faces must be triangles; one has {wrong} corners\n  triangulate it in a mesh editor first")


def _numbers(text: bytes, rows: int, columns: int, kind: tuple[str, type]) -> np.ndarray:
    """A table of numbers, its rows one after another."""
    what, dtype = kind
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, dtype, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise FileReadError(f"damaged: {what} that are not numbers (cut off?)") from error
    if len(values) != rows * columns:
        raise FileReadError(f"damaged: {what} with different numbers of values (cut off?)")
    return values.reshape(rows, columns)


def _write_obj(vertices: np.ndarray, faces: np.ndarray, comment: str) -> bytes:
    lines = [f"# {comment}"]
    lines += [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")


def _read_stl(content: bytes) -> Parts:
    """Binary if the size fits the number of faces it states, else text."""
    count = int.from_bytes(content[80:84], "little")
    expected = _STL_HEADER + count * _STL_FACE.itemsize
    if len(content) == expected:
        corners = np.frombuffer(content, _STL_FACE, count, _STL_HEADER)["corners"].reshape(-1, 3)
    elif content.lstrip().startswith(b"solid") and b"vertex" in content:
        if b"endsolid" not in content:
            raise FileReadError("damaged: the text ends before 'endsolid' (cut off?)")
        lines = re.findall(rb"vertex\s+([^\n]*)", content)
        if len(lines) % 3:
            raise FileReadError(f"damaged: {len(lines)} corners do not make whole triangles")
        corners = _numbers(b"\n".join(lines), len(lines), 3, ("corners", np.float64))
    else:
        raise FileReadError(f"damaged: it states {count} faces, which take {expected} bytes; there are {len(content)}")
    vertices = corners.astype(np.float64)
    kept, place = same_positions(vertices)
    return vertices[kept], place.reshape(-1, 3)


def _write_stl(vertices: np.ndarray, faces: np.ndarray, comment: str) -> bytes:
    out = np.zeros(len(faces), _STL_FACE)
    out["corners"] = vertices[faces]
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    out["normal"] = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
    return comment.encode("ascii").ljust(80) + len(faces).to_bytes(4, "little") + out.tobytes()


READERS: dict[str, Callable[[bytes], Parts]] = {".obj": _read_obj, ".stl": _read_stl, ".ply": read_ply}
WRITERS: dict[str, Callable[[np.ndarray, np.ndarray, str], bytes]] = {
    ".obj": _write_obj,
    ".stl": _write_stl,
    ".ply": write_ply,
}
