"""What is in a prepared LNQ 2023 data set, in the tables the challenge's own description has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.io import atomic, write_json, write_table
from voxbench.jobs import Record

TABLE, NUMBERS, TEXT = "dataset.csv", "statistics.json", "statistics.md"
ENDS = ("min", "median", "max")


def write_statistics(out: Path, records: Sequence[Record]) -> dict[str, Any]:
    """Write dataset.csv (a line a case), statistics.json and statistics.md; the content of statistics.json.

    Raises:
        FileWriteError: They cannot be written.
    """
    found = statistics(records)
    write_table(out / TABLE, [row(record) for record in records])
    write_json(out / NUMBERS, found)
    with atomic(out / TEXT) as temporary:
        temporary.write_text(text(found), encoding="utf-8")
    return found


def row(record: Record) -> dict[str, Any]:
    """A case's line of dataset.csv."""
    nodes = record["nodes"]
    largest = max((node["short_axis_mm"] for node in nodes), default=None)
    return {
        "case": record["case"],
        "split": record["split"],
        "completeness": record["completeness"],
        "from": record["from"],
        **dict(zip(("size_i", "size_j", "size_k"), record["size"], strict=True)),
        **dict(zip(("spacing_i_mm", "spacing_j_mm", "spacing_k_mm"), record["spacing_mm"], strict=True)),
        "orientation": record["orientation"],
        "nodes": len(nodes),
        "nodes_enlarged": sum(node["enlarged"] for node in nodes),
        "volume_ml": round(record["volume_ml"], 4),
        "largest_short_axis_mm": largest,
        "mean_hu": record["hu"].get("mean"),
        "repaired": "; ".join(record["repaired"]),
    }


def statistics(records: Sequence[Record]) -> dict[str, Any]:
    """All cases together, then each split."""
    splits = [split for split in ("train", "val", "test") if any(r["split"] == split for r in records)]
    of = {"all": _of(records)} if len(splits) != 1 else {}
    return of | {split: _of([r for r in records if r["split"] == split]) for split in splits}


def _of(records: Sequence[Record]) -> dict[str, Any]:
    labelled = [record for record in records if record["completeness"] != "no labels"]
    with_nodes = [record for record in labelled if record["nodes"]]
    nodes = [node for record in with_nodes for node in record["nodes"]]
    return {
        "cases": len(records),
        "completeness": {name: sum(r["completeness"] == name for r in records) for name in _words(records)},
        "repaired": sum(bool(record["repaired"]) for record in records),
        "slices": int(sum(record["size"][2] for record in records)),
        "spacing_mm": _ends([record["spacing_mm"] for record in records]),
        "size": _ends([record["size"] for record in records]),
        "labelled_cases": len(labelled),
        "cases_with_nodes": len(with_nodes),
        "detection_rate": len(with_nodes) / len(labelled) if labelled else None,
        "volume_ml": _ends([record["volume_ml"] for record in with_nodes]),
        "nodes": len(nodes),
        "nodes_enlarged": sum(node["enlarged"] for node in nodes),
        "nodes_a_case": _ends([len(record["nodes"]) for record in with_nodes]),
        "short_axis_mm": _ends([node["short_axis_mm"] for node in nodes]),
        "long_axis_mm": _ends([node["long_axis_mm"] for node in nodes]),
        "node_hu": _pooled(with_nodes),
    }


def _words(records: Sequence[Record]) -> list[str]:
    return sorted({record["completeness"] for record in records})


def _ends(values: Sequence[Any]) -> dict[str, Any]:
    """Smallest, median and largest, of each axis by itself."""
    if not values:
        return {}
    array = np.array(values, dtype=np.float64)
    found = (array.min(axis=0), np.median(array, axis=0), array.max(axis=0))
    return {name: value.tolist() for name, value in zip(ENDS, found, strict=True)}


def _pooled(records: Sequence[Record]) -> dict[str, float]:
    """Mean and standard deviation over all voxels of nodes, and the extremes."""
    if not records:
        return {}
    count = np.array([record["voxels"] for record in records], dtype=np.float64)
    mean, spread = (np.array([record["hu"][name] for record in records]) for name in ("mean", "sd"))
    whole = float((count * mean).sum() / count.sum())
    variance = float((count * (spread**2 + (mean - whole) ** 2)).sum() / count.sum())
    return {
        "mean": whole,
        "sd": variance**0.5,
        "lowest": min(record["hu"]["lowest"] for record in records),
        "highest": max(record["hu"]["highest"] for record in records),
    }


def text(found: dict[str, Any]) -> str:
    """For eyes, in Markdown."""
    lines = ["# LNQ 2023, prepared"]
    for split, of in found.items():
        kinds = ", ".join(f"{count} {name}" for name, count in of["completeness"].items())
        lines += [
            "",
            f"## {split}: {of['cases']} cases ({kinds}), {of['slices']} slices, {of['repaired']} repaired",
            "",
        ]
        lines += ["| | spacing, mm | size |", "|---|---|---|"]
        for end in ENDS:
            spacing = ", ".join(f"{value:.2f}" for value in of["spacing_mm"][end])
            size = ", ".join(f"{value:.0f}" for value in of["size"][end])
            lines.append(f"| {end} | ({spacing}) | ({size}) |")
        lines += ["", *_nodes(of)]
    return "\n".join(lines) + "\n"


def _nodes(of: dict[str, Any]) -> list[str]:
    if not of["nodes"]:
        return ["No nodes."]
    hu = of["node_hu"]
    rate = f"{of['cases_with_nodes']} of {of['labelled_cases']} cases ({100 * of['detection_rate']:.0f} %)"
    lines = [f"Nodes in {rate}: {of['nodes']}, of which {of['nodes_enlarged']} enlarged.", ""]
    lines += ["| | min | median | max |", "|---|---|---|---|"]
    for name, key, digits in (
        ("volume a case, ml", "volume_ml", 2),
        ("nodes a case", "nodes_a_case", 0),
        ("short axis, mm", "short_axis_mm", 1),
        ("long axis, mm", "long_axis_mm", 1),
    ):
        lines.append(f"| {name} | " + " | ".join(f"{of[key][end]:.{digits}f}" for end in ENDS) + " |")
    said = f"HU in nodes: mean {hu['mean']:.1f}, standard deviation {hu['sd']:.1f}, "
    return [*lines, "", said + f"{hu['lowest']:.0f} to {hu['highest']:.0f}."]
