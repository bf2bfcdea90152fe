"""The motion found before anything is deformed."""

from __future__ import annotations

from voxbench.geometry import Affine, Volume
from voxbench.tasks.registration.config import RegistrationConfig
from voxbench.tasks.registration.linear import register_linear
from voxbench.tasks.registration.working import Extras


def initial_affine(
    fixed: Volume, moving: Volume, config: RegistrationConfig, extras: Extras
) -> tuple[Affine, float | None]:
    """moving_from_fixed on world points and the linear metric there (None where no motion was looked for)."""
    model = {"affine": "affine", "rigid": "rigid", "none": "none"}.get(config.method, config.initial)
    if model == "none":
        return Affine.identity(), None
    settings = config.linear.model_copy(update={"seed": config.seed} | ({"model": model} if model != "auto" else {}))
    found = register_linear(fixed, moving, settings, fixed_mask=extras.fixed_mask, moving_mask=extras.moving_mask)
    return found.affine, found.metric
