"""The options with which a command says who it is: the same on every client command."""

from __future__ import annotations

from airreid.config_file import Given
from airreid.credentials import ClientCredentials
from airreid.settings_options import with_settings

with_credentials = with_settings(ClientCredentials, argument="credentials", convert=Given.checked)
"""Gives a Typer command these options, in place of its argument ``credentials``."""
