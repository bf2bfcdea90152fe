"""A network over volumes larger than memory: overlapping windows, weighted by a Gaussian, written slab by slab."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from voxbench.training.patches import Channels

Predict = Callable[[np.ndarray], np.ndarray]
Triple = tuple[int, int, int]


def sliding_window(
    predict: Predict,
    inputs: np.ndarray | Channels,
    out: np.ndarray,
    window: Triple,
    overlap: float = 0.25,
    batch: int = 1,
) -> None:
    """Fill ``out`` with the weighted mean of what overlapping windows give; slab by slab, see `slabs`.

    Args:
        predict: (n, c, i, j, k) to (n, i, j, k), float32.
        inputs: (c, i, j, k), may be memory-mapped.
        out: (i, j, k), may be memory-mapped; an integer type is rounded and clipped to its range.
        window: Edges of a window; shorter where the volume is.
        overlap: Share of a window that the next one covers again, below 1.
        batch: Windows per call.
    """
    at = 0
    for found in slabs(lambda patches: predict(patches)[:, None], inputs, window, overlap, batch):
        _write(out, at, found[0])
        at += found.shape[1]


def slabs(
    predict: Predict,
    inputs: np.ndarray | Channels,
    window: Triple,
    overlap: float = 0.25,
    batch: int = 1,
) -> Iterator[np.ndarray]:
    """The weighted mean of what overlapping windows give, slab after slab along the first axis.

    A slab is given as soon as no later window reaches it, so that beside the sums over one window's length only the
    windows themselves are in memory: 4 bytes x (channels + 1) x window[0] x j x k.

    Args:
        predict: (n, c, i, j, k) to (n, channels, i, j, k), float32.
        inputs: (c, i, j, k), may be memory-mapped.
        window: Edges of a window; shorter where the volume is.
        overlap: Share of a window that the next one covers again, below 1.
        batch: Windows per call.

    Yields:
        (channels, rows, j, k), float32; all together as long as the volume.
    """
    shape = inputs.shape[1:]
    edges = [min(w, n) for w, n in zip(window, shape, strict=True)]
    weights = _weights(edges)
    rows, columns, depths = (list(_starts(n, e, overlap)) for n, e in zip(shape, edges, strict=True))
    sums = np.zeros((1, edges[0], *shape[1:]), np.float32)
    total = np.zeros_like(sums)
    for number, i in enumerate(rows):
        places = [(j, k) for j in columns for k in depths]
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            boxes = [(slice(i, i + edges[0]), slice(j, j + edges[1]), slice(k, k + edges[2])) for j, k in some]
            found = predict(np.stack([np.asarray(inputs[(slice(None), *box)], np.float32) for box in boxes]))
            if len(sums) != found.shape[1]:  # how many channels there are is known from the first windows
                sums = np.zeros((found.shape[1], *sums.shape[1:]), np.float32)
            for box, values in zip(boxes, found, strict=True):
                sums[(slice(None), slice(None), *box[1:])] += weights * values
                total[(slice(None), slice(None), *box[1:])] += weights
        stop = rows[number + 1] if number + 1 < len(rows) else shape[0]
        done = stop - i
        yield sums[:, :done] / total[:, :done]
        # What later windows will add to moves to the front.
        kept = edges[0] - done
        for buffer in (sums, total):
            buffer[:, :kept] = buffer[:, done:].copy()
            buffer[:, kept:] = 0


def _starts(size: int, edge: int, overlap: float) -> Iterator[int]:
    """Where windows begin; the last ends with the volume."""
    step = max(1, int(edge * (1 - overlap)))
    yield from range(0, size - edge, step)
    yield size - edge


def _weights(edges: list[int]) -> np.ndarray:
    """A Gaussian that falls to 1/e^2 at the faces; never 0."""
    lines = []
    for edge in edges:
        at = (np.arange(edge) - (edge - 1) / 2) / max(1.0, edge / 2)
        lines.append(np.exp(-2 * at**2))
    return (lines[0][:, None, None] * lines[1][None, :, None] * lines[2]).astype(np.float32)


def _write(out: np.ndarray, at: int, values: np.ndarray) -> None:
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    out[at : at + len(values)] = values
