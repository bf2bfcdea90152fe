"""A data set in LumbarSR's layout whose truth is known: phantoms, or the user's own micro-CT, seen by a clinical CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from voxbench.challenges.lumbarsr.bone_masks import filled_bone
from voxbench.challenges.lumbarsr.cases import MICRO_CT_MM, SEQUENCES, Case
from voxbench.config import Config
from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_volume, write_json, write_labels, write_volume
from voxbench.io.folders import new_data_set, require_files
from voxbench.jobs import Job, Record, Runner, make_all, run
from voxbench.simulate.ct import KERNELS, Kernel, Placement, Protocol, registered, scan
from voxbench.simulate.phantoms.vertebra import CORTICAL, TRABECULAR, VertebraAnatomy, vertebra_phantom

TRUTH = "truth.json"
MARKS = (TRUTH, "RegisteredData")
"""What tells a simulated data set from any other folder."""
SPACING_TOLERANCE = 0.02
SIGMA_OF_WIDTH = 1 / np.sqrt(8 * np.log(2))
Size = Annotated[int, Field(ge=32, le=2048)]


class LumbarsrSimulation(Config):
    """How many samples, how large, and seen how."""

    cases: int = Field(default=2, ge=1, le=99, description="Samples; more than five begin at Lumbar_01.")
    size: tuple[Size, Size, Size] = Field(default=(256, 256, 192), description="Voxels of 105 um along each axis.")
    seed: int = Field(default=0, ge=0, description="Another seed is another data set.")
    noise_hu: float = Field(default=20.0, ge=0, le=500, description="Noise of a 1 mm soft-kernel slice, HU.")
    soft: Kernel = Field(default=KERNELS["S"], description="The kernel of the _S sequences.")
    bone: Kernel = Field(default=KERNELS["B"], description="The kernel of the _B sequences.")
    micro_blur_mm: float = Field(default=0.12, ge=0, le=1, description="Width at half maximum of the micro-CT, mm.")
    micro_noise_hu: float = Field(default=40.0, ge=0, le=500, description="Noise of the micro-CT, HU.")
    anatomy: VertebraAnatomy = Field(default=VertebraAnatomy(), description="The phantom's struts and tissues.")

    def protocol(self, case: Case) -> Protocol:
        """How a sequence is made."""
        kernel = self.soft if case.kernel == "S" else self.bone
        pixel, _, thickness = case.spacing_mm
        return Protocol(pixel_mm=pixel, slice_mm=thickness, kernel=kernel, noise_hu=self.noise_hu)

    @property
    def samples(self) -> tuple[str, ...]:
        """Names: the reference test's (26 to 30) as far as they go, so that every verb finds them by itself."""
        first = 26 if self.cases <= 5 else 1
        return tuple(f"Lumbar_{first + number:02d}" for number in range(self.cases))


@dataclass(frozen=True, eq=False)
class _Object:
    """What is scanned: without the micro-CT's blur and noise, with them, where the bone is, what is known of it.

    The trabecular region is known of phantoms only.
    """

    ct: Volume
    micro: Volume
    bone: LabelMap
    truth: dict[str, Any]
    trabecular: LabelMap | None = None


def simulate(
    out: Path,
    settings: LumbarsrSimulation,
    *,
    force: bool = False,
    runner: Runner = run,
) -> tuple[str, ...]:
    """Write phantoms in the official layout; the folder appears when it is complete, or not at all.

    ``RegisteredData/`` holds the micro-CT and all eight clinical sequences on its grid, ``BoneMask/`` the vertebral
    body (the same for every sequence), ``original_dicom/`` the sequences on the scanner's grid, as NIfTI that is
    registered already, ``truth/`` the trabecular regions, ``truth.json`` what the phantoms are made of, the settings,
    and every sequence's model.

    Args:
        out: The folder; refused if there is something in it.
        settings: How many, how large, seen how.
        force: Replace a simulated data set that is there (nothing else is ever replaced).
        runner: How the cases are done; one after another in this process if not given.

    Returns:
        The samples' names.

    Raises:
        FileWriteError: ``out`` holds something, or cannot be written.
        JobError: A sample could not be made.
    """
    return _written(out, settings, (), (force, runner))


def degrade(
    out: Path,
    micro_cts: Sequence[Path],
    settings: LumbarsrSimulation,
    *,
    force: bool = False,
    runner: Runner = run,
) -> tuple[str, ...]:
    """The same from micro-CT files, a sample each; nothing of the phantom's settings is used.

    Args:
        out: The folder; refused if there is something in it.
        micro_cts: Volumes in HU, 105 um between voxels (2 % off is let pass), slices along the third axis.
        settings: Kernels, noise, seed.
        force: Replace a simulated data set that is there.
        runner: How the cases are done; one after another in this process if not given.

    Raises:
        FileReadError: A volume is not there.
        FileWriteError: ``out`` holds something, or cannot be written.
        JobError: A volume cannot be read, or has another spacing.
    """
    return _written(out, settings.model_copy(update={"cases": len(micro_cts)}), micro_cts, (force, runner))


def jobs(folder: Path, settings: LumbarsrSimulation, micro_cts: Sequence[Path] = ()) -> tuple[Job, ...]:
    """The samples of a data set, each made by itself.

    Args:
        folder: Of the data set.
        settings: How many, how large, seen how.
        micro_cts: Volumes to be degraded instead of phantoms, as many as the settings have cases.

    Raises:
        FileReadError: Volumes are not there; all of them are named.
    """
    require_files(micro_cts, "micro-CT")
    sources = micro_cts or [None] * settings.cases
    whole = zip(settings.samples, enumerate(sources), strict=True)
    return tuple(Job(sample, partial(make_sample, sample, one, folder, settings)) for sample, one in whole)


def make_sample(sample: str, one: tuple[int, Path | None], folder: Path, settings: LumbarsrSimulation) -> Record:
    """Make one sample and write its files.

    Args:
        sample: Its name.
        one: Its number, from 0, and the micro-CT, if there is one.
        folder: Of the data set.
        settings: How large, seen how.

    Returns:
        What is known of it.
    """
    number, source = one
    rng = np.random.default_rng([settings.seed, 0x10B5, number])
    made = _phantom(settings, number, rng) if source is None else _real(source)
    sequences = _write(folder, sample, made, settings, rng)
    return {"case": sample, "truth": {**made.truth, "sequences": sequences}}


def line(record: Record) -> str:
    """What to say of a sample."""
    return f"{record['case']}  micro-CT and {len(record['truth']['sequences'])} sequences"


def _written(
    out: Path, settings: LumbarsrSimulation, micro_cts: Sequence[Path], manner: tuple[bool, Runner]
) -> tuple[str, ...]:
    force, runner = manner
    with new_data_set(out, MARKS, force) as folder:
        made = make_all(jobs(folder, settings, micro_cts), folder, runner)
        about = {"simulated": "voxbench simulate lumbarsr", "settings": settings.model_dump(mode="json")}
        write_json(folder / TRUTH, {**about, "samples": {record["case"]: record["truth"] for record in made}})
    return settings.samples


def _write(
    folder: Path, sample: str, made: _Object, settings: LumbarsrSimulation, rng: np.random.Generator
) -> dict[str, Any]:
    """The files of one sample; what every sequence was made with."""
    shifts = {plane: rng.uniform(0, 1, 2) for plane in ("195X", "586X")}
    cases = [Case(sample, sequence) for sequence in SEQUENCES]
    sequence_mask, micro_mask = cases[0].bone_masks(folder)
    for path in (cases[0].reference(folder), sequence_mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(cases[0].reference(folder), made.micro)
    write_labels(micro_mask, made.bone)
    if made.trabecular is not None:
        (folder / "truth").mkdir(exist_ok=True)
        write_labels(folder / "truth" / f"{sample.replace('_', '')}_TrabecularRegion.nii.gz", made.trabecular)
    known = {}
    for case in cases:
        protocol = settings.protocol(case)
        x, y = shifts[case.sequence[:4]]
        placement = Placement((float(x), float(y), float(rng.uniform(0, 1))))
        native = scan(made.ct, protocol, rng, placement)
        case.native(folder).parent.mkdir(parents=True, exist_ok=True)
        write_volume(case.native(folder), native)
        write_volume(case.registered(folder), registered(native, made.micro.grid))
        write_labels(case.bone_masks(folder)[0], made.bone)
        known[case.sequence] = {
            "protocol": protocol.model_dump(mode="json"),
            "noise_hu": protocol.noise,
            "shift_native_voxels": list(placement.shift),
        }
    return known


def _phantom(settings: LumbarsrSimulation, number: int, rng: np.random.Generator) -> _Object:
    grid = Grid.from_parts(settings.size, (MICRO_CT_MM, MICRO_CT_MM, MICRO_CT_MM))
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    vertebra = vertebra_phantom(grid, seed, settings.anatomy)
    body = np.isin(vertebra.regions.array, (TRABECULAR, CORTICAL))
    share = float(vertebra.bone.array[body].mean()) if body.any() else float("nan")
    truth = {"trabecular_region": asdict(vertebra.truth), "bone_mask": {"bone_volume_fraction": share}}
    region = LabelMap((vertebra.regions.array == TRABECULAR).astype(np.uint8), grid)
    micro = _micro_ct(vertebra.ct, settings, rng)
    return _Object(vertebra.ct, micro, LabelMap(body.astype(np.uint8), grid), truth | {"phantom_seed": seed}, region)


def _micro_ct(ct: Volume, settings: LumbarsrSimulation, rng: np.random.Generator) -> Volume:
    from scipy.ndimage import gaussian_filter

    width = settings.micro_blur_mm * SIGMA_OF_WIDTH / MICRO_CT_MM
    image = gaussian_filter(ct.array, width, mode="nearest", truncate=4) if width > 0 else np.array(ct.array)
    image += settings.micro_noise_hu * rng.standard_normal(image.shape, dtype=np.float32)
    return Volume(np.clip(np.rint(image), -1024, 3071).astype(np.int16), ct.grid)


def _real(path: Path) -> _Object:
    volume = read_volume(path)
    volume.require_usable(str(path))
    if np.abs(volume.grid.spacing / MICRO_CT_MM - 1).max() > SPACING_TOLERANCE:
        raise GridMismatchError(
            f"{path}: a micro-CT of LumbarSR has {MICRO_CT_MM} mm between voxels\n  here  {volume.grid}\n"
            "  bring it there first, averaging if it is finer"
        )
    micro = Volume(np.clip(np.rint(volume.array), -32768, 32767).astype(np.int16), volume.grid)
    bone = LabelMap(filled_bone(micro).astype(np.uint8), volume.grid)
    return _Object(micro, micro, bone, {"source": path.name})
