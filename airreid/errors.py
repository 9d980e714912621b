"""Errors that are a user's to mend: one line, naming what is wrong and the way out."""

from __future__ import annotations

from typing import ClassVar


class AirReidError(Exception):
    """Base of the errors that are a user's to mend: one line that says the way out.

    Example:
        >>> import airreid
        >>> try:
        ...     airreid.Model(scheme_id="jscc-ae-7")
        ... except airreid.AirReidError as error:
        ...     print(str(error).split(";")[0])
        no scheme 'jscc-ae-7' in bundle demo
    """

    exit_code: ClassVar[int] = 2
    """Exit code of a command that ends with it: docs/command-line.md."""


class InputError(AirReidError):
    """A file, field or value given by the user cannot be used.

    Example:
        >>> import airreid
        >>> airreid.channel("rain")
        Traceback (most recent call last):
        ...
        airreid.errors.InputError: link model: ...
    """


class BundleError(AirReidError):
    """A model bundle is missing, damaged or does not fit.

    Example:
        >>> import airreid
        >>> airreid.load_bundle().scheme("jscc-ae-7")
        Traceback (most recent call last):
        ...
        airreid.errors.BundleError: no scheme 'jscc-ae-7' in bundle demo; it has: ...
    """


class LinkError(AirReidError):
    """The other end cannot be reached, or broke off.

    Example:
        >>> import airreid
        >>> airreid.RemoteChannel("127.0.0.1:1", connect_seconds=0.1)
        Traceback (most recent call last):
        ...
        airreid.errors.LinkError: 127.0.0.1:1: no answer within 0.1 s; ...
    """

    exit_code = 3


class RefusedError(LinkError):
    """The other end is there and refuses the request: another one is needed, not another try."""

    exit_code = 2


class UnfinishedError(AirReidError):
    """Work that was begun and did not come to its end: a job that failed or was cancelled."""

    exit_code = 1


class ParityError(AirReidError):
    """A written graph or table does not compute what it was made from."""
