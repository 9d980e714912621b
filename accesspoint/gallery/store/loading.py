"""Loading of a gallery in the background, and when it may be used."""

from __future__ import annotations

import threading
from collections.abc import Callable

from accesspoint.errors import NotReadyError
from accesspoint.gallery.store.feature_spaces import ACTIVE_SPACE
from accesspoint.gallery.store.store import Store
from airreid import log

_LOADING = "the gallery is being loaded; try again in a moment"


class BackgroundLoading:
    """Runs ``load`` in a thread.

    ``load`` is given a function to call once the owner of each entry is known, so that
    enrolment need not wait for the indexes.
    """

    def __init__(
        self,
        store: Store,
        space_id: str,
        wait_s: float,
        load: Callable[[Callable[[], None]], None],
    ) -> None:
        """``wait_s``: how long a check waits before it refuses."""
        self._space_id = space_id
        self._wait_s = wait_s
        self._load_all = load
        self._owners_known, self._loaded = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        active = store.settings.get(ACTIVE_SPACE)
        if active is None or (active != space_id and active not in store.spaces()):
            active = space_id  # nothing of it is left, or ever was
            if not store.database.read_only:
                store.settings.set(ACTIVE_SPACE, active)
        self.active_space = active
        threading.Thread(target=self._load, name="gallery-loader", daemon=True).start()

    def _load(self) -> None:
        try:
            self._load_all(self._owners_known.set)
        except Exception as error:
            log.warning("gallery_not_loaded", error=f"{type(error).__name__}: {error}")
            self._failure = error
        self._owners_known.set()
        self._loaded.set()

    @property
    def needs_reindex(self) -> bool:
        """Whether the entries are of another space than the bundle's."""
        return self.active_space != self._space_id

    @property
    def ready(self) -> bool:
        """Whether the gallery is loaded, and of the bundle's space."""
        return self._loaded.is_set() and self._failure is None and not self.needs_reindex

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until loaded. Returns whether the gallery is then ready."""
        self._loaded.wait(timeout_s)
        return self.ready

    @property
    def failure(self) -> str:
        """Reason that the gallery could not be loaded; empty while it is being loaded, or is."""
        return "" if self._failure is None else str(self._failure) or repr(self._failure)

    @property
    def problem(self) -> str:
        """Reason that the gallery cannot be searched; empty if it can."""
        if not self._loaded.is_set():
            return _LOADING
        if self._failure is not None:
            return f"the gallery could not be loaded ({self.failure})"
        if self.needs_reindex:
            return (
                f"the gallery's entries are of the feature space {self.active_space}, the bundle "
                f"is of {self._space_id}: run a reindex, enrol anew, or serve the bundle they "
                "were made with"
            )
        return ""

    def check_changeable(self) -> None:
        """Raises :class:`NotReadyError` for a gallery that cannot be changed yet."""
        self._check(self._owners_known)

    def check_ready(self) -> None:
        """Raises :class:`NotReadyError` for a gallery that cannot be searched."""
        self._check(self._loaded)
        if problem := self.problem:
            raise NotReadyError(problem)

    def _check(self, event: threading.Event) -> None:
        if not event.wait(self._wait_s):
            raise NotReadyError(_LOADING)
        if self._failure is not None:
            raise NotReadyError(f"the gallery could not be loaded ({self.failure})")
