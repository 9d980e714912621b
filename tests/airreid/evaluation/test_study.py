"""Intervals, rates, tables and claims of a study, on results that are made up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airreid.digital.bounds import ideal_arrives, normal_approximation, shannon_snr_db
from airreid.errors import InputError
from airreid.evaluation.interval import mean_of
from airreid.evaluation.study.anchors import RAW, anchors_markdown, finite_uses
from airreid.evaluation.study.cells import (
    counts_of,
    digits,
    finished,
    read_cell,
    write_cell,
)
from airreid.evaluation.study.claims import (
    claims_markdown,
    judged,
    summary_markdown,
)
from airreid.evaluation.study.comparisons import (
    COMPARISONS,
    Comparison,
    alike,
    more,
    no_less,
)
from airreid.evaluation.study.crossed import crossed_mean, paired_bootstrap
from airreid.evaluation.study.figures import figures_of, write_figure
from airreid.evaluation.study.page import fill_page, page_parts
from airreid.evaluation.study.plan import Plan, read_plan, write_plan
from airreid.evaluation.study.rates import arrival, best_rate, expected_hits, mean_bits
from airreid.evaluation.study.table import FIXED, MATCHED, RANGE
from airreid.signal import capacity

from .study_cells import QUERIES, SNRS_DB, cell, curve, latents, made_up, table_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cells of a few schemes at B = 256."""
    for each in made_up():
        write_cell(each, tmp_path / "cells" / f"{each.name}.json")
    return tmp_path / "cells"


def test_counts_go_into_digits_and_back() -> None:
    counts = np.arange(36)
    assert digits(counts) == "0123456789abcdefghijklmnopqrstuvwxyz"
    np.testing.assert_array_equal(counts_of(digits(counts)), counts)


def test_a_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "pca.json"
    written = cell("pca", curves=(curve("pca", 0.5, None),), facts={"a": 1})
    write_cell(written, path)
    assert read_cell(path) == written
    assert finished(path, written.key)
    assert not finished(path, "another")
    assert [entry.name for entry in path.parent.iterdir()] == ["pca.json"]
    path.write_text("[]")
    assert not finished(path, written.key)
    with pytest.raises(InputError, match=r"pca\.json.*delete the file"):
        read_cell(path)


def test_one_training_has_students_interval_over_the_noise() -> None:
    values = np.asarray([[0.4, 0.5, 0.45, 0.43]])
    assert crossed_mean(values) == mean_of(values[0].tolist())
    assert crossed_mean(values.T) == mean_of(values[0].tolist())


def test_the_interval_over_trainings_and_noise_covers_the_mean() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(600):
        values = (
            0.5
            + 0.02 * rng.normal(size=(3, 1))
            + 0.01 * rng.normal(size=(1, 10))
            + 0.01 * rng.normal(size=(3, 10))
        )
        mean = crossed_mean(values)
        covered.append(abs(mean.value - 0.5) <= mean.half_width)
    assert 0.92 <= np.mean(covered) <= 0.99
    alone = mean_of(values.ravel().tolist())
    assert crossed_mean(values).half_width > 1.5 * alone.half_width  # as if 30 were independent


def test_the_bootstrap_finds_a_paired_difference_and_its_interval() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((1, 400))
    first, second = np.clip(base + 0.05, 0, 1), np.clip(base, 0, 1)
    effect = paired_bootstrap(first, second, np.arange(400) // 4)
    assert effect.low < effect.value < effect.high
    assert effect.value == pytest.approx(0.05, abs=0.002)
    assert effect.high - effect.low < 0.01  # paired: what both share does not count
    assert effect == paired_bootstrap(first, second, np.arange(400) // 4)
    unpaired = paired_bootstrap(first, rng.permutation(second, axis=1), np.arange(400) // 4)
    assert unpaired.high - unpaired.low > 5 * (effect.high - effect.low)


def test_people_who_are_asked_for_often_widen_the_interval_over_people() -> None:
    lucky = np.repeat(np.random.default_rng(3).random(50) < 0.5, 8).astype(np.float64)[None]
    effect = paired_bootstrap(lucky, np.zeros((1, 400)), np.arange(400) // 8)
    assert effect.people_high - effect.people_low > 2 * (effect.high - effect.low)


def test_messages_arrive_by_the_account_that_is_asked_for() -> None:
    bits = np.asarray([100, 128, 129, 160])
    assert arrival(bits, 256, 0.0, "ideal").tolist() == [1, 1, 0, 0]
    assert [ideal_arrives(int(k), 256, 0.0) for k in bits] == [True, True, False, False]
    assert arrival(bits, 256, 0.0, "paper").tolist() == [0, 0, 0, 0]  # 129.25 on average
    assert arrival(bits[:2], 256, 0.0, "paper").tolist() == [1, 1]
    finite, coded = arrival(bits, 256, 0.0, "finite"), arrival(bits, 256, 0.0, "coded")
    assert np.all(np.diff(finite) < 0)
    assert np.all(coded < finite)
    assert 0.9 < finite[0] < 1


def test_the_rate_is_chosen_on_held_out_people() -> None:
    schemes = {"few": (latents(40, 0.6),), "many": (latents(200, 0.9),)}
    assert best_rate(schemes, 256, 20.0, "ideal") == "many"
    assert best_rate(schemes, 256, 0.0, "ideal") == "few"
    lying = latents(200, 0.9).model_copy(update={"held_out_hits": "0" * QUERIES})
    assert best_rate({**schemes, "many": (lying,)}, 256, 20.0, "ideal") == "few"
    assert mean_bits(schemes["few"]) == 40
    assert expected_hits(schemes["many"], 256, shannon_snr_db(200, 256) - 0.1, "ideal").sum() == 0


def test_a_table_knows_each_training_and_rate(folder: Path) -> None:
    table = table_in(folder)
    assert table.snrs_db == SNRS_DB
    assert table.bandwidths == (256,)
    for training in (MATCHED, RANGE, "0", "-10"):
        assert table.get("ae-paper", training, 256, -10.0) is not None
    assert table.get("ae-paper", "-6", 256, -10.0) is None
    coded = table.get("digital-coded", MATCHED, 256, 10.0)
    assert coded is not None
    assert (coded.rate, coded.bits) == ("digital-64-100", 210.0)
    fixed = table.get("digital-coded", FIXED, 256, 10.0)
    assert fixed is not None
    assert fixed.rate == "digital-64-10"
    ideal = table.get("digital-ideal", MATCHED, 256, -10.0)
    assert ideal is not None
    assert ideal.top1.value == 0
    (folder / "noiseless.json").unlink()
    with pytest.raises(InputError, match="noiseless"):
        table_in(folder)


def with_anchors(folder: Path) -> None:
    """Adds cells of an image format and of whole features to a folder."""
    whole = curve(RAW, 0.4, None).model_copy(update={"bandwidth": 4096})
    facts = {"payload_bits": 8192, "top1_without_channel": 0.75}
    for added in (
        cell("image-jpeg", latents=(latents(6000, 0.3),)),
        cell(f"{RAW}-4096", curves=(whole,), facts=facts),
    ):
        write_cell(added, folder / f"{added.name}.json")


def test_whole_features_and_images_have_places_of_their_own(folder: Path) -> None:
    without = table_in(folder)
    with_anchors(folder)
    table = table_in(folder)
    assert table.bandwidths == without.bandwidths == (256,)
    assert table.long_bandwidths == (4096,)
    assert without.entries.keys() < table.entries.keys()
    whole = table.get(RAW, "", 4096, 0.0)
    assert whole is not None
    assert (whole.bits, whole.draws) == (8192, (2, 3))
    assert table.get(RAW, "", 256, 0.0) is None
    # 6,000 bits: 4,096 uses carry them from the SNR on at which a use carries 1.46 of them.
    share = float(np.mean(counts_of(latents(6000, 0.3).hits)))
    for bandwidth, snr_db in ((256, 10.0), (4096, -10.0), (4096, 0.0), (4096, 10.0)):
        image = table.get("image-jpeg", "", bandwidth, snr_db)
        assert image is not None
        arrives = bandwidth * float(capacity(snr_db)) >= 6000
        assert image.top1.value == pytest.approx(share if arrives else 0.0)
        assert (image.bits, image.draws) == (6000, (1, 0))
    assert share > 0


def test_anchors_are_listed_with_the_uses_of_an_ideal_code(folder: Path) -> None:
    assert anchors_markdown({}, SNRS_DB) == ""
    assert anchors_markdown(table_in(folder).cells, SNRS_DB) == ""
    with_anchors(folder)
    rows = [
        [field.strip() for field in line.strip("|").split("|")]
        for line in anchors_markdown(table_in(folder).cells, SNRS_DB).splitlines()
    ]
    assert rows[0][3:] == ["uses at -10 dB", "uses at 0 dB", "uses at 10 dB"]
    by_name = {row[0]: row[1:] for row in rows[2:]}
    assert by_name.keys() == {"image-jpeg", RAW}
    for name, bits, top1 in (("image-jpeg", 6000, None), (RAW, 8192, "0.750")):
        values = by_name[name]
        assert int(values[0]) == bits
        assert top1 is None or values[1] == top1
        for snr_db, uses in zip(SNRS_DB, values[2:], strict=True):
            ideal, finite = (int(value) for value in uses.split(" / "))
            # Shannon (1948): 0.5 log2(1 + SNR) bits in a real use.
            assert ideal == round(bits / (0.5 * np.log2(1 + 10 ** (snr_db / 10))))
            assert finite > ideal
            lost = [float(normal_approximation(bits, b, snr_db)) for b in (finite - 1, finite)]
            assert lost[0] > 0.01 >= lost[1]


def test_claims_are_judged_with_their_intervals(folder: Path) -> None:
    claims = judged(table_in(folder))
    over_pca = [claim for claim in claims if claim.number == "C"]
    assert [claim.snr_db for claim in over_pca] == list(SNRS_DB)
    for claim in over_pca:
        assert claim.verdict == claim.by_people == "holds"
        assert claim.effect.low > 0
    assert {claim.verdict for claim in claims if claim.number == "3a"} == {"does not"}
    assert not [claim for claim in claims if claim.number == "1"]  # no cell of JSCC FC
    text = claims_markdown(claims)
    assert text.count("\n") == len(claims) + 2
    assert "| C | The paper's AE finds more than PCA | 256 | -10 |" in text
    assert Comparison("X", "", ("pca", ""), ("pca", "")).judge is more


@pytest.mark.parametrize(
    ("judge", "low", "high", "verdict"),
    [
        (more, 0.01, 0.02, "holds"),
        (more, -0.02, -0.01, "does not"),
        (more, -0.01, 0.01, "undecided"),
        (no_less, -0.019, 0.3, "holds"),
        (no_less, -0.3, -0.021, "does not"),
        (no_less, -0.03, 0.0, "undecided"),
        (alike, -0.019, 0.019, "holds"),
        (alike, 0.021, 0.03, "does not"),
        (alike, -0.03, -0.021, "does not"),
        (alike, -0.03, 0.03, "undecided"),
    ],
)
def test_a_verdict_follows_from_the_interval(
    judge: Any, low: float, high: float, verdict: str
) -> None:
    assert judge(low, high) == verdict


FIGURES = ["4a", "4b", "4c", "anchors"]


def drawn(name: str, folder: Path, out: Path) -> list[Path]:
    """Draws one figure of a folder's cells."""
    table = table_in(folder)
    figure = next(figure for figure in figures_of(table) if figure.name == name)
    return write_figure(figure, table, {"data": "made up"}, out)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_drawn_as_svg_png_and_json(folder: Path, tmp_path: Path, figure: str) -> None:
    paths = drawn(figure, folder, tmp_path / "figures")
    assert [path.name for path in paths] == [f"{figure}.{kind}" for kind in ("json", "svg", "png")]
    stored = json.loads(paths[0].read_text())
    assert stored["study"] == {"data": "made up"}
    assert stored["cells"]["closed-256"]["key"] == read_cell(folder / "closed-256.json").key
    curves = {
        (curve["scheme"], curve["training"]): curve
        for panel in stored["panels"]
        for curve in panel["curves"]
    }
    first = curves["ae-paper", "0" if figure == "4b" else MATCHED]
    assert first["half_width"][0] > 0
    assert first["trainings_and_draws"][0] == [2, 3]
    assert first["power"][0] == 1.0
    assert paths[1].read_text().startswith("<?xml")
    again = drawn(figure, folder, tmp_path / "again")
    assert again[1].read_bytes() == paths[1].read_bytes()


def test_anchors_are_drawn_at_the_uses_that_codes_need(folder: Path, tmp_path: Path) -> None:
    with_anchors(folder)
    stored = json.loads(drawn("anchors", folder, tmp_path)[0].read_text())
    for panel, snr_db in zip(stored["panels"], SNRS_DB, strict=True):
        curves = {
            curve["scheme"]: curve for curve in panel["curves"] if curve["label"][:4] == "JPEG"
        }
        assert curves["image-jpeg"]["x"] == [finite_uses(6000, snr_db)]
        assert curves["image-jpeg"]["bits"] == [6000]
        sent = [curve for curve in panel["curves"] if curve["scheme"] == RAW]
        assert [curve["x"] for curve in sent] == [[4096.0], [finite_uses(8192, snr_db)]]


def test_of_a_part_of_the_digital_schemes_none_counts(folder: Path, tmp_path: Path) -> None:
    planned = [path.stem for path in folder.glob("*.json")]
    assert table_in(folder, planned).get("digital-ideal", MATCHED, 256, 10.0) is not None
    table = table_in(folder, [*planned, "digital-64-30", "fc-paper-256"])
    assert table.missing == ("digital-64-30", "fc-paper-256")
    assert table.get("digital-ideal", MATCHED, 256, 10.0) is None
    text = summary_markdown(COMPARISONS, judged(table), table.missing)
    rows = {row.split("|")[1].strip(): row for row in text.splitlines()[2:]}
    assert "not finished" in rows["2b"]
    assert "`digital-*`" in rows["2b"]
    assert "`ae-paper-256`" not in rows["1"]  # it is there
    assert rows["1"].count("`fc-paper-256`") == 1
    assert "| **holds** | **holds** | -10 dB: +" in rows["C"]
    assert "E" not in rows  # neither judged nor waited for


def test_every_comparison_names_the_cells_that_it_waits_for() -> None:
    """Names of study A's and B's cells as :mod:`training.study` has them, that are waited for."""
    waited = {
        cell
        for comparison in COMPARISONS
        for bandwidth in comparison.bandwidths
        for cell in comparison.cells(bandwidth)
    }
    families = ("ae-paper", "ae-retrieval", "ae-linear", "fc-paper", "fc-retrieval", "closed")
    joint = ("ae-paper", "ae-range", "ae-retrieval", "fc-paper", "fc-retrieval", "digital-paper")
    assert waited == {
        *(f"{family}-{b}" for family in families for b in (64, 256)),
        *(f"joint-{recipe}-{b}" for recipe in joint for b in (64, 256)),
        *("ae-paper-1024", "closed-1024", "nested", "digital-*", "coded-256", "coded-pq-256"),
        *("given", "noiseless", "closed", "joint-baseline"),
    }
    numbers = [comparison.number for comparison in COMPARISONS]
    assert len(set(numbers)) == len(numbers)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_plan(tmp_path) == Plan(cells=())
    plan = Plan(
        study="frozen",
        cells=("noiseless", "closed-256"),
        shared={"snrs_db": [-10.0, 0.0]},
        about={"digests": {"test.npz": "abc"}},
    )
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    (tmp_path / "study.json").write_text(
        '{"format": 1, "study": "joint", "quick": true, "cells": ["a"]}'
    )
    assert read_plan(tmp_path).cells == ("a",)  # as it was written at first
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match=r"study\.json.*delete it"):
        read_plan(tmp_path)


def test_parts_of_a_page_are_written_and_the_rest_stays(folder: Path, tmp_path: Path) -> None:
    with_anchors(folder)
    table = table_in(folder, ["fc-paper-256"])
    parts = page_parts(table, judged(table), {"protocol": "p", "digests": {"test.npz": "abc"}})
    page = tmp_path / "page.md"
    mark, end = "<!-- study mine {} -->\n", "\n<!-- end -->"
    names = list(parts)
    marks = "\n\nmy words\n\n".join(f"{mark.format(name)}STALE{end}" for name in names)
    other = f"<!-- study other top1 -->\nas it was{end}"
    page.write_text(f"# Page\n{marks}\n{other}\n")
    fill_page(page, "mine", parts)
    text = page.read_text()
    assert "STALE" not in text
    assert text.count("my words") == len(names) - 1
    assert other in text
    for expected in (
        "- digests, test.npz: `abc`",
        "Not finished: 1, `fc-paper-256`.",
        "| JSCC AE, L1 then cross-entropy (paper) | 2 × 3 | 0.",
        "points were measured on blocks",
        "| image-jpeg | 6000 |",
    ):
        assert expected in text
    fill_page(page, "mine", parts)
    assert page.read_text() == text
    with pytest.raises(InputError, match="no '<!-- study nobody PART -->'"):
        fill_page(page, "nobody", parts)
    page.write_text(f"{mark.format('else')}{end}")
    with pytest.raises(InputError, match="no part else"):
        fill_page(page, "mine", parts)


@pytest.mark.parametrize("figure", FIGURES)
def test_no_panel_cuts_a_curve_off(
    folder: Path, tmp_path: Path, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    saved: list[Figure] = []
    save = Figure.savefig

    def kept(self: Figure, *given: Any, **options: Any) -> None:
        saved.append(self)
        save(self, *given, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    drawn(figure, folder, tmp_path)
    for axis in saved[-1].axes:
        low, high = axis.get_ylim()
        values = [value for line in axis.lines for value in np.asarray(line.get_ydata(), float)]
        assert low == 0
        assert high >= np.nanmax(values)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"cells": 5}', "5", None])
def test_a_plan_or_a_cell_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    for name in ("study.json", "cell.json"):
        if text is None:
            os.mkfifo(tmp_path / name)
        else:
            (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"study\.json: cannot be read"):
        read_plan(tmp_path)
    with pytest.raises(InputError, match=r"cell\.json: "):
        read_cell(tmp_path / "cell.json")
