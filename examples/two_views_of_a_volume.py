"""Radiographs of a volume from two sides, and where a point of the volume is seen in them."""

import numpy as np

from voxbench.geometry import Grid, Volume, c_arm
from voxbench.simulate import radiographs

grid = Grid.from_parts((64, 64, 64), (3.0, 3.0, 3.0), (-94.5, -94.5, -94.5))
points = grid.world_from_voxel(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float))
marker = np.array([30.0, -20.0, 40.0])
body = np.where(((points / (80, 60, 90)) ** 2).sum(-1) < 1, 0.0, -1000.0)
body[((points - marker) ** 2).sum(-1) < 6**2] = 2500  # HU
ct = Volume(body.astype(np.float32), grid)

views = [c_arm(0), c_arm(90)]
for view, image in zip(views, radiographs(ct, views), strict=True):
    row, column = view.project(marker[None])[0]
    without = np.array(image)
    brightest = without[int(row) - 6 : int(row) + 7, int(column) - 6 : int(column) + 7].mean()
    around = without[int(row) - 60 : int(row) + 61, int(column) - 60 : int(column) + 61].mean()
    print(f"{view}: the marker is at row {row:.1f}, column {column:.1f}; {brightest:.2f} there, {around:.2f} around")
    assert brightest > around + 0.2
