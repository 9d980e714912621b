"""Names of people become ids that the gallery takes, and back."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accesspoint.gallery.records import check_name
from airreid.errors import InputError
from airreid.subject_ids import as_id, id_of, ids_of, name_of, shown_name

CHARACTERS = st.characters(exclude_characters="\0/", exclude_categories=["Cs"])
NAMES = st.text(st.one_of(CHARACTERS, st.sampled_from("\udc80\udcff")), min_size=1, max_size=14)
"""Names as the system gives them: bytes that are no UTF-8 come as surrogates."""


@given(NAMES)
@example("+")
@example("a+")
@example("_x")
@example("x")
@example("x ")
@example("xñ")
@example("ñ")
@example("x+C3+B1+")
@example("x++C3+B1+")
@example("Jos+C3+A9+")
@example("..")
def test_every_name_has_an_id_of_its_own(name: str) -> None:
    subject = id_of(name)
    if len(subject) <= 128:
        assert check_name(subject, "subject") == subject
    assert id_of(name_of(subject)) == subject
    assert as_id(name_of(subject)) in (subject, name_of(subject))


@given(NAMES, NAMES)
def test_two_names_never_share_an_id(first: str, second: str) -> None:
    if id_of(first) == id_of(second):
        assert unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)


def test_ids_that_people_know_stay_as_they_are() -> None:
    for name in ("person-0001", "Anna", "a.b_c:d@e-f", "0", "a+b", "P" * 128):
        assert id_of(name) == as_id(name) == name_of(name) == name


def test_accents_and_spaces_become_an_id_and_back() -> None:
    assert id_of("José García") == "Jos+C3+A9+20Garc+C3+ADa+"
    assert name_of("Jos+C3+A9+20Garc+C3+ADa+") == "José García"
    assert id_of("Jose\u0301 Garci\u0301a") == id_of("José García")  # as macOS writes it
    assert as_id("José García") == id_of("José García")
    assert as_id(id_of("José García")) == id_of("José García")
    assert name_of(id_of("山田 太郎")) == "山田 太郎"
    assert name_of(id_of("_hidden")) == "_hidden"
    assert shown_name("Jose\u0301\udcff") == "José\N{REPLACEMENT CHARACTER}"


def test_all_names_that_are_too_long_are_named_at_once() -> None:
    assert ids_of(["José", "Anna"]) == {"José": "Jos+C3+A9+", "Anna": "Anna"}
    with pytest.raises(InputError, match=r"2 names are too long.*'é{40}', '山{40}'"):
        ids_of(["Anna", "é" * 60, "山" * 50])
