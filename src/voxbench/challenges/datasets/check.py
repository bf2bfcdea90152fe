"""A whole data set, checked: every file to its end, then files against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxbench.challenges.datasets.contents import examine
from voxbench.challenges.datasets.findings import Finding, against, of_file, unreadable
from voxbench.challenges.datasets.layouts import Layout, Role, layout_of, spider_splits, ssrkd_splits
from voxbench.challenges.datasets.naming import Entry, entry_of, files_below, partners
from voxbench.errors import FileReadError
from voxbench.jobs import Job, Manner, Record, Told, run


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        folder: The data set.
        challenge: Whose rules; None for those of any data set.
        files: How many were read.
        findings: By file.
    """

    folder: Path
    challenge: str | None
    files: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.errors

    def __str__(self) -> str:
        """The count, in a line."""
        return f"{self.folder}: {self.files} files read; {self.errors} errors, {self.warnings} warnings"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about: dict[str, Any] = {"folder": str(self.folder), "challenge": self.challenge, "files": self.files}
        about |= {"errors": self.errors, "warnings": self.warnings}
        return about | {"findings": [asdict(finding) for finding in self.findings]}


@dataclass(frozen=True)
class _Named:
    """The files of a data set, by name; those that the challenge does not know stand in ``strange``."""

    entries: list[Entry]
    roles: Mapping[str, Role]
    strange: list[Finding]
    layout: Layout | None


def readings(folder: Path, challenge: str | None = None) -> tuple[Job, ...]:
    """One job per file of a data set, for a plan: the file is its input.

    Raises:
        UsageError: There is no such challenge.
        FileReadError: There is no such folder, or nothing in it that could be checked.
    """
    layout, paths = _files(folder, challenge)
    entries = _named(folder, paths, layout).entries
    return tuple(Job(e.name, partial(examine, e.path, e.kind, layout is None), {"file": e.path}) for e in entries)


def check(folder: Path, challenge: str | None = None, manner: Manner = Manner(), told: Told | None = None) -> Check:
    """Read every image, label map, field and mesh below a folder to its end, and say what is wrong.

    Args:
        folder: The data set, or a folder of predictions.
        challenge: Whose names and label values it must have; None for what holds anywhere.
        manner: How many processes read.
        told: Told of each file as it was read.

    Raises:
        UsageError: There is no such challenge.
        FileReadError: There is no such folder, or nothing in it that could be checked.
    """
    layout, paths = _files(folder, challenge)
    named = _named(folder, paths, layout)
    jobs = [Job(e.name, partial(examine, e.path, e.kind, layout is None)) for e in named.entries]
    outcomes = {outcome.key: outcome for outcome in run(jobs, manner, told)}
    findings = list(named.strange)
    records: dict[str, Record] = {}
    for entry in named.entries:
        outcome = outcomes[entry.name]
        if outcome.record is None:
            findings.append(unreadable(entry, outcome.error))
        else:
            records[entry.name] = outcome.record
            role = named.roles.get(entry.name)
            expected = layout.values if layout else ""
            findings += of_file(entry, outcome.record, role.values if role else None, expected)
    findings += _beside(named, records)
    findings += _duplicates(named.entries, records)
    findings += _leaks(named)
    findings += _incomplete(named)
    return Check(folder, challenge, len(paths), tuple(sorted(findings, key=lambda f: (f.file, f.severity))))


def _files(folder: Path, challenge: str | None) -> tuple[Layout | None, Sequence[Path]]:
    """What there is to be read, and whose rules hold."""
    layout = None if challenge is None else layout_of(challenge)
    paths = files_below(folder, layout.others if layout else ())
    if not paths:
        raise FileReadError(f"{folder}: no image and no mesh here\n  expected  {_expected(layout)}")
    return layout, paths


def _expected(layout: Layout | None) -> str:
    return layout.expected if layout else ".nii, .nii.gz, .mha, .mhd, .nrrd, .mgz, .dcm; .obj, .stl, .ply"


def _named(folder: Path, paths: Sequence[Path], layout: Layout | None) -> _Named:
    if layout is None:
        return _Named([entry_of(folder, path) for path in paths], {}, [], None)
    entries, roles, strange = [], {}, []
    for path in paths:
        entry, role = layout.entry(folder, path)
        if entry is None or role is None:
            entry = entry_of(folder, path)
            what = f"wrong file name for {layout.name}; expected {layout.expected}"
            strange.append(Finding("error", entry.name, what, "rename or move it"))
            entry = Entry(entry.name, path, entry.kind)
        else:
            roles[entry.name] = role
        entries.append(entry)
    if layout.name == "spider":
        entries = spider_splits(folder, entries)
    if layout.name == "ssrkd":
        entries = ssrkd_splits(folder, entries)
    return _Named(entries, roles, strange, layout)


def _beside(named: _Named, records: Mapping[str, Record]) -> Iterator[Finding]:
    """Files against the image of their case."""
    if named.layout is None:
        image_of = partners(named.entries)
    else:
        anchors = {(e.split, e.pair): e for e in named.entries if e.anchor}
        image_of = {e.name: anchors[e.split, e.pair] for e in named.entries if (e.split, e.pair) in anchors}
    told = {e.path.parent for e in named.entries if e.kind == "labels" and e.name in image_of}
    for entry in named.entries:
        image = image_of.get(entry.name)
        if image is not None and image is not entry and entry.kind in {"labels", "image"}:
            if entry.name in records and image.name in records:
                yield from against(entry, records[entry.name], image, records[image.name])
        elif entry.kind == "labels" and image is None and entry.pair and entry.path.parent in told:
            yield Finding("warning", entry.name, "labels without their image", "add the image, or remove the labels")


def _duplicates(entries: Sequence[Entry], records: Mapping[str, Record]) -> Iterator[Finding]:
    """The same content under two names."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        record = records.get(entry.name)
        # Empty label maps and zero fields are alike without being copies; so are constant images, which are told of.
        if record is not None and record.get("low", 0) != record.get("high", 1):
            groups[record["content"]].append(entry)
    for first, *others in groups.values():
        for other in others:
            if first.split != other.split:
                what = f"the same content as {first.name}, in two splits: {other.split or '-'} and {first.split or '-'}"
                yield Finding("error", other.name, what, "keep one of the two, or scores are of what was trained on")
            elif not (first.patient and first.patient == other.patient and first.kind == "labels"):
                yield Finding("warning", other.name, f"the same content as {first.name}", "remove one of the two")


def _leaks(named: _Named) -> Iterator[Finding]:
    """The same patient in two splits; without a challenge that names patients, the same case name."""
    seen: dict[str, Entry] = {}
    told: set[tuple[str, str]] = set()
    for entry in named.entries:
        who = entry.patient if named.layout else entry.pair
        if not entry.split or not who or entry.kind == "field":
            continue
        first = seen.setdefault(who, entry)
        if first.split != entry.split and (who, entry.split) not in told:
            told.add((who, entry.split))
            known = named.layout is not None
            what = f"{'patient' if known else 'case name'} {who} in two splits: {entry.split}, and {first.split}"
            remedy = "keep every patient in one split" if known else "if it is the same person, keep it in one split"
            yield Finding("error" if known else "warning", entry.name, f"{what} ({first.name})", remedy)


def _incomplete(named: _Named) -> Iterator[Finding]:
    """Images without labels where others have them, and cases that lack a mesh."""
    if named.layout is None:
        return
    labelled = {(e.split, e.pair) for e in named.entries if e.kind == "labels"}
    splits = {split for split, _ in labelled}
    for entry in named.entries:
        if entry.anchor and entry.split in splits and (entry.split, entry.pair) not in labelled:
            what = "an image without labels, where others have them"
            yield Finding("warning", entry.name, what, "add its labels if they are meant to be there")
    cases: dict[str, list[Entry]] = defaultdict(list)
    for entry in named.entries:
        if entry.part:
            cases[entry.pair].append(entry)
    for case, meshes in cases.items():
        for part in sorted(set(named.layout.parts) - {mesh.part for mesh in meshes}):
            bone = named.layout.parts[part]
            folder = meshes[0].name.rpartition("/")[0]
            what = f"missing ({bone}); case {case} has {len(meshes)} of {len(named.layout.parts)} meshes"
            yield Finding("error", f"{folder}/sub_{part}.obj".lstrip("/"), what, "add the mesh")
