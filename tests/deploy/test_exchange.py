"""What the platform hands over is read whatever its age, and refused in one message where it is not as agreed."""

from __future__ import annotations

import json
import shutil

import pytest

from voxbench.deploy.exchange import by_case, name_in, read_inputs, read_jobs, require_cases
from voxbench.deploy.sockets import Socket
from voxbench.errors import FileReadError, InputError

IMAGE = Socket("an-image", "images/an-image")
FACTOR = Socket("a-factor", "a-factor.json", "value")
TIMES = Socket("the-product", "images/the-product")


def listed(folder, key="socket", **changes):
    """Write inputs.json again, the image described by another key or otherwise."""
    first, second = json.loads((folder / "inputs.json").read_text())
    about = first.pop("socket") | changes
    (folder / "inputs.json").write_text(json.dumps([{key: about} | first, second]))


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_inputs_are_found_by_either_key_and_keep_the_name_of_the_platform(toy, given, key):
    listed(given, key)
    found = read_inputs(given, toy.inputs)
    assert found[IMAGE.slug].name == "1_t1.mha"
    assert found[IMAGE.slug].path == given / IMAGE.relative_path / "0a1b.mha"
    assert found[FACTOR.slug].path == given / FACTOR.relative_path


def test_without_inputs_json_the_folders_say_what_is_there(toy, given):
    (given / "inputs.json").unlink()
    assert read_inputs(given, toy.inputs)[IMAGE.slug].name == "0a1b.mha"


def test_an_image_elsewhere_is_looked_for_where_inputs_json_says(toy, given):
    shutil.move(given / IMAGE.relative_path, given / "images" / "elsewhere")
    listed(given, relative_path="images/elsewhere")
    assert read_inputs(given, toy.inputs)[IMAGE.slug].path.parent.name == "elsewhere"


def two_images(folder):
    shutil.copy(folder / IMAGE.relative_path / "0a1b.mha", folder / IMAGE.relative_path / "2.mha")


def no_image(folder):
    (folder / IMAGE.relative_path / "0a1b.mha").unlink()


def a_picture(folder):
    (folder / IMAGE.relative_path / "0a1b.mha").rename(folder / IMAGE.relative_path / "0a1b.nii.gz")


def no_factor(folder):
    (folder / FACTOR.relative_path).unlink()


def nothing_listed(folder):
    (folder / "inputs.json").write_text("[]")


def no_list(folder):
    (folder / "inputs.json").write_text("{}")


def listed_twice(folder):
    entries = json.loads((folder / "inputs.json").read_text())
    (folder / "inputs.json").write_text(json.dumps([*entries, entries[0]]))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (two_images, "2 files in one socket; exactly one image is expected\n  0a1b.mha\n  2.mha"),
        (no_image, "no image here; exactly one is expected"),
        (a_picture, "not an image the platform hands out"),
        (no_factor, "no such file"),
        (nothing_listed, "nothing in an-image, a-factor"),
        (no_list, "expected a list, found a dict"),
        (listed_twice, "socket 'an-image' stands there twice"),
        (lambda folder: listed(folder, slug="another"), "socket 'another' is not known here"),
        (lambda folder: listed(folder, relative_path="../../etc"), "does not lie in this folder"),
        (lambda folder: listed(folder, relative_path="/etc"), "does not lie in this folder"),
    ],
)
def test_what_is_not_as_agreed_is_refused(toy, given, harm, says):
    harm(given)
    with pytest.raises(InputError) as caught:
        read_inputs(given, toy.inputs)
    assert says in str(caught.value)


def test_one_of_several_inputs_that_may_be_missing_must_be_there(toy, tmp_path):
    from dataclasses import replace

    sockets = [replace(socket, required=False) for socket in toy.inputs]
    with pytest.raises(FileReadError, match="nothing in any socket"):
        read_inputs(tmp_path, sockets)


def job(folder, pk, name, **more):
    """A job's entry, and its files."""
    place = folder / pk / "output" / TIMES.relative_path
    place.mkdir(parents=True)
    (place / f"{pk}.mha").write_bytes(b"x")
    (folder / pk / "output" / "notes").mkdir()
    (folder / pk / "output" / "notes" / "a-note.txt").write_text("x")
    return {"pk": pk, "inputs": [{"interface": {"slug": IMAGE.slug}, "image": {"name": name}}], "outputs": []} | more


def write_jobs(folder, *entries):
    (folder / "predictions.json").write_text(json.dumps(entries))


def test_jobs_come_in_the_order_of_their_images_whatever_theirs_is(toy, tmp_path):
    entries = [job(tmp_path, "b", "1.mha", status="Succeeded"), job(tmp_path, "a", "2.mha")]
    for order in (entries, entries[::-1]):
        write_jobs(tmp_path, *order)
        jobs = read_jobs(tmp_path, toy)
        assert [name_in(job, IMAGE.slug) for job in jobs] == ["1.mha", "2.mha"]
        assert jobs[0].outputs[TIMES.slug] == tmp_path / "b" / "output" / TIMES.relative_path / "b.mha"


def test_every_job_that_cannot_be_scored_is_named(toy, tmp_path):
    good, failed = job(tmp_path, "good", "1.mha"), job(tmp_path, "bad", "2.mha", status="Failed")
    empty = {"pk": "gone", "inputs": [], "outputs": []}
    write_jobs(tmp_path, good, failed, empty, {"pk": "../good"})
    with pytest.raises(InputError) as caught:
        read_jobs(tmp_path, toy)
    said = str(caught.value)
    assert said.startswith("3 of 4 jobs cannot be scored")
    assert "job 'bad': its status is 'Failed'" in said
    assert "gone" in said
    assert "'../good' does not lie in this folder" in said


def test_jobs_and_cases_must_go_together(toy, tmp_path):
    write_jobs(tmp_path, job(tmp_path, "a", "1.mha"), job(tmp_path, "b", "1.mha"), job(tmp_path, "c", "../3.mha"))
    first, second, strange = read_jobs(tmp_path, toy)[-2:] + read_jobs(tmp_path, toy)[:1]
    with pytest.raises(InputError, match="two jobs of one case"):
        by_case([first, second], ["1", "1"])
    with pytest.raises(InputError, match="2: no job"):
        require_cases({"1": first}, ["1", "2"])
    with pytest.raises(InputError, match="no such case in the ground truth"):
        require_cases({"1": first, "9": second}, ["1"])
    with pytest.raises(InputError, match="no usable name"):
        name_in(strange, IMAGE.slug)
