"""Which measured point belongs to which curve of Figure 4."""

from __future__ import annotations

import pytest

from airreid.errors import InputError
from airreid.evaluation.figures import highest_reliable_rate, nearest_snr_train, plot
from airreid.evaluation.point_files import lines
from airreid.evaluation.points import Point
from airreid.scheme_info import JsccInfo
from airreid.scheme_kinds import _KINDS, SchemeKind, scheme_kind


def point(scheme: str, snr_db: float | None, top1: float = 0.5, **other: object) -> Point:
    kind = scheme.rsplit("-", 1)[0]
    settings: dict[str, object] = {
        "bundle": "b",
        "scheme": scheme,
        "kind": "digital" if kind.startswith("digital") else kind,
        "link": "analog",
        "bandwidth": 256,
        "snr_db": snr_db,
        "snr_db_train": None,
        "queries": 10,
        "seeds": 5,
        "top1": top1,
        "top1_half_width": 0.01,
        "top5": 1.0,
        "top10": 1.0,
        "map": 0.5,
        "map_half_width": 0.01,
        "minp": 0.5,
    }
    return Point(**(settings | other))  # type: ignore[arg-type]


def ae(snr_db: float, low: float, high: float, top1: float = 0.5, bundle: str = "b") -> Point:
    return point("jscc-ae-256", snr_db, top1, snr_db_train=(low, high), bundle=bundle)


@pytest.mark.parametrize(
    ("snr_db", "expected"), [(-9, (-3, -3)), (-1.4, (0, 0)), (4, (0, 0)), (6, (10, 10))]
)
def test_the_training_snr_nearest_to_the_test_is_taken(
    snr_db: float, expected: tuple[float, float]
) -> None:
    trained = [(0, 0), (10, 10), (-3, -3), (-10, 10)]
    assert nearest_snr_train(ae(snr_db, *ends) for ends in trained).snr_db_train == expected


def test_what_was_found_does_not_choose() -> None:
    chosen = nearest_snr_train([ae(0, 0, 0, top1=0.1), ae(0, 5, 5, top1=0.9)])
    assert chosen.top1 == 0.1
    ranged = nearest_snr_train(
        [ae(0, -20, 20, top1=0.9), ae(0, -5, 5, top1=0.1), ae(0, 1, 2, top1=0.9)]
    )
    assert ranged.snr_db_train == (-5, 5)


def digital(name: str, bits: float, snr_db: float, top1: float = 0.5, link: str = "ideal") -> Point:
    return point(name, snr_db, top1, link=link, payload_bits=bits)


def test_a_digital_rate_is_chosen_by_what_is_lost_not_by_what_is_found() -> None:
    def rates(*outages: float) -> list[Point]:
        return [
            point("digital-256", 0.0, 1 - bits / 300, link="ideal", payload_bits=bits, outage=lost)
            for bits, lost in zip((50.0, 120.0, 230.0), outages, strict=True)
        ]

    for outages, expected in (
        ((0.0, 0.05, 0.06), 120.0),
        ((0.0, 0.0, 0.0), 230.0),
        ((0.9, 1.0, 1.0), 50.0),
        ((1.0, 1.0, 1.0), 50.0),
    ):
        assert highest_reliable_rate(rates(*outages)).payload_bits == expected


def test_figure_4a_says_when_nothing_was_trained_at_one_snr() -> None:
    ranged = [ae(snr, -10, 10) for snr in (0.0, -10.0, 10.0)]
    figure = plot("4a", ranged, 256)
    [curve] = figure.curves
    assert curve.x == (-10, 0, 10)
    assert curve.label == "JSCC AE, trained at -10 to 10 dB"
    assert "no scheme trained at one SNR" in figure.notes[0]
    single = [
        ae(snr, snr_train, snr_train, bundle=str(snr_train))
        for snr in (-3.0, 10.0)
        for snr_train in (-3, 10)
    ]
    figure = plot("4a", ranged + single, 256)
    assert [p.snr_db_train for p in figure.curves[0].points if p.snr_db in (-3, 10)] == [
        (-3, -3),
        (10, 10),
    ]


def test_figure_4b_has_a_curve_for_each_training() -> None:
    points = [
        ae(snr, snr_train, snr_train, bundle=str(snr_train))
        for snr in (0.0, 5.0)
        for snr_train in (-3, 10)
    ]
    points += [digital("digital-256", 100, snr, link=link) for snr in (0.0, 5.0) for link in "ic"]
    points += [point("pca-256", snr) for snr in (5.0, 0.0)]
    points += [point("noiseless", None, kind="noiseless", link="none", bandwidth=0)]
    points += [ae(0.0, 1, 1), point("jscc-ae-64", 0.0, bandwidth=64)]
    figure = plot("4b", points, 256)
    assert [curve.label for curve in figure.curves] == [
        "jscc-ae-256, trained at -3 dB",
        "jscc-ae-256, trained at 10 dB",
        "digital-256, i, 100 bits",
        "digital-256, c, 100 bits",
        "jscc-ae-256, trained at 1 dB",
        "PCA, linear",
    ]
    assert figure.curves[-1].x == (0, 5)
    assert len(figure.bounds) == 1
    twins = [ae(0.0, 1, 1, bundle=name) for name in ("9f3c2a", "77ab01")]
    assert [curve.label for curve in plot("4b", twins, 256).curves] == [
        "jscc-ae-256, trained at 1 dB",
        "jscc-ae-256, trained at 1 dB, bundle 2",
    ]


def test_figure_4c_runs_over_bandwidths() -> None:
    points = [
        point(f"jscc-ae-{width}", snr, bandwidth=width, snr_db_train=(0, 0))
        for width in (256, 64)
        for snr in (0.0, -10.0)
    ]
    figure = plot("4c", points, 256)
    assert [(curve.label, curve.x) for curve in figure.curves] == [
        ("JSCC AE, -10 dB", (64, 256)),
        ("JSCC AE, +0 dB", (64, 256)),
    ]


def test_every_backbone_has_a_linear_baseline_of_its_own() -> None:
    frozen = [point("pca-256", snr, 0.3, bandwidth=256, backbone="frozen") for snr in (5.0, 0.0)]
    joint = [point("pca-256", snr, 0.6, bandwidth=256, backbone="joint") for snr in (5.0, 0.0)]
    [line] = [c for c in plot("4b", frozen, 256).curves if c.kind == "pca"]
    assert line.label == "PCA, linear"
    for figure in ("4a", "4b"):
        lines = [c for c in plot(figure, [*frozen, *joint], 256).curves if c.kind == "pca"]  # type: ignore[arg-type]
        assert [c.label for c in lines] == ["PCA, linear, on frozen", "PCA, linear, on joint"]
        assert [[p.top1 for p in c.points] for c in lines] == [[0.3, 0.3], [0.6, 0.6]]
    narrow = [point("pca-64", 0.0, 0.2, bandwidth=64, backbone="frozen")]
    curves = plot("4c", [*frozen, *joint, *narrow], 256).curves
    assert [(c.label, c.x) for c in curves if c.label.endswith("+0 dB")] == [
        ("PCA, linear, on frozen, +0 dB", (64, 256)),
        ("PCA, linear, on joint, +0 dB", (256,)),
    ]


def test_a_table_keeps_the_baselines_of_several_backbones_apart() -> None:
    about = dict.fromkeys(
        ("data", "query_images", "identities", "gallery_images", "data_digest", "noise"), 1
    )
    about |= {"interval": 1, "pca": 1}
    points = [
        point("pca-256", 0.0, top1, backbone=backbone)
        for backbone, top1 in (("frozen", 0.3), ("joint", 0.6))
    ]
    printed = lines(about, points)
    assert printed[-4:-2] == ["on frozen", next(line for line in printed if "0.300" in line)]
    assert printed[-2:] == ["on joint", next(line for line in printed if "0.600" in line)]
    assert not any(line.startswith("on ") for line in lines(about, points[:1]))


def test_a_kind_that_another_package_registers_has_curves() -> None:
    sketch = SchemeKind("sketch", "Sketch", JsccInfo, scheme_kind("jscc-ae").open, ("analog",))
    points = [
        point(f"sketch-{width}", snr, kind="sketch", bandwidth=width, snr_db_train=(0, 0))
        for width in (64, 256)
        for snr in (0.0, 5.0)
    ]
    with pytest.raises(InputError, match="scheme kind 'sketch'"):
        plot("4a", points, 256)
    with _KINDS.registered(sketch.name, sketch):
        [curve] = plot("4a", points, 256).curves
        assert curve.label == "Sketch, trained for each SNR"
        [curve] = plot("4b", points, 256).curves
        assert (curve.label, curve.x) == ("sketch-256, trained at 0 dB", (0, 5))
        labels = [curve.label for curve in plot("4c", points, 256).curves]
        assert labels == ["Sketch, +0 dB", "Sketch, +5 dB"]
