"""One pair at several voxel sizes: what a method costs over the number of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from bench.pairs import Pair
from voxbench.geometry import Affine, Grid, LabelMap, Volume, resample

SPACINGS_MM = (2.0, 1.0, 0.7)


def resolution_pairs(data: Path, cache: Path) -> list[Pair]:
    """The pair symA<-condA at 2, 1 and 0.7 mm; smoothed before it is made coarser, then interpolated linearly."""
    folder = cache / "resolution"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for spacing in SPACINGS_MM:
        files = {
            (person, kind): _resampled(data / "brain" / f"{person}_{kind}.nii.gz", folder, spacing)
            for person in ("symA", "condA")
            for kind in ("t1", "labels")
        }
        paths = [files[person, kind] for kind in ("t1", "labels") for person in ("symA", "condA")]
        pairs.append(Pair(f"symA<-condA_{spacing:g}mm", *paths, group=f"{spacing:g} mm"))
    return pairs


def _resampled(source: Path, folder: Path, spacing: float) -> Path:
    if spacing == 1.0:
        return source
    path = folder / source.name.replace(".nii.gz", f"_{spacing:g}mm.nii.gz")
    if path.is_file():
        return path
    image = nib.load(source)
    array = np.asarray(image.dataobj)
    grid = Grid(array.shape, Affine(np.asarray(image.affine, np.float64), "world", "voxel"))
    onto = grid.with_spacing((spacing,) * 3)
    if source.name.endswith("_labels.nii.gz"):
        out = resample(LabelMap(array.astype(np.int16), grid), onto=onto).array
    else:
        out = resample(Volume(_smoothed(array, spacing), grid), onto=onto).array
    nib.save(nib.Nifti1Image(out, onto.world_from_voxel.matrix), path)
    return path


def _smoothed(array: np.ndarray, spacing: float) -> np.ndarray:
    """Blurred to the coarser voxels' size: the variances of the two boxes differ by (spacing^2 - 1) / 12."""
    from scipy import ndimage

    return ndimage.gaussian_filter(array.astype(np.float32), np.sqrt(max(0.0, spacing**2 - 1) / 12) + 1e-6)


def plot(path: Path, rows: Sequence[dict], titles: dict[str, str] | None = None) -> None:
    """CPU seconds and peak memory over voxels, one line a method (and thread count), with a linear law for the eye."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for axis, (key, label) in zip(
        axes, (("cpu_s", "CPU s"), ("wall_s", "wall s"), ("peak_mb", "peak MB")), strict=True
    ):
        for method in dict.fromkeys(r["method"] for r in rows):
            for threads in dict.fromkeys(r["threads"] for r in rows):
                own = sorted(
                    (r["voxels"], r[key])
                    for r in rows
                    if (r["method"], r["threads"]) == (method, threads) and r[key] is not None
                )
                if own:
                    x, y = np.array(own, dtype=float).T
                    line = axis.loglog(x, y, "o-", label=f"{(titles or {}).get(method, method)}, {threads} thr")[0]
                    axis.loglog(x, y[0] * x / x[0], ":", color=line.get_color(), linewidth=0.8)
        axis.set(xlabel="voxels", ylabel=label)
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=8)
    figure.suptitle("symA<-condA at 2, 1, 0.7 mm; dotted: linear in the number of voxels from the coarsest")
    figure.savefig(path, dpi=110)
    plt.close(figure)
