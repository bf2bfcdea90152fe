"""``voxbench container``: Docker build contexts for grand-challenge, and a rehearsal without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxbench.deploy.conformance import Finding
    from voxbench.deploy.sockets import Deployment

app = App(name="container", help="Write the containers of a challenge, or try them without Docker.")
Switch = Annotated[bool, Parameter(negative="")]


@app.default
def run(
    challenge: str,
    /,
    *,
    out: Path | None = None,
    contract: Literal["exec", "invoke"] = "exec",
    weights: Path | None = None,
    wheel: Path | None = None,
    selftest: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Write a Docker build context: the algorithm and the evaluation, with commands to build, test and save them.

    Args:
        challenge: lnq2023, lumbarsr, lumir25, spider or ssrkd.
        out: Folder for the context.
        contract: How the platform starts the algorithm: once per case (exec), or over HTTP (invoke).
        weights: Folder of a voxbench train; becomes model.tar.gz, which is uploaded beside the image.
        wheel: A wheel of voxbench to install, instead of this version's sources or the package index.
        selftest: Start the same entry points here as processes: no network, read-only input, a small case; prints what
            the platform would check, and fails if anything does not hold.
        force: Replace an earlier context.
        json: Print what was found or written on standard output.
    """
    from voxbench.cli.deployments import deployment_of
    from voxbench.errors import UsageError

    if selftest == (out is not None):
        raise UsageError("give --out DIR to write the context, or --selftest to try it")
    deployment = deployment_of(challenge)
    if out is None:
        if weights is not None or wheel is not None:
            raise UsageError("--weights and --wheel go into a context: give --out DIR instead of --selftest")
        _try(deployment, json=json)
    else:
        _write(deployment, out, (contract, weights, wheel), force=force, json=json)


def _write(
    deployment: Deployment, out: Path, how: tuple[str, Path | None, Path | None], *, force: bool, json: bool
) -> None:
    from voxbench.cli.output import require_free_folder
    from voxbench.cli.progress import lines
    from voxbench.deploy.context import Wanted, write_context
    from voxbench.io import to_json

    contract, weights, wheel = how
    require_free_folder(out, force)
    with lines("packing") as tell:
        written = write_context(deployment, out, Wanted(contract, weights, wheel), force=force)
        for warning in written.warnings:
            tell(f"warning: {warning}")
        tell(f"{out}: {len(written.files)} files; README.md says how to build, test and save")
    if json:
        print(to_json(written))


def _try(deployment: Deployment, *, json: bool) -> None:
    from tempfile import TemporaryDirectory

    from voxbench.cli.progress import lines
    from voxbench.deploy.conformance import rehearsed
    from voxbench.deploy.stage import walls
    from voxbench.errors import JobError
    from voxbench.io import to_json

    name = deployment.algorithm.challenge
    with TemporaryDirectory(prefix="voxbench.") as folder, lines("rehearsing") as tell:
        found = list(rehearsed(deployment, Path(folder), tell))
    walled = walls([], []) is not None
    _table(name, found, walled)
    if json:
        print(to_json({"challenge": name, "namespaces": walled, "findings": found}))
    failed = [finding for finding in found if not finding.holds]
    if failed:
        raise JobError(
            f"{name}: {len(failed)} of {len(found)} checks do not hold\n  "
            + "\n  ".join(f"{f.part}: {f.what}: {f.found}" for f in failed)
        )


def _table(name: str, found: Sequence[Finding], walled: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "part", "must hold", "found", title=f"{name}: the containers, tried as processes")
    for finding in found:
        row = ("ok" if finding.holds else "NO", finding.part, finding.what, finding.found)
        table.add_row(*(Text(cell) for cell in row))
    console = Console(stderr=True, highlight=False)
    console.print(table)
    wall = "namespaces of the system (no network, disk read-only)" if walled else "the interpreter's audit hook alone"
    console.print(f"Walls: {wall}. No Docker was used.", markup=False)
