"""Indexes in fewer dimensions: the cosines of the whole embeddings, and half a claim never."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.linear_subspace import compact
from accesspoint.gallery.store.store import Store
from airreid.bundle import BackboneInfo, Bundle, Manifest, write_manifest
from airreid.retrieval import cosine
from airreid.scheme_info import FileRef, JsccInfo
from airreid.scheme_kinds import open_scheme

DIM, BANDWIDTH = 40, 8
SCHEME = f"jscc-ae-{BANDWIDTH}"
Decoder = Callable[[np.ndarray], np.ndarray]


def linear(seed: int = 0, offset: float = 0.0, rows: int = BANDWIDTH) -> Decoder:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, DIM)).astype(np.float32)
    shift = (offset * rng.standard_normal(DIM)).astype(np.float32)
    return lambda received: received @ weight + shift


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_cosines_are_those_of_the_whole_embeddings(offset: float) -> None:
    decoder = linear(offset=offset)
    compacted = compact(decoder, BANDWIDTH, DIM)
    assert compacted is not None
    basis = compacted.basis
    assert basis.shape == (DIM, BANDWIDTH + (offset != 0))
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-6)
    symbols = np.random.default_rng(1).standard_normal((50, BANDWIDTH)).astype("f4")
    embeddings = decoder(symbols)
    np.testing.assert_allclose(compacted(symbols), embeddings @ basis, atol=1e-5)
    whole = cosine(embeddings, embeddings)
    np.testing.assert_allclose(cosine(embeddings @ basis, embeddings @ basis), whole, atol=1e-6)


def test_a_decoder_a_rounding_away_has_nearly_the_same_basis() -> None:
    """A snapshot of one machine may be loaded by another."""
    exact = linear()
    first, second = (
        compact(decoder, BANDWIDTH, DIM)
        for decoder in (exact, lambda y: exact(y).astype(np.float64).astype("f4") * (1 + 1e-6))
    )
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.basis, second.basis, atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "bandwidth"),
    [
        (lambda y: np.maximum(linear()(y), 0.1 * linear()(y)), BANDWIDTH),  # LeakyReLU
        (lambda y: linear()(np.tanh(0.01 * y)), BANDWIDTH),
        (lambda y: linear()(y * (np.arange(BANDWIDTH) > 0)), BANDWIDTH),  # deaf to one symbol
        (lambda y: linear()(y) * np.nan, BANDWIDTH),
        (lambda y: np.zeros((len(y), DIM), "f4"), BANDWIDTH),
        (linear(rows=20), 20),  # saves less than half
    ],
    ids=["leaky", "curved", "deaf", "nan", "zero", "wide"],
)
def test_no_basis_where_there_is_none_worth_having(decoder: Decoder, bandwidth: int) -> None:
    assert compact(decoder, bandwidth, DIM) is None


def _bundle(folder: Path, leaky: bool) -> Bundle:
    """A scheme whose decoder is a matrix, with or without something that is not linear."""
    folder.mkdir()
    rng = np.random.default_rng(2)

    def save(name: str, sizes: tuple[int, int], bent: bool) -> FileRef:
        constants = {"w": rng.standard_normal(sizes).astype(np.float32)}
        nodes = [helper.make_node("MatMul", ["x", "w"], ["z" if bent else "y"])]
        nodes += [helper.make_node("LeakyRelu", ["z"], ["y"], alpha=0.2)] * bent
        ends = [
            helper.make_tensor_value_info(key, TensorProto.FLOAT, ["n", size])
            for key, size in zip("xy", sizes, strict=True)
        ]
        values = [numpy_helper.from_array(value, key) for key, value in constants.items()]
        graph = helper.make_graph(nodes, name, ends[:1], ends[1:], values)
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        digest = hashlib.sha256(model.SerializeToString()).hexdigest()
        return FileRef(path=f"{name}.onnx", sha256=digest)

    encoder = save("encoder", (DIM, BANDWIDTH), False)
    decoder = save("decoder", (BANDWIDTH, DIM), leaky)
    backbone = BackboneInfo(
        id="none", file=encoder, precision="fp32", space_id="s", feature_dim=DIM
    )
    scheme = JsccInfo(
        id=SCHEME,
        kind="jscc-ae",
        space_id="s",
        bandwidth=BANDWIDTH,
        embedding_dim=DIM,
        encoder=encoder,
        decoder=decoder,
        gallery="decoder(encoder)",
        snr_db_train=(0.0, 0.0),
    )
    manifest = Manifest(name="t", backbones=(backbone,), schemes=(scheme,), provenance={})
    return write_manifest(folder, manifest)


@pytest.mark.parametrize("leaky", [False, True])
def test_a_gallery_ranks_as_the_whole_embeddings_do(leaky: bool, tmp_path: Path) -> None:
    """After a restart from the snapshot, with deleted entries, and provably without them."""
    bundle = _bundle(tmp_path / "bundle", leaky)
    rng = np.random.default_rng(3)
    features = rng.standard_normal((200, DIM)).astype(np.float32)
    whole = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    remaining = list(range(200))
    (tmp_path / "data").mkdir()
    for life in range(2):
        store = Store(tmp_path / "data" / "gallery.sqlite")
        gallery = Gallery(store, bundle, 1)
        assert gallery.wait_ready()
        if not life:
            gallery.open_index(SCHEME)
            numbers = gallery.enrol(
                [NewEntry(f"p{i}", "c", "s", row) for i, row in enumerate(features)]
            )
        scheme = gallery.scheme(SCHEME)
        if life:
            report = gallery.maintenance.delete_provably([numbers[i] for i in range(0, 200, 3)])
            assert report.clean
            assert report.needles
            remaining = [i for i in range(200) if i % 3]
        asked = rng.standard_normal((30, DIM)).astype(np.float32)
        exact = cosine(whole.gallery(asked), whole.gallery(features[remaining]))
        results = gallery.search(SCHEME, scheme.gallery(asked), 3, 0)
        for row, result in zip(exact, results, strict=True):
            best = np.argsort(-row)[:3]
            subjects = [match.subject for match in result.matches]
            assert subjects == [f"p{remaining[i]}" for i in best]
            scores = [match.score for match in result.matches]
            np.testing.assert_allclose(scores, row[best], atol=1e-6)
        snapshot = tmp_path / "data" / "index" / SCHEME
        gallery.maintenance.run_now()
        gallery.close()
        store.close()
        vectors = sum(path.stat().st_size for path in snapshot.glob("*.segment")) / len(remaining)
        assert vectors > DIM * 4 if leaky else vectors < DIM * 4
