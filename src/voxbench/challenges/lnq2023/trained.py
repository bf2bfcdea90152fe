"""Predictions of LNQ 2023 by trained networks (torch): 1 in nodes, on the grid of each CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from voxbench.challenges.lnq2023.background import survey
from voxbench.challenges.lnq2023.preparation import whole_hu
from voxbench.challenges.lnq2023.submission import WRITTEN, images_in
from voxbench.config import Config
from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.io import read_volume, write_labels
from voxbench.jobs import Job, Record
from voxbench.metrics.nodes import components, measured
from voxbench.tasks.segmentation import Keep, keep_components
from voxbench.tasks.segmentation.predict import Segmenter, load_segmenter

KIND = "predict lnq2023"


class NodeRules(Config):
    """How nodes are looked for, and which stay."""

    minimum_mm3: float = Field(default=175.0, ge=0, description="Least volume of a node, mm^3.")
    short_mm: float = Field(default=0.0, ge=0, description="Least short axis in an axial slice, mm.")
    overlap: float = Field(default=0.5, ge=0, le=0.75, description="Share of a window that the next one covers again.")
    mirror: bool = Field(default=False, description="Look at every CT mirrored too.")


def jobs(images: Path, out: Path, weights: Sequence[Path], settings: NodeRules) -> tuple[Job, ...]:
    """One job per CT.

    Args:
        images: Folder of CASE-ct.nrrd (also .nii.gz, .mha), at any depth.
        out: Folder for CASE-seg.mha.
        weights: Runs of ``voxbench train lnq2023``; the probabilities of several are averaged.
        settings: What of it stays.

    Raises:
        FileReadError: There are no images, or weights cannot be read.
        InputError: The weights are of another task, or of different plans.
    """
    if not images.is_dir():
        raise FileReadError(f"{images}: no such folder")
    found = images_in(images)
    _network(weights, settings)  # refuse before anything is made
    files = {
        f"weights {number}": run / "weights.safetensors" if run.is_dir() else run for number, run in enumerate(weights)
    }
    return tuple(
        Job(
            case,
            partial(predict_case, (case, image), out, tuple(weights), settings),
            {"image": image, **files},
            settings.model_dump(mode="json"),
        )
        for case, image in found.items()
    )


def predict_case(case: tuple[str, Path], out: Path, weights: Sequence[Path], settings: NodeRules) -> Record:
    """Predict one CT and write its mask.

    Args:
        case: Its name and its CT.
        out: Folder for the mask; made if it is not there.
        weights: See `jobs`.
        settings: What of it stays.

    Returns:
        The file, how many nodes there are and their volume.

    Raises:
        InputError: The CT cannot be used.
        FileWriteError: The mask cannot be written.
    """
    name, image = case
    found = nodes_in(_network(weights, settings), whole_hu(read_volume(image)), settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{out}: cannot be made: {error.strerror or error}") from error
    write_labels(out / f"{name}{WRITTEN}", found)
    volume = float(np.count_nonzero(found.array)) * found.grid.voxel_volume
    return {"file": f"{name}{WRITTEN}", "nodes": int(components(found.array > 0).max()), "volume_ml": volume / 1000}


def line(record: Record) -> str:
    """One line for eyes."""
    return f"{record['file']}  {record['nodes']} nodes, {record['volume_ml']:.1f} ml"


def nodes_in(segmenter: Segmenter, ct: Volume, settings: NodeRules) -> LabelMap:
    """1 in nodes, at the CT's own voxels; looked for around the lungs, or everywhere where there are none.

    Raises:
        NotFiniteError: The CT holds NaN or infinity.
        EmptyShapeError: The CT is constant.
    """
    ct.require_usable("the CT")
    seen = survey(ct)
    (a, b), (c, d), (e, f) = seen.box
    part = Volume(np.ascontiguousarray(ct.array[seen.slices]), ct.grid.cropped((a, c, e), (b, d, f)))
    out = np.zeros(ct.grid.shape, np.uint8)
    out[seen.slices] = segmenter.segment(part).array
    return _large(keep_components(LabelMap(out, ct.grid), {1: Keep(minimum_mm3=settings.minimum_mm3)}), settings)


def _large(labels: LabelMap, settings: NodeRules) -> LabelMap:
    """Without the nodes whose short axis is too short."""
    if settings.short_mm <= 0:
        return labels
    numbered = components(labels.array > 0)
    stay = [node.id for node in measured(numbered, labels.grid) if node.short_axis_mm >= settings.short_mm]
    return LabelMap(np.isin(numbered, stay).astype(np.uint8), labels.grid)


def _network(weights: Sequence[Path], settings: NodeRules) -> Segmenter:
    network = load_segmenter(weights, settings.mirror)
    if network.card.get("challenge") != "lnq2023":
        raise InputError(
            f"{weights[0]}: not of voxbench train lnq2023\n  its challenge  {network.card.get('challenge')}"
        )
    return replace(network, overlap=settings.overlap)
