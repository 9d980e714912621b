"""REST fuzzed from its own description: whatever comes is answered as documented."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from accesspoint.api import openapi
from accesspoint.assembly import access_point
from accesspoint.dashboard.mount import add_dashboard
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle

from .conftest import Rest, rest_over

MIB = 1 << 20
CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
SEED = 20_260_101


@contextlib.contextmanager
def served(rest: Rest) -> Iterator[str]:
    """The guarded application on a real socket."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            rest.guard,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def fuzz(rest: Rest, url: str, cases: int, first: int = 0) -> dict[str, int]:
    """Sends ``cases`` requests, some as described and some not; how often each status came."""
    schema = schemathesis.openapi.from_dict(openapi.describe(rest.app))
    operations = [result.ok() for result in schema.get_all_operations()]
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    statuses: dict[str, int] = {}
    each = max(1, cases // len(strategies))
    for strategy in strategies:

        @seed(SEED + first)
        @settings(
            max_examples=each,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def run_case(case: Case) -> None:
            response = case.call(base_url=url)
            statuses[str(response.status_code)] = statuses.get(str(response.status_code), 0) + 1
            case.validate_response(response, checks=CHECKED)
            assert response.headers["x-request-id"]

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with this one
            run_case()
    return statuses


@pytest.fixture
def target(tiny: Bundle, tmp_path: Path) -> Iterator[tuple[Rest, str]]:
    data = ServeSettings(data_dir=tmp_path / "data", keep_thumbnails=True)
    with access_point(tiny, data) as services:
        assert services.gallery.wait_ready(30)
        rest = rest_over(services)
        add_dashboard(rest.app, services.feed)  # as it is served, /v1/links too
        with served(rest) as url:
            yield rest, url


def test_whatever_comes_is_answered_as_described(target: tuple[Rest, str]) -> None:
    statuses = fuzz(*target, cases=400)
    assert sum(statuses.values()) >= 250
    assert {"200", "400", "422"} <= set(statuses)


@pytest.mark.slow
def test_fifty_thousand_cases_in_bounded_memory(target: tuple[Rest, str]) -> None:
    fuzz(*target, cases=2000)  # whatever is loaded once has been loaded
    before, sent, part = resident_bytes(), 0, 0
    while sent < 50_000:
        part += 1
        sent += sum(fuzz(*target, cases=2000, first=part).values())
        grown = (resident_bytes() - before) // MIB
        logging.getLogger(__name__).info("part %d: %d cases, %d MiB", part, sent, grown)
        assert grown < 200
