"""Options of a Typer command made of a settings model."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from airreid.config_file import Given, Table, read_config
from airreid.flags import SettingsField, fields_of, plain_type

Command = Callable[..., None]
_CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option(help="TOML file of settings; options given here win over it.")
    ],
)
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
_TYPED = ("COMMANDLINE", "ENVIRONMENT")
"""Names of the sources of a value that a user gave; the others are defaults."""


def with_settings(
    model: type[BaseModel],
    *,
    argument: str = "given",
    convert: Callable[[Given[Any]], object] = lambda given: given,
    config: bool = False,
    partial: type[BaseModel] | None = None,
) -> Callable[[Command], Command]:
    """Gives a Typer command the options of a model, in place of one of its arguments.

    The argument is what ``convert`` makes of the :class:`Given` settings; by default these
    themselves. ``config`` adds ``--config FILE``. ``partial`` is for changes: no option has a
    default, and the model alone judges values.
    """
    fields = [field for field in fields_of(model) if field.option]
    options = {field.parameter: field for field in fields}
    assert len(options) == len(fields), f"two fields of {model.__name__} have one option"
    added = [_parameter(field, field.owner is partial) for field in options.values()]
    if config:
        added.insert(0, _CONFIG)

    def decorate(command: Command) -> Command:
        hints = typing.get_type_hints(command, include_extras=True)
        parameters = [_CONTEXT]
        for name, parameter in inspect.signature(command).parameters.items():
            if name == argument:
                parameters += added
            else:
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters.append(parameter.replace(annotation=hints[name], kind=kind))

        @functools.wraps(command)
        def wrapper(context: typer.Context, config: Path | None = None, **arguments: Any) -> None:
            flags: Table = {}
            for name, field in options.items():
                value = arguments.pop(name)
                source = context.get_parameter_source(name)
                if source is not None and source.name in _TYPED:
                    _put(flags, field, value)
            file = None if config is None else read_config(config, model)
            arguments[argument] = convert(Given(model, flags, config, file))
            command(**arguments)

        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return wrapper

    return decorate


def _put(flags: Table, field: SettingsField, value: Any) -> None:
    assert field.flag is not None
    for key in field.path[:-1]:
        flags = flags.setdefault(key, {})
    flags[field.path[-1]] = value * field.flag.scale if field.flag.scale != 1 else value


def _parameter(field: SettingsField, partial: bool) -> inspect.Parameter:
    flag, kind = field.flag, field.type
    assert flag is not None
    default: Any = None if partial or field.info.is_required() else field.info.get_default()
    if flag.scale != 1 and default is not None:
        default //= flag.scale
    bounds: dict[str, Any] = {}
    if kind is int and not partial:
        for mark in field.info.metadata:
            bounds |= {"min": mark.ge // flag.scale} if hasattr(mark, "ge") else {}
            bounds |= {"max": mark.le // flag.scale} if hasattr(mark, "le") else {}
    kind = flag.type or kind
    if typing.get_origin(kind) is tuple and typing.get_args(kind)[-1] is ...:
        kind, default = list[plain_type(typing.get_args(kind)[0])], None  # type: ignore[misc]
    elif partial and typing.get_origin(kind) is typing.Literal:
        kind = str
    explicit = [field.option] if flag.name or kind is bool else []
    option = typer.Option(
        *explicit,
        help=help_of(field),
        metavar=flag.metavar,
        envvar=flag.envvar,
        show_envvar=flag.envvar is not None,
        show_default=flag.shown_default or True,
        **bounds,
    )
    return inspect.Parameter(
        field.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if default is not None else kind | None, option],
    )


def help_of(field: SettingsField) -> str:
    """The first paragraph of a field's docstring."""
    return " ".join((field.info.description or "").partition("\n\n")[0].split())
