"""Folders of images, labels and meshes: what is wrong with them, and their statistics."""

from __future__ import annotations

from voxbench.challenges.datasets.check import Check, check
from voxbench.challenges.datasets.findings import Finding
from voxbench.challenges.datasets.layouts import LAYOUTS

__all__ = ["LAYOUTS", "Check", "Finding", "check"]
