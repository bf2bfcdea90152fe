"""How much memory a case takes, command by command: the numbers behind ``--dry-run`` (NEEDS in cli/plans.py).

Every command runs over synthetic cases of several sizes, each size in a process of its own, one case after another.
The peak is the kernel's (VmHWM, begun anew at every case), as every run keeps it with its cases. Beside it stands the
size of the inputs' voxels by their headers (shape times dtype; files that are no images count as they are). A straight
line is laid through the points by least squares and raised until no point lies above it.

python benchmarks/memory_of_cases.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"spider": ((8, 120, 180), (16, 240, 360), (30, 400, 600)), "lnq2023": (96, 192, 320)}
LUMIR, LUMBARSR, CHESTS = ("32x48x40", "64x96x80"), (64, 96, 128), (64, 128, 192)
OBSERVED = "195X_195Y_1000Z_S"
SIZE_OF = "import sys; from voxbench.cli import main, plans; from voxbench.jobs import Need; "
SIZE_OF += "plans.need_of = lambda _: Need(0.0, 1.0); sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "memory_of_cases.json"
    known = json.loads(file.read_text())["commands"] if file.is_file() else {}
    with tempfile.TemporaryDirectory(prefix="memory-benchmark-") as scratch:
        for name in options.only:
            root = Path(scratch) / name
            root.mkdir()
            for command, points in COMMANDS[name](root).items():
                known[command] = line_above(points)
                print(command, known[command], flush=True)
            shutil.rmtree(root)
            about = {"date": datetime.now(UTC).date().isoformat(), "voxbench": version("voxbench")}
            file.write_text(json.dumps(about | {"commands": known}, indent=2) + "\n")
    (options.out / "memory_of_cases.md").write_text(markdown(json.loads(file.read_text())))


Points = list[tuple[float, float]]
"""MiB of the inputs, MiB of the peak."""


def line_above(points: Points) -> dict[str, Any]:
    """Base and factor, and what they were made from."""
    x, y = np.array(points).T
    factor = max(0.0, float(np.polyfit(x, y, 1)[0])) if np.ptp(x) > 0.5 * x.max() else 0.0
    base = float((y - factor * x).max())
    high = float(((base + factor * x) / y).max())
    return {"base_mib": round(base), "factor": round(factor, 1), "worst_overestimate": round(high, 2), "points": points}


def spider(root: Path) -> dict[str, Points]:
    """Spines of boxes."""
    import many_cases

    points: Points = []
    for n, shape in enumerate(SIZES["spider"]):
        place = root / str(n)
        place.mkdir()
        many_cases.SMALL = shape
        many_cases.synthesise(place, ["1_t2"], "")
        points += evaluate("spider", place, place / "references")
    return {"evaluate spider": points}


def lnq2023(root: Path) -> dict[str, Points]:
    """Chests with six balls."""
    from voxbench.geometry import Grid, LabelMap
    from voxbench.io import write_labels

    points: Points = []
    for pixels in SIZES["lnq2023"]:
        place = root / str(pixels)
        shape = (pixels, pixels, pixels * 3 // 5)
        grid = Grid.from_parts(shape, (400 / pixels, 400 / pixels, 600 / pixels))
        for folder, shift in (("references", 0), ("predictions", 1)):
            (place / folder).mkdir(parents=True)
            labels = np.zeros(shape, np.uint8)
            for ball in range(6):
                i, j, k = (
                    int(s * (0.3 + 0.08 * ((ball * f) % 5))) + shift for s, f in zip(shape, (1, 2, 3), strict=True)
                )
                r = max(2, pixels // 40)
                labels[i - r : i + r, j - r : j + r, k - r : k + r] = 1
            write_labels(place / folder / "lnq2023-test-0002-seg.nrrd", LabelMap(labels, grid))
        points += evaluate("lnq2023", place, place / "references")
    return {"evaluate lnq2023": points}


def chests(root: Path) -> dict[str, Points]:
    """Simulated chests, prepared."""
    points: Points = []
    for pixels in CHESTS:
        data = root / f"data{pixels}"
        voxbench("simulate", "lnq2023", "--out", data, "--cases", 1, "--pixels", pixels, "--spacing", 0.8, 2.5)
        points += measured(("prepare", "lnq2023", "--data", data / "train"), root / f"out{pixels}")
    return {"prepare lnq2023": points}


def lumir25(root: Path) -> dict[str, Points]:
    """Simulated brains: registered, scored."""
    found: dict[str, Points] = {"predict lumir25 deformable": [], "predict lumir25 zero": [], "evaluate lumir25": []}
    for size in LUMIR:
        data = root / size
        voxbench("simulate", "lumir25", "--out", data, "--cases", 2, "--size", size)
        listed = json.loads((data / "LUMIR25_dataset.json").read_text())
        listed["validation"] = listed["validation"][:1]
        (data / "LUMIR25_dataset.json").write_text(json.dumps(listed))
        for method in ("zero", "deformable"):
            words = ("predict", "lumir25", "--data", data, "--method", method)
            found[f"predict lumir25 {method}"] += measured(words, root / f"{method}{size}")
        config = data / "LUMIR25_VAL_LUMIR24_Landmarks_evaluation_config.json"  # of the pair that is predicted
        words = ("--config", config, "--allow-missing")
        found["evaluate lumir25"] += evaluate("lumir25", data, data, root / f"deformable{size}", words)
    return found


def lumbarsr(root: Path) -> dict[str, Points]:
    """Simulated vertebrae: prepared, brought to the fine grid, scored."""
    found: dict[str, Points] = {"evaluate lumbarsr": []}
    for size in LUMBARSR:
        data, fields = root / f"data{size}", root / f"predicted{size}"
        voxbench("simulate", "lumbarsr", "--out", data, "--cases", 1, "--size", size, size, size)
        which = ("--sample", "Lumbar_26", "--sequence", OBSERVED)
        for method in ("trilinear", "bicubic", "lanczos", "fusion"):
            words = ("predict", "lumbarsr", "--data", data, "--method", method, *which)
            if method == "fusion" and size == LUMBARSR[-1]:
                continue
            try:
                found.setdefault(f"predict lumbarsr {method}", []).extend(measured(words, fields))
            except RuntimeError as error:  # fusion learns blurs from other samples
                print(error, flush=True)
        more = ("--method", "trilinear", *which)
        found["evaluate lumbarsr"] += evaluate("lumbarsr", data, data, fields, more)
    return {command: points for command, points in found.items() if points}


def ssrkd(root: Path) -> dict[str, Points]:
    """Knees drawn from formulas, scored; the meshes' size hardly matters beside the points sampled on them."""
    data = root / "data"
    voxbench("simulate", "ssrkd", "--out", data, "--cases", 2, "--size", 64, "--views", "0,90", "--shapes", "formulas")
    return {"evaluate ssrkd": evaluate("ssrkd", root, data / "meshes", data / "meshes")}


def evaluate(
    challenge: str, place: Path, references: Path, predictions: Path | None = None, more: tuple[object, ...] = ()
) -> Points:
    """One evaluation."""
    words = ("evaluate", challenge, "--references", references, "--predictions", predictions or place / "predictions")
    return measured((*words, *more), place / "scores")


def measured(words: tuple[object, ...], out: Path) -> Points:
    """Size of the inputs and peak memory of each case of a command."""
    asked = run_python("-c", SIZE_OF, *words, "--out", out, "--dry-run", "--json")
    sizes = {case["case"]: case["memory_mib"] for case in json.loads(asked)["cases"]}
    voxbench(*words, "--out", out)
    peaks = {}
    for path in out.rglob("cases/**/*.json"):
        about = json.loads(path.read_text())
        if about.get("status") == "done" and "missing" not in about["record"]:
            peaks[about["key"]] = about["peak_mib"]
    return [(round(size, 2), peaks[case]) for case, size in sizes.items() if case in peaks]


def voxbench(*words: object) -> str:
    """Run a command."""
    return run_python("-m", "voxbench", *words)


def run_python(*words: object) -> str:
    """Run Python; what it printed.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words[-12:]))}\n{done.stderr[-2000:]}")
    return done.stdout


COMMANDS = {
    "spider": spider,
    "lnq2023": lnq2023,
    "lumir25": lumir25,
    "ssrkd": ssrkd,
    "chests": chests,
    "lumbarsr": lumbarsr,
}


def markdown(result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Memory of a case",
        "",
        f"{result['date']}, voxbench {result['voxbench']}. Peak of the process = base + factor x bytes of the inputs' "
        "voxels by their headers. Made by `python benchmarks/memory_of_cases.py`.",
        "",
        "| command | base, MiB | factor | largest estimate / measured | inputs -> peak, MiB |",
        "|---|--:|--:|--:|---|",
    ]
    for command, found in sorted(result["commands"].items()):
        points = ", ".join(f"{x:g} -> {y:g}" for x, y in found["points"])
        cells = (command, found["base_mib"], found["factor"], found["worst_overestimate"], points)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", result.get("note", "")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
