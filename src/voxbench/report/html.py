"""One HTML file that opens offline, years later: no script, no request, pictures inlined."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voxbench.errors import InputError
from voxbench.io import atomic

if TYPE_CHECKING:
    from jinja2 import Environment

Value = str | int | float | bool | None
"""What a cell may hold; None and NaN are shown as undefined."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Quantity:
    """A row of the summary: one number and its unit.

    Attributes:
        name: What was measured.
        value: The number (or a word).
        unit: Its unit; empty for a pure number.
        note: How to read it, in a few words.
    """

    name: str
    value: Value
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """A row of the summary: one quantity at every stage, e.g. before and after.

    Attributes:
        name: What was measured.
        values: Its value at each stage.
        unit: Its unit; empty for a pure number.
        better: Whether more or less of it is better.
        note: How to read it, in a few words.
    """

    name: str
    values: Sequence[Value]
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a heading for each column, its unit included.

    Attributes:
        caption: What it shows.
        columns: One heading each.
        rows: As many cells each as there are columns.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def __post_init__(self) -> None:
        """Check that every row has a cell for every column."""
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"row {number} of '{self.caption}' has {len(row)} cells for {len(self.columns)} columns"
                )


@dataclass(frozen=True)
class Picture:
    """A PNG with the words that stand for it.

    Attributes:
        png: The bytes of the file.
        alt: What a reader who cannot see it is told.
        caption: The line under it.
    """

    png: bytes = field(repr=False)
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no PNG."""
        if self.png[:8] != PNG_SIGNATURE:
            raise InputError(f"picture '{self.alt}' is not a PNG: it begins with {self.png[:8]!r}")

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels, so that the page does not jump while it loads."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height


@dataclass(frozen=True)
class RegistrationPage:
    """What the report of a registration says, from top to bottom.

    Attributes:
        title: The heading.
        summary: One or two sentences under it.
        stages: What the columns of the comparisons are called.
        comparisons: Quantities at every stage.
        quantities: Quantities of the result alone.
        levels: The metric level by level.
        pictures: In the order shown.
        settings: Every setting of the run.
    """

    title: str
    summary: str
    stages: Sequence[str] = ("before", "after")
    comparisons: Sequence[Comparison] = ()
    quantities: Sequence[Quantity] = ()
    levels: Table | None = None
    pictures: Sequence[Picture] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every comparison has a value for every stage."""
        for row in self.comparisons:
            if len(row.values) != len(self.stages):
                raise InputError(f"comparison '{row.name}' has {len(row.values)} values for {len(self.stages)} stages")


def write_registration_report(path: Path, page: RegistrationPage, viewer: Mapping[str, object] | None = None) -> None:
    """Write the report of a registration as one HTML file, whole or not at all.

    Args:
        path: The HTML file.
        page: What it says.
        viewer: Its 3-D part, as `voxbench.report.viewer.viewer_values` gives it; none if not given.

    Raises:
        FileWriteError: The file cannot be written.
    """
    values = viewer or {"scenes": (), "notes": ()}
    write_html(path, rendered("registration.html.jinja", page=page, settings=list(_flat(page.settings)), **values))


def rendered(template: str, **values: object) -> str:
    """A template of ``_assets/`` with its values, everything escaped."""
    return _templates().get_template(template).render(**values)


def write_html(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        FileWriteError: The file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def shown(value: Value) -> str:
    """A value as a reader expects it: four significant digits, thousands apart, NaN as undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "undefined"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _flat(settings: Mapping[str, object], above: str = "") -> Sequence[tuple[str, str]]:
    """Nested settings as dotted names, in the order given."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{above}{name}.")
        else:
            rows.append((f"{above}{name}", str(value)))
    return rows


@cache
def _templates() -> Environment:
    """The templates of _assets/, with everything escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("voxbench.report", "_assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.globals["version"] = _version()
    return environment


def _version() -> str:
    """Which voxbench wrote the page."""
    from importlib.metadata import version

    return version("voxbench")
