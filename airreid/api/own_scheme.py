"""An encoder and decoder of one's own as a scheme of a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle, files_of, load_bundle, write_manifest
from airreid.errors import InputError
from airreid.inference import Network
from airreid.scheme_info import FileRef, JsccInfo
from airreid.signal import POWER

_POWER_TOLERANCE = 1e-3


def add_jscc_scheme(
    bundle: Bundle | str | Path | None,
    folder: str | Path,
    scheme_id: str,
    encoder: str | Path,
    decoder: str | Path | None = None,
    snr_db_train: tuple[float, float] = (0.0, 0.0),
) -> Bundle:
    """Copies a bundle into ``folder`` with one more scheme, of two ONNX graphs.

    Both graphs have one input and one output, float32, batch first and of any size.

    Args:
        bundle: The bundle whose first backbone's features are encoded; the demo's for None.
        folder: Where the new bundle is written.
        scheme_id: ``jscc-ae-own-64``: kind ``jscc-ae`` with a decoder, ``jscc-fc`` without,
            words of your own, and the bandwidth B in real channel uses.
        encoder: features (N, feature_dim) -> symbols (N, B), each row of mean power 1.
        decoder: received (N, B) -> embeddings (N, embedding_dim); without one the received
            symbols are compared as they are.
        snr_db_train: Lowest and highest SNR in dB that it was trained with.

    Raises:
        airreid.BundleError: for a graph that cannot be loaded.
        airreid.InputError: for graphs of other shapes or another power, and an id that does
            not fit them.

    Example:
        >>> import airreid, pathlib, tempfile
        >>> demo = airreid.load_bundle()
        >>> parts = [demo.path / f"jscc-ae-64.{part}.onnx" for part in ("encoder", "decoder")]
        >>> folder = tempfile.mkdtemp()
        >>> airreid.add_jscc_scheme(demo, folder, "jscc-ae-own-64", *parts).scheme_ids[-1]
        'jscc-ae-own-64'
        >>> airreid.Model(folder, "jscc-ae-own-64")
        Model('jscc-ae-own-64', bandwidth=64, embedding_dim=2048)
    """
    base = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    target = Path(folder)
    if scheme_id in base.scheme_ids:
        raise InputError(f"scheme {scheme_id}: the bundle has it already; choose another id")
    kind = "jscc-fc" if decoder is None else "jscc-ae"
    probe = np.random.default_rng(0).standard_normal((3, base.backbone.feature_dim))
    symbols = _run(encoder, probe.astype(np.float32))
    power = np.square(symbols, dtype=np.float64).mean(axis=1)
    if not (np.abs(power - POWER) < _POWER_TOLERANCE).all():
        raise InputError(
            f"{encoder}: rows of mean power {power.min():.3g} to {power.max():.3g}; "
            "normalise each block to mean power 1 in the graph"
        )
    embeddings = symbols if decoder is None else _run(decoder, symbols)
    bandwidth = symbols.shape[1]
    if not (scheme_id.startswith(f"{kind}-") and scheme_id.endswith(f"-{bandwidth}")):
        raise InputError(f"scheme id {scheme_id!r}: write {kind}-NAME-{bandwidth}")
    target.mkdir(parents=True, exist_ok=True)
    for ref in files_of(base.manifest):
        shutil.copyfile(base.file(ref), target / ref.path)
    refs = [
        FileRef.of(Path(shutil.copyfile(source, target / f"{scheme_id}.{part}.onnx")))
        for part, source in (("encoder", encoder), ("decoder", decoder))
        if source is not None
    ]
    info = JsccInfo(
        id=scheme_id,
        kind=kind,
        space_id=base.backbone.space_id,
        bandwidth=bandwidth,
        embedding_dim=embeddings.shape[1],
        encoder=refs[0],
        decoder=refs[1] if decoder is not None else None,
        gallery="encoder" if decoder is None else "decoder(encoder)",
        snr_db_train=snr_db_train,
    )
    schemes = (*base.manifest.schemes, info)
    return write_manifest(target, base.manifest.model_copy(update={"schemes": schemes}))


def _run(path: str | Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows through a graph, as a batch and one at a time. Raises :class:`InputError`."""
    network = Network(Path(path), 1)
    try:
        together = network(rows)
        single = np.concatenate([network(row[None]) for row in rows])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: cannot run on float32 rows {rows.shape} and (1, {rows.shape[1]}) ({reason}); "
            "export it with a free batch size"
        ) from None
    if together.ndim != 2 or together.shape != single.shape or together.dtype != np.float32:
        raise InputError(
            f"{path}: {rows.shape} gives {together.dtype} of shape {together.shape}; "
            "rows of float32, one for each, are needed"
        )
    return together
