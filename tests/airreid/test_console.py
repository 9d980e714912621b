"""Texts of others on a terminal: shown as they are, obeyed by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from airreid.console import print_table, printable, say

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "[/x][red]a\x1b[31m\x9b31m\nforged\r\t\u202ereversed\u2066\u2028\u200b\udc80\x00b"
SHOWN = (
    "[/x][red]a\\x1b[31m\\x9b31m\\x0aforged\\x0d\\x09\\u202ereversed\\u2066\\u2028\\u200b"
    "\\udc80\\x00b"
)


def test_what_is_not_seen_comes_as_its_number() -> None:
    assert printable(HOSTILE) == SHOWN
    for text in ("Łukasz 😀", "عليّ", "नमस्ते", "zero\u200dwidth joiner", "a b", "", 7):
        assert printable(text) == str(text)


def test_lines_and_tables_show_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    say(HOSTILE)
    say(HOSTILE, err=True)
    shown = capsys.readouterr()
    assert shown.out == shown.err == SHOWN + "\n"
    print_table(("name", "empty"), [(HOSTILE, None), ("plain", 3)], HOSTILE)
    table = capsys.readouterr().out
    assert table.count(SHOWN) == 2
    assert "plain" in table
    assert "forged" in table
    assert not any(line.strip().startswith("forged") for line in table.splitlines())


def test_the_first_column_is_whole_at_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's id is what 'gallery cancel' takes."""
    monkeypatch.setenv("COLUMNS", "80")
    job = "calibrate-20261129T231500-0123456789abcdef"
    names = ("job", "kind", "state", "done", "started", "result")
    print_table(names, [(job, "calibrate", "done", "5 of 5", "2026-11-29 23:15:00", "x" * 60)])
    lines = capsys.readouterr().out.splitlines()
    assert any(job in line for line in lines)
    assert max(map(len, lines)) <= 80


ENTRY = ("7", "alice", "cam-1", "2026-11-29 23:15:00+01:00", "a" * 64)
COLUMNS = ("entry", "subject", "camera", "enrolled", "key")


@pytest.mark.parametrize("columns", [80, 120, 40])
def test_no_text_of_a_table_is_broken_over_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(COLUMNS, [ENTRY, ENTRY], cut=("key",))
    output = capsys.readouterr().out
    lines = output.splitlines()
    for text in (*ENTRY[1:4], *COLUMNS[1:]):
        assert text in output
    if columns == 40:  # a block each
        assert lines[:2] == ["7", "    subject: alice"]
        assert f"    key: {'a' * 64}" in lines
    else:
        assert max(map(len, lines)) <= columns
        row = next(line for line in lines if "alice" in line)
        assert "cam-1" in row
        assert ENTRY[3] in row
        assert "aaaaaaaaa…" in row


def test_an_empty_table_has_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("job", "kind"), [])
    assert "job" in capsys.readouterr().out


def test_what_counts_less_is_grey_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("unknown", faint=f"alice {HOSTILE}")
    assert capsys.readouterr().out == f"unknown  alice {SHOWN}\n"
    shown: list[str] = []
    monkeypatch.setattr("typer.echo", lambda text, err: shown.append(text))
    say("unknown", faint="alice")
    monkeypatch.setenv("NO_COLOR", "1")
    say("unknown", faint="alice")
    assert shown == ["unknown  \x1b[90malice\x1b[0m", "unknown  alice"]


def test_no_command_prints_a_table_or_a_line_by_itself() -> None:
    """Rich takes brackets for markup, and a terminal obeys what it is told."""
    paths = [ROOT / "airreid" / name for name in ("cli.py", "gallery_cli.py", "bundle_cli.py")]
    paths += [ROOT / "airreid/gallery_jobs_cli.py", ROOT / "airreid/health_cli.py"]
    paths += [ROOT / role / "cli.py" for role in ("edge", "channel_sim", "accesspoint")]
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path.name}:{number}"
            assert "add_row(" not in line, where
            assert "Console().print(" not in line, where
            if "typer.echo(" in line:
                assert "json" in line or "echo(secret)" in line, where
