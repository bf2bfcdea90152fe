"""The demo's lymph nodes: planted into a real chest CT, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_steps import Say, Steps, numbers, picture

if TYPE_CHECKING:
    from voxbench.report.chapters import Chapter

PICTURES = 3


def nodes(out: Path, say: Say, samples: Path | None = None) -> Chapter:
    """Plant nodes into the sample CT and measure them.

    Args:
        out: Folder for the result.
        say: Told what is done.
        samples: Where the sample images are kept.
    """
    from voxbench.io.samples import fetch_sample
    from voxbench.report import Quantity
    from voxbench.report.chapters import Chapter

    files = fetch_sample("chest-ct", samples)
    data, measured = out / "data", out / "measured"
    steps = Steps(out, say)
    organs = ("--ct", files["ct.nii.gz"], "--mask", files["labels.nii.gz"])
    steps("simulate", "lnq2023", "--out", data, "--cases", 1, *organs, "--force")
    truth = next((data / "truth").glob("*-nodes.nrrd"))
    ct = next((data / "train").glob("*-ct.nrrd"))
    steps("nodes", truth, "--ct", ct, "--out", measured, "--instances", "--pictures", PICTURES, "--force")
    found = numbers(measured / "nodes.json")
    rows = sorted(found["nodes"], key=lambda row: -row["short_axis_mm"])
    return Chapter(
        title="Lymph nodes, measured",
        summary=(
            "Nodes of known size planted into the mediastinal fat of a real chest CT, in the names of LNQ 2023: labels "
            "of a few, as readers leave them, and the full truth apart. Axes are those of RECIST, in the axial slice."
        ),
        commands=steps.done,
        quantities=[
            Quantity("nodes", found["count"], "", "in the full truth"),
            Quantity("enlarged", found["enlarged"], "", f"short axis of {found['threshold_mm']:g} mm or more"),
            Quantity("volume", found["volume_mm3"] / 1000, "ml", "of all"),
            Quantity("largest short axis", rows[0]["short_axis_mm"], "mm", "of any node"),
        ],
        pictures=[
            picture(
                measured / f"node-{row['node']:03d}.png",
                f"Lymph node {row['node']} with its axes",
                f"Node {row['node']}: {row['long_axis_mm']:.1f} x {row['short_axis_mm']:.1f} mm.",
            )
            for row in rows[:PICTURES]
        ],
    )
