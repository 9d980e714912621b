"""Scripts that try the documentation with real servers and in a clean clone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_INSTALLED = 77


@pytest.mark.slow
@pytest.mark.parametrize("server", ["nginx", "caddy"])
def test_the_recipes_for_web_servers(server: str) -> None:
    result = subprocess.run(
        ["bash", "tests/proxy.sh", server], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode == NOT_INSTALLED:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    assert f"{server}: right" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", ["readme", "wheel", "lowest"])
def test_what_is_installed_anew(script: str) -> None:
    """README's commands, a wheel, the lowest versions: minutes, and the package index."""
    result = subprocess.run(
        ["bash", f"tests/{script}.sh"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
