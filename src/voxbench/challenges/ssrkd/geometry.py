"""SSR-KD's geometry file, and what is wrong with the released one.

The released ``config.yaml`` says 2000 mm from source to detector and 1000 mm to the axis, with 512 pixels of 0.575 mm:
a magnification of 2, so that the detector covers 147 mm of the 256 mm volume. The pixel is the volume's 0.5 mm times
1.15, which fits an axis 1739 mm from the source; with it the labels of the released augmentation agree with the
projections to 0.3 pixels, with 1000 mm they are 12 off. So both are offered, and the first comes with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Volume
from voxbench.geometry.projection import Device, View, gantry
from voxbench.types import AnyArray

RELEASED = Device(source_to_detector_mm=2000, source_to_isocentre_mm=1000, rows=512, cols=512, pixel_mm=(0.575, 0.575))
"""As the released config.yaml has it."""
CONSISTENT = RELEASED.model_copy(update={"source_to_isocentre_mm": 2000 / 1.15})
"""The axis where pixels of 0.575 mm fit the volume's 0.5 mm: it sees the whole volume."""
CUBE_MM = 256.0
"""Side of the organisers' volume, taken for every case whatever its spacing."""
KNEE_MM = (100.0, 100.0, 250.0)
"""Box about the bones of a knee, by which a geometry is judged: left-right, front-back, along the leg."""
WINDOW_HU = (-400.0, 500.0)
"""CT numbers that become 0 and 1 before the organisers project."""
ENOUGH = 0.9
"""A geometry that sees less of the box than this is warned of."""


@dataclass(frozen=True)
class SeedGeometry:
    """What a config.yaml holds.

    Attributes:
        device: Distances and detector.
        voxels: Shape of the volume, x, y, z.
        voxel_mm: Its spacing.
        origin_mm: Shift of the volume from the axis, x, y, z.
    """

    device: Device
    voxels: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    @property
    def warning(self) -> str | None:
        """What a user should know, or None."""
        return warning_of(self.device)


def warning_of(device: Device) -> str | None:
    """What is wrong with distances and detector for a knee, or None."""
    share = seen(device)
    if share >= ENOUGH:
        return None
    (high, wide), box = device.field_of_view_mm, " x ".join(f"{side:g}" for side in KNEE_MM)
    return (
        f"this geometry sees {100 * share:.0f} % of a knee's bones (a box of {box} mm): magnification "
        f"{device.magnification:.3g}, so that the detector covers {high:.0f} x {wide:.0f} mm at the axis\n"
        f"  the published data fit an axis {CONSISTENT.source_to_isocentre_mm:.0f} mm from the source: "
        "preset ssrkd-consistent"
    )


def seen(device: Device) -> float:
    """Share of the box about a knee that falls on the detector, frontal and lateral alike."""
    lines = [(np.arange(n) + 0.5) / n * side - side / 2 for n, side in zip((40, 40, 100), KNEE_MM, strict=True)]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    return float(np.mean([gantry(angle, device).sees(points) for angle in (0, 90)]))


def read_config(path: Path) -> SeedGeometry:
    """A config.yaml as SSR-KD (and TIGRE's users) write it; lengths in mm.

    Raises:
        FileReadError: It cannot be read, or a key is missing.
        InputError: It is no cone beam, or a length is not in mm.
    """
    found = _mapping(path)
    missing = [key for key in ("DSD", "DSO", "nDetector", "dDetector", "nVoxel", "dVoxel") if key not in found]
    if missing:
        raise FileReadError(
            f"{path}: {', '.join(missing)}: missing\n  found  {', '.join(map(str, found)) or 'nothing'}"
        )
    if found.get("mode", "cone") != "cone":
        raise InputError(f"{path}: mode: {found['mode']}; only cone beams are projected")
    offset = _numbers(path, found, "offDetector", 2, (0, 0))
    pixels, size = _numbers(path, found, "nDetector", 2), _numbers(path, found, "dDetector", 2)
    try:
        # Their u (first) runs along columns, v (second) upwards.
        device = Device.model_validate(
            {
                "source_to_detector_mm": found["DSD"],
                "source_to_isocentre_mm": found["DSO"],
                "rows": int(pixels[0]),
                "cols": int(pixels[1]),
                "pixel_mm": (size[0], size[1]),
                "offset_mm": (-offset[1], offset[0]),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = f" ({first['loc'][0]})" if first["loc"] else ""
        raise InputError(f"{path}{where}: {first['msg'].removeprefix('Value error, ')}") from error
    x, y, z = _numbers(path, found, "nVoxel", 3)
    spacing, origin = _numbers(path, found, "dVoxel", 3), _numbers(path, found, "offOrigin", 3, (0, 0, 0))
    return SeedGeometry(
        device,
        (int(x), int(y), int(z)),
        (spacing[0], spacing[1], spacing[2]),
        (origin[0], origin[1], origin[2]),
    )


LARGEST = 1e12
"""No number of a geometry is; also keeps out infinity, NaN and whole numbers beyond 64 bits."""


MAX_LENGTH, MAX_DEPTH = 1 << 16, 32
"""Letters and levels of a config.yaml; the parser's time grows with their square."""


def _mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_LENGTH:
            raise FileReadError(f"{path}: {len(text)} letters; a geometry has no more than {MAX_LENGTH}")
        _require_plain(path, yaml.parse(text, yaml.SafeLoader))
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise FileReadError(f"{path}: cannot be read: {reason.lower()}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise FileReadError(f"{path}: not YAML: {reason}") from error
    if not isinstance(found, dict):
        raise FileReadError(f"{path}: no geometry: expected keys such as DSD, DSO, nDetector")
    return found


def _require_plain(path: Path, events: Iterable[Any]) -> None:
    """Refuse references and deep nesting as soon as the parser comes to them."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise FileReadError(f"{path}: references (*name) are not read; write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise FileReadError(f"{path}: not YAML: nested too deeply")


def _numbers(path: Path, found: dict[str, Any], key: str, count: int, default: Any = None) -> list[float]:
    """So many finite numbers."""
    value = found.get(key, default)
    good = isinstance(value, list | tuple) and len(value) == count
    if not good or not all(isinstance(v, int | float) and abs(v) < LARGEST for v in value):
        raise FileReadError(f"{path}: {key}: {count} numbers in brackets; got {value}")
    return [float(v) for v in value]


def scaled(ct: Volume, window: tuple[float, float] = WINDOW_HU) -> Volume:
    """A CT as the organisers project it: clipped to a window of HU, then 0 to 255 in whole steps.

    They stretch each image by its own minimum and maximum after clipping, which is the same where it reaches both ends
    of the window; here the window itself is the range, so that cases are comparable.
    """
    low, high = window
    values = (np.clip(ct.array.astype(np.float32), low, high) - low) * np.float32(255 / (high - low))
    return Volume(np.rint(values).astype(np.uint8), ct.grid)


def seed_scale(integrals: AnyArray) -> AnyArray:
    """Integrals of a volume of 0 to 255 over mm as the organisers store them: of 0 to 1 over metres, float32."""
    return (np.asarray(integrals, np.float64) / 255 / 1000).astype(np.float32)


def stack_views(degrees: tuple[float, ...], device: Device, volume: Volume) -> tuple[View, ...]:
    """The organisers' views of a volume: about its middle, x, y, z the way its voxel axes point."""
    from voxbench.geometry.projection import voxel_frame

    frame = voxel_frame(volume.grid)
    return tuple(gantry(angle, device, frame) for angle in degrees)
