"""Configuration is typed data: frozen, with unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of every configuration; one definition serves TOML, Python and the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
