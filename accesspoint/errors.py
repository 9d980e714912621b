"""Errors of an access point; ``accesspoint.api.problems`` says what each is on the wire."""

from __future__ import annotations

from airreid.errors import AirReidError, InputError


class NotFoundError(InputError):
    """Raised where the request names something that does not exist."""


class ConflictError(InputError):
    """Raised where the request contradicts what there is: an id in use, a job that runs."""


class WrongSpaceError(InputError):
    """Raised for a feature of another backbone's space than the gallery's."""


class QualityError(InputError):
    """Raised for an image that the quality gate refuses; the message says why."""


class TooLargeError(InputError):
    """Raised for a body, a batch or an image above its limit."""


class NotReadyError(AirReidError):
    """Raised while the access point starts or waits for a reindex; try again."""

    exit_code = 3


class StorageError(NotReadyError):
    """Raised where the gallery's files are gone or replaced, or its disk takes no more."""


class UnauthorizedError(AirReidError):
    """Raised without a token or certificate, or for one that is not known."""


class ForbiddenError(AirReidError):
    """Raised for a token or certificate that is known and has another scope."""


class RateLimitedError(AirReidError):
    """Raised for more at once than the access point takes; try again later."""
