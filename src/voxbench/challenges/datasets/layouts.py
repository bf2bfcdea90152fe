"""How each challenge names its files, and which label values it knows: one small table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxbench.challenges.datasets.naming import Entry, Kind, split_of
from voxbench.errors import FileReadError, UsageError
from voxbench.io import read_json

_SPLIT_NAMES = {"tr": "train", "ts": "test", "training": "train", "validation": "val"}


@dataclass(frozen=True)
class Role:
    """One kind of file of a challenge.

    Attributes:
        kind: What it holds.
        pattern: Of its path, from the data set's own folder on. Groups: ``patient``, ``split``, ``part``, and ``pair``
            for what files of one case have in common (the patient if there is none).
        anchor: Whether the other files of the case must lie on its grid.
        values: Label values it may hold; None for any whole number from 0.
    """

    kind: Kind
    pattern: re.Pattern[str]
    anchor: bool = False
    values: frozenset[int] | None = None


@dataclass(frozen=True)
class Layout:
    """A challenge's files.

    Attributes:
        name: Of the challenge.
        roles: Tried one after another.
        expected: The names, for messages.
        values: The label values, for messages.
        parts: Meshes every case must have.
        others: Suffixes of files that count beside images and meshes.
    """

    name: str
    roles: tuple[Role, ...]
    expected: str
    values: str = "whole numbers from 0"
    parts: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def entry(self, folder: Path, path: Path) -> tuple[Entry | None, Role | None]:
        """What the challenge makes of a file's name; None if it has no such file."""
        name = path.relative_to(folder).as_posix()
        whole = f"{folder.resolve().name}/{name}"
        for role in self.roles:
            found = role.pattern.fullmatch(whole)
            if found:
                groups = {key: value or "" for key, value in found.groupdict().items()}
                patient, split = groups.get("patient", ""), groups.get("split", "").lower()
                split = _SPLIT_NAMES.get(split, split) or split_of(tuple(whole.split("/")[:-1]))
                pair = groups.get("pair", patient)
                return Entry(name, path, role.kind, pair, role.anchor, patient, split, groups.get("part", "")), role
        return None, None


def layout_of(challenge: str) -> Layout:
    """By name.

    Raises:
        UsageError: There is no such challenge.
    """
    if challenge not in LAYOUTS:
        raise UsageError(f"--challenge: there is no {challenge!r}; choose from {', '.join(LAYOUTS)}")
    return LAYOUTS[challenge]


def spider_splits(folder: Path, entries: list[Entry]) -> list[Entry]:
    """The entries with the split that SPIDER's overview.csv gives them, where it is there."""
    path = next(
        (place / "overview.csv" for place in (folder, folder.parent) if (place / "overview.csv").is_file()), None
    )
    if path is None:
        return entries
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        subsets = {row.get("new_file_name"): (row.get("subset") or "").strip() for row in csv.DictReader(file)}
    told = {name: _SPLIT_NAMES.get(subset, subset) for name, subset in subsets.items()}
    return [replace(entry, split=told.get(entry.pair) or entry.split) for entry in entries]


def ssrkd_splits(folder: Path, entries: list[Entry]) -> list[Entry]:
    """The entries with the split and the patient that SSR-KD's info.json gives their case, where it is there."""
    try:
        info = read_json(folder / "info.json")
    except FileReadError:
        return entries
    info = info if isinstance(info, Mapping) else {}
    lists = {split: info.get(split) for split in ("train", "val", "test", "unlabelled", "held_out")}
    splits = {str(case): split for split, cases in lists.items() if isinstance(cases, list) for case in cases}
    # A knee without labels trains too; one that is held out is in no split.
    splits = {case: {"unlabelled": "train", "held_out": ""}.get(split, split) for case, split in splits.items()}
    people = info.get("patients")
    people = people if isinstance(people, Mapping) else {}
    return [
        replace(entry, split=splits.get(entry.pair, entry.split), patient=str(people.get(entry.pair, entry.patient)))
        for entry in entries
    ]


def _role(kind: Kind, pattern: str, values: frozenset[int] | None = None, *, anchor: bool = False) -> Role:
    return Role(kind, re.compile(r"(?:.*/)?" + pattern), anchor, values)


_BINARY = frozenset({0, 1})
_SPINE = frozenset({0, 100, *range(1, 26), *range(101, 126), *range(201, 226)})
_SEQUENCE = r"(?:195X_195Y|586X_586Y)_(?:500|1000)Z_[SB]"
_LUMBAR = r"Lumbar_(?P<patient>\d+)/Lumbar(?P=patient)_"
_CASE = r"(?P<pair>lnq2023-(?P<split>train|val|test)-(?P<patient>\d{4}))"
_SERIES = r"(?P<pair>(?P<patient>\d+)_(?:t1|t2|t2_SPACE))\.mha"
_BRAIN = r"(?P<split>Tr|Val|Ts)/LUMIRMRI_(?P<pair>(?P<patient>\d{4})_\d{4})\.nii\.gz"
_KNEE = r"(?P<patient>(?!submesh/)[^/]+)/"

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "lumir25",
            (
                _role("image", "images" + _BRAIN, anchor=True),
                _role("labels", "(?:labels|landmarks)" + _BRAIN),
                _role("field", r"disp_\d{4}_\d{4}(?:_\d{4}_\d{4})?\.nii\.gz"),
            ),
            "images{Tr,Val}/, labelsVal/, landmarksVal/ with LUMIRMRI_<4 digits>_<4 digits>.nii.gz; "
            "disp_<FIXED>_<MOVING>.nii.gz",
        ),
        Layout(
            "lumbarsr",
            (
                _role("image", "RegisteredData/" + _LUMBAR + r"MicroPCCT_105um\.nii\.gz", anchor=True),
                _role("image", f"RegisteredData/{_LUMBAR}ClinicalCT_{_SEQUENCE}" + r"_registered\.nii\.gz"),
                _role(
                    "labels",
                    f"BoneMask/{_LUMBAR}(?:MicroPCCT_105um|ClinicalCT_{_SEQUENCE}_registered)" + r"_BoneMask\.nii\.gz",
                    frozenset({0, 1, 255}),
                ),
                _role("image", f"(?P<method>[^/]+)/{_LUMBAR}{_SEQUENCE}" + r"_(?P=method)\.nii\.gz"),
                _role("image", r"original_dicom/Lumbar_(?P<patient>\d+)/.*(?P<pair>$)"),
            ),
            "RegisteredData/Lumbar_XX/LumbarXX_{MicroPCCT_105um,ClinicalCT_<SEQ>_registered}.nii.gz, "
            "BoneMask/Lumbar_XX/..._BoneMask.nii.gz, <method>/Lumbar_XX/LumbarXX_<SEQ>_<method>.nii.gz",
            "0 and 1 (or 255)",
        ),
        Layout(
            "lnq2023",
            (
                _role("image", _CASE + r"-ct\.(?:nrrd|mha|nii\.gz)", anchor=True),
                _role("labels", _CASE + r"-seg\.(?:nrrd|mha|nii\.gz)", _BINARY),
            ),
            "lnq2023-{train,val,test}-<4 digits>-{ct,seg}.nrrd",
            "0 and 1; another value makes the official Dice 0",
        ),
        Layout(
            "spider",
            (
                _role("image", "images/" + _SERIES, anchor=True),
                _role("labels", _SERIES, _SPINE),
            ),
            "images/ and masks/ with <patient>_{t1,t2,t2_SPACE}.mha",
            "0, 1-25 vertebrae, 100 canal, 101-125 partly visible vertebrae, 201-225 discs",
        ),
        Layout(
            "ssrkd",
            (
                _role("mesh", _KNEE + r"(?:submesh/)?sub_(?P<part>[0-3])\.obj"),
                _role("mesh", _KNEE + r"mesh\.obj"),
                _role("image", _KNEE + r"ct_(?:256|512)x\.nii\.gz"),
                _role("labels", _KNEE + r"seg_mask\.nii\.gz", frozenset(range(5))),
                _role("image", _KNEE + r"ct_(?:256|512)x\.npz"),
                _role("labels", _KNEE + r"seg_mask\.npz", frozenset(range(5))),
                _role("archive", _KNEE + r"(?:projs|bone_masks?|sampling|spacing)\.npz"),
            ),
            "<case>/sub_0.obj to sub_3.obj (or <case>/submesh/), <case>/mesh.obj, <case>/{ct_256x, ct_512x, seg_mask, "
            "projs, bone_mask, sampling, spacing}.npz",
            "0 to 4",
            {"0": "patella", "1": "femur", "2": "fibula", "3": "tibia"},
            (".npz",),
        ),
    )
}
"""By name."""
