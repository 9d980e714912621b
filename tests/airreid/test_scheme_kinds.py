"""Kinds of scheme: ids, manifests, and what each kind sends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airreid.bundle import Bundle, Manifest
from airreid.errors import BundleError, InputError
from airreid.scheme_info import DigitalInfo, FileRef, JsccInfo
from airreid.scheme_kinds import (
    SchemeKind,
    bandwidth_of,
    kind_of,
    open_scheme,
    parse_scheme_id,
    register_scheme_kind,
    scheme_kind,
    scheme_kinds,
)
from airreid.validation import loaded

FILE = FileRef(path="x.onnx", sha256="0" * 64)


def test_the_longest_kind_that_an_id_begins_with_is_its_kind() -> None:
    assert [kind_of(text) for text in ("jscc-ae-64", "jscc-fc-joint-64", "digital-256-r1")] == [
        "jscc-ae",
        "jscc-fc",
        "digital",
    ]
    with pytest.raises(
        InputError, match="begins with none of jscc-ae, jscc-fc, jscc-nested, digital"
    ):
        kind_of("analog-64")


def test_bandwidths_are_read_off_ids() -> None:
    assert [bandwidth_of(text) for text in ("jscc-ae-64", "digital-256-r2")] == [64, 256]
    with pytest.raises(InputError, match="does not end in a bandwidth"):
        bandwidth_of("jscc-ae")


@pytest.mark.parametrize("text", ["jscc-ae", "jscc-ae-0", "jscc-xx-64", "jscc-ae-2049", "64"])
def test_ids_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write jscc-ae-B with a bandwidth B of 1 to 2048"):
        parse_scheme_id(text, ("jscc-ae",), 2048)


def test_ids_of_the_form_are_taken_apart() -> None:
    assert parse_scheme_id("jscc-ae-joint-64-r1", ("jscc-fc", "jscc-ae")) == ("jscc-ae", 64)


def test_a_name_is_one_kinds_alone() -> None:
    taken = scheme_kind("digital")
    other = SchemeKind("digital", "other", taken.info, taken.open, taken.links)
    with pytest.raises(ValueError, match="scheme kind 'digital' is registered already"):
        register_scheme_kind(other)
    assert scheme_kind("digital") is taken
    assert register_scheme_kind(taken) is taken


def test_labels_and_links_of_the_projects_own() -> None:
    assert {kind.name: (kind.label, kind.links) for kind in scheme_kinds()} == {
        "jscc-ae": ("JSCC AE", ("analog",)),
        "jscc-fc": ("JSCC FC", ("analog",)),
        "jscc-nested": ("JSCC nested", ("analog",)),
        "digital": ("digital", ("coded", "ideal")),
    }


def test_every_scheme_of_the_demo_opens_as_its_kind(bundle: Bundle) -> None:
    for info in bundle.manifest.schemes:
        assert info.kind == kind_of(info.id)
        assert type(info) is scheme_kind(info.kind).info
        assert open_scheme(bundle, info, 1).info is info
        assert scheme_kind(info.kind).made_for(bundle, info).endswith((" dB", " bits"))


def test_a_manifest_is_written_as_it_was_read(bundle: Bundle) -> None:
    raw = json.loads((bundle.path / "manifest.json").read_text())
    manifest = loaded(Manifest, json.dumps(raw), "manifest.json")
    again = json.loads(manifest.model_dump_json())
    assert again == raw
    assert any("codebook" in scheme for scheme in again["schemes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "smoke"}, r"'smoke' is none of jscc-ae, jscc-fc, jscc-nested, digital"),
        ({"kind": None}, r"schemes\.0: kind: missing"),
        ({"bandwidth": 0}, r"schemes\.0\.bandwidth: .*greater than or equal to 1"),
        ({"id": "Jscc"}, r"schemes\.0\.id: "),
        ({"surprise": 1}, r"schemes\.0\.surprise: "),
    ],
)
def test_a_scheme_that_does_not_fit_is_named(
    bundle: Bundle, change: dict[str, object], message: str
) -> None:
    raw = json.loads((bundle.path / "manifest.json").read_text())
    raw["schemes"][0] |= change
    with pytest.raises(BundleError, match=message):
        loaded(Manifest, json.dumps(raw), Path("manifest.json"))


def test_files_come_in_the_order_of_the_fields() -> None:
    shared = {"space_id": "s", "bandwidth": 4, "embedding_dim": 2}
    other = FileRef(path="y.onnx", sha256="1" * 64)
    jscc = JsccInfo(
        id="jscc-ae-4",
        kind="jscc-ae",
        encoder=FILE,
        decoder=other,
        gallery="decoder(encoder)",
        snr_db_train=(0, 0),
        **shared,
    )
    assert jscc.files == [FILE, other]
    received = jscc.model_copy(update={"decoder": None, "gallery": "encoder"})
    assert received.files == [FILE]
    digital = DigitalInfo(
        id="digital-4", kind="digital", encoder=FILE, coding_tables=other, **shared
    )
    assert digital.files == [FILE, other]
