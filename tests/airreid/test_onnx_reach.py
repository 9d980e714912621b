"""No graph of a bundle reads a file that the manifest does not list, and none that was altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from airreid.bundle import Bundle, files_of, load_bundle
from airreid.disk import file_sha256
from airreid.errors import BundleError
from airreid.inference import BackboneRunner, Network, Signature
from airreid.onnx_reach import check_self_contained
from airreid.scheme_kinds import open_scheme

from ..made_bundles import made_bundle

SIZE = (96, 64)
WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def fitting(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return made_bundle(tmp_path_factory.mktemp("made"), [SIZE])


@pytest.fixture
def copy(fitting: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitting.path, tmp_path / "copy"))


def graphs(folder: Path) -> list[str]:
    names = [ref.path for ref in files_of(load_bundle(folder).manifest)]
    return [name for name in names if name.endswith(".onnx")]


def rehash(folder: Path) -> None:
    """Brings the manifest up to date with what the files hold."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in (*manifest["backbones"], *manifest["schemes"]):
        for ref in entry.values():
            if isinstance(ref, dict) and "sha256" in ref:
                ref["sha256"] = file_sha256(folder / ref["path"])
    path.write_text(json.dumps(manifest))


def test_external_data_is_refused_in_every_graph_of_a_bundle(copy: Path) -> None:
    names = graphs(copy)
    assert len(names) >= 3
    for name in names:
        path = copy / name
        whole = path.read_bytes()
        model = onnx.load(path)
        onnx.save(
            model,
            path,
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
            convert_attribute=True,
        )
        rehash(copy)
        with pytest.raises(BundleError, match=rf"{name}: keeps weights in another file \(weights"):
            load_bundle(copy)
        with pytest.raises(BundleError, match="keeps weights in another file"):
            Network(path, 1)
        path.write_bytes(whole)
        (copy / "weights.bin").unlink()
        rehash(copy)
    load_bundle(copy)


def external() -> TensorProto:
    tensor = numpy_helper.from_array(WEIGHTS, "w")
    set_external_data(tensor, "elsewhere.bin", 0, WEIGHTS.nbytes)
    tensor.ClearField("raw_data")
    return tensor


def graph_of(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "g", [], [], list(tensors))


def in_initializer() -> onnx.ModelProto:
    return helper.make_model(graph_of(tensors=(external(),)))


def in_attribute() -> onnx.ModelProto:
    return helper.make_model(graph_of(helper.make_node("Constant", [], ["w"], value=external())))


def in_branch() -> onnx.ModelProto:
    inner = graph_of(tensors=(external(),))
    outer = graph_of(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    node = helper.make_node("If", ["c"], ["y"], then_branch=outer, else_branch=outer)
    return helper.make_model(graph_of(node))


def in_function() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["w"], value=external())
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "F", [], ["w"], [node], opsets)
    return helper.make_model(graph_of(), functions=[function])


def in_sparse() -> onnx.ModelProto:
    indices = numpy_helper.from_array(np.arange(12, dtype=np.int64), "i")
    sparse = onnx.SparseTensorProto(values=external(), indices=indices, dims=[12])
    model = helper.make_model(graph_of())
    model.graph.sparse_initializer.append(sparse)
    return model


def in_training() -> onnx.ModelProto:
    model = helper.make_model(graph_of())
    model.training_info.add().initialization.initializer.append(external())
    return model


PLACES = (in_initializer, in_attribute, in_branch, in_function, in_sparse, in_training)


@pytest.mark.parametrize("make", PLACES)
def test_external_data_is_seen_wherever_a_tensor_can_be(
    make: Callable[[], onnx.ModelProto],
) -> None:
    with pytest.raises(BundleError, match="keeps weights in another file"):
        check_self_contained(make().SerializeToString(), "x.onnx")


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_graph_that_may_never_end_is_refused(operator: str, inside: bool) -> None:
    graph = graph_of(helper.make_node(operator, ["n", "c"], ["y"], body=graph_of()))
    if inside:
        graph = graph_of(helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph))
    with pytest.raises(BundleError, match=rf"x\.onnx: has an operator {operator}, which may never"):
        check_self_contained(helper.make_model(graph).SerializeToString(), "x.onnx")


def test_a_graph_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = numpy_helper.from_array(np.array([1000, 1000], np.int64), "shape")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(9000)),
        helper.make_node("ReduceMean", ["m9000"], ["last"], keepdims=0),
        helper.make_node("Add", ["x", "last"], ["y"]),
    ]
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", row[:1], row[1:], [shape])
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "x.onnx")
    monkeypatch.setattr("airreid.inference._SECONDS_MAX", 0.1)
    with pytest.raises(BundleError, match=r"x\.onnx: code takes over 0\.1 s for 2 of float32 Nx4"):
        Network(tmp_path / "x.onnx", 1, Signature("code", (4,), "float32", 4))


@pytest.mark.parametrize("field", ["feature_dim", "embedding_dim"])
def test_no_manifest_names_more_values_than_a_feature_has(copy: Path, field: str) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in (*manifest["backbones"], *manifest["schemes"]):
        if field in entry:
            entry[field] = 10**10
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=rf"{field}: Input should be less than or equal to 65536"):
        load_bundle(copy)


def test_a_location_of_more_bits_than_an_enum_has_is_seen() -> None:
    """Protocol buffers cut it to 32 bits: what is left is EXTERNAL."""
    tensor = numpy_helper.from_array(WEIGHTS, "w").SerializeToString()
    tensor += bytes([14 << 3]) + bytes([0x81, 0x80, 0x80, 0x80, 0x10])  # 2^32 + 1
    assert TensorProto.FromString(tensor).data_location == TensorProto.EXTERNAL
    graph = bytes([5 << 3 | 2, len(tensor)]) + tensor
    with pytest.raises(BundleError, match="another file"):
        check_self_contained(bytes([7 << 3 | 2, len(graph)]) + graph, "x.onnx")


@pytest.mark.parametrize(
    "data", [b"not a graph", b"\x3a\xff", b"\x3b\x00", b"\x08\x00\x00\x00ORTM"]
)
def test_what_is_no_graph_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="export"):
        check_self_contained(data, "x.onnx")


def test_a_graph_that_is_swapped_after_the_start_is_never_run(copy: Path) -> None:
    bundle = load_bundle(copy)
    for name in graphs(copy):
        (copy / name).write_bytes((copy / name).read_bytes() + b"\x08\x09")
    with pytest.raises(BundleError, match="contents differ from the manifest"):
        BackboneRunner(bundle, bundle.backbone, 1)
    for info in bundle.manifest.schemes:
        with pytest.raises(BundleError, match="contents differ from the manifest"):
            open_scheme(bundle, info, 1)
