"""Registration against its peers on real pairs: quality and cost in one run. See README.md beside this file.

python benchmarks/registration.py --set brain --data ../shared/data --out benchmarks/results/registration_brain.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from bench import contrast, methods, pairs, resolution, scores, tables
from bench.measure import Cost

SETS = {
    "brain": pairs.brain_pairs,
    "contrast": contrast.contrast_pairs,
    "resolution": resolution.resolution_pairs,
}
METHODS = ["identity", "greedy", "voxbench --preset fast", "voxbench --preset accurate"]


def main() -> None:
    options = arguments()
    cache = options.cache or Path(tempfile.mkdtemp(prefix="registration-benchmark-"))
    cache.mkdir(parents=True, exist_ok=True)
    out = options.out or Path(__file__).resolve().parent / "results" / f"registration_{options.set}.json"
    chosen = chosen_pairs(options.set, options.data, cache, options.pairs)
    wanted = [*(options.methods or METHODS), *settings(options.sweep)]
    about = tables.surroundings(options.threads or [2], options.runs)
    rows: list[tables.Row] = []
    for pair in chosen:
        for method in wanted:
            for threads in options.threads or [2]:
                row = {"pair": pair.name, "group": pair.group, "method": method, "threads": threads}
                rows.append(row | score(method, pair, threads, options, cache))
                print(json.dumps(rows[-1]), flush=True)
                tables.write(out, about, rows, options.peer)
    if options.set == "resolution":
        resolution.plot(out.with_suffix(".png"), rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=tuple(SETS), default="brain")
    parser.add_argument("--data", type=Path, required=True, help="folder holding brain/ and brain_labels/")
    parser.add_argument("--methods", action="append", help="a method; may be repeated (default: all)")
    parser.add_argument("--pairs", action="append", help="names of pairs, e.g. 'symA<-condA' (default: all)")
    parser.add_argument("--sweep", type=Path, help="file of settings, one line of `voxbench register` arguments each")
    parser.add_argument("--peer", default="greedy", help="method the CPU ratio refers to")
    parser.add_argument("--runs", type=int, default=1, help="runs a method and pair; costs are medians")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated (default: 2)")
    parser.add_argument("--cache", type=Path, help="keeps prepared images and what the methods wrote")
    parser.add_argument("--reuse", action="store_true", help="take costs and fields found in the cache")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def chosen_pairs(name: str, data: Path, cache: Path, only: list[str] | None) -> list[pairs.Pair]:
    everything = SETS[name](data, cache)
    unknown = set(only or ()) - {p.name for p in everything}
    if unknown:
        raise SystemExit(f"no such pair: {', '.join(unknown)}; there are {', '.join(p.name for p in everything)}")
    return [p for p in everything if not only or p.name in only]


def settings(path: Path | None) -> list[str]:
    """Methods of a sweep: every line of a file, but comments and empty ones."""
    lines = path.read_text().splitlines() if path else []
    return [f"voxbench {line.strip()}" for line in lines if line.strip() and not line.lstrip().startswith("#")]


def score(method: str, pair: pairs.Pair, threads: int, options: argparse.Namespace, cache: Path) -> tables.Row:
    """Run a method ``--runs`` times on a pair; scores of the last run, medians of the costs."""
    folder = cache / "runs" / (safe(method) + ("" if threads == 2 else f"_{threads}threads")) / safe(pair.name)
    saved = folder / "outcome.npz"
    if options.reuse and saved.is_file():
        outcome, costs = load(saved)
    else:
        outcomes = [methods.run(method, pair, folder, threads) for _ in range(options.runs)]
        outcome, costs = outcomes[-1], [o.cost for o in outcomes if o.cost]
        folder.mkdir(parents=True, exist_ok=True)
        save(saved, outcome, costs)
    row = quality(pair, outcome)
    for name in ("cpu_s", "wall_s", "peak_mb"):
        values = [getattr(c, name) for c in costs]
        row[name] = statistics.median(values) if values else None
        row[f"{name}_runs"] = values
    return row


def quality(pair: pairs.Pair, outcome: methods.Outcome) -> tables.Row:
    fixed, moving, fixed_labels, moving_labels = (
        np.asarray(nib.load(path).dataobj) for path in (pair.fixed, pair.moving, pair.fixed_labels, pair.moving_labels)
    )
    fixed_labels, moving_labels = fixed_labels.astype(np.int32), moving_labels.astype(np.int32)
    u, v = outcome.field, outcome.inverse
    ids = scores.common_ids(fixed_labels, moving_labels)
    return {
        "voxels": int(fixed.size),
        "labels": len(ids),
        "dice": scores.mean_dice(fixed_labels, scores.warped(moving_labels, u, 0), ids),
        "ncc": scores.correlation(fixed, scores.warped(moving.astype(np.float32), u, 1)),
        "folded": scores.folded_voxels(u),
        "ndv_percent": scores.ndv_percent(u, fixed),
        "consistency": None if v is None else scores.inverse_consistency(u, v, moving > 0),
    }


def save(path: Path, outcome: methods.Outcome, costs: list[Cost]) -> None:
    inverse = {} if outcome.inverse is None else {"inverse": outcome.inverse}
    np.savez(path, field=outcome.field, costs=json.dumps([asdict(c) for c in costs]), **inverse)


def load(path: Path) -> tuple[methods.Outcome, list[Cost]]:
    with np.load(path) as data:
        costs = [Cost(**c) for c in json.loads(str(data["costs"]))]
        inverse = data.get("inverse")
        return replace(methods.Outcome(data["field"], inverse, None), cost=costs[-1] if costs else None), costs


def safe(name: str) -> str:
    """A name fit for a folder."""
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in name)


if __name__ == "__main__":
    main()
