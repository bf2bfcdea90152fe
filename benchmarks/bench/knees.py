"""Knees to train SSR-KD's networks on: drawn from a shape model of 20 of the 26 people, so that six remain unknown.

python -m bench.knees OUT --cases 48 --unlabelled 48 --size 256
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

KNOWN = 20
"""People whose shapes training may see; the others, 20 to 25, are for tests."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--unlabelled", type=int, default=48)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    from voxbench.challenges.ssrkd import simulation

    model = known_people()
    simulation.shape_model = lambda _settings: model  # one process: the jobs see it
    settings = simulation.SsrkdSimulation(
        cases=options.cases,
        unlabelled=options.unlabelled,
        size=options.size,
        seed=options.seed,
        angles=(0.0, 90.0, 180.0, 270.0),
    )
    simulation.simulate(options.out, settings, progress=print)


def known_people() -> Any:
    """The shape model of the first 20 people."""
    from voxbench.geometry.seating import seated
    from voxbench.io.lower_limbs import SAMPLE, knee_of_people, read_people
    from voxbench.io.samples import fetch_sample

    vertices, faces = read_people(fetch_sample(SAMPLE))
    return seated(knee_of_people({b: v[:KNOWN] for b, v in vertices.items()}, faces, "left", f"{KNOWN} people"))


if __name__ == "__main__":
    main()
