"""voxbench simulate lnq2023."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.challenges.lnq2023.simulation import Background

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
SAMPLE = "chest-ct"


def lnq2023(
    *,
    out: Path,
    cases: int = 4,
    test: int = 0,
    annotated: float = 0.2,
    ct: Path | None = None,
    mask: Path | None = None,
    pixels: int = 256,
    spacing: tuple[float, float] | None = None,
    noise_hu: float = 14.0,
    seed: int = 0,
    jobs: int = 1,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Chests with lymph nodes in LNQ 2023's names: partial labels as readers leave them, the full truth apart.

    Args:
        out: Folder for train/, test/, truth/ and truth.json.
        cases: Training cases, of whose nodes over 1 cm a share is labelled.
        test: Test cases besides, with all nodes over 1 cm labelled.
        annotated: Share of nodes that is labelled in training cases, the largest first, more or less.
        ct: Plant nodes into the fat between the lungs of this chest CT instead of phantoms; chest-ct is the sample of
            that name (voxbench samples).
        mask: Label map of organs on the CT's grid, e.g. TotalSegmentator's; nodes lie in none of them.
        pixels: Voxels across a phantom, in a window on the mediastinum; 512 shows the whole chest.
        spacing: Pixel and slice spacing of phantoms, mm; drawn as in the challenge's data if not given.
        noise_hu: Standard deviation of the noise in a 3 mm slice of a phantom, HU.
        seed: Another seed is another data set.
        jobs: Processes that make cases at the same time; a data set appears whole, so a second start begins anew.
        dry_run: Print the cases and what is known of their memory and time; make nothing.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from voxbench.challenges.lnq2023.simulation import MARKS, TRUTH, Lnq2023Simulation, line, simulate
    from voxbench.challenges.lnq2023.simulation import jobs as jobs_of
    from voxbench.cli.progress import lines
    from voxbench.cli.simulating import plan_of, runner, settings_of
    from voxbench.errors import UsageError
    from voxbench.io.folders import require_files
    from voxbench.jobs import Manner

    values = {"cases": cases, "test": test, "annotated": annotated, "pixels": pixels, "seed": seed}
    values |= {"noise_hu": noise_hu, "spacing": spacing}
    settings = settings_of(Lnq2023Simulation, values)
    manner = Manner(jobs)
    if mask is not None and ct is None:
        raise UsageError("--mask needs --ct: it holds the organs of that CT")
    if dry_run:  # a sample is not fetched for it
        require_files([path for path in (ct, mask) if path is not None and str(path) != SAMPLE], "image")
        plan_of("lnq2023", (out, MARKS, force), jobs_of(out, settings), manner, json)
        return
    with lines("simulating") as tell:
        made = simulate(out, settings, _background(ct, mask), force=force, runner=runner(manner, line, tell))
        nodes = [node for case in made["cases"].values() for node in case["nodes"]]
        drawn = sum(node["labelled"] for node in nodes)
        tell(f"{out}: {len(made['cases'])} cases, {len(nodes)} nodes, {drawn} labelled; all of them in truth/, {TRUTH}")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))


def _background(ct: Path | None, mask: Path | None) -> Background | None:
    """What is planted into: the files, or the sample with its own label map."""
    from voxbench.challenges.lnq2023.simulation import Background
    from voxbench.io.samples import fetch_sample

    if ct is None:
        return None
    if str(ct) != SAMPLE or ct.exists():
        return Background(ct, mask)
    files = fetch_sample(SAMPLE)
    return Background(files["ct.nii.gz"], mask or files["labels.nii.gz"])
