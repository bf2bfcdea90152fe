"""LumbarSR's samples as something to learn from (torch): memory-mapped, validated by the challenge's own score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from voxbench.challenges.lumbarsr.bases import Base, base_for, cached_base
from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case, cases_of
from voxbench.challenges.lumbarsr.scoring import non_air, official_scores
from voxbench.config import Config
from voxbench.errors import FileReadError, GridMismatchError, UsageError
from voxbench.io import atomic, read_volume, sha256
from voxbench.io.arrays import map_array
from voxbench.models.losses import Name as Loss
from voxbench.models.superresolution import Name, Size, build, build_critic, dimensions_of
from voxbench.tasks.superresolution import METHODS
from voxbench.tasks.superresolution.learned import OFFSET, WIDTH, Upscaler
from voxbench.training import patches
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson

SCORE = "PSNR, bone window, bone mask"
LOSSES: dict[Name, Loss] = {"srcnn": "l1", "unet": "l1", "esrgan": "l1", "swinir": "l1", "unet3d": "charbonnier"}
"""What each method makes small: what was published, and for ours what is smooth at 0."""


class LearningConfig(Config):
    """What is learned from which samples."""

    method: Name = Field(default="unet3d", description="unet3d: all sequences at once; the others: slices of one.")
    size: Size = Field(default="laptop", description="laptop, or the published size.")
    samples: tuple[str, ...] = Field(default=(), description="Samples to learn from.")
    validation: tuple[str, ...] = Field(default=(), description="Samples to validate on; none of those above.")
    sequences: tuple[str, ...] = Field(default=SEQUENCES, description="Sequences that go in.")
    twin: bool = Field(default=False, description="Slices: the same field of view behind the other kernel goes in too.")
    base: str | None = Field(
        default=None, description="Method whose volume goes in as the last channel, to correct it."
    )

    @property
    def flat(self) -> bool:
        """Whether slices are looked at."""
        return dimensions_of(self.method) == 2

    @property
    def channels(self) -> int:
        """How many go in, the base among them."""
        seen = 1 + self.twin if self.flat else len(self.sequences)
        return seen + (self.base is not None)

    def looks(self, sample: str) -> tuple[tuple[Case, ...], ...]:
        """What the network looks at together, of one sample: slices of each sequence, or all sequences."""
        cases = cases_of((sample,), self.sequences)
        if not self.flat:
            return (cases,)
        return tuple((case, case.twin) if self.twin else (case,) for case in cases)


@dataclass(frozen=True)
class _Data:
    """What is learned from.

    Attributes:
        folder: Holds RegisteredData/ (and BoneMask/).
        config: What is learned.
        base: How the base is made; None without one.
        cache: Folder for the memory-mapped arrays.
    """

    folder: Path
    config: LearningConfig
    base: Base | None
    cache: Path

    def cases(self, samples: Sequence[str]) -> list[patches.Case]:
        """Memory-mapped: one for all sequences together, or for slices one per sequence."""
        return [_case(self, looked) for sample in samples for looked in self.config.looks(sample)]

    def files(self) -> list[Path]:
        """What is learned from and validated on, each once."""
        files = []
        for sample in (*self.config.samples, *self.config.validation):
            files.append(Case(sample, self.config.sequences[0]).reference(self.folder))
            for looked in self.config.looks(sample):
                files += [case.registered(self.folder) for case in looked]
                files += self.base.files(self.folder, looked[0]) if self.base is not None else ()
        return list(dict.fromkeys(files))


def lesson(data: Path, config: LearningConfig, training: TrainingConfig, cache: Path) -> Lesson:
    """What is learned from the folder of registered data.

    Args:
        data: Folder holding RegisteredData/ (and BoneMask/; for a base original_dicom/ too, where there are any).
        config: What is learned from which samples.
        training: How; patch size, seed and the like.
        cache: Folder for the memory-mapped arrays.

    Raises:
        FileReadError: A volume is missing (all of them are named) or damaged.
        GridMismatchError: The volumes of a sample differ in shape.
        UsageError: A sample is in both lists, or settings contradict each other.
    """
    require_sense(config, training)
    _require(_Data(data, config, None, cache))
    everything = cases_of((*config.samples, *config.validation), config.sequences)
    base = base_for(data, config.base, everything, config.samples) if config.base is not None else None
    given = _Data(data, config, base, cache)
    _require(given)
    cases, held_out = given.cases(config.samples), given.cases(config.validation)
    source = patches.Patches(
        cases,
        training.patch,
        dimensions_of(config.method),
        training.foreground,
        training.augment,
        training.seed,
        OFFSET,
        WIDTH,
        training.outside,
    )
    card: dict[str, Any] = {
        "task": "superresolution",
        "challenge": "lumbarsr",
        "channels": config.channels,
        "spacing_mm": 0.105,
        **config.model_dump(mode="json"),
        "base": None if base is None else base.model_dump(mode="json"),
        "data": {str(path.relative_to(data)): sha256(path) for path in given.files()},
    }
    make = partial(build, config.method, config.channels, config.size, base is not None)
    check = partial(_validated, config, held_out) if held_out else None
    critic = partial(_critic, config) if build_critic(config.method, config.size) is not None else None
    return Lesson(make, source, check, SCORE, card, LOSSES[config.method], critic)


def require_sense(config: LearningConfig, training: TrainingConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        UsageError: A sample is in both lists; a method is asked for what it cannot do, or does not exist.
    """
    if config.base is not None and config.base not in METHODS:
        raise UsageError(f"--base {config.base}: no such method\n  there are {', '.join(METHODS)}")
    both = sorted(set(config.samples) & set(config.validation))
    if both:
        raise UsageError(f"{', '.join(both)}: in --sample and in --validation; what is learned cannot be validated on")
    if config.twin and not config.flat:
        raise UsageError(f"--twin is for methods that look at slices; {config.method} takes all sequences at once")
    if training.patience and build_critic(config.method, config.size) is not None:
        raise UsageError(
            f"--patience {training.patience}: {config.method} learns to look real, which the score does not measure; "
            "choose --steps instead"
        )


def _critic(config: LearningConfig) -> nn.Module:
    critic = build_critic(config.method, config.size)
    assert critic is not None
    return critic


def _validated(config: LearningConfig, cases: Sequence[patches.Case], model: nn.Module) -> dict[str, float]:
    """The official score of whole cases, that of the best single observation as it is, and that of the base."""
    scores: dict[str, list[float]] = {}
    for case in cases:
        out = np.empty(case.target.shape, np.int16)
        Upscaler(model, config.method, config.channels, {}).upscale(case.inputs, out)
        target, mask = np.ascontiguousarray(case.target), np.ascontiguousarray(case.mask)
        given = [_psnr(target, np.ascontiguousarray(image), mask) for image in case.inputs]
        base = [given.pop()] if config.base is not None else []
        found = {SCORE: _psnr(target, out, mask), "of the best observation": max(given)}
        for name, value in (found | dict.fromkeys(["of the base"] if base else [], *base)).items():
            scores.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _psnr(target: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> float:
    return official_scores(target, prediction, mask)[0]["bone"]["psnr"]


def _case(data: _Data, looked: tuple[Case, ...]) -> patches.Case:
    """Channels, target and mask of what is looked at together."""
    first = looked[0]
    target = _mapped(first.reference(data.folder), data.cache)
    channels = {case.sequence: _mapped(case.registered(data.folder), data.cache) for case in looked}
    if data.base is not None:
        channels["base"] = cached_base(data.folder, first, data.base, data.cache)
    for name, volume in channels.items():
        if volume.shape != target.shape:
            raise GridMismatchError(
                f"{first.sample} {name}: another shape than the micro-CT\n  micro-CT  {target.shape}\n"
                f"  {'base    ' if name == 'base' else 'sequence'}  {volume.shape}"
            )
    mask = _mask(data, first, target)
    name = first.key if data.config.flat else first.sample
    return patches.Case(name, patches.Channels(tuple(channels.values())), target, mask)


def _mask(data: _Data, case: Case, target: np.ndarray) -> np.ndarray:
    """The bone mask; where there is none, what is not air."""
    for path in case.bone_masks(data.folder):
        if path.is_file():
            return np.asarray(_mapped(path, data.cache)) > 0
    return non_air(np.asarray(target), np.asarray(target))


def _mapped(path: Path, cache: Path) -> np.ndarray:
    """A volume as a memory-mapped int16 array, unpacked once."""
    unpacked = cache / f"{path.name.split('.')[0]}_{sha256(path)[:16]}.npy"
    if not unpacked.is_file():
        array = np.clip(np.rint(read_volume(path).array), -32768, 32767).astype(np.int16)
        with atomic(unpacked) as temporary:
            np.save(temporary, np.ascontiguousarray(array))
    return map_array(unpacked)


def _require(data: _Data) -> None:
    """Refuse what is missing, all of it named."""
    missing = [path for path in data.files() if not path.is_file()]
    if missing:
        twins = "; without --twin the other kernel is not needed" if data.config.twin else ""
        raise FileReadError(
            f"{data.folder}: {len(missing)} volumes are missing\n  "
            + "\n  ".join(str(path.relative_to(data.folder)) for path in missing)
            + f"\n  name the samples and sequences there are: --sample, --validation, --sequence{twins}"
        )
