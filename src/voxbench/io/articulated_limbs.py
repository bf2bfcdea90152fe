"""The shape model of the package articulated-ssm, where the user has installed it, as a `ShapeModel` of the knee.

The package (L. Carman and T. Salemink, Auckland) holds 10 principal components and the coefficients of 327 people's
pelvis, femur, fibula and tibia. It states no licence: it is neither fetched nor kept here, only read where it is
installed, and never imported. The bones are small on average and their size varies by a sixth, as among children.
It has no patella; that of musculoskeletal-models is put in its place, scaled like the end of the femur, and otherwise
varying by itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, InputError, MissingToolError
from voxbench.geometry.articulation import PATELLA_CENTRE
from voxbench.geometry.seating import seated
from voxbench.geometry.shapes import ShapeModel, part_of, side_by_side
from voxbench.io.arrays import read_arrays
from voxbench.io.atomic import require_file
from voxbench.io.lower_limbs import knee_of_people

PACKAGE = "articulated_ssm_both_sides"
FOLDER = Path("coupled_ssm") / "pel_fem_tib_fib_both_side"
MODEL, FACES, NODES = (
    "shape_model_right_side.pc.npz",
    "shape_model_right_side_mean.ply",
    "Coupled_SSM_node_nrs_per_bone_mesh_right.txt",
)
BONES = {"femur": "Fem_R", "fibula": "Fib_R", "tibia": "Tib_R"}
END_MM = 40.0
SOURCE = "articulated-ssm, no licence stated, 327 people"


def installed_folder() -> Path:
    """Where the installed package keeps its shape model.

    Raises:
        MissingToolError: It is not installed.
    """
    found = find_spec(PACKAGE)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise MissingToolError(
            "the package articulated-ssm is not installed\n  it is never fetched, for it states no licence: "
            "pip install --no-deps articulated-ssm if you may use it"
        )
    return Path(places[0]) / FOLDER


def read_articulated_knee(folder: Path, patella: ShapeModel) -> ShapeModel:
    """The knee of 327 people, right leg.

    Args:
        folder: Where the package's right-sided model lies.
        patella: A knee whose patella is taken, on either side.

    Raises:
        FileReadError: A file is missing, damaged, or not what it is known to be.
    """
    ranges = _ranges(folder / NODES)
    faces = _faces(folder / FACES)
    people = _people(folder / MODEL, max(stop for _, stop in ranges.values()))
    vertices, own = {}, {}
    for bone, (start, stop) in ranges.items():
        vertices[bone] = people[:, start:stop]
        own[bone] = faces[((faces >= start) & (faces < stop)).all(axis=1)] - start
        if not own[bone].size or int(own[bone].max()) + 1 != stop - start:
            raise FileReadError(f"{folder / FACES}: its faces do not fit the {stop - start} vertices of the {bone}")
    try:
        limbs = knee_of_people(vertices, own, "right", SOURCE)
    except InputError as error:
        raise FileReadError(f"{folder / MODEL}: no bones of a knee: {error}") from error
    return seated(_with_patella(limbs, patella.on("right")))


def _with_patella(limbs: ShapeModel, donor: ShapeModel) -> ShapeModel:
    """A patella put before the femur, as much larger or smaller as the femur's end is."""
    kneecap = part_of(donor, "patella")
    scale = _width(limbs) / _width(donor)
    place = kneecap.landmarks[PATELLA_CENTRE] * scale
    shapes = (kneecap.mean * scale, kneecap.modes, kneecap.deviations * scale)
    scaled = ShapeModel(*shapes, kneecap.faces, {PATELLA_CENTRE: place}, "right", donor.source)
    together = side_by_side(limbs, scaled)
    femur = limbs.ranges["femur"]
    end = np.flatnonzero(limbs.mean[femur][:, 2] < END_MM) + femur.start
    shape = limbs.mean[end] - limbs.mean[end].mean(axis=0)
    growth = np.einsum("knd,nd->k", limbs.modes[:, end], shape) / (shape**2).sum()
    modes = together.modes.copy()
    part = together.ranges["patella"]
    modes[: len(growth), part] = growth[:, None, None] * (together.mean[part] - place)
    length = np.sqrt((modes**2).sum(axis=(1, 2)))
    return replace(together, modes=modes / length[:, None, None], deviations=together.deviations * length)


def _width(model: ShapeModel) -> float:
    """Width of the femur's end, mm."""
    femur = model.mean[model.ranges["femur"]]
    return float(np.ptp(femur[femur[:, 2] < END_MM, 0]))


def _ranges(path: Path) -> dict[str, tuple[int, int]]:
    """First vertex of each bone and the one after its last."""
    text = require_file(path).read_text(encoding="utf-8", errors="replace")
    rows = {row[0]: (int(row[1]), int(row[2])) for row in re.findall(r"(\w+)\s+(\d+)\s+(\d+)", text)}
    lacking = [name for name in BONES.values() if name not in rows]
    if lacking:
        raise FileReadError(f"{path}: has no {', '.join(lacking)}")
    return {bone: rows[name] for bone, name in BONES.items()}


def _people(path: Path, count: int) -> np.ndarray:
    """Everybody's vertices, x to the right, y to the front, z up, mm, (327, n, 3)."""
    content = read_arrays(path, pass_over=True)
    try:
        mean, modes, scores = (content[key].astype(np.float64) for key in ("mean", "modes", "projectedWeights"))
        used = 3 * count
        people = (mean[:used] + (modes[:used] @ scores).T).reshape(scores.shape[1], count, 3)
    except (KeyError, ValueError) as error:
        raise FileReadError(f"{path}: not the principal components that are known here: {error}") from error
    return people[:, :, [2, 0, 1]]  # theirs: front, up, right


def _faces(path: Path) -> np.ndarray:
    """The triangles of a text .ply."""
    from voxbench.io.meshes import read_mesh

    return np.asarray(read_mesh(path).faces, np.int64)
