"""Assembly of one access point: gallery, services and background work, without sockets."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Access
from accesspoint.api.background import expiry, scrubbing
from accesspoint.api.body_limits import image_bytes
from accesspoint.api.enrolment import Encoder, Enrolment
from accesspoint.api.job_kinds import job_kinds
from accesspoint.api.jobs import Jobs
from accesspoint.api.metrics import Metrics
from accesspoint.api.paging import Pager
from accesspoint.api.pools import Pools
from accesspoint.api.rest import RestServices
from accesspoint.api.search_service import SearchService
from accesspoint.api.service import Service
from accesspoint.api.tokens import TokenFile
from accesspoint.errors import ConflictError
from accesspoint.events import Feed
from accesspoint.gallery.maintenance.backup import FILE_NAME
from accesspoint.gallery.opening import ServedGallery, opened_gallery
from accesspoint.settings import ServeSettings, asks_for_token
from airreid.bundle import Bundle

_PAGE_KEY = "page_key"


@dataclass(frozen=True)
class Services:
    """An open access point, as the gRPC and HTTP servers use it."""

    gallery: ServedGallery
    feed: Feed
    rest: RestServices
    grpc_access: Access
    http_access: Access
    pools: Pools


@dataclass(frozen=True)
class AccessControl:
    """Checks of callers at both listeners, and metrics: usable before the gallery is open."""

    metrics: Metrics
    grpc: Access
    http: Access


def access_control(settings: ServeSettings) -> AccessControl:
    """Makes the access control of both listeners, over the tokens of the data folder."""
    metrics, tokens = Metrics(), TokenFile(settings.data_dir)
    grpc, http = (
        Access(tokens, asks_for_token(settings, address), metrics.rejected.inc)
        for address in (settings.grpc, settings.http)
    )
    return AccessControl(metrics, grpc, http)


@contextlib.contextmanager
def access_point(
    bundle: Bundle, settings: ServeSettings, access: AccessControl | None = None
) -> Iterator[Services]:
    """Opens the data folder and starts the background threads; closes both on leaving.

    ``access`` None makes its own. Raises :class:`airreid.errors.InputError` for a folder
    that cannot be used.
    """
    access = access or access_control(settings)
    with contextlib.ExitStack() as stack:
        path = settings.data_dir / FILE_NAME
        gallery = stack.enter_context(
            opened_gallery(path, bundle, settings.threads, settings.gallery, settings.milvus)
        )
        writable = gallery.writable
        room = None if writable is None else writable.store.database.room
        metrics, audit = access.metrics, Audit(settings.data_dir, room)
        if not settings.gallery.read_only:
            audit.repair()
        encoder = Encoder(bundle, settings.threads)
        search_service = SearchService(bundle, gallery, encoder, audit)
        enrolment = Enrolment(gallery, encoder, settings.keep_thumbnails)
        pager = Pager(_page_key(gallery))
        index = settings.gallery.index if settings.milvus is None else "milvus"
        service = Service(
            bundle,
            gallery,
            enrolment,
            search_service,
            pager,
            audit,
            metrics,
            index,
            image_bytes(settings.body_bytes),
        )
        jobs = Jobs(
            settings.data_dir,
            job_kinds(bundle, gallery, search_service, encoder, settings.data_dir),
            audit,
        )
        stack.callback(jobs.close)
        metrics.describe(bundle=bundle.bundle_id, space=gallery.space_id, index=index)
        metrics.gauges(lambda: _gauges(gallery, jobs))
        if writable is not None and not settings.gallery.read_only:
            stack.enter_context(expiry(writable, audit, settings.expire_seconds))
            stack.enter_context(scrubbing(writable, audit, settings.scrub_hours))
        pools = stack.enter_context(Pools(settings.pools))
        yield Services(
            gallery,
            Feed(),
            RestServices(
                service,
                search_service,
                jobs,
                metrics,
                lambda: gallery.not_ready or audit.problem,
                pools,
            ),
            access.grpc,
            access.http,
            pools,
        )


def _page_key(gallery: ServedGallery) -> bytes:
    """Returns the key that seals page tokens; makes it the first time.

    It is kept with the gallery, so that after a restart, or at a second access point over
    the same gallery, a list can be continued.
    """
    key = gallery.setting(_PAGE_KEY)
    if key is None:
        key = secrets.token_hex(32)
        with contextlib.suppress(ConflictError):  # --read-only: lists end with this process
            gallery.set_setting(_PAGE_KEY, key)
    return key.encode()


def _gauges(gallery: ServedGallery, jobs: Jobs) -> dict[str, float]:
    subjects, entries = gallery.counts()
    return {
        "ready": float(gallery.ready),
        "subjects": float(subjects),
        "entries": float(entries),
        "jobs_open": float(sum(not job.over for job in jobs.list())),
    }
