"""The command line: one verb a file, each loaded only when it is called."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, Parameter

from voxbench.cli.failures import INTERRUPTED, reported

VERBS = {
    "info": "Say what files hold: size, spacing, orientation, values, label volumes; meshes.",
    "check": "Find what is wrong with a data set: damage, geometry, labels, duplicates, names.",
    "summary": "Print the statistics of a data set: spacing, size, labels, volumes.",
    "field": "Inspect a displacement file, or convert it between conventions.",
    "register": "Register a moving image to a fixed one.",
    "warp": "Carry an image through displacement fields and affine maps, interpolated once.",
    "reconstruct": "Make meshes of the bones of a knee from two radiographs, or from a CT.",
    "prepare": "Bring scanners' files into a challenge's layout.",
    "upscale": "Bring a CT to a finer grid.",
    "project": "Make radiographs of a CT.",
    "train": "Train a network on a challenge's data (needs voxbench[learn]).",
    "predict": "Run a method over all cases of a challenge.",
    "evaluate": "Score predictions as a challenge's organisers do.",
    "nodes": "Measure lymph nodes: axes, volume, HU, which are enlarged.",
    "morphometry": "Measure bone: BV/TV, Tb.Th, Tb.Sp, Tb.N.",
    "spine": "Measure a spine: heights of vertebrae and discs, wedges, slips, the canal.",
    "report": "Write evaluations as one HTML file that opens offline.",
    "rank": "Rank evaluations of one challenge: leaderboard, intervals, significance.",
    "submit": "Pack predictions as a challenge wants them, or check what was packed.",
    "export": "Hand data and results over to nnU-Net, BIDS, 3D Slicer, DICOM.",
    "nnunet": "Run nnU-Net v2 in its own environment and bring its predictions back.",
    "container": "Write the containers of a challenge, or try them without Docker.",
    "serve": "Solve or score what a container of grand-challenge is handed.",
    "simulate": "Make a data set whose truth is known.",
    "samples": "List and fetch real sample images.",
    "doctor": "Look whether the installation is well: versions, memory, GPU, a self-test.",
    "demo": "Try each challenge on real and made data, and write one report.",
}
"""Every verb with its line of help, in the order of ``voxbench --help``; each is ``cli/<verb>.py`` exposing ``app``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows ``voxbench``; by default what the process was started with.

    Returns:
        The exit code: 0 done, 1 one of our errors, 2 misuse, 130 interrupted.
    """
    # Idle threads of the core sleep instead of spinning, which on a busy machine costs as much again as the work. Read
    # by the OpenMP runtime when the core is loaded, after this line.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments is None:  # a process of its own: a polite end, so that nothing half-written stays behind
        signal.signal(signal.SIGTERM, _terminate)
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        result = application()(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("voxbench: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        code = reported(error, words)
        if code is None:
            raise
        return code
    return result if isinstance(result, int) else 0


def _terminate(number: int, _frame: object) -> None:
    """End as on Ctrl-C, with the exit code of the signal."""
    print("voxbench: terminated", file=sys.stderr)
    raise SystemExit(128 + number)


def application() -> App:
    """The verbs as one cyclopts application, none of them loaded."""
    app = App(
        name="voxbench",
        help="Volumetric medical imaging challenges: read, register, score, report, submit.",
        help_epilogue="--debug, anywhere on the line, shows where an error came from.",
        help_format="plaintext",
        version=_version,
        default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for place, (verb, line) in enumerate(VERBS.items()):
        app.command(f"voxbench.cli.{verb}:app", name=verb, help=line, sort_key=place)
    return app


def _version() -> str:
    """Read from the installed package, only when asked for."""
    from importlib.metadata import version

    return version("voxbench")
