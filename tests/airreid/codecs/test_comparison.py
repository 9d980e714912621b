"""Codes compared on held-out people through the radio that they are for."""

from __future__ import annotations

import numpy as np
import pytest

import airreid
from airreid.codecs.comparison import Comparison, Radio, trained_radio
from airreid.codecs.linear import LinearCode
from airreid.codecs.nested_selection import select_nested
from airreid.codecs.selection import Wanted, select
from airreid.codecs.statistics import moments
from airreid.retrieval import Labels

DIMENSIONS = 40


def crowd(people: int = 60) -> tuple[np.ndarray, Labels]:
    random = np.random.default_rng(1)
    labels = Labels(np.repeat(np.arange(people), 4), np.tile([0, 0, 1, 1], people))
    person = random.standard_normal((people, DIMENSIONS))[labels.identity]
    features = 2 * person + random.standard_normal((len(labels), DIMENSIONS))
    return features.astype(np.float32), labels


@pytest.mark.parametrize("radio", [Radio("rayleigh", (-3.0, 12.0)), Radio("erasure", (0.0,))])
def test_people_are_searched_for_through_the_channel_that_the_api_sends_over(radio: Radio) -> None:
    """Brute force over what :func:`airreid.channel` says arrives."""
    features, labels = crowd(12)
    random = np.random.default_rng(0)
    matrix = random.standard_normal((DIMENSIONS, 6)).astype(np.float32)
    code = LinearCode(np.zeros(DIMENSIONS, np.float32), matrix)
    first = labels.camera == 0
    rates = Comparison(features, labels, first, ~first, radio)(code, None)
    sent, stored = code.encode(features[first]), code.encode(features[~first])
    expected = []
    for snr_db in radio.snrs_db:
        hits = []
        for seed in range(2):
            link = airreid.channel(radio.model, snr_db=snr_db, seed=seed, link="held-out")
            received, _ = link.transmit(sent)
            scores = received @ (stored / np.linalg.norm(stored, axis=1, keepdims=True)).T
            nearest = labels.identity[~first][scores.argmax(axis=1)]
            hits.append((nearest == labels.identity[first]).mean())
        expected.append(np.mean(hits))
    assert rates == pytest.approx(expected)
    assert 0 < min(rates) <= max(rates) < 1


@pytest.mark.parametrize("decoded", [False, True])
def test_a_choice_is_made_through_the_radio_that_is_given(decoded: bool) -> None:
    features, labels = crowd()
    radio = Radio("rayleigh", (5.0, 15.0))
    wish = Wanted(8, decoded)
    choices, split = select(features, labels, [wish], radio=radio)
    assert split is not None
    pca = moments(features[split.fit]).pca(8)
    expected = Comparison(features, labels, split.query, split.gallery, radio)(pca, None)
    assert choices[wish].held_out["pca"] == expected
    gaussian, _ = select(features, labels, [wish], radio=Radio("awgn", radio.snrs_db))
    assert gaussian[wish].held_out["pca"] != expected


def test_a_nested_choice_is_made_through_the_radio_that_is_given() -> None:
    features, labels = crowd()
    rates = {}
    for model in ("awgn", "rayleigh"):
        choice, _ = select_nested(features, labels, 32, radio=Radio(model, (0.0, 10.0, 15.0)))
        assert {len(values) for values in choice.held_out.values()} == {3}
        rates[model] = choice.held_out["pca"]
    assert rates["rayleigh"] != rates["awgn"]


def test_a_training_is_judged_between_its_lowest_and_highest_snr() -> None:
    assert trained_radio("rayleigh", 5, 5) == Radio("rayleigh", (5.0,))
    assert trained_radio("awgn", -10, 10).snrs_db == (-10, -3, 0, 5, 10)
    assert trained_radio("awgn", -20, -10).snrs_db == (-20, -16.5, -15, -12.5, -10)
    assert trained_radio("rician", -10, 10).words == "rician at -10 to +10 dB"
    assert trained_radio("rician", 5, 5).words == "rician at +5 dB"
