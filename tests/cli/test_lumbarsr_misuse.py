"""`voxbench evaluate lumbarsr` with bad input: one message, the right exit code, nothing written."""

from __future__ import annotations

import pytest

from voxbench.cli import main

FOLDERS = ("--predictions", "p", "--references", "r", "--out", "out")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((*FOLDERS,), 2, "method"),
        ((*FOLDERS, "--method", ""), 2, "method"),
        ((*FOLDERS, "--method", "unet", "--sequence", "1X"), 2, "1X"),
        ((*FOLDERS, "--method", "unet", "--sample", "26"), 2, "Lumbar_26"),
        ((*FOLDERS, "--method", "unet", "--threshold", "300"), 2, "--threshold 300 needs --morphometry"),
        ((*FOLDERS, "--method", "unet", "--morphometry", "--threshold", "nan"), 2, "threshold"),
        ((*FOLDERS, "--method", "unet"), 1, "p: no such folder"),
    ],
)
def test_one_message_and_an_exit_code(words, code, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "lumbarsr", *words]) == code
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
