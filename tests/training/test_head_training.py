"""Heads through the one loop: killed and continued, curves, files of earlier versions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from airreid.errors import InputError
from training.recipes.base import Batches
from training.recipes.steps import AutoencoderStep, CodecStep, DigitalSpec, DigitalStep, HeadStep
from training.runs import atomic_file
from training.runs.checkpoints import SavedScheme, cpu_weights, load_scheme, save, scheme_path
from training.steps.heads import train_heads

from .head_run import crowd, head_context
from .train_script import Losses

PEOPLE = crowd(8, 16)
BATCHES = Batches(sampler="identities", identities=32, images=4)
SLOW = CodecStep(schemes=()).learning
STEPS: dict[str, HeadStep] = {
    "jscc-ae-8": CodecStep(schemes=("jscc-ae-8",), epochs=2, decoder_epochs=2, batches=BATCHES),
    "digital-16": DigitalStep(
        schemes=(DigitalSpec(id="digital-16", dimensions=8, rate_lambda=20.0),),
        epochs=4,
        batches=BATCHES,
    ),
    "jscc-ae-9": AutoencoderStep(
        schemes=("jscc-ae-9",), layers=2, snr_db=5.0, epochs=2, learning=SLOW, batches=BATCHES
    ),
}


def train(out: Path, scheme_id: str, report: Losses, **engine: object) -> SavedScheme:
    torch.set_num_threads(1)
    context = head_context(out, STEPS[scheme_id], report, **engine)
    (scheme,) = train_heads(STEPS[scheme_id], PEOPLE, "backbone", context)
    return scheme


@pytest.mark.parametrize("scheme_id", STEPS)
def test_a_head_killed_within_an_epoch_goes_on_bit_for_bit(scheme_id: str, tmp_path: Path) -> None:
    """The autoencoder is killed in its second phase, where a codec has one."""
    whole = Losses()
    expected = train(tmp_path / "whole", scheme_id, whole)
    out = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from tests.training import test_head_training as t;"
        "t.train(Path(sys.argv[1]), sys.argv[2], t.Killed(sys.argv[2], (1, 2)), checkpoint_steps=1)"
    )
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", code, str(out), scheme_id],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    position = atomic_file.load(out / f"{scheme_id}.last.pt")["state"]
    assert (position["epoch"], position["step"]) == (1, 2)
    rest = Losses()
    continued = train(out, scheme_id, rest, checkpoint_steps=1)
    assert 0 < len(rest.seen) < len(whole.seen)
    assert rest.seen == whole.seen[-len(rest.seen) :]
    for name, value in expected.weights.items():
        assert torch.equal(value, continued.weights[name]), name
    done = Losses()
    train(out, scheme_id, done)
    assert done.seen == []


class Killed(Losses):
    """Kills its process at (epoch, step) of one network."""

    def __init__(self, network: str, place: tuple[int, int]) -> None:
        super().__init__()
        self._network, self._place = network, place

    def network(self, name: str, progress) -> None:  # type: ignore[no-untyped-def]
        if name == self._network and (progress.epoch, progress.step) == self._place:
            os.kill(os.getpid(), signal.SIGKILL)


def test_heads_draw_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, "digital-16", Losses(), tensorboard=True)
    curves = EventAccumulator(str(tmp_path / "logs" / "digital-16")).Reload()
    assert set(curves.Tags()["scalars"]) == {
        *("loss", "batch_top1", "lr", "bits"),
        *("validation_top1", "validation_bits"),
    }
    assert len(curves.Scalars("validation_bits")) == 4


def test_files_of_earlier_versions_are_opened(tmp_path: Path) -> None:
    """They call a backbone's name its stem, and the bent path of a code a curve."""
    from training.models.backbone import Backbone
    from training.models.codec import Codec
    from training.runs.checkpoints import SavedBackbone, load_backbone

    network = Backbone(False, "resnet18")
    backbone = SavedBackbone("b", network.settings, cpu_weights(network), (64, 32), "none", 1.0)
    path = tmp_path / "b.pt"
    save(path, backbone)
    state = atomic_file.load(path)
    state["stem"] = state.pop("name")
    atomic_file.save(path, state)
    assert load_backbone(path).name == "b"
    assert load_backbone(path).space == backbone.space
    codec = Codec("jscc-fc", 24, 8, hidden=4)
    scheme = SavedScheme("jscc-fc-8", "b", codec.settings, cpu_weights(codec), (0.0, 10.0))
    path = scheme_path(tmp_path, "jscc-fc-8")
    save(path, scheme)
    state = atomic_file.load(path)
    state["weights"] = {key.replace("residual", "curve"): w for key, w in state["weights"].items()}
    assert any(".curve." in key for key in state["weights"])
    atomic_file.save(path, state)
    for name, value in load_scheme(path).network(Codec).state_dict().items():
        assert torch.equal(value, codec.state_dict()[name])


def test_a_checkpoint_that_does_not_fit_is_refused_in_one_sentence(tmp_path: Path) -> None:
    train(tmp_path, "digital-16", Losses())
    (tmp_path / "models" / "digital-16.scheme.pt").unlink()
    path = tmp_path / "digital-16.last.pt"
    state = atomic_file.load(path)
    del state["state"]["seconds"]
    state["state"]["minutes"] = 1.0
    atomic_file.save(path, state)
    with pytest.raises(InputError, match=r"digital-16\.last\.pt: does not fit this run .*--out"):
        train(tmp_path, "digital-16", Losses())


def test_who_is_held_out_stays(tmp_path: Path) -> None:
    """As chosen by the code before it was one function: bundles were trained without them."""
    from airreid.datasets.held_out import hold_out

    names = [f"person-{number:04d}" for number in range(25)]
    chosen = json.loads(Path(__file__).with_name("held_out.json").read_text())
    assert hold_out(names, 5) == set(chosen["by_hash"])
    assert hold_out(names[::-1], 4, seed=3) == set(chosen["by_seed"])
