"""Bundles whose graphs are not what the manifest says, and bundles that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import airreid
from accesspoint.api.enrolment import Encoder as AccessPointEncoder
from airreid.bundle import Bundle, load_bundle
from airreid.bundle_cli import check_graphs
from airreid.cli import build
from airreid.disk import file_sha256
from airreid.errors import AirReidError, BundleError
from airreid.scheme_kinds import open_scheme
from edge.encoder import Encoder

from ..made_bundles import made_bundle
from .adopt import networks

SIZE = (96, 64)
FEATURE = 3 * 3 * 2
AE_16 = 1
"""Place of ``jscc-ae-16`` among the schemes."""


@pytest.fixture(scope="module")
def fitting(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return made_bundle(tmp_path_factory.mktemp("made"), [SIZE])


@pytest.fixture
def copy(fitting: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitting.path, tmp_path / "copy"))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(arguments), list(arguments))


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> Bundle:
    """The bundle with a changed manifest, whose hashes are brought up to date."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    for entry in (*manifest["backbones"], *manifest["schemes"]):
        for ref in (entry.get("file"), entry.get("encoder"), entry.get("decoder")):
            if ref:
                ref["sha256"] = file_sha256(folder / ref["path"])
    path.write_text(json.dumps(manifest))
    return load_bundle(folder)


def affine(path: Path, rows: int, columns: int, *, offset: float = 0.0, batch: int | None = None):  # type: ignore[no-untyped-def]
    """Writes ``x W + offset`` for float32 (batch, rows)."""
    weights = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    tensors = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.asarray(offset, np.float32), "offset"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["y"]),
    ]
    first: int | str = batch or "batch"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [first, rows])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "affine", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def backbone_field(name: str, value: int) -> Callable[[Path], Bundle]:
    return lambda folder: edited(folder, lambda m: m["backbones"][0].update({name: value}))


def other_backbone(**settings: Any) -> Callable[[Path], Bundle]:
    def change(folder: Path) -> Bundle:
        arguments = {"layout": "nhwc", "dtype": "uint8", "size": SIZE} | settings
        networks.write(folder / "96x64.onnx", **arguments)
        return edited(folder, lambda manifest: None)

    return change


def other_part(part: str, *shape: int, **settings: Any) -> Callable[[Path], Bundle]:
    def change(folder: Path) -> Bundle:
        affine(folder / f"jscc-ae-16.{part}.onnx", *shape, **settings)
        return edited(folder, lambda manifest: None)

    return change


BACKBONES = {
    "height": (
        backbone_field("height", 128),
        r"backbone 96x64 takes uint8 Nx96x64x3, but by the manifest it must take uint8 Nx128x64x3",
    ),
    "width": (backbone_field("width", 128), r"Nx96x64x3.*must take uint8 Nx96x128x3; correct"),
    "feature_dim": (
        backbone_field("feature_dim", 19),
        r"backbone 96x64 gives float32 Nx18, but by the manifest it must give float32 Nx19",
    ),
    "type": (other_backbone(dtype="float32"), r"takes float32 Nx96x64x3, but .* uint8 Nx96x64x3"),
    "layout": (other_backbone(layout="nchw"), r"takes uint8 Nx3x96x64, but"),
    "fixed batch": (other_backbone(batch=1), r"takes uint8 1x96x64x3, but"),
    "two inputs": (other_backbone(extra_input=True), r"takes 2 inputs \(images, camera\), not one"),
    "any size": (
        other_backbone(size=None),
        r"backbone 96x64 gives float32 Nx96, but|cannot run on uint8 Nx96x64x3",
    ),
    "map": (other_backbone(shape="map"), r"gives float32 Nx3x3x2, but"),
    "half": (other_backbone(dtype="float16"), r"takes tensor\(float16\) Nx96x64x3, but"),
    "NaN": (other_backbone(nan=True), r"backbone 96x64 gives NaN or infinity; export"),
}
PARTS = {
    "encoder input": (
        other_part("encoder", FEATURE + 1, 16),
        r"jscc-ae-16\.encoder\.onnx: encoder of jscc-ae-16 takes float32 Nx19, .* float32 Nx18",
    ),
    "encoder output": (other_part("encoder", FEATURE, 15), r"encoder of .* gives float32 Nx15"),
    "encoder NaN": (other_part("encoder", FEATURE, 16, offset=np.nan), r"gives NaN or infinity"),
    "decoder input": (other_part("decoder", 15, FEATURE), r"decoder of .* takes float32 Nx15"),
    "decoder output": (other_part("decoder", 16, 17), r"gives float32 Nx17, .* float32 Nx18"),
    "decoder batch": (other_part("decoder", 16, FEATURE, batch=1), r"takes float32 1x16, but"),
}


def one_sentence(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and "Traceback" not in text and len(text) < 400


@pytest.mark.parametrize(("change", "message"), BACKBONES.values(), ids=BACKBONES)
def test_a_backbone_that_does_not_fit_is_told_in_a_sentence(
    copy: Path, change: Callable[[Path], Bundle], message: str
) -> None:
    bundle = change(copy)
    crop = np.zeros((1, *SIZE, 3), np.uint8)
    for use in (
        lambda: check_graphs(bundle),
        lambda: Encoder(bundle, 1),
        lambda: AccessPointEncoder(bundle, 1).features(crop),
        lambda: airreid.Model(bundle).features(crop),
    ):
        with pytest.raises(BundleError, match=message) as failure:
            use()
        assert one_sentence(failure.value)
    result = invoke("bundle", "verify", str(copy))
    assert isinstance(result.exception, BundleError)


@pytest.mark.parametrize(("change", "message"), PARTS.values(), ids=PARTS)
def test_a_code_that_does_not_fit_is_told_in_a_sentence(
    copy: Path, change: Callable[[Path], Bundle], message: str
) -> None:
    bundle = change(copy)
    for use in (
        lambda: check_graphs(bundle),
        lambda: open_scheme(bundle, bundle.manifest.schemes[AE_16], 1),
    ):
        with pytest.raises(BundleError, match=message) as failure:
            use()
        assert one_sentence(failure.value)


def test_a_digital_encoder_that_does_not_fit_is_told_in_a_sentence(
    bundle: Bundle, tmp_path: Path
) -> None:
    info = bundle.scheme("digital-64")
    folder = Path(shutil.copytree(bundle.path, tmp_path / "demo"))
    affine(folder / "digital-64.encoder.onnx", 2048, info.embedding_dim + 1)
    changed = edited(folder, lambda manifest: None)
    with pytest.raises(BundleError, match=r"encoder of digital-64 gives float32 Nx\d+, but"):
        open_scheme(changed, changed.scheme("digital-64"), 1)


def test_a_bundle_that_fits_runs(fitting: Bundle) -> None:
    check_graphs(fitting)
    assert invoke("bundle", "verify", str(fitting.path)).exit_code == 0


def test_a_camera_sends_by_the_bundles_usual_scheme(bundle: Bundle, fitting: Bundle) -> None:
    assert bundle.usual_scheme_id == "jscc-ae-256"
    assert fitting.usual_scheme_id == "jscc-fc-16"
    assert Encoder(fitting, 1).send_settings(None, None, 3).scheme_id == "jscc-fc-16"
    assert Encoder(fitting, 1).send_settings("jscc-ae-16", None, 3).scheme_id == "jscc-ae-16"
    digital = [info for info in bundle.manifest.schemes if info.kind == "digital"]

    def usual(*schemes: Any) -> str:
        manifest = bundle.manifest.model_copy(update={"schemes": schemes})
        return Bundle(bundle.path, manifest, "x").usual_scheme_id

    assert usual(*digital) == digital[0].id
    assert usual(*digital, bundle.scheme("jscc-fc-256")) == "jscc-fc-256"
    assert usual(*digital, bundle.scheme("jscc-ae-512"), bundle.scheme("jscc-ae-256")) == (
        "jscc-ae-256"
    )


def test_nothing_is_sent_by_a_bare_backbone(tmp_path: Path) -> None:
    bare = made_bundle(tmp_path / "bare", [SIZE], schemes=False)
    check_graphs(bare)
    picture, data = tmp_path / "a.png", tmp_path / "data"
    networks_picture(picture)
    for arguments in (
        ("edge", "send", str(picture), "--bundle", str(bare.path)),
        ("edge", "serve", "--bundle", str(bare.path)),
        ("ap", "serve", "--bundle", str(bare.path), "--data-dir", str(data)),
        ("simulate", "--bundle", str(bare.path), "--report", str(tmp_path / "report")),
        ("evaluate", "--bundle", str(bare.path), "--data", str(tmp_path)),
    ):
        result = invoke(*arguments)
        assert isinstance(result.exception, BundleError), (arguments, result.exception)
        assert "bare backbone without schemes; add some with 'airreid train extend'" in str(
            result.exception
        )
    assert not data.exists()
    for scheme_id in (None, "jscc-ae-16"):
        with pytest.raises(BundleError, match="bare backbone"):
            airreid.Model(bare, scheme_id)


def networks_picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(networks.crops(1, SIZE)[0]).save(path)


@pytest.mark.parametrize("present", [True, False])
def test_a_network_in_place_of_a_bundle_is_told_apart(tmp_path: Path, present: bool) -> None:
    path, picture = tmp_path / "osnet.onnx", tmp_path / "crop.png"
    if present:
        networks.write(path)
        networks_picture(picture)
    for arguments in (
        ("bundle", "verify", str(path)),
        ("edge", "send", str(picture if present else path), "--bundle", str(path)),
        ("simulate", "--bundle", str(path), "--report", str(tmp_path / "report")),
    ):
        result = invoke(*arguments)
        error = result.exception
        if arguments[:2] == ("edge", "send") and not present:
            assert result.exit_code == 1
            assert f"{path}: cannot be read" in " ".join(result.output.split())
            continue
        assert isinstance(error, AirReidError), arguments
        if arguments[0] != "edge":
            assert f"airreid adopt {path} --images DIR --out BUNDLE" in str(error)
