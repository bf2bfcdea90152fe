"""``voxbench serve``: what the containers of ``voxbench container`` start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="serve", help="Solve or score what a container of grand-challenge is handed.")


@app.default
def run(
    challenge: str,
    /,
    *,
    contract: Literal["exec", "invoke", "evaluation"] = "exec",
    input_: Annotated[Path, Parameter(name="--input")] = Path("/input"),
    output: Path = Path("/output"),
    model: Path = Path("/opt/ml/model"),
    ground_truth: Path | None = None,
    port: int = 4743,
) -> None:
    """Solve one case (exec), every case asked for over HTTP (invoke), or score all jobs (evaluation).

    Args:
        challenge: lnq2023, lumbarsr, lumir25, spider or ssrkd.
        contract: What the platform expects.
        input_: Where inputs.json or predictions.json lies.
        output: Where results go.
        model: Folder of the weights.
        ground_truth: Of an evaluation; by default the platform's /opt/ml/input/data/ground_truth or
            /opt/evaluation/ground-truth.
        port: Of the invoke contract; 0 takes a free one and says which.
    """
    import sys

    from voxbench.cli.deployments import deployment_of
    from voxbench.deploy import serving

    deployment = deployment_of(challenge)
    folders = serving.Folders(input_, output, model, ground_truth)
    if contract == "evaluation":
        serving.grade(deployment.algorithm, deployment.grade, folders)
    elif contract == "exec":
        serving.invoke(deployment.algorithm, serving.get_ready(deployment.algorithm, folders), folders)
    else:
        from voxbench.deploy.server import Server

        with Server(deployment.algorithm, folders, port, lambda text: print(text, file=sys.stderr)) as server:
            if port == 0:
                print(f"http://localhost:{server.server_address[1]}", flush=True)
            server.serve_forever()
