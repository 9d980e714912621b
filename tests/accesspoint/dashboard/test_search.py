"""Search by a picture on the page: the answer is the REST call's, and so are its refusals."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from airreid.client import GalleryClient
from airreid.images import MAX_BYTES
from airreid.v1 import gallery_pb2

from . import audit
from .conftest import PEOPLE, Complaints, System

DROP = """
(area, [name, data]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  area.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}
"""


def searched(system: System, image: bytes) -> dict[str, Any]:
    """The REST call's answer, or its problem document."""
    head = b'--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
    request = urllib.request.Request(
        f"{system.url}/v1/search?top_k=10",
        head + image + b"\r\n--x--\r\n",
        {"content-type": "multipart/form-data; boundary=x"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            document: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        document = json.load(error)
    return document


def shown_ranking(result: Locator) -> list[tuple[str, str]]:
    rows = result.locator(".ranking li")
    return [
        (row.locator(".name").inner_text(), row.locator(".value").inner_text())
        for row in rows.all()
    ]


@pytest.fixture
def view(page: Page, system: System) -> Page:
    page.goto(f"{system.url}/#search")
    expect(page.get_by_text("32 MiB at most")).to_be_visible()
    return page


def test_a_chosen_or_dropped_picture_is_ranked_and_decided(
    view: Page, system: System, images: list[Path]
) -> None:
    with GalleryClient(system.ap) as client:
        enrolled = gallery_pb2.EnrollItem(
            subject="visitor", camera="desk", image=images[0].read_bytes()
        )
        [(_, enrolment)] = client.enrol([enrolled])
    result = view.get_by_role("region", name="Result")
    view.get_by_label("Picture of one person").set_input_files(images[0])
    expect(result.locator(".badge")).to_contain_text("No decision")
    expect(result.locator(".latest-nearest")).to_have_text("nearest: visitor")
    expect(result.locator(".found .picture")).to_have_count(2)
    status = view.locator("#view-search [role=status]")
    expect(status).to_have_text(f"{images[0].name}: No decision, nearest: visitor.")
    expect(result.locator(".ranking .picture").first).to_be_visible()
    audit.check(view)
    view.set_viewport_size({"width": 360, "height": 800})
    audit.check(view)
    for image in images:
        data = base64.b64encode(image.read_bytes()).decode()
        view.locator("#view-search .drop").evaluate(DROP, ["dropped " + image.name, data])
        expect(status).to_contain_text(f"dropped {image.name}: No decision")
        answer = searched(system, image.read_bytes())
        assert len(answer["subjects"]) == 10 < PEOPLE + 1
        assert shown_ranking(result) == [
            (hit["subject"], f"{hit['score']:.3f}".replace("-", "−")) for hit in answer["subjects"]
        ]
        expect(result.locator(".facts")).to_contain_text(answer["scheme"])
    result.locator(".ranking a", has_text="visitor").click()
    expect(view.get_by_role("region", name="Subject visitor")).to_be_visible()
    view.goto("about:blank")
    with GalleryClient(system.ap) as client:
        client.delete_subject("visitor")
    assert enrolment.entry_id


def test_a_refusal_is_shown_in_the_access_points_words(
    view: Page, system: System, images: list[Path], complaints: Complaints
) -> None:
    chooser = view.get_by_label("Picture of one person")
    alert = view.locator("#view-search [role=alert]")
    broken = b"no picture at all"
    chooser.set_input_files({"name": "<b>.png", "mimeType": "image/png", "buffer": broken})
    expect(alert).to_have_text(searched(system, broken)["detail"])
    expect(view.get_by_role("region", name="Result")).to_be_hidden()
    chooser.set_input_files(images[0])
    expect(view.get_by_role("region", name="Result")).to_be_visible()
    expect(alert).to_be_hidden()
    assert all(re.search("400", complaint) for complaint in complaints)
    complaints.clear()


def test_a_picture_that_is_too_large_stays_here(view: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    sent: list[str] = []
    view.on("request", lambda request: sent.append(request.url))
    view.get_by_label("Picture of one person").set_input_files(large)
    alert = view.locator("#view-search [role=alert]")
    expect(alert).to_contain_text("large.png: 32 MiB; a picture may have 32 MiB at most")
    assert not [url for url in sent if "/v1/search" in url]
