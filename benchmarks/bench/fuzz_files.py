"""The formats: whole files, the readers they go to, and the ways to spoil them."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench import fuzz_archives as a
from bench import fuzz_images as images
from bench import fuzz_mutations as m
from bench.fuzz_images import Sample, field_of_noise, written
from voxbench.geometry import Mesh


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: As in the table.
        samples: Makes whole files.
        readers: What may be asked to read them.
        mutations: Ways to spoil one, by name.
    """

    name: str
    samples: Callable[[], list[Sample]]
    readers: tuple[Callable[[Path], object], ...]
    mutations: Mapping[str, m.Mutation]


def _mesh(suffix: str) -> list[Sample]:
    from voxbench.io import write_mesh

    corners = np.array(np.meshgrid([0, 10.0], [0, 20.0], [0, 30.0], indexing="ij")).reshape(3, 8).T
    faces = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    mesh = Mesh(corners, faces)
    found = [written(f"mesh{suffix}", lambda p: write_mesh(p, mesh))]
    if suffix == ".ply":
        points = "".join(f"{x} {y} {z}\n" for x, y, z in corners)
        text = "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
        text += f"element face {len(faces)}\n"
        text += (
            "property list uchar int vertex_indices\nend_header\n"
            + points
            + "".join(f"3 {a} {b} {c}\n" for a, b, c in faces)
        )
        found.append(Sample({"text.ply": text.encode()}, "text.ply"))
    if suffix == ".stl":
        lines = ["solid a"]
        for face in faces:
            lines += [
                "facet normal 0 0 0",
                "outer loop",
                *(f"vertex {x} {y} {z}" for x, y, z in corners[face]),
                "endloop",
                "endfacet",
            ]
        found.append(Sample({"text.stl": "\n".join([*lines, "endsolid a", ""]).encode()}, "text.stl"))
    return found


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # pyright: ignore
    return buffer.getvalue()


def _knee() -> list[Sample]:
    """A case of SSR-KD, and single archives."""
    rng = np.random.default_rng(3)
    ct, seg = rng.normal(size=(6, 5, 4)).astype(np.float32), np.zeros((6, 5, 4), np.uint8)
    seg[2:4, 2:4, 1:3] = 1
    points = {
        f"{where}_{side}": rng.uniform(-1, 1, (4, 3)).astype(np.float32)
        for where in ("surface", "random")
        for side in ("inside", "outside")
    }
    points |= {f"{where}_inside_labels": np.ones(4, np.uint8) for where in ("surface", "random")}
    views = {"projs": rng.uniform(size=(2, 4, 5)).astype(np.float32), "angles": np.array([0.0, np.pi / 2])}
    files = {
        "ct_256x.npz": _npz(arr_0=ct), "ct_512x.npz": _npz(arr_0=ct),
        "seg_mask.npz": _npz(arr_0=seg), "projs.npz": _npz(**views),
        "bone_mask.npz": _npz(projs=views["projs"] > 0.5), "sampling.npz": _npz(**points),
        "spacing.npz": _npz(ct_256=np.ones(3), ct_512=np.ones(3), mesh=np.array([3.0, 2.5, 2.0]), spacing=np.ones(3)),
    }  # fmt: skip
    return [
        Sample(files, ""),
        Sample({"projs.npz": files["projs.npz"]}, "projs.npz"),
        Sample({"a.npz": files["seg_mask.npz"]}, "a.npz"),
    ]


def _json(name: str, content: object) -> Sample:
    return Sample({name: json.dumps(content).encode()}, name)


PAIRS = [
    {"fixed": f"./imagesVal/LUMIRMRI_{a}_0000.nii.gz", "moving": f"./imagesVal/LUMIRMRI_{b}_0000.nii.gz"}
    for a, b in (("3455", "3456"), ("3456", "3457"))
]
CONFIG = {"name": "LUMIR", "expected_shape": [7, 6, 5, 3], "eval_pairs": PAIRS, "evaluation_methods": [
    {"name": "TRE", "metric": "tre", "dest": "landmarks"},
    {"name": "DSC", "metric": "dice", "labels": [1, 2]}]}  # fmt: skip
DATASET = {
    "name": "LUMIR25",
    "tensorImageShape": {"0": [7, 6, 5]},
    "training": [{"image": "./imagesTr/LUMIRMRI_0001_0000.nii.gz"}],
    "validation": PAIRS,
}


LOG = b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4, "validation": {"dice": 1.0}}\n'


def _json_files() -> list[Sample]:
    metric = {"unit": "mm", "better": "lower", "values": {"a": 1.0, "b": 2.5}}
    view = {
        "source": [0, 500, 0],
        "centre": [0, -500, 0],
        "right": [1, 0, 0],
        "down": [0, 0, -1],
        "pixel_mm": [1, 1],
        "shape": [8, 9],
    }
    record = {
        "key": "a",
        "status": "done",
        "fingerprint": "0" * 64,
        "inputs": {},
        "seconds": 1.0,
        "record": {"dice": 1.0},
    }
    patches = {"elements": {"0": "x tri10"}, "connectivity": {f"0_{n}": "" for n in range(10)}, "number_of_points": 10}
    return [
        _json("config.json", CONFIG), _json("dataset.json", DATASET),
        _json("scores.json", {"challenge": "spider", "table": {"dice": metric, "hd": metric}}),
        _json("splits.json", {"challenge": "spider", "folds": [{"train": ["1", "2"], "validation": ["3"]}]}),
        _json("folds.json", [{"training": ["1", "2"], "validation": ["3"]}]),
        _json("views.json", {"world": "RAS+, mm", "views": [view, view]}),
        _json("affine.json", {"moving_from_fixed": np.eye(4).tolist()}),
        Sample({"cases/a.json": json.dumps(record).encode(), "cases/run.json": b'{"kind": "spider"}'}, "cases/a.json"),
        _json("info.json", {"train": ["a"], "val": ["b"], "unlabelled": ["c"], "test": [], "patients": {"a": "p"}}),
        _json("patches.json", patches),
        Sample({"metrics.jsonl": LOG}, "metrics.jsonl"),
    ]  # fmt: skip


def read_by_name(path: Path) -> object:
    """The reader that such a file goes to."""
    from voxbench import io as vio
    from voxbench.challenges import tables
    from voxbench.challenges.datasets.layouts import ssrkd_splits
    from voxbench.challenges.lumir25 import cases
    from voxbench.challenges.spider.splits import read_splits
    from voxbench.io.patches import read_patches
    from voxbench.jobs import Records
    from voxbench.tasks.segmentation.folds import read_folds
    from voxbench.training.record import Log

    readers: dict[str, Callable[[Path], object]] = {
        "config.json": cases.read_config, "dataset.json": cases.read_dataset,
        "scores.json": lambda p: tables.comparable([tables.read_run(p.parent)]),
        "splits.json": read_splits, "folds.json": read_folds,
        "views.json": vio.read_views, "affine.json": vio.read_affine,
        "a.json": lambda p: (Records(p.parent).kind, Records(p.parent).kept("a"), Records(p.parent).any_done()),
        "info.json": lambda p: ssrkd_splits(p.parent, []), "patches.json": read_patches,
        "metrics.jsonl": lambda p: Log(p.parent, 2),
    }  # fmt: skip
    return readers[path.name](path)


def _toml() -> list[Sample]:
    from voxbench.tasks.registration import RegistrationConfig
    from voxbench.tasks.segmentation import Fingerprint, Normalisation, make_plan, to_toml

    plan = make_plan(Fingerprint(((4.0, 1.0, 1.0),), ((80.0, 60.0, 60.0),), Normalisation(), 3))
    settings = "\n".join(
        f"{k} = {json.dumps(v)}"
        for k, v in RegistrationConfig().model_dump(mode="json").items()
        if isinstance(v, int | float | str)
    )
    return [
        Sample({"plan.toml": to_toml(plan).encode()}, "plan.toml"),
        Sample({"settings.toml": settings.encode()}, "settings.toml"),
    ]


def read_toml_file(path: Path) -> object:
    """A plan, or the settings of a registration as the command line takes them."""
    from pydantic import ValidationError

    from voxbench.cli.settings import read_toml, require_known_keys
    from voxbench.errors import UsageError
    from voxbench.tasks.registration import RegistrationConfig
    from voxbench.tasks.segmentation import read_plan

    if path.name == "plan.toml":
        return read_plan(path)
    values = read_toml(path)
    require_known_keys(values, RegistrationConfig, str(path))
    try:
        return RegistrationConfig.model_validate(values)
    except ValidationError as error:  # the command line tells it in one message (cli/failures.py)
        raise UsageError(str(error)) from error


def _weights() -> list[Sample]:
    import torch

    from voxbench.models.superresolution import build
    from voxbench.training.weights import save_weights

    torch.manual_seed(0)
    card = {
        "task": "superresolution",
        "method": "srcnn",
        "size": "laptop",
        "channels": 1,
        "base": None,
        "sequences": ["a"],
    }
    weights = written("weights.safetensors", lambda p: save_weights(p.parent, build("srcnn", 1), card))
    return [weights, _checkpoint()]


def _checkpoint() -> Sample:
    from voxbench.training.checkpoint import save

    return written("checkpoint.safetensors", lambda p: save(p, _training()))


def _training() -> Any:
    import torch

    from voxbench.training.checkpoint import State

    torch.manual_seed(0)
    model, average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return State(model, average, optimiser, 1, 0.5, 0, {"config": {"steps": 2}})


def read_weights(path: Path) -> object:
    """Weights as prediction loads them, a checkpoint as training does."""
    from voxbench.tasks.superresolution.learned import load_upscaler
    from voxbench.training.checkpoint import load

    if path.name.startswith("checkpoint"):
        return load(path, _training())
    return load_upscaler(path)


def _submission() -> list[Sample]:
    import zipfile

    from voxbench.io import write_displacement

    field = written("disp.nii.gz", lambda p: write_displacement(p, field_of_noise())).files["disp.nii.gz"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("disp_3455_3456.nii.gz", "disp_3456_3457.nii.gz"):
            archive.writestr(f"mine/{name}", field)
    return [Sample({"mine.zip": buffer.getvalue()}, "mine.zip")]


@functools.cache
def _tasks() -> Any:
    from voxbench.challenges.lumir25.cases import read_config
    from voxbench.challenges.lumir25.submission import tasks_of

    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(CONFIG))
        return tasks_of([read_config(path)], None)


def read_submission(path: Path) -> object:
    from voxbench.challenges.lumir25.submission import check

    return check(path, *_tasks())


def _tables() -> list[Sample]:
    itk = "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    itk += "Parameters: 1 0 0 0 1 0 0 0 1 4 5 6\nFixedParameters: 0 0 0\n"
    yaml = "DSD: 1500\nDSO: 1000\nnDetector: [64, 64]\ndDetector: [0.5, 0.5]\nnVoxel: [8, 8, 8]\ndVoxel: [1, 1, 1]\n"
    overview = "new_file_name,subset,sex\n1_t1,training,F\n2_t2,validation,M\n"
    return [
        Sample({"points.csv": b"x,y,z\n1,2,3\n4,5,6\n"}, "points.csv"),
        Sample({"points.fcsv": b"# CoordinateSystem = 0\nid_0,1,2,3,0,0,0,1\n"}, "points.fcsv"),
        Sample({"affine.txt": itk.encode()}, "affine.txt"),
        Sample({"affine.mat": b"1 0 0 4\n0 1 0 5\n0 0 1 6\n0 0 0 1\n"}, "affine.mat"),
        Sample({"config.yaml": yaml.encode()}, "config.yaml"),
        Sample({"patients.csv": b"case,patient\na,1\nb,2\n"}, "patients.csv"),
        Sample({"images/1_t1.mha": b"x", "masks/1_t1.mha": b"x", "overview.csv": overview.encode(),
                "radiological_gradings.csv": b"Patient,IVD label,Modic\n1,1,0\n"}, "overview.csv"),
    ]  # fmt: skip


def read_table(path: Path) -> object:
    from voxbench import io as vio
    from voxbench.challenges.spider.dataset import read_dataset
    from voxbench.challenges.ssrkd.geometry import read_config
    from voxbench.challenges.ssrkd.sources import read_patients

    readers: dict[str, Callable[[Path], object]] = {
        "points": vio.read_points, "affine": vio.read_affine, "config": read_config,
        "patients": lambda p: read_patients(p, ["a", "b"]), "overview": lambda p: read_dataset(p.parent),
    }  # fmt: skip
    return readers[path.stem](path)


def _readers(*names: str) -> tuple[Callable[[Path], object], ...]:
    from voxbench import io as vio

    return tuple(getattr(vio, name) for name in names)


def read_knee(path: Path) -> object:
    """A folder by all its readers, each told apart; a file as radiographs and as an archive of a data set."""
    from voxbench.challenges.datasets.contents import examine
    from voxbench.challenges.ssrkd import reading
    from voxbench.challenges.ssrkd.processed import Processed
    from voxbench.errors import VoxbenchError
    from voxbench.io import read_radiograph

    if path.name == "projs.npz":
        return read_radiograph(path)
    if path.is_file():
        return examine(path, "archive"), examine(path, "labels")
    case = Processed(path)
    failed: list[VoxbenchError] = []
    found: list[object] = []
    for read in (
        reading.read_frame,
        reading.read_ct,
        reading.read_labels,
        reading.read_radiographs,
        reading.read_shadows,
        reading.read_samples,
    ):
        try:
            found.append(read(case))
        except VoxbenchError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return found


@functools.cache
def formats() -> dict[str, Format]:
    """All of them, by name."""
    text, every = m.TEXT | m.BYTES, m.BYTES
    nifti = every | {"header field": m.nifti_field}
    packed = (
        {f"inside gzip: {name}": a.inside_gzip(f) for name, f in nifti.items()} | every | {"gzip bomb": a.gzip_bomb}
    )
    zipped = every | {
        "inside: " + n: a.inside_zip(f)
        for n, f in (every | {"npy header": a.npy_header, "pickle": a.npy_pickle}).items()
    }
    zipped |= {"bare pickle": a.bare_pickle, "names": a.zip_names, "zip bomb": a.zip_bomb}
    image = _readers("read_volume", "read_labels", "describe", "read_displacement")
    dicom = every | {"element": a.dicom_element, "element again": a.dicom_element, "deflate bomb": a.dicom_bomb}
    mgz = every | {"inside gzip: " + name: a.inside_gzip(f) for name, f in every.items()} | {"gzip bomb": a.gzip_bomb}
    tree = text | {"node": m.json_node, "two nodes": m.json_node, "deep": m.json_deep}
    weights = every | {"header": a.safetensors_header, "card": a.safetensors_card, "card again": a.safetensors_card}
    weights |= {"bare pickle": a.bare_pickle}
    made = [
        Format("NIfTI", images.nifti, image, nifti),
        Format("NIfTI, gzip", images.nifti_gz, image, packed),
        Format("NRRD", images.nrrd, image, text | {"gzip bomb": a.gzip_bomb}),
        Format("MetaImage", images.metaimage, image, text | {"gzip bomb": a.gzip_bomb}),
        Format("MGH", images.mgz, _readers("read_volume", "describe"), mgz),
        Format("DICOM", images.dicom, _readers("read_volume", "describe"), dicom),
        Format("DICOM SEG", images.dicom_seg, _readers("read_labels", "describe"), dicom),
        Format("radiograph", images.radiographs, _readers("read_radiograph"), dicom),
        Format("OBJ", lambda: _mesh(".obj"), _readers("read_mesh", "describe_mesh"), text),
        Format("STL", lambda: _mesh(".stl"), _readers("read_mesh", "describe_mesh"), text),
        Format("PLY", lambda: _mesh(".ply"), _readers("read_mesh", "describe_mesh"), text),
        Format("npz", _knee, (read_knee,), zipped),
        Format("JSON", _json_files, (read_by_name,), tree),
        Format("TOML", _toml, (read_toml_file,), text | {"deep": m.json_deep}),
        Format("tables, YAML, transforms", _tables, (read_table,), text | {"YAML bomb": m.yaml_bomb}),
        Format("zip (submission)", _submission, (read_submission,), zipped),
        Format("safetensors", _weights, (read_weights,), weights),
    ]  # fmt: skip
    return {one.name: one for one in made}
