"""Parts of recipe site: batches of cameras, the nested code, held-out people, plan and share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.adopt.images import AdoptionImages
from airreid.codecs.comparison import AWGN, Radio
from airreid.codecs.linear import LinearCode
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.retrieval import Labels
from training.engine.batches import epoch_rows
from training.engine.distributed import Distributed
from training.engine.progress import SilentReport
from training.engine.retrieval import retrieval_loss
from training.engine.sampling import camera_batches, track_batches
from training.models.channel import Channel
from training.models.nested import NestedHead, search_loss
from training.recipes.base import Batches
from training.recipes.load import load_recipe
from training.recipes.site_steps import NestedStep, NetworkStep
from training.site.context import SiteContext
from training.site.heads import closed_form
from training.site.joint import identity_loss
from training.site.measuring import named_apart
from training.site.people import check_told_apart, rival_tracks, watched
from training.site.plan import planned_epochs, wanted_epochs
from training.site.preflight import as_settings, schemes_for
from training.site.rows import with_people
from training.site.share import choose_share
from training.site.watching import Watcher


def crowd(people: int, cameras: int = 2, shots: int = 3) -> Labels:
    identity = np.repeat(np.arange(people), cameras * shots)
    return Labels(identity, np.tile(np.repeat(np.arange(cameras), shots), people))


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_a_batch_has_each_person_by_two_cameras(shots: int) -> None:
    labels = crowd(12, cameras=3, shots=shots)
    rng = np.random.default_rng(0)
    batches = camera_batches(labels.identity, labels.camera, 4, 2, rng)
    for batch in batches:
        assert len(batch) == 4 * 4
        for group in batch.reshape(-1, 2, 2):
            people, cameras = labels.identity[group], labels.camera[group]
            assert len(set(people.ravel())) == 1
            assert len(set(cameras[0])) == len(set(cameras[1])) == 1
            assert cameras[0, 0] != cameras[1, 0]
    together = camera_batches(labels.identity, labels.camera, 1, 2, rng)
    assert set(np.concatenate(together)) == set(range(len(labels))), "every image once or more"


def test_a_person_of_one_camera_is_met_too() -> None:
    identity, camera = np.asarray([0, 0, 0, 1, 1, 1]), np.asarray([0, 0, 0, 0, 1, 1])
    batches = camera_batches(identity, camera, 2, 2, np.random.default_rng(0))
    rows = np.concatenate(batches)
    assert set(identity[rows]) == {0, 1}
    assert len(rows) % 4 == 0


def test_tracks_of_two_cameras_never_meet() -> None:
    labels = crowd(9, cameras=2, shots=4)
    tracks = labels.identity * 2 + labels.camera
    batches = track_batches(tracks, labels.camera, 4, 2, np.random.default_rng(0))
    assert all(len(set(labels.camera[batch])) == 1 for batch in batches)
    assert {int(labels.camera[batch][0]) for batch in batches} == {0, 1}


def test_identities_meet_across_cameras_and_tracks_within_one() -> None:
    """Six people by two cameras, and four tracks of one camera each."""
    people = crowd(6, shots=4)
    identity = np.concatenate([people.identity, np.repeat(np.arange(6, 10), 4)])
    camera = np.concatenate([people.camera, np.repeat([0, 0, 1, 1], 4)])
    rows = epoch_rows(identity, Batches(sampler="mixed", identities=2), 0, 0, cameras=camera)
    kinds = {bool((identity[batch] < 6).all()) for batch in rows}
    assert kinds == {True, False}
    for batch in rows:
        tracks = identity[batch] >= 6
        assert tracks.all() or not tracks.any(), "a batch is of one kind"
        views = {tuple(np.unique(camera[batch][identity[batch] == who])) for who in identity[batch]}
        assert views <= ({(0,), (1,)} if tracks[0] else {(0, 1)})
    assert set(np.concatenate(rows)) == set(range(len(identity)))


def test_a_sampler_of_cameras_needs_them() -> None:
    with pytest.raises(ValueError, match="needs the images' cameras"):
        epoch_rows(np.zeros(4, np.int64), Batches(sampler="cameras"), 0, 0)


def made_head(features: int = 6, bandwidths: tuple[int, ...] = (2, 4)) -> NestedHead:
    random = np.random.default_rng(3)
    head = NestedHead(features, bandwidths)
    code = LinearCode(
        random.normal(0, 0.1, features).astype(np.float32),
        random.normal(0, 5, (features, bandwidths[-1])).astype(np.float32),
    )
    head.start_from(code)
    return head


def test_the_nested_head_sends_what_its_code_sends() -> None:
    """The closed-form encoder, which the bundle's graph is written from, is the oracle."""
    head = made_head()
    features = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        pieces = head.send(torch.from_numpy(features), Channel("awgn", 20.0), draws)
    for sent in pieces:
        expected = head.code().truncated(sent.bandwidth).encode(features)
        np.testing.assert_allclose(sent.clean.numpy(), expected, atol=1e-5)
        assert sent.received.shape == sent.clean.shape
    assert float(head.matrix.detach().square().sum(0).mean()) == pytest.approx(1)


def test_a_short_code_is_filled_and_a_wrong_one_refused() -> None:
    head = NestedHead(6, (2, 4))
    short = LinearCode(np.zeros(6, np.float32), np.eye(6, 3, dtype=np.float32))
    head.start_from(short)
    assert float(head.matrix.detach()[:, 3].abs().max()) > 0
    with pytest.raises(InputError, match="a code of 5 dimensions"):
        head.start_from(LinearCode(np.zeros(5, np.float32), np.eye(5, dtype=np.float32)))
    with pytest.raises(ValueError, match="rising"):
        NestedHead(6, (4, 2))


def test_the_search_loss_teaches_every_prefix() -> None:
    head = made_head()
    features = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    sent = head.send(features, Channel("awgn", 0.0), torch.Generator().manual_seed(0))
    search_loss(sent[:1], torch.arange(8) // 2, 0.1).backward()
    gradient = head.matrix.grad
    assert gradient is not None
    assert float(gradient[:, :2].abs().max()) > 0
    assert float(gradient[:, 2:].abs().max()) == 0


def test_ten_people_are_watched_from_fifty_on() -> None:
    assert watched(crowd(49), 0) is None
    for people, held_out in ((50, 10), (90, 10), (140, 14)):
        split = watched(crowd(people), 0)
        assert split is not None
        assert split.people == held_out


def test_a_camera_that_everybody_passes_is_not_held_out() -> None:
    """One at an entrance: without it nobody else would be seen by two cameras."""
    identity = np.arange(200).repeat(2)
    camera = np.stack([np.zeros(200, int), 1 + np.arange(200) % 4], axis=1).ravel()
    labels = Labels(identity, camera)
    for seed in range(8):
        split = watched(labels, seed)
        assert split is not None
        pairs = np.unique(np.stack([identity[split.fit], camera[split.fit]]), axis=1)
        assert (np.unique(pairs[0], return_counts=True)[1] > 1).sum() >= 90


def test_fewer_images_than_uses_are_left_beside_the_held_out_people(tmp_path: Path) -> None:
    labels = Labels(np.arange(55).repeat(2), np.tile([0, 1], 55))
    features = np.random.default_rng(0).normal(size=(110, 120)).astype(np.float32)
    nobody = ImageSet("", ())
    context = SiteContext(
        recipe=load_recipe("site", []),
        images=AdoptionImages("", nobody, labels, None, nobody),
        labels=labels,
        only_tracks=False,
        split=watched(labels, 0),
        watcher=None,
        out=tmp_path,
        cache=tmp_path,
        report=SilentReport(),
        distributed=Distributed(torch.device("cpu")),
    )
    code = closed_form(NestedStep(), features, 100, context)
    assert code.bandwidth == 110 - 20 - 1


def test_the_usual_schemes_are_those_that_few_images_carry() -> None:
    """Schemes that were asked for are refused instead, and by the recipe's setting."""
    usual, report = NetworkStep(), SilentReport()
    assert schemes_for(usual, 512, 400, report) == usual.schemes
    assert schemes_for(usual, 512, 160, report) == ("jscc-fc-64", "digital-256")
    for step, images in ((usual, 40), (NetworkStep(schemes=("jscc-fc-256",)), 160)):
        refused = pytest.raises(InputError, match=r"--scheme jscc-fc-256.*--set network\.schemes")
        with refused, as_settings(step):
            schemes_for(step, 512, images, report)


def test_people_of_one_camera_say_nothing_of_who_is_told_apart() -> None:
    """Hundreds seen once, and eight by two cameras of whom the features know nothing."""
    twice = np.asarray([1, 2, 4, 5, 7, 8, 10, 11])
    labels = Labels(np.concatenate([np.arange(300), twice]), np.arange(308) // 300)
    features = np.random.default_rng(0).normal(size=(308, 32)).astype(np.float32)
    with pytest.raises(InputError, match="as far as one of anybody"):
        check_told_apart(features, labels, ImageSet("site", ()), tracks=False)


def test_sites_of_one_name_are_told_apart() -> None:
    data = DataSet("folder site", "", "all", ("all",), {})
    names = [site.name for site in named_apart([data, data, replace(data, name="x"), data])]
    assert names == ["folder site", "folder site (2)", "x", "folder site (3)"]


def test_the_watcher_finds_people_as_far_as_the_noise_lets_it() -> None:
    labels = crowd(60)
    split = watched(labels, 0)
    assert split is not None
    watcher = Watcher(labels, split, 0)
    assert watcher.people == 10
    person = np.random.default_rng(0).standard_normal((60, 64))
    features = torch.from_numpy(person[labels.identity][watcher.rows].astype(np.float32))
    head = NestedHead(64, (4, 64))
    head.start_from(LinearCode(np.zeros(64, np.float32), np.eye(64, dtype=np.float32)))
    result = watcher(head, features, AWGN)
    assert result.metrics["raw"] == 1
    assert result.metrics["top1_at_-10_dB"] < 0.6 < result.metrics["top1_at_+20_dB"]
    by_person = watcher.by_person(head, features, AWGN)
    assert by_person.shape == (10,)
    assert float(by_person.mean()) == pytest.approx(result.top1)
    assert watcher(head, features, AWGN).top1 == result.top1, "the same noise every time"
    assert len(result.metrics) == 1 + len(AWGN.snrs_db)
    faded = watcher(head, features, Radio("rayleigh", (0.0, 20.0)))
    assert faded.metrics.keys() == {"raw", "top1_at_+0_dB", "top1_at_+20_dB"}
    assert faded.metrics["top1_at_+20_dB"] < result.metrics["top1_at_+20_dB"], "deep fades"


def test_epochs_follow_images_and_minutes() -> None:
    assert [wanted_epochs(images) for images in (100, 400, 1461, 7239, 100_000)] == [
        40,
        40,
        21,
        9,
        6,
    ]
    assert planned_epochs(7239, 5, 130) == 2
    assert planned_epochs(400, 1000, 1) == 40
    with pytest.raises(InputError, match=r"--minutes 1: one epoch of 7239 images takes about 2\.2"):
        planned_epochs(7239, 1, 130)


def test_the_smallest_share_that_is_as_good_is_chosen() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 60)
    rates = {0.0: np.full(60, 0.5), 0.5: np.full(60, 0.6), 1.0: np.full(60, 0.7) + noise}
    assert choose_share(rates) == 1.0
    assert choose_share({**rates, 0.75: rates[1.0] - 0.5 * noise}) == 0.75
    assert choose_share({0.0: np.full(60, 0.9), 0.5: np.full(60, 0.6) + noise}) == 0.0


def test_tracks_of_one_person_are_no_rivals() -> None:
    """Ten tracks by two cameras; the first two of one camera are of one person."""
    random = np.random.default_rng(0)
    person = random.standard_normal((9, 16))
    shown = np.asarray([0, 0, *range(1, 9)])
    track, camera = np.repeat(np.arange(10), 6), np.repeat(np.arange(10) // 5, 6)
    features = person[shown[track]] + 0.3 * random.standard_normal((60, 16))
    rivals = rival_tracks(features.astype(np.float32), Labels(track, camera))
    expected = np.kron(np.eye(2, dtype=bool), np.ones((5, 5), bool))
    expected[0, 1] = expected[1, 0] = False
    np.testing.assert_array_equal(rivals, expected)


def test_an_identity_is_told_apart_from_identities_alone() -> None:
    tracks = np.asarray([[True, False, True], [False, True, True], [True, True, True]])
    rivals = with_people(2, tracks)
    assert rivals[:2, :2].all()
    assert not rivals[:2, 2:].any()
    assert not rivals[2:, :2].any()
    np.testing.assert_array_equal(rivals[2:, 2:], tracks)


def test_a_class_that_is_left_out_gets_no_gradient_and_gives_none() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 6, generator=draws, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 2, 1, 0])
    everything = torch.ones(4, 6, dtype=torch.bool)
    plain = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(identity_loss(logits, labels, 0.1, everything), plain)
    torch.testing.assert_close(identity_loss(logits, labels, 0.1, None), plain)
    first = everything.clone()
    first[:, 3:] = False
    loss = identity_loss(logits, labels, 0.1, first)
    alone = torch.nn.functional.cross_entropy(logits[:, :3], labels, label_smoothing=0.1)
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad[:, 3:].abs().max()) == 0


def test_rows_that_are_left_out_are_no_wrong_answers() -> None:
    draws = torch.Generator().manual_seed(0)
    queries, gallery = (torch.randn(6, 5, generator=draws) for _ in range(2))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    left_out = torch.zeros(6, 6, dtype=torch.bool)
    left_out[:4, 4:] = left_out[4:, :4] = True
    both = retrieval_loss(queries, gallery, labels, 0.2, left_out)
    apart = [
        retrieval_loss(queries[rows], gallery[rows], labels[rows], 0.2)
        for rows in (slice(0, 4), slice(4, 6))
    ]
    torch.testing.assert_close(both, (4 * apart[0] + 2 * apart[1]) / 6)
