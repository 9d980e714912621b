"""Coding tables: which are refused, and where the error points."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from airreid.digital.channel_code import (
    ChannelCodeKind,
    channel_code_kind,
    register_channel_code,
)
from airreid.digital.coding_tables import CodingTables, load_coding_tables
from airreid.digital.polar_code import PolarCode
from airreid.digital.polar_design import design_code
from airreid.digital.prior import Prior
from airreid.errors import BundleError, InputError

from ...limits import limits

PRIOR = Prior(low=(0, 0), counts=((65535, 1), (30000, 35535, 1)))
CODE = design_code(20, 64, 11, 1)


def changed(code: PolarCode, **fields: object) -> PolarCode:
    return PolarCode.model_validate({**code.model_dump(), **fields})


def test_a_code_survives_json() -> None:
    for code in (CODE, design_code(60, 100, 24, 2), design_code(20, 140, 11, 1)):
        again = PolarCode.model_validate_json(code.model_dump_json())
        assert again == code
        assert (again.mask == code.mask).all()
        assert again.message_bits == code.mask.sum() == code.payload_bits + code.crc_bits


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"payload_bits": 21}, "information: 31 positions set"),
        ({"payload_bits": 0}, "payload_bits"),
        ({"crc_bits": 16}, "crc_bits"),
        ({"mother_length": 63}, "mother_length 63 is no power of two"),
        ({"mother_length": 128}, "information: not one bit for each position"),
        ({"information": CODE.information + "00"}, "information: not one bit for each position"),
        ({"information": "zz" * 8}, "information"),
        ({"information": "abc"}, "information"),
        ({"matching": "shorten"}, "shorten does not make 64 bits"),
        ({"matching": "puncture"}, "puncture does not make 64 bits"),
        ({"matching": "repeat"}, "repeat does not make 64 bits"),
        ({"uses": 63}, "none does not make 63 bits"),
        ({"bits_per_symbol": 5}, "bits_per_symbol"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_codes_that_do_not_add_up(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(CODE, **fields)


def test_bounds() -> None:
    assert limits(PolarCode) == {
        "payload_bits": ["<= 8192", ">= 1"],
        "uses": ["<= 8192", ">= 1"],
        "bits_per_symbol": ["<= 4", ">= 1"],
        "mother_length": ["<= 65536", ">= 2"],
    }
    assert limits(CodingTables) == {"codes": ["length <= 16", "length >= 1"]}
    assert limits(Prior) == {
        "low": ["<= 1048576", ">= -1048576", "length >= 1"],
        "counts": ["< 65536", ">= 1", "length >= 2"],
    }


def test_payload_sizes_must_grow_and_fill_the_same_uses() -> None:
    larger = design_code(40, 64, 11, 1)
    book = CodingTables(prior=PRIOR, codes=(CODE, larger, design_code(41, 64, 11, 1)))
    assert (book.uses, book.side_bits) == (64, 2)
    assert CodingTables(prior=PRIOR, codes=(CODE,)).side_bits == 0
    with pytest.raises(ValidationError, match="payload sizes must grow"):
        CodingTables(prior=PRIOR, codes=(larger, CODE))
    with pytest.raises(ValidationError, match="payload sizes must grow"):
        CodingTables(prior=PRIOR, codes=(CODE, CODE))
    for other in (design_code(40, 70, 11, 1), design_code(30, 64, 24, 1)):
        with pytest.raises(ValidationError, match="same channel uses with the same CRC"):
            CodingTables(prior=PRIOR, codes=(CODE, other))
    with pytest.raises(ValidationError, match="codes"):
        CodingTables(prior=PRIOR, codes=())


def test_a_book_is_read_back(tmp_path: Path) -> None:
    book = CodingTables(prior=PRIOR, codes=(CODE,))
    path = tmp_path / "book.json"
    path.write_text(book.model_dump_json())
    again = load_coding_tables(path)
    assert again == book
    assert again.prior.digest == book.prior.digest


def test_errors_name_the_file_and_the_field(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    with pytest.raises(BundleError, match=r"book\.json: cannot be read"):
        load_coding_tables(path)
    whole = json.loads(CodingTables(prior=PRIOR, codes=(CODE,)).model_dump_json())
    whole["codes"][0]["uses"] = 0
    path.write_text(json.dumps(whole))
    with pytest.raises(BundleError, match=r"book\.json: codes\.0\.uses: "):
        load_coding_tables(path)
    for text in ("", "[]", "{", '{"format": 2}', "\x00"):
        path.write_text(text)
        with pytest.raises(BundleError, match=r"book\.json: "):
            load_coding_tables(path)


def test_a_code_says_its_kind_unless_it_is_polar() -> None:
    tables = CodingTables(prior=PRIOR, codes=(CODE,))
    text = tables.model_dump_json()
    assert "code" not in json.loads(text)["codes"][0]
    assert CodingTables.model_validate_json(text).model_dump_json() == text
    fields = json.loads(text)
    fields["codes"][0]["code"] = "polar"
    again = CodingTables.model_validate(fields)
    assert again == tables
    assert again.model_dump_json() == text
    fields["codes"][0]["code"] = "smoke"
    with pytest.raises(ValueError, match="use one of polar"):
        CodingTables.model_validate(fields)


def test_kinds_of_code_design_their_own() -> None:
    kind = channel_code_kind("polar")
    assert kind.design(20, 64, 11) == design_code(20, 64, 11)
    with pytest.raises(InputError, match="channel code 'smoke': use one of polar"):
        channel_code_kind("smoke")
    with pytest.raises(ValueError, match="channel code 'polar' is registered already"):
        register_channel_code(ChannelCodeKind("polar", PolarCode, kind.design))
