"""Long JSON texts: parsed as the standard library does, without holding others up."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accesspoint.api import patient_json
from accesspoint.api.patient_json import DEPTH_MAX, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=40,
)
TOKENS = st.sampled_from([
    *'{}[],:" \n', "0", "-1.5e3", "1,2,3,", '"a":', '"\\ud83d\\ude00"', '"\\ud83d"', "\\", "\\\\",
    "\\u00e9", "\\ud83d", "\\ude00", "\\ud83dx", "\x01", "é", "😀", "null", "true", "NaN", "x" * 9,
])  # fmt: skip


@pytest.fixture(params=[24, 31, 1 << 16])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so short that a text's parts lie on their borders, and those of use."""
    monkeypatch.setattr(patient_json, "_PIECE", request.param)
    monkeypatch.setattr(patient_json, "_NUMBERS_PIECE", request.param)


def parsed(parse: Any, text: str) -> Any:
    try:
        return repr(parse(text))
    except json.JSONDecodeError:
        return "refused"


@pytest.mark.usefixtures("pieces")
def test_a_text_is_parsed_as_a_short_one_is() -> None:
    for text in ('{"a": [1, 2.5, -1e3, null, true, "\\u00e9\\n"], "b": {}}', "[]", '"x"', " 1 "):
        assert parse_json(text.encode()) == json.loads(text)
    for data in (b"{", b"[1,]", b"[,1]", b"[ ,]", b"\xff", b"[" * 100_000, b'{"a" 1}', b""):
        with pytest.raises(json.JSONDecodeError):
            parse_json(data)


@pytest.mark.usefixtures("pieces")
@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_written_is_read(value: Any, escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    assert parse_json(text.encode("utf-8", "surrogatepass")) == value


@pytest.mark.usefixtures("pieces")
@given(st.lists(TOKENS, max_size=60))
def test_what_is_refused_is_refused(tokens: list[str]) -> None:
    for text in ("".join(tokens), f'"{"".join(tokens)}"', f"[{','.join(tokens)}]"):
        if text.count("[") + text.count("{") <= DEPTH_MAX:
            assert parsed(lambda text: parse_json(text.encode()), text) == parsed(json.loads, text)


def test_nesting_is_bounded() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = "0"
        text = opening * DEPTH_MAX + inner + closing * DEPTH_MAX
        assert parse_json(text.encode()) == json.loads(text)
        with pytest.raises(json.JSONDecodeError, match="levels deep"):
            parse_json((opening + text + closing).encode())
    assert parse_json(("[" + "[[]]," * 500 + "0]").encode())[-1] == 0


@pytest.mark.parametrize(
    "text",
    [
        '"' + "0" * 20_000_000 + '"',
        '"' + '\\"' * 3_000_000 + '"',
        "[" + "0," * 400_000 + "0]",
        "[" + "{}," * 50_000 + "{}]",
    ],
    ids=["string", "escapes", "numbers", "objects"],
)
def test_others_run_while_a_long_text_is_parsed(text: str) -> None:
    """Another thread gets its turns: many of them within the time of the parsing."""
    data, turns, done = text.encode(), 0, threading.Event()

    def parse() -> None:
        try:
            assert parse_json(data) == json.loads(text)
        finally:
            done.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(10)  # nobody is interrupted: the parser gives way by itself
    try:
        thread = threading.Thread(target=parse)
        thread.start()
        while not done.is_set():
            turns += 1
            time.sleep(0)
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert turns > 30
