"""Bad input over all verbs, in one table: one clear message, the exit code, no traceback, nothing left behind."""

# ruff: noqa: E501  (a table is read across)

from __future__ import annotations

import json
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxbench.geometry import DisplacementField, Grid, LabelMap, Mesh, Volume
from voxbench.geometry.projection import Device, gantry
from voxbench.io import (
    write_displacement,
    write_labels,
    write_mesh,
    write_radiograph_png,
    write_views,
    write_volume,
)

SHAPE = (12, 11, 10)
GRID = Grid.from_parts(SHAPE, (1.0, 1.0, 1.0), (-5.0, 2.0, 3.0))
PAIR = {name: f"./imagesVal/LUMIRMRI_{number}_0000.nii.gz" for name, number in (("fixed", 3455), ("moving", 3454))}
DICE = {"name": "DSC", "metric": "dice", "labels": [1]}
CONFIG = {"name": "LUMIR", "evaluation_methods": [DICE], "expected_shape": [*SHAPE, 3], "eval_pairs": [PAIR]}
FACES = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])


def save(path: str, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """A NIfTI file without any of our checks."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine).to_filename(path)


def text(path: str, content: object) -> None:
    """Any file; what is no text becomes JSON."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content))


def images() -> None:
    """Good ones, and every kind of bad one."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=SHAPE).astype(np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 3:6, 3:6] = 1
    write_volume("good.nii.gz", Volume(noise, GRID))
    write_volume("good.nii", Volume(noise, GRID))
    write_labels("labels.nii.gz", LabelMap(labels, GRID))
    write_labels("empty_mask.nii.gz", LabelMap(np.zeros(SHAPE, np.uint8), GRID))
    coarse = GRID.with_spacing((2.0, 2.0, 2.0))
    write_labels("coarse_mask.nii.gz", LabelMap(np.ones(coarse.shape, np.uint8), coarse))
    write_displacement("u.nii.gz", DisplacementField.zeros(GRID))
    write_volume("hu.nii.gz", Volume((400 * noise).astype(np.int16), GRID))
    save("hu_m.nii.gz", (400 * noise).astype(np.int16), np.diag([1e-3, 1e-3, 1e-3, 1]))
    save("hu_um.nii.gz", (400 * noise).astype(np.int16), np.diag([1e3, 1e3, 1e3, 1]))
    text("metres.yaml", "DSD: 2\nDSO: 1\nnDetector: [8, 8]\ndDetector: [4, 4]\nnVoxel: [8, 8, 8]\ndVoxel: [1, 1, 1]\n")
    text("no_dso.yaml", "DSD: 2000\nnDetector: [8, 8]\ndDetector: [4, 4]\nnVoxel: [8, 8, 8]\ndVoxel: [1, 1, 1]\n")
    for name, share in (("cut.nii.gz", 0.6), ("cut.nii", 0.6)):
        whole = Path(name.replace("cut", "good")).read_bytes()
        Path(name).write_bytes(whole[: int(share * len(whole))])
    text("magic.nii.gz", "no image at all, but long enough to be looked at" * 20)
    text("magic.mha", "no image at all")
    text("note.docx", "no image at all")
    save("flat.nii.gz", noise[..., 0])
    save("series.nii.gz", rng.normal(size=(6, 6, 6, 5)).astype(np.float32))
    save("itk.nii.gz", np.zeros((*SHAPE, 1, 3), np.float32))
    save("itk2.nii.gz", np.zeros((*SHAPE, 1, 2), np.float32))
    sheared = np.eye(4)
    sheared[0, 1] = np.tan(np.radians(10))
    save("sheared.nii.gz", noise, sheared)
    noise[1, 2, 3:6] = np.nan
    save("nan.nii.gz", noise)
    save("constant.nii.gz", np.full(SHAPE, 7, np.int16))
    vectors = np.zeros((*SHAPE, 3), np.float32)
    vectors[0, 0, 0] = np.nan
    save("nan_field.nii.gz", vectors)
    header = bytearray(Path("good.nii").read_bytes())
    header[80:92] = struct.pack("<3f", 0, 0, 0)  # pixdim
    header[252:256] = bytes(4)  # neither qform nor sform
    Path("zero.nii").write_bytes(header)


def xrays() -> None:
    """Images of 16 x 16 pixels, and views that fit them or do not."""
    rng = np.random.default_rng(1)
    device = Device(source_to_detector_mm=2000, source_to_isocentre_mm=1700, rows=16, cols=16, pixel_mm=(16.0, 16.0))
    write_views("views.json", [gantry(angle, device) for angle in (0, 90)])
    write_views("views_near.json", [gantry(angle, device) for angle in (0, 8)])
    write_views("views_one.json", [gantry(0, device)])
    fine = device.model_copy(update={"pixel_mm": (8.0, 8.0)})
    write_views("views_fine.json", [gantry(angle, fine) for angle in (0, 90)])
    listed = json.loads(Path("views.json").read_text())
    for view in listed["views"]:
        for key in ("source", "centre"):
            view[key] = [value / 1000 for value in view[key]]
    text("views_m.json", listed)
    for name in ("x0.png", "x1.png"):
        write_radiograph_png(name, rng.random((16, 16)), (16.0, 16.0))
    write_radiograph_png("x_flat.png", np.ones((16, 16)))
    write_radiograph_png("x_size.png", rng.random((16, 12)))
    bright = rng.random((16, 16))
    write_radiograph_png("x_bright.png", np.minimum(bright, 0.5))
    whole = Path("x0.png").read_bytes()
    Path("x_cut.png").write_bytes(whole[: len(whole) // 2])


def masks() -> None:
    """SPIDER and LNQ: a reference of each, then a folder for every way to be bad; of references, too."""
    spine = np.zeros(SHAPE, np.uint8)
    spine[2:5, 2:5, 2:5], spine[6:9, 2:5, 2:5], spine[6:9, 7:9, 2:5] = 1, 201, 100
    node = (spine == 1).astype(np.uint8)
    coarse = GRID.with_spacing((2.0, 2.0, 2.0))
    moved = Grid.from_parts(SHAPE, (1.0, 1.0, 1.0), (-5.0, 2.0, 4.0))
    for challenge, labels, name in (("spider", spine, "1_t2.mha"), ("lnq", node, "lnq2023-test-0002-seg.nrrd")):
        for folder, grid, array in (
            ("refs", GRID, labels),
            ("same", GRID, labels),
            ("size", coarse, np.ones(coarse.shape, np.uint8)),
            ("moved", moved, labels),
            ("float", GRID, labels.astype(np.float32)),
            ("half", GRID, labels.astype(np.float32) / 2),
            ("nan", GRID, np.full(SHAPE, np.nan, np.float32)),
            ("minus", GRID, -labels.astype(np.int16)),
        ):
            Path(f"{challenge}/{folder}").mkdir(parents=True)
            write_volume(f"{challenge}/{folder}/{name}", Volume(array, grid))
        whole = Path(f"{challenge}/refs/{name}").read_bytes()
        for folder, content in (
            ("cut", whole[:-12]),
            ("damaged", whole[:-12] + bytes(4) + whole[-8:]),
            ("header", whole[: whole.index(b"12 11 10") + 4]),
            ("empty", b""),
            ("text", b"no image at all"),
        ):
            Path(f"{challenge}/{folder}").mkdir(parents=True)
            Path(f"{challenge}/{folder}/{name}").write_bytes(content)
        Path(f"{challenge}/folder/{name}").mkdir(parents=True)
    for folder in ("spider/names", "lnq/twice"):
        Path(folder).mkdir()
    lost = "NDims = 3\nDimSize = 12 11 10\nElementType = MET_UCHAR\nElementDataFile = lost.raw\n"
    text("spider/lost/1_t2.mha", lost)
    lost = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 12 11 10\nencoding: raw\ndata file: lost.raw\n"
    text("lnq/lost/lnq2023-test-0002-seg.nrrd", lost)
    for name in ("first.mha", "1_t3.mha"):
        write_labels(f"spider/names/{name}", LabelMap(spine, GRID))
    for suffix in ("mha", "nii.gz"):
        write_labels(f"lnq/twice/lnq2023-test-0002-seg.{suffix}", LabelMap(node, GRID))


def challenges() -> None:
    """A small LUMIR25, SSR-KD, SPIDER and LNQ, with good and bad predictions; evaluations to rank."""
    masks()
    for number in (3454, 3455):
        name = f"LUMIRMRI_{number}_0000.nii.gz"
        for folder, source in (("imagesVal", "good.nii.gz"), ("labelsVal", "labels.nii.gz")):
            Path(f"lumir/{folder}").mkdir(parents=True, exist_ok=True)
            Path(f"lumir/{folder}/{name}").write_bytes(Path(source).read_bytes())
    text("lumir/LUMIR25_dataset.json", {"tensorImageShape": {"0": SHAPE}, "validation": [PAIR]})
    text("config.json", CONFIG)
    text("no_shape.json", {key: value for key, value in CONFIG.items() if key != "expected_shape"})
    text("metric.json", CONFIG | {"evaluation_methods": [DICE | {"metric": "dise"}]})
    text("broken.json", '{"name": "LUMIR",\n')
    for name, array in (("shape", np.zeros((5, 5, 5, 3), np.float32)), ("nan", None), ("double", None)):
        path = f"fields_{name}/disp_3455_3454.nii.gz"
        save(path, np.zeros((*SHAPE, 3)) if array is None else array)
    Path("fields_nan/disp_3455_3454.nii.gz").write_bytes(Path("nan_field.nii.gz").read_bytes())
    for folder, radius in (("bones", 8), ("bones_cut", 9), ("bones_few", 9)):
        for part in range(3 if folder == "bones_few" else 4):
            Path(f"{folder}/knee").mkdir(parents=True, exist_ok=True)
            corners = radius * np.vstack([np.eye(3), -np.eye(3)])
            write_mesh(f"{folder}/knee/sub_{part}.obj", Mesh(corners, FACES))
    text("bones_cut/knee/sub_1.obj", "v 1 2 3\nf 1 2")
    text("full/thesis.txt", "mine")
    Path("nothing").mkdir()
    text("run_a/scores.json", {"challenge": "ssrkd"})
    text("run_b/scores.json", "[")
    text("bad.toml", "seed = \n")
    text("unknown.toml", "sede = 1\n")
    text("type.toml", 'seed = "many"\n')
    text("sed.toml", "sed = 1\n")
    text("itself.toml", 'config = "bad.toml"\n')
    text("table.toml", "[method]\nname = 1\n")
    text("range.toml", "points = 0\n")
    text("jobs.toml", "jobs = 2\n")
    text("three.csv", "1,2,3\n4,5,6\n7,8,9\n")
    text("two.csv", "1,2,3\n4,5,6\n")
    Path("scans").mkdir()
    Path("scans/lnq2023-train-0005-ct.nii.gz").write_bytes(Path("cut.nii.gz").read_bytes())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder in which every row is tried; no row may change it."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        images()
        challenges()
        xrays()
    return folder


REGISTER = "register good.nii.gz good.nii.gz --out out "
WARP = "warp good.nii.gz --onto good.nii.gz --out out.nii.gz "
LUMIR = "evaluate lumir25 --references lumir --out out "
SSRKD = "evaluate ssrkd --references bones --out out --points 50 "
LUMBAR = "evaluate lumbarsr --predictions nothing --references nothing --out out "
SPIDER = "evaluate spider --references spider/refs --out out --predictions "
LNQ = "evaluate lnq2023 --references lnq/refs --out out --predictions "
SUBMIT = "submit lumir25 --dataset-json lumir/LUMIR25_dataset.json --out out.zip "

# What is bad | the words | the exit code | what the message says, in this order
TABLE = """
info: no file                  | info                                      | 2 | name at least one file
info: missing file             | info none.nii.gz                          | 1 | none.nii.gz: cannot be read: no such file
info: folder for file          | info nothing                              | 1 | no DICOM images ~ 0 DICOM files ~ name an image file
info: truncated gz             | info cut.nii.gz                           | 1 | cut.nii.gz: truncated ~ again
info: truncated nii            | info cut.nii                              | 1 | cut.nii: truncated ~ 12 x 11 x 10 ~ 5280 bytes ~ again
info: wrong suffix             | info note.docx                            | 1 | note.docx: unknown kind of file ~ known are .nii.gz
info: wrong magic              | info magic.nii.gz                         | 1 | magic.nii.gz: ~ not
info: wrong magic of mha       | info magic.mha                            | 1 | magic.mha: ~ not
info: sheared                  | info sheared.nii.gz                       | 1 | sheared voxel axes: 10.00 degrees ~ 0.1 allowed ~ resample
info: a mesh cut off           | info bones_cut/knee/sub_1.obj             | 1 | sub_1.obj: damaged: a face has 2 corners
field: an image                | field info good.nii.gz                    | 1 | not a displacement field: the shape is 12 x 11 x 10 ~ 3 comp
field: 5-D of two components   | field info itk2.nii.gz                    | 1 | itk2.nii.gz: ~ 12 x 11 x 10 x 1 x 2
field: NaN                     | field info nan_field.nii.gz               | 1 | nan_field.nii.gz: ~ NaN or infinite
field: on another grid         | field info u.nii.gz --fixed coarse_mask.nii.gz | 1 | u.nii.gz: ~ 12 x 11 x 10
field: unknown convention      | field convert u.nii.gz out.nii.gz --to voxxel | 2 | voxxel ~ Choose from ~ Did you mean "voxel"
field: out is there            | field convert u.nii.gz good.nii.gz --to itk | 1 | good.nii.gz: exists already ~ --force
register: one image only       | register good.nii.gz --out out            | 2 | MOVING requires an argument
register: missing file         | register good.nii.gz none.nii.gz --out out | 1 | none.nii.gz: cannot be read: no such file
register: truncated gz         | register good.nii.gz cut.nii.gz --out out | 1 | cut.nii.gz: truncated
register: 2-D                  | register good.nii.gz flat.nii.gz --out out | 1 | a 2-D image of 12 x 11 ~ three axes ~ stack
register: 4-D                  | register good.nii.gz series.nii.gz --out out | 1 | a 4-D image of 6 x 6 x 6 x 5 ~ take one volume
register: 5-D ITK field        | register good.nii.gz itk.nii.gz --out out | 1 | 12 x 11 x 10 x 1 x 3: vectors ~ voxbench field info
register: zero spacing         | register good.nii.gz zero.nii --out out   | 1 | zero.nii: damaged header: spacing 0 x 0 x 0 mm ~ above 0 ~ write
register: sheared              | register sheared.nii.gz good.nii.gz --out out | 1 | 10.00 degrees ~ 0.1 allowed ~ correct the header
register: NaN                  | register good.nii.gz nan.nii.gz --out out | 1 | nan.nii.gz: 3 of 1320 voxels are NaN ~ replace them
register: constant image       | register good.nii.gz constant.nii.gz --out out | 1 | constant.nii.gz: every voxel is 7
register: empty mask           | REGISTER --fixed-mask empty_mask.nii.gz   | 1 | empty_mask.nii.gz: the mask is empty
register: mask on another grid | REGISTER --fixed-mask coarse_mask.nii.gz  | 1 | spacing 1 x 1 x 1 mm ~ spacing 2 x 2 x 2 mm
register: image for labels     | REGISTER --labels good.nii.gz             | 1 | good.nii.gz: label ids must be whole numbers ~ image?
register: labels of one side   | REGISTER --fixed-labels labels.nii.gz     | 2 | --fixed-labels needs --labels
register: points do not match  | REGISTER --landmarks two.csv three.csv    | 2 | landmarks must match one to one
register: bad TOML             | REGISTER --config bad.toml                | 1 | bad.toml: not TOML: ~ line 1
register: unknown key          | REGISTER --config unknown.toml            | 2 | unknown.toml: sede: ~ did you mean seed?
register: wrong type           | REGISTER --config type.toml               | 2 | type.toml: seed: ~ integer ~ got 'many'
register: negative number      | REGISTER --threads -1                     | 2 | --threads: ~ greater than or equal to 0; got '-1'
register: unknown method       | REGISTER --method magic                   | 2 | --method: ~ 'deformable' ~ got 'magic'
register: unknown option       | REGISTER --presett fast                   | 2 | --presett ~ Did you mean --preset?
register: out is a file        | register good.nii.gz good.nii.gz --out note.docx | 1 | note.docx: is a file; --out names the folder
register: out is not empty     | register good.nii.gz good.nii.gz --out full | 1 | full: exists already and is not empty ~ --force
warp: no map                   | WARP                                      | 2 | --through requires an argument
warp: an image for a map       | WARP --through good.nii.gz                | 1 | good.nii.gz: not a displacement field
warp: 5-D of two components    | WARP --through itk2.nii.gz                | 1 | itk2.nii.gz: ~ 12 x 11 x 10 x 1 x 2
warp: unknown interpolation    | WARP --through u.nii.gz --interpolation cubicc | 2 | cubicc ~ Choose from ~ "cubic"
warp: contradictory options    | WARP --through u.nii.gz --labels --interpolation cubic | 2 | --labels takes the nearest voxel ~ cubic
warp: out is there             | warp good.nii.gz --onto good.nii.gz --through u.nii.gz --out labels.nii.gz | 1 | labels.nii.gz: exists already ~ --force
project: equal angles          | PROJECT --views 0,90,0                    | 2 | --views 0,90,0: 0 and 0 degrees are one and the same view
project: angles a turn apart   | PROJECT --views 10,370                    | 2 | 370 and 10 degrees are one and the same view
project: angles are no numbers | PROJECT --views 0,front                   | 2 | --views: degrees joined by commas ~ got 'front'
project: a tilted gantry       | PROJECT --views 0/10                      | 2 | --views: ~ got '0/10'
project: unknown geometry      | PROJECT --geometry ssr                    | 2 | --geometry ssr: not one of ssrkd-consistent
project: geometry in metres    | PROJECT --geometry metres.yaml            | 1 | metres.yaml: source to detector: 2 mm is implausible ~ metres: give mm, 2000
project: geometry lacks a key  | PROJECT --geometry no_dso.yaml            | 1 | no_dso.yaml: DSO: missing
project: geometry is no YAML   | PROJECT --geometry cut.nii.gz             | 1 | cut.nii.gz: cannot be read: not text
project: no views in a JSON    | PROJECT --geometry config.json            | 1 | config.json: holds no views
project: views for a JSON      | PROJECT --geometry config.json --views 0  | 2 | --views, --frame, --isocentre: a JSON of views
project: CT in metres          | project hu_m.nii.gz --out out             | 1 | hu_m.nii.gz: the CT is 0.012 mm long ~ in metres? it must be in mm
project: CT in micrometres     | project hu_um.nii.gz --out out            | 1 | hu_um.nii.gz: the CT is 1.2e+04 mm long ~ in micrometres? it must be in mm
project: no bone               | PROJECT --bone-hu 5000                    | 1 | hu.nii.gz: no bone: no voxel reaches 5000 HU ~ --bone-hu
project: no bone in view       | PROJECT --isocentre 0 0 900               | 1 | view 0: no bone in view ~ check the isocentre
project: source within         | PROJECT --isocentre 0 -1731.7 8 --views 0 --bone-hu 0  | 1 | the X-ray source lies inside the volume
project: a label map           | project empty_mask.nii.gz --out out       | 1 | empty_mask.nii.gz: every voxel is 0
project: truncated             | project cut.nii.gz --out out              | 1 | cut.nii.gz: truncated
project: no photons            | PROJECT --photons 0                       | 2 | --photons: at least 1 per pixel; got 0
project: negative seed         | PROJECT --seed -3                         | 2 | --seed: 0 or above; got -3
project: bones are no mesh     | PROJECT --bones note.docx                 | 1 | note.docx: ~ mesh
project: out is not empty      | project hu.nii.gz --out full              | 1 | full: exists already and is not empty ~ --force
predict: no data set           | predict lumir25 --data nowhere --out out  | 1 | nowhere/LUMIR25_dataset.json: cannot be read
predict: bad JSON              | predict lumir25 --data lumir --dataset-json broken.json --out out | 1 | broken.json: not JSON: ~ line 2
predict: unknown method        | predict lumir25 --data lumir --out out --method magic | 2 | --method magic ~ 'deformable'
predict: out is a file         | predict lumir25 --data lumir --out note.docx --method zero | 1 | note.docx: is a file ~ folder
evaluate: unknown challenge    | evaluate lumir26                          | 2 | lumir26 ~ lumir25
evaluate: unknown key          | SPIDER spider/same --config unknown.toml  | 2 | unknown.toml: sede: not an option
evaluate: a near key           | SSRKD --predictions bones --config sed.toml | 2 | sed.toml: sed: not an option of this command; did you mean seed?
evaluate: config in its file   | LNQ lnq/same --config itself.toml         | 2 | itself.toml: config: not an option
evaluate: a table in the file  | LUMBAR --config table.toml                | 2 | table.toml: method: a table
evaluate: bad TOML             | LNQ lnq/same --config bad.toml            | 1 | bad.toml: not TOML: ~ line 1
evaluate: no such file         | SPIDER spider/same --config none.toml     | 1 | none.toml: cannot be read
evaluate: wrong type           | SSRKD --predictions bones --config type.toml | 2 | seed ~ type.toml ~ many
evaluate: a value out of range | evaluate ssrkd --references bones --predictions bones --out out --config range.toml | 2 | --points: ~ 1; got
lumir25: unknown key           | LUMIR --predictions nothing --config config.json unknown.toml | 2 | unknown.toml: sede: not an option
lumir25: options and no config | LUMIR --predictions nothing --config jobs.toml | 2 | jobs.toml gives options; it lacks config
lumir25: missing config        | LUMIR --predictions nothing --config none.json | 1 | none.json: cannot be read
lumir25: bad JSON              | LUMIR --predictions nothing --config broken.json | 1 | broken.json: not JSON: ~ line 2
lumir25: key missing           | LUMIR --predictions nothing --config no_shape.json | 1 | 'expected_shape' is missing ~ found: name
lumir25: unknown metric        | LUMIR --predictions nothing --config metric.json | 1 | metric.json: ~ dise ~ dice
lumir25: missing prediction    | LUMIR --predictions nothing --config config.json | 1 | 1 of 1 predictions are missing ~ disp_3455_3454 ~ --allow-missing
lumir25: misshapen prediction  | LUMIR --predictions fields_shape --config config.json | 1 | 1 of 1 cases failed ~ 3455_0000<--3454_0000: fields_shape/disp_3455_3454.nii.gz: ~ expected  12 x 11 x 10 x 3 ~ found     5 x 5 x 5 x 3
lumir25: NaN in a prediction   | LUMIR --predictions fields_nan --config config.json | 1 | 3455_0000<--3454_0000: ~ fields_nan/disp_3455_3454.nii.gz ~ NaN
lumir25: --jobs 0              | LUMIR --predictions fields_double --config config.json --jobs 0 | 2 | --jobs must be at least 1; got 0
lumir25: --jobs and scheduler  | LUMIR --predictions fields_double --config config.json --jobs 2 --scheduler tcp://127.0.0.1:9 | 2 | --jobs or --scheduler, not both
lumir25: dead scheduler        | LUMIR --predictions fields_double --config config.json --scheduler tcp://127.0.0.1:9 | 1 | tcp://127.0.0.1:9: no Dask scheduler answers ~ dask scheduler
lumir25: out is not empty      | evaluate lumir25 --references lumir --predictions fields_double --config config.json --out full | 1 | full: exists already and is not empty ~ --force
spider: no such predictions    | evaluate spider --predictions nowhere --references spider/refs --out out | 1 | nowhere: no such folder
spider: the same with --allow-missing | evaluate spider --predictions nowhere --references spider/refs --out out --allow-missing | 1 | nowhere: no such folder
spider: predictions are a file | evaluate spider --predictions note.docx --references spider/refs --out out | 1 | note.docx: is a file; a folder is needed
spider: no such references     | evaluate spider --predictions spider/same --references nowhere --out out | 1 | nowhere: no such folder
spider: no references in there | evaluate spider --predictions spider/same --references nothing --out out | 1 | nothing: no case here ~ 1_t2.mha
spider: wrong names            | evaluate spider --predictions spider/same --references spider/names --out out | 1 | not a name of SPIDER's: 1_t3.mha, first.mha ~ 1_t2.mha
spider: missing prediction     | SPIDER nothing                            | 1 | nothing: 1 of 1 predictions are missing ~ 1_t2.mha ~ --allow-missing
spider: a folder of its name   | SPIDER spider/folder                      | 1 | 1 of 1 predictions are missing ~ 1_t2.mha
spider: truncated mha          | SPIDER spider/cut                         | 1 | 1 of 1 cases failed ~ 1_t2: spider/cut/1_t2.mha: truncated ~ again
spider: failing checksum       | SPIDER spider/damaged                     | 1 | 1_t2: spider/damaged/1_t2.mha: damaged: ~ incorrect data check
spider: header cut off         | SPIDER spider/header                      | 1 | 1_t2: spider/header/1_t2.mha: ~ damaged header
spider: empty file             | SPIDER spider/empty                       | 1 | 1_t2: spider/empty/1_t2.mha: the file is empty
spider: no image               | SPIDER spider/text                        | 1 | 1_t2: spider/text/1_t2.mha: not a MetaImage file
spider: voxels lost            | SPIDER spider/lost                        | 1 | 1_t2: ~ the file with its voxels is missing: spider/lost/lost.raw
spider: another size           | SPIDER spider/size                        | 1 | 1_t2: spider/size/1_t2.mha: not of the reference's size ~ (12, 11, 10) ~ (6, 6, 5)
spider: float labels           | SPIDER spider/float                       | 1 | 1_t2: spider/float/1_t2.mha: voxels of type float32 ~ uint8
spider: NaN                    | SPIDER spider/nan                         | 1 | 1_t2: spider/nan/1_t2.mha: voxels of type float32
spider: negative labels        | SPIDER spider/minus                       | 1 | 1_t2: spider/minus/1_t2.mha: label -201 ~ 0 (background) and up
spider: truncated reference    | evaluate spider --predictions spider/same --references spider/cut --out out | 1 | 1_t2: spider/cut/1_t2.mha: truncated ~ again
spider: reference of halves    | evaluate spider --predictions spider/same --references spider/half --out out | 1 | 1_t2: spider/half/1_t2.mha: label ids must be whole numbers
spider: negative in reference  | evaluate spider --predictions spider/same --references spider/minus --out out --allow-missing | 1 | 1_t2: spider/minus/1_t2.mha: label -201
spider: out is not empty       | evaluate spider --predictions spider/same --references spider/refs --out full | 1 | full: exists already and is not empty ~ --force
spider: --jobs 0               | SPIDER spider/same --jobs 0               | 2 | --jobs must be at least 1; got 0
lnq2023: no such predictions   | evaluate lnq2023 --predictions nowhere --references lnq/refs --out out | 1 | nowhere: no such folder
lnq2023: no such references    | evaluate lnq2023 --predictions lnq/same --references nowhere --out out | 1 | nowhere: no such folder
lnq2023: no references there   | evaluate lnq2023 --predictions lnq/same --references nothing --out out | 1 | nothing: no case here ~ -seg.nrrd
lnq2023: missing prediction    | LNQ nothing                               | 1 | nothing: 1 of 1 predictions are missing ~ 0002-seg.mha ~ .nii.gz ~ --allow-missing
lnq2023: two predictions       | LNQ lnq/twice                             | 1 | lnq2023-test-0002: 2 predictions, one is expected ~ seg.mha ~ seg.nii.gz
lnq2023: truncated nrrd        | LNQ lnq/cut                               | 1 | 1 of 1 cases failed ~ lnq2023-test-0002: lnq/cut/ ~ truncated ~ again
lnq2023: failing checksum      | LNQ lnq/damaged                           | 1 | lnq2023-test-0002: lnq/damaged/ ~ damaged ~ CRC
lnq2023: header cut off        | LNQ lnq/header                            | 1 | lnq2023-test-0002: lnq/header/ ~ damaged ~ encoding
lnq2023: empty file            | LNQ lnq/empty                             | 1 | lnq2023-test-0002: lnq/empty/ ~ the file is empty
lnq2023: no image              | LNQ lnq/text                              | 1 | lnq2023-test-0002: lnq/text/ ~ not NRRD
lnq2023: voxels lost           | LNQ lnq/lost                              | 1 | lnq2023-test-0002: ~ the file with its voxels is missing: lnq/lost/lost.raw
lnq2023: another grid          | LNQ lnq/size                              | 1 | lnq2023-test-0002: lnq/size/ ~ not on the reference's grid ~ 12 x 11 x 10 ~ 6 x 6 x 5
lnq2023: another origin        | LNQ lnq/moved                             | 1 | lnq2023-test-0002: lnq/moved/ ~ not on the reference's grid ~ origin -5, 2, 3 ~ origin -5, 2, 4
lnq2023: probabilities         | LNQ lnq/half                              | 1 | lnq2023-test-0002: lnq/half/ ~ label ids must be whole numbers
lnq2023: NaN                   | LNQ lnq/nan                               | 1 | lnq2023-test-0002: lnq/nan/ ~ NaN
lnq2023: truncated reference   | evaluate lnq2023 --predictions lnq/same --references lnq/cut --out out --allow-missing | 1 | lnq2023-test-0002: lnq/cut/ ~ truncated ~ again
lnq2023: out is not empty      | evaluate lnq2023 --predictions lnq/same --references lnq/refs --out full | 1 | full: exists already and is not empty ~ --force
lumbarsr: no method            | LUMBAR                                    | 2 | --method
lumbarsr: unknown sequence     | LUMBAR --method unet --sequence 1X        | 2 | 1X: not a sequence ~ 195X_195Y
lumbarsr: wrong sample         | LUMBAR --method unet --sample 26          | 2 | 26: not a sample ~ Lumbar_26
lumbarsr: missing references   | LUMBAR --method unet                      | 1 | 5 of 5 references are missing ~ Lumbar_26
ssrkd: no cases                | evaluate ssrkd --predictions bones --references nothing --out out | 1 | nothing: no case here ~ sub_0.obj
ssrkd: missing prediction      | SSRKD --predictions bones_few             | 1 | 1 of 4 predictions are missing ~ knee/sub_3.obj ~ --allow-missing
ssrkd: damaged mesh            | SSRKD --predictions bones_cut             | 1 | knee, femur ~ sub_1.obj: damaged: a face has 2 corners
ssrkd: no points               | SSRKD --predictions bones --points 0      | 2 | --points
ssrkd: spacing is no number    | SSRKD --predictions bones --spacing nan   | 2 | --spacing: ~ nan
rank: one run                  | rank run_a                                | 2 | 1 run named; two or more
rank: no folder                | rank nowhere run_a                        | 1 | nowhere: not a folder ~ voxbench evaluate
rank: nothing to rank          | rank nothing run_a                        | 1 | nothing: holds no scores.json ~ voxbench evaluate
rank: bad JSON                 | rank run_b run_a                          | 1 | run_b/scores.json: not JSON ~ line 1
submit: neither pack nor check | submit lumir25                            | 2 | --predictions DIR and --out FILE.zip ~ --check
submit: both pack and check    | SUBMIT --predictions nothing --check note.docx | 2 | --predictions DIR and --out FILE.zip ~ --check
submit: no pairs               | submit lumir25 --predictions nothing --out out.zip | 2 | which pairs? ~ --config
submit: no zip                 | submit lumir25 --check note.docx --config config.json | 1 | note.docx: cannot be read as a zip
submit: nothing predicted      | SUBMIT --predictions nothing              | 1 | none of the 1 displacement fields ~ disp_3455_3454
submit: misshapen              | SUBMIT --predictions fields_shape         | 1 | 1 fields cannot be submitted ~ 5 x 5 x 5
submit: double precision       | SUBMIT --predictions fields_double        | 1 | stored as float64 ~ float32
submit: NaN                    | SUBMIT --predictions fields_nan           | 1 | disp_3455_3454.nii.gz: ~ NaN or infinite
simulate: no cases             | simulate lumir25 --out out --cases 0      | 2 | --cases: ~ 1, got 0
simulate: two axes             | simulate lumir25 --out out --size 40x40   | 2 | --size: three whole numbers ~ got 40x40
simulate: negative seed        | simulate lumir25 --out out --seed -1      | 2 | --seed: ~ got -1
simulate: out is a file        | simulate lumir25 --out note.docx          | 1 | note.docx: is a file
simulate: out is something else | simulate lumir25 --out full --force      | 1 | full: ~ not a simulated data set
knees: no cases                | simulate ssrkd --out out --cases 0       | 2 | --cases: ~ 1, got 0
knees: odd size                | simulate ssrkd --out out --size 63       | 2 | --size: ~ even ~ got 63
knees: too small               | simulate ssrkd --out out --size 8        | 2 | --size: ~ 32, got 8
knees: unknown shapes          | simulate ssrkd --out out --shapes aliens | 2 | --shapes: ~ 'formulas' ~ got aliens
knees: not installed           | simulate ssrkd --out out --shapes articulated | 1 | articulated-ssm is not installed ~ states no licence
knees: negative noise          | simulate ssrkd --out out --noise-hu -3   | 2 | --noise-hu: ~ got -3
knees: no views                | simulate ssrkd --out out --views front   | 2 | --views: degrees joined by commas ~ got front
knees: views backwards         | simulate ssrkd --out out --views 90:0:10 | 2 | --views: ~ first:last:step ~ got 90:0:10
knees: unknown geometry        | simulate ssrkd --out out --geometry mine | 2 | --geometry: ~ 'consistent' or 'released' ~ got mine
knees: --jobs 0                | simulate ssrkd --out out --jobs 0        | 2 | --jobs must be at least 1; got 0
knees: out is a file           | simulate ssrkd --out note.docx           | 1 | note.docx: is a file
knees: out is something else   | simulate ssrkd --out full --force        | 1 | full: ~ not a simulated data set
reconstruct: one radiograph    | reconstruct x0.png --geometry views.json --out out | 2 | LATERAL
reconstruct: the same twice    | reconstruct x0.png x0.png --geometry views.json --out out | 2 | x0.png: given as frontal and as lateral
reconstruct: one missing       | reconstruct x0.png none.png --geometry views.json --out out | 1 | none.png
reconstruct: truncated         | reconstruct x0.png x_cut.png --geometry views.json --out out | 1 | x_cut.png: damaged
reconstruct: no radiograph     | reconstruct x0.png note.docx --geometry views.json --out out | 1 | note.docx: unknown kind of radiograph
reconstruct: equal angles      | reconstruct x0.png x1.png --geometry ssrkd --views 0,0 --out out | 2 | 0 and 0 degrees are one and the same view
reconstruct: one angle         | reconstruct x0.png x1.png --geometry ssrkd --views 0 --out out | 2 | two views are needed, frontal and lateral; got 1
reconstruct: nearly equal      | reconstruct x0.png x1.png --geometry views_near.json --out out | 1 | 8.0 degrees apart ~ 90 apart
reconstruct: one view listed   | reconstruct x0.png x1.png --geometry views_one.json --out out | 1 | views_one.json: holds 1 view; ~ --indices
reconstruct: indices           | reconstruct x0.png x1.png --geometry views.json --out out --indices 1 1 | 2 | --indices: two different numbers ~ got 1 1
reconstruct: views in metres   | reconstruct x0.png x1.png --geometry views_m.json --out out | 1 | views_m.json: view 0: ~ metres? it must be in mm
reconstruct: other pixels      | reconstruct x0.png x_size.png --geometry views.json --out out | 1 | x_size.png: its pixels are not those ~ 16 x 12 ~ 16 x 16
reconstruct: magnification     | reconstruct x0.png x1.png --geometry views_fine.json --out out | 1 | x0.png: its pixels are not as large ~ 16.13 x 16.13 mm ~ 8 x 8 mm
reconstruct: empty radiograph  | reconstruct x0.png x_flat.png --geometry views.json --out out --shapes formulas | 1 | radiograph 1 is empty
reconstruct: saturated         | reconstruct x0.png x_bright.png --geometry views.json --out out --shapes formulas | 1 | radiograph 1 is saturated ~ --inverted
reconstruct: unknown geometry  | reconstruct x0.png x1.png --geometry mine --out out | 2 | --geometry mine: not one of ssrkd-consistent
reconstruct: unknown shapes    | reconstruct x0.png x1.png --geometry views.json --shapes aliens --out out | 2 | aliens
reconstruct: out is not empty  | reconstruct x0.png x1.png --geometry views.json --out full | 1 | full: exists already and is not empty ~ --force
samples: unknown name          | samples mni151                            | 2 | 'mni151' ~ mni152
samples: a file in the way     | samples mni152 --dir note.docx            | 1 | note.docx: ~ is a file ~ --dir
check: no folder               | check                                     | 2 | FOLDER requires an argument
check: missing folder          | check nowhere                             | 1 | nowhere: no such folder
check: a file                  | check good.nii.gz                         | 1 | good.nii.gz: is a file; name the folder
check: nothing to check        | check nothing --challenge spider          | 1 | nothing: no image and no mesh ~ masks/
check: unknown challenge       | check scans --challenge lnq2024           | 2 | 'lnq2024' ~ lnq2023
check: --jobs 0                | check scans --jobs 0                      | 2 | --jobs must be at least 1; got 0
check: --jobs two              | check scans --jobs two                    | 2 | --jobs ~ two
summary: missing folder        | summary nowhere                           | 1 | nowhere: no such folder
summary: missing labels        | summary scans --labels nowhere            | 1 | nowhere: no such folder
summary: nothing there         | summary nothing                           | 1 | nothing: no image and no label map
summary: damaged file          | summary scans --out out.csv               | 1 | 1 of 1 cases failed ~ 0005-ct.nii.gz: truncated
summary: out is there          | summary scans --out two.csv               | 1 | two.csv: exists already ~ --force
summary: out is no table       | summary scans --out out.xlsx              | 2 | out.xlsx is no table ~ .csv
unknown verb                   | evalute                                   | 2 | evalute ~ evaluate
"""
SHORT = {"REGISTER": REGISTER, "WARP": WARP, "LUMIR": LUMIR, "SSRKD": SSRKD, "LUMBAR": LUMBAR, "SUBMIT": SUBMIT}
SHORT |= {"SPIDER": SPIDER, "LNQ": LNQ, "PROJECT": "project hu.nii.gz --out out"}


def rows() -> list:
    """The table's lines as parameters."""
    found = []
    for line in TABLE.strip().splitlines():
        name, words, code, said = (cell.strip() for cell in line.split("|"))
        first, _, rest = words.partition(" ")
        whole = f"{SHORT.get(first, first)} {rest}".split()
        found.append(pytest.param(whole, int(code), said.split(" ~ "), id=name))
    return found


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    """Every file and folder below a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("words", "code", "said"), rows())
def test_one_message_the_exit_code_and_nothing_left(voxbench, world, monkeypatch, words, code, said):
    monkeypatch.chdir(world)
    monkeypatch.setattr("voxbench.jobs.cluster._PATIENCE", "1 s")
    before = snapshot(world)
    outcome = voxbench(*words)  # which refuses a traceback
    assert outcome.code == code, outcome.err
    assert snapshot(world) == before
    assert outcome.out == ""
    assert [line for line in outcome.err.splitlines() if line.startswith("voxbench: ")] != []
    _, _, message = ("\n" + outcome.err).rpartition("\nvoxbench: ")
    assert "\nvoxbench: " not in ("\n" + outcome.err).partition("\nvoxbench: ")[2]
    assert message.endswith(" --help'.\n") == (code == 2)
    place = 0
    for part in said:
        place = message.find(part, place)
        assert place >= 0, f"{part!r} is not (or not in this order) in: {message}"


def test_the_table_has_every_verb_and_many_rows():
    verbs = {row.values[0][0] for row in rows() if row.values[0]}
    assert {"info", "field", "register", "warp", "predict", "evaluate", "rank", "submit", "simulate"} <= verbs
    assert {"samples", "check", "summary"} <= verbs
    assert len(rows()) >= 40
