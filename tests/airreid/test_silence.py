"""A camera tells nobody but its access point: no id, no database, nothing in the home folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "import {module}, time; time.sleep(2)"


@pytest.mark.parametrize("module", ["airreid.inference", "airreid.quantisation.static"])
def test_onnxruntime_leaves_nothing_behind(module: str, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment["HOME"] = str(tmp_path)
    environment.pop("XDG_CACHE_HOME", None)
    command = [sys.executable, "-c", SCRIPT.format(module=module)]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []
