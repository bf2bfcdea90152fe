"""voxbench evaluate: score predictions as a challenge's organisers do."""

from __future__ import annotations

import cyclopts

from voxbench.cli.evaluate_lnq2023 import lnq2023
from voxbench.cli.evaluate_lumbarsr import lumbarsr
from voxbench.cli.evaluate_lumir25 import lumir25
from voxbench.cli.evaluate_spider import spider
from voxbench.cli.evaluate_ssrkd import ssrkd
from voxbench.cli.settings import toml_options

app = cyclopts.App(name="evaluate", help="Score predictions as a challenge's organisers do.", config=toml_options())
app.command(lnq2023, name="lnq2023")
app.command(lumbarsr, name="lumbarsr")
app.command(lumir25, name="lumir25", config=toml_options(suffix=".toml"))  # its other --config are the organisers'
app.command(spider, name="spider")
app.command(ssrkd, name="ssrkd")
