"""One evaluation as a report shows it: quantities by structure, what went wrong with each case, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbench.challenges.tables import FILE, read_run
from voxbench.errors import FileReadError
from voxbench.io import read_json, sha256
from voxbench.jobs.record import FOLDER
from voxbench.report.measures import Measure, measures_of
from voxbench.report.privacy import without_paths
from voxbench.report.troubles import Trouble, troubles_of


@dataclass(frozen=True)
class Scored:
    """What one evaluation found.

    Attributes:
        name: How it is shown.
        challenge: Which challenge it is of.
        counted: How many cases had a prediction that could be used, e.g. ``97 of 100 scored``.
        measures: A value per case: the challenge's own numbers first.
        details: Values per structure, finer than the challenge's numbers.
        troubles: What went wrong, by case; cases without trouble are not in it.
        cases: All that were scored.
        settings: Of the evaluation.
        versions: Of the programs that made it, and the SHA-256 of scores.json.
    """

    name: str
    challenge: str
    counted: str
    measures: tuple[Measure, ...]
    details: tuple[Measure, ...]
    troubles: Mapping[str, tuple[Trouble, ...]]
    cases: tuple[str, ...]
    settings: Mapping[str, object]
    versions: Mapping[str, str]

    def measure(self, key: tuple[str, str]) -> Measure | None:
        """The one of a quantity and structure, if there is one."""
        return next((found for found in (*self.measures, *self.details) if found.key == key), None)


def read_scored(folder: Path, name: str = "") -> Scored:
    """Read what ``voxbench evaluate --out`` wrote.

    Args:
        folder: The folder.
        name: How to show it; the folder's name if not given.

    Raises:
        FileReadError: There is no scores.json, or it holds no table.
    """
    run = read_run(folder, name)
    content = read_json(folder / FILE)
    cases = content.get("cases")
    if not isinstance(cases, Mapping):
        raise FileReadError(f"{run.path}: says nothing of the cases (key 'cases'); evaluate again with this version")
    official = _official(folder)
    measures, details = measures_of(run, content, official)
    keys = dict.fromkeys([*cases, *(case for values in run.values.values() for case in values)])
    failed = _failed(folder)
    return Scored(
        run.name,
        run.challenge,
        without_paths(str(content.get("scored", f"{len(keys)} cases"))),
        measures,
        details,
        troubles_of(run.challenge, cases, failed),
        tuple(dict.fromkeys([*keys, *failed])),
        _settings(content),
        {
            "voxbench": str(content.get("voxbench", "not said")),
            "numpy": str(content.get("numpy", "not said")),
            f"SHA-256 of {FILE}": sha256(run.path),
        },
    )


def _settings(content: Mapping[str, Any]) -> dict[str, object]:
    """Those of the evaluation and what configurations it was made by, as text without paths."""
    shown: dict[str, object] = {str(k): without_paths(str(v)) for k, v in dict(content.get("settings") or {}).items()}
    for config in content.get("configs") or ():
        shown[f"config {Path(str(config.get('file'))).name}"] = f"{config.get('cases')} cases, {config.get('part')}"
    return shown


def _official(folder: Path) -> Mapping[str, Any]:
    """The organisers' metrics.json where there is one."""
    path = folder / "metrics.json"
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, Mapping) else {}


def _failed(folder: Path) -> dict[str, str]:
    """Cases whose last try failed, which are on record but in no table."""
    failed = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        about = read_json(path)
        if isinstance(about, Mapping) and about.get("status") == "failed":
            failed[str(about.get("key"))] = without_paths(str(about.get("error", "")).split("\n", 1)[0])
    return failed
