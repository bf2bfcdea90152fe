"""Both contracts over a toy: what comes out is where the platform looks for it, on the input's grid, or not at all."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from voxbench.deploy import serving
from voxbench.deploy.server import Server
from voxbench.deploy.sockets import Socket
from voxbench.errors import FileReadError, FileWriteError, GridMismatchError
from voxbench.io import read_json

IMAGE = Socket("an-image", "images/an-image")
FACTOR = Socket("a-factor", "a-factor.json", "value")
TIMES = Socket("the-product", "images/the-product")
NOTE = Socket("a-note", "notes/a-note.txt", "file")


@pytest.fixture
def folders(given, tmp_path):
    (tmp_path / "output").mkdir()
    return serving.Folders(given, tmp_path / "output", tmp_path / "model", tmp_path / "truth")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_exec_leaves_one_image_a_socket_with_the_geometry_of_the_input(toy, folders):
    serving.invoke(toy, serving.get_ready(toy, folders), folders)
    assert files(folders.output) == [f"{TIMES.relative_path}/0a1b.mha", NOTE.relative_path]
    one, other = (
        SimpleITK.ReadImage(str(path))
        for path in (
            folders.input / IMAGE.relative_path / "0a1b.mha",
            folders.output / TIMES.relative_path / "0a1b.mha",
        )
    )
    for about in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(other, about)(), getattr(one, about)(), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(*(SimpleITK.GetArrayFromImage(image) * n for image, n in ((one, 3), (other, 1))))
    assert (folders.output / NOTE.relative_path).read_text() == "1_t1.mha"


def test_an_image_of_an_earlier_call_does_not_stay_beside_the_new_one(toy, folders):
    place = folders.output / TIMES.relative_path
    place.mkdir(parents=True)
    (place / "old.mha").write_bytes(b"old")
    serving.invoke(toy, serving.get_ready(toy, folders), folders)
    assert [path.name for path in place.iterdir()] == ["0a1b.mha"]


def test_a_result_that_lost_its_geometry_is_refused_and_nothing_is_left(toy, folders):
    (folders.input / FACTOR.relative_path).write_text("0")
    with pytest.raises(GridMismatchError, match="not on the grid of the image that went in"):
        serving.invoke(toy, serving.get_ready(toy, folders), folders)
    assert files(folders.output) == []


def test_weights_that_are_needed_and_missing_are_told_with_how_to_make_them(toy, folders):
    from dataclasses import replace

    with pytest.raises(FileReadError, match=r"no weights here.*\n.*voxbench train toy"):
        serving.get_ready(replace(toy, weights="needed"), folders)
    folders.model.mkdir()
    (folders.model / ".keep").touch()
    assert folders.weights is None
    (folders.model / "weights.safetensors").touch()
    assert folders.weights == folders.model


def ask(port: int, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_invoke_answers_200_201_and_500_with_the_reason_and_goes_on(toy, folders):
    told: list[str] = []
    with Server(toy, folders, 0, told.append) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.server_address[1]
            assert ask(port, "GET", "/health") == (200, "")
            assert ask(port, "GET", "/else")[0] == 404
            assert ask(port, "POST", "/invoke") == (201, "")
            assert files(folders.output) == [f"{TIMES.relative_path}/0a1b.mha", NOTE.relative_path]
            factor = folders.input / FACTOR.relative_path
            factor.write_text("-1")
            assert ask(port, "POST", "/invoke") == (500, "ZeroDivisionError: unforeseen")
            factor.unlink()
            code, text = ask(port, "POST", "/invoke")
            assert code == 500
            assert "no such file" in text
            factor.write_text("2")
            assert ask(port, "POST", "/invoke") == (201, "")
            assert len(told) == 2
            with pytest.raises(FileWriteError, match=f"port {port}: cannot be listened on"):
                Server(toy, folders, port, told.append)
        finally:
            server.shutdown()
            thread.join()


def test_an_evaluation_writes_metrics_json_from_what_grades(toy, folders):
    place = folders.input / "pk" / "output"
    (place / TIMES.relative_path).mkdir(parents=True)
    (place / TIMES.relative_path / "x.mha").touch()
    (place / "notes").mkdir()
    (place / NOTE.relative_path).touch()
    entry = {"pk": "pk", "inputs": [{"socket": {"slug": IMAGE.slug}, "image": {"name": "1.mha"}}], "outputs": []}
    (folders.input / "predictions.json").write_text(json.dumps([entry]))

    def grade(jobs, truth, scratch):
        assert truth == folders.truth
        assert not any(scratch.iterdir())
        return {"jobs": [job.pk for job in jobs], "mean": float("nan")}

    with pytest.raises(FileReadError, match="no ground truth"):
        serving.grade(toy, grade, folders)
    (folders.truth or Path()).mkdir()
    written = read_json(serving.grade(toy, grade, folders))
    assert written["jobs"] == ["pk"]
    assert written["mean"] != written["mean"]
