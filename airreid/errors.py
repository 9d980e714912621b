"""Errors that are a user's to mend: one line, naming what is wrong and the way out."""

from __future__ import annotations


class AirReidError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class InputError(AirReidError):
    """A file, field or value given by the user cannot be used."""


class BundleError(AirReidError):
    """A model bundle is missing, damaged or does not fit."""


class LinkError(AirReidError):
    """The other end cannot be reached, or broke off."""
