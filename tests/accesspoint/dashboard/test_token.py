"""An access point that asks for a token, and that goes away and comes back."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect

from simulation.processes import Role

from .conftest import ANY, Complaints, free_port


def make_token(data: Path, scope: str) -> str:
    command = [sys.executable, "-m", "airreid.cli", "ap", "token", "add", "--data-dir", str(data)]
    shown = subprocess.run(
        [*command, "--name", f"desk-{scope}", "--scope", scope],
        check=True,
        capture_output=True,
        text=True,
    )
    match = re.search(r"airreid_[\w-]+", shown.stdout)
    assert match
    return match.group()


def test_token_and_restart(page: Page, complaints: Complaints, tmp_path: Path) -> None:
    token = make_token(tmp_path, "read")
    http = f"127.0.0.1:{free_port()}"
    serve = ["ap", "serve", "--data-dir", str(tmp_path), "--grpc", ANY, "--http", http]
    sent: list[str] = []
    with Role("access point", [*serve, "--require-token"]):
        page.goto(f"http://{http}")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Token", exact=True).fill("airreid_wrong")
        dialog.get_by_role("button", name="Use token").click()
        expect(dialog).to_contain_text("not known here")
        dialog.get_by_label("Token", exact=True).fill(token)
        page.on("request", lambda request: sent.append(request.url))
        dialog.get_by_role("button", name="Use token").click()
        expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
        expect(page.locator("#alarm")).to_be_hidden()
        assert all(token not in url for url in sent)
        assert page.evaluate("localStorage.length") == 0
        page.get_by_role("link", name="Gallery").click()
        form = page.get_by_role("form", name="Enrol")
        form.get_by_label("Subject id").fill("x")
        form.get_by_label("Camera").fill("c")
        image = {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"}
        form.get_by_label("Images of one person").set_input_files(image)
        form.get_by_role("button", name="Enrol").click()
        expect(form).to_contain_text("this needs scope enrol")
    expect(page.locator("#alarm")).to_contain_text("does not answer")
    with Role("access point", [*serve, "--require-token"]):
        expect(page.locator("#status-text")).to_have_text(re.compile("Ready"))
        expect(page.locator("#alarm")).to_be_hidden()
        page.goto("about:blank")
    expected = re.compile("401|403|503|ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_NETWORK")
    assert [complaint for complaint in complaints if not expected.search(complaint)] == []
    complaints.clear()
