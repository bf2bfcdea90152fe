"""Mesh scoring next to its peers, on four synthetic bones: cost and digits.

First the whole of ``voxbench evaluate ssrkd`` on one case. Then its steps, each tool in a process of its own that is
handed the same vertices and faces: the distance from every vertex to the other surface (both ways, four bones), which
voxel centres of 0.5 mm lie inside, and the organisers' sampled ASSD (as a user writes it with trimesh and SciPy).

python benchmarks/scoring_meshes.py --subdivisions 5 6 5 6
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

SIZES = {"patella": (21, 13, 22), "femur": (43, 33, 60), "fibula": (12, 12, 55), "tibia": (40, 30, 58)}
SPACING = 0.5
FEW = 500
Meshes = list[tuple[np.ndarray, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subdivisions", type=int, nargs=4, default=(5, 6, 5, 6), help="4^n x 20 faces per bone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--tool", nargs=4, metavar=("TASK", "TOOL", "NPZ", "JSON"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tool:
        task, tool, source, answer = options.tool
        measure(TOOLS[task][tool], Path(source), Path(answer))
    else:
        benchmark(options)


def benchmark(options: argparse.Namespace) -> None:
    from bench.measure import cost_of

    rows, results = [], {}
    with tempfile.TemporaryDirectory(prefix="mesh-benchmark-") as scratch:
        root = Path(scratch)
        counts = synthesise(root, options.subdivisions)
        program = Path(sys.executable).with_name("voxbench")
        ours = [
            str(program),
            "evaluate",
            "ssrkd",
            "--predictions",
            str(root / "pred"),
            "--references",
            str(root / "ref"),
        ]
        cost = cost_of([*ours, "--out", str(root / "out")], root / "ours.log", options.threads)
        rows.append({"task": "evaluate one case", "tool": "voxbench (whole process)"} | vars(cost))
        results["evaluate"] = json.loads((root / "out" / "scores.json").read_text())["mean"]
        for task, tools in TOOLS.items():
            for tool in tools:
                if missing := [name for name in NEEDS[tool] if importlib.util.find_spec(name) is None]:
                    rows.append({"task": task, "tool": tool, "absent": ", ".join(missing)})
                    continue
                answer = root / f"{task}-{tool}.json".replace(" ", "_")
                command = [sys.executable, str(Path(__file__).resolve()), "--tool", task, tool]
                cost_of([*command, str(root / "bones.npz"), str(answer)], root / "tool.log", options.threads)
                found = json.loads(answer.read_text())
                results[f"{task}, {tool}"] = found.pop("values")
                rows.append({"task": task, "tool": tool} | found)
    write(options, counts, rows, results)


def synthesise(root: Path, subdivisions: list[int]) -> list[int]:
    """Ellipsoids with bumps; a prediction has other bumps, half a millimetre high."""
    import trimesh

    from voxbench.geometry import Mesh
    from voxbench.io import write_mesh

    kept, counts = {}, []
    for number, (size, level) in enumerate(zip(SIZES.values(), subdivisions, strict=True)):
        sphere = trimesh.creation.icosphere(level)
        unit, faces = np.asarray(sphere.vertices), np.asarray(sphere.faces)
        reference = unit * size * (1 + 0.08 * np.sin(5 * unit[:, [1]]) * np.cos(4 * unit[:, [0]]))
        prediction = reference + 0.5 * np.sin(reference[:, [1, 2, 0]] / 7 + number) + 0.2
        for name, vertices in (("ref", reference), ("pred", prediction)):
            (root / name / "knee").mkdir(parents=True, exist_ok=True)
            write_mesh(root / name / "knee" / f"sub_{number}.obj", Mesh(vertices, faces))
            kept |= {f"{name}_vertices_{number}": np.ascontiguousarray(vertices), f"{name}_faces_{number}": faces}
        counts.append(len(unit))
    np.savez(root / "bones.npz", **kept)
    return counts


def measure(tool: Callable[[Meshes, Meshes], dict], source: Path, answer: Path) -> None:
    """Run one tool and say what it cost, without its imports (each imports first) and without reading files."""
    data = np.load(source)
    references, predictions = (
        [(data[f"{name}_vertices_{n}"], data[f"{name}_faces_{n}"]) for n in range(4)] for name in ("ref", "pred")
    )
    tiny = [(vertices[faces[:1]].reshape(-1, 3), np.array([[0, 1, 2]])) for vertices, faces in references]
    try:
        tool(tiny, tiny)  # imports, first calls
    except Exception as error:  # an open triangle need not be voxelised
        print(f"warming up: {error}")
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    values = tool(references, predictions)
    found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "scaled": False}
    found |= values.pop("scaled", {}) | {"peak_mb": peak_mb(), "before_mb": before}
    answer.write_text(json.dumps(found | {"values": values}))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def distances_voxbench(references: Meshes, predictions: Meshes) -> dict:
    from voxbench import _core

    def one(points: np.ndarray, mesh: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return _core.surface_distances(np.ascontiguousarray(points), mesh[0], mesh[1].astype(np.int32))

    return both_ways(one, references, predictions)


def distances_trimesh(references: Meshes, predictions: Meshes) -> dict:
    import trimesh

    def one(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
        return trimesh.proximity.closest_point(mesh, points)[1]

    ways = [*zip(references, predictions, strict=True), *zip(predictions, references, strict=True)]
    return scaled(one, [(second, first[0]) for first, second in ways])


def scaled(one: Callable, tasks: list) -> dict:
    """Few points of each task; the cost of all of them, from what it costs to begin and then for each point."""
    import trimesh

    cpu, wall, means = 0.0, 0.0, []
    for (vertices, faces), points in tasks:
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        chosen = points[:: max(1, len(points) // FEW)]
        started = time.process_time(), time.perf_counter()
        one(mesh, chosen[:2])  # builds its tree
        begun = time.process_time(), time.perf_counter()
        means.append(float(np.mean(one(mesh, chosen))))
        done = time.process_time(), time.perf_counter()
        share = len(points) / len(chosen)
        cpu += begun[0] - started[0] + share * (done[0] - begun[0])
        wall += begun[1] - started[1] + share * (done[1] - begun[1])
    return {"means": means, "scaled": {"cpu_s": cpu, "wall_s": wall, "scaled": True}}


def distances_open3d(references: Meshes, predictions: Meshes) -> dict:
    import open3d as o3d

    def one(points: np.ndarray, mesh: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        scene = o3d.t.geometry.RaycastingScene(nthreads=int(os.environ["OMP_NUM_THREADS"]))
        scene.add_triangles(o3d.core.Tensor(mesh[0].astype(np.float32)), o3d.core.Tensor(mesh[1].astype(np.uint32)))
        return scene.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy().astype(np.float64)

    return both_ways(one, references, predictions)


def distances_pcu(references: Meshes, predictions: Meshes) -> dict:
    import point_cloud_utils as pcu

    def one(points: np.ndarray, mesh: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return pcu.closest_points_on_mesh(np.ascontiguousarray(points), mesh[0], mesh[1].astype(np.int32))[0]

    return both_ways(one, references, predictions)


def both_ways(one: Callable, references: Meshes, predictions: Meshes) -> dict:
    """Means of both ways, bone by bone."""
    ways = [*zip(references, predictions, strict=True), *zip(predictions, references, strict=True)]
    return {"means": [float(np.mean(one(first[0], second))) for first, second in ways]}


def inside_voxbench(references: Meshes, predictions: Meshes) -> dict:
    from voxbench.geometry import Grid, Mesh, voxelise

    counts = []
    for vertices, faces in references + predictions:
        start, shape = box(vertices)
        grid = Grid.from_parts(shape, (SPACING,) * 3, start * SPACING)
        counts.append(int(voxelise(Mesh(vertices, faces), grid).sum()))
    return {"voxels": counts}


def inside_open3d(references: Meshes, predictions: Meshes) -> dict:
    import open3d as o3d

    counts = []
    for vertices, faces in references + predictions:
        scene = o3d.t.geometry.RaycastingScene(nthreads=int(os.environ["OMP_NUM_THREADS"]))
        scene.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
        centres = o3d.core.Tensor(lattice(vertices).astype(np.float32))
        counts.append(int(scene.compute_occupancy(centres).numpy().sum()))
    return {"voxels": counts}


def box(vertices: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    start, stop = np.floor(vertices.min(axis=0) / SPACING), np.ceil(vertices.max(axis=0) / SPACING) + 1
    i, j, k = (int(n) for n in stop - start)
    return start, (i, j, k)


def lattice(vertices: np.ndarray) -> np.ndarray:
    start, shape = box(vertices)
    return ((np.indices(shape).reshape(3, -1).T + start) * SPACING).reshape(-1, 3)


def sampled_voxbench(references: Meshes, predictions: Meshes) -> dict:
    from voxbench.challenges.ssrkd.scoring import OFFICIAL_POINTS, even_points, sampled_distances
    from voxbench.geometry import Mesh

    found = []
    for pair in zip(references, predictions, strict=True):
        points = [
            even_points(Mesh(*mesh), OFFICIAL_POINTS, np.random.default_rng(side)).astype(np.float32)
            for side, mesh in enumerate(pair)
        ]
        forward, backward = sampled_distances(*points)
        found.append(float((forward.mean() + backward.mean()) / 2))
    return {"assd": found}


def sampled_scipy(references: Meshes, predictions: Meshes) -> dict:
    import trimesh
    from scipy.spatial import KDTree

    found = []
    for pair in zip(references, predictions, strict=True):
        points = [
            trimesh.sample.sample_surface_even(trimesh.Trimesh(*mesh, process=False), 49152, seed=side)[0]
            for side, mesh in enumerate(pair)
        ]
        ways = [KDTree(points[1 - side]).query(points[side])[0].mean() for side in (0, 1)]
        found.append(float(np.mean(ways)))
    return {"assd": found}


TOOLS: dict[str, dict[str, Callable[[Meshes, Meshes], dict]]] = {
    "vertices to surface": {
        "voxbench": distances_voxbench,
        "open3d": distances_open3d,
        "point-cloud-utils": distances_pcu,
        "trimesh": distances_trimesh,
    },
    "voxels inside": {"voxbench": inside_voxbench, "open3d": inside_open3d},
    "sampled ASSD": {"voxbench": sampled_voxbench, "trimesh + scipy": sampled_scipy},
}
NEEDS = {
    "voxbench": ["voxbench"],
    "open3d": ["open3d"],
    "point-cloud-utils": ["point_cloud_utils"],
    "trimesh": ["trimesh", "rtree"],
    "trimesh + scipy": ["trimesh", "scipy"],
}


def write(options: argparse.Namespace, counts: list[int], rows: list[dict], results: dict) -> None:
    out = options.out or Path(__file__).resolve().parent / "results"
    name = "scoring_meshes_" + "_".join(map(str, options.subdivisions))
    versions = {}
    for package in ("voxbench", "numpy", "scipy", "trimesh", "rtree", "open3d", "point-cloud-utils"):
        try:
            versions[package] = version(package)
        except ModuleNotFoundError:
            continue
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "cores": os.cpu_count()}
    about |= {"threads": options.threads, "load": load, "vertices": counts, "versions": versions}
    (out / f"{name}.json").write_text(json.dumps({"about": about, "rows": rows, "results": results}, indent=1) + "\n")
    lines = [
        f"# {name}",
        "",
        f"{about['date']}, {about['machine']}, {about['cores']} cores, {options.threads} threads, load {load}; "
        + ", ".join(f"{package} {number}" for package, number in versions.items())
        + f". One case of four synthetic bones with {', '.join(map(str, counts))} vertices a side; one run.",
        "",
        "| task | tool | CPU s | wall s | peak MB (before) | deviation |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "absent" in row:
            lines.append(f"| {row['task']} | {row['tool']} | not measured: {row['absent']} absent | | | |")
            continue
        before = f" ({row['before_mb']:.0f})" if "before_mb" in row else ""
        note = " (scaled)" if row.get("scaled") else ""
        lines.append(
            f"| {row['task']} | {row['tool']} | {row['cpu_s']:.2f}{note} | {row['wall_s']:.2f} "
            f"| {row['peak_mb']:.0f}{before} | {deviation(row, results)} |"
        )
    few = f"every n-th vertex, about {FEW} a bone, and scaled to all (what it takes to begin is not)"
    lines += [
        "",
        "Steps are timed without imports and files; *peak* is the process's, in brackets what it held before the step. "
        f"*Scaled*: measured on {few}. *Deviation*: largest relative difference from voxbench's numbers of the task.",
    ]
    (out / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def deviation(row: dict, results: dict) -> str:
    own = results.get(f"{row['task']}, {row['tool']}")
    if own is None or row["tool"] == "voxbench" or row["scaled"]:
        return ""
    values = [np.array(next(iter(r.values()))) for r in (own, results[f"{row['task']}, voxbench"])]
    return f"{np.abs(values[0] / values[1] - 1).max():.1g}"


if __name__ == "__main__":
    main()
