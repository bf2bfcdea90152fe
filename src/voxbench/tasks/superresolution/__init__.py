"""Finer volumes from clinical CT."""

from voxbench.tasks.superresolution.fusion import Fusion, FusionConfig, fuse
from voxbench.tasks.superresolution.observation import SequenceBlur

__all__ = ["Fusion", "FusionConfig", "SequenceBlur", "fuse"]
