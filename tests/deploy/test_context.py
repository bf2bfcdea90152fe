"""A build context has everything, pins everything, runs as nobody, and carries weights of its challenge alone."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from importlib import metadata

import pytest

from voxbench.deploy.context import Wanted, constraints, write_context
from voxbench.deploy.sockets import Deployment
from voxbench.errors import FileReadError, FileWriteError, InputError, UsageError


@pytest.fixture
def deployment(toy):
    return Deployment(toy, lambda jobs, truth, scratch: {}, "the right products", lambda folder: None)


@pytest.fixture
def run(tmp_path):
    """A training run with two stages."""
    for stage in ("one", "two"):
        (tmp_path / "run" / stage).mkdir(parents=True)
        (tmp_path / "run" / stage / "weights.safetensors").write_bytes(stage.encode())
        (tmp_path / "run" / stage / "weights.json").write_text(json.dumps({"challenge": "toy"}))
        (tmp_path / "run" / stage / "checkpoint.safetensors").write_bytes(b"much")
    return tmp_path / "run"


def test_a_context_holds_sources_scripts_and_both_images(deployment, tmp_path):
    made = write_context(deployment, tmp_path / "out", Wanted("exec"))
    assert set(made.files) >= {
        *("Dockerfile", "Dockerfile.evaluation", "README.md", "constraints.txt", "build.sh", "test.sh", "save.sh"),
        *(
            "voxbench/pyproject.toml",
            "voxbench/src/core/module.cpp",
            "voxbench/src/voxbench/deploy/_assets/test.sh.jinja",
        ),
    }
    assert not [name for name in made.files if name.endswith((".so", ".pyc"))]
    assert made.warnings == ()
    docker = (made.folder / "Dockerfile").read_text()
    assert docker.count("FROM") == 2
    assert 'ENTRYPOINT ["python", "-m", "voxbench", "serve", "toy", "--contract", "exec"]' in docker
    assert 'org.grand-challenge.api-method="exec"' in docker
    assert docker.index("USER user") > docker.index("pip install")
    assert "EXPOSE" not in docker
    scoring = (made.folder / "Dockerfile.evaluation").read_text()
    assert '"serve", "toy", "--contract", "evaluation"]' in scoring
    assert "api-method" not in scoring
    assert "{{" not in docker + scoring + (made.folder / "README.md").read_text()
    for name in ("build.sh", "test.sh", "save.sh"):
        subprocess.run(["sh", "-n", made.folder / name], check=True)


def test_the_invoke_contract_listens_and_is_labelled(deployment, tmp_path):
    made = write_context(deployment, tmp_path / "out", Wanted("invoke"))
    docker = (made.folder / "Dockerfile").read_text()
    assert "EXPOSE 4743\n" in docker
    assert 'org.grand-challenge.api-method="invoke"' in docker
    assert "POST /invoke" in (made.folder / "test.sh").read_text()
    subprocess.run(["sh", "-n", made.folder / "test.sh"], check=True)


def test_weights_are_copied_without_the_rest_of_the_run(deployment, tmp_path, run):
    made = write_context(deployment, tmp_path / "out", Wanted("exec", run))
    assert sorted(name for name in made.files if name.startswith("model/")) == [
        f"model/{stage}/weights.{kind}" for stage in ("one", "two") for kind in ("json", "safetensors")
    ]
    assert (made.folder / "model/two/weights.safetensors").read_bytes() == b"two"
    assert "[learn]" in (made.folder / "Dockerfile").read_text()
    assert "[learn]" not in (made.folder / "Dockerfile.evaluation").read_text()


def test_a_wheel_takes_the_place_of_the_sources(deployment, tmp_path):
    wheel = tmp_path / "voxbench-9-cp311-cp311-linux_x86_64.whl"
    wheel.write_bytes(b"wheel")
    made = write_context(deployment, tmp_path / "out", Wanted("exec", None, wheel))
    assert [name for name in made.files if "/" in name] == [f"wheels/{wheel.name}"]
    assert "build-essential" not in (made.folder / "Dockerfile").read_text()
    with pytest.raises(UsageError, match="not a wheel of voxbench"):
        write_context(deployment, tmp_path / "other", Wanted("exec", None, tmp_path / "else-1.whl"))


def test_weights_that_do_not_belong_there_are_refused_and_nothing_is_left(deployment, tmp_path, run):
    (run / "two" / "weights.json").write_text(json.dumps({"challenge": "another"}))
    with pytest.raises(InputError, match=r"weights of another challenge\n  wanted  toy\n  found   another"):
        write_context(deployment, tmp_path / "out", Wanted("exec", run))
    with pytest.raises(FileReadError, match=r"no weights.safetensors here\n.*voxbench train toy"):
        write_context(deployment, tmp_path / "out", Wanted("exec", tmp_path / "nothing"))
    none = replace(deployment, algorithm=replace(deployment.algorithm, weights="none"))
    with pytest.raises(UsageError, match="has no method with weights"):
        write_context(none, tmp_path / "out", Wanted("exec", run))
    assert not (tmp_path / "out").exists()


def test_a_method_that_needs_weights_and_has_none_says_so(deployment, tmp_path):
    needy = replace(deployment, algorithm=replace(deployment.algorithm, weights="needed"))
    made = write_context(needy, tmp_path / "out", Wanted("exec"))
    assert "no weights: make them with voxbench train toy" in made.warnings[0]
    assert "voxbench train toy" in (made.folder / "README.md").read_text()


def test_only_a_context_is_replaced(deployment, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(FileWriteError, match="holds something that is not a container context"):
        write_context(deployment, tmp_path / "out", Wanted("exec"), force=True)
    (tmp_path / "out" / "thesis.tex").unlink()
    write_context(deployment, tmp_path / "out", Wanted("exec"))
    with pytest.raises(FileWriteError, match="holds a container context already"):
        write_context(deployment, tmp_path / "out", Wanted("exec"))
    write_context(deployment, tmp_path / "out", Wanted("invoke"), force=True)
    assert "EXPOSE" in (tmp_path / "out" / "Dockerfile").read_text()


def test_everything_that_is_needed_is_pinned_to_what_is_installed():
    pinned = dict(line.split("==") for line in constraints().splitlines())
    assert pinned["numpy"] == metadata.version("numpy").split("+")[0]
    assert {"simpleitk", "distributed", "pydantic-core"} <= set(pinned)
    assert "pytest" not in pinned
    assert set(dict(line.split("==") for line in constraints(("test",)).splitlines())) >= {*pinned, "pytest"}
