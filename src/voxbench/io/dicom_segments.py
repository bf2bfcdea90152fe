"""DICOM segmentation objects: many segments in one file, as one label map in the world."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import DimensionError
from voxbench.io.raw import LPS_FROM_RAS, RawImage
from voxbench.types import AnyArray, Matrix4

SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
"""SOP classes: binary or fractional frames, label maps."""
LABEL_ID = "voxbench label {}"
"""How our own files say, in a segment's description, which label it was: DICOM numbers segments from 1 on."""
_OWN = re.compile(LABEL_ID.format(r"(\d+)"))


def read_segments(path: Path) -> RawImage:
    """Read a segmentation object; ids are the file's segment numbers, names its segment labels.

    In files that we wrote ids are the labels that were written.

    Frames that the file leaves out because they are empty are empty slices; those before the first and after the last
    one are not there at all, so the grid may be smaller than that of the image: bring it over with ``resample``.

    Args:
        path: One file.

    Raises:
        DimensionError: Segments overlap.
    """
    import highdicom as hd

    segments = hd.seg.segread(path)
    try:
        volume = segments.get_volume(combine_segments=True, allow_missing_positions=True)
    except RuntimeError as error:
        if "overlap" not in str(error).lower():
            raise
        raise DimensionError(
            f"{path}: segments overlap; a label map has one id per voxel\n  export them as separate label maps first"
        ) from error
    described = {int(n): segments.get_segment_description(n) for n in segments.segment_numbers if n > 0}
    ids = _labels(described)
    names = {ids[n]: str(segment.segment_label) for n, segment in described.items()}
    array, matrix = in_file_order(np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64))
    if any(number != label for number, label in ids.items()):
        table = np.zeros(max(ids) + 1, np.min_scalar_type(max(ids.values())))
        table[list(ids)] = list(ids.values())
        array = table[array]
    return RawImage(path, "DICOM segmentation", array, matrix, names=names)


def _labels(described: dict[int, Any]) -> dict[int, int]:
    """Of every segment its label: the one we wrote, if we wrote all of them, else its number."""
    own = {number: _OWN.fullmatch(str(segment.get("SegmentDescription", ""))) for number, segment in described.items()}
    labels = {number: int(found[1]) for number, found in own.items() if found is not None}
    return labels if len(set(labels.values())) == len(described) else {number: number for number in described}


def in_file_order(array: AnyArray, lps: Matrix4) -> tuple[AnyArray, Matrix4]:
    """Columns, rows, slices, these along their normal, as in a classic series.

    Args:
        array: [slice, row, column].
        lps: Where its voxels lie, in DICOM's world.

    Returns:
        [i, j, k] and RAS+ mm from voxel indices.
    """
    array, lps = array.transpose(2, 1, 0), lps[:, [2, 1, 0, 3]]
    if np.linalg.det(lps[:3, :3]) < 0:
        lps[:3, 3] += lps[:3, 2] * (array.shape[2] - 1)
        lps[:3, 2] *= -1
        array = array[:, :, ::-1]
    return np.ascontiguousarray(array), LPS_FROM_RAS @ lps
