"""A browser, and a whole system that it looks at: access point, channel, queries of cameras."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accesspoint.dashboard.mount import add_dashboard
from accesspoint.events import Feed
from airreid.bundle import Bundle
from airreid.client import ChannelClient, GalleryClient, ok
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.payload import put
from airreid.scheme import Link
from airreid.scheme_kinds import open_scheme
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, gallery_pb2, uplink_pb2
from simulation.processes import Role

from .support import served

ANY = "127.0.0.1:0"
SCHEME = "jscc-ae-64"
PEOPLE, CAMERAS = 12, 2
expect.set_options(timeout=20_000)  # a machine may be busy


def _chromium() -> str | None:
    """AIRREID_CHROMIUM, else one on the path, else the one that playwright has fetched."""
    given = os.environ.get("AIRREID_CHROMIUM")
    names = [given] if given else ["chromium", "chromium-browser", "google-chrome"]
    browser_path = next((path for name in names if (path := shutil.which(name))), None)
    if browser_path is None and not given:
        with sync_playwright() as playwright:
            fetched = playwright.chromium.executable_path
        browser_path = fetched if Path(fetched).exists() else None
    return browser_path


@pytest.fixture(scope="module")  # while it is open, no coroutine can be tested in this thread
def browser() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
    with sync_playwright() as playwright:
        # As root, in a container for example, Chromium starts only without its sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Complaints(list[str]):
    """Complaints of a page's console and network."""

    def watch(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: (
                self.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("dialog", lambda dialog: self.append(f"dialog {dialog.message}"))


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A fresh page; at the end nothing may have been complained of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(15_000)
    page = context.new_page()
    complaints.watch(page)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def assets() -> Iterator[str]:
    """Address of an application that has the page's files and no gallery."""
    app = FastAPI()
    add_dashboard(app, Feed())
    with served(app) as address:
        yield address


@pytest.fixture
def blank(page: Page, assets: str) -> Page:
    """A page of the same origin that has no scripts."""
    page.goto(f"{assets}/assets/css/tokens.css")  # shown as text, in HTML
    return page


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


@dataclass
class System:
    """Processes that run, and people's features to send as queries."""

    url: str
    ap: str
    channel: str
    bundle: Bundle
    features: np.ndarray
    """(people, cameras, shots, 2048)."""
    sent: int = 0

    def send(
        self,
        people: list[int],
        *,
        edge: str = "gate",
        to: str = "",
        known: bool = True,
        scheme_id: str = SCHEME,
        link: Link = "analog",
        **fields: str,
    ) -> list[uplink_pb2.QueryResponse]:
        """Sends a query of each person's second camera over the radio; waits for all answers."""
        shots = self.features[people, 1, self.sent % self.features.shape[2]]
        scheme = open_scheme(self.bundle, self.bundle.scheme(scheme_id), 1)
        blocks = []
        for person, payload in zip(people, scheme.pack(shots, link), strict=True):
            self.sent += 1
            number = common_pb2.BlockId(edge_id=edge, spool_id="test", sequence=self.sent)
            truth = f"p{person:02d}" if known else ""
            block = uplink_pb2.QueryRequest(
                id=number,
                scheme_id=scheme_id,
                truth=truth,
                **({"bundle_id": self.bundle.bundle_id} | fields),  # type: ignore[arg-type]
            )
            put(payload, block)
            blocks.append(block)
        with Uplink(to or self.channel) as uplink:
            return [answer.response for answer in uplink.query(blocks)]

    def set_snr(self, snr_db: float) -> None:
        with ChannelClient(self.channel) as control:
            control.set_link(snr_db, seed=5)


def made_up_features(dim: int) -> np.ndarray:
    """Not negative, as a backbone's are, and alike for one person; (people, cameras, 3, dim)."""
    draw = np.random.default_rng(4)
    persons = draw.gamma(0.5, 1.0, (PEOPLE, 1, 1, dim))
    return (persons + draw.gamma(0.5, 0.3, (PEOPLE, CAMERAS, 3, dim))).astype(np.float32)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two synthetic crops of one person."""
    write_folder(Population(seed=9, identities=1, cameras=1, shots=2), tmp_path)
    return sorted(tmp_path.rglob("*.png"))


@pytest.fixture(scope="module")
def system(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everybody's first camera is enrolled; the channel starts at 12 dB."""
    data, channel = tmp_path_factory.mktemp("ap"), f"127.0.0.1:{free_port()}"
    serve = ["ap", "serve", "--data-dir", str(data), "--grpc", ANY, "--http", ANY]
    serve += ["--keep-thumbnails"]
    with Role("access point", [*serve, "--channel", channel], 180) as ap:
        target = f"127.0.0.1:{ap.ready['grpc_port']}"
        shaped = made_up_features(bundle.backbone.feature_dim)
        with GalleryClient(target) as client:
            space = client.describe().space_id
            items = (
                gallery_pb2.EnrollItem(
                    subject=f"p{i:02d}",
                    camera="hall",
                    feature=gallery_pb2.Feature(space_id=space, values=values.tobytes()),
                )
                for i in range(PEOPLE)
                for values in shaped[i, 0]
            )
            assert all(ok(result.status) for _, result in client.enrol(items))
        radio = ["channel", "serve", "--listen", channel, "--upstream", target]
        with Role("channel", [*radio, "--snr", "12", "--seed", "5"]):
            url = f"http://127.0.0.1:{ap.ready['http_port']}"
            yield System(url, target, channel, bundle, shaped)
