"""nnU-Net v2 as a program of the user's own: planned, trained and asked for predictions in its own environment.

Nothing of it is imported. Its three programs (``nnUNetv2_plan_and_preprocess``, ``nnUNetv2_train``,
``nnUNetv2_predict``) are called without a shell, with ``nnUNet_raw``, ``nnUNet_preprocessed`` and ``nnUNet_results``
set, and all they say goes to a file. A step that is done is not done again; training goes on from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from voxbench.config import Config
from voxbench.errors import FileWriteError, JobError, MissingToolError, UsageError
from voxbench.io import read_json, sha256, write_json
from voxbench.tasks.segmentation.nnunet_dataset import DATASET, ENDING, MAPPING, SPLITS, RawDataset

PROGRAMS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
LOG, STATE = "nnunet.log", "nnunet.json"
PREPROCESSED, RESULTS, PREDICTED = "nnUNet_preprocessed", "nnUNet_results", "classes"
PATIENCE_S = 10.0
"""How long a program may take to end when it is asked to."""


class NnunetConfig(Config):
    """What nnU-Net is asked for; names are its own."""

    configuration: str = Field(default="3d_fullres", pattern=r"^\w+$", description="2d, 3d_fullres or 3d_lowres.")
    fold: str = Field(default="0", pattern=r"^(all|\d+)$", description="A number from 0, or all.")
    trainer: str = Field(default="nnUNetTrainer", pattern=r"^\w+$", description="Its class that trains.")
    planner: str | None = Field(default=None, pattern=r"^\w+$", description="Its class that plans, if not its default.")
    plans: str = Field(default="nnUNetPlans", pattern=r"^\w+$", description="What the planner calls its plans.")
    device: Literal["cuda", "cpu", "mps"] = Field(default="cuda", description="Where it computes.")
    processes: int | None = Field(
        default=None, ge=1, description="Processes at a time, each takes memory; None: its own."
    )


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        program: Its name.
        arguments: What follows it.
    """

    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.program, *self.arguments))


def steps(folder: Path, number: int, out: Path, config: NnunetConfig, held_out: bool = True) -> tuple[Step, ...]:
    """The calls, in their order.

    Args:
        folder: ``.../DatasetXXX_NAME``.
        number: XXX.
        out: Folder of the run.
        config: What is asked for.
        held_out: Whether there are images to predict; otherwise the fold's own validation is all there is.
    """
    ident = f"{number:03d}"
    planner = () if config.planner is None else ("-pl", config.planner)
    many = "" if config.processes is None else str(config.processes)
    read, export = (("-npfp", many, "-np", many), ("-npp", many, "-nps", many)) if many else ((), ())
    plan = Step(PROGRAMS[0], ("-d", ident, *planner, "-c", config.configuration, *read, "--verify_dataset_integrity"))
    how = ("-tr", config.trainer, "-p", config.plans, "-device", config.device)
    train = Step(PROGRAMS[1], (ident, config.configuration, config.fold, *how, "--c"))
    folders = ("-i", str(folder / "imagesTs"), "-o", str(out / PREDICTED))
    which = ("-d", ident, "-c", config.configuration, "-f", config.fold)
    predict = Step(PROGRAMS[2], (*folders, *which, *how, *export, "--continue_prediction"))
    return (plan, train, predict) if held_out else (plan, train)


def variables(folder: Path, out: Path, processes: int | None = None) -> dict[str, str]:
    """What nnU-Net's programs look for in their environment."""
    many = {} if processes is None else dict.fromkeys(("nnUNet_def_n_proc", "nnUNet_n_proc_DA"), str(processes))
    return many | {
        "nnUNet_raw": str(folder.parent),
        "nnUNet_preprocessed": str(out / PREPROCESSED),
        "nnUNet_results": str(out / RESULTS),
    }


def find_programs(env: Path | None = None) -> dict[str, str]:
    """Where the three programs are.

    Args:
        env: A virtual environment, the folder of its programs, or its Python; None: the PATH.

    Raises:
        MissingToolError: One is not there.
    """
    places = None
    if env is not None:
        absolute = env.absolute()  # resolved, the Python of an environment would be the system's
        folders = (absolute / "bin", absolute / "Scripts", absolute) if env.is_dir() else (absolute.parent,)
        places = os.pathsep.join(str(folder) for folder in folders)
    found = {name: shutil.which(name, path=places) for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise MissingToolError(
            f"nnU-Net: {missing[0]} is not {'on the PATH' if env is None else f'in {env}'}\n"
            "  install it in an environment of its own (pip install nnunetv2)\n"
            "  then point at it with --env FOLDER or --env PYTHON"
        )
    return {name: path for name, path in found.items() if path is not None}


@dataclass(frozen=True)
class NnunetRun:
    """A run in its folder.

    Attributes:
        dataset: What it learns from.
        out: Its folder.
        config: What is asked for.
        programs: Where nnU-Net's programs are.
    """

    dataset: RawDataset
    out: Path
    config: NnunetConfig
    programs: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse a fold that was not dealt."""
        count = len(self.dataset.folds)
        if self.config.fold != "all" and int(self.config.fold) >= count:
            raise UsageError(f"--fold: {self.config.fold}; {self.dataset.folder} has the folds 0 to {count - 1}")
        if self.config.fold == "all" and not self.dataset.held_out:
            raise UsageError("--fold all: nothing is held out, and there are no images in imagesTs: nothing to predict")

    @property
    def predictions(self) -> Path:
        """Where nnU-Net's label maps are: of ``imagesTs``, or of the fold's validation where there are none."""
        if self.dataset.held_out:
            return self.out / PREDICTED
        config = self.config
        model = f"{config.trainer}__{config.plans}__{config.configuration}"
        return self.out / RESULTS / self.dataset.folder.name / model / f"fold_{config.fold}" / "validation"

    @property
    def predicted(self) -> dict[str, Path]:
        """Of every case that should have a prediction its file.

        Raises:
            JobError: Some are missing.
        """
        cases = self.dataset.held_out or self.dataset.folds[int(self.config.fold)].validation
        files = {case: self.predictions / f"{case}{ENDING}" for case in cases}
        missing = [case for case, path in files.items() if not path.is_file()]
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise JobError(f"nnU-Net ended well but left no prediction in {self.predictions}: {missing[:5]}{more}")
        return files

    def run(self, force: bool = False, tell: Callable[[str], None] = lambda _: None) -> None:
        """All steps that are not done yet.

        Args:
            force: Begin anew; what an earlier start left is removed.
            tell: Told of each step.

        Raises:
            FileWriteError: The folder holds something else, or a run of other settings and ``force`` is not set.
            MissingToolError: A program cannot be started.
            JobError: A program failed; its last words are in the message, all of them in the log.
        """
        done = self._begin(force)
        for step in steps(self.dataset.folder, self.dataset.number, self.out, self.config, bool(self.dataset.held_out)):
            if step.program in done:
                tell(f"{step.program}  (done before)")
                continue
            tell(f"{step}\n  its output goes to {self.out / LOG}")
            self._call(step)
            if step.program == PROGRAMS[0]:
                self._hand_over_splits()
            done.append(step.program)
            write_json(self.out / STATE, {**self._about(), "done": done})

    def _about(self) -> dict[str, Any]:
        hashes = {name: sha256(self.dataset.folder / name) for name in (DATASET, SPLITS, MAPPING)}
        settings = self.config.model_dump(mode="json", exclude={"processes"})
        return {"run": "voxbench nnunet", "dataset": self.dataset.folder.name, "settings": settings, "sha256": hashes}

    def _begin(self, force: bool) -> list[str]:
        """Make or check the folder; the steps done."""
        state = self.out / STATE
        if force and state.is_file():
            self._forget()
        about = self._about()
        if state.is_file():
            earlier = read_json(state)
            if {name: earlier.get(name) for name in about} != about:
                raise FileWriteError(f"{self.out}: holds a run of other settings or data; --force begins anew")
            return [str(name) for name in earlier.get("done", [])]
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise FileWriteError(f"{self.out}: exists already and is not a run of nnU-Net; give another folder")
        try:
            for name in (PREPROCESSED, RESULTS):
                (self.out / name).mkdir(parents=True)
        except OSError as error:
            raise FileWriteError(f"{self.out}: cannot be written: {error.strerror or error}") from error
        write_json(state, {**about, "done": []})
        return []

    def _forget(self) -> None:
        """Remove what an earlier start left, and nothing else."""
        for name in (PREPROCESSED, RESULTS, PREDICTED):
            shutil.rmtree(self.out / name, ignore_errors=True)
        for name in (STATE, LOG):
            (self.out / name).unlink(missing_ok=True)

    def _hand_over_splits(self) -> None:
        """nnU-Net takes the folds from among its preprocessed files, and deals its own where there are none."""
        place = self.out / PREPROCESSED / self.dataset.folder.name
        if not place.is_dir():
            raise JobError(f"nnU-Net: {PROGRAMS[0]} ended well but left no {place}; is it of version 2?")
        shutil.copyfile(self.dataset.folder / SPLITS, place / SPLITS)

    def _call(self, step: Step) -> None:
        program = self.programs[step.program]
        log = self.out / LOG
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= variables(self.dataset.folder.absolute(), self.out.absolute(), self.config.processes)
        environment["PATH"] = os.pathsep.join([str(Path(program).parent), environment.get("PATH", "")])
        with log.open("ab") as file:
            file.write(f"$ {step}\n".encode())
            file.flush()
            start = file.tell()
            code = _wait([program, *step.arguments], environment, file)
        if code:
            raise JobError(f"nnU-Net: {step.program} ended with code {code}; see {log}{_last_words(log, start)}")


def _wait(command: Sequence[str], environment: Mapping[str, str], log: Any) -> int:
    """Run to the end; the program and its children go when we are stopped."""
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    except OSError as error:
        raise MissingToolError(f"nnU-Net: {command[0]} cannot be run: {error.strerror}") from error
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _last_words(log: Path, start: int) -> str:
    said = log.read_bytes()[start:].decode(errors="replace").splitlines()
    return "".join(f"\n  {line}" for line in [line for line in said if line.strip()][-8:])
