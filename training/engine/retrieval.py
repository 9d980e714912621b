"""Search among a batch's own vectors: the loss that training lowers, and rank-1 accuracy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def retrieval_loss(
    queries: Tensor,
    gallery: Tensor,
    labels: Tensor,
    temperature: float | Tensor,
    left_out: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of finding a query's identity in the batch's gallery, by cosine.

    queries (N, D), gallery (N, D), labels (N,). Each query's own row of the gallery
    is left out; all other rows of its identity share the target probability. ``left_out``,
    bool (N, N): rows of the gallery that are no wrong answers to a query either. Scalar.
    """
    scores = F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T / temperature
    dropped = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if left_out is not None:
        dropped = dropped | left_out
    scores = scores.masked_fill(dropped, float("-inf"))
    log_probability = scores.log_softmax(1).masked_fill(dropped, 0.0)
    positive = (labels[:, None] == labels[None, :]) & ~dropped
    weight = positive / positive.sum(1, keepdim=True).clamp_min(1)
    return -(log_probability * weight).sum(1).mean()


@torch.no_grad()
def rank1(queries: Tensor, gallery: Tensor, labels: Tensor, cameras: Tensor | None = None) -> float:
    """Rank-1 accuracy of queries (N, D) in a gallery (N, D) of the same images, by cosine.

    labels and cameras (N,). A query's own row is left out, and with ``cameras`` all rows
    of its person by its camera, unless no person was seen by two cameras. Queries without
    a right answer are not counted; 0.0 where none has one.
    """
    same_person = labels[:, None] == labels[None, :]
    junk = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if cameras is not None:
        same_camera = same_person & (cameras[:, None] == cameras[None, :])
        if bool((same_person & ~same_camera).any()):
            junk = same_camera
    scores = F.normalize(queries.float(), dim=1) @ F.normalize(gallery.float(), dim=1).T
    nearest = scores.masked_fill(junk, float("-inf")).argmax(1)
    counted = (same_person & ~junk).any(1)
    hits = (labels[nearest] == labels)[counted].sum()
    return float(hits) / max(1, int(counted.sum()))
