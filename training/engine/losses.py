"""Losses of re-identification."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def retrieval_loss(queries: Tensor, gallery: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding a query's identity in the batch's gallery, by cosine.

    queries (N, D), gallery (N, D), labels (N,). Each query's own row of the gallery
    is left out; all other rows of its identity share the target probability. Scalar.
    """
    scores = F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T / temperature
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    scores = scores.masked_fill(own, float("-inf"))
    log_probability = scores.log_softmax(1).masked_fill(own, 0.0)
    positive = (labels[:, None] == labels[None, :]) & ~own
    weight = positive / positive.sum(1, keepdim=True).clamp_min(1)
    return -(log_probability * weight).sum(1).mean()


def nearest_hit_rate(features: Tensor, labels: Tensor) -> float:
    """Share of rows (N, D) whose nearest other row by cosine has their label (N,)."""
    unit = F.normalize(features, dim=1)
    scores = (unit @ unit.T).fill_diagonal_(float("-inf"))
    return float((labels[scores.argmax(1)] == labels).float().mean())


@torch.no_grad()
def match_rate(queries: Tensor, gallery: Tensor, labels: Tensor, cameras: Tensor) -> float:
    """Top-1 of queries (N, D) in a gallery (N, D) of the same images, by cosine.

    A query's own row and rows of its person by its camera are left out, and so are
    queries whose person no other camera saw. Where no person was seen by two cameras,
    cameras are not looked at. NaN without any pair.
    """
    same = labels[:, None] == labels[None, :]
    junk = same & (cameras[:, None] == cameras[None, :])
    if not bool((same & ~junk).any()):
        junk = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    scores = F.normalize(queries.float(), dim=1) @ F.normalize(gallery.float(), dim=1).T
    counted = (same & ~junk).any(1)
    hits = labels[scores.masked_fill(junk, float("-inf")).argmax(1)] == labels
    return float(hits[counted].float().mean())
