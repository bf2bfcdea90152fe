"""Which files of a folder are CTs, meshes and label maps of knees, found by looking at the names.

DIR/<case>/          an image file or a DICOM series (in the folder, or in one below), and four meshes or a label map
DIR/<case>.nii.gz    with <case>_seg.nii.gz, <case>_femur.stl ..., or a folder <case>/ of meshes
DIR/{FL,FR,ML,MR}/   the organisers': sex and side, each holding either form
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.errors import FileReadError, UsageError
from voxbench.io.dicom import looks_like_dicom
from voxbench.io.meshes import READERS as MESH_READERS
from voxbench.io.read import READERS as IMAGE_READERS

SIDES: Mapping[str, Literal["left", "right"]] = {"L": "left", "R": "right"}
ORGANISERS = ("FL", "FR", "ML", "MR")
"""Female and male, left and right."""
MESHES = tuple(MESH_READERS)
IMAGES = tuple(suffix for suffix in IMAGE_READERS if suffix != ".dcm")
LABEL_WORDS = frozenset({"seg", "segmentation", "label", "labels", "mask", "masks", "dseg", "gt"})
_BONE = re.compile(rf"(?<![a-z])({'|'.join(BONES)})(?![a-z])|(?<![a-z])sub[_-]?([0-3])(?![0-9])")
_DETACHED = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}


@dataclass(frozen=True)
class Source:
    """The files of a case.

    Attributes:
        case: Its name.
        patient: Whose, as far as names tell.
        side: Which leg, where a folder says so.
        ct: File, or folder of a DICOM series.
        meshes: By bone: all four, or none.
        labels: The label map, or None.
    """

    case: str
    patient: str
    side: Literal["left", "right"] | None
    ct: Path
    meshes: Mapping[str, Path] = field(default_factory=dict)
    labels: Path | None = None

    @property
    def labelled(self) -> bool:
        """Whether its bones are known."""
        return bool(self.meshes) or self.labels is not None

    def inputs(self) -> dict[str, Path]:
        """All its files, by what they are."""
        found = {"ct": self.ct, **self.meshes} | ({} if self.labels is None else {"labels": self.labels})
        for name, path in list(found.items()):
            for suffix in _DETACHED.get(path.suffix.lower(), ()):
                beside = path.with_suffix(suffix)
                if beside.is_file():
                    found[f"{name} {suffix}"] = beside
        return found


def find_sources(data: Path) -> tuple[Source, ...]:
    """The cases of a folder, by name.

    Raises:
        FileReadError: There is no such folder, no case in it, or a case whose files do not tell what they are; all of
            these are named.
    """
    if not data.is_dir():
        raise FileReadError(f"{data}: {'is a file; name the folder' if data.is_file() else 'no such folder'}")
    coded = [code for code in ORGANISERS if (data / code).is_dir()]
    found: list[Source] = []
    wrong: list[str] = []
    for root, code in [(data / code, code) for code in coded] or [(data, "")]:
        for name, files in _cases(root).items():
            try:
                found.append(_source(name, code, files))
            except FileReadError as error:
                wrong.append(str(error))
    if wrong:
        raise FileReadError("\n".join(wrong))
    if not found:
        raise FileReadError(
            f"{data}: no CT here\n  expected  <case>/ with an image ({', '.join(IMAGES)}) or a DICOM series, "
            "<case>.nii.gz, or FL/, FR/, ML/, MR/"
        )
    return tuple(sorted(found, key=lambda source: source.case))


def read_patients(path: Path, cases: Iterable[str]) -> dict[str, str]:
    """Of every case its patient, from a table with the columns ``case`` and ``patient``.

    Raises:
        FileReadError: It cannot be read, lacks a column, or names a case twice.
        UsageError: A case is not in it.
    """
    import csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not rows or not {"case", "patient"} <= set(rows[0]):
        columns = ", ".join(map(str, rows[0])) if rows else "nothing"
        raise FileReadError(f"{path}: expected the columns case and patient; found {columns}")
    found: dict[str, str] = {}
    for row in rows:
        case, patient = (row["case"] or "").strip(), (row["patient"] or "").strip()
        if found.setdefault(case, patient) != patient:
            raise FileReadError(f"{path}: case {case} is there twice: of patient {found[case]} and of {patient}")
    missing = [case for case in cases if not found.get(case)]
    if missing:
        raise UsageError(f"--patients {path}: no patient for {_few(missing)}")
    return {case: found[case] for case in cases}


@dataclass
class _Files:
    """What belongs to a case."""

    place: Path
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    meshes: list[Path] = field(default_factory=list)


def _cases(root: Path) -> dict[str, _Files]:
    """Files by case."""
    found: dict[str, _Files] = {}
    entries = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    for path in (entry for entry in entries if entry.is_dir()):
        files = _in_folder(path)
        if files.images or files.labels or files.meshes:
            found[path.name] = files
    loose = [path for path in entries if path.is_file() and path.name.lower().endswith(IMAGES)]
    for path in (path for path in loose if not _is_labels(path)):
        found.setdefault(_stem(path), _Files(path)).images.append(path)
    for path in entries:
        owner = max((case for case in found if _begins(path, case)), key=len, default=None)
        if owner is None or not path.is_file():
            continue
        if path.suffix.lower() in MESHES:
            found[owner].meshes.append(path)
        elif path in loose and _is_labels(path):
            found[owner].labels.append(path)
    return found


def _in_folder(folder: Path) -> _Files:
    """Files of a folder and of those in it."""
    files = _Files(folder)
    inner = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for place in (folder, *(path for path in inner if path.is_dir())):
        below = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        for path in below:
            name = path.name.lower()
            if name.endswith(MESHES):
                files.meshes.append(path)
            elif name.endswith(IMAGES):
                (files.labels if _is_labels(path) else files.images).append(path)
        if any(not path.name.lower().endswith((*MESHES, *IMAGES)) and looks_like_dicom(path) for path in below):
            files.images.append(place)
    return files


def _source(name: str, code: str, files: _Files) -> Source:
    """The case that the files make."""
    case = f"{code}_{name}" if code else name
    patient = f"{code[0]}_{name}" if code else name  # two sides of one number may be one person
    return Source(
        case,
        patient,
        SIDES[code[1]] if code else None,
        _one_ct(files),
        _four(files),
        _one(files.place, files.labels, "label maps"),
    )


def _one_ct(files: _Files) -> Path:
    if not files.images:
        raise FileReadError(f"{files.place}: no CT: neither an image ({', '.join(IMAGES)}) nor a DICOM series")
    named = [path for path in files.images if "ct" in _words(path)]
    chosen = _one(files.place, named if len(named) == 1 else files.images, "images could be the CT")
    return chosen or files.images[0]


def _one(place: Path, paths: list[Path], what: str) -> Path | None:
    if len(paths) > 1:
        named = ", ".join(path.name for path in paths)
        raise FileReadError(f"{place}: {len(paths)} {what}: {named}; leave one, or name the CT ct.*")
    return paths[0] if paths else None


def _four(files: _Files) -> dict[str, Path]:
    """Meshes by bone: all or none."""
    found: dict[str, Path] = {}
    for path in files.meshes:
        hit = _BONE.search(path.stem.lower())
        if hit is None:
            continue
        bone = hit[1] or BONES[int(hit[2])]
        if bone in found:
            raise FileReadError(
                f"{files.place}: two meshes of the {bone}: {found[bone].name} and {path.name}; leave one"
            )
        found[bone] = path
    missing = [bone for bone in BONES if bone not in found]
    if found and missing:
        there = ", ".join(path.name for path in found.values())
        raise FileReadError(f"{files.place}: no mesh of {', '.join(missing)}; found {there}")
    return found


def _is_labels(path: Path) -> bool:
    return path.name.lower().endswith(".seg.nrrd") or bool(LABEL_WORDS & _words(path))


def _words(path: Path) -> set[str]:
    return set(re.split(r"[-_. ]", _stem(path).lower()))


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (*sorted(IMAGES, key=len, reverse=True), *MESHES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _begins(path: Path, case: str) -> bool:
    """Whether a loose file's name is the case's, with something after a sign."""
    name = path.name
    return name.startswith(case) and len(name) > len(case) and name[len(case)] in "-_."


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
