"""Imports run one way, roles stay small, and the stubs are those of the protocol."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "airreid": {"airreid"},
    "edge": {"airreid", "edge"},
    "channel_sim": {"airreid", "channel_sim"},
    "accesspoint": {"airreid", "accesspoint"},
    "training": {"airreid", "training"},
    "simulation": {"airreid", "edge", "channel_sim", "simulation"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        strangers = (imported(path) & set(ALLOWED)) - ALLOWED[package]
        assert not strangers, f"{path} imports {strangers}"


def test_only_training_imports_torch() -> None:
    for package in set(ALLOWED) - {"training"}:
        for path in (ROOT / package).rglob("*.py"):
            assert not imported(path) & {"torch", "torchvision"}, path


def test_onnx_is_loaded_by_what_writes_graphs_alone() -> None:
    """Edge and access point run graphs with ONNX Runtime and need no package ``onnx``."""
    writers = {
        ROOT / "airreid" / "codecs" / "graphs.py",
        ROOT / "airreid" / "quantisation" / "bias_correction.py",
        ROOT / "airreid" / "quantisation" / "requantise.py",
        ROOT / "airreid" / "quantisation" / "static.py",
        *(ROOT / "airreid" / "adopt").glob("*"),
    }
    for package in set(ALLOWED) - {"training"}:
        for path in (ROOT / package).rglob("*.py"):
            assert path in writers or "onnx" not in imported(path), path


def test_every_folder_of_code_is_in_the_wheel() -> None:
    """Only folders with an ``__init__.py`` are packages: an installed AirReID has no others."""
    for package in (*ALLOWED, "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("edge.cli", {"torch", "faiss", "fastapi", "matplotlib", "channel_sim", "accesspoint"}),
        ("channel_sim.cli", {"torch", "faiss", "fastapi", "onnxruntime", "matplotlib"}),
        ("accesspoint.cli", {"torch", "matplotlib", "edge", "channel_sim"}),
        ("simulation.cli", {"torch", "faiss", "fastapi", "matplotlib"}),
        ("training.cli", {"torch", "torchvision", "onnx", "onnxruntime", "scipy", "tensorboard"}),
        (
            "airreid.datasets.cli",
            {"torch", "faiss", "fastapi", "onnxruntime", "matplotlib", "scipy", "h5py"},
        ),
        ("airreid.evaluation.cli", {"torch", "faiss", "fastapi", "matplotlib"}),
        ("airreid.cli", {"torch", "faiss", "fastapi", "onnxruntime", "numpy", "grpc"}),
    ],
)
def test_a_role_loads_no_more_than_it_needs(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not unwanted & set(result.stdout.split())


def test_stubs_are_those_of_the_protocol(tmp_path: Path) -> None:
    protos = sorted((ROOT / "proto" / "airreid" / "v1").glob("*.proto"))
    assert protos
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto")]
        + [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
        + [str(path) for path in protos],
        check=True,
    )
    stubs = sorted((tmp_path / "airreid" / "v1").glob("*.py"))
    assert len(stubs) == 2 * len(protos)
    for path in stubs:
        stored = ROOT / "airreid" / "v1" / path.name
        assert stored.read_text() == path.read_text(), f"{stored} is stale: run make proto"
