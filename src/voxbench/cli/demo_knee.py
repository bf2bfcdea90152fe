"""The demo's knee: four bones back from two radiographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_steps import Say, Steps, numbers, picture

if TYPE_CHECKING:
    from voxbench.report.chapters import Chapter

CASE = "P0000L"
COLOURS = {"patella": (76, 195, 255), "femur": (255, 105, 80), "fibula": (255, 205, 100), "tibia": (130, 235, 150)}
ROWS = (
    ("dsc", "DSC", "", "overlap of the volumes; 1 is the same"),
    ("hd", "HD", "mm", "the farthest point, as the organisers sample it"),
    ("assd", "ASSD", "mm", "mean distance of the surfaces, as the organisers sample it"),
)


def knee(out: Path, say: Say, samples: Path | None = None) -> Chapter:
    """Make a knee, take two radiographs, find the bones in them, score them.

    Args:
        out: Folder for the result.
        say: Told what is done.
        samples: Not used: the shapes lie in the user's cache folder.
    """
    import numpy as np

    from voxbench.io import read_mesh
    from voxbench.report import Quantity
    from voxbench.report.chapters import Chapter
    from voxbench.report.scene import scene_of_meshes

    del samples
    data, found, scores = out / "data", out / "found", out / "scores"
    steps = Steps(out, say)
    steps("simulate", "ssrkd", "--out", data, "--cases", 1, "--size", 256, "--views", "0,90", "--force")
    views = data / "processed" / CASE / "projs.npz"
    geometry = ("--geometry", data / "views.json", "--names", "ssrkd")
    steps("reconstruct", views, views, *geometry, "--out", found / CASE, "--force")
    steps(
        "evaluate", "ssrkd", "--predictions", found, "--references", data / "meshes", "--out", scores,
        "--spacing", 1, "--force",
    )  # fmt: skip
    bones = {name: read_mesh(found / CASE / f"sub_{n}.obj") for n, name in enumerate(COLOURS)}
    coloured = {
        name: (bone, np.tile(np.array(COLOURS[name], np.uint8), (len(bone.vertices), 1)))
        for name, bone in bones.items()
    }
    means = numbers(scores / "scores.json")["mean"]
    return Chapter(
        title="Four bones from two radiographs",
        summary=(
            "A knee drawn from a shape model of 26 people, projected from the front and the side; its four bones are "
            "found by fitting that same model to their edges. Real people differ more: the documentation has numbers "
            "of people whom the model does not know."
        ),
        commands=steps.done,
        quantities=[
            Quantity(name, means[key]["average"], unit, f"mean of four bones; {note}") for key, name, unit, note in ROWS
        ],
        pictures=[
            picture(
                found / CASE / "contours.png",
                "Both radiographs with the outlines of the bones found",
                "Outlines of the bones found, projected into both radiographs.",
            )
        ],
        scene=scene_of_meshes("four bones from two radiographs", coloured),
    )
