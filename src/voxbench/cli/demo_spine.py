"""The demo's spine: a made lumbar MR segmented by registration, scored and measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_steps import Say, Steps, numbers, picture

if TYPE_CHECKING:
    from voxbench.report.chapters import Chapter

HERE, OTHER = "1_t2.mha", "2_t2.mha"


def spine(out: Path, say: Say, samples: Path | None = None) -> Chapter:
    """Carry one spine's labels to another by registration.

    Args:
        out: Folder for the result.
        say: Told what is done.
        samples: Not used.
    """
    from voxbench.io import read_labels, read_volume
    from voxbench.report import Quantity
    from voxbench.report.chapters import Chapter
    from voxbench.report.planes import Box
    from voxbench.report.scene import scene_of_volumes

    del samples
    data, found, truth = out / "data", out / "found", out / "truth"
    steps = Steps(out, say)
    steps("simulate", "spider", "--out", data, "--cases", 2, "--space-every", 0, "--seed", 4, "--force")
    images = data / "images"
    steps("register", images / HERE, images / OTHER, "--preset", "fast", "--out", out / "registration", "--force")
    for folder in (found, truth):
        folder.mkdir(parents=True, exist_ok=True)
    carried = ("--through", out / "registration" / "displacement.nii.gz", "--onto", images / HERE, "--labels")
    steps("warp", data / "masks" / OTHER, *carried, "--out", found / HERE, "--force")
    shutil.copyfile(data / "masks" / HERE, truth / HERE)
    steps("evaluate", "spider", "--predictions", found, "--references", truth, "--out", out / "scores", "--force")
    steps("spine", found / HERE, "--image", images / HERE, "--out", out / "measured", "--force")
    image = read_volume(images / HERE)
    maps = {"found": read_labels(found / HERE), "truth": read_labels(truth / HERE)}
    box = Box.around(image)
    scores = numbers(out / "scores" / "scores.json")["official"]
    rows = (
        ("DiceScoreVertebrae", "Dice, vertebrae", "", "of those found"),
        ("DiceScoreDiscs", "Dice, discs", "", "of those found"),
        ("DiceScoreSpinalCanal", "Dice, canal", "", ""),
        ("DetectionRateVertebrae", "vertebrae found", "", "share with a Dice of 0.1 or more"),
        ("ASDSpinalCanal", "ASD, canal", "mm", "as the organisers compute it"),
    )
    return Chapter(
        title="A lumbar spine, segmented and scored",
        summary=(
            "Two spines drawn by formulas and imaged as T2-weighted MR in SPIDER's layout. The second one's labels are "
            "carried to the first by registration: one atlas and no training, so far from what a trained network "
            "reaches. The numbers are SPIDER's official ones."
        ),
        commands=steps.done,
        quantities=[Quantity(name, scores[key]["mean"], unit, note) for key, name, unit, note in rows],
        pictures=[
            picture(
                out / "measured" / "spine.png",
                "Sagittal plane of the lumbar spine with the outlines of vertebrae and discs found",
                "What was found, with heights measured from it (voxbench spine).",
            )
        ],
        scene=scene_of_volumes("a lumbar spine", (box.low, box.high), {"T2": image}, maps),
    )
