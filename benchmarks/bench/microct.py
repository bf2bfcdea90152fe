"""Real trabecular bone in LumbarSR's layout: micro-CT in HU at 105 um, seen by the simulated clinical CT."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case
from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, degrade, simulate
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_volume, write_labels, write_volume

SPECIMENS = {"lhdl2923": ("lhdl2923_lower_39um.nii.gz", 0.039), "lhdl3155": ("lhdl3155_19p5um.nii.gz", 0.0195)}
SAMPLES = {"Lumbar_26": "lhdl2923", "Lumbar_27": "lhdl3155"}
CALIBRATION = "Lumbar_01"
TARGET_MM = 0.105
PORES_GREY, BONE_GREY = 17.0, 165.0
"""Modes of the grey values of both specimens: pores and bone."""
BONE_HU = 1500.0
"""HU of the bone's mode; the pores' is 0 (water, fatty marrow)."""
MARGIN_MM = 0.6
"""The volume of interest ends this far inside the specimen."""


def specimen(data: Path, name: str) -> tuple[Volume, np.ndarray]:
    """A specimen in HU averaged to 105 um, what lies outside its cylinder set to pores; and its volume of interest."""
    file, spacing = SPECIMENS[name]
    grey = np.asarray(nib.load(data / "microct" / file).dataobj).astype(np.float32)
    inside = _cylinder(grey)
    grey = np.where(inside, grey, PORES_GREY)
    hu = (grey - PORES_GREY) / (BONE_GREY - PORES_GREY) * BONE_HU
    fine = hu, inside.astype(np.float32)
    coarse, share = (_averaged(array, spacing) for array in fine)
    first, second, third = coarse.shape
    grid = Grid.from_parts((first, second, third), (TARGET_MM,) * 3)
    padded = np.pad(share > 0.99, 1)
    depth = np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1, 1:-1] * TARGET_MM
    return Volume(np.rint(coarse).astype(np.int16), grid), depth > MARGIN_MM


def make(data: Path, out: Path, noise_hu: float, seed: int = 0) -> None:
    """Both specimens as Lumbar_26 and Lumbar_27, and a phantom seen by the same scanner as Lumbar_01."""
    scratch = out.parent / f"{out.name}.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    regions = {}
    for sample, name in SAMPLES.items():
        volume, regions[sample] = specimen(data, name)
        write_volume(scratch / f"{sample}.nii.gz", volume)
    settings = LumbarsrSimulation(noise_hu=noise_hu, seed=seed)
    degrade(out, [scratch / f"{sample}.nii.gz" for sample in SAMPLES], settings)
    for sample, region in regions.items():
        _write_region(out, sample, region)
    phantom = LumbarsrSimulation(noise_hu=noise_hu, seed=1000, cases=1, size=(128, 128, 96))
    simulate(scratch / "phantom", phantom)
    for folder in ("RegisteredData", "BoneMask", "original_dicom"):
        made = scratch / "phantom" / folder / "Lumbar_26"
        for path in sorted(made.rglob("Lumbar26*")):
            path.rename(path.with_name(path.name.replace("Lumbar26", "Lumbar01")))
        made.rename(out / folder / CALIBRATION)
    shutil.rmtree(scratch)


def tiled(source: Path, out: Path, times: tuple[int, int, int]) -> None:
    """A larger data set: Lumbar_26 mirrored side by side and seen again, and the calibration sample."""
    volume = read_volume(Case("Lumbar_26", SEQUENCES[0]).reference(source))
    array = np.asarray(volume.array)
    for axis, count in enumerate(times):
        array = np.concatenate([array if n % 2 == 0 else np.flip(array, axis) for n in range(count)], axis)
    first, second, third = array.shape
    path = out.parent / "large.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, Grid.from_parts((first, second, third), (TARGET_MM,) * 3)))
    degrade(out, [path], LumbarsrSimulation())
    for folder in ("RegisteredData", "BoneMask", "original_dicom"):
        shutil.copytree(source / folder / CALIBRATION, out / folder / CALIBRATION)


def _cylinder(grey: np.ndarray) -> np.ndarray:
    """Where there is specimen: not the black that reaches the border."""
    smooth = ndimage.uniform_filter(grey, 5)
    labels, _ = ndimage.label(smooth < 1.0)
    border = np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
    return ~np.isin(labels, border[border > 0])


def _averaged(array: np.ndarray, spacing: float) -> np.ndarray:
    """Mean over cells of 105 um, from the first voxel's face on."""
    for axis in range(3):
        count = int(array.shape[axis] * spacing / TARGET_MM + 1e-6)
        edges = np.arange(count + 1) * TARGET_MM / spacing
        start = np.arange(array.shape[axis])
        share = np.clip(np.minimum(start + 1, edges[1:, None]) - np.maximum(start, edges[:-1, None]), 0, None)
        weights = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
        array = np.moveaxis(np.tensordot(weights, array, (1, axis)), 0, axis)
    return np.ascontiguousarray(array)


def _write_region(out: Path, sample: str, region: np.ndarray) -> None:
    case = Case(sample, SEQUENCES[0])
    grid = read_volume(case.reference(out)).grid
    for path in (case.bone_masks(out)[1], *(Case(sample, s).bone_masks(out)[0] for s in SEQUENCES)):
        write_labels(path, LabelMap(region.astype(np.uint8), grid))
