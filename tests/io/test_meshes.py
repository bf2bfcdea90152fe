"""Meshes in files: what is written is read again, what others write is read, what is damaged is refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import Mesh
from voxbench.io import read_mesh, write_mesh

TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [1 / 3, 0, 0], [0, 1e-5, 0], [0, 0, -123.456]]),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]),
)


def corners(mesh: Mesh) -> np.ndarray:
    return mesh.vertices[mesh.faces]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), suffix=st.sampled_from([".obj", ".ply"]), space=st.sampled_from(["RAS", "LPS"]))
def test_obj_and_ply_keep_every_bit_and_the_order(seed, suffix, space, tmp_path_factory):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(0, 10.0 ** rng.integers(-6, 6), (12, 3))
    mesh = Mesh(vertices[[0, 0, *range(10)]], rng.integers(0, 12, (7, 3)))  # a doubled vertex stays double
    path = tmp_path_factory.mktemp("mesh") / f"mesh{suffix}"
    write_mesh(path, mesh, space=space)
    back = read_mesh(path)
    np.testing.assert_array_equal(back.vertices, mesh.vertices)
    np.testing.assert_array_equal(back.faces, mesh.faces)


def test_stl_keeps_the_faces_in_float32_and_joins_equal_corners(tmp_path):
    write_mesh(tmp_path / "mesh.stl", TETRAHEDRON)
    back = read_mesh(tmp_path / "mesh.stl")
    np.testing.assert_array_equal(corners(back), corners(TETRAHEDRON).astype(np.float32))
    assert len(back.vertices) == 4
    assert back.is_watertight


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl"])
def test_trimesh_reads_what_we_write(suffix, tmp_path):
    write_mesh(tmp_path / f"mesh{suffix}", TETRAHEDRON)
    theirs = trimesh.load(tmp_path / f"mesh{suffix}", process=False)
    np.testing.assert_allclose(theirs.triangles, corners(TETRAHEDRON), rtol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".obj", {}), (".ply", {}), (".ply", {"encoding": "ascii"}), (".stl", {}), (".stl_ascii", {})],
)
def test_we_read_what_trimesh_writes(suffix, options, tmp_path):
    sphere = trimesh.creation.icosphere(2, 7.0)
    path = tmp_path / f"mesh{suffix.removesuffix('_ascii')}"
    content = sphere.export(file_type=suffix[1:], **options)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    mesh = read_mesh(path)
    np.testing.assert_allclose(corners(mesh), sphere.triangles, atol=1e-6)
    assert mesh.is_watertight


def test_obj_with_normals_textures_colours_and_counting_from_the_end_is_read(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text(
        "# made by hand\r\nmtllib x.mtl\r\no bone\r\nv 0 0 0 0.5 0.5 0.5\r\nv 1 0 0 1 1 1\r\nv 0 1 0 0 0 0\r\n"
        "vt 0 0\r\nvn 0 0 1\r\ng a\r\nusemtl m\r\ns off\r\nf 1/1/1 2//1 3/1\r\nf -3 -2 -1\r\n"
    )
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 1, 2]])


def test_ply_of_either_byte_order_with_further_values_is_read(tmp_path):
    header = (
        "ply\nformat binary_big_endian 1.0\ncomment SPACE=LPS\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property uchar red\nproperty float z\nelement face 1\nproperty uchar quality\n"
        "property list uint8 uint32 vertex_index\nend_header\n"
    )
    body = b"".join(struct.pack(">ffBf", x, y, 7, z) for x, y, z in ((1, 2, 3), (4, 5, 6), (7, 8, 10)))
    path = tmp_path / "mesh.ply"
    path.write_bytes(header.encode() + body + struct.pack(">BB3I", 1, 3, 2, 1, 0))
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.vertices, [[-1, -2, 3], [-4, -5, 6], [-7, -8, 10]])
    np.testing.assert_array_equal(mesh.faces, [[2, 1, 0]])
    np.testing.assert_array_equal(read_mesh(path, space="RAS").vertices[0], [1, 2, 3])


def test_the_axes_stated_in_a_file_hold_unless_the_caller_knows_better(tmp_path):
    path = tmp_path / "mesh.obj"
    write_mesh(path, TETRAHEDRON, space="LPS")
    assert "SPACE=LPS" in path.read_text()
    np.testing.assert_array_equal(read_mesh(path).vertices, TETRAHEDRON.vertices)
    np.testing.assert_array_equal(read_mesh(path, space="RAS").vertices, TETRAHEDRON.vertices * [-1, -1, 1])
    assert read_mesh(path, space="RAS").volume == pytest.approx(read_mesh(path).volume, rel=1e-12)


OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
PLY = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
BAD = {
    "empty": ("a.obj", b"", FileReadError, "empty"),
    "unknown": ("a.off", b"OFF", FileReadError, "known are .obj, .stl, .ply"),
    "an image": ("a.obj", b"\x89PNG\r\n\x1a\n", FileReadError, "0 vertices, 0 faces"),
    "no faces": ("a.obj", OBJ.encode(), FileReadError, "3 vertices, 0 faces"),
    "quads": ("a.obj", (OBJ + "v 1 1 0\nf 1 2 4 3\n").encode(), InputError, "one has 4 corners"),
    "cut in a face": ("a.obj", (OBJ + "f 1 2 3\nf 1 2").encode(), FileReadError, "a face has 2 corners"),
    "cut in a vertex": ("a.obj", b"v 0 0 0\nv 1 0\nf 1 2 1\n", FileReadError, "cut off"),
    "flat": ("a.obj", b"v 0 0\nv 1 0\nf 1 2 1\n", FileReadError, "a vertex has 2 coordinates"),
    "words": ("a.obj", (OBJ + "f 1 2 x\n").encode(), FileReadError, "not numbers"),
    "zero": ("a.obj", (OBJ + "f 0 1 2\n").encode(), FileReadError, "counts from 1"),
    "beyond": ("a.obj", (OBJ + "f 1 2 9\n").encode(), InputError, "0 to 8; there are 0 to 2"),
    "nan": ("a.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", InputError, "1 of 3 vertices are NaN"),
    "short stl": ("a.stl", b"\0" * 80 + struct.pack("<I", 9) + b"\0" * 50, FileReadError, "9 faces, which take 534"),
    "tiny stl": ("a.stl", b"\0" * 10, FileReadError, "there are 10"),
    "no triangles": ("a.stl", b"\0" * 80 + struct.pack("<I", 0), InputError, "without faces"),
    "cut text stl": ("a.stl", b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\n", FileReadError, "endsolid"),
    "odd text stl": ("a.stl", b"solid a\nvertex 0 0 0\nvertex 1 0 0\nendsolid", FileReadError, "whole triangles"),
    "no ply": ("a.ply", b"plywood", FileReadError, "no .ply"),
    "strange ply": ("a.ply", b"ply\nformat ebcdic 1.0\nend_header\n", FileReadError, "not understood"),
    "points only": ("a.ply", (PLY + "end_header\n0 0 0\n1 0 0\n0 1 0\n").encode(), InputError, "without faces"),
    "quads in ply": ("a.ply", (PLY + FACES + "0 0 0\n1 0 0\n0 1 0\n4 0 1 2 0\n").encode(), InputError, "triangles"),
    "short ply": ("a.ply", (PLY + FACES + "0 0 0\n1 0 0\n").encode(), FileReadError, "3 of vertex, there are 2"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_damaged_is_refused_with_its_name_and_the_reason(kind, tmp_path):
    name, content, error, says = BAD[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=f"(?s){name}.*{says}"):
        read_mesh(tmp_path / name)


def test_a_binary_ply_cut_off_or_with_quads_is_refused(tmp_path):
    path = tmp_path / "mesh.ply"
    write_mesh(path, TETRAHEDRON)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(FileReadError, match="4 of face, there are 3"):
        read_mesh(path)
    path.write_bytes(whole[:-13] + b"\x04" + whole[-12:])
    with pytest.raises(InputError, match="one has 4 corners"):
        read_mesh(path)


def test_missing_files_folders_and_unknown_suffixes_are_refused(tmp_path):
    with pytest.raises(FileReadError, match="no such file"):
        read_mesh(tmp_path / "none.obj")
    with pytest.raises(FileReadError, match="folder"):
        read_mesh(tmp_path)
    with pytest.raises(FileWriteError, match=r"known are \.obj"):
        write_mesh(tmp_path / "mesh.off", TETRAHEDRON)
    with pytest.raises(FileWriteError, match="does not exist"):
        write_mesh(tmp_path / "none" / "mesh.obj", TETRAHEDRON)
    assert not list(tmp_path.iterdir())


def test_a_real_bone_reads_as_trimesh_reads_it(real_data):
    path = real_data / "knee" / "vhf_right_patella.stl"
    theirs = trimesh.load(io.BytesIO(path.read_bytes()), file_type="stl", process=False)
    np.testing.assert_array_equal(corners(read_mesh(path, space="RAS")), theirs.triangles)
