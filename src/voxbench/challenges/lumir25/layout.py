"""The official layout of a LUMIR25 data set, for writing one: parts, names, evaluation configurations."""

from __future__ import annotations

from dataclasses import dataclass

from voxbench.simulate import ORDINARY, Scanner

FIRST_VALIDATION = 3454
"""Number of the first validation person, as in the real data set."""
FOLDERS = ("imagesTr", "imagesVal", "labelsVal", "landmarksVal", "truth")
MARKS = ("truth/simulation.json",)
"""What tells a simulated data set from any other folder."""


@dataclass(frozen=True)
class PartFiles:
    """One part of the validation: each person is the fixed image of a pair whose moving image is the person before.

    Attributes:
        config_name: File name of its evaluation configuration.
        people: Numbers of its people.
        modalities: Modalities each of them is imaged in; the first is the fixed one, the last the moving one.
        scanner: How the images look.
        landmarks: Whether it is scored by landmarks rather than by labels.
    """

    config_name: str
    people: tuple[int, ...]
    modalities: tuple[str, ...] = ("0000",)
    scanner: Scanner = ORDINARY
    landmarks: bool = False

    @property
    def pairs(self) -> list[dict[str, str]]:
        """Pairs as both kinds of JSON file list them."""
        return [
            {
                "fixed": f"./imagesVal/LUMIRMRI_{person:04d}_{self.modalities[0]}.nii.gz",
                "moving": f"./imagesVal/LUMIRMRI_{person - 1:04d}_{self.modalities[-1]}.nii.gz",
            }
            for person in self.people[1:]
        ]

    def field_name(self, person: int) -> str:
        """Name of the displacement file whose fixed image is this person."""
        return f"disp_{person:04d}_{person - 1:04d}.nii.gz"


def parts_of(cases: int) -> tuple[PartFiles, ...]:
    """The four parts with ``cases`` pairs each; no person is in two."""
    people = [
        tuple(range(FIRST_VALIDATION + p * (cases + 1), FIRST_VALIDATION + (p + 1) * (cases + 1))) for p in range(4)
    ]
    name = "LUMIR25_VAL_{}_evaluation_config.json".format
    return (
        PartFiles(name("LUMIR24_Landmarks"), people[0], landmarks=True),
        PartFiles(name("LUMIR24_Segmentation"), people[1]),
        PartFiles(name("HighField_Segmentation"), people[2], scanner=Scanner(blur_mm=0.3, bias=0.25, noise=2.0)),
        PartFiles(name("MultiModal_Segmentation"), people[3], modalities=("0000", "0001")),
    )


def part_config(part: PartFiles, labels: tuple[int, ...], size: tuple[int, int, int]) -> dict[str, object]:
    """The evaluation configuration of a part, with the keys of the official ones; label 0 is listed, as there."""
    methods: list[dict[str, object]] = [{"name": "Non-diffeomorphic Volumes", "metric": "ndv"}]
    if part.landmarks:
        methods.append({"name": "TRE_lm", "metric": "tre", "dest": "landmarks"})
    else:
        methods.append({"name": "DSC", "metric": "dice", "labels": list(labels)})
        methods.append({"name": "HD95", "metric": "hd95", "labels": list(labels)})
    return {
        "name": "LUMIR",
        "evaluation_methods": methods,
        "expected_shape": [*size, 3],
        "eval_pairs": part.pairs,
        "eval_config_version": 0.0,
        "masked_evaluation": False,
    }
