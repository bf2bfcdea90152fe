"""LNQ 2023's cases as something to learn from (torch): nodes, what is surely none, and what nobody told of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from voxbench.challenges.lnq2023.background import Range, SureBackground, Survey, annotated_range, survey, three_way
from voxbench.challenges.lnq2023.preparation import node_labels, whole_hu
from voxbench.challenges.lnq2023.sources import Source, sources_in, structures_of, told_completeness
from voxbench.config import Config
from voxbench.errors import EmptyShapeError, FileReadError, FileWriteError, InputError, UsageError
from voxbench.geometry import LabelMap, Volume
from voxbench.io import read_json, read_labels, read_volume, sha256, write_json
from voxbench.io.atomic import sha256_of_folder
from voxbench.tasks.segmentation import (
    IGNORED,
    Augmentation,
    Drawing,
    Fold,
    Normalisation,
    Plan,
    Reading,
    Sample,
    make_folds,
    make_plan,
    prepared,
)
from voxbench.tasks.segmentation.augment import NONE
from voxbench.tasks.segmentation.fingerprint import Fingerprint
from voxbench.tasks.segmentation.learning import Course, Learning, Strategy
from voxbench.tasks.segmentation.plan import Preset
from voxbench.training.config import TrainingConfig
from voxbench.types import Mask

Told = Callable[[str], None]
WINDOW = Normalisation(modality="ct", low=-160.0, high=240.0, mean=40.0, deviation=100.0)
"""The window radiologists look at the mediastinum through; the same for every data set."""
SHARES = (0.001, 0.2)
"""Between these the share of foreground is kept that is estimated."""
_VERSION = 1


class Lnq2023Learning(Config):
    """What is learned from which cases."""

    strategy: Strategy = Field(default="ignore", description="What is done about voxels nobody told of.")
    share: float | None = Field(default=None, gt=0, lt=1, description="Of those that are node; None: estimated.")
    preset: Preset = Field(default="laptop", description="laptop: two processor cores; standard: a GPU.")
    fold: int | None = Field(default=None, ge=0, le=4, description="Of five; None: the challenge's train and val.")
    rounds: int = Field(default=0, ge=0, le=10, description="Rounds of self-training after the first network.")
    sure: SureBackground = Field(default=SureBackground(), description="What is surely no node.")


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        source: Where it lies.
        content: What its files are known by.
        survey: Where lungs and nodes lie.
        structures: Organs of it, if given.
    """

    source: Source
    content: str
    survey: Survey
    structures: Path | None


@dataclass(frozen=True)
class Prepared:
    """What is settled before anything is learned.

    Attributes:
        cases: All, by name.
        split: Which are learned from, which validated on.
        plan: What is trained.
        heights: Of the nodes of the cases that are learned from, as shares of the lungs' height.
    """

    cases: dict[str, Case]
    split: Fold
    plan: Plan
    heights: Range | None


def chosen(data: Path, fold: int | None) -> tuple[tuple[Source, ...], Fold]:
    """The cases with labels, and which of them are learned from and which validated on; test cases are neither.

    Args:
        data: As `voxbench.challenges.lnq2023.sources.sources_in`; a dataset.csv there says which cases are complete.
        fold: Of five over train and val; None: train, validated on val.

    Raises:
        FileReadError: There are no such cases, or a case has no labels (all are named).
        InputError: There are fewer than five cases for folds.
    """
    told = told_completeness(data)
    sources = tuple(source.told(told) for source in sources_in(data) if source.split != "test")
    bare = [source.case for source in sources if source.labels is None]
    if bare:
        more = f" and {len(bare) - 10} more" if len(bare) > 10 else ""
        raise FileReadError(f"{data}: no labels (CASE-seg) for {', '.join(bare[:10])}{more}")
    if fold is not None:
        return sources, make_folds({source.case: source.case for source in sources})[fold]
    train = tuple(source.case for source in sources if source.split == "train")
    if not train:
        raise FileReadError(f"{data}: no case to learn from\n  those of train are, e.g. lnq2023-train-0005-ct.nrrd")
    return sources, Fold(train, tuple(source.case for source in sources if source.split != "train"))


def settle(
    data: Path,
    config: Lnq2023Learning,
    cache: Path,
    plan: Plan | None = None,
    structures: Path | None = None,
    tell: Told = lambda _: None,
) -> Prepared:
    """Look at every case, part them and plan.

    Args:
        data: Folder of the cases.
        config: What is learned.
        cache: Folder for what was seen.
        plan: To use instead of one made from the data.
        structures: Folder of label maps of organs, named as the cases.
        tell: Told of each case.

    Raises:
        FileReadError: There are no cases to learn from.
        EmptyShapeError: No case to learn from has a node.
        UsageError: The plan is not one for nodes.
    """
    if plan is not None and (plan.classes, plan.maps) != (2, 0):
        raise UsageError(
            f"the plan has {plan.classes} classes and {plan.maps} maps\n  needed are 2 (background, node) and 0"
        )
    sources, split = chosen(data, config.fold)
    organs = structures_of(structures, [source.case for source in sources]) if structures is not None else {}
    cases = {source.case: _case(source, organs.get(source.case), cache, tell) for source in sources}
    learned = [cases[name].survey for name in split.training]
    if not any(one.voxels for one in learned):
        raise EmptyShapeError(
            f"{data}: not one node is labelled in the {len(learned)} cases to learn from\n  labels above 0 are nodes"
        )
    if plan is None:
        seen = Fingerprint(tuple(one.spacing for one in learned), tuple(one.extent for one in learned), WINDOW, 2)
        plan = make_plan(seen, preset=config.preset).model_copy(update={"mirror": (0,)})
    return Prepared(cases, split, plan, annotated_range(learned))


def course(
    given: Prepared, config: Lnq2023Learning, training: TrainingConfig, cache: Path, tell: Told = lambda _: None
) -> Course:
    """What is learned from; cases are brought to the working grid and kept in the cache, where they are not yet there.

    Raises:
        InputError: A case cannot be used (named).
    """
    samples = _samples(given, given.split.training, config.sure, cache, tell)
    held_out = _samples(given, given.split.validation, config.sure, cache, tell)
    share = config.share or expected_share(samples)
    cases = [given.cases[name] for name in given.split.training]
    about = {
        "challenge": "lnq2023",
        **config.model_dump(mode="json"),
        "share": share,
        "heights": given.heights,
        "complete": [case.source.case for case in cases if case.source.completeness == "full"],
        "data": {case.source.case: case.content for case in cases},
    }
    drawing = Drawing(training.foreground, Augmentation() if training.augment else NONE, training.seed)
    return Course(samples, held_out, given.plan, Learning(strategy=config.strategy, share=share), drawing, about)


def expected_share(samples: Sequence[Sample]) -> float:
    """Of the voxels nobody told of, the share that is expected to be node.

    Readers draw one node in five, the largest first: about half of all nodes' volume, with the sizes that
    `voxbench.simulate.nodes` draws. So the nodes left out are taken to hold as much as those drawn.
    """
    drawn = unknown = 0
    for sample in samples:
        labels = np.asarray(sample.labels)
        open_ = int((labels == IGNORED).sum())
        drawn += int((labels == 1).sum()) if open_ else 0
        unknown += open_
    return float(np.clip(drawn / max(unknown, 1), *SHARES))


def _samples(
    given: Prepared, names: Sequence[str], sure: SureBackground, cache: Path, tell: Told
) -> tuple[Sample, ...]:
    made = []
    for number, case in enumerate((given.cases[name] for name in names), 1):
        full = case.source.completeness == "full"
        how = "complete" if full else f"{sure.model_dump(mode='json')} {given.heights}"
        load = _Load(case, sure, given.heights)
        content = f"{case.content} {case.survey.box}"
        made.append(prepared(case.source.case, load, given.plan, (cache, content), Reading(f"lnq2023 1 {how}")))
        if load.called:
            tell(f"{case.source.case} on the working grid, {number} of {len(names)}")
    return tuple(made)


class _Load:
    """Reads a case when it is called for: the box that is looked at, with labels to learn from."""

    def __init__(self, case: Case, sure: SureBackground, heights: Range | None) -> None:
        self.case, self.sure, self.heights, self.called = case, sure, heights, False

    def __call__(self) -> tuple[Volume, LabelMap]:
        self.called = True
        ct, nodes, _ = _read(self.case.source)
        if self.case.source.completeness == "full":
            labels = LabelMap(nodes.astype(np.uint8), ct.grid)
        else:
            organs = None if self.case.structures is None else read_labels(self.case.structures)
            labels = three_way(ct, nodes, self.sure, self.heights, organs)
        grid = ct.grid.cropped(*zip(*self.case.survey.box, strict=True))
        box = self.case.survey.slices
        return Volume(np.ascontiguousarray(ct.array[box]), grid), LabelMap(
            np.ascontiguousarray(labels.array[box]), grid
        )


def _case(source: Source, structures: Path | None, cache: Path, tell: Told) -> Case:
    """A case with its survey, kept in the cache."""
    content = " ".join(_hash(path) for path in (*source.inputs.values(), *([structures] if structures else [])))
    name = hashlib.sha256(f"{_VERSION} {content}".encode()).hexdigest()[:16]
    path = cache / "surveys" / f"{source.case}_{name}.json"
    if path.is_file():
        return Case(source, content, Survey.model_validate(read_json(path)), structures)
    ct, nodes, said = _read(source)
    seen = survey(ct, nodes)
    tell(f"{source.case}  {source.completeness} labels" + "".join(f"; {words}" for words in said))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{path.parent}: cannot be made: {error.strerror or error}") from error
    write_json(path, seen)
    return Case(source, content, seen, structures)


def _read(source: Source) -> tuple[Volume, Mask, list[str]]:
    """CT and nodes on its grid; what had to be done for that.

    Raises:
        InputError: A file cannot be used; the case is named.
    """
    assert source.labels is not None
    try:
        ct = whole_hu(read_volume(source.image))
        ct.require_usable(str(source.image))
        labels, said = node_labels(source.labels, ct)
    except InputError as error:
        raise type(error)(f"{source.case}: {error}") from error
    return ct, labels.array > 0, said


def _hash(path: Path) -> str:
    return sha256_of_folder(path) if path.is_dir() else sha256(path)
