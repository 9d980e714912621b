"""Defaults of the camera's commands, for options that are left out."""

from __future__ import annotations

import inspect

from edge import cli


def test_reading_commands_print_lines_of_the_usual_edge() -> None:
    usual = {
        command.__name__: {
            name: option.default
            for name, option in inspect.signature(command).parameters.items()
            if option.default is not option.empty
        }
        for command in (cli.set_, cli.status, cli.log_)
    }
    assert usual == {
        "set_": {"scheme": None, "link": None, "to": "127.0.0.1:50050"},
        "status": {"to": "127.0.0.1:50050", "as_json": False, "json_out": None},
        "log_": {"state": None, "last": 0, "as_json": False, "json_out": None},
    }
