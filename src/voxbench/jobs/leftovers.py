"""What a run that was stopped left half-written: found by the name of the run, and removed."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxbench.errors import FileReadError
from voxbench.io import read_json
from voxbench.io.atomic import RUN

WORKER = "w"
"""Stands after the name of the run in what its workers write."""

_own: str | None = None


def run_name() -> str:
    """The name of what this process runs; files that it is about to finish begin with it."""
    global _own  # a process has one; what stands in the environment may be its parent's
    if _own is None:
        _own = os.environ[RUN] = secrets.token_hex(4)
    return _own


def _forget() -> None:
    """A forked process is another one: it must not take what a killed sister left for its own, nor the reverse."""
    global _own
    _own = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def work_for(run: str) -> None:
    """Let what this process writes from now on be known as a worker's of the run; the run's own process stays it."""
    if _own is None:
        os.environ[RUN] = run + WORKER


def sweep(root: Path, beginning: str) -> None:
    """Remove the half-written files and folders below ``root`` whose names begin so."""
    for kind in ("part", "old"):
        for left in sorted(root.rglob(f".{beginning}*.{kind}.*")):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    left.unlink()


def sweep_after_dead(root: Path, status: Path) -> None:
    """Remove what an earlier run left that was killed, while it ran its cases or while it wrote what came of them."""
    try:
        about = read_json(status)
    except FileReadError:
        return
    if isinstance(about, Mapping) and isinstance(about.get("run"), str) and len(about["run"]) == 8 and _dead(about):
        sweep(root, about["run"])


def _dead(about: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a status was of this machine and is gone."""
    pid = about.get("pid")
    if about.get("host") != platform.node() or not isinstance(pid, int) or pid < 2:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
