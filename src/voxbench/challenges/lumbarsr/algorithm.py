"""LumbarSR's containers: registered clinical CTs of a sample in, a volume like its micro-CT out; scored as officially.

The organisers have no sockets on grand-challenge; these are ours: one per sequence, of which any may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxbench.challenges.lumbarsr.baseline import LumbarsrPrediction, jobs
from voxbench.challenges.lumbarsr.cases import OFFICIAL_SEQUENCES, SEQUENCES
from voxbench.challenges.lumbarsr.cases import Case as Scanned
from voxbench.deploy.exchange import by_case, name_in
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Item, Items, Rehearsal, Socket, Solve, Submitted
from voxbench.errors import FileReadError, InputError
from voxbench.io import read_volume, write_volume
from voxbench.jobs import Job

CTS = {
    sequence: Socket(
        f"registered-ct-{sequence.lower().replace('_', '-')}",
        f"images/registered-ct-{sequence.lower().replace('_', '-')}",
        required=False,
    )
    for sequence in SEQUENCES
}
MICRO = Socket("micro-ct", "images/micro-ct")
SAMPLE = "Lumbar_01"
METHOD = "container"
_NAME = re.compile(r"Lumbar_?(\d+)_")


def load(model: Path | None) -> Solve:
    """All sequences that are there joined by fusion; with weights the network of ``voxbench train lumbarsr``."""
    method, jobs_of = ("fusion", jobs) if model is None else (METHOD, _network(model))

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        present = tuple(sequence for sequence, socket in CTS.items() if socket.slug in inputs)
        data, out = scratch / "data", scratch / "out"
        for sequence in present:
            path = Scanned(SAMPLE, sequence).registered(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, read_volume(inputs[CTS[sequence].slug].path))
        settings = LumbarsrPrediction(
            method=method,
            samples=(SAMPLE,),
            sequences=(_asked(present),),
            source="registered",
            observe=present,
        )
        (job,) = jobs_of(data, out, settings)
        job.work()
        made = Scanned(SAMPLE, _asked(present)).prediction(out, method)
        write_volume(scratch / "micro.mha", read_volume(made))
        return {MICRO.slug: scratch / "micro.mha"}

    return solve


def _network(model: Path) -> Callable[[Path, Path, LumbarsrPrediction], tuple[Job, ...]]:
    """As `jobs`, by a network."""
    from voxbench.challenges.lumbarsr.trained import jobs as jobs_of_network
    from voxbench.tasks.superresolution.learned import load_upscaler

    load_upscaler(model)
    return lambda data, out, settings: jobs_of_network(data, out, model, settings)


def _asked(present: tuple[str, ...]) -> str:
    """For which sequence a volume is made: an officially scored one before others."""
    return next((sequence for sequence in OFFICIAL_SEQUENCES if sequence in present), present[0])


def grade(jobs: tuple[Submitted, ...], truth: Path, scratch: Path) -> dict[str, Any]:
    """Means by sequence, mask and window (``aggregates``), and the official evaluation_results.json (``results``).

    A volume counts for every officially scored sequence that it was made from.

    Args:
        jobs: One or more per sample.
        truth: Folder holding RegisteredData/ (the micro-CT) and BoneMask/.
        scratch: An empty folder.

    Raises:
        InputError: Jobs and samples do not go together, or a volume cannot be used.
    """
    from voxbench.challenges.lumbarsr.evaluation import evaluate
    from voxbench.challenges.lumbarsr.results import LumbarsrEvaluation

    named = [(job, case) for job in jobs for case in cases_of_job(job)]
    found = by_case([job for job, _ in named], [case.key for _, case in named])
    samples = samples_in(truth)
    sequences = tuple(s for s in OFFICIAL_SEQUENCES if any(case.sequence == s for _, case in named))
    for _, case in named:
        if case.sample not in samples:
            raise InputError(f"{case.sample}: no such sample in the ground truth\n  there are {', '.join(samples)}")
        path = case.prediction(scratch, METHOD)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, read_volume(found[case.key].outputs[MICRO.slug]))
    if not sequences:
        raise InputError(f"none of the jobs was given a scored sequence: {', '.join(OFFICIAL_SEQUENCES)}")
    done = evaluate(scratch, truth, LumbarsrEvaluation(method=METHOD, samples=samples, sequences=sequences))
    aggregates: dict[str, Any] = {}
    for row in done.summary():
        place = aggregates.setdefault(row["sequence"], {}).setdefault(row["mode"], {})
        place[row["window"]] = {k: v for k, v in row.items() if k not in ("method", "sequence", "mode", "window")}
    return {"results": done.results()[METHOD], "aggregates": aggregates}


def cases_of_job(job: Submitted) -> list[Scanned]:
    """The officially scored sequences that went into a job, each with its sample.

    Raises:
        InputError: A name tells no sample.
    """
    found = []
    for sequence in OFFICIAL_SEQUENCES:
        slug = CTS[sequence].slug
        if slug in job.names:
            match = _NAME.match(name_in(job, slug))
            if match is None:
                raise InputError(
                    f"job '{job.pk}': no sample in the name {job.names[slug]}\n"
                    "  expected  Lumbar26_ClinicalCT_<sequence>_registered"
                )
            found.append(Scanned(f"Lumbar_{match.group(1)}", sequence))
    return found


def samples_in(truth: Path) -> tuple[str, ...]:
    """The samples of which there is a micro-CT.

    Raises:
        FileReadError: There are none.
    """
    folder = truth / "RegisteredData"
    found = sorted(p.name for p in folder.glob("Lumbar_*") if p.is_dir())
    if not found:
        raise FileReadError(f"{folder}: no sample here\n  expected  Lumbar_26/Lumbar26_MicroPCCT_105um.nii.gz")
    return tuple(found)


def rehearse(folder: Path) -> Rehearsal:
    """Two small vertebrae."""
    from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, simulate

    made = folder / "vertebrae"
    cases = []
    for sample in simulate(made, LumbarsrSimulation(cases=2, size=(48, 48, 40))):
        inputs = {}
        for sequence in OFFICIAL_SEQUENCES:
            scanned = Scanned(sample, sequence)
            path = folder / scanned.registered(made).name.replace(".nii.gz", ".mha")
            write_volume(path, read_volume(scanned.registered(made)))
            inputs[CTS[sequence].slug] = Item(path, path.name)
        right = folder / f"{sample}.mha"
        write_volume(right, read_volume(Scanned(sample, OFFICIAL_SEQUENCES[0]).reference(made)))
        cases.append(Case(sample, inputs, {MICRO.slug: right}))
    return Rehearsal(tuple(cases), made)


DEPLOYMENT = Deployment(
    Algorithm(
        "lumbarsr", tuple(CTS.values()), (MICRO,), load, "possible", official=False, train="voxbench train lumbarsr"
    ),
    grade,
    "RegisteredData/ with the micro-CT of every sample, and BoneMask/",
    rehearse,
)
