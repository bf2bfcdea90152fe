"""Landmark files give points in RAS+ mm."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import FileReadError
from voxbench.io.points import read_points

POINTS = np.array([[1.5, -2.0, 3.25], [40.0, 5.0, -6e-3]])


@pytest.mark.parametrize(
    "text",
    [
        "1.5,-2,3.25\n40,5,-6e-3\n",
        "x,y,z\n1.5,-2.0,3.25\n40,5,-0.006",
        "# mm\nx;y;z\n\n1.5; -2.0; 3.25\n40;5;-0.006\n",
        "1.5 -2 3.25\r\n40\t5  -0.006\r\n",
    ],
)
def test_three_numbers_a_line_are_points(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    np.testing.assert_array_equal(read_points(tmp_path / "p.csv"), POINTS)


@pytest.mark.parametrize(("system", "sign"), [("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1)])
def test_slicer_s_own_header_says_which_way_its_points_count(tmp_path, system, sign):
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n# columns = id,x,y,z,ow\n"
    rows = "".join(f"vtk_{i},{x},{y},{z},0,0,0,1,1,1,0,F-{i},,\n" for i, (x, y, z) in enumerate(POINTS))
    (tmp_path / "p.fcsv").write_text(head + rows)
    np.testing.assert_array_equal(read_points(tmp_path / "p.fcsv"), POINTS * [sign, sign, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,5\n", r"line 2: expected three numbers \(x, y, z in mm\), got '4 5'"),
        ("1,2,3\nfour,5,6\n", "line 2: expected three numbers"),
        ("1,2,3,4\n", "line 1: expected three numbers"),
        ("x,y,z\n", "no landmarks in it"),
        ("1,2,nan\n", "NaN or infinite"),
    ],
)
def test_other_lines_are_refused_by_number(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FileReadError, match=message):
        read_points(tmp_path / "p.csv")


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(bytes(range(256)))
    with pytest.raises(FileReadError, match="not text in UTF-8"):
        read_points(tmp_path / "p.csv")
