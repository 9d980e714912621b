"""The training loop: stopped anywhere and continued, on two processes, on full disks."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.errors import InputError
from training.engine.batches import ImageBatches
from training.engine.distributed import Distributed
from training.engine.precision import choose_precision, cpu_computes_bf16
from training.engine.progress import TrainingError
from training.engine.schedule import lr_scale
from training.recipes.base import Augmentation, Batches, OptimizerConfig, Stage
from training.runs import atomic_file as checkpoint

from .train_script import Losses, train

SCRIPT = Path(__file__).with_name("train_script.py")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Images are small, and the processes of the tests use one thread each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    os.environ["CACHE"] = str(folder)
    yield folder
    del os.environ["CACHE"]


def script(*arguments: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        start += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [*start, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[float]]:  # type: ignore[type-arg]
    """Weights and losses of an unbroken run."""
    losses = Losses()
    network = train(tmp_path_factory.mktemp("whole"), losses)
    assert len(losses.seen) == 8  # two epochs of four steps
    return network.weights, losses.seen


@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_within_an_epoch_it_goes_on_bit_for_bit(
    whole: tuple[dict, list[float]],  # type: ignore[type-arg]
    cache: Path,
    tmp_path: Path,
    steps: int,
) -> None:
    often = f"engine.checkpoint_steps={steps}"
    killed = script(str(tmp_path), "[1, 2]", often)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    state = checkpoint.load(tmp_path / "backbone.last.pt")["state"]
    assert (state["epoch"], state["step"]) == (1, 2 if steps == 1 else 0)
    losses = Losses()
    network = train(tmp_path, losses, often)
    assert losses.seen == whole[1][4 + state["step"] :]
    assert any(note.startswith("backbone: goes on in epoch 2 of 2") for note in losses.notes)
    for name, value in whole[0].items():
        assert torch.equal(value, network.weights[name]), name
    done = Losses()
    train(tmp_path, done, often)
    assert done.seen == []


def test_two_processes_do_what_one_does_with_twice_the_batch(cache: Path, tmp_path: Path) -> None:
    both, single = tmp_path / "both", tmp_path / "one"
    single.mkdir()
    result = script(str(both), "-", processes=2)
    assert result.returncode == 0, result.stderr[-3000:]
    losses = Losses()
    network = train(single, losses, "backbone.batches.identities=4")
    shared_losses = json.loads((both / "losses-0.json").read_text())
    np.testing.assert_allclose(shared_losses, losses.seen, rtol=2e-3)
    assert json.loads((both / "losses-1.json").read_text()) == []  # the first one reports
    first, second = (torch.load(both / f"weights-{rank}.pt") for rank in (0, 1))
    for name, value in network.weights.items():
        assert torch.equal(first[name], second[name]), name
        if value.is_floating_point():
            apart = float((first[name] - value).norm() / (value.norm() + 1e-3))
            assert apart < 0.02, name


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"loss is .* lower backbone\.learning\.lr"):
        train(tmp_path, Losses(), "backbone.learning.lr=1e30")
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_of_another_architecture_is_named(cache: Path, tmp_path: Path) -> None:
    epoch = 'backbone.stages=[{"height": 64, "width": 32, "epochs": 1}]'
    train(tmp_path, Losses(), epoch)
    with pytest.raises(InputError, match=r"backbone\.last\.pt: a checkpoint of another arch"):
        train(tmp_path, Losses(), epoch, "backbone.backbone=mobilenet_v3_large")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"a": torch.ones(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"a\.pt: cannot write the checkpoint .*make room"):
            checkpoint.save(path, {"a": torch.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
    assert torch.equal(checkpoint.load(path)["a"], torch.ones(10))


def test_best_and_last_are_kept_and_curves_are_drawn(cache: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    losses = Losses()
    settings = ("backbone.keep=best", "engine.tensorboard=true")
    network = train(tmp_path, losses, *settings, held_out=True)
    best = checkpoint.load(tmp_path / "backbone.best.pt")
    assert losses.validation[:4] == [None] * 4
    first = losses.validation[4]
    assert first is not None
    assert best["validation"] >= first
    assert (best["epoch"] == 2) == (best["validation"] > first or best["epoch"] == 2)
    for name, value in network.weights.items():
        assert torch.equal(best["parts"][f"backbone.{name}"], value)
    curves = EventAccumulator(str(tmp_path / "logs" / "backbone")).Reload()
    assert set(curves.Tags()["scalars"]) == {"loss", "batch_top1", "lr", "validation_top1"}
    drawn = [event.value for event in curves.Scalars("loss")]
    np.testing.assert_allclose(drawn, losses.seen, rtol=1e-6)


def images(
    workers: int = 0,
    distributed: Distributed | None = None,
    augmentation: Augmentation | None = None,
) -> ImageBatches:
    crops = np.random.default_rng(0).integers(0, 256, (24, 256, 128, 3), dtype=np.uint8)
    return ImageBatches(
        crops=crops,
        labels=np.repeat(np.arange(6), 4),
        stages=(Stage(height=64, width=32, epochs=1), Stage(height=128, width=64, epochs=1)),
        batches=Batches(sampler="shuffled", size=8),
        augmentation=augmentation or Augmentation(),
        seed=3,
        workers=workers,
        distributed=distributed or Distributed(torch.device("cpu")),
    )


def test_batches_do_not_depend_on_who_prepares_them() -> None:
    steps, alone = images()(0, 0)
    batches = list(alone)
    assert steps == len(batches) == 3
    assert batches[0][0].shape == (8, 64, 32, 3)
    for again in (images(workers=2)(0, 0)[1], images()(0, 0)[1]):
        for (crops, label), (other, same) in zip(batches, again, strict=True):
            assert torch.equal(crops, other)
            assert torch.equal(label, same)
    late = list(images()(0, 2)[1])  # a run that goes on at step 2
    assert torch.equal(late[0][0], batches[2][0])
    halves = [
        next(images(distributed=Distributed(torch.device("cpu"), r, 2))(0, 0)[1]) for r in (0, 1)
    ]
    assert sorted(torch.cat([label for _, label in halves]).tolist()) == sorted(
        torch.cat([label for _, label in batches[:2]]).tolist()
    )
    assert not torch.equal(batches[0][0], next(images()(1, 0)[1])[0][:, :64, :32])
    assert next(images()(1, 0)[1])[0].shape == (8, 128, 64, 3)


def test_without_augmentation_images_are_only_resized() -> None:
    still = Augmentation(flip=0, shift=False, colour_jitter=0, brightness=0, random_erasing=0)
    source = images(augmentation=still)
    stage = Stage(height=256, width=128, epochs=1)
    from dataclasses import replace

    _, batches = replace(source, stages=(stage,))(0, 0)
    contents = {crop.numpy().tobytes() for batch, _ in batches for crop in batch}
    assert contents == {crop.astype(np.float32).tobytes() for crop in source.crops}


def test_rates_fall_when_they_should() -> None:
    steps = OptimizerConfig(lr=0.01, schedule="steps", milestones=(30,))
    assert [lr_scale(steps, 40, epoch) for epoch in (0, 29.9)] == [1, 1]
    assert lr_scale(steps, 40, 30) == pytest.approx(0.1)
    cosine = OptimizerConfig(lr=0.1, warmup_epochs=2)
    assert lr_scale(cosine, 12, 1) == pytest.approx(0.5)
    assert lr_scale(cosine, 12, 2) == pytest.approx(1.0)
    assert lr_scale(cosine, 12, 7) == pytest.approx(0.5)
    assert lr_scale(cosine, 12, 12) == pytest.approx(0.0)


def test_bf16_where_the_processor_has_it_and_nowhere_else() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    has = any(word in flags.split() for word in ("avx512_bf16", "amx_bf16", "bf16"))
    assert cpu_computes_bf16() == has
    assert choose_precision("auto", torch.device("cpu")).name == ("bf16" if has else "fp32")
    assert choose_precision("bf16", torch.device("cpu")).name == "bf16"
