"""A nested scheme of a bundle: what it sends, what is searched, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from airreid.bundle import MANIFEST, Bundle, load_bundle
from airreid.bundle_cli import check_graphs
from airreid.errors import BundleError, InputError
from airreid.evaluation.points import scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.nested.pieces import pieces_of
from airreid.nested.scheme import NestedScheme
from airreid.payload import Analog
from airreid.retrieval import cosine
from airreid.scheme import check_piece
from airreid.scheme_kinds import open_scheme

from ...nested_bundle import SCHEME, nested_bundle, seen_people


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return nested_bundle(tmp_path_factory.mktemp("nested"))


@pytest.fixture(scope="module")
def scheme(bundle: Bundle) -> NestedScheme:
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    assert isinstance(scheme, NestedScheme)
    return scheme


def blocks(scheme: NestedScheme, count: int = 6) -> list[Analog]:
    payloads = scheme.pack(seen_people(count)[0], "analog")
    return [payload for payload in payloads if isinstance(payload, Analog)]


def test_a_bundle_with_one_is_whole(bundle: Bundle) -> None:
    check_graphs(bundle)
    info = load_bundle(bundle.path).scheme(SCHEME)
    assert info == bundle.scheme(SCHEME)
    assert bundle.usual_scheme_id == SCHEME


def test_a_prefix_ranks_as_its_own_space_does(scheme: NestedScheme) -> None:
    whole, gallery = blocks(scheme), scheme.gallery(seen_people(6)[0])
    for uses in (32, 64, 96, 128):
        cut = [pieces_of(block, 0, uses) for block in whole]
        embeddings = scheme.unpack(cut, [0.0] * len(cut)).embeddings
        symbols = np.stack([block.symbols for block in cut])
        expected = cosine(symbols, gallery[:, :uses])
        padded = cosine(embeddings, gallery) * np.sqrt(128 / uses)
        np.testing.assert_allclose(padded, expected, atol=1e-5)
        assert scheme.cost(cut[0]).uses == uses


def test_payloads_in_other_pieces_are_refused(scheme: NestedScheme) -> None:
    block = blocks(scheme)[0]
    with pytest.raises(InputError, match="not in pieces of 32 uses"):
        scheme.unpack([Analog(block.symbols)], [0.0])
    with pytest.raises(InputError, match="begins with a later piece"):
        scheme.unpack([pieces_of(block, 1, 32)], [0.0])
    check_piece(scheme.info, block)
    with pytest.raises(InputError, match="sends pieces of 32 uses; this block says pieces of 0"):
        check_piece(scheme.info, Analog(block.symbols))


def test_every_prefix_is_measured(scheme: NestedScheme) -> None:
    features, labels = seen_people(40)
    query, stored = labels.camera == 0, labels.camera == 1
    data = RetrievalFeatures(
        features[stored], labels.take(stored), features[query], labels.take(query)
    )
    points = scheme_points("b", scheme, "analog", data, [-5.0, 10.0], range(2))
    assert [point.bandwidth for point in points] == [32, 32, 64, 64, 128, 128]
    top1 = {(point.bandwidth, point.snr_db): point.top1 for point in points}
    assert top1[128, -5.0] > top1[32, -5.0]
    assert top1[128, 10.0] > top1[128, -5.0]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("piece", 48, "must be whole pieces of 48 uses"),
        ("embedding_dim", 64, "must be whole pieces of 32 uses"),
        ("stopping", {"mismatch": 1.0}, "stopping"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, field: str, value: object, why: str
) -> None:
    bundle = nested_bundle(tmp_path / "b", rule=False)
    manifest = json.loads((bundle.path / MANIFEST).read_text())
    manifest["schemes"][0][field] = value
    (bundle.path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=why):
        load_bundle(bundle.path)
