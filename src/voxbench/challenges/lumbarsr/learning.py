"""LumbarSR's samples as something to learn from (torch): memory-mapped, validated by the challenge's own score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from voxbench.challenges.lumbarsr.bases import base_volume
from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case
from voxbench.challenges.lumbarsr.scoring import non_air, official_scores
from voxbench.config import Config
from voxbench.errors import FileReadError, GridMismatchError
from voxbench.io import atomic, read_volume, sha256
from voxbench.models.superresolution import Name, Size, build, dimensions_of
from voxbench.tasks.superresolution.learned import OFFSET, WIDTH, Upscaler
from voxbench.training import patches
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson

SCORE = "PSNR, bone window, bone mask"


class LearningConfig(Config):
    """What is learned from which samples."""

    method: Name = Field(default="unet3d", description="srcnn, unet: slices of one sequence; unet3d: all of them.")
    size: Size = Field(default="laptop", description="laptop, or the published size.")
    samples: tuple[str, ...] = Field(default=(), description="Samples to learn from.")
    validation: tuple[str, ...] = Field(default=(), description="Samples to validate on; none of those above.")
    sequences: tuple[str, ...] = Field(default=SEQUENCES, description="Sequences that go in.")
    base: str = Field(default="", description="Method whose volume goes in too and is added to, e.g. fusion; unet3d.")

    @property
    def channels(self) -> int:
        """What the network takes at once."""
        return 1 if dimensions_of(self.method) == 2 else len(self.sequences) + bool(self.base)


def lesson(data: Path, config: LearningConfig, training: TrainingConfig, cache: Path) -> Lesson:
    """What is learned from the folder of registered data.

    Args:
        data: Folder holding RegisteredData/ (and BoneMask/).
        config: What is learned from which samples.
        training: How; patch size, seed and the like.
        cache: Folder for the memory-mapped arrays.

    Raises:
        FileReadError: A volume is missing (all of them are named) or damaged.
        GridMismatchError: The volumes of a sample differ in shape.
        UsageError: A sample is in both lists.
    """
    _require(data, config)
    cases = [case for sample in config.samples for case in _cases(data, sample, config, cache)]
    held_out = [case for sample in config.validation for case in _cases(data, sample, config, cache)]
    channels = config.channels
    source = patches.Patches(
        cases,
        training.patch,
        dimensions_of(config.method),
        training.foreground,
        training.augment,
        training.seed,
        OFFSET,
        WIDTH,
    )
    card: dict[str, Any] = {
        "task": "superresolution",
        "challenge": "lumbarsr",
        "channels": channels,
        "spacing_mm": 0.105,
        **config.model_dump(mode="json"),
        "data": {str(path.relative_to(data)): sha256(path) for path in _files(data, config)},
    }
    make = partial(build, config.method, channels, config.size, config.base)
    check = partial(_validated, config.method, channels, held_out) if held_out else None
    return Lesson(make, source, check, SCORE, card)


def _validated(method: Name, channels: int, cases: Sequence[patches.Case], model: nn.Module) -> dict[str, float]:
    """The official score of whole cases, and that of the best single observation as it is."""
    found, given = [], []
    for case in cases:
        out = np.empty(case.target.shape, np.int16)
        Upscaler(model, method, channels, {}).upscale(case.inputs, out)
        target, mask = np.ascontiguousarray(case.target), np.ascontiguousarray(case.mask)
        found.append(_psnr(target, out, mask))
        given.append(max(_psnr(target, np.ascontiguousarray(image), mask) for image in case.inputs))
    return {SCORE: float(np.mean(found)), "of the best observation": float(np.mean(given))}


def _psnr(target: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> float:
    return official_scores(target, prediction, mask)[0]["bone"]["psnr"]


def _cases(data: Path, sample: str, config: LearningConfig, cache: Path) -> list[patches.Case]:
    """Memory-mapped: one case with all sequences as channels, or for slices one case per sequence."""
    target = _mapped(Case(sample, config.sequences[0]).reference(data), cache)
    volumes = [_mapped(Case(sample, sequence).registered(data), cache) for sequence in config.sequences]
    for sequence, volume in zip(config.sequences, volumes, strict=True):
        if volume.shape != target.shape:
            raise GridMismatchError(
                f"{sample} {sequence}: another shape than the micro-CT\n  micro-CT  {target.shape}\n"
                f"  sequence  {volume.shape}"
            )
    mask = _mask(data, sample, config, cache, target)
    if dimensions_of(config.method) == 2:
        return [
            patches.Case(f"{sample} {sequence}", volume[None], target, mask)
            for sequence, volume in zip(config.sequences, volumes, strict=True)
        ]
    if config.base:
        volumes.append(base_volume(data, sample, config.sequences, config.base, cache))
    stacked = cache / f"{sample}_{'-'.join(_short_hash(volume) for volume in volumes)}.npy"
    if not stacked.is_file():
        with atomic(stacked) as temporary:
            np.save(temporary, np.stack(volumes))
    return [patches.Case(sample, np.load(stacked, mmap_mode="r"), target, mask)]


def _short_hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()[:8]


def _mask(data: Path, sample: str, config: LearningConfig, cache: Path, target: np.ndarray) -> np.ndarray:
    """The bone mask; where there is none, what is not air."""
    for path in Case(sample, config.sequences[0]).bone_masks(data):
        if path.is_file():
            return np.asarray(_mapped(path, cache)) > 0
    return non_air(np.asarray(target), np.asarray(target))


def _mapped(path: Path, cache: Path) -> np.ndarray:
    """A volume as a memory-mapped int16 array, unpacked once."""
    unpacked = cache / f"{path.name.split('.')[0]}_{sha256(path)[:16]}.npy"
    if not unpacked.is_file():
        array = np.clip(np.rint(read_volume(path).array), -32768, 32767).astype(np.int16)
        with atomic(unpacked) as temporary:
            np.save(temporary, np.ascontiguousarray(array))
    return np.load(unpacked, mmap_mode="r")


def _files(data: Path, config: LearningConfig) -> list[Path]:
    """What is learned from, and validated on."""
    files = []
    for sample in (*config.samples, *config.validation):
        files.append(Case(sample, config.sequences[0]).reference(data))
        files += [Case(sample, sequence).registered(data) for sequence in config.sequences]
    return files


def _require(data: Path, config: LearningConfig) -> None:
    """Refuse what is missing, all of it named."""
    missing = [path for path in _files(data, config) if not path.is_file()]
    if missing:
        raise FileReadError(
            f"{data}: {len(missing)} volumes are missing\n  "
            + "\n  ".join(str(path.relative_to(data)) for path in missing)
            + "\n  name the samples and sequences there are: --sample, --validation, --sequence"
        )
