"""Files written by the code of commit 8852f64, and the answers that it gave with them.

``make_files.py.txt`` is the script that wrote them. They are never written anew: today's
code must open them as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from airreid.bundle import Bundle, load_bundle

from .support import FILES


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """Contents and answers recorded at that commit."""
    recorded: dict[str, Any] = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
    return recorded


@pytest.fixture(scope="session")
def arrays() -> Mapping[str, np.ndarray]:
    """Arrays recorded at that commit, by names such as ``jscc-fc-16/analog/symbols``."""
    with np.load(FILES / "expected.npz") as archive:
        return {name.replace("|", "/"): archive[name] for name in archive}


@pytest.fixture(scope="session")
def legacy_bundle() -> Bundle:
    return load_bundle(FILES / "bundle")
