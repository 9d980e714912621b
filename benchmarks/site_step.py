"""``airreid bench site``: the joint training of recipe ``site`` beside a plain loop.

Both train the same module, a ResNet-18 read back from ONNX with a nested head and the recipe's
loss, on the same batches, augmented in the process that trains. Ours is the engine as a run uses
it. The plain loop is the usual one: forward, ``zero_grad``, backward, a step of AdamW. It takes its
turn after each step of ours, so that a machine whose speed drifts slows both alike.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from benchmarks import rows
from benchmarks.rows import Row

if TYPE_CHECKING:
    from training.engine.fit import Task

METHOD = "in turns of one step each, the first not counted; medians; batches included"
LIMIT = 0.95
PEOPLE, VIEWS, SHOTS = 16, 2, 2
"""People of a batch, cameras that each is seen by, and images by each of them."""


def site_command(
    height: Annotated[int, typer.Option(min=32, max=512)] = 128,
    width: Annotated[int, typer.Option(min=16, max=512)] = 64,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Turns of one step each.")] = 8,
    threads: Annotated[int, typer.Option(min=0, max=256, help="0: one per core.")] = 0,
    as_json: JsonTargets = None,
) -> None:
    """Measure the joint training of recipe site beside a plain loop over the same module."""
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    row = measure(height, width, rounds, threads or os.cpu_count() or 1)
    echo(
        f"{row.name}: {row.ours:g} {row.unit}, {row.peer_name}: {row.peer:g}; "
        f"ratio {row.ratio:g}; {row.note}"
    )
    write_json(as_json, rows.report(METHOD, [row]).model_dump(mode="json"))


def measure(height: int, width: int, rounds: int, threads: int) -> Row:
    """Measures images per second of both loops, medians over ``rounds`` turns."""
    import torch  # takes seconds to load

    from training.engine.distributed import Distributed
    from training.engine.fit import fit
    from training.engine.progress import Progress, SilentReport
    from training.recipes.base import Engine

    torch.set_num_threads(threads)
    device = torch.device("cpu")
    with TemporaryDirectory() as folder:
        task = _task(height, width, rounds, Path(folder))
        plain = _plain(task)

        class Turns(SilentReport):
            """Times a step of ours, then takes the plain loop's turn."""

            def __init__(self) -> None:
                self.ours: list[float] = []
                self.plain: list[float] = []
                self.started = time.perf_counter()

            def network(self, name: str, progress: Progress) -> None:
                self.ours.append(time.perf_counter() - self.started)
                started = time.perf_counter()
                next(plain)
                self.plain.append(time.perf_counter() - started)
                self.started = time.perf_counter()

        turns = Turns()
        engine = Engine(device="cpu", precision="fp32", tensorboard=False)
        fit(task, engine, Path(folder), Distributed(device), turns)
    ours, theirs = np.asarray(turns.ours[1:]), np.asarray(turns.plain[1:])
    images = PEOPLE * VIEWS * SHOTS
    low, high = np.percentile(theirs / ours, (25, 75))
    return rows.row(
        f"joint step of recipe site, ResNet-18, {height}x{width}, batch {images}",
        "images/s",
        images / float(np.median(ours)),
        images / float(np.median(theirs)),
        "plain loop over the same module",
        float(np.median(theirs / ours)),
        limit=LIMIT,
        repetitions=rounds,
        note=f"fp32; quartiles of the ratio {low:.3f} to {high:.3f}",
    )


def _task(height: int, width: int, rounds: int, folder: Path) -> Task:
    """Makes an epoch of ``rounds`` + 1 steps as :func:`training.site.joint.train_joint` does."""
    import onnx
    import torch
    from torch import nn

    from training.engine.batches import ImageBatches
    from training.engine.distributed import Distributed
    from training.engine.fit import Task
    from training.engine.schedule import ParamGroup
    from training.export.onnx import export_onnx
    from training.models.backbone import Backbone
    from training.models.nested import NestedHead
    from training.onnx_network.module import OnnxModule
    from training.recipes.base import Stage
    from training.recipes.site_steps import SiteStep
    from training.site.joint import SiteLoss, joint_loss

    torch.manual_seed(0)
    path = folder / "network.onnx"
    backbone = Backbone(False, "resnet18")
    export_onnx(backbone, torch.zeros((2, height, width, 3), dtype=torch.uint8), path)
    network, head = OnnxModule(onnx.load(path)), NestedHead(backbone.dim, (64, 256))
    nn.init.normal_(head.matrix)
    step = SiteStep()
    people = PEOPLE * (rounds + 1)
    labels = np.repeat(np.arange(people), VIEWS * SHOTS)
    loss = SiteLoss(step, backbone.dim, head, people)
    parts = nn.ModuleDict({"network": network, "head": head, "loss": loss})
    crops = np.random.default_rng(0).integers(
        0, 256, (len(labels), height, width, 3), dtype=np.uint8
    )
    batches = ImageBatches(
        crops=crops,
        labels=labels,
        stages=(Stage(height=height, width=width, epochs=1),),
        batches=step.batches,
        augmentation=step.augmentation,
        seed=0,
        workers=0,
        distributed=Distributed(torch.device("cpu")),
        cameras=np.tile(np.repeat(np.arange(VIEWS), SHOTS), people),
    )
    return Task(
        name="joint",
        setting="joint.learning",
        architecture={},
        parts=parts,
        groups=(ParamGroup(parts, step.learning.lr, step.learning.weight_decay),),
        learning=step.learning,
        epochs=1,
        batches=batches,
        loss=joint_loss(parts),
        seed=0,
    )


def _plain(task: Task) -> Iterator[None]:
    """Takes a step of the plain loop at each ``next``, on a copy of the task's parts."""
    import torch
    from torch import nn

    from training.engine.precision import Precision
    from training.site.joint import joint_loss

    parts = copy.deepcopy(task.parts).train()
    assert isinstance(parts, nn.ModuleDict)
    loss = joint_loss(parts)
    precision = Precision(torch.device("cpu"), "fp32")
    draws = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=task.learning.lr)
    _, batches = task.batches(0, 0)
    for images, labels in batches:
        value = loss(images, labels, draws, precision).value
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield
