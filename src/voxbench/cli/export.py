"""voxbench export: data and results in the forms of other programs."""

from __future__ import annotations

import cyclopts

from voxbench.cli.export_bids import bids
from voxbench.cli.export_labels import dicom_seg, slicer
from voxbench.cli.export_nnunet import folder, lnq2023, spider

app = cyclopts.App(name="export", help="Hand data and results over to nnU-Net, BIDS, 3D Slicer, DICOM.")
nnunet = cyclopts.App(name="nnunet", help="Write data in nnU-Net v2's raw layout, with folds by patient.")
nnunet.command(spider, name="spider")
nnunet.command(lnq2023, name="lnq2023")
nnunet.command(folder, name="folder")
app.command(nnunet)
app.command(bids, name="bids")
app.command(slicer, name="slicer")
app.command(dicom_seg, name="dicom-seg")
