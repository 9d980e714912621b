import json
import shutil
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from airreid import bundle as bundles
from airreid.bundle import BackboneInfo, Bundle, default_bundle_path, load_bundle
from airreid.bundle_cli import check_graphs
from airreid.errors import BundleError
from airreid.payload import Ideal
from airreid.scheme import links_of
from airreid.scheme_info import FileRef
from airreid.scheme_kinds import open_scheme
from airreid.signal import normalise_power


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "bundle"))


def test_the_demo_bundle_is_whole_runs_and_fits(bundle: Bundle) -> None:
    check_graphs(bundle)
    assert {"jscc-ae-64", "jscc-ae-256", "jscc-ae-512", "jscc-fc-256"} <= set(bundle.scheme_ids)
    assert bundle.backbone.precision == "int8"
    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    assert size < 45e6


def test_encoders_send_mean_power_one_per_block(bundle: Bundle, features: np.ndarray) -> None:
    for info in bundle.manifest.schemes:
        scheme = open_scheme(bundle, info, threads=1, decode=False)
        for scale in (1e-3, 1.0, 1e3):
            sent = scheme.pack(features * np.float32(scale), links_of(info)[0])
            x = np.stack([payload.symbols for payload in sent if not isinstance(payload, Ideal)])
            x = x.astype(np.float64)
            np.testing.assert_allclose(np.square(x).mean(axis=1), 1.0, atol=1e-5)
            np.testing.assert_allclose(x, normalise_power(x), atol=1e-4)


@pytest.mark.parametrize("side", ["height", "width"])
def test_a_crop_has_16_to_4096_pixels_a_side(bundle: Bundle, side: str) -> None:
    fields = bundle.backbone.model_dump()
    for pixels in (16, 4096):
        assert getattr(BackboneInfo.model_validate({**fields, side: pixels}), side) == pixels
    for pixels in (15, 4097):
        with pytest.raises(ValidationError, match=side):
            BackboneInfo.model_validate({**fields, side: pixels})


def test_one_flipped_bit_is_noticed(copy: Path) -> None:
    victim = next(copy.glob("jscc-ae-64.encoder.onnx"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(BundleError, match=r"jscc-ae-64\.encoder\.onnx: contents differ"):
        load_bundle(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    next(copy.glob("jscc-ae-64.decoder.onnx")).unlink()
    with pytest.raises(BundleError, match=r"jscc-ae-64\.decoder\.onnx: missing"):
        load_bundle(copy)


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*give --bundle"):
        load_bundle(tmp_path)


def test_unknown_scheme_lists_what_there_is(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no scheme 'jscc-ae-999'.*jscc-ae-256"):
        bundle.scheme("jscc-ae-999")


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/passwd", "a/b.onnx", ""])
def test_files_lie_in_the_folder(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        FileRef(path=path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"schemes": None}, "schemes"),
    ],
)
def test_a_manifest_that_does_not_fit_names_the_field(
    copy: Path, change: dict[str, object], message: str
) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message):
        load_bundle(copy)


def test_not_even_json(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(copy)


def test_the_demo_bundle_is_found_in_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a wheel lays it out: modules and records in one folder, the bundle in another."""
    packages, demo = tmp_path / "lib/site-packages", tmp_path / "share/airreid/demo"
    records = packages / "airreid-0.1.0.dist-info"
    records.mkdir(parents=True)
    demo.mkdir(parents=True)
    (records / "RECORD").write_text("../../share/airreid/demo/manifest.json,,\n")
    monkeypatch.delenv("AIRREID_BUNDLE", raising=False)
    monkeypatch.setattr(bundles, "__file__", str(packages / "airreid/bundle.py"))
    monkeypatch.setattr(bundles, "distribution", lambda name: PathDistribution(records))
    with pytest.raises(BundleError, match="export AIRREID_BUNDLE=CHECKOUT/models/demo"):
        load_bundle()
    (demo / "manifest.json").write_text("{}")
    assert default_bundle_path() == demo
    monkeypatch.setenv("AIRREID_BUNDLE", "elsewhere")
    assert default_bundle_path() == Path("elsewhere")
