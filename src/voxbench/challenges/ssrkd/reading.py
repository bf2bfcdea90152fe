"""What lies in ``processed/<case>/``, as values in the world.

Files have the names of the README (.npz) or of the released code (.nii.gz). Nothing is unpickled. A folder of other
origin has three factors in ``spacing.npz`` and no world: its volume is then put about the origin, with x to the front,
y to the left and z up (see ``processed``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.processed import AXES, Frame, Processed
from voxbench.errors import DimensionError, FileReadError, InputError
from voxbench.geometry import Affine, LabelMap, Mesh, Volume
from voxbench.io import read_mesh
from voxbench.io.arrays import read_arrays
from voxbench.io.read import read_raw
from voxbench.types import AnyArray

LABEL_NAMES = dict(enumerate(BONES, 1))
SAMPLES = tuple(f"{where}_{side}" for where in ("surface", "random") for side in ("inside", "outside"))
"""Names of the points in sampling.npz; those inside have ``..._labels`` too."""


@dataclass(frozen=True, eq=False)
class Views:
    """Images of a case.

    Attributes:
        stack: (views, rows, columns), row 0 on top.
        degrees: Of each view; None where the file does not say.
    """

    stack: AnyArray
    degrees: AnyArray | None

    def at(self, degrees: float) -> AnyArray:
        """The image of one angle, (rows, columns).

        Raises:
            InputError: There is no such view, or the file names no angles.
        """
        if self.degrees is None:
            raise InputError(f"the file names no angles; it has {len(self.stack)} views")
        apart = np.abs((self.degrees - degrees + 180) % 360 - 180)
        if apart.min() > 0.01:
            raise InputError(f"no view at {degrees:g} degrees; there are {', '.join(f'{d:g}' for d in self.degrees)}")
        return self.stack[int(apart.argmin())]


def read_frame(case: Processed) -> Frame:
    """Between stored points and the world.

    Raises:
        FileReadError: ``spacing.npz`` is missing, damaged, or holds no factors.
    """
    content = read_arrays(case.spacing)
    half = content.get("mesh")
    if half is None or half.shape != (3,) or not (np.isfinite(half).all() and (half > 0).all()):
        raise FileReadError(f"{case.spacing}: no factors `mesh`: three lengths in mm, half the extent along z, y, x")
    if "world_from_stored" in content:
        return Frame(half, Affine(content["world_from_stored"], "world", "stored"))
    linear = AXES[:, ::-1] * np.asarray(half, np.float64)
    return Frame(half, Affine.from_parts(linear, np.zeros(3), "world", "stored"))


def read_ct(case: Processed, which: Literal["small", "large"] = "small") -> Volume:
    """A volume of 0 to 255 in the world; its i, j, k are the stored x, y, z.

    Args:
        case: Whose.
        which: ``ct_256x`` or ``ct_512x``.

    Raises:
        FileReadError: It is missing or damaged.
        DimensionError: It is no volume.
    """
    array = _volume(case.small_ct if which == "small" else case.large_ct)
    return Volume(array, read_frame(case).grid(array.shape))


def read_labels(case: Processed) -> LabelMap:
    """The bones, 1 to 4 in the order of `BONES`, on the grid of the large volume.

    Raises:
        FileReadError: It is missing or damaged.
        InputError: Other values are there.
    """
    array = _volume(case.labels)
    if array.dtype.kind not in "iu" and not np.array_equal(array, np.rint(array)):
        raise InputError(f"{case.labels}: label values must be whole numbers")
    low, high = array.min(), array.max()
    if low < 0 or high > len(BONES):
        raise InputError(f"{case.labels}: label values {low:g} to {high:g}; expected 0 to {len(BONES)}")
    return LabelMap(array.astype(np.uint8), read_frame(case).grid(array.shape), dict(LABEL_NAMES))


def read_radiographs(case: Processed) -> Views:
    """``projs.npz``: line integrals in the organisers' scale, float32.

    Raises:
        FileReadError: It is missing, damaged, or holds no stack of images.
    """
    return _views(case.radiographs)


def read_shadows(case: Processed) -> Views:
    """``bone_mask.npz`` (``bone_masks.npz`` in the released code): bool, True in the shadow of a bone.

    Raises:
        FileReadError: It is missing, damaged, or holds no stack of images.
    """
    found = _views(_either(case.shadows, case.shadows.with_name("bone_masks.npz")))
    return Views(found.stack > 0, found.degrees)


def read_samples(case: Processed) -> dict[str, AnyArray]:
    """Labelled points: `SAMPLES`, each (n, 3) as stored, and ``surface_inside_labels``, ``random_inside_labels`` (n,).

    Raises:
        FileReadError: It is missing or damaged, or its points are pickled only.
    """
    content = read_arrays(case.samples, lambda name: name.startswith(SAMPLES))
    missing = [name for name in SAMPLES if name not in content]
    if missing:
        raise FileReadError(
            f"{case.samples}: {', '.join(missing)}: not there as plain arrays, and what is pickled (arr_0) is not "
            "read, for that can run any program\n  make the points anew from the meshes: voxbench prepare ssrkd"
        )
    for where in ("surface", "random"):
        points, labels = content[f"{where}_inside"], content.get(f"{where}_inside_labels")
        if labels is None or labels.shape != points.shape[:1]:
            raise FileReadError(f"{case.samples}: {where}_inside_labels: expected one label for each of {len(points)}")
    names = {*SAMPLES, *(f"{where}_inside_labels" for where in ("surface", "random"))}
    return {name: content[name] for name in sorted(names)}


def read_meshes(case: Processed) -> dict[str, Mesh]:
    """The four bones in the world, mm, faces turned outwards.

    Raises:
        FileReadError: One is missing or damaged.
    """
    frame = read_frame(case)
    turned = float(np.linalg.det(frame.world_from_stored.linear)) < 0
    found = {}
    for bone in BONES:
        stored = read_mesh(case.bone(bone), space="RAS")
        faces = stored.faces[:, ::-1] if turned else stored.faces
        found[bone] = Mesh(frame.world_from_stored(stored.vertices), faces)
    return found


def _views(path: Path) -> Views:
    content = read_arrays(path)
    stack = content.get("projs", next(iter(content.values()), None))
    if stack is None or stack.ndim != 3:
        shape = "nothing" if stack is None else " x ".join(map(str, stack.shape))
        raise FileReadError(f"{path}: no stack of images (views, rows, columns): {shape}")
    angles = content.get("angles")
    if angles is not None and angles.shape != stack.shape[:1]:
        raise FileReadError(f"{path}: {angles.size} angles for {len(stack)} views")
    return Views(stack, None if angles is None else np.degrees(np.asarray(angles, np.float64)))


def _volume(path: Path) -> AnyArray:
    """[x, y, z], whichever file it is in."""
    path = _either(path, path.with_suffix("").with_name(path.stem + ".nii.gz"))
    if path.suffix != ".npz":
        return read_raw(path).single()
    content = read_arrays(path)
    array = content.get("arr_0", next(iter(content.values()), None))
    if array is None or array.ndim != 3:
        shape = "nothing" if array is None else " x ".join(map(str, array.shape))
        raise DimensionError(f"{path}: no volume [z, y, x]: {shape}")
    return array.T


def _either(first: Path, second: Path) -> Path:
    """Whichever is there."""
    if first.is_file() or second.is_file():
        return first if first.is_file() else second
    raise FileReadError(f"{first}: not there, and {second.name} neither")
