"""What every challenge's evaluation is, whatever its numbers: all predictions there, a record per case, scores.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.config import Config
from voxbench.errors import FileReadError
from voxbench.jobs import Outcome, Record

ALL_OF_THEM = "provide all of them"


@dataclass(frozen=True)
class Evaluated:
    """All cases.

    Attributes:
        settings: How they were scored.
        outcomes: What came of each; all have a record.
    """

    settings: Config
    outcomes: tuple[Outcome, ...]

    @property
    def records(self) -> list[Record]:
        """What each case left, in order."""
        return [outcome.record for outcome in self.outcomes if outcome.record is not None]

    @property
    def counted(self) -> str:
        """How many of the cases had a prediction that could be used."""
        return f"{sum('missing' not in record for record in self.records)} of {len(self.outcomes)} scored"

    def head(self, challenge: str) -> dict[str, Any]:
        """How scores.json begins: what was scored, by what."""
        return {
            "challenge": challenge,
            "voxbench": version("voxbench"),
            "numpy": np.__version__,
            "settings": self.settings,
            "scored": self.counted,
        }

    def cases(self) -> dict[str, Any]:
        """Of every case its record and the hashes of what was read."""
        return {
            outcome.key: dict(record) | {"inputs": dict(outcome.inputs)}
            for outcome, record in zip(self.outcomes, self.records, strict=True)
        }


def require_predictions(folder: Path, missing: Sequence[object], count: int, hint: str = ALL_OF_THEM) -> None:
    """Refuse a folder that lacks predictions; all of them are named.

    Args:
        folder: Where they were looked for.
        missing: Their names.
        count: How many there should be.
        hint: What to do, beside --allow-missing.

    Raises:
        FileReadError: Some are missing.
    """
    _require(folder, missing, f"{len(missing)} of {count} predictions", hint + _WORST)


def require_references(folder: Path, missing: Sequence[object], count: int, hint: str) -> None:
    """As `require_predictions`; there is nothing to score by without a reference."""
    _require(folder, missing, f"{len(missing)} of {count} references", hint)


_WORST = ", or give --allow-missing to score them by the worst values"


def _require(folder: Path, missing: Sequence[object], what: str, hint: str) -> None:
    if missing:
        names = "\n  ".join(str(name) for name in missing)
        raise FileReadError(f"{folder}: {what} are missing; nothing is evaluated\n  {names}\n  {hint}")
