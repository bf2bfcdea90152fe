"""SSR-KD's three stages as lessons (torch), and what one needs of another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxbench.challenges.ssrkd.learning_data import Knee, Knees
from voxbench.challenges.ssrkd.learning_segment import segment_lesson
from voxbench.challenges.ssrkd.learning_student import Guides, student_lesson
from voxbench.challenges.ssrkd.learning_teacher import teacher_lesson
from voxbench.challenges.ssrkd.stages import CT_SCALE, XRAY_SCALE, Size, Stage, StageConfig
from voxbench.errors import FileReadError, InputError
from voxbench.io import sha256
from voxbench.io.failures import named_failures
from voxbench.models.ct_teacher import build_teacher_pair
from voxbench.models.xray_bones import build_segmenter_pair
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson
from voxbench.training.weights import FILE, load_weights, read_card

TASK = "bones from radiographs"


def lesson(knees: Knees, config: StageConfig, training: TrainingConfig, guides: Guides | None, cache: Path) -> Lesson:
    """What is learned in a stage.

    Args:
        knees: From which.
        config: Which stage, and what it learns from.
        training: How.
        guides: What the first two stages learned; the student needs them.
        cache: Folder for unpacked arrays and found shadows.
    """
    unpack(knees, config.stage)
    card = {
        "task": TASK,
        "challenge": "ssrkd",
        **config.model_dump(mode="json"),
        **knees.card(config.stage),
        **_geometry(knees.train[0], config.stage),
    }
    if config.stage == "segment":
        return replace(segment_lesson(knees, config, training), card=card)
    if config.stage == "teacher":
        return replace(teacher_lesson(knees, config, training), card=card)
    assert guides is not None
    card |= {"guides": guides.hashes}
    return replace(student_lesson(knees, config, training, guides, cache), card=card)


def unpack(knees: Knees, stage: Stage) -> None:
    """Read all that a stage learns from once, so that what is damaged is found before anything is learned.

    Raises:
        FileReadError: A file is damaged, or not as voxbench writes it.
        InputError: Arrays do not fit the views, or cannot be halved four times.
    """
    labelled = (*knees.train, *knees.validation)
    for knee in labelled:
        _ = knee.shadows if stage == "segment" else (knee.inside, knee.outside, knee.bones)
    for knee in (*labelled, *knees.unlabelled):
        _ = knee.ct if stage == "teacher" else knee.radiographs
    if stage == "student":
        _ = [knee.ct for knee in knees.unlabelled]
        _ = [knee.world_from_stored for knee in (*labelled, *knees.unlabelled)]


def load_guides(out: Path) -> Guides:
    """What the first two stages learned, for the third.

    Args:
        out: Folder that holds segment/ and teacher/.

    Raises:
        FileReadError: One is not there, or damaged.
        InputError: It holds weights of something else.
    """
    missing = [stage for stage in ("segment", "teacher") if not (out / stage / FILE).is_file()]
    if missing:
        raise FileReadError(
            f"{out}: the student needs {' and '.join(missing)}, trained before\n"
            + "\n".join(f"  missing  {stage}/{FILE}" for stage in missing)
            + "\n  run --stage "
            + ", then --stage ".join(missing)
            + " with the same --out, or --stage all"
        )
    segmenter, teacher = (load_stage(out / stage, stage)[0] for stage in ("segment", "teacher"))
    hashes = {"segmenter": sha256(out / "segment" / FILE), "teacher": sha256(out / "teacher" / FILE)}
    return Guides(teacher, segmenter, hashes)


def untrained_guides(size: Size) -> Guides:
    """As large as the trained ones, to estimate what the student will take."""
    return Guides(build_teacher_pair(size), None, {})


def load_stage(path: Path, stage: Stage) -> tuple[Any, dict[str, Any]]:
    """The network of a stage, and its card.

    Args:
        path: The stage's folder, or its weights.
        stage: Which.

    Raises:
        FileReadError: There is none, or it is damaged.
        InputError: It is of another task or stage.
    """
    card = read_card(path)
    if card.get("task") != TASK or card.get("stage") != stage:
        found = f"{card.get('task')}, {card.get('stage')}" if "stage" in card else card.get("task")
        raise InputError(f"{path}: not the weights of SSR-KD's {stage}\n  its task  {found}")
    from voxbench.models.two_view import build_two_view_student

    build: Any = {"segment": build_segmenter_pair, "teacher": build_teacher_pair, "student": build_two_view_student}[
        stage
    ]
    with named_failures(path, "its card describes no network of this version"):
        network = build(card["size"])
    load_weights(path, network)
    return network.eval(), card


def _geometry(knee: Knee, stage: Stage) -> dict[str, Any]:
    """What someone who uses the weights must know of the images."""
    if stage == "teacher":
        return {"ct": list(knee.ct.shape), "field_mm": knee.field_mm, "ct_scale": CT_SCALE}
    view = knee.views[0]
    return {"radiograph": list(view.shape), "pixel_mm": list(view.pixel_mm), "xray_scale": XRAY_SCALE}
