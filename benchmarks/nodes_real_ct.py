"""Nodes planted into a real chest CT: their sizes and CT numbers next to what is known of LNQ 2023's.

Runs ``voxbench simulate lnq2023 --ct chest-ct`` and ``voxbench nodes`` on the full truth, and compares with the
numbers published for the challenge's training cases (facts of the nnU-Net fingerprint and the organisers' files).

python benchmarks/nodes_real_ct.py --cases 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.cli import main as voxbench
from voxbench.io import read_labels, read_volume

KNOWN = {"mean": 54.4, "sd": 32.7, "p0.5": -36.0, "median": 53.0, "p99.5": 157.0, "lowest": -153.0, "highest": 287.0}
"""CT numbers of the 393 training cases' labelled voxels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep data and pictures here")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results" / "nodes_real_ct")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measured(options.keep or Path(temporary), options.cases)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(table(found))
    print(table(found))


def measured(folder: Path, cases: int) -> dict[str, Any]:
    """Plant, measure as a user would, and gather."""
    call("simulate", "lnq2023", "--ct", "chest-ct", "--cases", cases, "--out", folder / "data")
    truth = json.loads((folder / "data" / "truth.json").read_text())
    labelled, everything, rows, around = [], [], [], []
    for case, known in truth["cases"].items():
        ct = folder / "data" / known["split"] / f"{case}-ct.nrrd"
        nodes = folder / "data" / "truth" / f"{case}-nodes.nrrd"
        pictures = ("--instances", "--pictures", "3")
        call("nodes", nodes, "--ct", ct, "--out", folder / f"nodes-{case}", *pictures)
        rows += json.loads((folder / f"nodes-{case}" / "nodes.json").read_text())["nodes"]
        values, numbers = read_volume(ct).array, read_labels(nodes).array
        drawn = read_labels(ct.with_name(f"{case}-seg.nrrd")).array > 0
        labelled.append(values[drawn])
        everything.append(values[numbers > 0])
        around.append({"nodes": len(known["nodes"]), "labelled": sum(n["labelled"] for n in known["nodes"])})
        around[-1] |= {"over_1_cm": sum(n["over_1_cm"] for n in known["nodes"]), "labelled_ml": millilitres(ct, drawn)}
    axes = {name: ends([row[name] for row in rows]) for name in ("short_axis_mm", "long_axis_mm", "volume_mm3")}
    return {
        "spacing_mm": known["spacing_mm"],
        "cases": around,
        "hu_of_labelled": numbers_of(np.concatenate(labelled)),
        "hu_of_all": numbers_of(np.concatenate(everything)),
        "hu_of_a_node": ends([row["mean_hu"] for row in rows]),
        "axes": axes,
        "enlarged": sum(row["enlarged"] for row in rows),
        "nodes": len(rows),
    }


def call(*words: object) -> None:
    code = voxbench([str(word) for word in words])
    if code:
        raise SystemExit(code)


def millilitres(ct: Path, mask: np.ndarray) -> float:
    return float(np.count_nonzero(mask) * read_volume(ct).grid.voxel_volume / 1000)


def numbers_of(values: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(values, (0.5, 99.5))
    return {
        "mean": float(values.mean()), "sd": float(values.std()), "p0.5": float(low), "median": float(np.median(values)),
        "p99.5": float(high), "lowest": float(values.min()), "highest": float(values.max()),
    }  # fmt: skip


def ends(values: list[float]) -> list[float]:
    return [float(v) for v in (np.min(values), np.median(values), np.max(values))]


def table(found: dict[str, Any]) -> str:
    spacing = " x ".join(f"{s:.2f}" for s in found["spacing_mm"])
    lines = [
        "# Nodes planted into a real chest CT",
        "",
        f"`python benchmarks/nodes_real_ct.py --cases {len(found['cases'])}`: the sample chest-ct, {spacing} mm;",
        "nodes lie in the fat between the lungs, outside the sample's own organ labels.",
        "",
        "| voxels of nodes, HU | mean | sd | p0.5 | median | p99.5 | lowest | highest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, of in (("LNQ 2023, labelled, 393 cases", KNOWN), ("planted, labelled", found["hu_of_labelled"]),
                     ("planted, all", found["hu_of_all"])):  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(f"{of[key]:.0f}" for key in KNOWN) + " |")
    lines += ["", "| | least | median | most |", "|---|---|---|---|"]
    for name, values in (
        ("short axis, mm", found["axes"]["short_axis_mm"]),
        ("long axis, mm", found["axes"]["long_axis_mm"]),
        ("volume of a node, ml", [v / 1000 for v in found["axes"]["volume_mm3"]]),
        ("mean HU of a node", found["hu_of_a_node"]),
        ("nodes a case", ends([case["nodes"] for case in found["cases"]])),
        ("of them over 1 cm", ends([case["over_1_cm"] for case in found["cases"]])),
        ("of them labelled", ends([case["labelled"] for case in found["cases"]])),
        ("labelled volume a case, ml (LNQ 2023: 0.41, 6, 217)", ends([case["labelled_ml"] for case in found["cases"]])),
    ):
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    lines += ["", f"{found['enlarged']} of {found['nodes']} nodes have a short axis of 10 mm or more."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
