"""Nested codes in closed form on features of a frozen backbone, with their stopping rules."""

from __future__ import annotations

from airreid.adopt.nested_head import fit_nested
from airreid.retrieval import Labels
from airreid.scheme_kinds import bandwidth_of
from training.models.nested_code import NestedNetwork
from training.recipes.steps import ClosedFormStep
from training.steps.context import HeadContext, HeadData


def fit_closed_form(
    scheme_id: str, step: ClosedFormStep, data: HeadData, context: HeadContext, name: str
) -> NestedNetwork:
    """Fits one nested scheme, chosen on held-out people as ``airreid adopt`` does.

    Deterministic in the data. Raises :class:`InputError` for a bandwidth that the features do
    not carry.
    """
    bandwidth = bandwidth_of(scheme_id)
    labels = Labels(data.labels, data.cameras)
    choice, rule = fit_nested(bandwidth, data.features, labels, None)
    network = NestedNetwork(data.features.shape[1], bandwidth, choice.code.piece)
    network.take(choice.code)
    network.stopping = rule
    return network
