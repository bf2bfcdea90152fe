"""Surfaces made of polynomial patches (the .mesh files of GIAS) as triangles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError
from voxbench.geometry.mesh import same_positions
from voxbench.io.tables import read_json
from voxbench.types import AnyArray

ORDERS = {"quad55": (4, 4), "quad54": (4, 3), "quad44": (3, 3), "tri15": (4,), "tri10": (3,)}
"""Degree of the polynomial along each side of a square, or of a triangle."""
CUTS = 10


@dataclass(frozen=True, eq=False)
class Patches:
    """How triangles' vertices follow from the patches' nodes.

    Attributes:
        weights: Position of every vertex as a sum over the nodes, float64 (n, nodes).
        faces: (m, 3).
    """

    weights: AnyArray
    faces: AnyArray

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.weights.shape[1]

    def positions(self, nodes: np.ndarray) -> np.ndarray:
        """Vertices from nodes; the last two axes are (nodes, 3)."""
        return self.weights @ nodes


def read_patches(path: Path, cuts: int = CUTS) -> Patches:
    """Read a description of patches, each side cut into ``cuts``.

    The file lists the patches and, for every node of a patch, the nodes of others it is joined to. Nodes are counted in
    the order of the patches, those joined as one.

    Raises:
        FileReadError: It is no such description, or nodes are joined that differ.
    """
    content = read_json(path)
    try:
        kinds = {int(key): str(value).split()[-1] for key, value in content["elements"].items()}
        joined = {str(key): str(value).split() for key, value in content["connectivity"].items()}
        ids = _node_ids(sorted(kinds.items()), joined)
        if len({i for patch in ids for i in patch}) != int(content["number_of_points"]):
            raise ValueError("the number of nodes is not the one stated")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileReadError(f"{path}: no description of patches: {error}") from error
    return _welded(ids, [kinds[key] for key in sorted(kinds)], cuts)


def _node_ids(kinds: list[tuple[int, str]], joined: dict[str, list[str]]) -> list[list[int]]:
    known: dict[str, int] = {}
    count = 0
    patches = []
    for patch, kind in kinds:
        ids = []
        for local in range(_size(kind)):
            same = {known[other] for other in joined[f"{patch}_{local}"] if other in known}
            if len(same) > 1:
                raise ValueError(f"node {patch}_{local} is joined to nodes that differ")
            ids.append(same.pop() if same else count)
            count = max(count, ids[-1] + 1)
            known[f"{patch}_{local}"] = ids[-1]
        patches.append(ids)
    return patches


def _size(kind: str) -> int:
    if kind not in ORDERS:
        raise ValueError(f"a patch of unknown kind '{kind}'")
    order = ORDERS[kind]
    return (order[0] + 1) * (order[0] + 2) // 2 if len(order) == 1 else (order[0] + 1) * (order[1] + 1)


def _welded(ids: list[list[int]], kinds: list[str], cuts: int) -> Patches:
    """The patches' triangles; vertices that are the same sum of nodes become one."""
    count = max(i for patch in ids for i in patch) + 1
    made: dict[str, Any] = {kind: _patch(ORDERS[kind], cuts) for kind in set(kinds)}
    weights, faces, start = [], [], 0
    for own, kind in zip(ids, kinds, strict=True):
        local, triangles = made[kind]
        rows = np.zeros((len(local), count))
        np.add.at(rows.T, np.array(own), local.T)
        weights.append(rows)
        faces.append(triangles + start)
        start += len(local)
    everything = np.concatenate(weights)
    # the same sum of any nodes is the same sum: nodes at random places tell vertices apart
    anywhere = np.random.default_rng(0).standard_normal((count, 3))
    first, place = same_positions(np.round(everything @ anywhere, 6) + 0.0)
    return Patches(everything[first], place[np.concatenate(faces)])


def _patch(order: tuple[int, ...], cuts: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a patch's own nodes at the corners of its triangles, and the triangles."""
    steps = np.arange(cuts + 1)
    if len(order) == 2:
        b, a = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
        weights = _lagrange(order[1], b / cuts)[:, :, None] * _lagrange(order[0], a / cuts)[:, None, :]
        at = np.arange((cuts + 1) ** 2).reshape(cuts + 1, cuts + 1)
        corners = at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]
        faces = [np.stack([corners[i] for i in three], axis=-1).reshape(-1, 3) for three in ((0, 1, 2), (0, 2, 3))]
        return weights.reshape(len(a), -1), np.concatenate(faces)
    b, a = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    inside = a + b <= cuts
    at = np.full((cuts + 1, cuts + 1), -1)
    at[b[inside], a[inside]] = np.arange(int(inside.sum()))
    upright = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, :-1]], axis=-1).reshape(-1, 3)
    turned = np.stack([at[:-1, 1:], at[1:, 1:], at[1:, :-1]], axis=-1).reshape(-1, 3)
    faces = np.concatenate([upright, turned])
    return _simplex(order[0], a[inside] / cuts, b[inside] / cuts), faces[(faces >= 0).all(axis=1)]


def _lagrange(degree: int, at: np.ndarray) -> np.ndarray:
    """Polynomials that are 1 at one of ``degree + 1`` even steps from 0 to 1 and 0 at the others, (n, degree + 1)."""
    steps = np.arange(degree + 1)
    value = np.ones((len(at), degree + 1))
    for i in steps:
        for j in steps[steps != i]:
            value[:, i] *= (degree * at - j) / (i - j)
    return value


def _simplex(degree: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same on a triangle, row by row of nodes."""

    def rising(count: int, at: np.ndarray) -> np.ndarray:
        value = np.ones_like(at)
        for m in range(count):
            value = value * (degree * at - m) / (m + 1)
        return value

    rows = [(i, j) for j in range(degree + 1) for i in range(degree + 1 - j)]
    return np.stack([rising(i, a) * rising(j, b) * rising(degree - i - j, 1 - a - b) for i, j in rows], axis=1)
