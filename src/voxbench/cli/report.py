"""``voxbench report``: evaluations as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.report.evaluation import CasePictures, EvaluationPage
    from voxbench.report.scene import Scene
    from voxbench.report.scored import Scored

app = cyclopts.App(name="report", help="Write evaluations as one HTML file that opens offline.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
Many = cyclopts.Parameter(negative="")


@app.default
def report(
    *runs: str,
    out: Path = Path("report.html"),
    predictions: Annotated[list[Path] | None, Many] = None,
    references: Path | None = None,
    images: Path | None = None,
    cases: Annotated[list[str] | None, Many] = None,
    worst: int = 3,
    viewer: bool = True,
    dir_: Annotated[Path | None, cyclopts.Parameter(name="--dir")] = None,
    bootstrap: int = 1000,
    seed: int = 0,
    force: Switch = False,
) -> None:
    """Write evaluations of one challenge as one HTML file: numbers, distributions, what went wrong, pictures.

    Args:
        runs: Folders that voxbench evaluate wrote (--out); several stand side by side. NAME=FOLDER shows one under
            another name.
        out: The HTML file.
        predictions: Folder of the predictions, for pictures of cases; of several runs one each, in their order.
        references: Folder of the references; needed with --predictions.
        images: Folder of what was predicted from, for pictures of SPIDER, LNQ 2023 and SSR-KD.
        cases: Cases to show; the worst of the first run if not given.
        worst: How many of the worst cases to show.
        viewer: Put a 3-D viewer on the page (voxbench samples fetches it once).
        dir_: Where the viewer's script is kept, instead of the user's cache folder.
        bootstrap: How often cases are drawn again for the intervals.
        seed: Of the draws.
        force: Replace the file if it is there.
    """
    from rich.console import Console

    from voxbench.cli.output import require_free_file
    from voxbench.cli.rank import named_run
    from voxbench.errors import UsageError
    from voxbench.report.evaluation import evaluation_page
    from voxbench.report.evaluation_html import write_evaluation_report
    from voxbench.report.numbers import ReportSettings
    from voxbench.report.scored import read_scored
    from voxbench.report.viewer import viewer_of

    if not runs:
        raise UsageError("report: no run named; give the --out folder of a voxbench evaluate")
    wanted = _Wanted(tuple(predictions or ()), references, images, tuple(cases or ()), worst)
    wanted.check(len(runs))
    settings = ReportSettings(bootstrap=bootstrap, seed=seed)
    require_free_file(out, force)
    scored = [read_scored(*named_run(word)) for word in runs]
    page = evaluation_page(scored, settings)
    screen = Console(stderr=True, highlight=False)
    if wanted.predictions:
        page, scenes = _with_pictures(page, scored, wanted)
        write_evaluation_report(out, page, viewer_of(scenes if viewer else (), dir_))
    else:
        write_evaluation_report(out, page)
    screen.print(f"report: {out}", soft_wrap=True, markup=False)


@dataclass(frozen=True)
class _Wanted:
    """Which cases are shown, and from which files."""

    predictions: tuple[Path, ...]
    references: Path | None
    images: Path | None
    cases: tuple[str, ...]
    worst: int

    def check(self, runs: int) -> None:
        """Refuse options that do not go together, and folders that are not there."""
        from voxbench.cli.scoring import require_folders
        from voxbench.errors import UsageError

        if self.worst < 0:
            raise UsageError(f"--worst must be at least 0; got {self.worst}")
        if not self.predictions:
            alone = [name for name, given in self._named() if given]
            if alone:
                raise UsageError(f"{alone[0]} shows nothing without --predictions and --references")
            return
        if self.references is None:
            raise UsageError("--predictions shows nothing without --references")
        if len(self.predictions) != runs:
            raise UsageError(f"--predictions: {len(self.predictions)} folders for {runs} runs; give one each")
        images = () if self.images is None else (self.images,)
        require_folders(*self.predictions, self.references, *images)

    def _named(self) -> Sequence[tuple[str, object]]:
        return ("--references", self.references), ("--images", self.images), ("--cases", self.cases)


def _with_pictures(
    page: EvaluationPage, scored: Sequence[Scored], wanted: _Wanted
) -> tuple[EvaluationPage, list[Scene]]:
    """The page with pictures of its cases, and what the viewer shows."""
    from dataclasses import replace

    from voxbench.cli.progress import lines
    from voxbench.report.case_views import Folders, case_view, require_case
    from voxbench.report.evaluation import worst_cases

    chosen = wanted.cases or worst_cases(page.runs[0], wanted.worst)
    for case in wanted.cases:
        require_case(case, scored[0].cases)
    shown: list[CasePictures] = []
    scenes: list[Scene] = []
    assert wanted.references is not None
    with lines("drawing") as tell:
        for case in chosen:
            for run, rows, folder in zip(scored, page.runs, wanted.predictions, strict=True):
                tell.doing(f"drawing {case}")
                folders = Folders(folder, wanted.references, wanted.images, run.settings)
                wrong = next((row.wrong for row in rows.rows if row.case == case), "")
                pictures, scene = case_view(run.challenge, case, folders, wrong)
                title = case if len(scored) == 1 else f"{case}, {run.name}"
                shown.append(replace(pictures, run="" if len(scored) == 1 else run.name))
                scenes += [] if scene is None else [replace(scene, case=title)]
    return replace(page, pictures=tuple(shown)), scenes
