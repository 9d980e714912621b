"""Hand-made ONNX graphs as a scheme: used as any other, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import airreid
from airreid.bundle import Bundle

USES = 32


def graph(
    path: Path, matrix: np.ndarray, scale: float | None = None, batch: str | int = "n"
) -> Path:
    """rows @ matrix; with ``scale`` rows of the length that it says. Returns ``path``."""
    width, depth = matrix.shape
    nodes = [helper.make_node("MatMul", ["input", "matrix"], ["product"])]
    constants = [numpy_helper.from_array(matrix.astype(np.float32), "matrix")]
    last = "product"
    if scale is not None:
        nodes.append(helper.make_node("LpNormalization", ["product"], ["unit"], axis=-1, p=2))
        nodes.append(helper.make_node("Mul", ["unit", "scale"], ["scaled"]))
        constants.append(numpy_helper.from_array(np.float32(scale).reshape(1), "scale"))
        last = "scaled"
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, width])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, depth])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def basis() -> np.ndarray:
    """(2048, 32), orthonormal columns."""
    drawn = np.random.default_rng(4).standard_normal((2048, USES))
    return np.linalg.qr(drawn)[0]


def test_a_pair_of_graphs_is_a_scheme(
    bundle: Bundle, basis: np.ndarray, features: np.ndarray, tmp_path: Path
) -> None:
    """A projection and its transpose: what is decoded is known in closed form."""
    encoder = graph(tmp_path / "e.onnx", basis, scale=USES**0.5)
    decoder = graph(tmp_path / "d.onnx", basis.T)
    bigger = airreid.add_jscc_scheme(
        bundle, tmp_path / "own", "jscc-ae-own-32", encoder, decoder, (-3.0, 3.0)
    )
    assert bigger.scheme_ids == [*bundle.scheme_ids, "jscc-ae-own-32"]
    model = airreid.Model(tmp_path / "own", "jscc-ae-own-32")
    assert (model.bandwidth, model.info.embedding_dim) == (USES, 2048)
    projected = features @ basis
    symbols = projected / np.linalg.norm(projected, axis=1, keepdims=True) * USES**0.5
    blocks = model.encode(features)
    np.testing.assert_allclose(blocks.symbols, symbols, atol=1e-4)
    received, report = airreid.channel(snr_db=0, seed=2).transmit(blocks)
    np.testing.assert_allclose(
        model.decode(received, report).embeddings, received.symbols @ basis.T, atol=1e-4
    )
    np.testing.assert_allclose(model.embed(features), symbols @ basis.T, atol=1e-4)
    demo = airreid.Model(tmp_path / "own", "jscc-fc-256")
    np.testing.assert_array_equal(
        demo.encode(features[:2]).symbols,
        airreid.Model(bundle, "jscc-fc-256").encode(features[:2]).symbols,
    )


def test_an_encoder_alone_is_a_scheme(bundle: Bundle, basis: np.ndarray, tmp_path: Path) -> None:
    encoder = graph(tmp_path / "e.onnx", basis, scale=USES**0.5)
    airreid.add_jscc_scheme(bundle, tmp_path / "own", "jscc-fc-own-32", encoder)
    model = airreid.Model(tmp_path / "own", "jscc-fc-own-32")
    symbols = model.encode(np.ones((1, 2048), np.float32)).symbols
    np.testing.assert_array_equal(model.decode(symbols).embeddings, symbols)


def test_graphs_that_do_not_fit_are_refused(
    bundle: Bundle, basis: np.ndarray, tmp_path: Path
) -> None:
    good = graph(tmp_path / "good.onnx", basis, scale=USES**0.5)
    loud = graph(tmp_path / "loud.onnx", basis, scale=USES)
    narrow = graph(tmp_path / "narrow.onnx", basis[:64], scale=USES**0.5)
    fixed = graph(tmp_path / "fixed.onnx", basis, scale=USES**0.5, batch=1)
    decoder = graph(tmp_path / "decoder.onnx", basis.T)
    (tmp_path / "none.onnx").write_bytes(b"no graph")
    for says, scheme_id, *graphs in (
        ("rows of mean power 32 to 32", "jscc-fc-own-32", loud),
        ("cannot run on float32 rows (3, 2048)", "jscc-fc-own-32", narrow),
        ("export it with a free batch size", "jscc-fc-own-32", fixed),
        ("write jscc-fc-NAME-32", "jscc-fc-own-64", good),
        ("write jscc-ae-NAME-32", "jscc-fc-own-32", good, decoder),
        ("has it already", "jscc-ae-64", good),
        ("cannot run on float32 rows (3, 32)", "jscc-ae-own-32", good, good),
        ("ONNX Runtime cannot load it", "jscc-fc-own-32", tmp_path / "none.onnx"),
        ("cannot load it", "jscc-fc-own-32", tmp_path / "missing.onnx"),
    ):
        with pytest.raises(airreid.AirReidError) as refused:
            airreid.add_jscc_scheme(bundle, tmp_path / "own", scheme_id, *graphs)
        assert says in str(refused.value)
    assert not (tmp_path / "own").exists()
