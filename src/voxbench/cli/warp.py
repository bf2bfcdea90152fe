"""``voxbench warp``: an image carried through maps onto a grid, interpolated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from voxbench.cli.output import require_free_file
from voxbench.errors import EmptyShapeError, GridMismatchError, UsageError
from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume, resample
from voxbench.geometry.compose import compose, invert
from voxbench.geometry.resample import Interpolation, Map
from voxbench.io import Convention, read_displacement, read_grid, read_labels, read_volume, write_labels, write_volume
from voxbench.io.affines import SUFFIXES, read_affine

app = App(name="warp", help="Carry an image through displacement fields and affine maps, interpolated once.")

INVERSE = "inverse:"


@Parameter(name="*")
@dataclass(frozen=True)
class Sampling:
    """How the image is sampled."""

    interpolation: Annotated[Interpolation, Parameter(help="Between voxels; cubic is a B-spline.")] = "linear"
    labels: Annotated[
        bool, Parameter(negative="", help="The image is a label map: the nearest voxel, whole numbers.")
    ] = False
    outside: Annotated[float, Parameter(help="Value of points outside the image.")] = 0.0

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if self.labels and self.interpolation == "cubic":
            raise UsageError("--labels takes the nearest voxel; it cannot go with --interpolation cubic")
        if self.labels and self.outside:
            raise UsageError(f"--labels: outside a label map is background, 0; --outside {self.outside:g} cannot be")


@Parameter(name="*")
@dataclass(frozen=True)
class Maps:
    """What the image goes through, from the grid of the result to the image."""

    through: Annotated[
        tuple[str, ...],
        Parameter(
            help="A displacement field, or an affine map (affine.json, a 4 x 4 matrix as text from fixed to moving in "
            "mm RAS+, an ITK transform file). Of several, the first is applied to the points of --onto first. "
            f"{INVERSE}FILE takes a map backwards."
        ),
    ]
    convention: Annotated[
        Convention | None, Parameter(help="How the displacement files hold their fields, where they leave it open.")
    ] = None
    moving: Annotated[
        Path | None,
        Parameter(help="The image that fields in voxel units lead to, where another map follows and it is not clear."),
    ] = None


@app.default
def run(
    image: Annotated[Path, Parameter(help="The image to be carried (the moving image).")],
    /,
    *,
    onto: Annotated[Path, Parameter(help="An image with the grid of the result (the fixed image).")],
    out: Annotated[Path, Parameter(help="The file to write.")],
    maps: Maps,
    sampling: Sampling | None = None,
    force: Annotated[bool, Parameter(negative="", help="Replace the file if it is there.")] = False,
) -> None:
    """Carry an image through maps onto the grid of another, interpolated once."""
    sampling = sampling or Sampling()
    require_free_file(out, force)
    source = read_labels(image) if sampling.labels else read_volume(image)
    grid = read_grid(onto)
    field = composed(maps, source.grid, grid)
    if isinstance(source, LabelMap):
        warped = resample(source, grid, field)
        _require_overlap(source, warped, sampling.outside, image)
        write_labels(out, warped)
    else:
        result = resample(source, grid, field, sampling.interpolation, sampling.outside)
        _require_overlap(source, result, sampling.outside, image)
        write_volume(out, result)


def composed(maps: Maps, moving: Grid, onto: Grid) -> Map:
    """One map for all, from the points of ``onto`` to the image.

    Files in voxel units say where a vector leads in voxels of the next image: that is the image for the last map, and
    whatever the next field lies on for others.

    Args:
        maps: As given.
        moving: The grid of the image to be carried.
        onto: The grid of the result.

    Raises:
        UsageError: No map is given.
        InputError: A file cannot be read as a map, or its convention is unclear.
    """
    elsewhere = None if maps.moving is None else read_grid(maps.moving)
    target: Grid | None = moving
    steps: list[Map] = []
    for i in reversed(range(len(maps.through))):
        step = _read(maps.through[i], maps.convention, target, onto if i == 0 else None)
        steps.insert(0, step)
        target = step.grid if isinstance(step, DisplacementField) else elsewhere
    if not steps:
        raise UsageError("--through names no map")
    if all(isinstance(step, Affine) for step in steps):
        return _product(steps)
    return compose(steps, onto)


def _product(steps: Sequence[Map]) -> Affine:
    """Affine maps applied in turn, the first one first."""
    product = Affine.identity()
    for step in steps:
        assert isinstance(step, Affine)
        product = step @ product
    return product


def _read(name: str, convention: Convention | None, target: Grid | None, start: Grid | None) -> Map:
    """One map of world points.

    Args:
        name: As given, perhaps to be inverted.
        convention: How a field is held, if the user said so.
        target: The grid it leads to, if that is known.
        start: The grid it starts from, if it comes first.
    """
    backwards = name.startswith(INVERSE)
    path = Path(name.removeprefix(INVERSE))
    if path.name.lower().endswith(SUFFIXES):
        affine = read_affine(path).renamed("world", "world")
        return affine.inverse() if backwards else affine
    if backwards:
        return invert(read_displacement(path, moving=start, convention=convention), start)
    return _field(path, convention, target, start)


def _field(path: Path, convention: Convention | None, target: Grid | None, start: Grid | None) -> DisplacementField:
    """A displacement field; one without a usable header lies on the grid it starts from, if it has its shape."""
    if start is not None:
        try:
            return read_displacement(path, fixed=start, moving=target, convention=convention)
        except GridMismatchError:
            pass
    return read_displacement(path, moving=target, convention=convention)


def _require_overlap(source: Volume | LabelMap, warped: Volume | LabelMap, outside: float, image: Path) -> None:
    """Refuse a result in which nothing of the image is left.

    Raises:
        EmptyShapeError: Every voxel is outside the image, or background.
    """
    if (warped.array == outside).all() and not (source.array == outside).all():
        raise EmptyShapeError(
            f"{image}: nothing of it arrives on the grid of --onto: every voxel would be {outside:g}\n"
            f"  image  {source.grid!r}\n  onto   {warped.grid!r}\n"
            f"  are the maps of --through in the right order and direction? {INVERSE}FILE takes one backwards"
        )
