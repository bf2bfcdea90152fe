"""Lymph nodes of which one in five is labelled: what each strategy recovers of what naive training loses.

python partial_labels.py --work FOLDER --out results [--rows NAME ...]

`voxbench simulate lnq2023` makes phantom chests with index nodes labelled as readers do, and test cases with all nodes
over 1 cm. Every row is `voxbench train lnq2023` with the same plan, seed and number of updates, then
`voxbench predict lnq2023` on the test cases; "full labels" has all nodes over 1 cm of the same training cases labelled.
Settings are fixed here, before any test case is looked at; the training sees none. A node is found if its Dice with its
own component of the prediction is at least 0.1 (`voxbench.challenges.lnq2023.scoring`); other predicted components are
false structures. CPU seconds are those of whole processes, one thread.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import shutil
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

CASES, TEST = 20, 8
SEEDS = (1, 2)
"""Of the cases to learn from, and of those to test on."""
STEPS = 300
PLAN = """\
spacing = [4.0, 4.0, 4.0]
patch = [24, 24, 24]
features = [12, 24, 48]
kernels = [[3, 3, 3], [3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
blocks = [1, 1, 1]
classes = 2
heads = 2
batch = 2
mirror = [0]

[normalisation]
modality = "ct"
low = -160.0
high = 240.0
mean = 40.0
deviation = 100.0
"""
ROWS = {
    "full labels": ("full", "--strategy", "ignore"),
    "naive background": ("set", "--strategy", "background"),
    "ignore": ("set", "--strategy", "ignore"),
    "foreground share": ("set", "--strategy", "foreground"),
    "positive-unlabelled": ("set", "--strategy", "positive-unlabelled"),
    "two networks (cross)": ("set", "--strategy", "cross"),
    "two decoders": ("set", "--strategy", "decoders"),
    "ignore, 2 rounds of self-training": ("set", "--strategy", "ignore", "--rounds", "2"),
    "positive-unlabelled, 2 rounds": ("set", "--strategy", "positive-unlabelled", "--rounds", "2"),
}
UPPER, NAIVE = "full labels", "naive background"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, runs and predictions; kept")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="of the training")
    parser.add_argument("--there", action="store_true", help="only rows that an earlier start finished")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    prepare(options.work)
    rows = []
    for seed in options.seeds:
        for name in options.rows:
            if options.there and not (place_of(options.work, name, seed, options.steps) / "row.json").is_file():
                continue
            rows.append({"name": name, "seed": seed, **made(options.work, name, seed, options.steps)})
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "cases"}), flush=True)
    write(rows, options)


def prepare(work: Path) -> None:
    """The simulated set, the same with full labels, and the plan."""
    (work / "plan.toml").write_text(PLAN)
    like = ["--pixels", 104, "--spacing", 2, 3]
    if not (work / "set" / "truth.json").is_file():
        run(work, "simulate", ["--cases", CASES, *like, "--seed", SEEDS[0], "--out", work / "set"])
    if not (work / "held" / "truth.json").is_file():
        run(work, "simulate", ["--cases", 1, "--test", TEST, *like, "--seed", SEEDS[1], "--out", work / "held"])
    label_all(work)


def label_all(work: Path) -> None:
    """The set with full labels: all nodes over 1 cm of its training cases."""
    if (work / "full" / "dataset.csv").is_file():
        return
    from voxbench.geometry import LabelMap
    from voxbench.io import read_labels, write_labels

    truth = json.loads((work / "set" / "truth.json").read_text())["cases"]
    (work / "full" / "train").mkdir(parents=True)
    cases = [case for case, known in truth.items() if known["split"] == "train"]
    for case in cases:
        nodes = read_labels(work / "set" / "truth" / f"{case}-nodes.nrrd")
        due = [node["id"] for node in truth[case]["nodes"] if node["over_1_cm"]]
        labels = LabelMap(np.isin(nodes.array, due).astype(np.uint8), nodes.grid)
        shutil.copy(work / "set" / "train" / f"{case}-ct.nrrd", work / "full" / "train")
        write_labels(work / "full" / "train" / f"{case}-seg.nrrd", labels)
    with (work / "full" / "dataset.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "completeness"), *((case, "full") for case in cases)])


def run(folder: Path, verb: str, words: list[Any]) -> Any:
    """One command as a process of its own, one thread, with its log in a folder; what it cost."""
    from bench.measure import cost_of

    command = [sys.executable, "-m", "voxbench", verb, "lnq2023", *map(str, words)]
    return cost_of(command, folder / f"{verb}.log", 1)


def place_of(work: Path, name: str, seed: int, steps: int) -> Path:
    return work / f"{re.sub('[^a-z0-9]+', '-', name)}-{seed}-{steps}"


def made(work: Path, name: str, seed: int, steps: int) -> dict[str, Any]:
    """A row; one that an earlier start finished in the same folder is taken from there."""
    data, *words = ROWS[name]
    place = place_of(work, name, seed, steps)
    if (place / "row.json").is_file():
        return json.loads((place / "row.json").read_text())
    settings = [
        "--force",
        "--steps",
        steps,
        "--warm-up",
        50,
        "--precision",
        "bf16",
        "--seed",
        seed,
        "--validate-every",
        steps,
    ]
    where = ["--data", work / data, "--out", place / "run", "--cache", work / "cache", "--plan", work / "plan.toml"]
    place.mkdir(exist_ok=True)
    if not (place / "train.json").is_file():
        trained = run(place, "train", [*where, *settings, *words])
        (place / "train.json").write_text(json.dumps({"cpu_s": trained.cpu_s}))
    numbers = tested(work / "held" / "test", place / "run", place)
    numbers["train_cpu_s"] = json.loads((place / "train.json").read_text())["cpu_s"]
    (place / "row.json").write_text(json.dumps(numbers))
    return numbers


def tested(references: Path, weights: Path, place: Path) -> dict[str, Any]:
    """What a network makes of test cases; its predictions stay in ``place``."""
    images = ["--data", references, "--out", place / "predictions", "--weights", weights, "--force", "--overlap", 0.25]
    predicted = run(place, "predict", images)
    cases = scored(references, place / "predictions")
    found, nodes, parts = (sum(case[key] for case in cases) for key in ("found", "nodes", "predicted"))
    return {
        "dice": float(np.mean([case["dice"] for case in cases])),
        "assd": float(np.nanmean([case["assd"] for case in cases])),
        "empty": sum(case["predicted"] == 0 for case in cases),
        "found": found,
        "nodes": nodes,
        "false": (parts - found) / len(cases),
        "predict_cpu_s": predicted.cpu_s / len(cases),
        "cases": cases,
    }


def scored(references: Path, predictions: Path) -> list[dict[str, Any]]:
    from voxbench.challenges.lnq2023.scoring import ASSD, DICE, score_masks
    from voxbench.io import read_labels

    cases = []
    for path in sorted(references.glob("*-seg.nrrd")):
        case = path.name.removesuffix("-seg.nrrd")
        numbers = score_masks(read_labels(path), read_labels(predictions / f"{case}-seg.mha"))
        official, honest = numbers["official"], numbers["honest"]
        cases.append(
            {
                "case": case,
                "dice": official[DICE],
                "assd": official[ASSD],
                "nodes": honest["nodes"],
                "found": honest["nodes_detected"],
                "predicted": honest["nodes_predicted"],
            }
        )
    return cases


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    about = {
        "voxbench": version("voxbench"),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "steps": options.steps,
        "cases": CASES,
        "test": TEST,
        "plan": PLAN,
        "rows": {name: " ".join(words) for name, (_, *words) in ROWS.items()},
    }
    lines = [
        "# Partial labels: one node in five",
        "",
        f"voxbench {about['voxbench']}, torch {about['torch']}, {about['date']}; {about['machine']}, one thread, "
        f"shared with other work. {CASES} training cases and {TEST} test cases of `voxbench simulate lnq2023`, "
        f"{rows[0]['nodes']} nodes over 1 cm in the test cases; {options.steps} updates a row.",
    ]
    for seed in sorted({row["seed"] for row in rows}):
        lines += ["", f"Training seed {seed}:", "", *table([row for row in rows if row["seed"] == seed])]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "partial_labels.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    (options.out / "partial_labels.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A line a row, compared with full labels and with the naive way."""
    upper, naive = (next((row for row in rows if row["name"] == name), None) for name in (UPPER, NAIVE))
    lines = [
        "| labels, strategy | Dice | ASSD, mm | nodes found | false structures a case | lost Dice recovered "
        "| nodes found, naive = 1 | training, CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bound = upper is None or naive is None or row["name"] in (UPPER, NAIVE)
        lost = "-" if bound else recovered(row, upper, naive)
        ratio = f"{row['found'] / naive['found']:.2f}" if naive is not None and naive["found"] else "-"
        lines.append(
            f"| {row['name']} | {row['dice']:.3f} | {row['assd']:.2f} | {row['found']} of {row['nodes']} "
            f"({100 * row['found'] / row['nodes']:.0f} %) | {row['false']:.1f} | {lost} | {ratio} "
            f"| {row['train_cpu_s']:.0f} |"
        )
    return lines


def recovered(values: dict[str, Any], upper: dict[str, Any], naive: dict[str, Any]) -> str:
    lost = upper["dice"] - naive["dice"]
    return f"{100 * (values['dice'] - naive['dice']) / lost:.0f} %" if lost > 0 else "nothing was lost"


if __name__ == "__main__":
    main()
