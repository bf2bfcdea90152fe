"""One case of many: what is to be done, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""What a case leaves behind, in values that JSON holds: str keys, numbers (NaN and infinity too), lists, None."""


@dataclass(frozen=True)
class Job:
    """One case.

    Attributes:
        key: How it is named in messages, and on disk.
        work: Does it; a ``functools.partial`` of a public function, so that another process can call it.
        inputs: The files, or folders of files, that decide the result, by the name they have in it; those that are
            missing may be named.
        settings: Whatever else decides the result, in values that JSON holds.
    """

    key: str
    work: Callable[[], Record]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes:
        key: Its name.
        record: What it left; None if it failed.
        error: Why it failed; empty if it did not.
        inputs: SHA-256 of each input; None for one that is missing.
        seconds: Wall time it took (when it was computed).
        reused: Whether the record was kept from an earlier run.
        peak_mib: The most memory the process held meanwhile, all that it held before included; None if unknown.
    """

    key: str
    record: Record | None
    error: str = ""
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False
    peak_mib: float | None = None
