"""What is trained, on which voxels, settled from the data before anything is learned; shown and edited as TOML.

Rules in the manner of F. Isensee et al., Nature Methods 18:203-211, 2021, doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.io.tables import read_settings
from voxbench.tasks.segmentation.cost import Cost, Layout, cost_of
from voxbench.tasks.segmentation.fingerprint import Fingerprint
from voxbench.tasks.segmentation.intensities import Normalisation

Preset = Literal["laptop", "standard"]
Three = tuple[int, int, int]

_COARSEST = 4
"""Edge below which an axis is not halved again, voxels."""


class Plan(Config):
    """What is trained, on which voxels. Axes are x, y, z of the world (RAS+)."""

    spacing: tuple[float, float, float] = Field(default=..., description="Of the working grid, mm.")
    patch: Three = Field(default=..., description="What the network sees at once, voxels.")
    features: tuple[int, ...] = Field(default=..., description="Of each stage, finest first.")
    kernels: tuple[Three, ...] = Field(default=..., description="Edges of each stage's convolutions.")
    strides: tuple[Three, ...] = Field(default=..., description="From the stage before.")
    blocks: tuple[int, ...] = Field(default=..., description="Residual blocks of each stage of the encoder.")
    heads: int = Field(default=3, ge=1, description="Resolutions at which the network answers while it learns.")
    batch: int = Field(default=2, ge=1, description="Patches per update.")
    normalisation: Normalisation = Field(default=Normalisation(), description="Of grey values.")
    classes: int = Field(default=2, ge=2, description="Classes, the background among them.")
    maps: int = Field(default=0, ge=0, description="Further channels, that are learned as numbers.")
    mirror: tuple[int, ...] = Field(default=(0, 1, 2), description="Axes along which an image may be mirrored.")

    @model_validator(mode="after")
    def _fits(self) -> Plan:
        counts = [len(values) for values in (self.features, self.kernels, self.strides, self.blocks)]
        if len(set(counts)) != 1:
            raise ValueError(f"features, kernels, strides and blocks must be of one length; they are {counts}")
        whole = tuple(prod(stride[axis] for stride in self.strides) for axis in range(3))
        if any(n % m for n, m in zip(self.patch, whole, strict=True)):
            raise ValueError(f"patch must be a multiple of all strides together; got {self.patch} and {whole}")
        return self

    @property
    def layout(self) -> Layout:
        """What decides the cost."""
        outputs = self.classes + self.maps
        return Layout(self.patch, self.features, self.kernels, self.strides, self.blocks, outputs, self.heads)

    @property
    def cost(self) -> Cost:
        """Memory and work of one update."""
        return cost_of(self.layout, self.batch)

    def __str__(self) -> str:
        """As a person would describe it."""
        spacing = " x ".join(f"{s:.3g}" for s in self.spacing)
        patch = " x ".join(str(n) for n in self.patch)
        extent = " x ".join(f"{s * n:.0f}" for s, n in zip(self.spacing, self.patch, strict=True))
        return (
            f"{self.normalisation.modality.upper()}, {self.classes} classes"
            + (f" and {self.maps} maps" if self.maps else "")
            + f"; voxels {spacing} mm, patch {patch} ({extent} mm), {self.batch} a batch; "
            f"{len(self.features)} stages, features {', '.join(map(str, self.features))}; {self.cost}"
        )


class _Size(Config):
    """What a preset asks for."""

    features: int
    most_features: int
    blocks: int
    voxels: float
    memory_mb: float
    gflop: float


_SIZES: dict[Preset, _Size] = {
    "laptop": _Size(features=12, most_features=96, blocks=1, voxels=1.2e6, memory_mb=1200, gflop=80),
    "standard": _Size(
        features=32, most_features=320, blocks=2, voxels=float("inf"), memory_mb=8000, gflop=float("inf")
    ),
}


def make_plan(fingerprint: Fingerprint, memory_mb: float | int | None = None, preset: Preset = "laptop") -> Plan:
    """A plan from the data.

    The spacing is the median; of an axis more than three times as coarse as the others, a low percentile. With the
    laptop preset voxels are made larger, the finest first, until the median case has at most 1.2 million. The patch
    has the shape of the median case, and is made smaller along its relatively longest axis until an update fits the
    memory, and with the laptop preset 80 GFLOP (two seconds of two cores). An axis is halved from stage to stage while
    at least 4 voxels remain and its voxels are at most twice as coarse as the finest; kernels are 1 along axes whose
    voxels are more than twice as coarse.

    Args:
        fingerprint: Of the data.
        memory_mb: What an update may take; None: 1200 MB of a laptop's memory, or 8000 MB of a GPU's.
        preset: ``laptop`` for two processor cores, ``standard`` for a GPU.

    Raises:
        InputError: Not even the smallest patch fits the memory.
    """
    size = _SIZES[preset]
    spacing = _spacing(fingerprint, size.voxels)
    median = np.maximum(1, np.rint(np.median(fingerprint.extents, axis=0) / spacing)).astype(int)
    limit = size.memory_mb if memory_mb is None else memory_mb
    wanted = median.astype(float)
    while True:
        plan = _planned(fingerprint, spacing, np.maximum(1, np.rint(wanted)).astype(int), size)
        if plan.cost.memory_mb <= limit and plan.cost.gflop <= size.gflop:
            return plan
        if max(plan.patch) <= _COARSEST * 2:
            raise InputError(
                f"no patch fits the memory\n  given   {limit:.0f} MB\n  needed  {plan.cost.memory_mb:.0f} MB for "
                f"{plan.patch}\n  give more, or fewer features"
            )
        longest = int(np.argmax(wanted * spacing * (wanted > _COARSEST * 2)))
        wanted[longest] = max(1.0, wanted[longest] * 0.9)


def _spacing(fingerprint: Fingerprint, voxels: float) -> np.ndarray:
    """Of the working grid."""
    spacings = np.asarray(fingerprint.spacings)
    found = np.median(spacings, axis=0)
    thick = int(found.argmax())
    others = np.delete(found, thick)
    if found[thick] > 3 * others.max():
        found[thick] = max(float(np.percentile(spacings[:, thick], 10)), float(others.max()))
    extent = np.median(fingerprint.extents, axis=0)
    while prod(extent / found) > voxels:
        found[found <= found.min() * 1.001] *= 1.02
    return np.round(found, 4)


def _planned(fingerprint: Fingerprint, spacing: np.ndarray, patch: np.ndarray, size: _Size) -> Plan:
    """The plan with a patch of about this shape."""
    edges, voxels = patch.astype(float), spacing.copy()
    strides: list[Three] = [(1, 1, 1)]
    kernels = [_kernel(voxels, edges, (1, 1, 1))]
    while True:
        finest = voxels[edges >= 2 * _COARSEST].min(initial=np.inf)
        halved = (edges >= 2 * _COARSEST) & (voxels <= 2 * finest)
        if not halved.any() or len(strides) == 6:
            break
        step = np.where(halved, 2, 1)
        edges, voxels = np.floor(edges / step), voxels * step
        strides.append((int(step[0]), int(step[1]), int(step[2])))
        kernels.append(_kernel(voxels, edges, kernels[-1]))
    whole = np.prod(np.asarray(strides), axis=0)
    rounded = np.maximum(1, np.rint(patch / whole)).astype(int) * whole
    stages = len(strides)
    values: dict[str, Any] = {
        "spacing": tuple(float(s) for s in spacing),
        "patch": tuple(int(n) for n in rounded),
        "features": tuple(min(size.features * 2**stage, size.most_features) for stage in range(stages)),
        "kernels": tuple(kernels),
        "strides": tuple(strides),
        "blocks": tuple(1 if stage == 0 else size.blocks for stage in range(stages)),
        "normalisation": fingerprint.normalisation,
        "classes": fingerprint.classes,
    }
    return Plan(**values)


def _kernel(voxels: np.ndarray, edges: np.ndarray, before: Three) -> Three:
    """1 along axes that are coarse still, or have one voxel."""
    long = edges >= 2
    fine = (voxels <= 2 * voxels[long].min(initial=np.inf)) | (np.asarray(before) > 1)
    i, j, k = (3 if yes else 1 for yes in fine & long)
    return i, j, k


def to_toml(plan: Plan) -> str:
    """The plan as TOML, to be looked at and edited; `read_plan` reads it."""
    lines, tables = [], []
    for name, field in Plan.model_fields.items():
        value = getattr(plan, name)
        if isinstance(value, Config):
            tables += ["", f"[{name}]", *(f"{key} = {_toml(v)}" for key, v in value.model_dump().items())]
        else:
            lines.append(f"{name} = {_toml(value)}  # {field.description}")
    return "\n".join([*lines, *tables, ""])


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def read_plan(path: Path) -> Plan:
    """A plan from TOML.

    Raises:
        InputError: It cannot be read, is not TOML, or holds what makes no plan (named).
    """
    return read_settings(path, Plan, "a plan")
