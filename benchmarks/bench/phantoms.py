"""Phantoms of many textures to train super-resolution on: how thick, dense and aligned differs from one to the next.

python benchmarks/bench/phantoms.py OUT --cases 12
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, simulate
from voxbench.simulate.phantoms.vertebra import VertebraAnatomy

FOLDERS = ("RegisteredData", "BoneMask", "original_dicom")


def anatomy(rng: np.random.Generator) -> VertebraAnatomy:
    """Trabecular bone from osteoporotic to dense."""
    spacing = float(rng.uniform(0.7, 1.9))
    thickness = float(rng.uniform(0.15, 0.28) * spacing)
    return VertebraAnatomy(
        node_spacing_mm=spacing,
        rod_mm=thickness,
        plate_mm=float(thickness * rng.uniform(0.7, 1.0)),
        thickness_spread=float(rng.uniform(0.15, 0.4)),
        rods_across=float(rng.uniform(0.5, 0.95)),
        plates=float(rng.uniform(0.2, 0.8)),
        bone_hu=float(rng.uniform(1200, 1800)),
        marrow_hu=float(rng.uniform(-80, 40)),
    )


def make(out: Path, cases: int, size: tuple[int, int, int], seed: int) -> None:
    """Lumbar_01, Lumbar_02, ... in the official layout, each with an anatomy and a noise of its own."""
    for number in range(1, cases + 1):
        rng = np.random.default_rng([seed, number])
        settings = LumbarsrSimulation(
            cases=1,
            size=size,
            seed=seed + number,
            noise_hu=float(rng.uniform(15, 45)),
            anatomy=anatomy(rng),
            micro_noise_hu=20.0,
        )
        scratch = out.parent / f"{out.name}.scratch"
        simulate(scratch, settings, force=True)
        for folder in FOLDERS:
            made = scratch / folder / "Lumbar_26"
            for path in sorted(made.rglob("Lumbar26*")):
                path.rename(path.with_name(path.name.replace("Lumbar26", f"Lumbar{number:02d}")))
            (out / folder).mkdir(parents=True, exist_ok=True)
            made.rename(out / folder / f"Lumbar_{number:02d}")
        shutil.rmtree(scratch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=3, default=[128, 128, 96])
    parser.add_argument("--seed", type=int, default=5000)
    options = parser.parse_args()
    make(options.out, options.cases, tuple(options.size), options.seed)
