"""The dashboard in a browser, on an access point and a channel that really run."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from airreid.client import ChannelClient, GalleryClient, ok
from airreid.v1 import gallery_pb2

from . import audit
from .conftest import PEOPLE, SCHEME, Complaints, System


def percent(part: int, whole: int) -> str:
    """Rounded half up, in whole numbers alone."""
    return f"{(200 * part + whole) // (2 * whole)} %"


def test_queries_appear_with_ranking_and_snr(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    system.set_snr(9.5)
    answer = system.send([3], edge="north-gate")[0]
    row = page.locator(".queries > li").first
    expect(row).to_contain_text("north-gate · analog · jscc-ae-64")
    expect(row).to_contain_text("+9.5 dB")
    expect(row.locator(".badge")).to_contain_text("No decision")
    expect(row.locator(".who")).to_have_text(f"nearest: {answer.identities[0].subject}")
    row.locator("summary").click()
    ranked = row.locator(".ranking li .name").all_text_contents()
    assert ranked == [identity.subject for identity in answer.identities]
    scores = row.locator(".ranking li .value").all_text_contents()
    assert [float(text.replace("−", "-")) for text in scores] == pytest.approx(
        [identity.score for identity in answer.identities], abs=6e-4
    )
    nearest = page.locator(".latest .latest-nearest")
    expect(nearest).to_have_text(f"nearest: {answer.identities[0].subject}")
    expect(page.locator(".cameras")).to_contain_text("north-gate")


def test_accuracy_is_that_of_the_answers(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    page.get_by_role("button", name="Start afresh").click()
    right = {}
    everybody = list(range(PEOPLE))
    for snr in (-9.0, 11.0):
        system.set_snr(snr)
        answers = system.send(everybody, edge="measured")
        right[snr] = sum(
            answer.identities[0].subject == f"p{i:02d}"
            for i, answer in zip(everybody, answers, strict=True)
        )
    tiles = page.locator(".tile", has_text="Queries").locator("dd")
    expect(tiles).to_have_text(str(2 * PEOPLE))
    expect(page.locator(".tile", has_text="Rank-1 right").locator("dd")).to_have_text(
        percent(sum(right.values()), 2 * PEOPLE)
    )
    chart = page.locator(".chart").first
    words = chart.get_attribute("aria-label") or ""
    assert f"−10 to −8 dB: {percent(right[-9.0], PEOPLE)} of {PEOPLE}" in words
    assert f"10 to 12 dB: {percent(right[11.0], PEOPLE)} of {PEOPLE}" in words
    system.send([0], edge="silent", known=False)  # who nobody knows is no mistake
    expect(tiles).to_have_text(str(2 * PEOPLE + 1))
    assert words == chart.get_attribute("aria-label")


def test_pause_holds_the_list_and_then_goes_on(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    page.get_by_role("button", name="Start afresh").click()
    page.get_by_role("button", name="Pause").click()
    system.send([1, 2, 4])
    expect(page.get_by_text("3 queries waiting")).to_be_visible()
    expect(page.locator(".queries > li")).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".queries > li")).to_have_count(3)


def test_the_slider_turns_the_channel(page: Page, system: System) -> None:
    system.set_snr(4.0)
    page.goto(f"{system.url}/#link")
    slider = page.get_by_role("slider", name="SNR of all links, dB")
    expect(slider).to_have_value("4")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")  # 0.5 dB each
    expect(page.locator(".snr-said")).to_have_text("+6.0 dB")
    with ChannelClient(system.channel) as control:
        page.wait_for_timeout(700)
        assert control.links().default_settings.snr_db == 6.0
        assert system.send([5])[0].channel.snr_db == 6.0
        page.get_by_label("Edge id").fill("yard")
        page.get_by_role("button", name="Give it its own settings").click()
        yard = page.get_by_role("region", name="yard")
        yard.get_by_label("Model").select_option("rician")
        yard.get_by_label("K factor").fill("9")
        yard.get_by_label("K factor").press("Enter")
        page.wait_for_timeout(700)
        assert control.links().links["yard"].k_factor_db == 9.0
        yard.get_by_role("button", name="Follow the default again").click()
        expect(yard).to_have_count(0)
        assert "yard" not in control.links().links


def test_browse_enrol_and_delete(page: Page, system: System, images: list[Path]) -> None:
    page.goto(f"{system.url}/#gallery")
    subjects = page.locator(".subjects button")
    expect(subjects).to_have_count(PEOPLE)
    page.get_by_label("Id or name begins with").fill("p1")
    expect(subjects).to_have_count(2)
    page.get_by_role("button", name="p11").click()
    expect(page.get_by_role("region", name="Subject p11")).to_contain_text("hall")
    form = page.get_by_role("form", name="Enrol")
    form.get_by_label("Subject id").fill("p1-new")
    form.get_by_label("Camera").fill("desk")
    form.get_by_label("Images of one person").set_input_files(images)
    form.get_by_role("button", name="Enrol").click()
    expect(form).to_contain_text("2 of 2 images enrolled")
    card = page.get_by_role("region", name="Subject p1-new")
    expect(card.locator(".entries li")).to_have_count(2)
    card.get_by_role("button", name=re.compile("Delete entry")).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card.locator(".entries li")).to_have_count(1)
    card.get_by_role("button", name="Delete subject").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(card).to_be_visible()
    card.get_by_role("button", name="Delete subject").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    with GalleryClient(system.ap) as client:
        assert "p1-new" not in [subject.id for subject in client.subjects()]


def test_what_a_camera_says_is_text(page: Page, system: System) -> None:
    evil = '<img src=x onerror="document.title=1">'
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    system.send([1], edge=evil, to=system.ap, track_id=evil)
    row = page.locator(".queries > li").first
    expect(row).to_contain_text(evil)
    row.locator("summary").click()
    expect(row.locator(".facts")).to_contain_text(evil)
    expect(page.locator(".cameras")).to_contain_text(evil)
    assert page.locator("main img").count() == 0
    assert page.title() != "1"


def test_what_somebody_wrote_about_a_subject_is_text(page: Page, system: System) -> None:
    evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    body = json.dumps({"display_name": evil, "note": evil}).encode()
    request = urllib.request.Request(
        f"{system.url}/v1/subjects/p00",
        body,
        {"content-type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request).close()
    page.goto(f"{system.url}/#gallery")
    page.locator(".subjects button", has_text=evil).click()
    expect(page.get_by_role("heading", name=evil)).to_be_visible()
    expect(page.locator(".pairs dd", has_text=evil)).to_be_visible()
    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_role("dialog")).to_contain_text("Merge p00")
    page.keyboard.press("Escape")
    assert page.locator("main img, main script").count() == 0
    assert page.title() != "1"


def test_lost_and_refused_blocks_say_so(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    system.set_snr(-20.0)
    assert system.send([1], scheme_id="digital-64", link="ideal")[0].outage
    row = page.locator(".queries > li").first
    expect(row).to_contain_text("Lost")
    expect(row).to_contain_text("ideal")
    expect(page.locator(".latest .latest-who")).to_have_text("block lost")
    system.send([1], edge="stranger", bundle_id="feedfacefeedface")
    expect(row).to_contain_text("wrong bundle")
    page.get_by_label("Show").select_option("outage")
    expect(row).to_contain_text("block lost")
    expect(page.locator(".queries > li:not([data-outcome=outage])")).to_have_count(0)
    system.set_snr(12.0)


def test_merge(page: Page, system: System) -> None:
    with GalleryClient(system.ap) as client:
        space = client.describe().space_id
        values = system.features[5, 0, 0].tobytes()
        feature = gallery_pb2.Feature(space_id=space, values=values)
        item = gallery_pb2.EnrollItem(subject="twin", camera="hall", feature=feature)
        assert all(ok(result.status) for _, result in client.enrol([item]))
        page.goto(f"{system.url}/#gallery")
        page.get_by_role("button", name="twin").click()
        page.get_by_role("button", name="Merge").click()
        page.get_by_label("Id of the subject that stays").fill("p05")
        page.get_by_role("dialog").get_by_role("button", name="Merge").click()
        card = page.get_by_role("region", name="Subject p05")
        expect(card.locator(".entries li")).to_have_count(4)
        enrolled = {subject.id: subject.entries for subject in client.subjects()}
    assert enrolled["p05"] == 4
    assert "twin" not in enrolled


def test_calibration_says_what_it_needs(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#health")
    rate = page.get_by_label("False matches to allow")
    button = page.get_by_role("button", name="Calibrate")
    for percentage in ("2", "1"):
        rate.fill(percentage)
        with urllib.request.urlopen(
            f"{system.url}/v1/calibration?false_match_rate={int(percentage) / 100}"
        ) as answer:
            refusal = json.load(answer)["refusal"]
        assert refusal
        expect(page.locator("#calibrate-needs")).to_contain_text(refusal)
        expect(button).to_be_disabled()
        assert button.get_attribute("aria-describedby") == "calibrate-needs"
    body = {"kind": "calibrate", "parameters": {"false_match_rate": "0.01"}}
    request = urllib.request.Request(
        f"{system.url}/v1/jobs", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    expect(page.locator(".jobs .state-word").first).to_have_text("failed")
    expect(page.locator(".jobs")).to_contain_text("enrol 299 subjects")
    expect(page.get_by_text("No thresholds yet")).to_be_visible()
    rate.fill("30")
    expect(page.get_by_text(f"takes 9 subjects; {PEOPLE} are enrolled")).to_be_visible()
    expect(button).to_be_enabled()
    expect(page.locator("#calibrate-needs")).to_contain_text("from one camera")


@pytest.mark.slow
def test_calibrated_thresholds_decide(page: Page, system: System) -> None:
    page.goto(f"{system.url}/#health")
    page.get_by_label("False matches to allow").fill("30")
    page.get_by_role("button", name="Calibrate").click()
    expect(page.locator(".jobs .state-word").first).to_have_text("done", timeout=60_000)
    expect(page.get_by_text("At most 30 %")).to_be_visible()
    page.get_by_text("Thresholds by SNR").click()
    page.get_by_label("Scheme", exact=True).select_option(SCHEME)
    expect(page.locator("#view-health tbody tr").first).to_be_visible()
    page.goto(f"{system.url}/#live")
    page.get_by_role("button", name="Start afresh").click()
    decision = system.send([1])[0].decision
    assert decision.threshold > 0
    row = page.locator(".queries > li")
    expect(row).to_have_count(1)
    expect(row).not_to_contain_text("No decision")
    row.locator("summary").click()
    expect(row.locator(".facts")).to_contain_text(f"{decision.threshold:.3f}")


def test_by_keyboard_alone(page: Page, system: System) -> None:
    system.send([2])
    page.goto(system.url)
    expect(page.locator(".queries > li").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    names = []
    for _ in range(7):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "the focus can be seen"
    assert names == ["Token", "Dark", "Live", "Link", "Gallery", "Search", "Health"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Health")).to_be_focused()
    expect(page.get_by_text("Feature space")).to_be_visible()
    page.goto(f"{system.url}/#live")
    page.locator(".query summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".query .ranking").first).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 360),
        ("dark", 1280),
        pytest.param("dark", 360, marks=pytest.mark.slow),
        pytest.param("light", 1280, marks=pytest.mark.slow),
    ],
)
def test_contrast_names_and_width(
    browser: Browser, system: System, complaints: Complaints, scheme: str, width: int
) -> None:
    system.send([0, 1, 2])
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    complaints.watch(page)
    page.goto(system.url)
    page.locator(".query summary").first.click()
    audit.check(page)
    page.goto(f"{system.url}/#gallery")
    page.locator(".subjects button").first.click()
    page.locator(".entries li").first.wait_for()
    audit.check(page)
    page.get_by_role("button", name="Delete subject").click()
    audit.check(page)
    page.keyboard.press("Escape")
    for view, sign in (
        ("link", ".snr-line"),
        ("search", "#view-search .drop"),
        ("health", "#view-health .pairs dt"),
    ):
        page.goto(f"{system.url}/#{view}")
        page.locator(sign).first.wait_for()
        audit.check(page)
    context.close()
    assert complaints == []


def test_the_audit_finds_what_it_is_for(page: Page, system: System) -> None:
    page.goto(system.url)
    page.locator(".tile").first.wait_for()
    for spoil in (
        "document.querySelector('h1').style.color = '#999'",
        "document.querySelector('main').append(document.createElement('button'))",
        "document.querySelector('main').style.minWidth = '2000px'",
        "document.querySelector('h1').id = 'main'",
    ):
        page.reload()
        page.locator(".tile").first.wait_for()
        audit.check(page)
        page.evaluate(spoil)
        with pytest.raises(AssertionError):
            audit.check(page)


def test_the_theme_is_kept(page: Page, system: System) -> None:
    page.goto(system.url)
    page.get_by_role("button", name="Dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")


def test_only_own_scripts_and_styles(page: Page, system: System) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(system.url)
    page.locator(".tile").first.wait_for()
    assert all(url.startswith(system.url) for url in asked)
    with urllib.request.urlopen(system.url) as response:
        policy = response.headers["content-security-policy"]
        text = response.read().decode()
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text)


@pytest.mark.slow
def test_a_flood_of_queries_leaves_the_page_small(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
    page.get_by_role("button", name="Start afresh").click()
    for _ in range(40):
        system.send(list(range(PEOPLE)) * 5, edge="flood")
    total = page.locator(".tile", has_text="Queries").locator("dd")
    expect(page.locator(".cameras tr", has_text="flood")).to_contain_text("2\u2009400")
    expect(total).to_have_text("2\u2009400")
    assert page.locator(".queries > li").count() == 100
    assert page.evaluate("document.querySelectorAll('*').length") < 5000
