"""Folders of images, labels and meshes: what is wrong with them, and their statistics."""

from __future__ import annotations

from voxbench.challenges.datasets.check import Check, check
from voxbench.challenges.datasets.findings import Finding
from voxbench.challenges.datasets.layouts import LAYOUTS
from voxbench.challenges.datasets.summary import Summary, summarize

__all__ = ["LAYOUTS", "Check", "Finding", "Summary", "check", "summarize"]
