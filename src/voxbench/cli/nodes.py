"""``voxbench nodes``: how large each lymph node is, where it lies, and whether it is enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts

if TYPE_CHECKING:
    from voxbench.geometry import LabelMap, Volume
    from voxbench.metrics.node_list import NodeList

app = cyclopts.App(name="nodes", help="Measure lymph nodes: axes, volume, HU, which are enlarged.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
TABLE, JSON, SEGMENTS = "nodes.csv", "nodes.json", "nodes.seg.nrrd"


@app.default
def nodes(
    labels: Path,
    *,
    out: Path,
    ct: Path | None = None,
    threshold_mm: float = 10.0,
    instances: Switch = False,
    pictures: int = 40,
    json: Switch = False,
    force: Switch = False,
) -> None:
    """Measure lymph nodes: axes, volume, HU, which are enlarged.

    A node is a connected component (26 neighbours). Its long axis is the longest diameter in any axial slice, its short
    axis the extent perpendicular to it in that slice (RECIST); it is enlarged when that reaches the threshold. A folder
    receives nodes.csv, nodes.json, nodes.seg.nrrd (for 3D Slicer, a segment a node) and a picture of each node.

    Args:
        labels: Mask or label map: 0 is background.
        out: Folder for the results.
        ct: The CT in HU, on the same grid.
        threshold_mm: Short axis from which on a node is enlarged.
        instances: Each label value is one node, and keeps its number.
        pictures: Nodes that get a picture, largest short axis first.
        json: Print nodes.json on standard output.
        force: Replace results that are there.
    """
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.io import read_labels, read_volume, to_json, write_json, write_labels, write_table

    _require_numbers(threshold_mm, pictures)
    require_free_folder(out, force)
    image = None if ct is None else read_volume(ct)
    if image is not None:
        image.require_usable(str(ct))
    found = _listed(read_labels(labels), image, instances, labels, ct)
    content = _content(found, labels, ct, threshold_mm)
    earlier = {path.name for path in out.glob("node-*.png")} if out.is_dir() else set()
    with lines("measuring nodes") as tell, result_folder(out, {TABLE, JSON, SEGMENTS, *earlier}, force) as folder:
        rows = content["nodes"]
        columns = list(rows[0]) if rows else _columns()
        write_table(folder / TABLE, rows, columns)
        write_json(folder / JSON, content)
        write_labels(folder / SEGMENTS, found.labels)
        drawn = _draw(folder, found, image, pictures)
        tell(_said(content, threshold_mm, labels))
        if drawn < len(found.nodes):
            tell(f"  pictures of the {drawn} largest only; --pictures {len(found.nodes)} draws all")
    _show(content, labels)
    if json:
        print(to_json(content))


def _require_numbers(threshold_mm: float, pictures: int) -> None:
    from math import isfinite

    from voxbench.errors import UsageError

    if not (isfinite(threshold_mm) and threshold_mm > 0):
        raise UsageError(f"--threshold-mm: mm, above 0; got {threshold_mm:g}")
    if pictures < 0:
        raise UsageError(f"--pictures: a number of nodes, 0 or more; got {pictures}")


def _listed(labels: LabelMap, image: Volume | None, instances: bool, path: Path, ct: Path | None) -> NodeList:
    """The nodes; complaints name the files."""
    from voxbench.errors import GridMismatchError, InputError
    from voxbench.metrics.node_list import list_nodes

    try:
        return list_nodes(labels, image, instances)
    except GridMismatchError as error:
        raise GridMismatchError(f"{path} and the CT {ct}: {error}") from error
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error


def _content(found: NodeList, labels: Path, ct: Path | None, threshold_mm: float) -> dict[str, Any]:
    """Content of nodes.json."""
    rows = [listed.row(threshold_mm) for listed in found.nodes]
    return {
        "labels": str(labels),
        "ct": None if ct is None else str(ct),
        "threshold_mm": threshold_mm,
        "count": len(rows),
        "enlarged": sum(bool(row["enlarged"]) for row in rows),
        "volume_mm3": round(sum(listed.node.volume_mm3 for listed in found.nodes), 3),
        "nodes": rows,
    }


def _columns() -> list[str]:
    """Of a table without rows."""
    from voxbench.metrics.node_list import ListedNode
    from voxbench.metrics.nodes import Node

    point = (0.0, 0.0, 0.0)
    nothing = Node(0, 0, 0.0, 0.0, 0.0, 0, point, point, (point, point), (point, point))
    return list(ListedNode(nothing, "", point).row())


def _draw(folder: Path, found: NodeList, image: Volume | None, pictures: int) -> int:
    from voxbench.io.segments import segment_colour
    from voxbench.report.nodes import node_picture

    largest = sorted(found.nodes, key=lambda listed: -listed.node.short_axis_mm)[:pictures]
    place = {listed.node.id: number for number, listed in enumerate(found.nodes)}
    for listed in largest:
        path = folder / f"node-{listed.node.id:03d}.png"
        node_picture(path, listed, found, image, segment_colour(place[listed.node.id]))
    return len(largest)


def _said(content: dict[str, Any], threshold_mm: float, labels: Path) -> str:
    if not content["count"]:
        return f"{labels}: no nodes; the mask is empty"
    return (
        f"{labels}: {content['count']} nodes, {content['enlarged']} enlarged "
        f"(short axis at least {threshold_mm:g} mm), {content['volume_mm3'] / 1000:.2f} ml"
    )


def _show(content: dict[str, Any], labels: Path) -> None:
    """For eyes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not content["count"]:
        return
    table = Table(title=escape(str(labels)))
    for name in ("node", "enlarged", "long mm", "short mm", "ml", "HU", "slice", "x, y, z mm"):
        table.add_column(name, justify="left" if name == "enlarged" else "right", no_wrap=True)
    for row in content["nodes"]:
        hu = "" if row["mean_hu"] is None else f"{row['mean_hu']:.0f}"
        place = ", ".join(f"{row[name]:.0f}" for name in ("x_mm", "y_mm", "z_mm"))
        sizes = (f"{row['long_axis_mm']:.1f}", f"{row['short_axis_mm']:.1f}", f"{row['volume_mm3'] / 1000:.2f}")
        yes = "yes" if row["enlarged"] else ""
        table.add_row(str(row["node"]), yes, *sizes, hu, str(row["slice"]), place)
    Console(stderr=True, highlight=False).print(table)
