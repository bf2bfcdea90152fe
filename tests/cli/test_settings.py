"""Settings from a TOML file lie below those of the command line; both go through the same checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from cyclopts import App, Parameter
from pydantic import Field, model_validator

import voxbench.cli
from voxbench.cli.settings import toml_settings
from voxbench.config import Config


class Regularity(Config):
    weight: float = Field(1.0, gt=0)
    smooth_steps: int = 2


class Settings(Config):
    preset: Literal["fast", "accurate"] = "accurate"
    metric: tuple[str, ...] = ("ncc",)
    weights: tuple[float, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    symmetric: bool = True
    name: str | None = None
    regularity: Regularity = Regularity()

    @model_validator(mode="after")
    def _a_weight_for_each_metric(self) -> Settings:
        if self.weights is not None and len(self.weights) != len(self.metric):
            raise ValueError(f"--weights has {len(self.weights)} values, --metric has {len(self.metric)}")
        return self


DEFAULTS = Settings()


@pytest.fixture
def parsed(monkeypatch, capsys, tmp_path):
    """The settings (or the exit code and message) that a TOML text and a command line give."""
    seen = []

    def run(
        image: Path,
        /,
        *,
        config: Path | None = None,
        out: Path = Path(),
        settings: Annotated[Settings, Parameter(name="*")] = DEFAULTS,
    ) -> None:
        seen.append(settings)

    def application() -> App:
        app = App(
            config=toml_settings(Settings),
            default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        app.default(run)
        return app

    monkeypatch.setattr(voxbench.cli, "application", application)

    def call(toml: str | None, *words: str):
        seen.clear()
        file = tmp_path / "settings.toml"
        if toml is not None:
            file.write_text(toml)
            words = (*words, "--config", str(file))
        code = voxbench.cli.main(["image", *words])
        if code == 0:
            return seen[0]
        message = capsys.readouterr().err.replace(str(file), "FILE")
        assert "Traceback" not in message
        return code, message

    return call


def test_without_anything_the_defaults_hold(parsed):
    assert parsed(None) == Settings()


def test_a_file_sets_values_of_every_kind(parsed):
    text = """
        preset = "fast"
        metric = ["mind", "nmi"]
        weights = [1, 0.25]
        spacing_mm = [1, 2.5, 3e-1]
        symmetric = false
        name = "12"
        [regularity]
        weight = 2.5
    """
    assert parsed(text) == Settings(
        preset="fast",
        metric=("mind", "nmi"),
        weights=(1, 0.25),
        spacing_mm=(1, 2.5, 0.3),
        symmetric=False,
        name="12",
        regularity=Regularity(weight=2.5),
    )


def test_the_command_line_comes_before_the_file_value_by_value(parsed):
    text = 'preset = "fast"\nmetric = ["mind"]\n[regularity]\nweight = 2.5\nsmooth_steps = 7\n'
    settings = parsed(text, "--metric", "ncc", "nmi", "--regularity.weight", "4")
    assert settings == Settings(preset="fast", metric=("ncc", "nmi"), regularity=Regularity(weight=4, smooth_steps=7))


def test_a_rule_between_two_settings_sees_both_wherever_they_come_from(parsed):
    assert parsed("weights = [1, 2]", "--metric", "ncc", "mind").weights == (1, 2)
    assert parsed("weights = [1, 2]") == (
        2,
        "voxbench: --weights has 2 values, --metric has 1\nTry 'voxbench --help'.\n",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prest = 1", "FILE: prest: Extra inputs are not permitted; did you mean preset?"),
        ("zzz = 1", "FILE: zzz: Extra inputs are not permitted"),
        ("out = 'x'", "FILE: out: Extra inputs are not permitted"),
        (
            "[regularity]\nwieght = 1",
            "FILE: regularity.wieght: Extra inputs are not permitted; did you mean regularity.",
        ),
    ],
)
def test_an_unknown_key_is_refused_by_file_and_name(parsed, text, message):
    code, told = parsed(text)
    assert code == 2
    assert told.startswith(f"voxbench: {message}")
    assert told.count("\n") == 2


def test_a_wrong_value_in_a_file_is_told_by_file_and_name(parsed):
    code, told = parsed("[regularity]\nweight = -1.5\n")
    assert code == 2
    assert told.startswith("voxbench: FILE: regularity.weight: Input should be greater than 0; got '-1.5'\n")


def test_a_wrong_value_on_the_line_is_told_by_its_option(parsed):
    code, told = parsed('preset = "fast"', "--preset", "fats")
    assert code == 2
    assert told.startswith("voxbench: --preset: Input should be 'fast' or 'accurate'; got 'fats'\n")


def test_a_table_where_a_value_belongs_and_the_reverse_are_refused(parsed):
    assert parsed("[preset]\na = 1")[0] == 2
    assert parsed("regularity = 3")[0] == 2


def test_a_file_that_is_not_toml_or_not_there_fails(parsed, tmp_path):
    code, told = parsed("preset = ")
    assert code == 1
    assert told.startswith("voxbench: FILE: not TOML: Invalid value (at ")
    code, told = parsed(None, "--config", str(tmp_path / "none.toml"))
    assert code == 1
    assert told.endswith("none.toml: cannot be read: no such file or directory\n")
