"""Vertebrae and discs one by one, numbered from below: by maps of one pass, or one after the other; no torch."""

from voxbench.tasks.instances.centres import CentresConfig, instances
from voxbench.tasks.instances.iterative import Found, Seen, Traversal, traverse
from voxbench.tasks.instances.iterative_config import PRESETS, IisConfig
from voxbench.tasks.instances.iterative_labels import label_map, numbers_of
from voxbench.tasks.instances.targets import Targets, centres_of, offsets_to, targets

__all__ = [
    "PRESETS",
    "CentresConfig",
    "Found",
    "IisConfig",
    "Seen",
    "Targets",
    "Traversal",
    "centres_of",
    "instances",
    "label_map",
    "numbers_of",
    "offsets_to",
    "targets",
    "traverse",
]
