"""docs/bundle.md: its program makes a bundle that works, its tables name every field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airreid.bundle import BackboneInfo, Manifest, load_bundle
from airreid.bundle_cli import check_graphs
from airreid.scheme_info import DigitalInfo, JsccInfo, NestedInfo
from edge.encoder import Encoder

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bundle.md"


def test_the_bundle_made_by_hand_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, str(PAGE), "exec"), {})
    bundle = load_bundle("by-hand")
    check_graphs(bundle)
    assert Encoder(bundle, 1).send_settings(None, None, 1).scheme_id == "jscc-fc-16"
    assert len([line for line in program.splitlines() if line.strip()]) < 40


def test_every_field_is_described() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    for model in (Manifest, BackboneInfo, JsccInfo, NestedInfo, DigitalInfo):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in named, (model.__name__, name)


def test_the_compose_file_puts_the_bundle_where_the_images_look() -> None:
    compose, dockerfile = (
        (ROOT / name).read_text() for name in ("docker-compose.yml", "Dockerfile")
    )
    [folder] = re.findall(r"AIRREID_BUNDLE=(\S+)", dockerfile)
    assert f'"${{AIRREID_BUNDLE:-./models/demo}}:{folder}:ro"' in compose
    assert compose.count("[*bundle, ") == 4, "access point and three edges"
