"""A network is refused for a while, and for longer each time that it comes to it again."""

from __future__ import annotations

from airreid.port_sockets import BANS_MAX
from airreid.refused_networks import LONG_SECONDS, SHORT_SECONDS, RefusedNetworks

NETWORK, OTHER = "192.0.2.1/32", "192.0.2.2/32"


def test_a_network_is_refused_until_its_time_is_over() -> None:
    refusals = RefusedNetworks()
    assert refusals.refuse(NETWORK, LONG_SECONDS, now=0.0) == LONG_SECONDS
    assert refusals.at(LONG_SECONDS - 0.1) == [NETWORK]
    assert refusals.at(LONG_SECONDS) == []


def test_a_refusal_that_is_in_force_begins_anew() -> None:
    refusals = RefusedNetworks()
    assert refusals.refuse(NETWORK, SHORT_SECONDS, now=0.0) == SHORT_SECONDS
    assert refusals.refuse(NETWORK, SHORT_SECONDS, now=3.0) is None
    assert refusals.at(3.0 + SHORT_SECONDS - 0.1) == [NETWORK]
    assert refusals.at(3.0 + SHORT_SECONDS) == []
    assert refusals.refuse(OTHER, SHORT_SECONDS, now=4.0) == SHORT_SECONDS
    assert refusals.refuse(OTHER, LONG_SECONDS, now=5.0) is None
    assert refusals.at(4.0 + LONG_SECONDS) == [OTHER]


def test_each_refusal_is_twice_as_long_until_the_network_has_been_good_for_long() -> None:
    refusals, now, lengths = RefusedNetworks(), 0.0, []
    for _ in range(6):
        seconds = refusals.refuse(NETWORK, SHORT_SECONDS, now)
        assert seconds is not None
        lengths.append(seconds)
        now += seconds + 100.0
        assert refusals.at(now) == []
    assert lengths == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert refusals.at(now + 300.0) == []
    assert refusals.refuse(NETWORK, SHORT_SECONDS, now + 300.0) == SHORT_SECONDS


def test_no_more_networks_are_refused_than_a_port_can() -> None:
    refusals = RefusedNetworks()
    for number in range(BANS_MAX + 10):
        refusals.refuse(f"10.0.{number // 256}.{number % 256}/32", LONG_SECONDS, now=0.0)
    refused = refusals.at(1.0)
    assert len(refused) == BANS_MAX
    assert "10.0.0.9/32" not in refused
    assert "10.0.0.10/32" in refused
