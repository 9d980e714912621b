"""The extensions of docs/extending.md, installed as a package of their own and used."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import airreid
from airreid import child_process
from airreid.bundle import Bundle, load_bundle, write_manifest
from airreid.bundle_cli import check_graphs
from airreid.channels import registry as channel_registry
from airreid.channels.messages import from_fields
from airreid.channels.settings import link_settings
from airreid.client import ChannelClient
from airreid.datasets import readers
from airreid.datasets.open import open_data
from airreid.digital import channel_code
from airreid.digital.coding_tables import CodingTables, load_coding_tables
from airreid.digital.link import CodedLink
from airreid.digital.scheme import DigitalScheme
from airreid.digital.table_design import rounded, write_tables
from airreid.disk import file_sha256
from airreid.errors import BundleError, InputError, LinkError
from airreid.noise import NoiseStream
from airreid.registry import Registry
from airreid.scheme_info import DigitalInfo, FileRef
from airreid.signal import noise_variance
from simulation.processes import Role

DOCS = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
PROGRAMS = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL))
PROCESS_WIDE = ("nakagami", "subset", "repetition", "flat")
"""Modules that the package names in its entry points; the torch twin is imported by hand."""
Extension = Callable[[str], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the package, on the import path of this process's children."""
    folder = tmp_path / "site"
    metadata = folder / "my_package-1.0.dist-info"
    metadata.mkdir(parents=True)
    for name, program in PROGRAMS.items():
        (folder / f"{name}.py").write_text(program, "utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    entries = "".join(f"{name} = {name}\n" for name in PROCESS_WIDE)
    (metadata / "entry_points.txt").write_text(f"[airreid.extensions]\n{entries}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def extension(package: Path, monkeypatch: pytest.MonkeyPatch) -> Extension:
    """Imports a module of the package here; what it registers is gone after the test.

    Nothing is imported for its entry point in this process: that is its children's.
    """
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setattr("airreid.registry._loaded", True)

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)
        return module

    registries: list[Registry] = [
        channel_registry._MODELS,
        channel_code._KINDS,
        readers.READERS,
        importlib.import_module("airreid.scheme_kinds")._KINDS,
    ]
    for registry in registries:
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    return load


def run(*arguments: str) -> str:
    """Returns what ``airreid ARGUMENTS...`` prints in a process of its own."""
    command = child_process.airreid(*arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_fading_model_is_served_and_computed_alike(extension: Extension) -> None:
    arguments = ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--snr", "5"]
    model = ["--model", "nakagami", "--parameter", "m=2", "--seed", "3"]
    sent = np.sign(np.random.default_rng(0).standard_normal((40, 64))).astype(np.float32)
    extension("nakagami")
    with Role("channel", ["channel", "serve", *arguments, *model]) as role:
        address = f"127.0.0.1:{role.ready['grpc_port']}"
        assert role.ready["m"] == 2.0
        for m in (2.0, 0.5):
            with airreid.RemoteChannel(address, "cam-1") as remote:
                received, report = remote.transmit(sent)
            here = airreid.channel("nakagami", 5, 3, "cam-1", parameters={"m": m})
            expected, expected_report = here.transmit(sent)
            np.testing.assert_array_equal(received, expected)
            np.testing.assert_array_equal(report.snr_db, expected_report.snr_db)
            assert len(set(report.snr_db)) == len(sent)
            with ChannelClient(address) as control:
                control.change(from_fields({"parameters": {"m": 0.5}}))
        with ChannelClient(address) as control:
            listed = control.links()
            assert dict(listed.default_settings.parameters) == {"m": 0.5}
            added = listed.models[-1]
            assert (added.name, added.label) == ("nakagami", "Nakagami: fading of any depth")
            assert [(p.name, p.label, p.low) for p in added.parameters[1:]] == [
                ("m", "Nakagami m", 0.5)
            ]
            with pytest.raises(LinkError, match=r"parameters\.m: .*greater than or equal to 0\.5"):
                control.change(from_fields({"parameters": {"m": 0.1}}))
            control.change(from_fields({"model": "awgn"}))
            assert not control.links().default_settings.parameters


@pytest.mark.parametrize("m", [0.5, 1.0, 4.0])
def test_a_fading_model_has_the_moments_of_its_name(extension: Extension, m: float) -> None:
    module = extension("nakagami")
    settings = link_settings(model="nakagami", parameters={"m": m})
    power = np.abs(module.gains(settings, NoiseStream(1, "cam"), 0, 100_000)) ** 2
    assert power.mean() == pytest.approx(1, abs=0.02)
    assert power.var() == pytest.approx(1 / m, rel=0.06)


def test_a_fading_model_has_a_twin_in_torch(
    extension: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from scipy.stats import ks_2samp

    from training.models import channel as torch_channel

    monkeypatch.setattr(torch_channel._DRAWS, "_parts", dict(torch_channel._DRAWS._parts))
    module = extension("nakagami")
    with pytest.raises(InputError, match="channel model in torch 'nakagami': use one of awgn"):
        torch_channel.Channel("nakagami")
    extension("nakagami_torch")
    radio = torch_channel.Channel("nakagami", 5.0, parameters={"m": 3.0})
    draws = radio.draw(torch.zeros(20_000, 2), torch.Generator().manual_seed(1))
    settings = link_settings(model="nakagami", parameters={"m": 3.0})
    gains = module.gains(settings, NoiseStream(1, "cam"), 0, 20_000)
    assert draws.gain is not None
    for part in (np.abs, np.angle):
        assert ks_2samp(part(draws.gain.numpy()), part(gains)).pvalue > 1e-3
    with pytest.raises(InputError, match=r"m: .*greater than or equal to 0\.5"):
        torch_channel.Channel("nakagami", parameters={"m": 0.0})


def add_scheme(bundle: Bundle, folder: Path, info: object, files: list[Path]) -> Bundle:
    """The demo's backbones with one scheme, as a bundle of its own."""
    folder.mkdir(exist_ok=True)
    for path in [bundle.file(backbone.file) for backbone in bundle.manifest.backbones] + files:
        if not (folder / path.name).exists():
            shutil.copy(path, folder)
    return write_manifest(folder, bundle.manifest.model_copy(update={"schemes": (info,)}))


def test_a_scheme_kind_is_opened_and_used(
    extension: Extension, bundle: Bundle, features: np.ndarray, tmp_path: Path
) -> None:
    fields = {"id": "subset-64", "space_id": bundle.backbone.space_id, "embedding_dim": 64}
    folder = tmp_path / "bundle"
    info = extension("subset").SubsetInfo(**fields, bandwidth=64)
    extended = add_scheme(bundle, folder, info, [])
    check_graphs(extended)
    model = airreid.Model(folder, "subset-64")
    gallery = airreid.Gallery(model)
    gallery.add(features[::2], [str(row) for row in range(0, len(features), 2)])
    received, report = airreid.channel(snr_db=30).transmit(model.encode(features[::2]))
    results = gallery.search(model.decode(received, report))
    assert [matches[0].subject for matches in results] == [
        str(row) for row in range(0, len(features), 2)
    ]
    shown = run("bundle", "show", str(folder))
    assert "subset-64" in shown
    assert "coordinates" in shown
    assert "is whole and runs" in run("bundle", "verify", str(folder))


def test_a_bundle_of_a_kind_that_is_not_installed_is_refused(
    extension: Extension, bundle: Bundle, tmp_path: Path
) -> None:
    fields = {"id": "subset-64", "space_id": bundle.backbone.space_id, "embedding_dim": 64}
    info = extension("subset").SubsetInfo(**fields, bandwidth=64)
    folder = add_scheme(bundle, tmp_path / "bundle", info, []).path
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"kind": "subset"', '"kind": "superset"'))
    kinds = "jscc-ae, jscc-fc, jscc-nested, digital, sub"
    with pytest.raises(BundleError, match=f"'superset' is none of {kinds}"):
        load_bundle(folder)


def test_a_channel_code_carries_payloads(extension: Extension) -> None:
    module = extension("repetition")
    code = module.design(40, 256, 11)
    assert (code.bits_per_symbol, code.coded_bits) == (1, 256)
    link, rng = CodedLink(code, b"seed"), np.random.default_rng(2)
    payload = rng.integers(0, 2, (300, 40)).astype(np.uint8)
    sent = link.send(payload)
    assert sent.shape == (300, 256)
    np.testing.assert_allclose(np.square(sent.astype(float)).mean(axis=1), 1, atol=1e-6)

    def received(snr_db: float) -> tuple[np.ndarray, np.ndarray]:
        variance = float(noise_variance(snr_db))
        decoded = link.receive(sent + variance**0.5 * rng.standard_normal(sent.shape), variance)
        return decoded.payload, decoded.passed

    decoded, passed = received(6.0)
    assert passed.all()
    np.testing.assert_array_equal(decoded, payload)
    _, passed = received(-10.0)
    assert passed.mean() < 0.05
    with pytest.raises(InputError, match="do not fit into 8 channel uses"):
        module.design(40, 8, 11)


def test_a_channel_code_stands_in_the_tables_of_a_bundle(
    extension: Extension, bundle: Bundle, features: np.ndarray, tmp_path: Path
) -> None:
    module = extension("repetition")
    digital = next(i for i in bundle.manifest.schemes if isinstance(i, DigitalInfo))
    prior = load_coding_tables(bundle.file(digital.coding_tables)).prior
    latents = rounded(bundle.file(digital.encoder), features)
    path = tmp_path / "own.codebook.json"
    tables = write_tables(path, prior, latents, digital.bandwidth, code="repetition")
    assert {type(code) for code in tables.codes} == {module.RepetitionCode}
    assert '"code":"repetition"' in path.read_text()
    assert CodingTables.model_validate_json(path.read_bytes()) == tables
    ref = FileRef(path=path.name, sha256=file_sha256(path))
    info = digital.model_copy(update={"coding_tables": ref})
    extended = add_scheme(bundle, tmp_path / "bundle", info, [path, bundle.file(digital.encoder)])
    check_graphs(extended)
    scheme = DigitalScheme(extended, info, 1)
    received = scheme.unpack(scheme.pack(features, "coded"), [40.0] * len(features))
    assert not received.lost.any()
    np.testing.assert_array_equal(received.embeddings, latents)
    assert "is whole and runs" in run("bundle", "verify", str(extended.path))


def test_a_data_set_reader_and_its_protocols(
    extension: Extension, people: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for path in people.rglob("*.png"):
        identity, camera, name = path.relative_to(people).parts
        shutil.copy(path, folder / f"{identity}@{camera}@{name}")
    with pytest.raises(InputError, match="no form of data set that is known"):
        open_data(folder)
    (folder / "FLAT").touch()
    extension("flat")
    halves = open_data(folder)
    assert (halves.form, halves.protocol) == ("flat files", "even-odd")
    train, query = halves["train"], halves["query"]
    assert (len(train.identities), len(query.identities)) == (6, 6)
    assert not set(train.identities) & set(query.identities)
    assert len(open_data(folder, "all")["train"]) == 72
    with pytest.raises(InputError, match="no protocol 'odd'; there are: even-odd, all"):
        open_data(folder, "odd")
    assert "flat files" in run("data", "check", str(folder), "--protocol", "all")
