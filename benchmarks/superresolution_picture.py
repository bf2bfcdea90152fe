"""Three planes, a zoom and a line profile of what the methods make of real trabecular bone.

python benchmarks/superresolution_picture.py KEPT OUT.png [NETWORK ...]

KEPT is the folder given to superresolution.py --keep.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from voxbench.challenges.lumbarsr.cases import Case
from voxbench.io import read_volume

NOISE, SAMPLE = "noise_20", "Lumbar_26"
BEST, SCORED = "195X_195Y_500Z_S", "195X_195Y_1000Z_S"
WINDOW = {"vmin": -500, "vmax": 1300}
ZOOM = 30


def main() -> None:
    root, out, networks = Path(sys.argv[1]) / NOISE, Path(sys.argv[2]), sys.argv[3:]
    shown = {
        "micro-CT": Case(SAMPLE, BEST).reference(root / "data"),
        "lanczos, best soft sequence": Case(SAMPLE, BEST).prediction(root / f"lanczos_{BEST}", "lanczos"),
        "fusion of 4 soft": Case(SAMPLE, SCORED).prediction(root / "fusion_of_4_S", "fusion"),
        **{n: Case(SAMPLE, SCORED).prediction(root / n.replace(" ", "_"), n) for n in networks},
        "fusion of 4 soft, 4 bone": Case(SAMPLE, SCORED).prediction(root / "fusion_of_4_S_+_4_B", "fusion"),
    }
    arrays = {name: np.asarray(read_volume(path).array, np.float32) for name, path in shown.items()}
    draw(arrays, out)


def draw(arrays: dict[str, np.ndarray], out: Path) -> None:
    i, j, k = (n // 2 for n in next(iter(arrays.values())).shape)
    corner = (slice(i - ZOOM // 2, i + ZOOM // 2), slice(j + 4, j + 4 + ZOOM))
    figure, axes = plt.subplots(len(arrays) + 1, 4, figsize=(8, 2 * len(arrays) + 2.2))
    for row, (name, array) in zip(axes, arrays.items(), strict=False):
        views = (array[:, :, k], array[:, j], array[i], array[(*corner, k)])
        for axis, view, title in zip(row, views, ("axial", "coronal", "sagittal", "zoom"), strict=True):
            axis.imshow(view.T, cmap="gray", origin="lower", aspect="equal", **WINDOW)
            axis.set_axis_off()
            if array is next(iter(arrays.values())):
                axis.set_title(title, fontsize=9)
        row[0].text(-0.06, 0.5, name, transform=row[0].transAxes, rotation=90, va="center", ha="right", fontsize=7)
    for axis in axes[-1]:
        axis.remove()
    profile = figure.add_subplot(len(arrays) + 1, 1, len(arrays) + 1)
    at = 0.105 * np.arange(next(iter(arrays.values())).shape[0])
    for name, array in arrays.items():
        wide = name == "micro-CT"
        profile.plot(at, array[:, j + 10, k], label=name, color="black" if wide else None, lw=1.8 if wide else 1)
    profile.set_xlabel("mm along i", fontsize=8)
    profile.set_ylabel("HU", fontsize=8)
    profile.tick_params(labelsize=7)
    profile.legend(fontsize=6, ncols=3, frameon=False)
    figure.subplots_adjust(left=0.1, right=0.99, top=0.97, bottom=0.06, wspace=0.04, hspace=0.04)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main()
