"""The package articulated-ssm, where it is installed: here a small one of formulas in its files' form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxbench.errors import FileReadError, InputError, MissingToolError
from voxbench.geometry import Mesh
from voxbench.geometry.contact import separation
from voxbench.geometry.shapes import ShapeModel, part_of, principal_modes, side_by_side
from voxbench.io import articulated_limbs
from voxbench.io.articulated_limbs import BONES, FACES, MODEL, NODES, installed_folder, read_articulated_knee
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

KNEE = analytic_knee(6.0)
LIMBS = part_of(KNEE, *BONES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten people who differ in size and a little else; x to the front, y up, z to the right, as theirs."""
    rng = np.random.default_rng(2)
    people = np.stack([LIMBS.vertices(c) for c in rng.standard_normal((10, 2)) * [1.0, 0.5]])
    mean, modes, deviations = principal_modes(people[:, :, [1, 2, 0]])
    scores = np.stack([modes.reshape(len(modes), -1) @ (p[:, [1, 2, 0]] - mean).ravel() for p in people], axis=1)
    np.savez(
        tmp_path / MODEL,
        mean=mean.ravel().astype(np.float32),
        modes=modes.reshape(len(modes), -1).T.astype(np.float32),
        weights=deviations**2,
        projectedWeights=scores.astype(np.float32),
        SD=np.array(None, dtype=object),
    )
    lines = [f"{name} {LIMBS.ranges[bone].start} {LIMBS.ranges[bone].stop}" for bone, name in BONES.items()]
    (tmp_path / NODES).write_text("\n".join(lines) + "  \n")
    faces = np.concatenate([LIMBS.faces[bone] + LIMBS.ranges[bone].start for bone in BONES])
    text = f"ply\r\nformat ascii 1.0\r\nelement vertex {len(mean)}\r\nproperty float x\r\nproperty float y\r\n"
    text += f"property float z\r\nelement face {len(faces)}\r\nproperty list uchar int vertex_indices\r\nend_header\r\n"
    text += "".join(f"{x} {y} {z} \r\n" for x, y, z in mean) + "".join(f"3 {a} {b} {c} \r\n" for a, b, c in faces)
    (tmp_path / FACES).write_text(text)
    return tmp_path


def test_four_closed_bones_of_a_right_leg_come_out(folder: Path) -> None:
    model = read_articulated_knee(folder, KNEE.mirrored())
    assert (model.side, set(model.bones)) == ("right", {"femur", "fibula", "tibia", "patella"})
    for coefficients in ([], [2.0], [-2.0]):
        assert all(mesh.is_closed and mesh.volume > 0 for mesh in model.sample(coefficients).values())
    bones = model.sample([])
    assert separation(bones["femur"], bones["tibia"]) == pytest.approx(4.5, abs=0.02)
    assert separation(bones["femur"], bones["patella"]) == pytest.approx(4.0, abs=0.02)
    assert bones["fibula"].vertices[:, 0].mean() > bones["tibia"].vertices[:, 0].mean()
    np.testing.assert_allclose((model.modes**2).sum(axis=(1, 2)), 1)


def test_the_patella_grows_with_the_femur(folder: Path) -> None:
    model = read_articulated_knee(folder, KNEE)
    small, large = model.sample([-2.0]), model.sample([2.0])

    def width(mesh: Mesh) -> float:
        return float(np.ptp(mesh.vertices[mesh.vertices[:, 2] < mesh.vertices[:, 2].min() + 40, 0]))

    growth = [width(large[bone]) / width(small[bone]) for bone in ("femur", "patella")]
    assert max(growth[0], 1 / growth[0]) > 1.1
    assert growth[1] == pytest.approx(growth[0], rel=0.03)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("name", "damage", "named", "said"),
    [
        (MODEL, cut, MODEL, "no archive of arrays"),
        (NODES, lambda _: b"Fem_R 0 12", NODES, "has no Fib_R, Tib_R"),
        (NODES, lambda _: b"Fem_R 0 12 Fib_R 12 20 Tib_R 20 30", FACES, r"do not fit the \d+ vertices of the"),
        (FACES, cut, FACES, ""),
        (FACES, None, FACES, "no such file"),
    ],
)
def test_damaged_files_are_refused_by_name(folder: Path, name: str, damage: object, named: str, said: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage is not None:
        (folder / name).write_bytes(damage(content))
    with pytest.raises(FileReadError, match=f"{named}.*{said}"):
        read_articulated_knee(folder, KNEE)


def test_where_it_is_not_installed_it_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articulated_limbs, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(MissingToolError, match=r"articulated-ssm is not installed\n.*states no licence"):
        installed_folder()


def test_a_part_of_a_model_has_the_same_spread() -> None:
    part = part_of(KNEE, "tibia", "femur")
    assert part.bones == ("tibia", "femur")
    whole, own = KNEE.derivative[:, KNEE.ranges["tibia"]], part.derivative[:, part.ranges["tibia"]]
    ours, theirs = (np.einsum("knd,knd->nd", d, d) for d in (own, whole))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(part.sample([])["femur"].vertices, KNEE.sample([])["femur"].vertices)


def test_models_side_by_side_vary_independently() -> None:
    one, other = part_of(KNEE, "femur"), part_of(KNEE, "patella")
    both: ShapeModel = side_by_side(one, other)
    assert both.bones == ("femur", "patella")
    first = both.sample([1.5])
    np.testing.assert_array_equal(first["femur"].vertices, one.sample([1.5])["femur"].vertices)
    np.testing.assert_array_equal(first["patella"].vertices, other.sample([])["patella"].vertices)
    for bad in (replace(other, side="left"), one):
        with pytest.raises(InputError, match="do not go together"):
            side_by_side(one, bad)
