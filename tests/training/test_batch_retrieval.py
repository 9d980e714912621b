import numpy as np
import pytest
import torch

from training.engine.retrieval import rank1, retrieval_loss
from training.engine.sampling import identity_batches


def test_retrieval_loss_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((2, 8, 5))
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    total = 0.0
    for i in range(8):
        cosines = {
            j: queries[i] @ gallery[j] / np.linalg.norm(queries[i]) / np.linalg.norm(gallery[j])
            for j in range(8)
            if j != i
        }
        z = sum(np.exp(c / 0.1) for c in cosines.values())
        positives = [j for j in cosines if labels[j] == labels[i]]
        total += -np.mean([np.log(np.exp(cosines[j] / 0.1) / z) for j in positives])
    loss = retrieval_loss(torch.tensor(queries), torch.tensor(gallery), torch.tensor(labels), 0.1)
    assert float(loss) == pytest.approx(total / 8, rel=1e-6)


def test_retrieval_loss_has_finite_gradients_without_positives() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    retrieval_loss(x, x, torch.tensor([0, 1, 2, 2]), 0.05).backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_rank1_counts_queries_that_have_a_right_answer() -> None:
    x = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.8], [-1, 0]])
    assert rank1(x, x, torch.tensor([0, 0, 1, 1, 2])) == 1.0
    assert rank1(x, x, torch.tensor([0, 0, 1, 1, 0])) == pytest.approx(0.8)
    assert rank1(x, x, torch.tensor([0, 1, 0, 1, 2])) == 0.0
    assert rank1(x, x, torch.arange(5)) == 0.0


def test_rank1_by_another_camera_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((2, 60, 4)).astype(np.float32)
    labels, cameras = rng.integers(0, 12, 60), rng.integers(0, 3, 60)
    hits = []
    for row in range(60):
        allowed = (labels != labels[row]) | (cameras != cameras[row])
        if not (labels[allowed] == labels[row]).any():
            continue
        cosines = gallery @ queries[row] / np.linalg.norm(gallery, axis=1)
        hits.append(labels[np.where(allowed, cosines, -np.inf).argmax()] == labels[row])
    vectors = (torch.from_numpy(queries), torch.from_numpy(gallery))
    numbers = (torch.from_numpy(labels), torch.from_numpy(cameras))
    assert 0 < len(hits) < 60
    assert rank1(*vectors, *numbers) == pytest.approx(np.mean(hits))
    one_camera = torch.zeros(60, dtype=torch.int64)  # cameras are then not looked at
    assert rank1(*vectors, numbers[0], one_camera) == rank1(*vectors, numbers[0])


@pytest.mark.parametrize("seed", range(5))
def test_batches_hold_groups_of_identities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 30, 500)
    batches = identity_batches(labels, identities=8, images=4, rng=rng)
    for batch in batches:
        groups = labels[batch].reshape(8, 4)
        assert (groups == groups[:, :1]).all()
    rows = np.unique(np.concatenate(batches))
    assert len(rows) > 450  # all but those of the last, incomplete batch


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    batches = identity_batches(np.array([0, 0, 1]), 16, 4, np.random.default_rng(0))
    assert len(batches) == 1
    assert set(batches[0].tolist()) == {0, 1, 2}
