"""What went wrong with a case, in words and with its weight: what a person should look at first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxbench.report.measures import spine_name
from voxbench.report.privacy import without_paths

FAILED, MISSING, LOST, NOTED = 0, 1, 2, 3
"""From bad to less bad: could not be scored, no usable prediction, something was not found, something is odd."""


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong.

    Attributes:
        weight: `FAILED`, `MISSING`, `LOST` or `NOTED`.
        said: In words.
        count: How many structures it is about; more is worse.
    """

    weight: int
    said: str
    count: int = 1


def troubles_of(
    challenge: str, cases: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]
) -> dict[str, tuple[Trouble, ...]]:
    """What went wrong, by case.

    Args:
        challenge: Whose cases.
        cases: What scores.json says of each.
        failed: Reasons of those that could not be scored at all.
    """
    found = {case: tuple(_of_case(challenge, case, about)) for case, about in cases.items()}
    for case, reason in failed.items():
        found[case] = (Trouble(FAILED, f"could not be scored: {_told(reason, case)}"), *found.get(case, ()))
    return {case: troubles for case, troubles in found.items() if troubles}


def _of_case(challenge: str, case: str, about: Mapping[str, Any]) -> Iterator[Trouble]:
    reason = about.get("missing") or about.get("worst_values_because")
    if reason:
        yield Trouble(MISSING, f"worst values: {_told(str(reason), case)}")
        return
    yield from _LOST.get(challenge, _nothing)(about)
    if about.get("note"):
        yield Trouble(NOTED, _told(str(about["note"]), case))


def _told(reason: str, case: str = "") -> str:
    """The first line of a reason, without the machine's paths and without the case, which stands beside it."""
    first = without_paths(reason.split("\n", 1)[0])
    return re.sub(rf"^{re.escape(case)}[:,] ", "", first) if case else first


def _nothing(_: Mapping[str, Any]) -> Iterator[Trouble]:
    return iter(())


def _spider(about: Mapping[str, Any]) -> Iterator[Trouble]:
    missed = [spine_name(int(row["label"])) for row in about.get("structures") or () if row.get("missed")]
    if missed:
        yield Trouble(LOST, f"missed: {_listed(missed)}", len(missed))
    surplus = [spine_name(int(label)) for label in about.get("surplus") or ()]
    if surplus:
        yield Trouble(LOST, f"predicted but not there: {_listed(surplus)}", len(surplus))


def _lnq2023(about: Mapping[str, Any]) -> Iterator[Trouble]:
    honest: Mapping[str, Any] = about.get("honest") or {}
    nodes, found, predicted = (int(honest.get(key) or 0) for key in ("nodes", "nodes_detected", "nodes_predicted"))
    if nodes > found:
        yield Trouble(LOST, f"{nodes - found} of {nodes} nodes missed", nodes - found)
    if predicted > found:
        yield Trouble(LOST, f"{predicted - found} predicted where there is none", predicted - found)


def _lumir25(about: Mapping[str, Any]) -> Iterator[Trouble]:
    for key, name in (("lost_labels", "labels"), ("lost_landmarks", "landmarks")):
        lost = about.get(key)
        count = len(lost) if isinstance(lost, Sequence) else int(lost or 0)
        if count:
            listed = f": {_listed([str(n) for n in lost])}" if isinstance(lost, Sequence) else ""
            yield Trouble(LOST, f"{count} {name} lost by the field{listed}", count)
    folded = int(about.get("folded_voxels") or 0)
    if folded:
        yield Trouble(NOTED, f"{folded} voxels folded ({float(about.get('folded_percent') or 0):.2g} %)")


def _ssrkd(about: Mapping[str, Any]) -> Iterator[Trouble]:
    for bone, numbers in (about.get("bones") or {}).items():
        if numbers.get("dsc_undefined"):
            yield Trouble(NOTED, f"{bone}: no DSC, {numbers['dsc_undefined']}")


def _lumbarsr(about: Mapping[str, Any]) -> Iterator[Trouble]:
    if about.get("bone_mask") == "non_air":
        yield Trouble(NOTED, "no bone mask; all that is not air is taken for it")


_LOST = {"spider": _spider, "lnq2023": _lnq2023, "lumir25": _lumir25, "ssrkd": _ssrkd, "lumbarsr": _lumbarsr}


def _listed(names: Sequence[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
