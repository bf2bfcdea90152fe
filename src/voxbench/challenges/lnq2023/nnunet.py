"""LNQ 2023 for nnU-Net: nodes, surely background, and what nobody said anything about as its ignore label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.challenges.lnq2023.preparation import node_labels, whole_hu
from voxbench.challenges.lnq2023.sources import sources_in
from voxbench.errors import FileReadError
from voxbench.geometry import LabelMap, Volume
from voxbench.io import read_volume
from voxbench.tasks.segmentation.nnunet_dataset import RawCase, RawSource
from voxbench.types import AnyArray, Mask

NODE, IGNORE = 1, 2
NODE_HU = (-153, 287)
"""No voxel of a node lies outside this in the challenge's 393 training cases: what does is air, lung, bone or contrast
medium, whoever drew what."""
SHELL = 2
"""Voxels round a drawn node, by faces, that are background."""


def raw_source(data: Path, labels: Path | None = None) -> RawSource:
    """Its cases: those of train/ with labels are learned from, all others predicted.

    In cases that are not fully annotated, a voxel is background only where its HU are not a node's (`NODE_HU`) or
    within two voxels of a drawn node; elsewhere it is ignored.

    Args:
        data: The challenge's files, prepared ones or TCIA's DICOM.
        labels: Label files here come before those beside the CT.

    Raises:
        FileReadError: There are no cases, or none of them is for training and has labels.
    """
    sources = sources_in(data, labels)
    cases = tuple(
        RawCase(
            one.case,
            one.case,
            one.image,
            one.labels,
            one.split == "train" and one.labels is not None,
            one.completeness != "full",
        )
        for one in sources
    )
    if not any(case.training for case in cases):
        raise FileReadError(f"{data}: no training case with labels among {len(cases)} cases")
    return RawSource("lnq2023", data, "CT", ("node",), cases, _read, ending="-seg.mha")


def _read(case: RawCase) -> tuple[Volume, AnyArray | None]:
    image = whole_hu(read_volume(case.image))
    if not case.training or case.labels is None:
        return image, None
    nodes = node_labels(case.labels, image)[0].array > 0
    return image, known_classes(image, nodes) if case.partial else nodes.astype(np.uint8)


def known_classes(image: Volume, nodes: Mask) -> AnyArray:
    """Of a partly annotated CT: 1 node, 0 surely background, 2 nobody said; uint8."""
    from scipy.ndimage import binary_dilation

    classes = np.full(nodes.shape, IGNORE, np.uint8)
    classes[(image.array < NODE_HU[0]) | (image.array > NODE_HU[1])] = 0
    classes[np.asarray(binary_dilation(nodes, iterations=SHELL), bool)] = 0
    classes[nodes] = NODE
    return classes


def mask_prediction(classes: LabelMap) -> LabelMap:
    """Classes as the organisers take them: 1 in nodes."""
    return LabelMap((classes.array == NODE).astype(np.uint8), classes.grid)
