"""What a command costs as a whole process: wall and CPU seconds, peak resident memory.

The command is started by a small launcher (this file, run as a script), not by the benchmark itself: on Linux a
process's peak memory begins at that of the process that forked it, and the benchmark holds images.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Cost of one process with all its children.

    Attributes:
        wall_s: Elapsed seconds; on a shared machine only a hint.
        cpu_s: User plus system seconds of the process and the children it waited for.
        peak_mb: Largest resident set of any one of them, 2^20 bytes.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


def cost_of(command: list[str], log: Path, threads: int) -> Cost:
    """Run a command to its end and say what it cost.

    Args:
        command: Program and arguments.
        log: Its standard output and error go here.
        threads: Set for OpenMP and the usual numerical libraries.

    Raises:
        RuntimeError: The command failed; the end of its log is quoted.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    launcher = [sys.executable, "-I", str(Path(__file__).resolve()), str(log), *command]
    answer = subprocess.run(launcher, capture_output=True, text=True, env=environment, check=False)
    if answer.returncode:
        raise RuntimeError(f"the launcher failed: {answer.stderr}")
    result = json.loads(answer.stdout)
    if result["status"]:
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"exit code {result['status']}: {' '.join(command)}\n  {tail}")
    return Cost(result["wall_s"], result["cpu_s"], result["peak_mb"])


def launch(log: str, command: list[str]) -> None:
    """Start the command, wait for it, print its cost as JSON."""
    start = time.perf_counter()
    with Path(log).open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    print(
        json.dumps(
            {
                "status": os.waitstatus_to_exitcode(status),
                "wall_s": time.perf_counter() - start,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "peak_mb": usage.ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2:])
