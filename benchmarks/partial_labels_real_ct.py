"""Partial labels on a real chest CT: nodes are planted into the sample chest-ct, the strategies tried on it.

python partial_labels_real_ct.py --work FOLDER --phantoms FOLDER [--rows NAME ...]

The sample is ONE person's CT, so nothing here says how a network does on other people. It is cut to the lungs with
20 mm around and averaged over 2 x 2 pixels (1.4 x 1.4 x 2.5 mm). Test cases are plantings of one seed, all nodes over
1 cm labelled. Two parts:

1. networks that `partial_labels.py` trained on phantoms (its --work is --phantoms here; trained if they are not there);
2. networks trained, with the same plan and more updates, on other plantings into the same CT, one node in five
   labelled. Everything but the nodes is then the same in training and test: the handling of labels is compared, not how
   well anything carries over.

Numbers are those of `partial_labels.py`; the person's own nodes, if any, count as false structures or as background.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from partial_labels import NAIVE, PLAN, ROWS, STEPS, UPPER, label_all, made, place_of, prepare, run, table, tested

TRAIN_SEED, TEST_SEED = 202, 101
REAL_STEPS = 1200
"""Updates of the second part; after 300 only full labels had led anywhere (Dice 0.464, 0.053 naive, 0 ignore)."""
CASES, TEST = 8, 4
MARGIN_MM = 20.0
PICTURE_MM = 45.0
USELESS = 0.1
"""A Dice below which rows are not compared."""
PARTS = ("Networks trained on phantoms", "Networks trained on other plantings into this CT")
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, runs and predictions; kept")
    parser.add_argument("--phantoms", type=Path, required=True, help="folder --work of partial_labels.py")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=[UPPER, NAIVE, "ignore"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--phantoms-only", action="store_true", help="leave the second part out")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    plant(options.work)
    parts = [[{"name": name, "seed": 0} | from_phantoms(options, name) for name in options.rows]]
    write(parts, options)
    if options.phantoms_only:
        return
    plant_to_learn(options.work)
    parts += [[{"name": name, "seed": 0} | made(options.work, name, 0, REAL_STEPS) for name in options.rows]]
    write(parts, options)


def plant(work: Path) -> None:
    """The CT made smaller, and plantings to test on."""
    (work / "plan.toml").write_text(PLAN)
    if not (work / "labels.nii.gz").is_file():
        reduce_sample(work)
    if not (work / "held" / "truth.json").is_file():
        run(work, "simulate", [*onto(work), "--cases", 1, "--test", TEST, "--seed", TEST_SEED, "--out", work / "held"])


def plant_to_learn(work: Path) -> None:
    """Plantings to learn from, and the same with full labels."""
    if not (work / "set" / "truth.json").is_file():
        run(work, "simulate", [*onto(work), "--cases", CASES, "--seed", TRAIN_SEED, "--out", work / "set"])
    label_all(work)


def onto(work: Path) -> list[Any]:
    return ["--ct", work / "ct.nii.gz", "--mask", work / "labels.nii.gz"]


def reduce_sample(work: Path) -> None:
    """The sample CT within the box of its lungs, averaged over 2 x 2 pixels; of its structures the highest id."""
    from voxbench.geometry import Affine, Grid, LabelMap, Volume
    from voxbench.io import read_labels, read_volume, write_labels, write_volume
    from voxbench.io.samples import fetch_sample
    from voxbench.simulate.mediastinum import lungs_of

    files = fetch_sample("chest-ct")
    ct, structures = read_volume(files["ct.nii.gz"]), read_labels(files["labels.nii.gz"])
    coarse = np.mean([ct.array[i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
    ids = np.max([structures.array[i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
    into = Affine.from_parts(np.diag([2.0, 2.0, 1.0]), np.array([0.5, 0.5, 0.0]), "voxel", "voxel")
    grid = Grid((coarse.shape[0], coarse.shape[1], coarse.shape[2]), ct.grid.world_from_voxel @ into)
    lungs = lungs_of(coarse, Volume(coarse, grid))
    ends = [np.flatnonzero(lungs.any(axis=axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
    room = np.ceil(MARGIN_MM / grid.spacing).astype(int)
    starts = [max(0, int(first - n)) for (first, _), n in zip(ends, room, strict=True)]
    stops = [min(size, int(last + n + 1)) for (_, last), n, size in zip(ends, room, grid.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    part = grid.cropped((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))
    write_volume(work / "ct.nii.gz", Volume(np.rint(coarse[box]).astype(np.int16), part))
    write_labels(work / "labels.nii.gz", LabelMap(ids[box].astype(np.uint8), part))


def from_phantoms(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """A network of partial_labels.py on the plantings."""
    place = place_of(options.work, f"phantoms-{name}", 0, STEPS)
    if (place / "row.json").is_file():
        return json.loads((place / "row.json").read_text())
    there = place_of(options.phantoms, name, 0, STEPS)
    if not (there / "row.json").is_file():
        prepare(options.phantoms)
        made(options.phantoms, name, 0, STEPS)
    place.mkdir(exist_ok=True)
    trained = json.loads((there / "row.json").read_text())
    numbers = tested(options.work / "held" / "test", there / "run", place)
    numbers |= {"train_cpu_s": trained["train_cpu_s"], "dice_on_phantoms": trained["dice"]}
    (place / "row.json").write_text(json.dumps(numbers))
    return numbers


def write(parts: list[list[dict[str, Any]]], options: argparse.Namespace) -> None:
    about = {
        "voxbench": version("voxbench"),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cases": CASES,
        "test": TEST,
        "seeds": {"training": TRAIN_SEED, "test": TEST_SEED},
        "steps": {"phantoms": STEPS, "this CT": REAL_STEPS},
        "plan": PLAN,
    }
    lines = [
        "# Partial labels on a real chest CT with planted nodes",
        "",
        f"voxbench {about['voxbench']}, torch {about['torch']}, {about['date']}; {about['machine']}, one thread, "
        f"shared with other work. The sample chest-ct, one person, at 1.4 x 1.4 x 2.5 mm: {TEST} plantings to test on, "
        f"{parts[0][0]['nodes']} nodes over 1 cm in them.",
    ]
    phantoms = (
        "On phantoms the same networks had Dice "
        + ", ".join(f"{row['dice_on_phantoms']:.3f} ({row['name']})" for row in parts[0])
        + "."
    )
    if max(row["dice"] for row in parts[0]) < USELESS:
        phantoms += (
            " On this CT none of them is of any use, so differences between the rows mean nothing. Much of what they "
            "mark lies in the liver, breasts and muscles; they saw phantoms through a window of 208 mm on the "
            "mediastinum, which may be why (not tested)."
        )
    for title, rows, words in zip(PARTS, parts, (phantoms, same_person(options.work)), strict=False):
        lines += ["", f"## {title}", "", words, "", *table(rows)]
    lines += [
        "",
        "![The slices of the first test case that meet most of its nodes](partial_labels_real_ct.png)",
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    where = options.out / "partial_labels_real_ct"
    where.with_suffix(".json").write_text(json.dumps({"about": about, "parts": parts}, indent=1) + "\n")
    where.with_suffix(".md").write_text("\n".join(lines) + "\n")
    where.with_suffix(".png").write_bytes(drawn_slice(parts, options.work))
    print("\n".join(lines))


def same_person(work: Path) -> str:
    """What the second part learned from, and what it therefore says."""
    if not (work / "set" / "truth.json").is_file():
        return ""
    nodes = [n for c in json.loads((work / "set" / "truth.json").read_text())["cases"].values() for n in c["nodes"]]
    due, drawn = (sum(node[key] for node in nodes) for key in ("over_1_cm", "labelled"))
    return (
        f"{CASES} plantings of another seed to learn from, {drawn} of their {due} nodes over 1 cm labelled (full "
        f"labels: all), {REAL_STEPS} updates. The background is the same person's in training and test: this compares "
        "how labels are handled, and says nothing about other people."
    )


def drawn_slice(parts: list[list[dict[str, Any]]], work: Path) -> bytes:
    """A panel a network: the planes that meet most of the first test case's nodes, truth and prediction."""
    from voxbench.geometry import Volume
    from voxbench.io import read_labels, read_volume
    from voxbench.report.figures import (
        PREDICTION,
        REFERENCE,
        box_of,
        dark_figure,
        fullest_cut,
        label_plane,
        legend,
        png_of,
    )  # fmt: skip
    from voxbench.report.planes import PLANES, cut
    from voxbench.report.registration import INK, frame, scale_bar

    case = parts[0][0]["cases"][0]["case"]
    image, nodes = (
        read_volume(work / "held" / "test" / f"{case}-ct.nrrd"),
        work / "held" / "test" / f"{case}-seg.nrrd",
    )
    truth = read_labels(nodes)
    image = Volume(np.clip(image.array, -160, 240), image.grid)
    marked = truth.array > 0
    box = box_of(marked, truth.grid, PICTURE_MM, fullest_cut(marked, truth.grid))
    views = ((PLANES[0], box), (PLANES[1], box_of(np.ones((1, 1, 0), bool), truth.grid, 0.0, box.cut)))
    columns, side, foot, above = len(parts[0]), 3.6, 0.34, 0.27
    talls = [side * view.size(plane)[1] / view.size(plane)[0] + above for plane, view in views] * len(parts)
    figure = dark_figure(side * columns, foot + sum(talls) + 0.1)
    total = figure.get_figheight()
    for line, tall in enumerate(talls):
        rows, (plane, view) = parts[line // 2], views[line % 2]
        grey, there = cut(image, view.grid(plane)), label_plane(truth, view, plane) > 0
        bottom = (foot + sum(talls[line + 1 :])) / total
        for c, row in enumerate(rows):
            axes = figure.add_axes((c / columns + 0.003, bottom, 1 / columns - 0.006, (tall - above) / total))
            place = f"{'phantoms-' if line < 2 else ''}{row['name']}"
            found = read_labels(
                place_of(work, place, 0, STEPS if line < 2 else REAL_STEPS) / "predictions" / f"{case}-seg.mha"
            )
            axes.imshow(grey, cmap="gray", vmin=-160, vmax=240, interpolation="bilinear")
            for mask, colour in ((there, REFERENCE), (label_plane(found, view, plane) > 0, PREDICTION)):
                if mask.any() and not mask.all():
                    axes.contour(mask.astype(np.float32), [0.5], colors=colour, linewidths=1.1)
            frame(axes, plane, view)
            said = f"{('phantoms', 'this CT')[line // 2]}, {row['name']}, {plane.name}: Dice {row['dice']:.3f}"
            figure.text(c / columns + 0.004, bottom + (tall - above + 0.04) / total, said, color=INK, fontsize=9)
            if c == 0:
                scale_bar(axes, view)
    legend(figure, {"planted nodes over 1 cm": REFERENCE, "prediction": PREDICTION})
    return png_of(figure, f"{case}, {box.cut_text(PLANES[0])}")


if __name__ == "__main__":
    main()
