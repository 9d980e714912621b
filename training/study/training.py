"""Training of many codecs in one pass: the stages of a family, through the training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from airreid.codecs.linear import LinearCode, unit_rows
from training.engine.batches import epoch_rows
from training.engine.distributed import Distributed
from training.engine.fit import BatchLoss, Task, fit
from training.engine.precision import Precision
from training.engine.progress import Report
from training.engine.retrieval import retrieval_loss
from training.engine.schedule import ParamGroup
from training.models.codec import MLP, Codec
from training.models.stack import CodecStack, StackSent
from training.recipes.base import Batches, Engine
from training.steps.backbone import new_classifier
from training.study.features import TrainingPeople
from training.study.settings import Family, InputForm, Stage

Array = NDArray[np.float32]


@dataclass(frozen=True)
class StudyContext:
    """Machine that a cell is computed on, and where its checkpoints lie."""

    engine: Engine
    out: Path
    distributed: Distributed
    report: Report
    kept: Path
    """Folder of what other cells go on with."""
    seed: int = 0

    @property
    def device(self) -> torch.device:
        """Device that networks are trained on."""
        return self.distributed.device

    def fit_alone(self, task: Task) -> float:
        """Trains a task; see :func:`training.engine.fit.fit`."""
        return fit(task, self.engine, self.out, self.distributed, self.report)


@dataclass(frozen=True)
class Copy:
    """One codec of a stack: what sets it apart from the others."""

    seed: int
    snr_db: tuple[float, float]
    temperature: float | None = None


@dataclass(frozen=True)
class Inputs:
    """Map from features to what networks are given, with statistics of people to train on."""

    unit: bool
    """Whether a feature is divided by its length first."""
    mean: NDArray[np.float64]
    """(D,): taken off."""
    deviation: NDArray[np.float64]
    """(D,): divided by."""

    @classmethod
    def fitted(cls, features: Array, form: InputForm) -> Inputs:
        """Finds the statistics on features (N, D) to train on.

        ``raw``: features as they are but for one factor, which makes their RMS 1. ``standard``:
        features of length 1, each dimension then of mean 0 and deviation 1. ``unit``: of length 1
        and mean 0, with one factor that makes their RMS 1, so that distances stay as they are.
        """
        dimensions = features.shape[1]
        if form == "raw":
            size = np.sqrt(np.square(features, dtype=np.float64).mean())
            return cls(False, np.zeros(dimensions), np.full(dimensions, size))
        values = unit_rows(features.astype(np.float64))
        deviation = values.std(axis=0)
        if form == "unit":
            size = np.sqrt(np.square(deviation).mean())
            return cls(True, values.mean(axis=0), np.full(dimensions, size))
        return cls(True, values.mean(axis=0), np.maximum(deviation, 1e-3 * deviation.max()))

    def __call__(self, features: Array) -> Array:
        """float32 (N, D) -> float32 (N, D)."""
        exact = features.astype(np.float64)
        values = np.asarray(unit_rows(exact) if self.unit else exact)
        return np.asarray((values - self.mean) / self.deviation, np.float32)


def new_stack(
    family: Family,
    features: int,
    bandwidth: int,
    copies: list[Copy],
    inputs: Inputs,
    start: LinearCode | None,
) -> CodecStack:
    """Makes a family's codecs before training; the same on any machine.

    ``start``: the code that those of one linear layer begin as, of at least as many uses.
    """
    codecs = []
    for copy in copies:
        torch.manual_seed(copy.seed)
        codec = Codec(family.kind, features, bandwidth, 0, family.layers)
        if start is not None:
            start_from(codec, start, inputs)
        codecs.append(codec)
    return CodecStack(codecs, [copy.snr_db for copy in copies])


def start_from(codec: Codec, code: LinearCode, inputs: Inputs) -> None:
    """Makes a codec of single layers a linear code of unit features, its decoder the isometry
    that fits best.

    Columns have length 1 in the mean, which changes no symbol.
    """
    matrix = code.matrix * inputs.deviation[:, None]
    matrix = matrix / np.sqrt(np.square(matrix).sum(axis=0).mean())
    centre = (code.mean - inputs.mean) / inputs.deviation
    encoder, decoder = codec.encoder.map, codec.decoder
    assert isinstance(encoder, MLP)
    (layer,) = encoder.layers
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix.T))
        layer.bias.copy_(torch.from_numpy(-(centre @ matrix)))
        if decoder is None:
            return
        assert isinstance(decoder, MLP)
        (back,) = decoder.layers
        assert isinstance(back, nn.Linear)
        # The nearest map with orthonormal columns: symbols rank alike before and after it.
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
        back.weight.copy_(torch.from_numpy(left @ right))
        back.bias.zero_()


@dataclass(frozen=True)
class StackBatches:
    """Batches of features for K copies; copies of one seed share a batch."""

    features: Tensor
    """(N, D)."""
    labels: Tensor
    """int64 (N,), from 0."""
    cameras: NDArray[np.int64]
    batches: Batches
    seeds: list[int]
    """(K,): of each copy."""

    def __call__(self, epoch: int, first: int) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
        """Returns the number of steps of an epoch, and its batches from step ``first`` on.

        A batch is features (K, n, D) and labels (K, n). Whole epochs of rows go to the device at
        once.
        """
        labels, distinct = self.labels.cpu().numpy(), sorted(set(self.seeds))
        drawn = [
            epoch_rows(labels, self.batches, seed, epoch, cameras=self.cameras) for seed in distinct
        ]
        steps = min(map(len, drawn))
        rows = np.stack([np.stack(by_seed[:steps]) for by_seed in drawn], axis=1)
        device = self.features.device
        on_device = torch.from_numpy(rows[first:]).to(device)  # (steps, seeds, n)
        of_copy = torch.tensor([distinct.index(seed) for seed in self.seeds], device=device)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            chosen = on_device[step][of_copy]
            return self.features[chosen], self.labels[chosen]

        return steps, (batch(step) for step in range(len(on_device)))


def train_stage(
    name: str,
    stage: Stage,
    stack: CodecStack,
    copies: list[Copy],
    people: TrainingPeople,
    inputs: Inputs,
    context: StudyContext,
    prefixes: tuple[int, ...] = (),
) -> float:
    """Trains the codecs of a stack by one stage of their family; returns the seconds it took.

    ``prefixes``: bandwidths of a nested code, each of which the loss is taken of.
    """
    device = context.device
    labels = np.unique(people.labels.identity, return_inverse=True)[1].astype(np.int64)
    parts = nn.ModuleDict({"stack": stack})
    if stage.loss == "entropy":
        parts["classifiers"] = _Classifiers(stack.embedding_dim, int(labels.max()) + 1, copies)
    parts.to(device)
    batches = StackBatches(
        torch.from_numpy(inputs(people.features)).to(device),
        torch.from_numpy(labels).to(device),
        people.labels.camera,
        stage.batches,
        [copy.seed for copy in copies],
    )
    epochs = stage.epochs
    if epochs is None:
        epochs = math.ceil((stage.iterations or 1) / batches(0, 0)[0])
    task = Task(
        name=name,
        setting=f"{name}.learning",
        architecture={"copies": len(copies), "stage": stage.model_dump(mode="json")},
        parts=parts,
        groups=(ParamGroup(parts, stage.learning.lr, stage.learning.weight_decay),),
        learning=stage.learning,
        epochs=epochs,
        batches=batches,
        loss=_loss(stage, parts, copies, prefixes, device),
        seed=context.seed,
        every_epoch=False,
    )
    return context.fit_alone(task)


class _Classifiers(nn.Module):
    """One FC layer to the identities for each copy, for training only."""

    def __init__(self, inputs: int, classes: int, copies: list[Copy]) -> None:
        super().__init__()
        weights = []
        for copy in copies:
            torch.manual_seed(copy.seed)
            weights.append(new_classifier(inputs, classes).weight.detach().T)
        self.weight = nn.Parameter(torch.stack(weights))

    def forward(self, x: Tensor) -> Tensor:
        """(K, N, E) -> logits (K, N, classes)."""
        return torch.bmm(x, self.weight)


def _loss(
    stage: Stage,
    parts: nn.ModuleDict,
    copies: list[Copy],
    prefixes: tuple[int, ...],
    device: torch.device,
) -> Callable[[Tensor, Tensor, torch.Generator, Precision], BatchLoss]:
    """Returns the sum of the copies' losses, so that each has the gradient of its own."""
    stack = parts["stack"]
    assert isinstance(stack, CodecStack)
    temperatures = torch.tensor([copy.temperature or 1.0 for copy in copies], device=device)
    searched = torch.vmap(retrieval_loss)

    def search(sent: StackSent, labels: Tensor) -> Tensor:
        """Searches noisy among noiseless vectors and back, summed over the copies."""
        forth = searched(sent.queries, sent.gallery, labels, temperatures)
        back = searched(sent.gallery, sent.queries, labels, temperatures)
        return 0.5 * (forth + back).sum()

    def loss(x: Tensor, labels: Tensor, draws: torch.Generator, _: Precision) -> BatchLoss:
        on_device = torch.Generator(device).manual_seed(draws.initial_seed())
        if prefixes:
            pieces = stack.transmit_prefixes(x, prefixes, on_device)
            return BatchLoss(torch.stack([search(piece, labels) for piece in pieces]).mean())
        sent = stack.transmit(x, on_device, gallery=stage.loss == "retrieval")
        if stage.loss == "l1":
            return BatchLoss((sent.queries - x).abs().mean(dim=(1, 2)).sum())
        if stage.loss == "entropy":
            logits = parts["classifiers"](sent.queries)
            entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
            return BatchLoss(entropy * len(copies))
        return BatchLoss(search(sent, labels))

    return loss
