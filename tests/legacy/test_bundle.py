"""A bundle written before loads, and its schemes send and receive what they did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.images import load, to_crop
from airreid.inference import BackboneRunner
from airreid.noise import NoiseStream
from airreid.offline import pack_each, transmit
from airreid.payload import Coded, Ideal
from airreid.scheme import links_of
from airreid.scheme_kinds import open_scheme

from .support import FILES, FIRST_BLOCK, LINK, SEED, SNRS_DB

TOLERANCE = 1e-5
"""Difference of float32 values around 1: their last digits depend on the order of sums."""
PAIRS = [
    ("jscc-ae-24", "analog"),
    ("jscc-fc-16", "analog"),
    ("digital-64-r1", "coded"),
    ("digital-64-r1", "ideal"),
]


@pytest.fixture(scope="module")
def features(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return arrays["features"]


def test_it_is_the_same_bundle(legacy_bundle: Bundle, expected: dict[str, Any]) -> None:
    assert legacy_bundle.bundle_id == expected["bundle"]["bundle_id"]
    assert legacy_bundle.scheme_ids == expected["bundle"]["schemes"]
    assert legacy_bundle.spaces == expected["bundle"]["spaces"]
    pairs = [(i.id, link) for i in legacy_bundle.manifest.schemes for link in links_of(i)]
    assert pairs == PAIRS
    autoencoder, linear, digital = legacy_bundle.manifest.schemes
    assert (autoencoder.kind, linear.kind, digital.kind) == ("jscc-ae", "jscc-fc", "digital")
    assert [info.bandwidth for info in legacy_bundle.manifest.schemes] == [24, 16, 64]
    assert [info.embedding_dim for info in legacy_bundle.manifest.schemes] == [32, 16, 8]
    assert autoencoder.snr_db_train == (-10.0, 10.0)


def test_its_backbone_gives_the_same_features(legacy_bundle: Bundle, features: np.ndarray) -> None:
    crops = [to_crop(load(path)) for path in sorted((FILES / "people").rglob("*.png"))]
    runner = BackboneRunner(legacy_bundle, legacy_bundle.backbone, 1)
    np.testing.assert_allclose(runner.features(np.stack(crops)), features, atol=TOLERANCE)


@pytest.mark.parametrize("scheme_id", ["jscc-ae-24", "jscc-fc-16", "digital-64-r1"])
def test_its_galleries_are_the_same(
    legacy_bundle: Bundle,
    features: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    scheme_id: str,
) -> None:
    scheme = open_scheme(legacy_bundle, legacy_bundle.scheme(scheme_id), 1)
    embeddings = arrays[f"{scheme_id}/gallery"]
    np.testing.assert_allclose(scheme.gallery(features), embeddings, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("scheme_id", "link"), PAIRS)
def test_it_sends_the_same_and_understands_what_arrives(
    legacy_bundle: Bundle,
    features: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    scheme_id: str,
    link: str,
) -> None:
    scheme = open_scheme(legacy_bundle, legacy_bundle.scheme(scheme_id), 1)
    payloads = pack_each(scheme, link, features)  # type: ignore[arg-type]
    costs = [scheme.cost(payload) for payload in payloads]
    accounts = [(c.uses, c.payload_bits, c.crc_bits, c.side_bits) for c in costs]
    np.testing.assert_array_equal(accounts, arrays[f"{scheme_id}/{link}/accounts"])
    if link == "ideal":
        bits = np.concatenate([p.bits for p in payloads if isinstance(p, Ideal)])
        np.testing.assert_array_equal(bits, arrays[f"{scheme_id}/ideal/bits"])
    else:
        symbols = np.stack([p.symbols for p in payloads if not isinstance(p, Ideal)])
        sent = arrays[f"{scheme_id}/{link}/symbols"]
        np.testing.assert_allclose(symbols, sent, atol=TOLERANCE)
    if link == "coded":
        sizes = [p.size for p in payloads if isinstance(p, Coded)]
        np.testing.assert_array_equal(sizes, arrays[f"{scheme_id}/coded/sizes"])
    for snr_db in SNRS_DB:
        arrived = transmit(payloads, snr_db, NoiseStream(SEED, LINK), FIRST_BLOCK)
        received = scheme.unpack(arrived, [snr_db] * len(arrived))
        key = f"{scheme_id}/{link}/{snr_db:g}"
        np.testing.assert_array_equal(received.lost, arrays[f"{key}/lost"])
        embeddings = arrays[f"{key}/embeddings"]
        np.testing.assert_allclose(received.embeddings, embeddings, rtol=1e-5, atol=1e-4)
