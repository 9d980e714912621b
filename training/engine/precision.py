"""Number format in which the backbone computes."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

Wanted = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """A format on a device."""

    device: torch.device
    name: Literal["fp32", "bf16", "fp16"]

    def autocast(self) -> AbstractContextManager[object]:
        """Makes forward passes inside compute in the format where that is safe."""
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.name != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        """Makes a scaler that keeps fp16's small gradients; it does nothing for other formats."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")


def choose_precision(wanted: Wanted, device: torch.device) -> Precision:
    """Takes ``auto`` for bf16 where hardware computes it, fp16 on other GPUs, else fp32."""
    if wanted != "auto":
        return Precision(device, wanted)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision(device, "bf16" if native else "fp16")
    return Precision(device, "bf16" if cpu_computes_bf16() else "fp32")


def cpu_computes_bf16() -> bool:
    """Tells whether this processor has instructions for bf16. Emulation is slower than fp32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")):
        return True
    return platform.machine() == "aarch64" and "bf16" in _cpu_flags()


def _cpu_flags() -> set[str]:
    """Reads the features that Linux names in /proc/cpuinfo on ARM."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith("Features") for word in line.split()}
