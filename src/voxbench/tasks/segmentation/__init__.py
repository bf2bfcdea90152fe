"""Every voxel gets a class: a plan from the data, patches, whole images. Importing this package imports no torch."""

from voxbench.tasks.segmentation.augment import Augmentation
from voxbench.tasks.segmentation.cases import Reading, Sample, prepare, prepared
from voxbench.tasks.segmentation.components import Keep, keep_components
from voxbench.tasks.segmentation.fingerprint import IGNORED, Fingerprint, fingerprint
from voxbench.tasks.segmentation.folds import Fold, make_folds, read_folds, write_folds
from voxbench.tasks.segmentation.frame import Frame
from voxbench.tasks.segmentation.intensities import Normalisation
from voxbench.tasks.segmentation.plan import Plan, make_plan, read_plan, to_toml
from voxbench.tasks.segmentation.source import Drawing, SegmentationPatches

__all__ = [
    "IGNORED",
    "Augmentation",
    "Drawing",
    "Fingerprint",
    "Fold",
    "Frame",
    "Keep",
    "Normalisation",
    "Plan",
    "Reading",
    "Sample",
    "SegmentationPatches",
    "fingerprint",
    "keep_components",
    "make_folds",
    "make_plan",
    "prepare",
    "prepared",
    "read_folds",
    "read_plan",
    "to_toml",
    "write_folds",
]
