"""Checkpoints that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from airreid.errors import InputError


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` beside ``path``, syncs it to disk and renames it into place.

    Raises :class:`InputError` when it cannot be written; then what was there before is
    as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"{path}: cannot write the checkpoint ({reason}); make room and run the same command "
            "again, it goes on from the checkpoint before"
        ) from None


def save_text(path: Path, text: str) -> None:
    """Writes a small file whole or not at all: a full disk leaves what was there before."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint. Raises :class:`InputError` if it is not one."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a checkpoint ({reason})") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint (holds a {type(state).__name__})")
    return state
