"""Bones in radiographs: the U-Nets with which SSR-KD masks its views.

Y. Lin et al., npj Digital Medicine 2026, doi:10.1038/s41746-026-02389-9; they learn as a pair, after X. Chen et al.,
Semi-supervised semantic segmentation with cross pseudo supervision, CVPR 2021, doi:10.1109/CVPR46437.2021.00264.
"""

from __future__ import annotations

from torch import nn

from voxbench.models.blocks import Pair, Size
from voxbench.models.unet import Layout, Unet


def build_bone_segmenter(size: Size = "laptop") -> nn.Module:
    """A U-Net, (n, 1, rows, columns) to logits of background and bone, (n, 2, rows, columns); any size.

    Args:
        size: ``paper`` has 64 to 1024 features and 31.0 million parameters, ``laptop`` 12 to 192 and 1.1.
    """
    return Unet(1, Layout(2, 64 if size == "paper" else 12, 5, outputs=2, normalised=True))


def build_segmenter_pair(size: Size = "laptop") -> Pair:
    """Two of them, that begin differently: (n, 1, rows, columns) to logits of the one and of the other."""
    return Pair(build_bone_segmenter(size), build_bone_segmenter(size))
