"""JSON parser for long texts that other threads hardly notice.

The parser of the standard library holds the interpreter until a whole text has been read. This
one reads it in pieces of some hundred microseconds and sleeps between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.decoder import JSONArray, JSONObject, scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

from accesspoint.api.patience import Patience

DEPTH_MAX = 64
"""Deepest nesting of arrays and objects."""
_PIECE = 1 << 16
"""Characters of a text that are read at once."""
_NUMBERS_PIECE = 1 << 13
"""Characters of an array of numbers that are read at once."""
_CHARACTERS = re.compile(
    r"(?:[^\"\\\x00-\x1f]++"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?!\\u)(?=.{6}))"
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    r"|\\[\"\\/bfnrt])*+",
    re.DOTALL,
)
"""Characters of a JSON string; the two halves of a surrogate pair are never parted."""
_NUMBERS = re.compile(r"[-+.0-9eE,\s]*+")
_Scan = Callable[[str, int], tuple[Any, int]]


class _Decoder(json.JSONDecoder):
    """Decoder in Python whose parts of any length are read in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._pause = Patience()
        self._depth = 0
        self.parse_string = self._string
        self.parse_array = self._array
        self.parse_object = self._object
        self.scan_once = py_make_scanner(self)

    def _string(self, text: str, start: int, strict: bool) -> tuple[str, int]:
        pieces: list[str] = []
        while True:
            end = _CHARACTERS.match(text, start, start + _PIECE).end()  # type: ignore[union-attr]
            if end - start < _PIECE - 16:  # the string ends here, or something is wrong here
                last, end = scanstring(text, start, strict)
                return "".join([*pieces, last]), end
            pieces.append(scanstring(text[start:end] + '"', 0, strict)[0])
            start = end
            self._pause()

    def _array(self, place: tuple[str, int], scan: _Scan) -> tuple[list[Any], int]:
        text, start = place
        values: list[Any] = []
        while True:
            piece = text[start : start + _NUMBERS_PIECE]
            cut = piece.rfind(",", 0, _NUMBERS.match(piece).end())  # type: ignore[union-attr]
            if cut < 0:
                break
            numbers = json.loads(f"[{piece[:cut]}]")
            if not numbers:
                raise json.JSONDecodeError("Expecting value", text, start)
            values += numbers
            start += cut + 1
            self._pause()
        with_rest, end = self._nested(lambda: JSONArray((text, start), self._pausing(scan)), place)
        if values and not with_rest:
            raise json.JSONDecodeError("Expecting value", text, start)
        return [*values, *with_rest] if values else with_rest, end

    def _object(
        self, place: tuple[str, int], strict: bool, scan: _Scan, *named: Any
    ) -> tuple[dict[str, Any], int]:
        def parse() -> tuple[dict[str, Any], int]:
            parsed: tuple[dict[str, Any], int] = JSONObject(
                place, strict, self._pausing(scan), *named
            )
            return parsed

        nested: tuple[dict[str, Any], int] = self._nested(parse, place)
        return nested

    def _pausing(self, scan: _Scan) -> _Scan:
        def scan_and_pause(text: str, start: int) -> tuple[Any, int]:
            self._pause()
            return scan(text, start)

        return scan_and_pause

    def _nested(self, parse: Callable[[], tuple[Any, int]], place: tuple[str, int]) -> Any:
        if self._depth >= DEPTH_MAX:
            raise json.JSONDecodeError(f"over {DEPTH_MAX} levels deep", *place)
        self._depth += 1
        try:
            return parse()
        finally:
            self._depth -= 1


def parse_json(data: bytes) -> Any:
    """Parses a long JSON text. Raises :class:`json.JSONDecodeError`."""
    try:
        return _Decoder().decode(data.decode())
    except UnicodeDecodeError:
        raise json.JSONDecodeError("not JSON in UTF-8", "", 0) from None
