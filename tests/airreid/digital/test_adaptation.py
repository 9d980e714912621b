"""Choice of a digital scheme by the SNR, and how right the outage is that it goes by."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from airreid.bundle import Bundle, load_bundle
from airreid.digital.adaptation import Rate, choose_rate, rate_ids, rate_of
from airreid.digital.link import CodedLink
from airreid.digital.scheme import DigitalScheme
from airreid.link_report import LinkReport
from airreid.scheme_info import DigitalInfo
from airreid.signal import awgn, noise_variance

SLOW = Rate("digital-256-r1", 256, 57, 0.8, 0.90)
FAST = Rate("digital-256-r2", 256, 280, 1.6, 0.94)
SHORT = Rate("digital-64", 64, 56, 1.6, 0.938)
RATES = (SLOW, FAST, SHORT)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


def opened(bundle: Bundle, scheme_id: str) -> DigitalScheme:
    info = bundle.scheme(scheme_id)
    assert isinstance(info, DigitalInfo)
    return DigitalScheme(bundle, info, 1)


@pytest.mark.parametrize("scheme_id", ["digital-64", "digital-256", "digital-256-r2"])
def test_the_outage_is_that_of_the_code(bundle: Bundle, scheme_id: str) -> None:
    scheme = opened(bundle, scheme_id)
    rate, tables = rate_of(bundle, scheme), scheme.tables
    link = CodedLink(tables.codes[-2], tables.prior.digest[:4])
    assert rate.payload_bits == tables.codes[-2].payload_bits
    assert rate.top1 is not None
    draws, snr_db = np.random.default_rng(0), rate.least_snr_db(0.05)
    bits = draws.integers(0, 2, (200, rate.payload_bits)).astype(np.uint8)
    symbols = link.send(bits)
    noise = draws.standard_normal(symbols.shape).astype(np.float32)
    variance = np.full(len(bits), float(noise_variance(snr_db)))
    passed = link.receive(awgn(symbols, noise, snr_db), variance).passed
    assert 0.01 <= 1.0 - passed.mean() <= 0.15
    assert rate.outage(snr_db) == pytest.approx(0.05, abs=1e-3)


def test_outage_falls_with_the_snr_and_rises_with_its_spread() -> None:
    outages = [FAST.outage(snr_db) for snr_db in np.arange(-10.0, 20.0, 0.5)]
    assert all(before >= after for before, after in pairwise(outages))
    assert outages[0] == pytest.approx(1.0)
    assert outages[-1] < 1e-6
    limit = FAST.least_snr_db(0.05)
    assert FAST.outage(limit + 3.0, 3.0) > 0.05
    assert FAST.outage(limit + 3.0, 0.5) < 0.05


def test_the_best_that_keeps_the_outage_is_chosen_and_the_fewest_uses_of_those_near_it() -> None:
    def chosen(
        snr_db: float | None, spread_db: float = 0.0, rates: tuple[Rate, ...] = RATES
    ) -> str:
        return choose_rate(rates, LinkReport(snr_db, spread_db), 0.05).scheme_id

    assert chosen(None) == "digital-256-r1"  # nobody knows: the one that needs least
    assert chosen(-20.0) == "digital-256-r1"
    assert chosen(2.0) == "digital-256-r1"
    assert chosen(20.0) == "digital-64"  # within half a point of the best
    assert chosen(20.0, rates=(SLOW, FAST, replace(SHORT, top1=0.93))) == "digital-256-r2"
    assert chosen(20.0, rates=(SLOW, replace(FAST, top1=None))) == "digital-256-r2"  # most bits
    assert chosen(10.0, 8.0) == "digital-256-r1"  # too unsteady for the others
    strict = choose_rate(RATES, LinkReport(SHORT.least_snr_db(0.05)), 0.001)
    assert strict.scheme_id == "digital-256-r1"


def test_schemes_of_the_space_and_no_more_uses_stand_to_choice(bundle: Bundle) -> None:
    assert rate_ids(bundle, "digital-64") == ["digital-64"]
    every = ["digital-64", "digital-256-r1", "digital-256", "digital-256-r2"]
    assert rate_ids(bundle, "digital-256") == every
