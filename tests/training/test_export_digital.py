"""A digital scheme's files: proven at export, read back, the same at both ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.bundle import BackboneInfo, Bundle, Manifest
from airreid.codecs.pca import fit_pca
from airreid.digital import table_design
from airreid.digital.coding_tables import load_coding_tables
from airreid.digital.scheme import DigitalScheme
from airreid.digital.table_design import prove_distinct, rounded
from airreid.errors import ParityError
from airreid.evaluation.retrieval_features import split_by_camera
from airreid.scheme_info import DigitalInfo, FileRef
from training.card.digital_accuracy import digital_accuracy, noisy_bits
from training.export import digital as exporting
from training.export.digital import export_digital, stored
from training.export.onnx import export_onnx
from training.models.digital import DigitalCodec


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    people = np.repeat(rng.standard_normal((40, 64)), 6, axis=0)
    return (people + 0.3 * rng.standard_normal(people.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model(features: np.ndarray) -> DigitalCodec:
    torch.manual_seed(0)
    pca = fit_pca(features, 16)
    model = DigitalCodec(64, 16, torch.full((16,), 2.0))
    mean, components = torch.from_numpy(pca.mean), torch.from_numpy(pca.components)
    model.head.init_from_pca(mean, components, 1.0)
    return model.eval()


@pytest.fixture(scope="module")
def exported(
    features: np.ndarray, model: DigitalCodec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DigitalInfo]:
    folder = tmp_path_factory.mktemp("bundle")
    info = export_digital("digital-64-r1", model, folder, features, "s")
    return folder, info


def as_bundle(folder: Path, info: DigitalInfo) -> Bundle:
    backbone = BackboneInfo(
        id="b", file=info.encoder, precision="fp32", space_id="s", feature_dim=64
    )
    manifest = Manifest(name="t", backbones=(backbone,), schemes=(info,), provenance={})
    return Bundle(folder, manifest, "0" * 16)


def test_the_files_hold_what_was_trained(
    features: np.ndarray, model: DigitalCodec, exported: tuple[Path, DigitalInfo]
) -> None:
    folder, info = exported
    assert (info.bandwidth, info.embedding_dim, info.gallery) == (64, 16, "rounded")
    path = folder / info.coding_tables.path
    book = load_coding_tables(path)
    assert book.uses == 64
    assert 1 <= len(book.codes) <= 4
    assert {code.crc_bits for code in book.codes} == {11}
    text = path.read_text()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n"
    with torch.no_grad():
        latents = stored(model.head)(torch.from_numpy(features)).numpy()
    differs = rounded(folder / info.encoder.path, features) != np.rint(latents)
    assert differs.mean() < 1e-3


def test_what_is_exported_crosses_both_links(
    features: np.ndarray, exported: tuple[Path, DigitalInfo]
) -> None:
    folder, info = exported
    scheme = DigitalScheme(as_bundle(folder, info), info, 1)
    for link in ("ideal", "coded"):
        received = scheme.unpack(scheme.pack(features[:12], link), [40.0] * 12)
        assert not received.lost.any()
        np.testing.assert_array_equal(received.embeddings, scheme.gallery(features[:12]))


def test_a_graph_that_rounds_to_other_integers_is_refused(
    features: np.ndarray, model: DigitalCodec, tmp_path: Path
) -> None:
    other = stored(model.head)
    with torch.no_grad():
        other.linear.bias[0] += 1.0
    path = tmp_path / "other.onnx"
    export_onnx(other, torch.from_numpy(features[:2]), path)
    with pytest.raises(ParityError, match="differs from PyTorch"):
        exporting._prove_rounding(model.head, path, features[:32])


def test_a_message_longer_than_its_tables_say_is_refused(
    features: np.ndarray, model: DigitalCodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = table_design.encode
    monkeypatch.setattr(
        table_design, "encode", lambda latent, tables: np.append(encode(latent, tables), [1] * 3)
    )
    with pytest.raises(ParityError, match="above its ideal length"):
        export_digital("digital-64", model, tmp_path, features, "s")


def test_two_schemes_with_one_table_are_refused(exported: tuple[Path, DigitalInfo]) -> None:
    folder, info = exported
    prove_distinct(folder, [info])
    with pytest.raises(ParityError, match="digital-64-r1 and digital-64-r2 seed their CRC alike"):
        prove_distinct(folder, [info, info.model_copy(update={"id": "digital-64-r2"})])


def test_the_card_counts_what_is_sent(
    features: np.ndarray, model: DigitalCodec, exported: tuple[Path, DigitalInfo]
) -> None:
    folder, info = exported
    data = split_by_camera(features, np.repeat(np.arange(40), 6), np.tile(np.arange(2), 120))
    (row,) = digital_accuracy(as_bundle(folder, info), data, features, {info.id: model})
    scheme = DigitalScheme(as_bundle(folder, info), info, 1)
    lengths = [len(message.bits) for message in scheme.messages(data.queries)]
    assert row.bits_mean == round(float(np.mean(lengths)), 2)
    assert row.bits_p100 == max(lengths)
    assert abs(row.bits_ideal_mean - row.bits_mean) < 1
    assert row.bits_padded_mean > row.bits_mean
    assert row.bits_noise_estimate_mean == round(noisy_bits(model, data.queries), 2)
    # C = 1/2 log2(1 + SNR) carries the mean in 64 uses at exactly this SNR
    capacity = 64 * 0.5 * np.log2(1 + 10 ** (row.paper_snr_db / 10))
    assert capacity == pytest.approx(np.mean(lengths), rel=2e-3)
    assert row.pca_bits_mean == pytest.approx(row.bits_mean, rel=0.05)
    assert row.pca_dimensions in (2, 4, 8, 16)
    assert row.top1 > 0.9
    assert FileRef.of(folder / info.coding_tables.path) == info.coding_tables
