"""Trains a small backbone as a process of its own: OUT, then settings; see test_engine."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

from airreid.datasets.samples import ImageSet
from airreid.datasets.synthetic.population import Population, image_set
from training.engine.distributed import open_distributed
from training.engine.progress import Progress, SilentReport
from training.recipes.load import load_recipe
from training.recipes.recipe import Recipe
from training.runs.checkpoints import SavedBackbone
from training.runs.folder import ImageSets
from training.steps.backbone import train_backbone
from training.steps.context import RunContext

SETTINGS = [
    *(
        "backbone.backbone=resnet18",
        "backbone.learning.lr=0.01",
        "backbone.learning.warmup_epochs=0",
        "engine.precision=fp32",  # a processor with bf16 would take it: too coarse to compare
    ),
    'backbone.stages=[{"height": 64, "width": 32, "epochs": 2}]',
    *("backbone.batches.identities=2", "backbone.batches.images=2", "engine.tensorboard=false"),
]


class Losses(SilentReport):
    """Keeps what is reported; kills its process at (epoch, step) if told to."""

    def __init__(self, kill: tuple[int, int] | None = None) -> None:
        self.seen: list[float] = []
        self.names: list[str] = []
        self.validation: list[float | None] = []
        self.notes: list[str] = []
        self._kill = kill

    def note(self, text: str) -> None:
        self.notes.append(text)

    def network(self, name: str, progress: Progress) -> None:
        self.seen.append(progress.loss)
        self.names.append(name)
        self.validation.append(progress.validation_top1)
        if (progress.epoch, progress.step) == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)


def people(seed: int = 8) -> ImageSet:
    return image_set(Population(seed=seed, identities=8, cameras=2, shots=1))


def recipe(*settings: str) -> Recipe:
    return load_recipe("demo", [*SETTINGS, *settings])


def train(out: Path, report: Losses, *settings: str, held_out: bool = False) -> SavedBackbone:
    chosen = recipe(*settings)
    step = chosen.step("backbone")
    assert step.kind == "backbone"
    with open_distributed("cpu") as distributed:
        sets = ImageSets(people(), people(), people(9) if held_out else None)
        cache = Path(os.environ.get("CACHE", str(out)))
        return train_backbone(step, RunContext(chosen, sets, out, cache, report, distributed))


if __name__ == "__main__":
    folder, kill, *rest = sys.argv[1:]
    torch.set_num_threads(1)
    losses = Losses(None if kill == "-" else tuple(json.loads(kill)))  # type: ignore[arg-type]
    network = train(Path(folder), losses, *rest)
    rank = os.environ.get("RANK", "0")
    torch.save(network.weights, Path(folder) / f"weights-{rank}.pt")
    (Path(folder) / f"losses-{rank}.json").write_text(json.dumps(losses.seen))
