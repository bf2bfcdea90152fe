"""Memory of processes: the most that this one held, and what a case will need."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from voxbench.io.headers import stored_bytes
from voxbench.jobs.job import Job

MIB = 2**20


@dataclass(frozen=True)
class Need:
    """How much memory a case of a command takes, as a straight line over the size of its inputs.

    Attributes:
        base_mib: Of the process with all it has loaded, MiB.
        factor: Bytes more for each byte of the inputs' voxels, as their headers have shape and dtype.
    """

    base_mib: float
    factor: float

    def of(self, job: Job) -> float | None:
        """MiB a case will take; None if a header cannot be read. Missing inputs count nothing."""
        there = [path for path in job.inputs.values() if path.exists()]
        sizes = [stored_bytes(path) for path in there]
        known = [size for size in sizes if size is not None]
        return self.base_mib + self.factor * sum(known) / MIB if len(known) == len(sizes) else None


def forget_peak() -> None:
    """Let `peak_mib` begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mib() -> float | None:
    """The most memory this process held since `forget_peak` (elsewhere than on Linux: ever), MiB."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (MIB if sys.platform == "darwin" else 1024), 1)


def free_mib() -> float:
    """Memory of this machine that could be had now, MiB; not more than its control group may take."""
    import psutil

    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, limit - used)
    return free / MIB
