"""Any layout, type, size and preprocessing goes into the graph; what cannot is told in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from airreid.adopt.network import PlainNetwork, at_size, load_network, read_interface
from airreid.adopt.preprocessing import PRESETS, Preprocessing
from airreid.adopt.wrapping import prove, wrap
from airreid.errors import InputError
from airreid.inference import Network

from . import networks


def wrapped(path: Path, preprocessing: Preprocessing, out: Path, **how: object) -> float:
    """Wraps a network, proves it, and compares with NumPy's own arithmetic."""
    model = load_network(path)
    interface = read_interface(path, model, **how)  # type: ignore[arg-type]
    plain = PlainNetwork(path, interface, 1)
    images = networks.crops(5, (interface.height, interface.width))
    width = plain.features(preprocessing.apply(images[:1])).shape[1]
    onnx.save(wrap(model, interface, preprocessing, width), out)
    return prove(out, plain, images, preprocessing)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_the_graph_takes_uint8_rgb_and_gives_what_the_network_gives(
    tmp_path: Path, preset: str, layout: str
) -> None:
    path = networks.write(tmp_path / "in.onnx", layout=layout, gain=(1.0, 0.5, 0.1))
    assert wrapped(path, PRESETS[preset], tmp_path / "out.onnx") < 1e-4
    images = networks.crops(3)
    preprocessing = PRESETS[preset]
    pixels = images[..., ::-1] if preset.endswith("-bgr") else images
    values = (pixels.astype(np.float64) * preprocessing.scale - preprocessing.mean) / (
        preprocessing.std
    )
    fields = np.tanh(values).reshape(3, 8, 32, 4, 32, 3).mean(axis=(2, 4)) * (1.0, 0.5, 0.1)
    expected = fields.transpose(0, 3, 1, 2).reshape(3, -1)
    np.testing.assert_allclose(Network(tmp_path / "out.onnx", 1)(images), expected, atol=1e-4)


@pytest.mark.parametrize(
    "how",
    [
        {"dtype": "float16"},
        {"dtype": "uint8"},
        {"batch": 1},
        {"batch": 4},
        {"batch": None},
        {"size": (384, 128)},
        {"size": (224, 224)},
        {"shape": "pooled"},
        {"shape": "pooled", "batch": 1},
    ],
)
def test_types_batches_and_sizes(tmp_path: Path, how: dict[str, object]) -> None:
    path = networks.write(tmp_path / "in.onnx", **how)  # type: ignore[arg-type]
    preprocessing = PRESETS["raw" if how.get("dtype") == "uint8" else "half"]
    wrapped(path, preprocessing, tmp_path / "out.onnx")
    features = Network(tmp_path / "out.onnx", 1)(
        networks.crops(3, how.get("size", (256, 128)))  # type: ignore[arg-type]
    )
    assert features.dtype == np.float32
    assert features.ndim == 2
    assert len(features) == 3


def test_one_of_several_outputs_and_a_free_size_are_asked_for(tmp_path: Path) -> None:
    path = networks.write(tmp_path / "in.onnx", extra_output=True, size=None)
    with pytest.raises(InputError, match=r"2 outputs; say with --output .*output.*attention"):
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx", size=(256, 128))
    with pytest.raises(InputError, match="--resize HEIGHTxWIDTH"):
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx", output="output")
    with pytest.raises(InputError, match="no output 'feature'; it has: output, attention"):
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx", output="feature", size=(256, 128))
    wrapped(path, PRESETS["half"], tmp_path / "out.onnx", output="output", size=(256, 128))
    assert [value.name for value in onnx.load(tmp_path / "out.onnx").graph.output] == ["output"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"extra_input": True}, "needs one input, the image; it has 2: images, camera"),
        ({"shape": "map"}, "a map, not a vector"),
        ({"nan": True}, "NaN or infinity"),
        ({"constant": True}, "every image gives the same feature"),
        ({"mixes_batch": True}, "depends on the others in its batch|same feature"),
        ({"size": (8, 8)}, "each side must be 16 to 1024"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, how: dict[str, object], message: str
) -> None:
    if how.get("size") == (8, 8):
        path = networks.write(tmp_path / "in.onnx")
        model = onnx.load(path)
        for axis in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 8
        onnx.save(model, path)
    else:
        path = networks.write(tmp_path / "in.onnx", **how)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message) as refused:
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx")
    assert "\n" not in str(refused.value)


def test_files_that_are_no_network(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(InputError, match="cannot be read"):
        load_network(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="without operators"):
        load_network(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="not an ONNX network"):
        load_network(path)
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(InputError, match=r"3\.0 GB"):
        load_network(path)
    path.unlink()


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    model = onnx.load(networks.write(tmp_path / "in.onnx"))
    onnx.save(
        model,
        tmp_path / "apart.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    with pytest.raises(InputError, match="weights are in files beside it"):
        load_network(tmp_path / "apart.onnx")


def pooling_network(path: Path, layout: str, seed: int = 0) -> Path:
    """Declares crops of 64 x 32, but its pooling takes a map of any size."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32)
    shape = ["batch", 3, 64, 32] if layout == "nchw" else ["batch", 64, 32, 3]
    nodes = [
        helper.make_node("Conv", ["planes", "kernel"], ["mixed"], pads=[1] * 4),
        helper.make_node("Relu", ["mixed"], ["bent"]),
        helper.make_node("GlobalAveragePool", ["bent"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["output"]),
    ]
    first = helper.make_node("Identity", ["images"], ["planes"])
    if layout == "nhwc":
        first = helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2])
    graph = helper.make_graph(
        [first, *nodes],
        "pooling",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 6])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("size", [(128, 64), (32, 96)])
def test_another_size_than_the_declared_one_does_where_the_graph_allows_it(
    tmp_path: Path, layout: str, size: tuple[int, int]
) -> None:
    path = pooling_network(tmp_path / "in.onnx", layout)
    given = load_network(path)
    before = given.SerializeToString()
    interface = read_interface(path, given, size=size)
    model = at_size(path, given, interface)
    assert given.SerializeToString() == before
    plain = PlainNetwork(path, interface, 1, model)
    images = networks.crops(3, size)
    preprocessing = PRESETS["half"]
    onnx.save(wrap(model, interface, preprocessing, 6), tmp_path / "out.onnx")
    assert prove(tmp_path / "out.onnx", plain, images, preprocessing) < 1e-5
    # The convolution by hand: sums over the nine shifts of the padded crop.
    (kernel,) = (numpy_helper.to_array(tensor) for tensor in given.graph.initializer)
    values = np.pad(preprocessing.apply(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = size
    expected = sum(
        values[:, row : row + height, column : column + width] @ kernel[:, :, row, column].T
        for row in range(3)
        for column in range(3)
    )
    pooled = np.maximum(expected, 0).mean(axis=(1, 2))
    np.testing.assert_allclose(plain.features(preprocessing.apply(images)), pooled, atol=1e-4)


def test_the_declared_size_needs_no_other_graph(tmp_path: Path) -> None:
    path = pooling_network(tmp_path / "in.onnx", "nchw")
    model = load_network(path)
    for size in (None, (64, 32)):
        assert at_size(path, model, read_interface(path, model, size=size)) is model


@pytest.mark.parametrize("size", [(128, 64), (512, 256), (256, 64)])
def test_a_graph_that_holds_its_size_is_refused_at_another(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = networks.write(tmp_path / "in.onnx")
    model = load_network(path)
    interface = read_interface(path, model, size=size)
    with pytest.raises(InputError, match=f"256 x 128 alone, not of {size[0]}x{size[1]}"):
        at_size(path, model, interface)


def test_a_graph_of_three_dimensions_or_integers_is_no_image_network(tmp_path: Path) -> None:
    model = onnx.load(networks.write(tmp_path / "in.onnx"))
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    with pytest.raises(InputError, match="3 dimensions"):
        read_interface(Path("x.onnx"), model)
    model = onnx.load(tmp_path / "in.onnx")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match="int64; use float32, float16 or uint8"):
        read_interface(Path("x.onnx"), model)
    model = onnx.load(tmp_path / "in.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    with pytest.raises(InputError, match="a colour image is"):
        read_interface(Path("x.onnx"), model)


def changed(source: Path, target: Path, *nodes: onnx.NodeProto, **constants: object) -> Path:
    """A network with more nodes behind its ``output``, the last of which gives ``end``."""
    model = onnx.load(source)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("end", TensorProto.FLOAT, None))
    onnx.save(model, target)
    return target


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([("Softmax", ["output"], {"axis": 1})], {}, "output end is a softmax"),
        ([("Mul", ["output", "k"], {})], {"k": np.float32(1e30)}, "features of size .*e.29"),
        ([("Mul", ["output", "k"], {})], {"k": np.float32(1e-20)}, "features of size .*e-2"),
        (
            [("Dropout", ["output", "rate", "train"], {})],
            {"rate": np.float32(0.5), "train": np.bool_(True)},
            "other features with every call .* in evaluation mode",
        ),
        (
            [("Reshape", ["output", "all"], {})],
            {"all": np.asarray([-1])},
            "one vector for each image, N x D",
        ),
    ],
)
def test_outputs_that_are_no_feature_are_refused_by_the_networks_name(
    tmp_path: Path,
    nodes: list[tuple[str, list[str], dict[str, object]]],
    constants: dict[str, object],
    message: str,
) -> None:
    last = [helper.make_node(kind, names, ["end"], **how) for kind, names, how in nodes]  # type: ignore[arg-type]
    path = changed(networks.write(tmp_path / "in.onnx"), tmp_path / "n.onnx", *last, **constants)
    with pytest.raises(InputError, match=message) as refused:
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx")
    assert str(refused.value).startswith(str(path))


@pytest.mark.parametrize("batch", [1, 16])
def test_a_batch_that_cannot_be_freed_is_said(tmp_path: Path, batch: int) -> None:
    joined = helper.make_node("Concat", ["output", "more"], ["end"], axis=1)
    path = changed(
        networks.write(tmp_path / "in.onnx", batch=batch),
        tmp_path / "n.onnx",
        joined,
        more=np.ones((batch, 4), np.float32),
    )
    with pytest.raises(InputError, match=r"n\.onnx: takes batches of one size only"):
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx")


@pytest.mark.parametrize("shape", [[-1, 1, 96], [-1, 96, 1]])
def test_sides_of_one_are_no_map(tmp_path: Path, shape: list[int]) -> None:
    reshaped = helper.make_node("Reshape", ["output", "sides"], ["end"])
    source = networks.write(tmp_path / "in.onnx")
    path = changed(source, tmp_path / "n.onnx", reshaped, sides=np.asarray(shape))
    assert wrapped(path, PRESETS["half"], tmp_path / "out.onnx") < 1e-4


def test_weights_of_a_constant_in_another_file_are_refused(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones((1, 96), np.float32), "apart")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    constant = helper.make_node("Constant", [], ["ones"], value=tensor)
    added = helper.make_node("Add", ["output", "ones"], ["end"])
    path = changed(networks.write(tmp_path / "in.onnx"), tmp_path / "n.onnx", constant, added)
    with pytest.raises(InputError, match=r"n\.onnx: keeps weights in another file"):
        load_network(path)


@pytest.mark.parametrize("name", ["manifest.json", "net.textproto", "net.onnxtxt"])
def test_text_is_no_network_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "mine"}')
    with pytest.raises(InputError, match="not an ONNX network"):
        load_network(tmp_path / name)


def test_an_input_without_a_shape_is_refused(tmp_path: Path) -> None:
    model = onnx.load(networks.write(tmp_path / "in.onnx"))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match="says no shape"):
        read_interface(Path("x.onnx"), model)


def test_a_feature_too_wide_to_fit_codes_to_is_refused_at_once(tmp_path: Path) -> None:
    repeated = helper.make_node("Tile", ["output", "times"], ["end"])
    source = networks.write(tmp_path / "in.onnx")
    path = changed(source, tmp_path / "n.onnx", repeated, times=np.asarray([1, 86]))
    with pytest.raises(InputError, match="has 8256 dimensions; a feature has 2 to 4096"):
        wrapped(path, PRESETS["half"], tmp_path / "out.onnx")
