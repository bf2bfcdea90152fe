"""``voxbench rank``: a leaderboard of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts

if TYPE_CHECKING:
    from voxbench.report.leaderboard import Leaderboard

app = cyclopts.App(name="rank", help="Rank evaluations of one challenge: leaderboard, intervals, significance.")

FILES = ("leaderboard.csv", "leaderboard.json", "leaderboard.png")
Switch = Annotated[bool, cyclopts.Parameter(negative="")]


@app.default
def rank(
    *runs: str,
    metric: Annotated[list[str] | None, cyclopts.Parameter(negative="")] = None,
    scheme: Literal["casewise", "lnq2023", "mean-relative"] = "casewise",
    test: Literal["wilcoxon", "permutation"] = "wilcoxon",
    bootstrap: int = 1000,
    seed: int = 0,
    out: Path | None = None,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Rank evaluations of one challenge: leaderboard, intervals, significance.

    Args:
        runs: Folders that voxbench evaluate wrote (--out), two or more; NAME=FOLDER shows one under another name.
        metric: Metrics to rank by; all if not given.
        scheme: How ranks come about: per case, then averaged; as LNQ 2023; or of the means, then averaged.
        test: Paired test of every two methods, corrected after Holm within each metric.
        bootstrap: How often cases are drawn again.
        seed: Of all draws.
        out: Folder for leaderboard.csv, leaderboard.json and leaderboard.png.
        force: Replace files that are there.
        json: Print leaderboard.json on standard output too.
    """
    from voxbench.challenges.tables import comparable, read_run
    from voxbench.cli.output import result_folder
    from voxbench.errors import UsageError
    from voxbench.io import sha256, to_json, write_json, write_table
    from voxbench.report.leaderboard import RankSettings, leaderboard, stability_png

    if len(runs) < 2:
        raise UsageError(f"rank: {len(runs)} run named; two or more are needed")
    settings = RankSettings(scheme=scheme, test=test, bootstrap=bootstrap, seed=seed)
    read = [read_run(*named_run(word)) for word in runs]
    board = leaderboard(comparable(read, metric or ()), settings)
    content = {
        "challenge": read[0].challenge,
        "runs": {run.name: {"file": run.path, "sha256": sha256(run.path)} for run in read},
    } | board.content()
    if out is not None:
        with result_folder(out, FILES, force) as folder:
            write_table(folder / FILES[0], board.rows())
            write_json(folder / FILES[1], content)
            (folder / FILES[2]).write_bytes(stability_png(board))
    _show(board, read[0].challenge)
    if json:
        print(to_json(content))


def named_run(word: str) -> tuple[Path, str]:
    """Folder and name; a folder that is there may have = in its name."""
    name, equals, folder = word.partition("=")
    return (Path(folder), name) if equals and name and not Path(word).is_dir() else (Path(word), "")


def _show(board: Leaderboard, challenge: str) -> None:
    """The tables for eyes: ranks; and means, a line per metric, so that many metrics stay readable."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = board.rows()
    ranks = Table(title=f"{challenge}, {board.settings.scheme}")
    for name in ("rank", "method", "mean rank"):
        ranks.add_column(name, no_wrap=True)
    for row in rows:
        rank = f"{row['rank']} ({row['rank_low']} to {row['rank_high']})"
        ranks.add_row(rank, escape(row["method"]), f"{row['mean_rank']:.3f}")
    means = Table()
    means.add_column("mean")
    for row in rows:
        means.add_column(escape(row["method"]), justify="right")
    for scores in board.scores:
        means.add_row(escape(str(scores.metric)), *(_cell(row, scores.metric.name) for row in rows))
    console = Console(stderr=True, highlight=False)
    console.print(ranks)
    console.print(means)
    console.print("intervals: 95 %, cases drawn again; * the first is better, Holm p < 0.05, ** 0.01, *** 0.001")


def _cell(row: dict[str, Any], metric: str) -> str:
    """Mean, interval, how many cases are undefined, and whether the first method is better."""
    from voxbench.report.leaderboard import mark

    mean, low, high, p = (row[f"{metric}_{key}"] for key in ("mean", "low", "high", "p_holm"))
    undefined = row[f"{metric}_undefined"]
    lost = f", {undefined} undefined" if undefined else ""
    return f"{mean:.4g} ({low:.4g} to {high:.4g}{lost}) {mark(p)}".rstrip()
