"""Vertebrae and discs one by one, numbered from below, from maps that a network predicts in one pass; no torch."""

from voxbench.tasks.instances.centres import CentresConfig, instances
from voxbench.tasks.instances.targets import Targets, centres_of, offsets_to, targets

__all__ = ["CentresConfig", "Targets", "centres_of", "instances", "offsets_to", "targets"]
