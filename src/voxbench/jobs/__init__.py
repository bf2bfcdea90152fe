"""Many cases at once: what one case is, and how a set of them is run, resumed and reported."""

from __future__ import annotations

from voxbench.jobs.job import Job, Outcome, Record

__all__ = ["Job", "Outcome", "Record"]
