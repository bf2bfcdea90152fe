"""The report is one file that opens offline, says what it was told, and lets nobody inject anything."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from voxbench.errors import FileWriteError, InputError
from voxbench.report import Comparison, Picture, Quantity, RegistrationPage, Table, write_registration_report
from voxbench.report.html import PNG_SIGNATURE, shown

PNG = PNG_SIGNATURE + b"\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + b"..."
NASTY = "<script>alert('x')</script> & \"brain\".nii.gz"


class Page(HTMLParser):
    """Tags, attributes and text of a page; unbalanced tags are an error."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


def page(title: str = "a onto b") -> RegistrationPage:
    return RegistrationPage(
        title=title,
        summary="Two heads.",
        stages=("before", "affine", "after"),
        comparisons=(Comparison("NCC", (0.5, 0.75, 0.98765), note="inside the brain"),),
        quantities=(Quantity("NDV", 0.0, "%"), Quantity("TRE", float("nan"), "mm"), Quantity("voxels", 8675289)),
        levels=Table("Metric by level", ("Level", "Spacing, mm", "Metric"), ((1, 4.0, -0.3), (2, 2.0, -0.6))),
        pictures=(Picture(PNG, "three planes", "Figure 1"),),
        settings={"preset": "accurate", "regularity": {"weight": 1.0, "name": NASTY}},
    )


def written(tmp_path: Path, what: RegistrationPage) -> str:
    write_registration_report(tmp_path / "report.html", what)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_report_says_every_value_with_its_unit(tmp_path: Path) -> None:
    text = Page(written(tmp_path, page())).text
    for expected in (
        "NCC 0.5 0.75 0.9877",
        "NDV 0 %",
        "TRE undefined mm",
        "8\u202f675\u202f289",
        "regularity.weight 1.0",
    ):
        assert expected in text


def test_the_report_asks_nobody_for_anything(tmp_path: Path) -> None:
    """No script, no address of any kind but inlined pictures, and a policy that forbids the rest."""
    text = written(tmp_path, page())
    seen = Page(text)
    assert seen.tags["script"] == seen.tags["link"] == seen.tags["iframe"] == 0
    sources = [
        attrs[name] for _, attrs in seen.attributes for name in ("src", "href", "srcset", "data") if name in attrs
    ]
    assert sources
    assert all(source is not None and source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text


def test_names_are_escaped(tmp_path: Path) -> None:
    seen = Page(written(tmp_path, page(title=NASTY)))
    assert seen.tags["script"] == 0
    assert seen.text.count(NASTY) == 3  # title, heading and a setting


def test_the_report_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    """One first heading, headings in order, alt texts, captions, scopes and the language."""
    seen = Page(written(tmp_path, page()))
    assert seen.tags["h1"] == 1
    assert seen.tags["h2"] == 4
    assert seen.tags["table"] == seen.tags["caption"] == 4
    by_tag = {tag: [attrs for name, attrs in seen.attributes if name == tag] for tag in ("html", "img", "th")}
    assert by_tag["html"][0]["lang"] == "en"
    assert [image["alt"] for image in by_tag["img"]] == ["three planes"]
    assert (by_tag["img"][0]["width"], by_tag["img"][0]["height"]) == ("640", "480")
    assert all(cell["scope"] in {"row", "col"} for cell in by_tag["th"])


def test_colours_contrast_enough_in_all_schemes(tmp_path: Path) -> None:
    """Text on paper and on shaded headings reaches 4.5 to 1 (WCAG AA), dark or light."""
    text = written(tmp_path, page())
    schemes = re.findall(r"--ink: (#\w+); --soft: (#\w+); --paper: (#\w+); --line: #\w+; --shade: (#\w+)", text)
    assert len(schemes) == 3  # light, dark, printed
    for ink, soft, paper, shade in schemes:
        for front in (ink, soft):
            for back in (paper, shade):
                assert contrast(front, back) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two sRGB colours, WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_an_empty_report_has_no_empty_sections(tmp_path: Path) -> None:
    seen = Page(written(tmp_path, RegistrationPage("nothing", "Nothing was done.")))
    assert seen.tags["h2"] == seen.tags["table"] == seen.tags["img"] == 0


def test_values_read_as_a_person_writes_them() -> None:
    assert [shown(v) for v in (None, float("nan"), True, 12345, 0.000123456, 1234567.0, "yes <no>")] == [
        "undefined", "undefined", "yes", "12\u202f345", "0.0001235", "1.235e+06", "yes <no>",
    ]  # fmt: skip


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="row 1 of 'T' has 3 cells for 2 columns"):
        Table("T", ("a", "b"), ((1, 2), (1, 2, 3)))
    with pytest.raises(InputError, match="comparison 'NCC' has 2 values for 3 stages"):
        RegistrationPage("t", "s", stages=("a", "b", "c"), comparisons=(Comparison("NCC", (1, 2)),))


def test_a_picture_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="not a PNG"):
        Picture(b"GIF89a", "a gif")


def test_a_folder_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="does not exist"):
        write_registration_report(tmp_path / "no" / "report.html", page())
