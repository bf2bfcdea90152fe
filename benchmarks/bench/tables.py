"""Results to a JSON file and a Markdown table."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

Row = dict[str, object]
COLUMNS = ("dice", "ncc", "folded", "ndv_percent", "consistency", "cpu_s", "wall_s", "peak_mb")
TITLES = {
    "dice": "Dice",
    "ncc": "NCC",
    "folded": "folded voxels",
    "ndv_percent": "NDV %",
    "consistency": "inverse consistency (voxel)",
    "cpu_s": "CPU s",
    "wall_s": "wall s",
    "peak_mb": "peak MB",
}
DIGITS = {"dice": ".4f", "ncc": ".4f", "folded": ".0f", "ndv_percent": ".2g", "consistency": ".4f"}


def surroundings(threads: Sequence[int], runs: int) -> Row:
    """Where and with what the numbers were made."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": list(threads),
        "runs": runs,
        "load_average_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {n: _version(n) for n in ("voxbench", "picsl_greedy", "numpy", "scipy", "nibabel")},
    }


def write(path: Path, about: Row, rows: Sequence[Row], peer: str) -> None:
    """Write ``path`` (JSON) and the table of the same name (Markdown)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": about, "rows": list(rows)}, indent=1) + "\n")
    parts = [f"# {path.stem}", "", json.dumps(about), ""]
    parts += ["Peak memory and costs are of whole processes; medians over runs. Every setting tried is listed.", ""]
    for group in dict.fromkeys(str(r["group"]) for r in rows):
        inside = [r for r in rows if r["group"] == group]
        parts += [f"## {group}: mean over {len({r['pair'] for r in inside})} pairs", "", *_summary(inside, peer), ""]
    parts += ["## Every pair", "", *_table(rows, ("pair", "method", "threads"))]
    path.with_suffix(".md").write_text("\n".join(parts) + "\n")


def _summary(rows: Sequence[Row], peer: str) -> list[str]:
    """Means of each method (and thread count) over the pairs, its CPU seconds as a share of the peer's."""
    means = []
    for method, threads in dict.fromkeys((r["method"], r["threads"]) for r in rows):
        own = [r for r in rows if (r["method"], r["threads"]) == (method, threads)]
        row: Row = {"method": method, "threads": threads, "pairs": len(own)}
        row |= {c: _mean([r.get(c) for r in own]) for c in COLUMNS}
        means.append(row)
    peers = {r["threads"]: r["cpu_s"] for r in means if r["method"] == peer}
    for row in means:
        reference = peers.get(row["threads"])
        row["ratio"] = row["cpu_s"] / reference if row["cpu_s"] and reference else None  # pyright: ignore
    lines = _table(means, ("method", "threads", "pairs"), ("ratio",))
    return [lines[0].replace("| ratio |", f"| CPU / {peer}'s |"), *lines[1:]]


def _table(rows: Sequence[Row], first: Sequence[str], last: Sequence[str] = ()) -> list[str]:
    names = [*first, *COLUMNS, *last]
    lines = ["| " + " | ".join(TITLES.get(n, n) for n in names) + " |", "|" + "---|" * len(names)]
    return lines + [
        "| " + " | ".join(_cell(r.get(n), DIGITS.get(n, ".2f" if n == "ratio" else ".1f")) for n in names) + " |"
        for r in rows
    ]


def _cell(value: object, digits: str) -> str:
    if value is None:
        return ""
    return format(value, digits) if isinstance(value, float) else str(value)


def _mean(values: Sequence[object]) -> float | None:
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return statistics.fmean(numbers) if numbers and len(numbers) == len(values) else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
