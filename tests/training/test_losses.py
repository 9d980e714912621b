import numpy as np
import pytest
import torch

from training.engine.losses import nearest_hit_rate, retrieval_loss
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


def test_nearest_hit_rate() -> None:
    x = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.8], [-1, 0]])
    assert nearest_hit_rate(x, torch.tensor([0, 0, 1, 1, 2])) == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(5))
def test_batches_hold_groups_of_identities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 30, 500)
    batches = identity_batches(labels, identities=8, images=4, rng=rng)
    for batch in batches:
        groups = labels[batch].reshape(8, 4)
        assert (groups == groups[:, :1]).all()
    seen = np.unique(np.concatenate(batches))
    assert len(seen) > 450  # all but those of the last, incomplete batch


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    batches = identity_batches(np.array([0, 0, 1]), 16, 4, np.random.default_rng(0))
    assert len(batches) == 1
    assert set(batches[0].tolist()) == {0, 1, 2}
