"""Codecs side by side are each the codec that it would be alone."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from training.models.codec import Codec
from training.models.stack import CodecStack

FEATURES, BANDWIDTH, ROWS = 12, 8, 16


def codecs(kind: Literal["jscc-ae", "jscc-fc"], layers: int, count: int = 3) -> list[Codec]:
    torch.manual_seed(5)
    return [Codec(kind, FEATURES, BANDWIDTH, 0, layers) for _ in range(count)]


def batch(count: int = 3) -> torch.Tensor:
    return torch.randn((count, ROWS, FEATURES), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["jscc-ae", "jscc-fc"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_a_stack_computes_what_its_codecs_compute(
    kind: Literal["jscc-ae", "jscc-fc"], layers: int, training: bool
) -> None:
    single = codecs(kind, layers)
    stack = CodecStack(single, [(0.0, 0.0)] * 3)
    stack.train(training)
    x = batch()
    symbols = stack.encode(x)
    decoded = stack.decode(symbols)
    for place, codec in enumerate(single):
        codec.train(training)
        alone = codec.encoder(x[place])
        torch.testing.assert_close(symbols[place], alone)
        torch.testing.assert_close(decoded[place], codec.decode(alone), rtol=1e-4, atol=1e-5)


def test_a_copy_has_the_gradient_that_it_would_have_alone() -> None:
    single = codecs("jscc-ae", 3)
    stack = CodecStack(single, [(0.0, 0.0)] * 3)
    x = batch()
    (stack.decode(stack.encode(x)) - x).abs().mean(dim=(1, 2)).sum().backward()
    for place, codec in enumerate(single):
        (codec.decode(codec.encoder(x[place])) - x[place]).abs().mean().backward()
        alone = codec.encoder.map.layers[0].weight.grad
        together = stack.encoder.weights[0].grad
        assert alone is not None
        assert together is not None
        torch.testing.assert_close(together[place].T, alone, rtol=1e-3, atol=1e-6)


def test_a_codec_taken_out_of_a_trained_stack_computes_the_same() -> None:
    stack = CodecStack(codecs("jscc-ae", 3), [(0.0, 0.0)] * 3)
    x = batch()
    stack.train()
    stack.decode(stack.encode(x))  # moves the batch normalisations' statistics
    stack.eval()
    decoded = stack.decode(stack.encode(x))
    for place in range(3):
        codec = stack.codec(place)
        torch.testing.assert_close(decoded[place], codec.decode(codec.encoder(x[place])))


def test_each_copy_has_its_own_snr() -> None:
    stack = CodecStack(codecs("jscc-fc", 1), [(20.0, 20.0), (0.0, 0.0), (-10.0, 10.0)])
    symbols = stack.encode(batch().repeat(1, 400, 1))
    noise = stack.send(symbols, torch.Generator().manual_seed(3)) - symbols
    power = noise.square().mean(dim=(1, 2)).tolist()
    assert power[0] == pytest.approx(0.01, rel=0.02)
    assert power[1] == pytest.approx(1.0, rel=0.02)
    # the mean of 10^(-s/10) over s from -10 to 10
    assert power[2] == pytest.approx((10 - 0.1) / (2 * 2.302585), rel=0.05)


def test_a_prefix_is_the_code_of_the_first_uses() -> None:
    stack = CodecStack(codecs("jscc-fc", 1), [(0.0, 0.0)] * 3)
    x = batch()
    part = stack.prefix(4)
    first = stack.encode(x)[..., :4]
    expected = 2.0 * first / first.norm(dim=2, keepdim=True)
    torch.testing.assert_close(part.encode(x), expected)
    assert part.codec(1).bandwidth == 4
    sent = stack.transmit_prefixes(x, (4, 8), torch.Generator().manual_seed(0))
    torch.testing.assert_close(sent[0].gallery, part.encode(x))
    assert stack.encode(x).shape[2] == BANDWIDTH  # it is left as it was


def test_only_codecs_alike_and_of_layers_are_stacked() -> None:
    different = [*codecs("jscc-fc", 1, 1), Codec("jscc-fc", FEATURES, 4, 0, 1)]
    with pytest.raises(ValueError, match="one architecture"):
        CodecStack(different, [(0.0, 0.0)] * 2)
    with pytest.raises(TypeError, match="layers=1"):
        CodecStack([Codec("jscc-fc", FEATURES, BANDWIDTH, 0)], [(0.0, 0.0)])
    with pytest.raises(ValueError, match="decoder"):
        CodecStack(codecs("jscc-ae", 1), [(0.0, 0.0)] * 3).prefix(4)
