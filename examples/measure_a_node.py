"""A lymph node on thick slices: what RECIST's axes and the volume come to, and what they are."""

import numpy as np

from voxbench.geometry import Grid, LabelMap
from voxbench.metrics.node_list import list_nodes

grid = Grid.from_parts((64, 64, 16), (0.7, 0.7, 3.0), (0.0, 0.0, 0.0))
points = grid.world_from_voxel(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float))
radii = np.array([11.0, 6.0, 9.0])  # mm
inside = (((points - (22, 22, 22.5)) / radii) ** 2).sum(-1) <= 1
(listed,) = list_nodes(LabelMap(inside.astype(np.uint8), grid), None, instances=False).nodes
row = listed.row(10.0)
print(f"long axis {row['long_axis_mm']:.1f} mm (22.0), short axis {row['short_axis_mm']:.1f} mm (12.0)")
print(
    f"volume {row['volume_mm3'] / 1000:.2f} ml ({4 / 3 * np.pi * radii.prod() / 1000:.2f}); enlarged: {row['enlarged']}"
)
assert abs(row["long_axis_mm"] - 22) < 0.7
assert abs(row["short_axis_mm"] - 12) < 0.7
