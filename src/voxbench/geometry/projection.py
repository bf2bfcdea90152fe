"""A cone-beam view: where an X-ray source and a flat detector stand, and what of the world falls on which pixel.

Pixels are named (row, column), as images are indexed; whole numbers are pixel centres, so that pixel (0, 0) reaches
from -0.5 to 0.5. Columns count up along ``right``, rows along ``down``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry.affine import Affine
from voxbench.geometry.grid import Grid
from voxbench.types import AnyArray, Points, Triple, Vector3

ANTERIOR, LEFT, SUPERIOR = np.array([0.0, 1, 0]), np.array([-1.0, 0, 0]), np.array([0.0, 0, 1])
SQUARE = 1e-6
"""Detector axes may be this far from unit length and from the right angle."""


@dataclass(frozen=True, eq=False)
class View:
    """A point source and a flat detector in any pose; world RAS+, mm.

    Attributes:
        source: The focal spot.
        centre: The middle of the detector (between pixels where their number is even).
        right: Unit vector along which columns count up.
        down: Unit vector along which rows count up, at a right angle to ``right``.
        pixel_mm: Distance between rows and between columns, mm.
        shape: Number of rows and of columns.
    """

    source: Vector3
    centre: Vector3
    right: Vector3
    down: Vector3
    pixel_mm: tuple[float, float]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse what is no camera, and freeze."""
        for name in ("source", "centre", "right", "down"):
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise InputError(f"a view's {name} is three finite numbers, mm; got {getattr(self, name)}")
            vector.flags.writeable = False
            object.__setattr__(self, name, vector)
        object.__setattr__(self, "pixel_mm", (float(self.pixel_mm[0]), float(self.pixel_mm[1])))
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1])))
        if not all(np.isfinite(p) and p > 0 for p in self.pixel_mm) or min(self.shape) < 1:
            raise InputError(
                f"a detector has pixels of a size above 0\n  pixels  {self.shape[0]} x {self.shape[1]}\n"
                f"  mm      {self.pixel_mm[0]:g} x {self.pixel_mm[1]:g}"
            )
        axes = np.stack([self.right, self.down])
        if np.abs(axes @ axes.T - np.eye(2)).max() > SQUARE:
            raise InputError(
                "a detector's axes are unit vectors at a right angle\n"
                f"  right  {_vector(self.right)}\n  down   {_vector(self.down)}"
            )
        if not self.source_to_detector > 0:
            raise InputError(f"the source lies in the plane of the detector\n  source  {_vector(self.source)}")

    @property
    def normal(self) -> Vector3:
        """Unit vector at a right angle to the detector, from the source's side to the other."""
        normal = np.cross(self.right, self.down)
        return normal if normal @ (self.centre - self.source) >= 0 else -normal

    @property
    def source_to_detector(self) -> float:
        """Distance from the source to the plane of the detector, mm."""
        return float(abs(np.cross(self.right, self.down) @ (self.centre - self.source)))

    @property
    def principal_point(self) -> np.ndarray:
        """The pixel at which the ray at a right angle to the detector lands, (row, column)."""
        return self.project(self.source + self.normal * self.source_to_detector)

    @property
    def first_pixel(self) -> Vector3:
        """Where the centre of pixel (0, 0) lies."""
        rows, cols = self.shape
        return (
            self.centre - (rows - 1) / 2 * self.pixel_mm[0] * self.down - (cols - 1) / 2 * self.pixel_mm[1] * self.right
        )

    @property
    def beam(self) -> AnyArray:
        """Source, first pixel, step to the next column, step to the next row: float64 (4, 3), mm."""
        down, right = self.pixel_mm[0] * self.down, self.pixel_mm[1] * self.right
        return np.stack([self.source, self.first_pixel, right, down])

    @property
    def pixels_from_world(self) -> AnyArray:
        """The 3 x 4 matrix that takes (x, y, z, 1) to w (row, column, 1), with w the depth in mm."""
        depth = self.source_to_detector
        towards = self.centre - self.source
        lines = []
        for axis, pixel, count in zip((self.down, self.right), self.pixel_mm, self.shape, strict=True):
            middle = (count - 1) / 2 - axis @ towards / pixel
            lines.append(axis * depth / pixel + middle * self.normal)
        linear = np.stack([*lines, self.normal])
        return np.column_stack([linear, -linear @ self.source])

    def project(self, points: Points) -> AnyArray:
        """Where points fall on the detector.

        Args:
            points: World points, mm, shape (..., 3).

        Returns:
            (row, column), float64 (..., 2); pixel centres are whole numbers. Points beside or behind the source, which
            fall nowhere, are NaN.
        """
        from_source = np.asarray(points, dtype=np.float64) - self.source
        depth = from_source @ self.normal
        scale = np.full_like(depth, np.nan)
        np.divide(self.source_to_detector, depth, out=scale, where=depth > 0)
        landing = from_source * scale[..., None] + (self.source - self.centre)
        axes = np.stack([self.down, self.right], axis=1)
        return landing @ axes / self.pixel_mm + (np.array(self.shape) - 1) / 2

    def pixel_points(self, pixels: AnyArray) -> Points:
        """Where pixels lie in the world.

        Args:
            pixels: (row, column), shape (..., 2); fractions are places between centres.

        Returns:
            World points on the detector, mm, float64 (..., 3).
        """
        offset = (np.asarray(pixels, dtype=np.float64) - (np.array(self.shape) - 1) / 2) * self.pixel_mm
        return self.centre + offset @ np.stack([self.down, self.right])

    def rays(self, pixels: AnyArray) -> Points:
        """The inverse of `project`: unit vectors from the source towards pixels.

        Every point ``source + t * ray`` with t > 0 falls on that pixel.

        Args:
            pixels: (row, column), shape (..., 2).

        Returns:
            Unit vectors, float64 (..., 3).
        """
        towards = self.pixel_points(pixels) - self.source
        return towards / np.linalg.norm(towards, axis=-1, keepdims=True)

    def sees(self, points: Points) -> AnyArray:
        """Which points fall on a pixel (its area, not only its centre)."""
        pixels = self.project(points)
        with np.errstate(invalid="ignore"):
            return np.asarray(((pixels >= -0.5) & (pixels < np.array(self.shape) - 0.5)).all(axis=-1))

    def magnification(self, point: Triple) -> float:
        """How much larger a small thing parallel to the detector appears than it is."""
        return self.source_to_detector / float((np.asarray(point, dtype=np.float64) - self.source) @ self.normal)

    def moved(self, motion: Affine) -> View:
        """Source and detector carried along by a rigid motion of the world.

        Raises:
            InputError: The motion is not rigid.
        """
        if np.abs(motion.linear.T @ motion.linear - np.eye(3)).max() > SQUARE:
            raise InputError(f"not a rigid motion: {motion!r}")
        right, down = motion.linear @ self.right, motion.linear @ self.down
        return View(motion(self.source), motion(self.centre), right, down, self.pixel_mm, self.shape)

    def __str__(self) -> str:
        """As a person would describe it."""
        return (
            f"{self.shape[0]} x {self.shape[1]} pixels of {self.pixel_mm[0]:.4g} x {self.pixel_mm[1]:.4g} mm, "
            f"{self.source_to_detector:.5g} mm from the source"
        )

    def __repr__(self) -> str:
        return f"View({self}   source {_vector(self.source)})"


class Device(Config):
    """The distances and the detector of an apparatus that turns about an isocentre."""

    source_to_detector_mm: float = Field(default=..., gt=0, description="From the source to the detector's plane, mm.")
    source_to_isocentre_mm: float = Field(default=..., gt=0, description="From the source to the axis, mm.")
    rows: int = Field(default=..., ge=1, le=20000, description="Rows of pixels.")
    cols: int = Field(default=..., ge=1, le=20000, description="Columns of pixels.")
    pixel_mm: tuple[float, float] = Field(default=..., description="Between rows and between columns, mm.")
    offset_mm: tuple[float, float] = Field(
        default=(0.0, 0.0), description="Shift of the detector down and right in its plane, mm."
    )

    @model_validator(mode="after")
    def _plausible(self) -> Device:
        """The isocentre lies between source and detector, and lengths are mm."""
        for name, value, low, high in (
            ("source to detector", self.source_to_detector_mm, 100.0, 10000.0),
            ("pixel", min(self.pixel_mm), 0.005, 20.0),
            ("pixel", max(self.pixel_mm), 0.005, 20.0),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}: {value:g} mm is implausible ({low:g} to {high:g}){_unit(value, low, high)}")
        if self.source_to_isocentre_mm >= self.source_to_detector_mm:
            raise ValueError(
                "the isocentre must lie between source and detector\n"
                f"  source to isocentre  {self.source_to_isocentre_mm:g} mm\n"
                f"  source to detector   {self.source_to_detector_mm:g} mm"
            )
        return self

    @property
    def magnification(self) -> float:
        """At the isocentre."""
        return self.source_to_detector_mm / self.source_to_isocentre_mm

    @property
    def field_of_view_mm(self) -> tuple[float, float]:
        """Height and width of what the detector sees at the isocentre, mm."""
        down, right = (n * p / self.magnification for n, p in zip((self.rows, self.cols), self.pixel_mm, strict=True))
        return down, right


C_ARM = Device(source_to_detector_mm=1200, source_to_isocentre_mm=785, rows=960, cols=960, pixel_mm=(0.308, 0.308))
"""A C-arm with a flat panel of about 30 cm, binned; distances typical of angiography, not those of one machine."""


def anatomical_frame(isocentre: Triple = (0.0, 0.0, 0.0)) -> Affine:
    """The gantry's x, y, z as anterior, left, superior: at 0 degrees the source is in front of the patient."""
    axes = np.stack([ANTERIOR, LEFT, SUPERIOR], axis=1)
    return Affine.from_parts(axes, np.asarray(isocentre, np.float64), "world", "gantry")


def voxel_frame(grid: Grid) -> Affine:
    """The gantry's x, y, z as the way i, j, k of a grid point, the isocentre in the middle of its box."""
    return Affine.from_parts(grid.direction, grid.centre, "world", "gantry")


def gantry(degrees: float | int, device: Device, frame: Affine | None = None) -> View:
    """A view that turns about the gantry's z: source at (cos, sin, 0) times its distance from the isocentre.

    Columns count up along (-sin, cos, 0) and rows along -z, so that row 0 is the highest. In the default frame
    0 degrees is a frontal view (anterior to posterior), 90 degrees a lateral one with the source at the patient's
    left, and the patient's left is to the right of a frontal image, as radiologists hang it.

    Args:
        degrees: The angle.
        device: Distances and detector.
        frame: world_from_gantry; by default `anatomical_frame` about the world's origin.
    """
    frame = anatomical_frame() if frame is None else frame
    cos, sin = _turn(degrees)
    towards = frame.linear @ np.array([cos, sin, 0.0])
    right = frame.linear @ np.array([-sin, cos, 0.0])
    return _placed(device, frame.offset, towards, (right, -frame.linear[:, 2]))


def c_arm(
    primary: float | int, secondary: float | int = 0.0, device: Device = C_ARM, isocentre: Triple = (0.0, 0.0, 0.0)
) -> View:
    """A view by DICOM's positioner angles for a patient who lies supine, head first.

    At 0, 0 the detector is in front of the patient and the source behind. ``primary`` (0018,1510) turns the detector
    towards the patient's left (LAO), ``secondary`` (0018,1511) then towards the head (cranial).

    Args:
        primary: Degrees, negative for RAO.
        secondary: Degrees, negative for caudal.
        device: Distances and detector.
        isocentre: World point about which it turns.
    """
    (cos, sin), (tilted, tilt) = _turn(primary), _turn(secondary)
    level = cos * ANTERIOR + sin * LEFT
    detector = tilted * level + tilt * SUPERIOR
    right, down = -sin * ANTERIOR + cos * LEFT, tilt * level - tilted * SUPERIOR
    return _placed(device, np.asarray(isocentre, np.float64), -detector, (right, down))


def _placed(device: Device, isocentre: Vector3, towards: Vector3, axes: tuple[Vector3, Vector3]) -> View:
    """Source on one side of the isocentre, detector on the other."""
    right, down = axes
    behind = device.source_to_detector_mm - device.source_to_isocentre_mm
    centre = isocentre - behind * towards + device.offset_mm[0] * down + device.offset_mm[1] * right
    source = isocentre + device.source_to_isocentre_mm * towards
    return View(source, centre, right, down, device.pixel_mm, (device.rows, device.cols))


def _turn(degrees: float | int) -> tuple[float, float]:
    """Cosine and sine, exact at whole quarters."""
    if not np.isfinite(degrees):
        raise InputError(f"an angle is a number of degrees; got {degrees}")
    quarters = degrees / 90
    if quarters == np.rint(quarters):
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


def _unit(value: float, low: float, high: float) -> str:
    """Which unit it may be in instead."""
    for factor, unit in ((1000, "metres"), (10, "centimetres"), (1e-3, "micrometres")):
        if low <= value * factor <= high:
            return f"; it may be in {unit}: give mm, {value * factor:g}"
    return ""


def _vector(v: np.ndarray) -> str:
    return " ".join(f"{x:.6g}" for x in v)
