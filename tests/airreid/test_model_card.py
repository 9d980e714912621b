"""Model cards of every shape that a bundle has been written with."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from airreid.bundle import Bundle, Manifest, load_bundle, write_manifest
from airreid.errors import BundleError
from airreid.model_card import Accuracy, ModelCard
from airreid.scheme_info import DigitalInfo

JSCC_ROW = {
    "scheme": "jscc-ae-16",
    "snr_db": -3.0,
    "top1": 0.5,
    "top1_half_width": None,
    "map": 0.4,
    "pca_top1": 0.3,
    "pca_half_width": 0.01,
}
RUN = {
    "licence": "x",
    "data": "people, digest 12",
    "initial_weights": "random",
    "recipe": {
        "name": "mine",
        "seed": 3,
        "steps": [
            {"kind": "backbone", "name": "backbone", "stages": [{"height": 64, "width": 32}]},
            {"kind": "codec", "name": "codec", "schemes": ["jscc-ae-16"]},
            {"kind": "digital", "schemes": [{"id": "digital-64", "dimensions": 8, "trade": 50.0}]},
        ],
    },
    "backbones": [
        {
            "name": "backbone",
            "bn_neck": False,
            "space": "ab",
            "trained_at": [64, 32],
            "initial_weights": "random",
            "minutes": 1.5,
            "parity": 1e-6,
            "int8_cosine": None,
        }
    ],
    "accuracy": {
        "protocol": "p",
        "noiseless_backbone": {"noiseless_fp32_top1": 0.9},
        "over_the_air": [JSCC_ROW, {**JSCC_ROW, "scheme": "jscc-fc-8"}],
        "digital": [],
    },
}
SEVERAL = {
    "licence": "x; y",
    "runs": [
        {**RUN, "schemes": ["jscc-ae-16"]},
        {
            "recipe": {"steps": [{"schemes": [{"id": "digital-64", "rate_lambda": 70.0}]}]},
            "schemes": ["digital-64"],
        },
    ],
    "versions": {"torch": "2"},
}


@pytest.fixture
def demo(bundle: Bundle) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((bundle.path / "manifest.json").read_text())
    return raw


def test_the_demo_bundle_keeps_its_id_and_its_card(bundle: Bundle, demo: dict[str, Any]) -> None:
    raw = (bundle.path / "manifest.json").read_bytes()
    assert bundle.bundle_id == hashlib.sha256(raw).hexdigest()[:16] == "85cc0657a79cd3bd"
    card = bundle.manifest.provenance
    assert (card.licence, card.data) == ("Apache-2.0", "synthetic(seed=1, identities=2000)")
    assert card.recipe is not None
    assert (card.recipe.name, card.recipe.seed) == ("demo", 0)
    assert card.accuracy is not None
    assert len(card.accuracy.over_the_air) == 35
    assert [extension.from_bundle for extension in card.extended] == [
        "e45aa763ad11e694",
        "779555a93b5e929f",
    ]
    assert [record.from_bundle for record in card.requantised] == ["7f6719d6c4e5363c"]
    assert json.loads(bundle.manifest.model_dump_json()) == demo


@pytest.mark.parametrize("card", [RUN, SEVERAL, {}, {"made": {"by": ["hand"]}}])
def test_every_shape_is_written_as_it_was_read(card: dict[str, Any]) -> None:
    assert json.loads(ModelCard.model_validate(card).model_dump_json()) == card


def test_lambda_of_a_bundle_that_has_it_in_its_recipe_alone(bundle: Bundle) -> None:
    lambdas = {
        info.id: bundle.rate_lambda(info)
        for info in bundle.manifest.schemes
        if isinstance(info, DigitalInfo)
    }
    assert lambdas == {
        "digital-64": 60.0,
        "digital-256-r1": 60.0,
        "digital-256": 500.0,
        "digital-256-r2": 2000.0,
        "digital-512": 2000.0,
    }
    assert ModelCard.model_validate(RUN).rate_lambda_of("digital-64") == 50.0
    assert ModelCard.model_validate(SEVERAL).rate_lambda_of("digital-64") == 70.0
    assert ModelCard.model_validate(RUN).rate_lambda_of("jscc-ae-16") is None


def test_lambda_of_a_scheme_goes_before_that_of_the_card(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    schemes = tuple(
        scheme.model_copy(update={"rate_lambda": 9.0}) if scheme.id == "digital-64" else scheme
        for scheme in bundle.manifest.schemes
    )
    written = write_manifest(folder, bundle.manifest.model_copy(update={"schemes": schemes}))
    scheme, other = written.scheme("digital-64"), written.scheme("digital-256")
    assert isinstance(scheme, DigitalInfo)
    assert isinstance(other, DigitalInfo)
    assert written.rate_lambda(scheme) == 9.0
    assert written.rate_lambda(other) == 500.0
    stored = json.loads((folder / "manifest.json").read_text())["schemes"]
    assert [row["id"] for row in stored if "rate_lambda" in row] == ["digital-64"]


def test_rows_of_other_schemes_are_left_out_and_joined() -> None:
    card = ModelCard.model_validate(RUN)
    only = card.only(["jscc-ae-16"])
    assert only.accuracy is not None
    assert [row.scheme for row in only.accuracy.over_the_air] == ["jscc-ae-16"]
    accuracy = json.loads(only.model_dump_json())["accuracy"]
    assert accuracy["noiseless_backbone"] == {"noiseless_fp32_top1": 0.9}
    assert accuracy["digital"] == []
    joined = Accuracy(protocol="q").with_rows_of(only.accuracy)
    assert json.loads(joined.model_dump_json()) == {"protocol": "q", "over_the_air": [JSCC_ROW]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"seed": "many"}}, r"manifest\.json: provenance\.recipe\.seed"),
        ({"accuracy": {"over_the_air": [{"scheme": "a"}]}}, r"over_the_air\.0\.snr_db"),
    ],
)
def test_a_card_of_wrong_values_names_the_field(
    bundle: Bundle, demo: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    demo["provenance"] |= change
    (folder / "manifest.json").write_text(json.dumps(demo))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_manifest_takes_no_lambda_of_zero(demo: dict[str, Any]) -> None:
    demo["schemes"][4]["rate_lambda"] = 0
    with pytest.raises(ValueError, match="rate_lambda"):
        Manifest.model_validate(demo)
