"""Schemes in closed form on a backbone's features, written into a bundle's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.nested_head import write_nested
from airreid.adopt.schemes import MOST_BANDWIDTH, NESTED, parse_schemes
from airreid.codecs.comparison import AWGN, Radio
from airreid.codecs.graphs import check_graph, write_decoder, write_encoder, write_latent_encoder
from airreid.codecs.linear import LinearCode
from airreid.codecs.nested_selection import NestedChoice
from airreid.codecs.quantised import fit_quantised, target_bits
from airreid.codecs.selection import (
    Choice,
    HeldOut,
    TrainedCode,
    Wanted,
    hold_out,
    select,
)
from airreid.codecs.statistics import TooFewDirectionsError
from airreid.digital.table_design import prove_distinct, rounded, write_tables
from airreid.errors import InputError
from airreid.nested.pieces import PIECE
from airreid.retrieval import Labels
from airreid.scheme_info import DigitalInfo, FileRef, JsccInfo, SchemeInfo

Array = NDArray[np.float32]
BITS_PER_DIMENSION = 2.5
"""Mean bits of a digital latent's dimension: few dimensions, each worth its bits."""
_CHECKED = 64


@dataclass(frozen=True)
class HeadRecord:
    """A scheme of the bundle, and how its code was chosen."""

    info: SchemeInfo
    words: str
    choice: Choice | NestedChoice


def write_heads(
    wanted: Sequence[tuple[str, str, int]],
    features: Array,
    labels: Labels | None,
    folder: Path,
    space_id: str,
    tick: Callable[[], object] = lambda: None,
    split: HeldOut | None = None,
    trained: TrainedCode | None = None,
    radio: Radio = AWGN,
) -> tuple[list[HeadRecord], HeldOut | None]:
    """Fits and writes the schemes ``wanted``, (id, kind, bandwidth), to ``folder``.

    ``features``: float32 (N, D) with ``labels`` (N,), or None for images of nobody in particular.
    ``split``, ``trained`` and ``radio``: as of :func:`airreid.codecs.selection.select`.
    Raises :class:`InputError` for a bandwidth that the features cannot carry, and
    :class:`airreid.errors.ParityError` for a graph that does not compute what was fitted.
    """
    wishes = {
        name: Wanted(_directions(kind, bandwidth), kind == "jscc-ae")
        for name, kind, bandwidth in wanted
        if kind != NESTED
    }
    wanted_once = list(dict.fromkeys(wishes.values()))
    choices: dict[Wanted, Choice] = {}
    if labels is not None and split is None:
        split = hold_out(labels)
    try:
        if wanted_once:
            choices, split = select(features, labels, wanted_once, 0, tick, split, trained, radio)
        nested = {
            name: write_nested(
                name, bandwidth, features, labels, folder, space_id, split, tick, radio=radio
            )
            for name, kind, bandwidth in wanted
            if kind == NESTED
        }
    except TooFewDirectionsError as error:
        why = f"the features have {error.directions} directions that carry anything"
        raise InputError(_too_few(wanted, why, error.directions)) from None
    heads = []
    for name, kind, bandwidth in wanted:
        if kind == NESTED:
            nested_info, nested_choice = nested[name]
            heads.append(HeadRecord(nested_info, nested_choice.words, nested_choice))
            continue
        choice = choices[wishes[name]]
        if kind == "digital":
            info: SchemeInfo = _write_digital(
                name, bandwidth, choice.code, features, folder, space_id
            )
        else:
            info = _write_jscc(name, kind, choice, features, folder, space_id, radio)
        heads.append(HeadRecord(info, choice.words, choice))
    prove_distinct(folder, [head.info for head in heads])
    return heads, split


def carried(scheme_ids: Sequence[str], feature_dim: int, images: int) -> tuple[str, ...]:
    """Returns the schemes that features of so many images can carry."""
    most = min(feature_dim, images - 1)
    return tuple(
        name
        for name, kind, bandwidth in parse_schemes(scheme_ids)
        if _directions(kind, bandwidth) <= most
    )


def check_bandwidths(wanted: Sequence[tuple[str, str, int]], feature_dim: int, images: int) -> None:
    """Raises :class:`InputError` for schemes that no features of this size can carry.

    ``images``: how many are fitted on. Known before a feature is computed, unlike how many
    directions really carry anything.
    """
    most = min(feature_dim, images - 1)
    why = f"features of {feature_dim} dimensions of {images} images have at most {most} directions"
    message = _too_few(wanted, why, most)
    if message:
        raise InputError(message)


def _too_few(wanted: Sequence[tuple[str, str, int]], why: str, most: int) -> str:
    """Says which schemes take more than ``most`` directions, and what to give; else nothing."""
    needs = {name: _directions(kind, bandwidth) for name, kind, bandwidth in wanted}
    refused = {name: need for name, need in needs.items() if need > most}
    if not refused:
        return ""
    listed = ", ".join(f"{name} takes {need}" for name, need in refused.items())
    largest = max((b for b in range(1, MOST_BANDWIDTH + 1) if _dimensions(b) <= most), default=0)
    digital = f", digital up to digital-{largest}" if largest else ""
    return (
        f"--scheme {' '.join(refused)}: {why}, but {listed}; give --scheme jscc-fc-{most} or "
        f"smaller{digital}, or more images if they are fewer than dimensions"
    )


def _directions(kind: str, bandwidth: int) -> int:
    """Directions of the features that a scheme takes."""
    if kind == NESTED:
        return PIECE
    return _dimensions(bandwidth) if kind == "digital" else bandwidth


def _dimensions(bandwidth: int) -> int:
    """Dimensions of a digital latent for the bits that a bandwidth carries."""
    return max(4, round(target_bits(bandwidth) / BITS_PER_DIMENSION))


def _write_jscc(
    name: str,
    kind: str,
    choice: Choice,
    features: Array,
    folder: Path,
    space_id: str,
    radio: Radio,
) -> JsccInfo:
    sample = features[:_CHECKED]
    encoder = folder / f"{name}.encoder.onnx"
    write_encoder(choice.code, encoder)
    symbols = choice.code.encode(sample)
    check_graph(encoder, sample, symbols)
    decoder: Path | None = None
    if choice.decoder is not None:
        decoder = folder / f"{name}.decoder.onnx"
        write_decoder(choice.decoder, decoder)
        check_graph(decoder, symbols, choice.decoder.decode(symbols))
    bandwidth = choice.code.bandwidth
    return JsccInfo(
        id=name,
        kind="jscc-ae" if kind == "jscc-ae" else "jscc-fc",
        space_id=space_id,
        bandwidth=bandwidth,
        embedding_dim=bandwidth if decoder is None else features.shape[1],
        encoder=FileRef.of(encoder),
        decoder=None if decoder is None else FileRef.of(decoder),
        gallery="encoder" if decoder is None else "decoder(encoder)",
        snr_db_train=(radio.snrs_db[0], radio.snrs_db[-1]),
    )


def _write_digital(
    name: str, bandwidth: int, code: LinearCode, features: Array, folder: Path, space_id: str
) -> DigitalInfo:
    quantised = fit_quantised(code, features, target_bits(bandwidth))
    encoder = folder / f"{name}.encoder.onnx"
    write_latent_encoder(code, quantised.step, encoder)
    sample = features[:_CHECKED]
    check_graph(encoder, sample, code.project(sample) / np.float32(quantised.step))
    latents = rounded(encoder, features)
    tables = folder / f"{name}.codebook.json"
    write_tables(tables, quantised.prior, latents, bandwidth)
    return DigitalInfo(
        id=name,
        kind="digital",
        space_id=space_id,
        bandwidth=bandwidth,
        embedding_dim=latents.shape[1],
        encoder=FileRef.of(encoder),
        coding_tables=FileRef.of(tables),
    )
