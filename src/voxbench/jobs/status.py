"""What became of every case, in one file that can be read while a run is under way."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from voxbench.errors import FileWriteError
from voxbench.io import write_json
from voxbench.jobs.job import Job, Outcome
from voxbench.jobs.leftovers import WORKER, run_name, sweep, sweep_after_dead
from voxbench.jobs.record import Records

PERIOD = 0.5
"""Seconds between two writings, at least; twenty times as long as one takes, if that is more."""


class Status:
    """Of every case its state, worker, start, seconds, peak memory and error; kept on disk, if there is a place.

    The states: ``waiting``, ``running``, ``retried`` (its worker died; it waits for its second try), ``done``,
    ``kept`` (on record from an earlier run), ``failed``.
    """

    def __init__(self, jobs: Sequence[Job], records: Records | None = None) -> None:
        self._records = records
        self._cases: dict[str, dict[str, Any]] = {job.key: {"case": job.key, "state": "waiting"} for job in jobs}
        self._lock = threading.Lock()
        self._changed, self._over = True, threading.Event()
        self._begun = time.time()

    def began(self, key: str, worker: str = "", pid: int | None = None) -> None:
        """A case is being done, here or by a worker."""
        self._change(key, state="running", worker=worker or "this process", pid=pid or os.getpid(), start=_now())

    def lost(self, key: str) -> None:
        """The worker of a case died; the case will be tried once more."""
        self._change(key, state="retried", tries=2)

    def ended(self, outcome: Outcome) -> None:
        """Something came of a case."""
        state = "failed" if outcome.record is None else "kept" if outcome.reused else "done"
        about: dict[str, Any] = {"state": state, "seconds": round(outcome.seconds, 3), "peak_mib": outcome.peak_mib}
        self._change(outcome.key, **about, **({"error": outcome.error} if outcome.error else {}))

    def as_dict(self, state: str = "running") -> dict[str, Any]:
        """What stands in the file; ``state`` of the run: running, ended, or stopped before its end."""
        with self._lock:
            cases = [dict(case) for case in self._cases.values()]
        about: dict[str, Any] = {"state": state, "run": run_name(), "host": platform.node(), "pid": os.getpid()}
        about |= {"begun": _spoken(self._begun), "updated": _now(), "counts": Counter(case["state"] for case in cases)}
        return about | {"cases": cases}

    @contextmanager
    def written(self) -> Iterator[None]:
        """Keep the file up to date while the block runs; at its end it says whether the run came to its end.

        What a killed run left half-written in the folder of the results is removed before, what workers of this one
        that died left is removed after.
        """
        if self._records is None:
            yield
            return
        sweep_after_dead(self._records.root, self._records.status)
        self._write()
        writer = threading.Thread(target=self._keep_writing, daemon=True)
        writer.start()
        state = "stopped"
        try:
            yield
            state = "ended"
        finally:
            self._over.set()
            writer.join()
            self._changed = True
            self._write(state)
            sweep(self._records.root, run_name() + WORKER)

    def _change(self, key: str, **what: Any) -> None:
        with self._lock:
            self._cases[key] |= what
            self._changed = True

    def _keep_writing(self) -> None:
        pause = PERIOD
        while not self._over.wait(pause):
            start = time.perf_counter()
            self._write()
            pause = max(PERIOD, 20 * (time.perf_counter() - start))

    def _write(self, state: str = "running") -> None:
        """Once more, if something changed; a disk that is full must not stop the run here: its records will."""
        if self._records is None or not self._changed:
            return
        self._changed = False
        with suppress(FileWriteError):
            write_json(self._records.status, self.as_dict(state))


def _now() -> str:
    return _spoken(time.time())


def _spoken(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
