"""Settings: bounded, changed a field at a time, refused in one line that names the field."""

from pathlib import Path

import numpy as np
import pytest

from airreid.channels.messages import changes, from_fields, to_message
from airreid.channels.registry import channel_model
from airreid.channels.settings import LinkSettings, changed, link_settings
from airreid.channels.traces import ROWS_MAX, make_trace, read_trace
from airreid.errors import InputError

from ...limits import defaults, limits


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "rain"}, "link model: .*'awgn', 'rayleigh', 'rician', 'impulsive' or 'erasure'"),
        ({"snr_db": float("nan")}, "link snr_db"),
        ({"snr_db": 1e9}, "link snr_db: .* 100"),
        ({"snr_db": -61}, "link snr_db: .* -60"),
        ({"seed": -1}, "link seed"),
        ({"snr_range_db": (5, -5)}, "link snr_range_db: 5 is above -5; give the lower SNR first"),
        ({"snr_range_db": (5, 500)}, "link snr_range_db"),
        ({"snr_range_db": (5, 6), "snr_db": 3}, "give one of snr_db, snr_range_db, snr_trace"),
        ({"csi": True}, "link csi: model awgn has none; it belongs to rayleigh or rician"),
        ({"model": "rayleigh", "k_factor_db": 3}, "link k_factor_db: .* belongs to rician"),
        ({"model": "rician", "k_factor_db": 99}, "link k_factor_db"),
        ({"model": "rician", "doppler": -0.1}, "link doppler"),
        ({"model": "impulsive", "impulse_probability": 1.5}, "link impulse_probability"),
        ({"model": "impulsive", "impulse_ratio_db": -1}, "link impulse_ratio_db"),
        ({"model": "erasure", "erasure_unit": "block"}, "link erasure_unit: .*'complex' or 'real'"),
        ({"fog": 1}, "link fog"),
    ],
)
def test_impossible_settings_name_the_field(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        link_settings(**fields)
    assert "\n" not in str(refused.value)


def test_bounds_and_defaults() -> None:
    assert limits(LinkSettings) == {
        "snr_db": ["<= 100.0", ">= -60.0"],
        "snr_range_db": ["<= 100.0", ">= -60.0"],
        "seed": [f"< {2**64}", ">= 0"],
        "doppler": ["<= 10", ">= 0"],
        "k_factor_db": ["<= 40", ">= -40"],
        "impulse_probability": ["<= 1", ">= 0"],
        "impulse_ratio_db": ["<= 40", ">= 0"],
        "erasure_probability": ["<= 1", ">= 0"],
    }
    assert defaults(LinkSettings) == {
        "model": "awgn",
        "snr_db": 10.0,
        "snr_range_db": None,
        "snr_trace": None,
        "seed": 0,
        "csi": True,
        "doppler": 0.0,
        "k_factor_db": 6.0,
        "impulse_probability": 0.01,
        "impulse_ratio_db": 20.0,
        "erasure_probability": 0.1,
        "erasure_unit": "complex",
    }


def test_what_is_not_given_keeps_its_value() -> None:
    first = link_settings(model="rician", k_factor_db=3, snr_db=5, seed=7)
    second = changed(first, {"snr_db": -3.0})
    assert second == LinkSettings(model="rician", k_factor_db=3, snr_db=-3, seed=7)
    assert changed(first, {}) == first


def test_another_source_of_the_snr_takes_the_place_of_the_one_before() -> None:
    ranged = changed(link_settings(snr_db=5), {"snr_range_db": (0, 4)})
    assert ranged.snr_range_db == (0, 4)
    traced = changed(ranged, {"snr_trace": make_trace("t", [0], [1.0])})
    assert traced.snr_range_db is None
    fixed = changed(traced, {"snr_db": 2.0})
    assert (fixed.snr_db, fixed.snr_trace) == (2, None)
    with pytest.raises(InputError, match="give one of"):
        changed(fixed, {"snr_db": 2.0, "snr_range_db": (1, 2)})


def test_another_model_drops_what_it_does_not_have() -> None:
    rician = link_settings(model="rician", k_factor_db=3, csi=False, snr_db=1)
    rayleigh = changed(rician, {"model": "rayleigh"})
    assert rayleigh == LinkSettings(model="rayleigh", csi=False, snr_db=1)
    assert changed(rayleigh, {"model": "awgn"}) == LinkSettings(snr_db=1)
    with pytest.raises(InputError, match="link doppler: model awgn has none"):
        changed(rician, {"model": "awgn", "doppler": 0.1})
    with pytest.raises(InputError, match="link model"):
        changed(rician, {"model": "rain"})


EXAMPLES = [
    link_settings(snr_db=0.0, seed=2**64 - 1),
    link_settings(model="rayleigh", csi=False, doppler=0.5, snr_range_db=(-3, 2)),
    link_settings(model="rician", k_factor_db=-3),
    link_settings(model="impulsive", impulse_probability=0.5, impulse_ratio_db=3),
    link_settings(model="erasure", erasure_probability=0.0, erasure_unit="real"),
]


@pytest.mark.parametrize("settings", EXAMPLES, ids=lambda s: s.model)
def test_messages_hold_what_settings_say(settings: LinkSettings) -> None:
    back = link_settings(**changes(to_message(settings)))
    assert back.described() == settings.described()
    assert changes(from_fields(changes(to_message(settings)))) == changes(to_message(settings))
    assert set(settings.described()) >= {"model", "seed", *channel_model(settings.model).fields}


def test_a_trace_crosses_the_wire_one_way_and_is_named_the_other() -> None:
    trace = make_trace("drive", [0, 10], [3.0, -3.0])
    settings = link_settings(**changes(from_fields({"snr_trace": trace})))
    assert settings.snr_trace is not None
    numbers = np.arange(30, dtype=np.uint64)
    np.testing.assert_array_equal(settings.snr_trace.at(numbers), trace.at(numbers))
    answer = to_message(settings)
    assert (answer.snr_trace.name, answer.snr_trace.rows) == ("drive", 2)
    with pytest.raises(InputError, match="trace drive: no rows"):
        changes(answer)
    assert settings.described()["snr_trace"] == "drive (2 rows, 11 blocks)"


@pytest.mark.parametrize(("length", "shown"), [(256, 256), (257, 256), (3, 3)])
def test_the_name_of_a_trace_is_cut_on_its_way(length: int, shown: int) -> None:
    message = from_fields({"snr_trace": make_trace("n" * length, [0], [1.0])})
    trace = changes(message)["snr_trace"]
    assert str(trace) == "n" * shown + " (1 rows, 1 blocks)"


@pytest.mark.parametrize("fields", [{"seed": -1}, {"seed": 2**64}])
def test_what_no_message_holds_is_named(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match="link seed"):
        from_fields(fields)


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_traces_hold_and_start_again(tmp_path: Path) -> None:
    numbers = np.arange(7, dtype=np.uint64)
    headed = read_trace(write(tmp_path, "# a drive\nsnr_db\n1\n\n2.5\n-3\n"))
    assert headed.at(numbers).tolist() == [1, 2.5, -3, 1, 2.5, -3, 1]
    bare = read_trace(write(tmp_path, "1\n2.5\n-3"))
    np.testing.assert_array_equal(bare.at(numbers), headed.at(numbers))
    indexed = read_trace(write(tmp_path, "\ufeffblock,snr_db\r\n0,1\r\n2, 5\r\n4,9\r\n"))
    assert indexed.at(numbers).tolist() == [1, 1, 5, 5, 9, 1, 1]
    assert indexed.at(np.array([2**64 - 1], np.uint64)).tolist() == [
        one_of(indexed, (2**64 - 1) % 5)
    ]


def one_of(trace: object, block: int) -> float:
    return {0: 1.0, 1: 1.0, 2: 5.0, 3: 5.0, 4: 9.0}[block]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("snr_db\n", "no rows"),
        ("snr_db\n1\nten\n", "line 3: snr_db 'ten' is not a number"),
        ("1\nnan\n", "row 2: snr_db nan"),
        ("1\n200\n", "row 2: snr_db 200; give one from -60 to 100"),
        ("block,snr_db\n0,1\n2\n", "line 3: 1 columns where one row is block,snr_db"),
        ("1,2\n", "line 1: 2 columns where one row is snr_db"),
        ("block,snr_db\n1,1\n", "row 1: block 1; block numbers start at 0"),
        ("block,snr_db\n0,1\n5,1\n5,2\n", "row 3: block 5"),
        ("block,snr_db\n0,1\n-5,1\n", "line 3: block '-5' is not a whole number"),
        ("block,snr_db\n0,1\n9999999999999999999,1\n", "row 2: block"),
        ("time,snr\n0,1\n", "line 1: 2 columns"),
        ("1\n" * (ROWS_MAX + 1), f"at most {ROWS_MAX}"),
        ('"1\n', "line 1: snr_db '\"1' is not a number"),
    ],
)
def test_bad_traces_name_file_and_row(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=says) as refused:
        read_trace(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not a text file"):
        read_trace(tmp_path / "trace.csv")
