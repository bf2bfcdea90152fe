"""Where voxels lie: a shape and a map from voxel indices to the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import DimensionError, GridMismatchError, InputError, ShearedGridError
from voxbench.geometry.affine import Affine
from voxbench.types import Points, Triple, Vector3

SHEAR_TOLERANCE_DEGREES = 0.1
"""Headers round their cosines; beyond this the axes really are not at right angles."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in the world (RAS+, mm). Voxel indices name voxel centres.

    Attributes:
        shape: Number of voxels along i, j, k.
        world_from_voxel: Where the centre of voxel (i, j, k) lies; its axes are at right angles.
    """

    shape: tuple[int, int, int]
    world_from_voxel: Affine

    def __post_init__(self) -> None:
        """Refuse what is not a right-angled three-dimensional box."""
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3:
            raise DimensionError(f"a grid has three axes; this shape has {len(shape)}: {shape}")
        if min(shape) < 1:
            raise DimensionError(f"a grid has at least one voxel along each axis; this shape is {shape}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "world_from_voxel", self.world_from_voxel.renamed("world", "voxel"))
        cosines = self.direction.T @ self.direction - np.eye(3)
        shear = float(np.degrees(np.arcsin(min(1.0, np.abs(cosines).max()))))
        if shear > SHEAR_TOLERANCE_DEGREES:
            raise ShearedGridError(
                f"sheared voxel axes: {shear:.2f} degrees off the right angle, {SHEAR_TOLERANCE_DEGREES} allowed\n"
                "  correct the header, or resample the image onto a right-angled grid first (gantry tilt is one cause)"
            )

    @staticmethod
    def from_parts(
        shape: tuple[int, int, int],
        spacing: Triple = (1.0, 1.0, 1.0),
        origin: Triple = (0.0, 0.0, 0.0),
        direction: np.ndarray | None = None,
    ) -> Grid:
        """A grid from its spacing (mm), origin (world of voxel 0, 0, 0) and unit axes (columns)."""
        if min(spacing) <= 0:
            raise InputError(f"spacing must be positive; got {tuple(float(s) for s in spacing)}")
        axes = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64)
        linear = axes * np.asarray(spacing, dtype=np.float64)
        return Grid(shape, Affine.from_parts(linear, np.asarray(origin, dtype=np.float64), "world", "voxel"))

    @property
    def spacing(self) -> Vector3:
        """Distance between neighbouring voxel centres along i, j, k, mm."""
        return np.linalg.norm(self.world_from_voxel.linear, axis=0)

    @property
    def origin(self) -> Vector3:
        """World position of the centre of voxel (0, 0, 0)."""
        return self.world_from_voxel.offset

    @property
    def direction(self) -> np.ndarray:
        """Unit vectors along i, j, k, as columns."""
        return self.world_from_voxel.linear / self.spacing

    @property
    def orientation(self) -> str:
        """Which way i, j, k point, e.g. ``"RAS+"``: the world axis each is closest to."""
        axes = world_axis_of_voxel_axis(self.direction)
        letters = [("LR", "PA", "IS")[w][int(self.direction[w, v] > 0)] for v, w in enumerate(axes)]
        return "".join(letters) + "+"

    @property
    def voxel_from_world(self) -> Affine:
        """The map back."""
        return self.world_from_voxel.inverse()

    @property
    def voxel_volume(self) -> float:
        """mm^3."""
        return float(np.prod(self.spacing))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def centre(self) -> Vector3:
        """World position of the middle of the box."""
        return self.world_from_voxel((np.asarray(self.shape) - 1) / 2)

    @property
    def corners(self) -> Points:
        """World positions of the eight outermost voxel centres, shape (8, 3)."""
        ends = [(0, n - 1) for n in self.shape]
        return self.world_from_voxel(np.array(np.meshgrid(*ends, indexing="ij"), dtype=float).reshape(3, -1).T)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether the shapes are equal and no corner differs by more than the tolerance."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners - other.corners).max() <= tolerance_mm)

    def cropped(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Grid:
        """The voxels from ``start`` up to ``stop`` (excluded); negative or larger indices extend the grid."""
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        shift = Affine.from_parts(np.eye(3), np.asarray(start, dtype=np.float64), "voxel", "voxel")
        return Grid((shape[0], shape[1], shape[2]), self.world_from_voxel @ shift)

    def with_spacing(self, spacing: Triple) -> Grid:
        """The same box (outer voxel faces) with other voxels; its extent grows to a whole number of them."""
        ratio = np.asarray(spacing, dtype=np.float64) / self.spacing
        shape = np.maximum(1, np.ceil(np.asarray(self.shape) / ratio - 1e-6)).astype(int)
        first = (np.asarray(self.shape) - shape * ratio) / 2 + (ratio - 1) / 2
        step = Affine.from_parts(np.diag(ratio), first, "voxel", "voxel")
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), self.world_from_voxel @ step)

    def __str__(self) -> str:
        """As a person would describe it."""
        shape = " x ".join(str(n) for n in self.shape)
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing)
        return f"{shape}   spacing {spacing} mm   {self.orientation}"

    def __repr__(self) -> str:
        origin = ", ".join(f"{v:.4g}" for v in self.origin)
        return f"Grid({self}   origin {origin})"


def world_axis_of_voxel_axis(direction: np.ndarray) -> tuple[int, int, int]:
    """For each voxel axis the world axis it is closest to, all three different."""
    left = np.abs(np.array(direction, dtype=np.float64))
    axes = [0, 0, 0]
    for _ in range(3):
        world, voxel = np.unravel_index(int(left.argmax()), (3, 3))
        axes[int(voxel)] = int(world)
        left[world, :] = -1
        left[:, voxel] = -1
    return axes[0], axes[1], axes[2]


def require_same_grid(reference: Grid, prediction: Grid, names: tuple[str, str] = ("reference", "prediction")) -> None:
    """Refuse two grids that differ.

    Raises:
        GridMismatchError: They differ; both are printed.
    """
    if reference.same_as(prediction):
        return
    width = max(len(n) for n in names)
    raise GridMismatchError(
        f"{names[1]} and {names[0]} lie on different grids\n"
        f"  {names[0]:<{width}}   {reference!r}\n  {names[1]:<{width}}   {prediction!r}\n"
        f"  bring it over first: resample({names[1]}, onto={names[0]}.grid)"
    )
