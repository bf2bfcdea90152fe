"""Cases on Dask workers: processes of this machine watched over by nannies, or those of a cluster."""

from __future__ import annotations

import logging
import os
import platform
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbench.errors import JobError
from voxbench.jobs.attempt import attempt
from voxbench.jobs.job import Job, Outcome
from voxbench.jobs.leftovers import run_name, work_for
from voxbench.jobs.status import Status

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK = 2
"""Seconds after which the number of workers is looked up again, on a cluster that grows."""
_PATIENCE = "10 s"
"""How long a scheduler may take to answer."""


def attempts(
    jobs: Sequence[Job], kept: Mapping[str, Mapping[str, Any]], where: tuple[int, str | None], status: Status
) -> Generator[tuple[Outcome, str], None, None]:
    """Do the cases as workers are free, and say what came of each as it comes.

    A case whose worker dies (it was killed for its memory, say) is tried once more when all others are done, alone: on
    this machine by one worker that may take all of its memory. If that dies, too, the case has failed.

    Args:
        jobs: The cases.
        kept: What is on record of each.
        where: Workers on this machine, or the address of a scheduler.
        status: Told which case is begun, by which worker, and which one's worker died.

    Raises:
        JobError: The scheduler cannot be reached.
    """
    workers, scheduler = where
    again: list[Job] = []
    with _client(min(workers, len(jobs)), scheduler) as client:
        for job, result in _results(client, jobs, kept, status):
            if result is None:
                again.append(job)
                status.lost(job.key)
            else:
                yield result
    if not again:
        return
    with _client(1, scheduler) as client:
        for job in again:
            for _, result in _results(client, [job], kept, status):
                yield result or (Outcome(job.key, None, _LOST), "")


_LOST = (
    "the worker died twice on this case, the second time with nothing beside it; most often it ran out of memory\n"
    "give the machine more memory, or fewer --jobs"
)


def _results(
    client: Client, jobs: Sequence[Job], kept: Mapping[str, Mapping[str, Any]], status: Status
) -> Iterator[tuple[Job, tuple[Outcome, str] | None]]:
    """Each case with what came of it; None where its worker died.

    No more cases are handed out than there are workers: one that dies takes no other case with it.
    """
    from distributed import wait

    topic, run = f"voxbench-{secrets.token_hex(4)}", run_name()
    client.subscribe_topic(topic, lambda event: status.began(*event[1]))
    here, left, working = Path.cwd(), list(reversed(jobs)), {}
    while left or working:
        threads: Any = client.nthreads()
        while left and len(working) < max(1, sum(threads.values())):
            job = left.pop()
            working[client.submit(_attempt_in, (here, topic, run), job, kept[job.key], pure=False)] = job
        with suppress(TimeoutError):  # now and then to be looked whether workers have come
            wait(list(working), timeout=_LOOK, return_when="FIRST_COMPLETED")
        for future in [future for future in working if future.done()]:
            yield working.pop(future), _result(future)


def _result(future: Future) -> tuple[Outcome, str] | None:
    """What came of a case; None if its worker died, also if that was before its result was fetched."""
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return None
    except (ImportError, RuntimeError) as error:  # raised by Dask: nothing of ours has run
        raise JobError(
            f"the cluster cannot run voxbench: {str(error).splitlines()[0]}\n"
            "  its scheduler and workers need this voxbench and its packages: start them from the same environment"
        ) from error
    finally:
        future.release()


def _attempt_in(about: tuple[Path, str, str], job: Job, kept: Mapping[str, Any]) -> tuple[Outcome, str]:
    """`attempt` where the paths on the command line mean the same, on whatever machine this is."""
    from distributed import get_worker

    folder, topic, run = about
    worker = get_worker()
    worker.log_event(topic, (job.key, worker.address, os.getpid()))
    work_for(run)
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
                memory_limit=memory_of(workers),
                dashboard_address="127.0.0.1:0",  # any free port: None would take 8787, and warn if it is taken
                silence_logs=logging.CRITICAL,
                env=_environment(workers),
                preload="voxbench.jobs.worker",
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


def memory_of(workers: int) -> float | str:
    """What each worker may take: its share of the machine, or of the control group this runs in."""
    return 1 / workers


def _environment(workers: int) -> dict[str, str]:
    """Every worker gets its share of the processors."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = str(max(1, cores // workers))
    return {"OMP_NUM_THREADS": share, "OPENBLAS_NUM_THREADS": share, "OMP_WAIT_POLICY": "PASSIVE"}
