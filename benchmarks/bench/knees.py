"""Knees for SSR-KD's networks: to train on, drawn from a shape model of 20 of the 26 people; to test with, the others.

python -m bench.knees TRAIN --cases 48 --unlabelled 48
python -m bench.knees TEST --others --cases 20
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

KNOWN, PEOPLE = 20, 26
"""People whose shapes training may see, of all; the others, 20 to 25, are for tests."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--others", action="store_true", help="the knees of the six others, as they are")
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--unlabelled", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    from functools import partial

    from voxbench.challenges.ssrkd import simulation
    from voxbench.jobs import run

    model = known_people()
    simulation.shape_model = lambda _settings: model  # one process: the jobs see it
    if options.others:
        simulation.draw_knee = other_knee
    settings = simulation.SsrkdSimulation(
        cases=options.cases,
        unlabelled=options.unlabelled,
        size=options.size,
        seed=options.seed,
        both_knees=0.0 if options.others else 0.25,
        angles=(0.0, 90.0, 180.0, 270.0),
    )
    runner = partial(run, told=lambda done: print(done.key, done.error))
    simulation.simulate(options.out, settings, runner=runner)


@cache
def known_people() -> Any:
    """The shape model of the first 20 people."""
    return _model(np.arange(PEOPLE) < KNOWN, f"{KNOWN} people")


def other_knee(_model: Any, one: Any, settings: Any) -> Any:
    """One of the others' knees, in turn, in a pose of its own."""
    from voxbench.simulate.knees import random_knee

    person = KNOWN + one.person % (PEOPLE - KNOWN)
    variation = settings.variation.model_copy(update={"side": one.side})
    rng = np.random.default_rng([settings.seed, 0x07E5, one.person])
    return random_knee(_other(person), rng, variation)


@cache
def _other(person: int) -> Any:
    return _model(np.arange(PEOPLE) == person, f"person {person}")


def _model(chosen: np.ndarray, name: str) -> Any:
    from voxbench.geometry.seating import seated
    from voxbench.io.lower_limbs import SAMPLE, knee_of_people, read_people
    from voxbench.io.samples import fetch_sample

    vertices, faces = read_people(fetch_sample(SAMPLE))
    return seated(knee_of_people({bone: each[chosen] for bone, each in vertices.items()}, faces, "left", name))


if __name__ == "__main__":
    main()
