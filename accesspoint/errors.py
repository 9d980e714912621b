"""What can go wrong at an access point, as types: one table says what each is on the wire."""

from __future__ import annotations

from airreid.errors import AirReidError, InputError


class NotFoundError(InputError):
    """Something that the request names does not exist."""


class ConflictError(InputError):
    """The request contradicts what there is: an id in use, a job that runs."""


class WrongSpaceError(InputError):
    """A feature of another backbone's space than the gallery's."""


class QualityError(InputError):
    """The quality gate refused an image; the message says why."""


class TooLargeError(InputError):
    """A body, a batch or an image above its limit."""


class NotReadyError(AirReidError):
    """The access point is starting, or waits for a reindex; try again."""


class UnauthorizedError(AirReidError):
    """No token or certificate, or one that is not known."""


class ForbiddenError(AirReidError):
    """The token or certificate is known and its scope is another."""


class RateLimitedError(AirReidError):
    """More at once than the access point takes from one client; try again later."""
