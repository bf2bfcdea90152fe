"""SPIDER's submission: one label map of whole numbers per image, as .mha on the image's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.challenges.spider.dataset import IMAGES
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import LabelMap, require_same_grid
from voxbench.geometry.spine_labels import classes_of
from voxbench.io import read_grid, read_volume

SUFFIXES = (".mha", ".nii.gz", ".nii", ".nrrd", ".mhd")


def image_files(images: Path) -> tuple[Path, ...]:
    """The images that need a label map: those of a folder, or of its images/ folder.

    Raises:
        FileReadError: There are none.
    """
    folder = images / IMAGES if (images / IMAGES).is_dir() else images
    found = sorted(path for path in folder.glob("[!.]*.mha"))
    if not found:
        raise FileReadError(f"{folder}: no image here (.mha)")
    return tuple(found)


def require_predictions(images: tuple[Path, ...], predictions: Path) -> dict[str, Path]:
    """Of every image the file of its label map, by the image's name.

    Raises:
        FileReadError: Some are missing; all of them are named.
    """
    found, missing = {}, []
    for image in images:
        stem = image.name.removesuffix(".mha")
        there = [predictions / f"{stem}{suffix}" for suffix in SUFFIXES if (predictions / f"{stem}{suffix}").is_file()]
        if there:
            found[image.name] = there[0]
        else:
            missing.append(image.name)
    if missing:
        raise FileReadError(
            f"{predictions}: {len(missing)} of {len(images)} label maps are missing; nothing is packed\n  "
            + "\n  ".join(missing)
        )
    return found


def submitted(image: Path, prediction: Path) -> LabelMap:
    """A label map as the organisers take it.

    Raises:
        InputError: It is not of a whole-number type, holds labels that mean nothing, or lies on another grid than its
            image; the file and both values are named.
    """
    found = read_volume(prediction)
    try:
        if not np.issubdtype(found.array.dtype, np.integer):
            raise InputError(
                f"voxels of type {found.array.dtype}; the official evaluation takes whole-number types\n"
                "  write whole numbers in a whole-number type, e.g. uint8 or int16"
            )
        if int(found.array.min()) < 0:
            raise InputError(f"label {int(found.array.min())}; labels are 0 (background) and up")
        classes_of(found.array)
        require_same_grid(read_grid(image), found.grid, ("image", "label map"))
    except InputError as error:
        raise type(error)(f"{prediction}: {error}") from error
    return LabelMap(found.array, found.grid)
