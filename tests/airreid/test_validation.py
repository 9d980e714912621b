"""The first complaint about a user's values, in AirReID's own words."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from airreid.errors import BundleError, InputError
from airreid.validation import FiniteModel, FrozenModel, loaded, validated


class Inner(FrozenModel):
    size: Annotated[int, Field(ge=1)] = 1


class Outer(FiniteModel):
    inner: Inner = Inner()
    gain: float = 1.0
    rows: tuple[int, ...] = ()


def test_values_that_fit_become_a_model_that_stays_as_it_is() -> None:
    outer = validated(Outer, {"inner": {"size": 3}, "gain": 2})
    assert outer.inner.size == 3
    with pytest.raises(ValueError, match="frozen"):
        outer.gain = 3.0


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"inner": {"size": 0}}, r"^link inner\.size: .*greater than or equal to 1$"),
        ({"rows": [1, "x"]}, r"^link rows\.1: .*valid integer"),
        ({"gain": float("inf")}, "^link gain: .*finite"),
        ({"fog": 1}, "^link fog: Extra inputs are not permitted$"),
    ],
)
def test_the_first_complaint_names_what_and_field(values: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        validated(Outer, values, "link")


def test_the_value_is_shown_where_it_is_asked_for_alone() -> None:
    with pytest.raises(InputError, match=r"^gain: .*\(given: 'loud'\); say a number$"):
        validated(Outer, {"gain": "loud"}, show_given=True, way_out="say a number")
    with pytest.raises(InputError) as caught:
        validated(Outer, {"gain": "loud"})
    assert "loud" not in str(caught.value)


def test_a_file_is_named_before_its_field() -> None:
    assert loaded(Inner, b'{"size": 4}', "x.json").size == 4
    with pytest.raises(BundleError, match=r"^x\.json: size: .*greater .*; make it again$"):
        loaded(Inner, b'{"size": 0}', "x.json", way_out="make it again")
    with pytest.raises(InputError, match=r"^x\.json: document: Invalid JSON"):
        loaded(Inner, "{", "x.json", error=InputError)
