"""Register two made-up heads and carry the labels of one to the other."""

import numpy as np

import voxbench as vb
from voxbench.geometry import Grid, LabelMap, Volume

rng = np.random.default_rng(0)
grid = Grid.from_parts((56, 60, 52), (2.5, 2.5, 2.5), (-69.0, -74.0, -64.0))
points = grid.world_from_voxel(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float))


def head(bend: float) -> tuple[Volume, LabelMap]:
    """An ellipsoid with a core, a texture of its own frame, bent to the side."""
    at = points.copy()
    at[..., 0] -= bend * np.cos(at[..., 2] / 25)
    radius = np.sqrt(((at / (52, 60, 48)) ** 2).sum(-1))
    texture = 12 * np.sin(at[..., 0] / 6) * np.cos(at[..., 1] / 7) * np.sin(at[..., 2] / 8)
    labels = np.select([radius < 0.45, radius < 1], [2, 1], 0)
    image = np.where(labels > 0, 60 + 40 * labels + texture, 0)
    return Volume(image.astype(np.float32), grid), LabelMap(labels.astype(np.uint8), grid)


(fixed, truth), (moving, labels) = head(0.0), head(7.0)
registration = vb.register(fixed, moving, vb.RegistrationConfig(preset="fast"))
carried = vb.resample(labels, onto=fixed.grid, through=registration.displacement)


def dice(one: LabelMap, other: LabelMap, label: int) -> float:
    """Overlap of a label."""
    a, b = one.array == label, other.array == label
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


for label in (1, 2):
    before, after = dice(truth, labels, label), dice(truth, carried, label)
    print(f"label {label}: Dice {before:.3f} before, {after:.3f} after")
    assert after > max(before, 0.95)
