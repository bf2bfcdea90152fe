"""What is shown of single cases: the files of each challenge found by its own rules, drawn, or said why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.io import read_volume
from voxbench.report.case_labels import Compared, label_case, matched
from voxbench.report.evaluation import CasePictures
from voxbench.report.html import Picture
from voxbench.report.measures import spine_name
from voxbench.report.privacy import without_paths
from voxbench.report.scene import Scene

SUFFIXES = (".nii.gz", ".mha", ".nrrd", ".nii", ".mhd", ".mgz", "")
"""Of images, in the order in which they are looked for; a folder of a DICOM series has none."""


@dataclass(frozen=True)
class Folders:
    """Where the files of a run's cases lie.

    Attributes:
        predictions: As ``voxbench evaluate`` took them.
        references: As ``voxbench evaluate`` took them.
        images: What was predicted from; None if not given.
        settings: Of the evaluation.
    """

    predictions: Path
    references: Path
    images: Path | None
    settings: Mapping[str, object]


Shown = tuple[tuple[Picture, ...], Scene | None]
Drawing = Callable[[str, Folders], Shown]


def case_view(challenge: str, case: str, folders: Folders, wrong: str = "") -> tuple[CasePictures, Scene | None]:
    """Pictures and scene of a case; files that cannot be used are said on the page, not raised.

    Args:
        challenge: Whose case.
        case: Its name in scores.json.
        folders: Where its files lie.
        wrong: What went wrong with it.

    Raises:
        InputError: Nothing can be shown of this challenge.
    """
    drawing = _DRAWINGS.get(challenge)
    if drawing is None:
        raise InputError(f"no pictures of single cases of '{challenge}'; there are those of {', '.join(_DRAWINGS)}")
    try:
        pictures, scene = drawing(case, folders)
    except InputError as error:
        return CasePictures(case, wrong, note=f"No picture: {without_paths(str(error).splitlines()[0])}"), None
    return CasePictures(case, wrong, pictures), scene


def find_image(folder: Path | None, stems: Sequence[str]) -> Volume | None:
    """The image of one of these names, with any suffix; None if there is none.

    Raises:
        InputError: It is there and cannot be read.
    """
    if folder is None:
        return None
    places = [folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
    found = next((path for path in places if path.exists()), None)
    return None if found is None else read_volume(found)


def _spider(case: str, folders: Folders) -> Shown:
    from voxbench.challenges.spider.cases import read_prediction, read_reference

    reference = read_reference(folders.references, case)
    prediction = matched(reference, read_prediction(folders.predictions, case, reference))
    names = {int(i): spine_name(int(i)) for i in np.unique(reference.array) if i}
    names |= {int(i): f"surplus {i}" for i in np.unique(prediction.array) if i and int(i) not in names}
    image = _on_shape(find_image(folders.images, [case]), reference)
    return label_case(Compared(case, reference, prediction, image, names))


def _lnq2023(case: str, folders: Folders) -> Shown:
    from voxbench.challenges.lnq2023.cases import REFERENCE, prediction_file, read_mask, require_grid

    reference = read_mask(folders.references / f"{case}{REFERENCE}", case)
    path = prediction_file(folders.predictions, case)
    prediction = read_mask(path, case)
    require_grid(reference.grid, prediction.grid, path, case)
    image = find_image(folders.images, [f"{case}-ct", f"{case}_0000", case])
    if image is not None:
        image = Volume(np.clip(image.array, -160, 240), image.grid)
    names = {1: "lymph nodes"}
    return label_case(Compared(case, reference, LabelMap(prediction.array, reference.grid), image, names))


def _on_shape(image: Volume | None, labels: LabelMap) -> Volume | None:
    """An image that lies where the labels do; of another shape or place it is left as it is, in its own world."""
    if image is not None and image.array.shape == labels.array.shape:
        return Volume(image.array, labels.grid)
    return image


def _lumir25(case: str, folders: Folders) -> Shown:
    from voxbench.report.case_registration import registration_case

    return registration_case(case, folders.predictions, folders.references)


def _lumbarsr(case: str, folders: Folders) -> Shown:
    from voxbench.report.case_volumes import superresolution_case

    return superresolution_case(case, (folders.predictions, folders.references), str(folders.settings.get("method")))


def _ssrkd(case: str, folders: Folders) -> Shown:
    from voxbench.report.case_meshes import mesh_case

    return mesh_case(case, (folders.predictions, folders.references), folders.images)


_DRAWINGS: Mapping[str, Drawing] = {
    "spider": _spider,
    "lnq2023": _lnq2023,
    "lumir25": _lumir25,
    "lumbarsr": _lumbarsr,
    "ssrkd": _ssrkd,
}


def require_case(case: str, known: Sequence[str]) -> None:
    """Refuse a case that was not scored.

    Raises:
        FileReadError: There is none of that name.
    """
    if case not in known:
        listed = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
        raise FileReadError(f"--cases {case}: no such case in this run\n  there are {listed}")
