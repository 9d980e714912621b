"""A nested scheme in closed form, written into a bundle's folder with its stopping rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.schemes import NESTED
from airreid.codecs.comparison import AWGN, Radio
from airreid.codecs.graphs import check_graph, write_nested_encoder
from airreid.codecs.nested_selection import (
    NestedChoice,
    TrainedNested,
    left_out_trials,
    select_nested,
)
from airreid.codecs.selection import HeldOut
from airreid.nested.calibration import fit_rule
from airreid.nested.stopping import StoppingRule
from airreid.retrieval import Labels
from airreid.scheme_info import FileRef, NestedInfo

Array = NDArray[np.float32]
_CHECKED = 64


def write_nested(
    name: str,
    bandwidth: int,
    features: Array,
    labels: Labels | None,
    folder: Path,
    space_id: str,
    split: HeldOut | None,
    tick: Callable[[], object] = lambda: None,
    trained: TrainedNested | None = None,
    radio: Radio = AWGN,
) -> tuple[NestedInfo, NestedChoice]:
    """Fits and writes a nested scheme to ``folder``.

    As :func:`airreid.adopt.heads.write_heads`. Where people can be held out, a stopping rule is
    fitted on them; without one a receiver asks for every piece.
    """
    choice, rule = fit_nested(bandwidth, features, labels, split, tick, trained, radio)
    code = choice.code
    encoder = folder / f"{name}.encoder.onnx"
    write_nested_encoder(code, encoder)
    sample = features[:_CHECKED]
    check_graph(encoder, sample, code.encode(sample))
    info = NestedInfo(
        id=name,
        kind=NESTED,
        space_id=space_id,
        bandwidth=bandwidth,
        embedding_dim=bandwidth,
        piece=code.piece,
        encoder=FileRef.of(encoder),
        snr_db_train=(radio.snrs_db[0], radio.snrs_db[-1]),
        stopping=rule,
    )
    return info, choice


def fit_nested(
    bandwidth: int,
    features: Array,
    labels: Labels | None,
    split: HeldOut | None,
    tick: Callable[[], object] = lambda: None,
    trained: TrainedNested | None = None,
    radio: Radio = AWGN,
) -> tuple[NestedChoice, StoppingRule | None]:
    """Fits a nested code on features (N, D), and its stopping rule where people can be held out."""
    choice, split = select_nested(features, labels, bandwidth, split, trained, tick, radio)
    if labels is None or split is None:
        return choice, None
    compared = None if trained is None else trained.compared
    trials = left_out_trials(features, labels, choice, split, compared)
    return choice, fit_rule(trials, choice.code.piece)[0]
