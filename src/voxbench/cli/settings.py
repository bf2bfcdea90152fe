"""Settings from a TOML file, as defaults below the command line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voxbench.config import Config
from voxbench.errors import UsageError
from voxbench.io.tables import read_toml

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import ArgumentCollection

C = TypeVar("C", bound=Config)
Hook = Callable[["App", tuple[str, ...], "ArgumentCollection"], None]


def toml_settings(model: type[Config], option: str = "--config") -> Hook:
    """A hook for ``App(config=...)`` that fills settings left open on the command line from a TOML file.

    Values go through the same checks as those typed; a rule between two settings sees both, wherever each came from.

    Args:
        model: What the file may set; nested configurations are tables.
        option: Where the command line names the file.

    Returns:
        The hook. It raises `UsageError` for a key the model does not have, `FileReadError` for a file that cannot be
        read or is not TOML.
    """

    def fill(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        from cyclopts.config import Dict

        tokens = next((argument.tokens for argument in arguments if option in argument.names), [])
        for token in tokens:
            values = read_toml(Path(token.value))
            require_known_keys(values, model, token.value)
            Dict(values, source=token.value, use_commands_as_keys=False)(app, commands, arguments)

    return fill


def toml_options(option: str = "--config", suffix: str = "") -> Hook:
    """A hook for ``App(config=...)`` that fills any option left open on the command line from a TOML file.

    Keys are the command's own options, ``allow_missing`` or ``allow-missing``; folders and files are named as they
    would be on the command line.

    Args:
        option: Where the command line names the file; it cannot stand in the file itself, unless ``suffix`` is given.
        suffix: Of the files that are TOML, where the option takes others too; those are the command's.

    Returns:
        The hook. It raises `UsageError` for a key that is no option, `FileReadError` for a file that cannot be read or
        is not TOML.
    """

    def fill(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        from cyclopts.config import Dict

        own = next((argument for argument in arguments if option in argument.names), None)
        if own is None:
            return
        files = [token for token in own.tokens if token.value.endswith(suffix)]
        if suffix:
            own.tokens = [token for token in own.tokens if token not in files]
        known = {name.removeprefix("--") for argument in arguments for name in argument.names}
        known -= set() if suffix else {option.removeprefix("--")}
        for token in files:
            values = read_toml(Path(token.value))
            _require_options(values, known, token.value)
            # Under the command's own name, or a key that is also a verb's (morphometry) would be left out.
            for command in reversed(commands):
                values = {command: values}
            Dict(values, source=token.value)(app, commands, arguments)
        if files and suffix and own.required and not own.tokens:
            key = option.removeprefix("--")
            raise UsageError(f"{option}: {files[0].value} gives options; it lacks {key} = [...], the other files")

    return fill


def _require_options(values: Mapping[str, Any], known: Collection[str], source: str) -> None:
    """Refuse keys that name no option, and tables; an option has one value, or a list."""
    for key, value in values.items():
        if key.replace("_", "-") not in known:
            near = difflib.get_close_matches(key.replace("_", "-"), sorted(known), n=1)
            hint = f"; did you mean {near[0].replace('-', '_')}?" if near else ""
            raise UsageError(f"{source}: {key}: not an option of this command{hint}")
        if isinstance(value, Mapping):
            raise UsageError(f"{source}: {key}: a table; an option is a value or a list of values")


def require_known_keys(values: Mapping[str, Any], model: type[Config], source: str, above: str = "") -> None:
    """Refuse keys that name no setting.

    Raises:
        UsageError: Some key does not exist; the file, the key and the nearest name are given.
    """
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            near = difflib.get_close_matches(key, model.model_fields, n=1)
            hint = f"; did you mean {above}{near[0]}?" if near else ""
            raise UsageError(f"{source}: {above}{key}: Extra inputs are not permitted{hint}")
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, Config)
        if nested and isinstance(value, Mapping):
            require_known_keys(value, field.annotation, source, f"{above}{key}.")  # pyright: ignore[reportArgumentType]


def checked(model: type[C], values: Mapping[str, Any]) -> C:
    """Settings from options whose bounds are the model's.

    Raises:
        UsageError: A value is out of bounds; the option is named.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = error.errors()[0]
        option = str(told["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option}: {told['msg']}; got {told['input']}") from error
