"""The nodes of a label map, one by one: numbered, measured, with their CT numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.metrics.nodes import SHORT_AXIS_MM, Node, components, measured

MOST_NODES = 65535


@dataclass(frozen=True)
class ListedNode:
    """One node of a list.

    Attributes:
        node: Its sizes and place; its id is its label in the list's label map.
        name: How it is called.
        voxel: Its centroid, voxel indices.
        mean_hu: Mean CT number of its voxels; None without CT.
        sd_hu: Their standard deviation.
    """

    node: Node
    name: str
    voxel: tuple[float, float, float]
    mean_hu: float | None = None
    sd_hu: float | None = None

    def row(self, threshold_mm: float = SHORT_AXIS_MM) -> dict[str, object]:
        """As a line of a table; places in the world are RAS+ mm."""
        node = self.node
        numbers = {
            "volume_mm3": node.volume_mm3,
            "long_axis_mm": node.long_axis_mm,
            "short_axis_mm": node.short_axis_mm,
        }
        place = dict(zip(("x_mm", "y_mm", "z_mm"), node.centre, strict=True))
        voxel = dict(zip(("voxel_i", "voxel_j", "voxel_k"), self.voxel, strict=True))
        extents = dict(zip(("extent_x_mm", "extent_y_mm", "extent_z_mm"), node.extents_mm, strict=True))
        return {
            "node": node.id,
            "name": self.name,
            "enlarged": node.enlarged(threshold_mm),
            **{name: round(value, 3) for name, value in numbers.items()},
            "slice": node.slice_index,
            "mean_hu": None if self.mean_hu is None else round(self.mean_hu, 2),
            "sd_hu": None if self.sd_hu is None else round(self.sd_hu, 2),
            **{name: round(value, 3) for name, value in (place | voxel | extents).items()},
            "voxels": node.voxels,
        }


@dataclass(frozen=True, eq=False)
class NodeList:
    """All nodes of a label map.

    Attributes:
        labels: Each node's number in its voxels; names say its axes.
        nodes: By number.
    """

    labels: LabelMap
    nodes: tuple[ListedNode, ...]


def list_nodes(labels: LabelMap, ct: Volume | None = None, instances: bool = False) -> NodeList:
    """Measure the nodes of a label map.

    Args:
        labels: Anything but 0 is node.
        ct: CT numbers on the same grid.
        instances: Each label is one node, whose number and name it keeps. Otherwise nodes are connected components
            (26 neighbours), numbered from the largest short axis down.

    Raises:
        GridMismatchError: The CT lies on another grid.
        InputError: A label is negative, or there are more nodes than labels.
    """
    if ct is not None:
        require_same_grid(ct.grid, labels.grid, ("CT", "labels"))
    _require_labels(labels, MOST_NODES if instances else None)
    numbered = labels.array.astype(np.int32) if instances else components(labels.mask())
    if int(numbered.max()) > MOST_NODES:
        raise InputError(f"{int(numbered.max())} nodes; at most {MOST_NODES} are listed\n  is this a mask of nodes?")
    nodes = measured(numbered, labels.grid)
    if not instances:
        numbered, nodes = _by_size(numbered, nodes)
    names = {
        node.id: labels.names.get(node.id, f"node {node.id}") if instances else f"node {node.id}" for node in nodes
    }
    hu = {} if ct is None else _ct_numbers(numbered, ct)
    listed = tuple(_listed(node, names[node.id], labels, hu) for node in nodes)
    titles = {n.node.id: f"{n.name}: {n.node.long_axis_mm:.1f} x {n.node.short_axis_mm:.1f} mm" for n in listed}
    return NodeList(LabelMap(numbered, labels.grid, titles), listed)


def _require_labels(labels: LabelMap, most: int | None) -> None:
    low, high = int(labels.array.min()), int(labels.array.max())
    if low < 0 or (most is not None and high > most):
        known = "1 and up" if most is None else f"1 to {most}"
        raise InputError(
            f"labels of nodes are {known}; these go from {low} to {high}"
            + ("\n  is this the CT? labels come first, then --ct CT" if low < 0 else "")
        )


def _by_size(numbered: np.ndarray, nodes: tuple[Node, ...]) -> tuple[np.ndarray, tuple[Node, ...]]:
    """The same numbered from the largest short axis down."""
    order = sorted(nodes, key=lambda node: (-node.short_axis_mm, -node.volume_mm3, node.id))
    table = np.zeros(len(nodes) + 1, np.int32)
    table[[node.id for node in order]] = np.arange(1, len(nodes) + 1)
    return table[numbered], tuple(replace(node, id=place) for place, node in enumerate(order, start=1))


def _ct_numbers(numbered: np.ndarray, ct: Volume) -> dict[int, tuple[float, float]]:
    """Mean and standard deviation of every node."""
    inside = numbered != 0
    ids, values = numbered[inside], ct.array[inside].astype(np.float64)
    count = np.bincount(ids)
    mean = np.bincount(ids, values) / np.maximum(count, 1)
    spread = np.sqrt(np.bincount(ids, (values - mean[ids]) ** 2) / np.maximum(count, 1))
    return {int(n): (float(mean[n]), float(spread[n])) for n in np.flatnonzero(count)}


def _listed(node: Node, name: str, labels: LabelMap, hu: dict[int, tuple[float, float]]) -> ListedNode:
    i, j, k = (float(v) for v in labels.grid.voxel_from_world(np.array(node.centre)))
    return ListedNode(node, name, (i, j, k), *hu.get(node.id, (None, None)))
