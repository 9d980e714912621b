"""Images to payloads: each scheme with its backbone, opened once, by the link asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.payload import Analog, Coded, Ideal
from edge.encoder import Encoder


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle, 1)


def test_a_scheme_is_opened_once(encoder: Encoder) -> None:
    assert encoder.scheme("jscc-ae-64") is encoder.scheme("jscc-ae-64")
    assert encoder.scheme("jscc-ae-64") is not encoder.scheme("jscc-ae-256")
    with pytest.raises(BundleError, match="no scheme 'jscc-ae-65'"):
        encoder.scheme("jscc-ae-65")


def test_the_usual_link_is_the_schemes_first(encoder: Encoder) -> None:
    assert encoder.link("jscc-ae-64", None) == "analog"
    assert encoder.link("digital-64", None) == "coded"
    assert encoder.link("digital-64", "ideal") == "ideal"
    with pytest.raises(InputError, match="jscc-ae-64 has no coded link; it has: analog"):
        encoder.link("jscc-ae-64", "coded")
    settings = encoder.send_settings("digital-64", None, 7)
    assert (settings.scheme_id, settings.link, settings.top_k) == ("digital-64", "coded", 7)


def test_payloads_are_of_the_link(encoder: Encoder) -> None:
    features = np.random.default_rng(0).standard_normal((2, 2048)).astype(np.float32)
    for scheme_id, link, kind in (
        ("jscc-ae-64", None, Analog),
        ("digital-64", None, Coded),
        ("digital-64", "ideal", Ideal),
    ):
        payloads = encoder.payloads(features, scheme_id, link)  # type: ignore[arg-type]
        assert [type(payload) for payload in payloads] == [kind, kind]


def test_images_of_any_size_give_a_feature_each(encoder: Encoder) -> None:
    images = [Image.new("RGB", (30, 70), (i, 200, 50)) for i in (0, 250)]
    features = encoder.features(images)
    assert features.shape == (2, 2048)
    assert features.dtype == np.float32
    np.testing.assert_allclose(encoder.features(images, "digital-64"), features, rtol=1e-5)
    assert (features[0] != features[1]).any()
