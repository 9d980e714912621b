"""Live decisions with pictures and links, on a phone too, over an access point that runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from accesspoint.dashboard.mount import add_dashboard
from accesspoint.events import Feed
from airreid.client import GalleryClient
from airreid.v1 import gallery_pb2

from .conftest import Complaints, System
from .support import query, served

MEAN_COLOUR = """
(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const sums = [0, 0, 0, 0];
  data.forEach((value, i) => { sums[i % 4] += value; });
  return sums.slice(0, 3).map((sum) => (255 * sum) / sums[3]);
}
"""
BOTTOMS = "(x) => x.map((s) => document.querySelector(s).getBoundingClientRect().bottom + scrollY)"


def test_a_name_leads_to_its_card_with_the_picture_that_is_kept(
    page: Page, system: System, images: list[Path]
) -> None:
    """The picture is that of enrolment: over the radio none is sent."""
    with Image.open(images[0]) as image:
        expected = np.asarray(image.convert("RGB"), np.float64).mean(axis=(0, 1))
    with GalleryClient(system.ap) as client:
        item = gallery_pb2.EnrollItem(subject="p07", camera="desk", image=images[0].read_bytes())
        [(_, enrolled)] = client.enrol([item])
        try:
            page.goto(system.url)
            expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
            system.set_snr(12.0)
            assert system.send([7])[0].identities[0].subject == "p07"
            figure = page.locator(".latest .picture")
            expect(figure).to_contain_text("nearest, desk")
            colour = figure.locator("canvas").evaluate(MEAN_COLOUR)
            assert colour == pytest.approx(expected.tolist(), abs=12)
            system.send([8])  # nothing is kept of p08
            expect(page.locator(".latest")).to_contain_text("nearest: p08")
            expect(figure).to_be_hidden()
            row = page.locator(".queries > li").nth(1)
            row.locator(".when").click()
            expect(row.locator(".ranking .picture").first).to_be_visible()
            row.locator(".who a").click()
            card = page.get_by_role("region", name="Subject p07")
            expect(card.locator(".entries li")).to_have_count(4)
            assert page.url.endswith("/#gallery/p07")
            page.reload()
            expect(card.locator(".entries li")).to_have_count(4)
        finally:
            page.goto("about:blank")  # it asks for pictures still
            list(client.delete_entries([enrolled.entry_id]))


def test_channel_uses_saved_are_those_of_the_feed(page: Page, complaints: Complaints) -> None:
    """A page that comes later has the sums of before, and adds what it sees."""
    app, feed = FastAPI(), Feed()
    add_dashboard(app, feed)
    with served(app) as address:
        page.goto(address)
        tile = page.locator(".tile", has_text="Uses saved")
        feed.publish(query(1))
        expect(page.locator(".tile", has_text="Queries").locator("dd")).to_have_text("1")
        expect(tile).to_be_hidden()
        feed.publish(query(2, uses=64, bandwidth=256))
        feed.publish(query(3, uses=128, bandwidth=256))
        expect(tile.locator("dd")).to_have_text("62.5 %")
        page.reload()
        expect(tile.locator("dd")).to_have_text("62.5 %")
        feed.publish(query(4, uses=512, bandwidth=256))  # repetition costs more than the block
        expect(tile.locator("dd")).to_have_text("8.3 %")
        expect(tile.locator("dd")).to_have_attribute("title", "64 of 768 channel uses")
        page.goto("about:blank")
    assert all("404" in complaint for complaint in complaints)  # there is no gallery
    complaints.clear()


def test_a_phone_shows_decisions_and_cameras_first(
    browser: Browser, system: System, complaints: Complaints
) -> None:
    for edge in ("W" * 128, "stairs", "yard", "car-park", "attic"):
        system.send([1, 2, 3], edge=edge)
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    complaints.watch(page)
    page.goto(system.url)
    rows = page.locator(".queries > li")
    expect(rows.first).to_be_visible()
    expect(page.locator(".cameras")).to_contain_text("attic")
    bottoms = page.evaluate(BOTTOMS, [".latest", ".queries > li", ".cameras tbody tr:nth-child(4)"])
    assert bottoms == sorted(bottoms), "in the order in which they are read"
    assert bottoms[-1] <= 2 * 800
    expect(rows.nth(4)).to_be_hidden()
    page.get_by_role("button", name="All queries").click()
    expect(rows.nth(4)).to_be_visible()
    page.get_by_role("button", name="Fewer queries").click()
    expect(rows.nth(4)).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator(".cameras")).to_contain_text("W" * 128)
    context.close()
    assert complaints == []
