"""Other people's registration programs, when the user has them: run in a folder of their own, fields brought home.

Every program runs in a subprocess with its own thread and seed settings, in a temporary folder that is removed
afterwards; images go in as NIfTI files named without spaces, and the field that comes out is converted to ours.

    ants-syn  ``antsRegistration`` (its ``antsApplyTransforms`` beside it), or a Python with ``antspyx``
    greedy    ``greedy``, or a Python with ``picsl-greedy``
    deeds     ``deedsBCV`` (with ``affine``: ``linearBCV`` beside it)

References:
    B. B. Avants et al., Symmetric diffeomorphic image registration with cross-correlation, Medical Image Analysis
    12:26-41, 2008, doi:10.1016/j.media.2007.06.004.
    P. A. Yushkevich et al., Fast automatic segmentation of hippocampal subfields ... in ASHS, Alzheimer's & Dementia
    12:P126-P127, 2016, doi:10.1016/j.jalz.2016.06.205 (greedy).
    M. P. Heinrich et al., MRF-based deformable registration and ventilation estimation of lung CT, IEEE TMI
    32:1239-1248, 2013, doi:10.1109/TMI.2013.2246577 (deeds).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.errors import JobError, MissingToolError, UsageError
from voxbench.geometry import DisplacementField, Grid, Volume, resample
from voxbench.io import read_displacement, write_volume

ExternalMethod = Literal["ants-syn", "greedy", "deeds"]

_PROGRAM = {"ants-syn": "antsRegistration", "greedy": "greedy", "deeds": "deedsBCV"}
_MODULE = {"ants-syn": "ants", "greedy": "picsl_greedy"}
_ADVICE = {
    "ants-syn": "install ANTs (antsRegistration and antsApplyTransforms), or antspyx in an environment of its own",
    "greedy": "pip install picsl-greedy, or install the greedy program",
    "deeds": "build deedsBCV (and linearBCV) from its sources",
}

FIXED, MOVING, WARP = "fixed.nii.gz", "moving.nii.gz", "warp.nii.gz"

_GREEDY = "import sys; from picsl_greedy import Greedy3D; Greedy3D().execute(' '.join(sys.argv[1:]))"
_ANTS = """
import shutil, sys
import ants
fixed, moving = ants.image_read("fixed.nii.gz"), ants.image_read("moving.nii.gz")
kind, seed = sys.argv[1], int(sys.argv[2])
found = ants.registration(fixed, moving, type_of_transform=kind, outprefix="syn_", random_seed=seed)
path = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose="all_")
shutil.move(path, "warp.nii.gz")
"""


class ExternalConfig(Config):
    """Settings of an external registration program."""

    executable: Path | None = Field(
        default=None,
        description="The program, or a Python interpreter that has its package; None: looked for on the PATH.",
    )
    affine: bool = Field(default=False, description="Let the program find an affine map first.")
    threads: int = Field(default=2, ge=1, description="Threads the program may use.")
    seed: int = Field(default=1, ge=1, description="Seed of the program's random sampling.")
    arguments: tuple[str, ...] = Field(
        default=(), description="More arguments for its deformable step, as it takes them."
    )
    timeout: float | None = Field(default=None, gt=0, description="Seconds after which the program is stopped.")


def register_external(
    fixed: Volume, moving: Volume, method: ExternalMethod, config: ExternalConfig | None = None
) -> DisplacementField:
    """Register with another program.

    ``greedy`` runs NCC of radius 2 with 100 x 50 x 10 iterations; ``ants-syn`` antsRegistrationSyN's deformable step
    (CC of radius 2, 100 x 70 x 50 x 20); ``deeds`` its defaults. ``deeds`` knows no world: moving is resampled onto
    the fixed grid for it, and what lies outside is lost to it.

    Args:
        fixed: The image that stays.
        moving: The image that goes; any grid.
        method: Which program.
        config: Settings; None for the defaults.

    Returns:
        The displacement on the fixed grid, affine part included.

    Raises:
        MissingToolError: The program is not there; the message says what to install and how to point at it.
        UsageError: ``arguments`` were given for antspyx, which takes none.
        JobError: The program failed, ran out of time, or left no field; its last words are in the message.
    """
    config = config or ExternalConfig()
    command = _find(method, config)
    run: Callable[[_Program], DisplacementField] = {"ants-syn": _ants, "greedy": _greedy, "deeds": _deeds}[method]
    with tempfile.TemporaryDirectory(prefix=f"voxbench-{method}-") as name:
        folder = Path(name)
        if method == "deeds":
            moving = resample(moving, onto=fixed.grid)
        for file, image in ((FIXED, fixed), (MOVING, moving)):
            write_volume(folder / file, Volume(image.array.astype(np.float32), image.grid))
        return run(_Program(method, command, folder, fixed.grid, config))


class _Program:
    """One program in its folder: runs steps, and says clearly when one fails."""

    def __init__(self, method: str, command: Sequence[str], folder: Path, grid: Grid, config: ExternalConfig) -> None:
        self.method = method
        self.command = tuple(command)
        self.folder = folder
        self.grid = grid
        self.config = config

    @property
    def in_python(self) -> bool:
        """Whether the program is a package run by an interpreter."""
        return len(self.command) > 1

    def beside(self, name: str) -> str:
        """Another program of the same folder."""
        path = Path(self.command[0]).parent / name
        if not path.is_file():
            raise MissingToolError(f"{self.method}: {name} is needed too and is not beside {self.command[0]}")
        return str(path)

    def run(self, *arguments: str, program: str | None = None) -> None:
        """Run one step in the folder; its output is shown only if it fails."""
        command = [*((program,) if program else self.command), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.config.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise JobError(f"{self.method}: stopped after {self.config.timeout:g} s; allow more with timeout") from late
        except OSError as error:
            raise MissingToolError(f"{self.method}: {command[0]} cannot be run: {error.strerror}") from error
        if done.returncode:
            raise JobError(f"{self.method}: ended with code {done.returncode}{_last_words(done.stdout)}")

    def _environment(self) -> dict[str, str]:
        threads = str(self.config.threads)
        own = {
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "ANTS_RANDOM_SEED": str(self.config.seed),
            "TMPDIR": str(self.folder),
        }
        return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | own

    def output(self, name: str) -> Path:
        """A file the program should have left."""
        path = self.folder / name
        if not path.is_file():
            raise JobError(f"{self.method}: ended well but left no {name}; is this another version of the program?")
        return path


def _last_words(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "".join(f"\n  {line}" for line in lines[-8:])


def _find(method: ExternalMethod, config: ExternalConfig) -> tuple[str, ...]:
    """The command that starts the program: (executable,) or (interpreter, options..., code)."""
    module = _MODULE.get(method)
    if config.executable is not None:
        path = shutil.which(config.executable)
        if path is None:
            raise MissingToolError(f"{method}: {config.executable} is no program that can be run\n  {_ADVICE[method]}")
        if not Path(path).name.startswith("python"):
            return (str(Path(path).absolute()),)
        if module is None:
            raise MissingToolError(
                f"{method}: {path} is a Python, but {method} comes as a program\n  {_ADVICE[method]}"
            )
        return _in_python(method, str(Path(path).absolute()), module)
    path = shutil.which(_PROGRAM[method])
    if path is not None:
        return (str(Path(path).absolute()),)
    if module is not None and importlib.util.find_spec(module) is not None:
        return _in_python(method, sys.executable, module)
    raise MissingToolError(
        f"{method}: {_PROGRAM[method]} is not on the PATH\n  {_ADVICE[method]}\n"
        f"  then point at it with executable={'PROGRAM' if module is None else 'PROGRAM or PYTHON'}"
    )


def _in_python(method: ExternalMethod, interpreter: str, module: str) -> tuple[str, ...]:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    if subprocess.run([interpreter, "-I", "-c", probe], check=False, capture_output=True).returncode:
        raise MissingToolError(f"{method}: {interpreter} has no package {module}\n  {_ADVICE[method]}")
    return (interpreter, "-I", "-c", _GREEDY if method == "greedy" else _ANTS)


def _greedy(program: _Program) -> DisplacementField:
    config = program.config
    common = (
        "-d",
        "3",
        "-threads",
        str(config.threads),
        "-seed",
        str(config.seed),
        "-i",
        FIXED,
        MOVING,
        "-m",
        "NCC",
        "2x2x2",
    )
    start = ("-ia-identity",)
    if config.affine:
        program.run(*common, "-a", "-dof", "12", "-ia-image-centers", "-n", "100x50x10", "-o", "affine.mat")
        start = ("-it", "affine.mat")
    program.run(*common, "-n", "100x50x10", *start, "-o", "deformable.nii.gz", *config.arguments)
    chain = ("deformable.nii.gz", "affine.mat") if config.affine else ("deformable.nii.gz",)
    if not config.affine:
        return read_displacement(program.output(chain[0]), fixed=program.grid, convention="itk")
    program.run("-d", "3", "-rf", FIXED, "-rc", WARP, "-r", *chain)
    return read_displacement(program.output(WARP), fixed=program.grid, convention="itk")


def _ants(program: _Program) -> DisplacementField:
    config = program.config
    if program.in_python:
        if config.arguments:
            raise UsageError(f"arguments={config.arguments} are for the program antsRegistration, not for antspyx")
        program.run(f"antsRegistrationSyN[{'s' if config.affine else 'so'}]", str(config.seed))
        return read_displacement(program.output(WARP), fixed=program.grid, convention="ants")
    pair = f"{FIXED},{MOVING}"
    linear: tuple[str, ...] = ()
    if config.affine:
        pyramid = ("-c", "[1000x500x250x100,1e-6,10]", "-f", "8x4x2x1", "-s", "3x2x1x0vox")
        mutual = ("-m", f"MI[{pair},1,32,Regular,0.25]")
        linear = ("-r", f"[{pair},1]", "-t", "Rigid[0.1]", *mutual, *pyramid, "-t", "Affine[0.1]", *mutual, *pyramid)
    program.run(
        *("-d", "3", "--float", "1", "--random-seed", str(config.seed), "-o", "syn_", *linear),
        *("-t", "SyN[0.1,3,0]", "-m", f"CC[{pair},1,2]", "-c", "[100x70x50x20,1e-6,10]"),
        *("-f", "8x4x2x1", "-s", "3x2x1x0vox", *config.arguments),
    )
    chain = ("syn_1Warp.nii.gz", "syn_0GenericAffine.mat") if config.affine else ("syn_0Warp.nii.gz",)
    for name in chain:
        program.output(name)
    if not config.affine:
        return read_displacement(program.output(chain[0]), fixed=program.grid, convention="ants")
    transforms = [word for name in chain for word in ("-t", name)]
    apply = program.beside("antsApplyTransforms")
    program.run("-d", "3", "-i", MOVING, "-r", FIXED, "-o", f"[{WARP},1]", *transforms, program=apply)
    return read_displacement(program.output(WARP), fixed=program.grid, convention="ants")


def _deeds(program: _Program) -> DisplacementField:
    # Absolute names: it resolves them itself, also those of files that are not there yet.
    names = [str(program.folder / name) for name in (FIXED, MOVING, "out")]
    pair = ("-F", names[0], "-M", names[1], "-O", names[2])
    matrix = np.eye(4)
    extra: tuple[str, ...] = ()
    if program.config.affine:
        program.run(*pair, program=program.beside("linearBCV"))
        path = program.output("out_matrix.txt")
        # Column c of the file holds the coefficients of output axis c.
        matrix = np.loadtxt(path).T
        extra = ("-A", str(path))
    program.run(*pair, *extra, *program.config.arguments)
    coarse = _deeds_flow(program.output("out_displacements.dat"), program.grid.shape)
    return DisplacementField.from_voxels(_deeds_dense(coarse, matrix, program.grid.shape), program.grid)


def _deeds_flow(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Its control points, voxels, (3, a, b, c); in the file the first index is fastest and components go j, i, k."""
    values = np.fromfile(path, np.float32)
    for step in range(1, min(shape) + 1):
        cells = tuple(n // step for n in shape)
        if 3 * int(np.prod(cells)) == values.size:
            flow = np.stack([part.reshape(cells, order="F") for part in np.split(values, 3)])
            return np.ascontiguousarray(flow[[1, 0, 2]])
    raise JobError(f"deeds: {values.size} displacements fit no control grid of an image of shape {shape}")


def _deeds_dense(coarse: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """``A x - x + d(x)``: the affine map of voxels, and control points shape / cells apart, linear between."""
    ratio = np.array([c / n for c, n in zip(coarse.shape[1:], shape, strict=True)], np.float32)
    dense = np.empty((3, *shape), np.float32)
    _core.regrid_planar(coarse, np.zeros(3, np.float32), ratio, np.ones(3, np.float32), dense)
    index = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    change = (matrix - np.eye(4)).astype(np.float32)
    for axis in range(3):
        dense[axis] += sum(change[axis, b] * index[b] for b in range(3)) + change[axis, 3]
    return dense
