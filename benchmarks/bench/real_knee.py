"""A real knee for `benchmarks/reconstruction.py`: bones of a segmented MRI, painted as CT, and radiographs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.ssrkd.geometry import CONSISTENT
from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, seen
from voxbench.geometry import Grid, LabelMap, Mesh, Volume
from voxbench.geometry.cut import Plane, cut_mesh
from voxbench.geometry.projection import gantry
from voxbench.io import read_labels
from voxbench.metrics.meshes import mesh_distances
from voxbench.simulate.phantoms.knee import knee_phantom
from voxbench.simulate.radiograph import PhotonNoise, measured, radiographs
from voxbench.tasks.reconstruction import Radiograph, extract
from voxbench.tasks.reconstruction.depths import looked_up
from voxbench.tasks.reconstruction.occupancy import BONES

FILE = "knee/dess_right_bones-label.nrrd"
LABELS = {"patella": 7, "femur": 5, "fibula": 8, "tibia": 6}
"""A right knee, labelled in a DESS MRI: 140 mm of the leg; shafts are cut off there."""
BLUR_MM = 0.8
WIDE_MM = 200.0
VOXEL_MM = 0.8
MARGIN_MM = 4.0
"""So much is left off at either end of what the MRI shows."""
REACH_MM = 57.0
"""Bones are compared within this height of the middle."""


@dataclass(frozen=True)
class RealKnee:
    """The knee, about the world's origin.

    Attributes:
        bones: The truth, closed flat where the MRI ends.
        ct: HU.
        radiographs: Frontal and lateral, whose detectors are no higher than the bones.
    """

    bones: Mapping[str, Mesh]
    ct: Volume
    radiographs: tuple[Radiograph, ...]


@dataclass(frozen=True)
class _Labels:
    """Blurred masks as an occupancy; half is the surface."""

    shares: np.ndarray
    grid: Grid
    low: np.ndarray
    high: np.ndarray

    def margins(self, points: np.ndarray) -> np.ndarray:
        places = self.grid.voxel_from_world(points).T
        logits = np.full((len(points), 5), 0.5, np.float32)
        logits[:, 1:] = np.stack([looked_up(share, places) for share in self.shares], axis=1)
        return logits


def real_knee(data: Path, seed: int = 2026) -> RealKnee:
    """The bones as meshes, painted as CT, seen from the front and from the left.

    Args:
        data: The folder with ``knee/``.
        seed: Of tissue and noise.
    """
    rng = np.random.default_rng([seed, 9])
    bones, half = _bones(read_labels(data / FILE))
    settings = SsrkdSimulation()
    across = round(WIDE_MM / VOXEL_MM)
    up = int((2 * half - 2 * MARGIN_MM) / VOXEL_MM)
    first = [-(n - 1) / 2 * VOXEL_MM for n in (across, across, up)]
    grid = Grid.from_parts((across, across, up), (VOXEL_MM,) * 3, (first[0], first[1], first[2]))
    ct = seen(knee_phantom(bones, grid, rng).ct, settings, rng)
    rows = int(2 * REACH_MM * 1.15 / CONSISTENT.pixel_mm[0])
    device = CONSISTENT.model_copy(update={"rows": rows, "cols": 400})
    views = [gantry(angle, device) for angle in (0, 90)]
    images = [measured(image, PhotonNoise(), rng) for image in radiographs(ct, views)]
    return RealKnee(bones, ct, tuple(Radiograph(i, v) for i, v in zip(images, views, strict=True)))


def errors(truth: Mapping[str, Mesh], found: Mapping[str, Mesh]) -> dict[str, dict[str, float]]:
    """Of every bone within 57 mm of the middle; where both are cut off they agree, which flatters shafts a bit."""
    planes = [Plane.through((0, 0, z), (0, 0, np.sign(z))) for z in (-REACH_MM, REACH_MM)]
    numbers: dict[str, dict[str, float]] = {}
    for bone in BONES:
        if bone in found:
            own = mesh_distances(cut_mesh(truth[bone], *planes), cut_mesh(found[bone], *planes), 1.0)
            numbers[bone] = {"assd": own.assd, "hd": own.hd}
    return numbers


def rows(data: Path, model: Any, seed: int) -> list[dict[str, Any]]:
    """A row for each method: from the CT by the threshold, and from two radiographs by the shape model."""
    import time

    from voxbench.errors import InputError
    from voxbench.tasks.reconstruction import reconstruct, reconstruct_ct

    knee = real_knee(data, seed)
    found: list[dict[str, Any]] = []
    for method, make in (
        ("threshold, from CT", lambda: reconstruct_ct(knee.ct, model)),
        ("shape model, from two radiographs", lambda: reconstruct(knee.radiographs, model)),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        row: dict[str, Any] = {"set": "real", "knee": Path(FILE).name, "wrong": "none", "method": method}
        try:
            made = make()
        except InputError as error:
            found.append(row | {"refused": str(error).splitlines()[0]})
            continue
        row |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        row |= {"side": made.side, "score": made.score, "warnings": list(made.warnings)}
        found.append(row | {"bones": errors(knee.bones, made.bones), "model": errors(knee.bones, made.whole)})
    return found


def _bones(labels: LabelMap) -> tuple[dict[str, Mesh], float]:
    """Smooth closed surfaces about the origin, and half the height they have."""
    from scipy.ndimage import gaussian_filter

    corners = labels.grid.corners
    low, high = corners.min(axis=0) + 0.1, corners.max(axis=0) - 0.1
    widths = BLUR_MM / labels.grid.spacing
    shares = [gaussian_filter(labels.mask(LABELS[b]).astype(np.float32), widths, mode="nearest") for b in BONES]
    made = extract(_Labels(np.stack(shares), labels.grid, low, high), 0.8)
    ends = np.concatenate([made[bone].vertices for bone in ("femur", "tibia")])
    middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
    moved = {bone: Mesh(mesh.vertices - middle, mesh.faces) for bone, mesh in made.items()}
    return moved, float(ends[:, 2].max() - ends[:, 2].min()) / 2
