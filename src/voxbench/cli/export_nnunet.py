"""voxbench export nnunet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

if TYPE_CHECKING:
    from voxbench.tasks.segmentation.nnunet_dataset import RawSource

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def spider(
    *,
    data: Path,
    out: Path,
    number: int = 501,
    name: str = "SPIDER",
    subset: Literal["official", "all"] = "official",
    folds: int = 5,
    seed: int = 0,
    force: Switch = False,
) -> None:
    """SPIDER for nnU-Net. Instances become classes: background, vertebra, disc, canal.

    Args:
        data: SPIDER's folder, holding images/, masks/ and overview.csv.
        out: nnU-Net's folder nnUNet_raw; receives DatasetNUMBER_NAME.
        number: nnU-Net's number of the data set, 1 to 999.
        name: Its name.
        subset: official: the validation series of overview.csv are not learned from but predicted; all: every series
            with a mask is learned from.
        folds: Folds in splits_final.json; the series of a patient stay together.
        seed: Which deal of patients to folds.
        force: Replace a data set that was exported before.
    """
    from voxbench.challenges.spider.nnunet import raw_source

    _export(raw_source(data, subset), out, (number, name, folds, seed), force)


def lnq2023(
    *,
    data: Path,
    out: Path,
    labels: Path | None = None,
    number: int = 502,
    name: str = "LNQ2023",
    folds: int = 5,
    seed: int = 0,
    force: Switch = False,
) -> None:
    """LNQ 2023 for nnU-Net: background, node, and ignore where a partly annotated case says nothing.

    Args:
        data: The challenge's files, those of voxbench prepare or simulate, or TCIA's DICOM.
        out: nnU-Net's folder nnUNet_raw; receives DatasetNUMBER_NAME.
        labels: Folder with label files to be taken before those beside the CT.
        number: nnU-Net's number of the data set, 1 to 999.
        name: Its name.
        folds: Folds in splits_final.json; a case is a patient.
        seed: Which deal of patients to folds.
        force: Replace a data set that was exported before.
    """
    from voxbench.challenges.lnq2023.nnunet import raw_source

    _export(raw_source(data, labels), out, (number, name, folds, seed), force)


def folder(
    *,
    images: Path,
    labels: Path,
    out: Path,
    channel: str = "MR",
    patient: str | None = None,
    ignore: int | None = None,
    number: int = 503,
    name: str = "voxbench",
    folds: int = 5,
    seed: int = 0,
    force: Switch = False,
) -> None:
    """Any images with label maps of the same names for nnU-Net; those without are for prediction.

    Args:
        images: Folder of images.
        labels: Folder of label maps; their ids become classes in ascending order.
        out: nnU-Net's folder nnUNet_raw; receives DatasetNUMBER_NAME.
        channel: What the images are; CT decides how nnU-Net normalises them.
        patient: Regular expression whose first group, in a file's name, is the patient; by default each case is one.
        ignore: Label of voxels of which nobody said anything.
        number: nnU-Net's number of the data set, 1 to 999.
        name: Its name.
        folds: Folds in splits_final.json.
        seed: Which deal of patients to folds.
        force: Replace a data set that was exported before.
    """
    import re

    from voxbench.errors import UsageError
    from voxbench.tasks.segmentation.nnunet_folder import Pairs, folder_source

    try:
        pattern = None if patient is None else re.compile(patient)
    except re.error as error:
        raise UsageError(f"--patient: not a regular expression: {error}; got {patient}") from error
    if ignore is not None and ignore <= 0:
        raise UsageError(f"--ignore: a label above 0; got {ignore}")
    source = folder_source(Pairs(images, labels, channel, pattern, ignore))
    _export(source, out, (number, name, folds, seed), force)


def _export(source: RawSource, out: Path, naming: tuple[int, str, int, int], force: bool) -> None:
    """Write it, and say how nnU-Net is called."""
    from voxbench.cli.progress import lines
    from voxbench.tasks.segmentation.nnunet import NnunetConfig, steps
    from voxbench.tasks.segmentation.nnunet_dataset import SPLITS, RawNaming, write_raw

    settings = RawNaming.model_validate(dict(zip(("number", "name", "folds", "seed"), naming, strict=True)))
    with lines("exporting") as tell:
        folder = write_raw(out, source, settings, force, tell)
        held_out = sum(not case.training for case in source.cases)
        tell(f"{folder}: {len(source.cases) - held_out} cases to learn from, {held_out} to predict")
        run = Path("RUN")
        calls = [str(step) for step in steps(folder, settings.number, run, NnunetConfig(), held_out > 0)]
        calls.insert(1, f"cp {folder / SPLITS} $nnUNet_preprocessed/{folder.name}/")
        tell("nnU-Net's own commands, with nnUNet_raw, nnUNet_preprocessed and nnUNet_results set:")
        tell("\n".join(f"  {call}" for call in calls))
        tell(f"or all of them, and the predictions brought back: voxbench nnunet {folder} --out RUN --env ENVIRONMENT")
