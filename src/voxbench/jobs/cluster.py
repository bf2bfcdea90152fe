"""Cases on Dask workers: processes of this machine watched over by nannies, or those of a cluster."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbench.errors import JobError
from voxbench.jobs.attempt import attempt
from voxbench.jobs.job import Job, Outcome

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = "10 s"
"""How long a scheduler may take to answer."""


def attempts(
    jobs: Sequence[Job], kept: Mapping[str, Mapping[str, Any]], workers: int, scheduler: str | None
) -> Iterator[tuple[Outcome, str]]:
    """Do the cases as workers are free, and say what came of each as it comes.

    A case whose worker dies (it was killed for its memory, say) is tried once more when all others are done, alone;
    if its worker dies again the case has failed.

    Raises:
        JobError: The scheduler cannot be reached.
    """
    with _client(min(workers, len(jobs)), scheduler) as client:
        again: list[Job] = []
        for job, result in _results(client, jobs, kept):
            if result is None:
                again.append(job)
            else:
                yield result
        for job in again:
            for _, result in _results(client, [job], kept):
                yield result or (Outcome(job.key, None, _LOST), "")


_LOST = (
    "the worker died twice on this case, the second time with nothing beside it; most often it ran out of memory\n"
    "give the machine more memory, or fewer --jobs"
)


def _results(
    client: Client, jobs: Sequence[Job], kept: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Job, tuple[Outcome, str] | None]]:
    """Each case with what came of it; None where its worker died."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    here = Path.cwd()
    futures = {client.submit(_attempt_in, here, job, kept[job.key], pure=False): job for job in jobs}
    for future in as_completed(futures):
        try:
            yield futures[future], future.result()
        except KilledWorker:  # also when it died after this case, before its result was fetched
            yield futures[future], None
        except (ImportError, RuntimeError) as error:  # raised by Dask: nothing of ours has run
            raise JobError(
                f"the cluster cannot run voxbench: {str(error).splitlines()[0]}\n"
                "  its scheduler and workers need this voxbench and its packages: start them from the same environment"
            ) from error
        future.release()


def _attempt_in(folder: Path, job: Job, kept: Mapping[str, Any]) -> tuple[Outcome, str]:
    """`attempt` where the paths on the command line mean the same, on whatever machine this is."""
    try:
        os.chdir(folder)
    except OSError as error:
        where = f"{folder}: not to be seen from the worker on {platform.node()}: {error.strerror}"
        return Outcome(job.key, None, f"{where}\na cluster's machines must share the folders"), ""
    return attempt(job, kept)


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    from dask import config
    from distributed import Client, LocalCluster

    quiet = {"distributed.scheduler.allowed-failures": 0, "distributed.comm.timeouts.connect": _PATIENCE}
    with config.set(quiet):
        if scheduler is not None:
            with _reached(scheduler) as client:
                yield client
            return
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port: None would take 8787, and warn if it is taken
                silence_logs=logging.CRITICAL,
                env=_environment(workers),
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


@contextmanager
def _reached(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise JobError(
            f"{address}: no Dask scheduler answers within {_PATIENCE}\n"
            "  start one with 'dask scheduler' and workers with 'dask worker ADDRESS', or leave --scheduler out"
        ) from error
    with client:
        yield client


def _environment(workers: int) -> dict[str, str]:
    """Every worker gets its share of the processors."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = str(max(1, cores // workers))
    return {"OMP_NUM_THREADS": share, "OPENBLAS_NUM_THREADS": share, "OMP_WAIT_POLICY": "PASSIVE"}
