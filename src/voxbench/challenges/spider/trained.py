"""Predictions of SPIDER by a trained network (torch): numbered structures on the grid of each image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from voxbench.challenges.spider.cases import NAME
from voxbench.challenges.spider.iterative import iis_labels
from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.geometry.spine_labels import CANAL, CANAL_CLASS, DISC_CLASS, VERTEBRA_CLASS, classes_of
from voxbench.io import read_volume, write_labels
from voxbench.jobs import Job, Record, Records, records_of_files
from voxbench.tasks.instances import CentresConfig, instances
from voxbench.tasks.instances.iterative_learning import TASK, IisNetworkFile, load_iis
from voxbench.tasks.segmentation import Frame
from voxbench.tasks.segmentation.frame import places
from voxbench.tasks.segmentation.predict import Segmenter, load_segmenter, write_classes
from voxbench.training.weights import read_card

KIND = "predict spider"
REACH = 2.0
"""How many voxels of the working grid a class may reach beyond the structure it belongs to."""


def jobs(data: Path, out: Path, weights: Path, settings: CentresConfig) -> tuple[Job, ...]:
    """One job per image.

    Args:
        data: Folder holding images/, or images themselves; every ``.mha`` in it is one.
        out: Folder for NAME.mha.
        weights: Run of ``voxbench train spider``.
        settings: How offsets become structures; weights of ``iis`` have their own.

    Raises:
        FileReadError: There are no images, or the weights cannot be read.
        InputError: The weights are of another task.
    """
    folder = data / "images" if (data / "images").is_dir() else data
    images = sorted(path for path in folder.glob("[!.]*.mha") if path.is_file())
    if not images:
        raise FileReadError(f"{folder}: no .mha here; --data names SPIDER's folder, or one of images")
    _network(weights)  # refuse before anything is made
    file = weights / "weights.safetensors" if weights.is_dir() else weights
    return tuple(
        Job(
            path.stem,
            partial(predict_case, path, out, weights, settings),
            {"image": path, "weights": file},
            settings.model_dump(mode="json"),
        )
        for path in sorted(images, key=_order)
    )


def prepare_resume(out: Path, cases: Sequence[str], *, force: bool) -> Records:
    """The records of an earlier start, without those whose files are gone.

    Args:
        out: Folder for predictions.
        cases: Their names.
        force: Whether files that are not ours may be replaced.

    Raises:
        FileWriteError: There are predictions that no earlier start of ours left.
    """
    return records_of_files(out, KIND, {case: f"{case}.mha" for case in cases}, force=force)


def predict_case(image: Path, out: Path, weights: Path, settings: CentresConfig) -> Record:
    """Predict one image and write its label map.

    Returns:
        The file, and how many structures of each kind there are.

    Raises:
        InputError: The image cannot be used.
        FileWriteError: The label map cannot be written.
    """
    network, volume = _network(weights), read_volume(image)
    volume.require_usable(str(image))
    one_by_one = isinstance(network, IisNetworkFile)
    found = iis_labels(network, volume) if one_by_one else spine_labels(network, volume, settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{out}: cannot be made: {error.strerror or error}") from error
    write_labels(out / image.name, found)
    kinds = [int(classes_of(np.array([[[label]]], np.uint8))[0, 0, 0]) for label in found.ids]
    return {
        "file": image.name,
        "vertebrae": kinds.count(VERTEBRA_CLASS),
        "discs": kinds.count(DISC_CLASS),
        "canal": CANAL in found.ids,
    }


def line(record: Record) -> str:
    """One line for eyes."""
    canal = "canal" if record["canal"] else "no canal"
    return f"{record['file']}  {record['vertebrae']} vertebrae, {record['discs']} discs, {canal}"


def spine_labels(segmenter: Segmenter, volume: Volume, settings: CentresConfig) -> LabelMap:
    """Numbered vertebrae, discs and the canal at the image's own voxels.

    Structures are told apart on the working grid; their borders are those of the classes at the image's voxels.
    """
    volume.require_usable("the image")
    frame = Frame.of(volume.grid, segmenter.plan.spacing)
    probabilities, maps = segmenter.whole(segmenter.look(volume, frame))
    offsets = maps * np.float32(segmenter.card["offsets_unit_mm"])
    working = instances(probabilities, offsets, frame.grid, settings)
    out = np.zeros(volume.grid.shape, np.uint8)
    write_classes(iter([probabilities]), frame, frame.ordered(out))
    _put_numbers(frame.ordered(out), working, frame)
    return LabelMap(out, volume.grid)


def _put_numbers(out: np.ndarray, working: LabelMap, frame: Frame) -> None:
    """Classes become the numbers of the nearest structure of their kind, in place; 0 where there is none near."""
    from scipy.ndimage import distance_transform_edt

    nearest = [np.rint(places(m, n)).astype(int) for n, m in zip(out.shape, frame.shape, strict=True)]
    kinds = classes_of(working.array)
    classes = out.copy()
    reach = REACH * float(frame.spacing.max())
    for kind in (VERTEBRA_CLASS, DISC_CLASS, CANAL_CLASS):
        here = classes == kind
        out[here] = 0
        if not here.any() or not (kinds == kind).any():
            continue
        found = distance_transform_edt(kinds != kind, sampling=frame.spacing, return_indices=True)
        assert found is not None  # it is asked to return both
        away, index = found
        spread = np.where(away <= reach, working.array[tuple(index)], 0).astype(np.uint8)
        for row, of in enumerate(nearest[0]):  # a plane at a time, so that nothing of the image's size is made
            plane = here[row]
            out[row][plane] = spread[of][np.ix_(nearest[1], nearest[2])][plane]


def _network(weights: Path) -> Segmenter | IisNetworkFile:
    """What was trained; its card says by which method."""
    card = read_card(weights)
    network = load_iis(weights) if card.get("task") == TASK else load_segmenter([weights])
    if card.get("challenge") != "spider":
        raise InputError(f"{weights}: not of voxbench train spider\n  its challenge  {card.get('challenge')}")
    return network


def _order(path: Path) -> tuple[int, str]:
    return (int(path.stem.split("_")[0]) if NAME.match(path.stem) else 0, path.stem)
