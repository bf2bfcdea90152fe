"""Trained networks (torch) that label whole images, at the image's own voxels, slab by slab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxbench.errors import InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.io.failures import named_failures
from voxbench.models.segmentation import Stages, build
from voxbench.tasks.segmentation.frame import Frame, along, places
from voxbench.tasks.segmentation.plan import Plan
from voxbench.training.inference import slabs
from voxbench.training.weights import load_weights, read_card
from voxbench.types import AnyArray, FloatImage

CHUNK = 2**25
"""Bytes of probabilities at the image's own voxels that are worked on at once."""
NO_CARD = "its card describes no network of this version"


@dataclass(frozen=True)
class Segmenter:
    """One network, or several whose probabilities are averaged.

    Attributes:
        models: The networks.
        plan: What they were trained on.
        mirror: Whether the image is looked at mirrored too, along all axes the plan allows.
        overlap: Share of a window that the next one covers again.
        card: What is known of the training.
    """

    models: tuple[nn.Module, ...]
    plan: Plan
    mirror: bool = False
    overlap: float = 0.5
    card: dict[str, Any] = field(default_factory=dict)

    def segment(self, volume: Volume) -> LabelMap:
        """Classes at the image's own voxels and on its grid.

        Probabilities on the working grid are brought to the image's voxels linearly and the most likely class is taken
        row by row, so that never all of them are in memory; see `memory_bound`.

        Raises:
            NotFiniteError: The image holds NaN or infinity.
            EmptyShapeError: The image is constant.
        """
        volume.require_usable("the image")
        frame = Frame.of(volume.grid, self.plan.spacing)
        out = np.zeros(volume.grid.shape, np.uint8)
        classes = self.plan.classes
        found = (slab[:classes] for slab in self.working(self.look(volume, frame)))
        write_classes(found, frame, frame.ordered(out))
        return LabelMap(out, volume.grid)

    def look(self, volume: Volume, frame: Frame) -> FloatImage:
        """The image as the network sees it, on the working grid."""
        return self.plan.normalisation(frame.bring(volume))

    def working(self, image: AnyArray) -> Iterator[np.ndarray]:
        """Probabilities of the classes, then maps, on the working grid, slab after slab.

        Args:
            image: (i, j, k), normalised; may be memory-mapped.

        Yields:
            (classes + maps, rows, j, k), float32.
        """
        pads = [(0, max(0, p - n)) for p, n in zip(self.plan.patch, image.shape, strict=True)]
        padded = np.pad(image, pads, "edge") if any(after for _, after in pads) else image
        left = image.shape[0]
        for slab in slabs(self._looked, padded[None], self.plan.patch, self.overlap):
            if left > 0:
                yield slab[:, :left, : image.shape[1], : image.shape[2]]
            left -= slab.shape[1]

    def whole(self, image: AnyArray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (classes, i, j, k) and maps (maps, i, j, k) on the working grid, all of them in memory."""
        together = np.concatenate(list(self.working(image)), axis=1)
        return together[: self.plan.classes], together[self.plan.classes :]

    def _looked(self, patches: np.ndarray) -> np.ndarray:
        """(n, 1, i, j, k) to (n, classes + maps, i, j, k): the mean over networks, their branches and mirrorings."""
        axes = self.plan.mirror if self.mirror else ()
        flips = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
        total: torch.Tensor | None = None
        count = 0
        for model in self.models:
            model.eval()
            image = torch.from_numpy(patches).float().to(next(model.parameters()).device)
            for flip in flips:
                dims = [axis + 2 for axis in flip]
                with torch.inference_mode():
                    for branch in model(image.flip(dims)):
                        found = self._likely(branch[0].float()).flip(dims)
                        total = found if total is None else total + found
                        count += 1
        assert total is not None
        return (total / count).cpu().numpy()

    def _likely(self, given: torch.Tensor) -> torch.Tensor:
        classes = self.plan.classes
        return torch.cat([given[:, :classes].softmax(1), given[:, classes:]], dim=1)


def write_classes(found: Iterator[np.ndarray], frame: Frame, out: AnyArray) -> None:
    """Fill label ids at the image's voxels with the most likely class.

    Args:
        found: Probabilities on the working grid, slab after slab, (classes, rows, j, k).
        frame: From the image to the working grid.
        out: (i, j, k), the image's own voxels in the order of the working axes; may be a view.
    """
    rows = places(frame.shape[0], out.shape[0])
    others = [places(n, m) for n, m in zip(frame.shape[1:], out.shape[1:], strict=True)]
    begin, done, kept = 0, 0, None
    for slab in found:
        block = slab if kept is None else np.concatenate([kept, slab], axis=1)
        end = begin + block.shape[1]
        last = end == frame.shape[0]
        upto = len(rows) if last else int(np.searchsorted(rows, end - 1, side="right"))
        at_once = max(1, CHUNK // (4 * len(block) * out.shape[1] * out.shape[2]))
        for first in range(done, upto, at_once):
            some = rows[first : min(first + at_once, upto)] - begin
            out[first : first + len(some)] = along(block, [some, *others]).argmax(axis=0)
        done, begin, kept = max(done, upto), end - 1, block[:, -1:].copy()


def memory_bound(plan: Plan, frame: Frame) -> int:
    """Bytes that a prediction holds at most beside the image, its working copies, the result and the network's own.

    Sums and weights over one window's length, what is given out of them, and a few rows at the image's voxels.
    """
    channels = plan.classes + plan.maps
    edges = [max(n, p) for n, p in zip(frame.shape, plan.patch, strict=True)]
    sums = 4 * (channels + 1) * plan.patch[0] * edges[1] * edges[2]
    row = 4 * plan.classes * frame.ordered_shape[1] * frame.ordered_shape[2]
    return 4 * sums + 5 * max(CHUNK, row)


def network(plan: Plan, branches: str = "one") -> nn.Module:
    """The network of a plan, untrained."""
    stages = Stages(plan.features, plan.kernels, plan.strides, plan.blocks, plan.heads)
    return build(1, plan.classes + plan.maps, stages, branches)


def _plan(path: Path, card: Mapping[str, Any]) -> Plan:
    """What a card says the network was made for."""
    with named_failures(path, NO_CARD):
        return Plan.model_validate(card["plan"])


def load_segmenter(paths: Sequence[Path], mirror: bool = False) -> Segmenter:
    """The network of a training run, or those of several together.

    Args:
        paths: Folders of runs, or their weights.safetensors.
        mirror: See `Segmenter`.

    Raises:
        FileReadError: There is none, or it is damaged.
        InputError: It is of another task, the runs had different plans, or maps would have to be mirrored.
    """
    cards = [read_card(path) for path in paths]
    for path, card in zip(paths, cards, strict=True):
        if card.get("task") != "segmentation":
            raise InputError(f"{path}: not a segmentation network\n  its task  {card.get('task')}")
    plans = [_plan(path, card) for path, card in zip(paths, cards, strict=True)]
    for path, plan in zip(paths[1:], plans[1:], strict=True):
        if plan != plans[0]:
            raise InputError(
                f"networks of different plans cannot be averaged\n  {paths[0]}  {plans[0]}\n  {path}  {plan}"
            )
    if mirror and plans[0].maps:
        raise InputError("images cannot be mirrored for a network that gives maps: what those hold may point somewhere")
    models = []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for path, card, plan in zip(paths, cards, plans, strict=True):
        with named_failures(path, NO_CARD):
            model = network(plan, card["branches"])
        load_weights(path, model)
        models.append(model.to(device).eval())
    return Segmenter(tuple(models), plans[0], mirror, card=cards[0])
