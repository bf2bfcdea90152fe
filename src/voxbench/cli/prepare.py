"""voxbench prepare: from what scanners wrote to a challenge's layout."""

from __future__ import annotations

import cyclopts

from voxbench.cli.prepare_lnq2023 import lnq2023
from voxbench.cli.prepare_lumbarsr import lumbarsr
from voxbench.cli.prepare_ssrkd import ssrkd

app = cyclopts.App(name="prepare", help="Bring scanners' files into a challenge's layout.")
app.command(lumbarsr, name="lumbarsr")
app.command(ssrkd, name="ssrkd")
app.command(lnq2023, name="lnq2023")
