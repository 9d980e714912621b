"""The root of the ``airreid`` command: loads a role's commands by name, when asked for.

Only the module of the command that is run gets imported, so that an edge needs no
FAISS, an access point no torch, and ``--help`` none of them.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from airreid.import_path import leave_current_folder
from airreid.interruption import die_at_once, ended_by_signals

if __name__ == "__main__":
    die_at_once()
    leave_current_folder()  # before anything else is looked for: the folder may have a typer.py

import typer

from airreid import __version__, console
from airreid.console import say
from airreid.errors import AirReidError


class _Role(NamedTuple):
    module: str
    extra: str
    """Extra that it needs, as in ``pip install airreid[extra]``."""
    help: str
    attribute: str = "app"
    """Name in the module of a Typer application, or of a function that is one command."""
    json_file: bool = False
    """Does its ``--json`` take a file (:mod:`airreid.json_output`)?"""


ROLES = {
    "simulate": _Role(
        "simulation.cli",
        "simulate",
        "The whole system on this machine, with a report.",
        "command",
        json_file=True,
    ),
    "edge": _Role("edge.cli", "edge", "The camera: send images over the air."),
    "channel": _Role("channel_sim.cli", "channel", "The radio: add noise to what passes."),
    "ap": _Role("accesspoint.cli", "accesspoint", "The access point: decode and find identities."),
    "gallery": _Role("airreid.gallery_cli", "edge", "The people an access point knows."),
    "bundle": _Role("airreid.bundle_cli", "edge", "Model bundles: show, verify, requantise."),
    "adopt": _Role(
        "airreid.adopt.cli", "adopt", "A network trained by others, over the air.", "adopt_command"
    ),
    "people": _Role(
        "simulation.people_cli", "simulate", "Draw synthetic people into folders.", "command"
    ),
    "health": _Role("airreid.health_cli", "channel", "Is a service there and serving?", "command"),
    "data": _Role(
        "airreid.datasets.cli", "evaluate", "Data sets: recognise, count and check.", json_file=True
    ),
    "evaluate": _Role(
        "airreid.evaluation.cli",
        "evaluate",
        "Accuracy of a bundle over the air.",
        "evaluate_command",
        json_file=True,
    ),
    "sweep": _Role(
        "airreid.evaluation.cli",
        "evaluate",
        "Measure and draw a figure of the paper.",
        "sweep_command",
    ),
    "train": _Role("training.cli", "training", "Train models and export bundles."),
    "study": _Role(
        "training.study.cli", "training", "The paper's figures and claims, trained and measured."
    ),
    "bench": _Role(
        "benchmarks.cli",
        "simulate",
        "Measure parts of the system by themselves.",
        json_file=True,
    ),
}


_QUIET = ("--quiet", "-q")
_RENAMED = {"--at": "--to", "--schemes": "--scheme"}
"""Options by the names that they had, which are still taken."""
_UNIX = ("fcntl", "resource", "pwd", "grp")
"""Modules of Python that Windows lacks."""
_FAULT = 70
"""Exit code of a fault of the program itself (EX_SOFTWARE)."""
_SYSTEM = 4
"""Exit code where the operating system refuses: a full disk, a file of somebody else's."""


def _version(value: bool) -> None:
    if value:
        say(f"airreid {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
    quiet: bool = typer.Option(
        False, *_QUIET, help="No progress and no notes; may stand behind the command, too."
    ),
) -> None:
    """AirReID: find a person again over a radio link."""
    console.set_quiet(quiet)


def _placeholder() -> None:
    """Stands in the help for a command that is not being run."""


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line as far as ``arguments`` need it.

    Raises :class:`AirReidError` naming the extra to install when a role is missing.
    """
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    root = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if wanted else None,  # the first help: without loading Rich
    )
    root.callback()(_root)
    for name, role in ROLES.items():
        if name != wanted:
            root.command(name, help=role.help)(_placeholder)
            continue
        try:
            module = importlib.import_module(role.module)
        except ModuleNotFoundError as error:
            if error.name in _UNIX:
                raise AirReidError(
                    f"'airreid {name}' runs on Linux and macOS: this system has no {error.name}"
                ) from None
            raise AirReidError(
                f"'airreid {name}' needs {error.name}: install AirReID with the extra "
                f"{role.extra}, in a checkout pip install -e '.[{role.extra}]'"
            ) from None
        loaded = getattr(module, role.attribute)
        if isinstance(loaded, typer.Typer):
            root.add_typer(loaded, name=name, help=role.help)
        else:
            root.command(name)(loaded)
    return root


def main() -> None:
    """Runs the command line; a mistake ends in one line. Exit codes: docs/command-line.md."""
    leave_current_folder()
    die_at_once()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the file's own error says what it is
    try:
        application = build(_completed() or sys.argv[1:])
        with ended_by_signals():
            application(_arguments(), prog_name="airreid")
    except AirReidError as error:
        say(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}", err=True)
        sys.exit(_SYSTEM)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        say("error: this is a fault of AirReID's own; please report it with these lines", err=True)
        sys.exit(_FAULT)


def _arguments() -> list[str]:
    """Returns the arguments as the commands take them.

    ``-q`` goes before the command wherever it stood. Where ``--json`` takes a file and has none,
    it means standard output. An option's old name becomes its new one.
    """
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    ours, rest = [_renamed(word) for word in words[:end]], words[end:]
    if any(word in _QUIET for word in ours):
        ours = ["-q", *(word for word in ours if word not in _QUIET)]
    command = next((word for word in ours if not word.startswith("-")), "")
    if command in ROLES and ROLES[command].json_file:
        following = [*ours[1:], "--"]
        for place in reversed(range(len(ours))):
            value = following[place]
            if ours[place] == "--json" and value.startswith("-") and value != "-":
                ours.insert(place + 1, "-")
    return [*ours, *rest]


def _renamed(word: str) -> str:
    name, equals, value = word.partition("=")
    return _RENAMED.get(name, name) + equals + value


def _completed() -> list[str]:
    """Returns the words that a shell wants completed; empty in an ordinary run."""
    if "_AIRREID_COMPLETE" not in os.environ:
        return []
    words = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return words.split()[1:]


if __name__ == "__main__":
    main()
