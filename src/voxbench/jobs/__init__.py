"""Many cases at once: what one case is, and how a set of them is run, resumed and reported."""

from __future__ import annotations

from voxbench.jobs.data_set import Runner, make_all
from voxbench.jobs.job import Job, Outcome, Record
from voxbench.jobs.memory import Need
from voxbench.jobs.planning import Plan, plan
from voxbench.jobs.record import Records, records_of_files
from voxbench.jobs.run import Manner, Told, require_all, run

__all__ = [
    "Job",
    "Manner",
    "Need",
    "Outcome",
    "Plan",
    "Record",
    "Records",
    "Runner",
    "Told",
    "make_all",
    "plan",
    "records_of_files",
    "require_all",
    "run",
]
