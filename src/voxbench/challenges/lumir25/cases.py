"""LUMIR25's files: the data set, the evaluation configurations, and what every pair's files are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from voxbench.errors import FileReadError, InputError
from voxbench.io import read_json

Metric = Literal["ndv", "dice", "hd95", "tre", "sdlogj"]
Part = Literal["landmarks", "in-domain", "out-of-domain", "multimodal"]
"""The four parts of the 2025 validation, in the order in which the organisers' script takes them."""

PARTS: tuple[Part, ...] = get_args(Part)
DEFAULT_SHAPE = (160, 224, 192)

_IMAGE_NAME = re.compile(r"_([^/\\\0]{4})_(\d{4})\.nii\.gz\Z", re.ASCII)
_PART_WORDS: Mapping[Part, str] = {
    "landmarks": "landmark",
    "out-of-domain": "highfield",
    "multimodal": "multimodal",
    "in-domain": "lumir24",
}


@dataclass(frozen=True)
class Pair:
    """Two images to be registered, by their paths inside the data set.

    Attributes:
        fixed: e.g. ``./imagesVal/LUMIRMRI_3455_0000.nii.gz``: subject 3455, modality 0000.
        moving: The image that is warped.
    """

    fixed: str
    moving: str

    def __post_init__(self) -> None:
        """Refuse names without a subject and a modality."""
        for name in (self.fixed, self.moving):
            if not _IMAGE_NAME.search(name):
                raise InputError(
                    f"{name}: no subject and modality can be read from this name\n"
                    "  expected  <anything>_<subject, 4 characters>_<modality, 4 digits>.nii.gz"
                )
            if name.startswith(("/", "\\")) or ":" in name or ".." in re.split(r"[/\\]", name):
                raise InputError(f"{name}: leads outside the data set; names are relative to its folder")

    @property
    def subjects(self) -> tuple[str, str]:
        """Fixed and moving subject."""
        return self._parts(self.fixed)[0], self._parts(self.moving)[0]

    @property
    def modalities(self) -> tuple[str, str]:
        """Fixed and moving modality."""
        return self._parts(self.fixed)[1], self._parts(self.moving)[1]

    @property
    def short(self) -> bool:
        """Whether the displacement file's name leaves the modalities out: they are equal, or 0000 and 0001."""
        fixed, moving = self.modalities
        return fixed == moving or (fixed, moving) == ("0000", "0001")

    @property
    def field_name(self) -> str:
        """The file name the evaluation looks for; it takes no other."""
        (fixed, moving), (fixed_modality, moving_modality) = self.subjects, self.modalities
        if self.short:
            return f"disp_{fixed}_{moving}.nii.gz"
        return f"disp_{fixed}_{fixed_modality}_{moving}_{moving_modality}.nii.gz"

    @property
    def key(self) -> str:
        """The name of the case in metrics.json."""
        (fixed, moving), (fixed_modality, moving_modality) = self.subjects, self.modalities
        return f"{fixed}_{fixed_modality}<--{moving}_{moving_modality}"

    def image(self, which: Literal["fixed", "moving"], root: Path) -> Path:
        """The image file below ``root``."""
        return root / getattr(self, which)

    def beside(self, which: Literal["fixed", "moving"], root: Path, folder: str) -> Path:
        """The file of the same name in another folder: ``images`` becomes e.g. ``labels`` or ``landmarks``."""
        return root / str(getattr(self, which)).replace("images", folder)

    def landmarks(self, which: Literal["fixed", "moving"], root: Path, destination: str) -> Path:
        """The landmark file; key points of unlike modalities lie in a folder that names both (``keypoints01Ts``)."""
        if destination == "keypoints" and not self.short:
            destination += "".join(str(n) for n in sorted(int(m) for m in self.modalities))
        return self.beside(which, root, destination)

    @staticmethod
    def _parts(name: str) -> tuple[str, str]:
        found = _IMAGE_NAME.search(name)
        assert found is not None
        return found.group(1), found.group(2)


@dataclass(frozen=True)
class Method:
    """One line of a configuration's ``evaluation_methods``.

    Attributes:
        name: Key of the result.
        metric: What is measured.
        labels: Ids scored one by one (dice, hd95); 0 counts like any other.
        destination: What ``images`` becomes in the path of the landmarks (tre).
    """

    name: str
    metric: Metric
    labels: tuple[int, ...] = ()
    destination: str = "landmarks"


@dataclass(frozen=True)
class EvaluationConfig:
    """One evaluation configuration.

    Attributes:
        path: Where it was read.
        name: Name of the challenge, copied to metrics.json.
        methods: What is measured, in order.
        expected_shape: Shape of a field, components last: (X, Y, Z, 3).
        pairs: The cases.
        masked: Whether SD log J is restricted to mask files (``images`` -> ``masks``).
        part: The part of the validation, as far as the file's name tells.
    """

    path: Path
    name: str
    methods: tuple[Method, ...]
    expected_shape: tuple[int, int, int, int]
    pairs: tuple[Pair, ...]
    masked: bool
    part: Part | None


@dataclass(frozen=True)
class Dataset:
    """LUMIR25_dataset.json.

    Attributes:
        path: Where it was read.
        name: Its name.
        shape: Shape of the images.
        training: Image paths.
        validation: The pairs to predict.
    """

    path: Path
    name: str
    shape: tuple[int, int, int]
    training: tuple[str, ...]
    validation: tuple[Pair, ...]


def read_dataset(path: Path) -> Dataset:
    """Read LUMIR25_dataset.json.

    Raises:
        FileReadError: Missing, not JSON, or without a key that is needed.
    """
    data = _mapping(path)
    shapes = data.get("tensorImageShape", {})
    shape = shapes.get("0", DEFAULT_SHAPE) if isinstance(shapes, Mapping) else shapes
    return Dataset(
        path,
        str(data.get("name", path.stem)),
        _numbers(shape, 3, path, "tensorImageShape"),
        tuple(str(_needed(item, "image", path)) for item in _list(data.get("training", []), path)),
        _pairs(_needed(data, "validation", path), path),
    )


def read_config(path: Path) -> EvaluationConfig:
    """Read one evaluation configuration.

    Raises:
        FileReadError: Missing, not JSON, without a key that is needed, or with a metric that is not known.
    """
    data = _mapping(path)
    shape = _numbers(_needed(data, "expected_shape", path), 4, path, "expected_shape")
    return EvaluationConfig(
        path,
        str(_needed(data, "name", path)),
        tuple(_method(item, path) for item in _list(_needed(data, "evaluation_methods", path), path)),
        cast("tuple[int, int, int, int]", shape),
        _pairs(_needed(data, "eval_pairs", path), path),
        bool(data.get("masked_evaluation", False)),
        part_of(path.name),
    )


def part_of(file_name: str) -> Part | None:
    """The part of the validation a configuration's file name speaks of, e.g. ``..._HighField_Segmentation_...``."""
    plain = re.sub(r"[^a-z0-9]", "", file_name.lower())
    return next((part for part, word in _PART_WORDS.items() if word in plain), None)


def with_parts(configs: Sequence[EvaluationConfig]) -> tuple[Part | None, ...]:
    """The part of each configuration: by file name; if no name tells and there are four, by the official order."""
    parts: tuple[Part | None, ...] = tuple(config.part for config in configs)
    if len(configs) == len(PARTS) and not any(parts):
        return PARTS
    return parts


def unique_pairs(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs in order, each displacement file once."""
    found: dict[str, Pair] = {}
    for pair in pairs:
        found.setdefault(pair.field_name, pair)
    return tuple(found.values())


def _mapping(path: Path) -> Mapping[str, Any]:
    data = read_json(path)
    if not isinstance(data, Mapping):
        raise FileReadError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data


def _needed(data: Any, key: str, path: Path) -> Any:
    if not isinstance(data, Mapping) or key not in data:
        there = ", ".join(data) if isinstance(data, Mapping) else repr(data)
        raise FileReadError(f"{path}: the key '{key}' is missing\n  found: {there}")
    return data[key]


def _numbers(values: Any, count: int, path: Path, key: str) -> Any:
    if not isinstance(values, Sequence) or len(values) != count or not all(isinstance(v, int) for v in values):
        raise FileReadError(f"{path}: '{key}' must be {count} whole numbers, found {values!r}")
    return tuple(values)


def _pairs(items: Any, path: Path) -> tuple[Pair, ...]:
    return tuple(
        Pair(str(_needed(item, "fixed", path)), str(_needed(item, "moving", path))) for item in _list(items, path)
    )


def _list(items: Any, path: Path) -> Sequence[Any]:
    if not isinstance(items, list | tuple):
        raise FileReadError(f"{path}: a list was expected, found {str(items)[:80]!r}")
    return items


def _method(item: Any, path: Path) -> Method:
    metric = _needed(item, "metric", path)
    if metric not in get_args(Metric):
        raise FileReadError(f"{path}: the metric '{metric}' is not known; there are {', '.join(get_args(Metric))}")
    labels = _list(_needed(item, "labels", path), path) if metric in ("dice", "hd95") else ()
    if not all(isinstance(label, int) for label in labels):
        raise FileReadError(f"{path}: labels must be whole numbers, found {str(labels)[:80]}")
    destination = _needed(item, "dest", path) if metric == "tre" else "landmarks"
    return Method(str(_needed(item, "name", path)), metric, tuple(labels), str(destination))
