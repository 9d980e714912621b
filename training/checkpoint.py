"""Checkpoints that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from airreid.errors import InputError


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` beside ``path``, syncs it to disk and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write the checkpoint ({error.strerror})") from None


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint. Raises :class:`InputError` if it is not one."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a checkpoint ({error})") from None
    return state
