"""A process behind the interpreter's walls reaches no other host and writes nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = (
    "from pathlib import Path; import sys; from voxbench.deploy.isolation import close; close([Path(sys.argv[1])])\n"
)


def behind_walls(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", START + code, folder], capture_output=True, text=True, check=False, cwd=folder.parent
    )
    return done.returncode, done.stderr.strip().splitlines()[-1] if done.stderr else ""


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import socket; socket.create_connection(('203.0.113.1', 80), 1)", "a container has no network"),
        ("import urllib.request as u; u.urlopen('http://example.invalid')", "a container has no network"),
        ("open('beside', 'w')", "a container must not write here"),
        ("import os; os.mkdir('beside')", "a container must not write here"),
        ("import os; os.rename(sys.argv[1], 'beside')", "a container must not write here"),
    ],
)
def test_other_hosts_and_other_folders_are_closed(tmp_path, code, says):
    (tmp_path / "out").mkdir()
    code, said = behind_walls(tmp_path / "out", code)
    assert code == 1
    assert says in said
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_own_folder_and_the_loopback_are_open(tmp_path):
    (tmp_path / "out").mkdir()
    code = (
        "import os, shutil, socket, tempfile; out = Path(sys.argv[1])\n"
        "(out / 'a').write_text('1'); os.rename(out / 'a', out / 'b')\n"
        "folder = Path(tempfile.mkdtemp(dir=out)); (folder / 'deep').mkdir(); (folder / 'deep' / 'c').touch()\n"
        "shutil.rmtree(folder); open('/dev/null', 'w').close()\n"
        "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname()).close()\n"
    )
    assert behind_walls(tmp_path / "out", code) == (0, "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
