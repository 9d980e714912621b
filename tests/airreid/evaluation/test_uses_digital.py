"""Digital schemes in the figure of top-1 against channel uses."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.digital.piece_replay import pack_pieces_each, receive_pieces
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.uses import DIGITAL_PIECES, digital_pieces_point
from airreid.evaluation.uses_drawing import uses_lines
from airreid.nested.stopping import StoppingSettings
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME
from airreid.retrieval import Labels
from airreid.scheme_kinds import open_scheme

SEEDS = 3


def test_pieces_cost_what_is_heard_and_find_what_arrives(
    bundle: Bundle, features: np.ndarray
) -> None:
    """Everybody is in the gallery as he is asked for, so a query is right where it is not lost."""
    scheme = open_scheme(bundle, bundle.scheme("digital-256-r1"), 1)
    assert isinstance(scheme, DigitalScheme)
    _, rows = np.unique(scheme.latents(features), axis=0, return_index=True)
    people, count = features[rows], len(rows)
    number, nobody = np.arange(count), np.zeros(count, np.int64)
    test = RetrievalFeatures(people, Labels(number, nobody + 1), people, Labels(number, nobody))
    blocks = pack_pieces_each(scheme, people)
    points = []
    for stopping in (None, StoppingSettings(most_uses=512)):
        point = digital_pieces_point(scheme, test, blocks, -2.0, SEEDS, stopping)
        sent = [
            receive_pieces(
                scheme,
                stopping or StoppingSettings(),
                blocks,
                -2.0,
                NoiseStream(seed, LINK_NAME),
                0,
            )
            for seed in range(SEEDS)
        ]
        assert point.way == DIGITAL_PIECES
        assert point.uses_mean == pytest.approx(np.mean([s.uses for s in sent]), abs=0.01)
        assert point.top1 == pytest.approx(1 - np.mean([s.lost for s in sent]), abs=1e-5)
        points.append(point)
    few, many = points
    assert few.top1 < many.top1
    assert few.uses_mean < 256 < 512
    assert few.uses_half_width is not None
    assert few.top1_half_width is not None
    lines = list(uses_lines(points))
    assert lines[0].endswith(f"with {few.uses_mean:.0f} uses, coded, in pieces")
