"""Weights as other projects save them, found in their shells and held against a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_SHELLS = ("state_dict", "model", "model_state_dict", "net", "network")
"""Entries under which a checkpoint may have its weights: torchreid and MoCo, fast-reid, others."""
_COUNTERS = ".num_batches_tracked"
"""Buffers that older files do not have and no feature depends on."""
_EXAMPLES = 3


@dataclass(frozen=True)
class Match:
    """Weights of a file that a network has, and those that do not fit."""

    weights: dict[str, Tensor]
    """By the network's own names."""
    prefix: str
    """Part of the file's names before them: ``module.``, ``backbone.``."""
    missing: tuple[str, ...]
    """Weights of the network that the file has not."""
    misshapen: tuple[str, ...]
    """Names with both shapes, where they differ."""
    unused: tuple[str, ...]
    """Weights of the file that the network has not."""
    unfit: tuple[str, ...] = ()
    """Names with what is wrong: values that are not finite, or no floating-point numbers."""

    @property
    def words(self) -> str:
        """``159 of 160 weights matched; missing: ...``, with examples."""
        wanted = len(self.weights) + len(self.missing) + len(self.misshapen) + len(self.unfit)
        text = f"{len(self.weights)} of {wanted} weights matched"
        if self.prefix:
            text += f" below {self.prefix!r}"
        for name, values in (
            ("missing", self.missing),
            ("of another shape", self.misshapen),
            ("of no use", self.unfit),
        ):
            if values:
                text += f"; {name}: {_some(values)}"
        if self.unused:
            text += f"; not used: {_some(self.unused)}"
        return text

    @property
    def whole(self) -> bool:
        """Whether every weight of the network is there and can be used."""
        return not (self.missing or self.misshapen or self.unfit)


def weights_in(saved: object) -> dict[str, Tensor] | None:
    """Finds the weights of a loaded file, in whatever shells; None where there are none."""
    while isinstance(saved, Mapping):
        inner: Any = next((saved[key] for key in _SHELLS if key in saved), None)
        inner = inner.state_dict() if isinstance(inner, nn.Module) else inner
        if isinstance(inner, Mapping):  # a shell may hold tensors beside them: an epoch, a loss
            saved = inner
            continue
        weights = {str(key): value for key, value in saved.items() if isinstance(value, Tensor)}
        return weights or None
    return None


def match(weights: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Holds a file's weights against a network, below the prefix with the most names in common.

    Counters of batch normalisations are not counted.
    """
    wanted = {
        name: value for name, value in network.state_dict().items() if not name.endswith(_COUNTERS)
    }
    first = next(iter(wanted))
    prefixes = {name.removesuffix(first) for name in weights if name.endswith(first)} | {""}
    prefix = max(
        sorted(prefixes), key=lambda start: sum(f"{start}{name}" in weights for name in wanted)
    )
    fitting, missing, misshapen, unfit = {}, [], [], []
    for name, value in wanted.items():
        given = weights.get(prefix + name)
        if given is None:
            missing.append(name)
        elif given.shape != value.shape:
            misshapen.append(f"{name} {tuple(given.shape)} for {tuple(value.shape)}")
        elif value.is_floating_point() and not given.is_floating_point():
            unfit.append(f"{name} of {str(given.dtype).removeprefix('torch.')}")
        elif value.is_floating_point() and not bool(torch.isfinite(given).all()):
            unfit.append(f"{name} with NaN or infinity")
        else:
            fitting[name] = given
    used = {prefix + name for name in wanted}
    unused = [name for name in weights if name not in used and not name.endswith(_COUNTERS)]
    return Match(fitting, prefix, tuple(missing), tuple(misshapen), tuple(unused), tuple(unfit))


def _some(names: tuple[str, ...]) -> str:
    rest = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + rest
