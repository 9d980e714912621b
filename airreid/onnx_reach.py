"""Files that an ONNX graph would read beside itself, and loops, found without loading it.

A graph may keep weights in other files (*external data*), which no manifest lists. The graph is
read as protocol buffers' wire format here, so that neither the package ``onnx`` nor ONNX Runtime
has to be trusted, or installed, to say no.

Source: field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator

from airreid.errors import BundleError

GRAPH_BYTES_MAX = 2_000_000_000
"""Bytes of a graph's file, at most: a protocol buffer has no more than 2 GiB."""
_ORT_MARK = b"ORTM"
"""Bytes 4 to 7 of ONNX Runtime's own format, which keeps weights elsewhere in its own way."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_LOCATION = b"location"
_OPERATOR = 4
_LOOPS = (b"Loop", b"Scan")
"""Operators that run a graph over and over, for ever if it says so."""
_DEEPEST = 64
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Messages that can hold a tensor, by field number."""


def check_self_contained(data: bytes, name: str) -> None:
    """Raises :class:`BundleError` for a graph that would read another file or has loops, and for
    what is no ONNX graph."""
    if data[4:8] == _ORT_MARK:
        raise BundleError(f"{name}: in ONNX Runtime's own format; export the graph as ONNX")
    try:
        faults = list(_faults(memoryview(data), "model", 0))
    except (ValueError, IndexError):
        raise BundleError(
            f"{name}: ONNX Runtime cannot load it (no ONNX graph, or a damaged one); "
            "export it again"
        ) from None
    if faults:
        raise BundleError(f"{name}: {faults[0]}")


def _faults(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    """Yields what is wrong with a message: tensors whose data is elsewhere, and loops."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    inside = _INSIDE.get(kind, {})
    for number, wire, value in _fields(data):
        if kind == "tensor":
            if number == _EXTERNAL_DATA and wire == _BYTES:
                yield _elsewhere(_place(data[value]))
            elif (
                number == _DATA_LOCATION
                and wire == _VARINT
                and value.start & 0xFFFFFFFF == _EXTERNAL  # an enum is cut to 32 bits
            ):
                yield _elsewhere("external data")
        elif kind == "node" and number == _OPERATOR and wire == _BYTES:
            if data[value] in _LOOPS:
                operator = bytes(data[value]).decode()
                yield f"has an operator {operator}, which may never end; export it without loops"
        elif wire == _BYTES and number in inside:
            yield from _faults(data[value], inside[number], depth + 1)


def _elsewhere(place: str) -> str:
    return (
        f"keeps weights in another file ({place}), which no manifest checks; save the graph in "
        "one file, as onnx.save does without save_as_external_data"
    )


def _place(entry: memoryview) -> str:
    """Returns the file's name where the entry, a key and a value, is it."""
    parts = {number: bytes(entry[value]) for number, wire, value in _fields(entry) if wire == 2}
    name = parts.get(2, b"") if parts.get(1) == _LOCATION else b"external data"
    return name.decode("utf-8", "replace")[:100]


def _fields(data: memoryview) -> Iterator[tuple[int, int, slice]]:
    """Yields number, wire type and place of each field; of a varint ``start`` is its value."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield number, wire, slice(value, value)
            continue
        if wire == _BYTES:
            length, place = _varint(data, place)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError("a wire type that ONNX does not use")
        if place + length > len(data):
            raise ValueError("cut off")
        yield number, wire, slice(place, place + length)
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Returns a number and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number that does not end")
