"""Four bones from two simulated radiographs: shape model, trained networks, and both, on people whom neither knows.

The networks learned from knees of a shape model of 20 people (`python -m bench.knees TRAIN --unlabelled 48`, `voxbench
train ssrkd --data TRAIN --out RUN`); the same model is fitted; the tested knees are those of the six others, each in
several poses (`python -m bench.knees TEST --others --cases 20 --seed 11`).

python reconstruction_networks.py TEST --weights RUN
python reconstruction_networks.py TEST --weights RUN --part 0:10 --rows a.json     # several processes, then
python reconstruction_networks.py TEST --weights RUN --part 0:0 --merge a.json b.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = {"assd": "0.94", "hd": "2.76", "dsc": "90.9", "assd_surface": ""}
TARGETS = {"assd": "ASSD, mm", "hd": "HD, mm", "dsc": "DSC, %", "assd_surface": "ASSD to the surface, mm"}
METHODS = ("shape model", "network", "hybrid")
ANGLES = (0, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of knees in SSR-KD's layout, with meshes/")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--part", default="0:9999", help="first:last of the cases")
    parser.add_argument("--rows", type=Path, help="write the rows here, and no table")
    parser.add_argument("--merge", type=Path, nargs="*", default=[], help="rows of earlier runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    rows = [row for path in options.merge for row in json.loads(path.read_text())]
    first, last = (int(end) for end in options.part.split(":"))
    for case in sorted(path.name for path in (options.data / "meshes").iterdir())[first:last]:
        for method in METHODS:
            rows.append({"case": case, "method": method} | tried(options, case, method))
            print(json.dumps(rows[-1], default=float), flush=True)
    if options.rows:
        options.rows.write_text(json.dumps(rows, default=float))
    else:
        write(rows, options)


def tried(options: argparse.Namespace, case: str, method: str) -> dict[str, Any]:
    """Reconstruct and compare with the truth."""
    from voxbench.challenges.ssrkd.cases import BONES, mesh_file
    from voxbench.challenges.ssrkd.processed import case_grid
    from voxbench.challenges.ssrkd.scoring import OFFICIAL_POINTS, score_bone
    from voxbench.challenges.ssrkd.writing import sides_of
    from voxbench.errors import InputError
    from voxbench.geometry.cut import cut_mesh
    from voxbench.io import read_mesh

    start = made(options, case, method)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        bones = start()
    except InputError as error:
        return {"refused": str(error).splitlines()[0]}
    cost = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    cost["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sides, found = sides_of(case_grid(64, 256.0)), {}
    for number, bone in enumerate(BONES):
        if bone not in bones:
            return {"refused": f"no {bone}"}
        truth = read_mesh(mesh_file(options.data / "meshes", case, bone))
        numbers = score_bone(truth, cut_mesh(bones[bone], *sides), (OFFICIAL_POINTS, [0, number]), (0.5, 1.0))
        found[bone] = {name: numbers[name] for name in TARGETS}
    return cost | {"bones": found}


def made(options: argparse.Namespace, case: str, method: str) -> Callable[[], Any]:
    """What makes the bones; files are read and the shape model is made before."""
    from bench.knees import known_people

    from voxbench.challenges.ssrkd.processed import Processed
    from voxbench.challenges.ssrkd.reading import read_radiographs
    from voxbench.io import read_views
    from voxbench.tasks.reconstruction import Radiograph, reconstruct, reconstruct_hybrid, reconstruct_occupancy

    stack, views = (
        read_radiographs(Processed(options.data / "processed" / case)),
        read_views(options.data / "views.json"),
    )
    images = [np.asarray(stack.at(angle), np.float32) for angle in ANGLES]
    chosen = [views[number] for number in range(len(views)) if number < len(ANGLES)]
    pair = [Radiograph(image, view) for image, view in zip(images, chosen, strict=True)]
    model = known_people()

    def network() -> Any:
        from voxbench.challenges.ssrkd.trained import trained_from_radiographs

        return trained_from_radiographs(options.weights, images, chosen)

    return {
        "shape model": lambda: reconstruct(pair, model).bones,
        "network": lambda: reconstruct_occupancy(network()).bones,
        "hybrid": lambda: reconstruct_hybrid(network(), model, pair).bones,
    }[method]


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "voxbench": version("voxbench"),
        "torch": version("torch"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    text = "\n".join(markdown(rows, about)) + "\n"
    (options.out / "reconstruction_networks.json").write_text(
        json.dumps({"about": about, "rows": rows}, indent=1, default=float) + "\n"
    )
    (options.out / "reconstruction_networks.md").write_text(text)
    print(text)


def markdown(rows: list[dict[str, Any]], about: dict[str, Any]) -> Iterator[str]:
    from voxbench.challenges.ssrkd.cases import BONES

    cases = {row["case"] for row in rows}
    yield "# Four bones from two radiographs: shape model, networks, and both\n"
    yield (
        f"voxbench {about['voxbench']}, torch {about['torch']}, {about['date']}; {about['machine']}, {about['cores']} "
        f"cores, shared with other work;\nthreads: {about['threads']}. {len(cases)} knees of six people whom neither "
        "networks nor shape model know (both come of 20 others), at 0\nand 90 degrees, 256 x 256 pixels, the published "
        "noise. The published averages are of other, real knees. ASSD and HD are\nbetween sampled points, as the "
        "organisers' script measures; DSC is at 0.5 mm. Refused knees are in no average.\n"
    )
    everywhere = {case for case in cases if not any("refused" in row for row in rows if row["case"] == case)}
    for title, chosen in (("All that each method reconstructed", cases), ("Knees that all reconstructed", everywhere)):
        if chosen is everywhere and everywhere == cases:
            continue
        yield f"## {title}\n"
        yield "| method | | " + " | ".join(BONES) + " | average | worst knee | published | fitted | CPU s | wall s |"
        yield "|---|---|" + "---|" * (len(BONES) + 6)
        for method in METHODS:
            own = [row for row in rows if row["method"] == method and row["case"] in chosen]
            done = [row for row in own if "bones" in row]
            if not done:
                yield f"| {method} | nothing |" + " |" * (len(BONES) + 6)
                continue
            cpu, wall = (float(np.median([row[name] for row in done])) for name in ("cpu_seconds", "seconds"))
            for name, shown in TARGETS.items():
                factor = 100 if name == "dsc" else 1
                table = factor * np.array([[row["bones"][bone][name] for bone in BONES] for row in done])
                worst = (np.min if name == "dsc" else np.max)(table.mean(axis=1))
                cells = [f"{value:.2f}" for value in (*table.mean(axis=0), table.mean(), worst)]
                last = f"{len(done)} of {len(own)} | {cpu:.1f} | {wall:.1f}" if name == "assd" else " | | "
                first = method if name == "assd" else ""
                yield f"| {first} | {shown} | {' | '.join(cells)} | {PUBLISHED[name]} | {last} |"
        yield ""


if __name__ == "__main__":
    main()
