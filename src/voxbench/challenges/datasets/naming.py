"""What the name of a file tells: whether it holds an image or labels, whose, and of which split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxbench.errors import FileReadError

Kind = Literal["image", "labels", "field", "mesh", "archive"]

IMAGES = (".nii.gz", ".nii", ".mha", ".mhd", ".seg.nrrd", ".nrrd", ".nhdr", ".mgz", ".mgh")
MESHES = (".obj", ".stl", ".ply")

_LABEL_WORDS = frozenset(
    [
        "seg",
        "segs",
        "segmentation",
        "label",
        "labels",
        "mask",
        "masks",
        "msk",
        "dseg",
        "gt",
        "annotation",
        "annotations",
        "bonemask",
        "landmarks",
    ]
)
_IMAGE_WORDS = frozenset(["ct", "cta", "mr", "mri", "t1", "t2", "t1w", "t2w", "pd", "flair", "img", "image", "images"])
_LABEL_FOLDER = re.compile(
    r"(.*_)?(labels?|masks?|segs?|segmentations?|bonemask|annotations?|gt|landmarks)([_-]?(tr|ts|va|val|train|test))?"
)
_SPLITS = (
    ("train", re.compile(r"(images|labels|landmarks)?[_-]?(tr|train|training)")),
    ("val", re.compile(r"(images|labels|landmarks)?[_-]?(va|val|valid|validation)")),
    ("test", re.compile(r"(images|labels|landmarks)?[_-]?(ts|te|test|testing)")),
)
_CHANNEL = re.compile(r"_\d{4}$")


@dataclass(frozen=True)
class Entry:
    """One file of a data set, by its name.

    Attributes:
        name: Relative to the data set's folder, with ``/``.
        path: The file (or the folder of a DICOM series).
        kind: What it should hold.
        pair: What files of one case have in common; files without it stand alone.
        anchor: Whether the other files of the case must lie on this one's grid.
        patient: Whose it is, where the name says so.
        split: ``train``, ``val`` or ``test``, where a name says so.
        part: Which of the case's meshes.
    """

    name: str
    path: Path
    kind: Kind
    pair: str = ""
    anchor: bool = False
    patient: str = ""
    split: str = ""
    part: str = ""


def files_below(folder: Path, others: tuple[str, ...] = ()) -> list[Path]:
    """All images and meshes below a folder, in order; the slices of a DICOM series count as their folder.

    Args:
        folder: The data set.
        others: Suffixes of further files that count.

    Raises:
        FileReadError: There is no such folder.
    """
    if not folder.is_dir():
        what = "is a file; name the folder of the data set" if folder.is_file() else "no such folder"
        raise FileReadError(f"{folder}: {what}")
    return sorted(set(_data(folder, others)))


def _data(folder: Path, others: tuple[str, ...]) -> Iterator[Path]:
    for path in folder.rglob("*"):
        name = path.name.lower()
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        if name.endswith((*IMAGES, *MESHES, *others)):
            yield path
        elif name.endswith(".dcm"):
            yield path.parent


def entry_of(folder: Path, path: Path) -> Entry:
    """What the usual habits make of a name: -ct and -seg, _0000 of nnU-Net, folders called labels, masks, imagesTr."""
    name = path.relative_to(folder).as_posix()
    stem, kind = stem_of(path), _kind(folder, path)
    split = split_of((folder.name, *path.relative_to(folder).parts[:-1])) or split_in(stem)
    return Entry(name, path, kind, stem, kind == "image", split=split)


def stem_of(path: Path) -> str:
    """The name without its suffix."""
    for suffix in (*IMAGES, *MESHES):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def split_of(folders: tuple[str, ...]) -> str:
    """The split that the innermost telling folder names; empty if none does."""
    for folder in reversed(folders):
        for split, pattern in _SPLITS:
            if pattern.fullmatch(folder.lower()):
                return split
    return ""


def split_in(stem: str) -> str:
    """The split that a word of a file's name tells, e.g. ``lnq2023-train-0005-ct``."""
    words = re.split(r"[-_.]", stem.lower())
    return next((split for split in ("train", "val", "test") if split in words), "")


def partners(entries: list[Entry]) -> dict[str, Entry]:
    """For each label map its image: of the same name, or of the name that is left without -seg, -ct, _0000.

    Returns:
        By the label map's name; those without an image are left out. Where several would do, the first.
    """
    exact: dict[tuple[str, str], Entry] = {}
    bare: dict[tuple[str, str], Entry] = {}
    for image in (entry for entry in entries if entry.kind == "image"):
        exact.setdefault((image.split, image.pair), image)
        bare.setdefault((image.split, _bare(image.pair)), image)
    found = {}
    for labels in (entry for entry in entries if entry.kind == "labels"):
        same, short = (labels.split, labels.pair), (labels.split, _bare(labels.pair))
        unworded = (labels.split, _without_words(labels.pair, _LABEL_WORDS))
        image = exact.get(same) or exact.get(unworded) or bare.get(short) or _begun(labels.split, short[1], bare)
        if image is not None:
            found[labels.name] = image
    return found


def _begun(split: str, stem: str, bare: Mapping[tuple[str, str], Entry]) -> Entry | None:
    """The image whose name the label map's goes on from, e.g. ``case7_disc_labels`` from ``case7_t2``."""
    parts = re.split(r"([-_.])", stem)
    starts = ("".join(parts[:end]) for end in range(len(parts) - 2, 0, -2))
    return next((bare[split, start] for start in starts if (split, start) in bare), None)


def _kind(folder: Path, path: Path) -> Kind:
    if path.suffix.lower() in MESHES:
        return "mesh"
    if path.name.startswith("disp_"):
        return "field"
    last = re.split(r"[-_.]", stem_of(path).lower())[-1]
    folders = (folder.name, *path.relative_to(folder).parts[:-1])
    told = path.name.lower().endswith(".seg.nrrd") or last in _LABEL_WORDS
    return "labels" if told or any(_LABEL_FOLDER.fullmatch(name.lower()) for name in folders) else "image"


def _bare(stem: str) -> str:
    """Without the words that tell labels and images apart, and without nnU-Net's channel."""
    return _without_words(_without_words(_CHANNEL.sub("", stem), _LABEL_WORDS), _IMAGE_WORDS)


def _without_words(stem: str, words: frozenset[str]) -> str:
    """Without a word of this kind at its end, and without ``seg-...`` as BIDS has it."""
    stem = re.sub(r"_seg-[^_]+", "", stem)
    parts = re.split(r"([-_.])", stem)
    return "".join(parts[:-2]) if len(parts) > 2 and parts[-1].lower() in words else stem
