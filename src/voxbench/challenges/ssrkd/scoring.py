"""SSR-KD's numbers of one bone; meshes in, numbers out.

Source of the official rules: bone_recon/utils/mesh.py, bone_recon/utils/chamfer.py and recon_xray/evaluate.py of
xmed-lab/SSR-KD, and the sampling of trimesh, which they call. Only ASSD is in their code; see README.md for HD and DSC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from voxbench.errors import InputError
from voxbench.geometry import Mesh, sample_surface
from voxbench.metrics import mesh_distances, mesh_overlap
from voxbench.metrics.meshes import nearest_points
from voxbench.types import Points

OFFICIAL_POINTS = 8192 * 6
CANDIDATES = 3
PUBLISHED = ("dsc", "hd", "assd")
"""What the challenge publishes; ASSD by its own code, HD and DSC by the obvious reading."""
SURFACE = ("assd_surface", "masd_surface", "hd_surface", "hd95_surface")
"""The honest ones: from places on one surface to the other surface."""
WORST: Mapping[str, float] = {name: 0.0 if name == "dsc" else float("inf") for name in PUBLISHED + SURFACE}
"""The challenge names no worst values; these are the bounds of the quantities."""

SampledPoints = Float32[np.ndarray, "n 3"]
OtherSampledPoints = Float32[np.ndarray, "m 3"]


def even_points(mesh: Mesh, count: int, generator: np.random.Generator) -> Points:
    """Points on a surface, roughly evenly spaced: three times as many at random, less those that crowd.

    Of any two candidates closer than sqrt(area / (3 count)) the one with more such neighbours goes (the first, if as
    many), all at once; of the rest the first ``count`` are taken. There may be fewer, which is then the number.

    Args:
        mesh: The surface.
        count: The most points.
        generator: Draws the candidates.
    """
    from scipy.spatial import KDTree

    candidates = sample_surface(mesh, CANDIDATES * count, generator)
    radius = np.sqrt(mesh.area / (CANDIDATES * count))
    tree = KDTree(candidates, compact_nodes=False, balanced_tree=False)
    pairs = np.asarray(tree.query_pairs(radius, output_type="ndarray"))
    neighbours = np.bincount(pairs.ravel(), minlength=len(candidates))
    crowded = np.where(neighbours[pairs[:, 1]] > neighbours[pairs[:, 0]], pairs[:, 1], pairs[:, 0])
    kept = np.ones(len(candidates), bool)
    kept[crowded] = False
    return candidates[kept][:count]


def sampled_distances(first: SampledPoints, second: OtherSampledPoints) -> tuple[np.ndarray, np.ndarray]:
    """From each point to the nearest of the other set, both ways, in float32 throughout."""
    ways = []
    for here, there in ((first, second), (second, first)):
        _, nearest = nearest_points(here.astype(np.float64), there.astype(np.float64))
        difference = here - there[nearest]
        ways.append(np.sqrt((difference * difference).sum(axis=1)))
    return ways[0], ways[1]


def score_bone(reference: Mesh, prediction: Mesh, sampling: tuple[int, list[int]], sizes: tuple[float, float]) -> Any:
    """All numbers of one bone.

    Args:
        reference: mm.
        prediction: mm.
        sampling: How many points, and what seeds them; the two surfaces are sampled independently.
        sizes: Voxel spacing of DSC, and longest step of the distances to a surface, mm.

    Returns:
        The quantities of `PUBLISHED` and `SURFACE`, the points sampled, and why DSC is undefined if it is.
    """
    count, seeds = sampling
    points = [
        even_points(mesh, count, np.random.default_rng([*seeds, side])).astype(np.float32)
        for side, mesh in enumerate((reference, prediction))
    ]
    forward, backward = sampled_distances(points[0], points[1])
    numbers: dict[str, Any] = {
        "dsc": float("nan"),
        "hd": float(max(forward.max(), backward.max())),
        "assd": float((forward.mean() + backward.mean()) / np.float32(2)),
    }
    exact = mesh_distances(reference, prediction, sizes[1])
    numbers |= {"assd_surface": exact.assd, "masd_surface": exact.masd}
    numbers |= {"hd_surface": exact.hd, "hd95_surface": exact.hd95}
    numbers["points"] = [len(own) for own in points]
    opened = [
        f"the {name} is open at {mesh.open_edges} edges"
        for name, mesh in (("reference", reference), ("prediction", prediction))
        if not mesh.is_closed
    ]
    if opened:
        numbers["dsc_undefined"] = "; ".join(opened)
        return numbers
    numbers["dsc"] = mesh_overlap(reference, prediction, sizes[0]).dice
    return numbers


def worst_bone(error: InputError) -> dict[str, Any]:
    """What a bone without a usable prediction gets, and why."""
    return dict(WORST) | {"missing": str(error).splitlines()[0]}
