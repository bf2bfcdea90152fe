"""voxbench prepare ssrkd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def ssrkd(
    *,
    data: Path,
    out: Path,
    geometry: str = "consistent",
    size: int = 512,
    field: float = 256.0,
    views: str = "0:360:10",
    noise: bool = True,
    labels: str | None = None,
    mesh_space: Literal["auto", "RAS", "LPS"] = "auto",
    window: Literal["fixed", "per-image"] = "fixed",
    patients: Path | None = None,
    seed: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Bring CTs of knees, with meshes or label maps or alone, into SSR-KD's layout; it goes on where it stopped.

    Args:
        data: Folder of cases: <case>/ holding a CT (an image, or a DICOM series), and for labelled cases four meshes
            (patella.stl ..., or sub_0 to sub_3) or a label map (*_seg, *label*, *mask*); or <case>.nii.gz with
            <case>_seg.nii.gz beside it; or the organisers' FL/, FR/, ML/, MR/.
        out: Folder for processed/, meshes/, info.json, views.json, and preparation/ with a JSON and a picture of each
            case.
        geometry: "consistent" (sees the whole volume), "released" (as the organisers' file has it: 59 % of a knee), or
            a config.yaml.
        size: Voxels along each side of the large volume; the small one has half as many.
        field: Side of the volume, mm. Larger CTs are cropped about the bones, smaller ones padded with air.
        views: Degrees, 0 from the front, 90 from the left: a list (0,90) or first:last:step.
        noise: The published noise on the radiographs.
        labels: Values in label maps, e.g. patella=7,femur=5,fibula=8,tibia=6; 1 to 4 in this order if not given.
        mesh_space: Which way the axes of meshes point; auto: as the file states in a comment, else RAS.
        window: -400 to 500 HU as 0 to 255 ("fixed"), or each image stretched to its own least and greatest value within
            these ("per-image", as in the released code).
        patients: Table with the columns case and patient; every case is a patient of its own if not given (in FL/ ...
            both sides of one number are one patient).
        seed: Of noise, points and splits.
        jobs: Processes that prepare cases at the same time.
        scheduler: Address of a Dask scheduler whose workers do it instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Prepare again what is there already, and replace folders of other origin.
        json: Print what was found for each case on standard output.
    """
    from dataclasses import replace

    from voxbench.challenges.ssrkd.geometry import warning_of
    from voxbench.challenges.ssrkd.kept import NOTES, prepare_resume
    from voxbench.challenges.ssrkd.preparation import jobs as jobs_of
    from voxbench.challenges.ssrkd.preparation import line, write_info
    from voxbench.challenges.ssrkd.sources import find_sources, read_patients
    from voxbench.cli.cases import rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.jobs import Manner, Records, require_all
    from voxbench.report.knee_preparation import knee_picture

    manner = Manner(jobs, scheduler, afresh=force)  # refuse a contradiction before anything is read
    given = {"size": size, "field_mm": field, "window": window, "mesh_space": mesh_space, "seed": seed}
    settings = _settings(given, (geometry, views, labels, noise))
    sources = find_sources(data)
    if patients is not None:
        known = read_patients(patients, [source.case for source in sources])
        sources = tuple(replace(source, patient=known[source.case]) for source in sources)
    todo = jobs_of(sources, out, settings, knee_picture)
    manner = replace(manner, need=need_of("prepare ssrkd"))
    if dry_run:
        show_plan("prepare ssrkd", todo, replace(manner, records=Records(out / "cases" / NOTES)), json)
        return
    manner = replace(manner, records=prepare_resume(out, [source.case for source in sources], force))
    with lines(f"preparing, {len(todo)} cases") as tell:
        if (warning := warning_of(settings.device)) is not None:
            tell(f"warning: {warning}")
        outcomes = run_cases(todo, manner, line, tell)
    if json:
        print(to_json(rows_of(outcomes)))
    require_all(outcomes, "; the others are there, info.json is written when all are, and the next start does the rest")
    info = write_info(out, settings, [o.record for o in outcomes if o.record is not None])
    with lines("") as tell:
        tell(f"{out}: " + ", ".join(f"{len(info[name])} {name}" for name in ("train", "val", "test", "unlabelled")))
        if info["held_out"]:
            tell(f"  held out, of patients who validate or test: {', '.join(info['held_out'])}")


def _settings(given: dict[str, Any], words: tuple[str, str, str | None, bool]) -> Any:
    """Settings from options.

    Raises:
        UsageError: An option has no meaning; it is named.
    """
    from pydantic import ValidationError

    from voxbench.challenges.ssrkd.preparation import SsrkdPreparation
    from voxbench.cli.degrees import degrees_of
    from voxbench.errors import UsageError

    geometry, views, labels, noise = words
    values = given | {"angles": degrees_of(views)}
    if labels is not None:
        values["labels"] = _labels(labels)
    if not noise:
        values["radiograph_noise"] = None
    try:
        SsrkdPreparation.model_validate(values)  # the size decides the detector
        return SsrkdPreparation.model_validate(values | _device(geometry, given["size"]))
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + {"field_mm": "field", "angles": "views"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error


def _device(geometry: str, size: int) -> dict[str, Any]:
    """Distances and detector of a preset or a file."""
    from voxbench.challenges.ssrkd.geometry import read_config
    from voxbench.challenges.ssrkd.radiographs import DEVICES, device_of
    from voxbench.errors import UsageError

    if geometry in DEVICES:
        return {"device": device_of(geometry, size)}
    if Path(geometry).suffix.lower() not in {".yaml", ".yml"}:
        raise UsageError(f"--geometry {geometry}: not one of {', '.join(DEVICES)}, and no config.yaml")
    found = read_config(Path(geometry))
    return {"device": found.device, "origin_mm": found.origin_mm}


def _labels(text: str) -> tuple[int, ...]:
    """Values in the order of the bones."""
    from voxbench.challenges.ssrkd.cases import BONES
    from voxbench.errors import UsageError

    wrong = UsageError(f"--labels: four values, e.g. patella=7,femur=5,fibula=8,tibia=6; got {text}")
    pairs = [word.partition("=") for word in text.replace(" ", "").split(",")]
    try:
        found = {name: int(value) for name, _, value in pairs}
    except ValueError as error:
        raise wrong from error
    if set(found) != set(BONES) or len(pairs) != len(BONES):
        raise wrong
    return tuple(found[bone] for bone in BONES)
