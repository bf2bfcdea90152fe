"""The containers of each challenge, loaded when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxbench.deploy.sockets import Deployment


def deployment_of(challenge: str) -> Deployment:
    """A challenge's containers.

    Raises:
        UsageError: There is no such challenge.
        MissingToolError: Something it needs is not installed.
    """
    from voxbench.challenges.catalogue import CHALLENGES
    from voxbench.errors import MissingToolError, UsageError

    names = [known.name for known in CHALLENGES]
    if challenge not in names:
        raise UsageError(f"{challenge}: no such challenge\n  there are {', '.join(names)}")
    try:
        return import_module(f"voxbench.challenges.{challenge}.algorithm").DEPLOYMENT
    except ImportError as error:
        raise MissingToolError(f"{challenge} needs {error.name}: pip install 'voxbench[learn]'") from error
