"""Configuration is typed data: frozen, with unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from voxbench.errors import InputError


class Config(BaseModel):
    """Base of every configuration; one definition serves TOML, Python and the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Config)


def read_settings(path: Path, kind: type[Kind], what: str) -> Kind:
    """Settings from a TOML file.

    Args:
        path: The file.
        kind: Which settings.
        what: What they are called in messages, e.g. ``a plan``.

    Raises:
        InputError: It cannot be read, is not TOML, or holds what makes no such settings (named).
    """
    import tomllib

    from pydantic import ValidationError

    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not {what}: {error}") from error
    except ValidationError as error:
        told = "\n".join(f"  {'.'.join(map(str, e['loc'])) or what}: {e['msg']}" for e in error.errors())
        raise InputError(f"{path}: not {what}\n{told}") from error
