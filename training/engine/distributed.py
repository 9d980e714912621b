"""The processes that train together: one, or as many as torchrun started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from airreid.errors import InputError

T = TypeVar("T")
_PATIENCE = timedelta(hours=24)
"""Longest wait for the main process, which alone decodes, tests and exports."""


@dataclass(frozen=True)
class Distributed:
    """One of the processes that train together, and where it computes.

    Every process runs the backbone on its shard of a batch; features and labels are then
    gathered, and everything behind them is computed on the whole batch by all. With batch
    statistics taken over all processes, W of them do to a batch of W n images what one
    process does to it.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """True in the process that writes."""
        return self.rank == 0

    def alone(self) -> Distributed:
        """This process by itself, on its device, while the others wait."""
        return Distributed(self.device, local_rank=self.local_rank)

    def shard(self, count: int) -> slice:
        """Returns this process's part of ``count`` rows; what does not divide is left out."""
        part = count // self.world_size
        return slice(self.rank * part, (self.rank + 1) * part)

    def gather(self, x: Tensor) -> Tensor:
        """Gathers (n, ...) of each process to (W n, ...); gradients go back to their origin."""
        if self.world_size == 1:
            return x
        gathered: Tensor = _Gather.apply(x, self.rank, self.world_size)
        return gathered

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Makes gradients the mean over all processes."""
        if self.world_size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        dist.all_reduce(flat)
        flat /= self.world_size
        offset = 0
        for grad in grads:
            grad.copy_(flat[offset : offset + grad.numel()].view_as(grad))
            offset += grad.numel()

    def broadcast(self, make: Callable[[], T]) -> T:
        """Calls ``make`` in the main process and returns its result in every process."""
        if self.world_size == 1:
            return make()
        box: list[Any] = [make() if self.is_main else None]
        dist.broadcast_object_list(box, src=0)
        result: T = box[0]
        return result

    def barrier(self) -> None:
        """Waits until all processes are here."""
        if self.world_size > 1:
            dist.barrier()

    def sync_batchnorm(self, module: nn.Module) -> nn.Module:
        """Makes batch normalisations take their statistics over all processes."""
        if self.world_size == 1:
            return module
        if self.device.type == "cuda":
            synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
            return synced
        for part in module.modules():
            if type(part) is nn.BatchNorm2d:
                part.__class__ = CpuSyncBatchNorm
        return module


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all processes of a CPU run, whose shards are equal.

    PyTorch's own, ``nn.SyncBatchNorm``, computes on GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = (0, 2, 3)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _sum(x.sum(axes)) / count
        centred = x - mean.view(1, -1, 1, 1)
        variance = _sum(centred.square().sum(axes)) / count
        with torch.no_grad():
            keep = 1 - (self.momentum if self.momentum is not None else 0.1)
            if self.running_mean is not None and self.running_var is not None:
                self.running_mean.mul_(keep).add_(mean, alpha=1 - keep)
                unbiased = variance * (count / max(1, count - 1))
                self.running_var.mul_(keep).add_(unbiased, alpha=1 - keep)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt() * self.weight
        return centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        out = x.clone()
        dist.all_reduce(out)
        return out

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:
        out = grad.contiguous().clone()
        dist.all_reduce(out)
        return out


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int, size: int) -> Tensor:
        ctx.rows = slice(rank * len(x), (rank + 1) * len(x))
        parts = [torch.empty_like(x.contiguous()) for _ in range(size)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rows], None, None


def device_of(wanted: str, local_rank: int = 0) -> torch.device:
    """Returns the device for ``cpu``, ``cuda`` or ``auto``, which takes a GPU if there is one.

    Raises :class:`InputError` for a GPU that there is not.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise InputError("engine.device=cuda: PyTorch finds no GPU here; use cpu or auto")
    on_gpu = has_gpu and wanted != "cpu"
    return torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")


@contextmanager
def open_distributed(device: str) -> Iterator[Distributed]:
    """Joins the processes that torchrun started, or stands alone.

    ``device``: see :func:`device_of`, which may raise :class:`InputError`.
    """
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    torch_device = device_of(device, local_rank)
    on_gpu = torch_device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(torch_device)
    if world_size == 1:
        yield Distributed(torch_device)
        return
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Distributed(torch_device, rank, world_size, local_rank)
    finally:
        dist.destroy_process_group()
