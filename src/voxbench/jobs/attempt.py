"""One case, from its inputs' hashes to an outcome; whatever goes wrong with it stays with it."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping
from typing import Any

from voxbench.errors import VoxbenchError
from voxbench.io.tables import plain
from voxbench.jobs.job import Job, Outcome
from voxbench.jobs.memory import forget_peak, peak_mib
from voxbench.jobs.record import fingerprint, hashes


def attempt(job: Job, kept: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Do a case, unless what was kept of it was made from the same inputs with the same settings.

    Args:
        job: The case.
        kept: What an earlier run left of it; empty for nothing.

    Returns:
        What came of it, and the fingerprint of what decided it.
    """
    inputs = hashes(job)
    mark = fingerprint(job, inputs)
    if kept.get("fingerprint") == mark and isinstance(kept.get("record"), dict):
        return Outcome(job.key, kept["record"], "", inputs, float(kept.get("seconds", 0.0)), reused=True), mark
    start = time.perf_counter()
    forget_peak()
    record, error = None, ""
    try:
        # Through text, so that a record that was kept and one just made are the same to the last bit.
        record = json.loads(json.dumps(plain(job.work())))
    except (VoxbenchError, OSError) as failure:
        error = str(failure)
    except MemoryError:
        error = "out of memory"
    except Exception as failure:  # a defect in ours costs this case, not the others
        where = traceback.extract_tb(failure.__traceback__)[-1]
        error = f"unexpected {type(failure).__name__}: {failure} ({where.name}, line {where.lineno}); please report it"
    return Outcome(job.key, record, error, inputs, time.perf_counter() - start, peak_mib=peak_mib()), mark
