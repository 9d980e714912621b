"""Heads on features of the frozen backbone: trained once, by the first process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.engine.fit import Loss, Task, fit
from training.engine.precision import Precision
from training.engine.progress_report import Report
from training.engine.sampling import shuffled_batches
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.codec import Codec
from training.recipes.base import snr_bounds
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import AutoencoderStep, CodecStep, DigitalStep
from training.runs.checkpoints import SavedScheme, load_scheme, save, scheme_path
from training.steps.backbone import cpu_weights
from training.steps.context import People, RunContext
from training.steps.digital import train_digital
from training.steps.linear_codec import train_codec


def run_codec(step: CodecStep, context: RunContext) -> None:
    """JSCC heads on the last backbone step's features."""
    trunk = context.need_trunk()
    if context.distributed.is_main:
        people = context.people(trunk, step.views)
        seed, report, left = context.recipe.seed, context.report, _left(step, context)
        made = codec_heads(step, people, trunk.stem, context.out, seed, report, left=left)
        if not left:
            context.schemes += made


def run_digital(step: DigitalStep, context: RunContext) -> None:
    """Digital heads on the last backbone step's features."""
    trunk = context.need_trunk()
    if context.distributed.is_main and step.schemes:
        people = context.people(trunk, step.views)
        seed, report, left = context.recipe.seed, context.report, _left(step, context)
        made = digital_heads(step, people, trunk.stem, context.out, seed, report, left=left)
        if not left:
            context.schemes += made


def run_autoencoder(step: AutoencoderStep, context: RunContext) -> None:
    """The paper's step 2."""
    trunk = context.need_trunk()
    if not context.distributed.is_main:
        return
    people = context.people(trunk, step.views)
    left = _left(step, context)
    for scheme_id in step.schemes:
        path = scheme_path(context.out, scheme_id, left)
        made = _kept(path, partial(_autoencoder, scheme_id, step, people, context))
        if not left:
            context.schemes.append(made)


def _left(step: AutoencoderStep | CodecStep | DigitalStep, context: RunContext) -> str:
    """Sets the step's files apart where a joint step goes on with them: they are not exported."""
    return step.name if context.recipe.prepares(step) else ""


def codec_heads(
    step: CodecStep,
    people: People,
    stem: str,
    out: Path,
    seed: int,
    report: Report,
    leave_out: tuple[str, ...] = (),
    left: str = "",
) -> list[SavedScheme]:
    """The step's JSCC schemes but for ``leave_out``, trained on ``people`` or kept in ``out``.

    ``left`` names the step in their files where a joint step goes on with them.
    """
    bounds = (step.snr_db_min, step.snr_db_max)

    def train(scheme_id: str, _: Path) -> SavedScheme:
        codec = train_codec(
            scheme_id,
            step,
            people.features,
            people.labels,
            people.cameras,
            seed,
            lambda progress: report.codec(scheme_id, progress),
        )
        weights = cpu_weights(codec)
        return SavedScheme(scheme_id, stem, codec.settings, weights, bounds, step="codec")

    wanted = [one for one in step.schemes if one not in leave_out]
    return [_kept(scheme_path(out, one, left), partial(train, one)) for one in wanted]


def digital_heads(
    step: DigitalStep,
    people: People,
    stem: str,
    out: Path,
    seed: int,
    report: Report,
    leave_out: tuple[str, ...] = (),
    left: str = "",
) -> list[SavedScheme]:
    """The step's digital schemes but for ``leave_out``, likewise."""
    made = []
    for spec in step.schemes:
        if spec.id in leave_out:
            continue

        def train(_: Path, spec: Any = spec) -> SavedScheme:
            model = train_digital(
                spec,
                step,
                people.features,
                people.labels,
                people.cameras,
                seed,
                lambda progress: report.digital(spec.id, progress),
            )
            return SavedScheme(
                id=spec.id,
                backbone=stem,
                settings=model.settings,
                weights=cpu_weights(model),
                snr_db_train=(0.0, 0.0),
                crc_bits=step.crc_bits,
                payload_sizes=step.payload_sizes,
                step="digital",
                rate_lambda=spec.trade,
            )

        made.append(_kept(scheme_path(out, spec.id, left), train))
    return made


def _kept(path: Path, train: Callable[[Path], SavedScheme]) -> SavedScheme:
    if path.exists():
        return load_scheme(path)
    made = train(path)
    save(path, made)
    return made


def _autoencoder(
    scheme_id: str, step: AutoencoderStep, people: People, context: RunContext, path: Path
) -> SavedScheme:
    kind, bandwidth = parse_scheme(scheme_id)
    if kind != "jscc-ae":
        raise InputError(f"step {step.name}: scheme {scheme_id} has no decoder to train")
    seed = context.recipe.seed
    torch.manual_seed(seed)
    features = torch.from_numpy(people.features)
    codec = Codec(kind, features.shape[1], bandwidth, 0, step.layers)
    bounds = snr_bounds(step.snr_db)
    channel = Channel(step.channel, bounds)

    def batches(epoch: int, first: int) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
        order = shuffled_batches(len(features), step.batch, rng)
        rows = (torch.from_numpy(np.sort(batch)) for batch in order[first:])
        return len(order), ((features[row], row) for row in rows)

    def loss(x: Tensor, _: Tensor, draws: torch.Generator, precision: Precision) -> Loss:
        decoded = codec.decode(channel(codec.encoder(x), draws)[0])
        with torch.no_grad():
            own = F.normalize(decoded, dim=1) @ F.normalize(x, dim=1).T
            found = float((own.argmax(1) == torch.arange(len(x), device=x.device)).float().mean())
        return Loss((decoded - x).abs().mean(), found)

    name = path.name.removesuffix(".scheme.pt")
    task = Task(
        name=name,
        setting=step.name,
        architecture=codec.settings,
        parts=codec,
        groups=(ParamGroup(codec, step.learning.lr, step.learning.weight_decay),),
        learning=step.learning,
        epochs=step.epochs,
        batches=batches,
        loss=loss,
        seed=seed,
    )
    # By itself and on the CPU: these layers are small, and the other processes wait.
    alone = Distributed(torch.device("cpu"))
    fit(task, context.recipe.engine, context.out, alone, lambda p: context.report.network(name, p))
    codec.eval()
    weights = cpu_weights(codec)
    stem = context.need_trunk().stem
    return SavedScheme(scheme_id, stem, codec.settings, weights, bounds, step="autoencoder")
