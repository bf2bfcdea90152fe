"""What holds for every verb: exit codes, one message, nothing loaded that is not needed."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

import voxbench.cli
from voxbench.errors import FileReadError, UsageError


@pytest.fixture
def failing(monkeypatch):
    """Lets ``voxbench`` raise what it is given."""

    def install(error):
        def application():
            def run(_words):
                raise error

            return run

        monkeypatch.setattr(voxbench.cli, "application", application)

    return install


def test_help_names_every_verb_with_its_line(voxbench):
    outcome = voxbench("--help")
    assert outcome.code == 0
    for verb, line in voxbench_verbs().items():
        assert f" {verb} " in outcome.out
        assert line.split()[0] in outcome.out
    assert outcome.err == ""
    places = [outcome.out.index(f"│ {verb} ") for verb in voxbench_verbs()]
    assert places == sorted(places)


def voxbench_verbs():
    return voxbench.cli.VERBS


def test_every_verb_has_help_of_its_own(voxbench):
    for verb, line in voxbench_verbs().items():
        assert import_module(f"voxbench.cli.{verb}").app.help == line
        outcome = voxbench(verb, "--help")
        assert outcome.code == 0
        assert outcome.out.startswith(f"Usage: voxbench {verb}")


def test_the_version_is_the_package_s(voxbench):
    from voxbench import __version__

    outcome = voxbench("--version")
    assert (outcome.code, outcome.out.strip()) == (0, __version__)


def test_a_misspelt_verb_is_misuse_and_the_nearest_is_named(voxbench):
    outcome = voxbench("regsiter", "a", "b")
    assert outcome.code == 2
    assert 'Unknown command "regsiter". Did you mean "register"?' in outcome.err
    assert outcome.err.endswith("Try 'voxbench --help'.\n")


def test_a_misspelt_option_is_misuse_and_the_nearest_is_named(voxbench):
    outcome = voxbench("warp", "a", "--onto", "b", "--out", "c", "--through", "d", "--interpolatoin", "linear")
    assert outcome.code == 2
    assert "Unknown option: --interpolatoin. Did you mean --interpolation?" in outcome.err
    assert outcome.err.endswith("Try 'voxbench warp --help'.\n")


def test_a_missing_argument_is_misuse(voxbench):
    outcome = voxbench("warp", "a", "--onto", "b", "--out", "c")
    assert outcome.code == 2
    assert "--through" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FileReadError("a.nii: cannot be read"), 1, "voxbench: a.nii: cannot be read\n"),
        (UsageError("a and b exclude each other"), 2, "voxbench: a and b exclude each other\nTry 'voxbench --help'.\n"),
        (PermissionError(13, "Permission denied", "x.png"), 1, "voxbench: x.png: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "voxbench: No space left on device\n"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, "voxbench: interrupted\n"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(failing, capsys, monkeypatch, error, code, message):
    failing(error)
    monkeypatch.setattr("voxbench.cli.failures._silence_stdout", lambda: None)
    assert voxbench.cli.main(["x"]) == code
    assert capsys.readouterr() == ("", message)


def test_running_out_of_memory_says_what_to_do(failing, capsys):
    failing(MemoryError())
    assert voxbench.cli.main(["x"]) == 1
    assert capsys.readouterr().err.startswith("voxbench: out of memory; crop")


def test_debug_lets_the_traceback_through_wherever_it_stands(failing):
    failing(FileReadError("a.nii: cannot be read"))
    with pytest.raises(FileReadError, match=r"a\.nii"):
        voxbench.cli.main(["warp", "--debug", "x"])


def test_an_error_of_our_own_making_keeps_its_traceback(failing):
    failing(TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        voxbench.cli.main(["x"])


def test_arguments_are_those_of_the_process_by_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["voxbench", "--version"])
    assert voxbench.cli.main() == 0
    assert capsys.readouterr().out
