"""Vertebral bodies and discs in real lumbar MRI: Dice, detection and numbering of a trained network on unseen people.

`python -m bench.spines DATA SPINES` makes the folders, `voxbench train spider --data SPINES/train --out RUN` the
network; then

python segmentation.py SPINES --weights RUN --out results

The official rule: a structure is matched with the predicted label that covers most of it, and found if their Dice is
at least 0.1. Numbering is right if every structure found has its own number. References hold bodies or discs alone, so
that what is predicted beside them is not judged.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FOUND = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spines", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the predictions")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    from bench.measure import cost_of

    test = options.spines / "test"
    with tempfile.TemporaryDirectory(prefix="segmentation-benchmark-") as scratch:
        kept = options.keep or Path(scratch) / "predictions"
        command = [sys.executable, "-m", "voxbench", "predict", "spider", "--data", str(test), "--out", str(kept)]
        cost = cost_of([*command, "--weights", str(options.weights), "--force"], Path(scratch) / "log", options.threads)
        rows = [scored(test / "masks", kept, row) for row in table(test / "overview.csv")]
    card = json.loads((options.weights / "weights.json").read_text())
    write(rows, {"cpu_s": cost.cpu_s / len(rows), "peak_mb": cost.peak_mb, "steps": card["steps"]}, options)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def scored(masks: Path, predictions: Path, row: dict[str, str]) -> dict[str, Any]:
    """Every structure of a reference: Dice and what number it was given."""
    from voxbench.io import read_labels

    name = f"{row['new_file_name']}.mha"
    reference, prediction = read_labels(masks / name).array, read_labels(predictions / name).array
    sizes = np.bincount(prediction.ravel())
    structures = []
    for label in (int(n) for n in np.unique(reference) if n):
        there = reference == label
        inside = np.bincount(prediction[there], minlength=len(sizes))
        inside[0] = 0
        given = int(inside.argmax())
        dice = 2 * inside[given] / (there.sum() + sizes[given]) if inside[given] else 0.0
        structures.append({"label": label, "given": given if dice else 0, "dice": float(dice)})
    return {"case": row["case"], "structures": structures}


def write(rows: list[dict[str, Any]], cost: dict[str, float], options: argparse.Namespace) -> None:
    about = {
        "voxbench": version("voxbench"),
        "torch": version("torch"),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
    }
    lines = [
        "# Bodies and discs in real lumbar MRI",
        "",
        f"voxbench {about['voxbench']}, torch {about['torch']}, {about['date']}; {about['machine']}, threads: "
        f"{about['threads']}, shared with other work. {cost['steps']} updates; prediction {cost['cpu_s']:.0f} CPU s a "
        f"volume, peak {cost['peak_mb']:.0f} MB.",
        "",
        "| people | n | structures | Dice of all (missed: 0) | of those found | found | numbered right, cases |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = sorted({row["case"].rstrip("0123456789") for row in rows})
    for name, own in [(g, [r for r in rows if r["case"].startswith(g)]) for g in groups] + [
        ("bodies", [r for r in rows if not r["case"].startswith("menezes")]),
        ("discs", [r for r in rows if r["case"].startswith("menezes")]),
    ]:
        if not own:
            continue
        every = [s for row in own for s in row["structures"]]
        dices = np.array([s["dice"] for s in every])
        found = dices >= FOUND
        right = sum(all(s["given"] == s["label"] for s in r["structures"] if s["dice"] >= FOUND) for r in own)
        of_found = f"{dices[found].mean():.3f}" if found.any() else "-"
        lines.append(
            f"| {name} | {len(own)} | {len(every)} | {dices.mean():.3f} | {of_found} | {found.mean():.3f} | {right} of "
            f"{len(own)} |"
        )
    (options.out / "segmentation.json").write_text(json.dumps({"about": about | cost, "rows": rows}, indent=1) + "\n")
    (options.out / "segmentation.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
