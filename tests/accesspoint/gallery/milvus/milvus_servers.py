"""Milvus servers in processes of their own, for tests: Milvus Lite, and a whole standalone one."""

from __future__ import annotations

import abc
import importlib.util
import lzma
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_START_SECONDS = 180
_CONFIGURE = (
    "import sys; from milvus import MilvusServerConfig; "
    "MilvusServerConfig(data_dir=sys.argv[1], proxy_port=sys.argv[2]).resolve()"
)
_ETCD = """\
name: default
listen-client-urls: http://127.0.0.1:{0}
advertise-client-urls: http://127.0.0.1:{0}
listen-peer-urls: http://127.0.0.1:{1}
initial-advertise-peer-urls: http://127.0.0.1:{1}
initial-cluster: default=http://127.0.0.1:{1}
data-dir: {2}/etcd.data
"""
"""Settings of etcd inside of Milvus, which would take ports 2379 and 2380."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalMilvus(abc.ABC):
    """A server over one folder; it can be killed and started again."""

    timeout_s = 2.0
    """Time in which it does what is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: Any = None
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @abc.abstractmethod
    def start(self) -> None:
        """Starts the server and waits until it answers."""

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class MilvusLite(LocalMilvus):
    """``milvus_lite server``."""

    def start(self) -> None:
        command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            assert self._process.poll() is None, "Milvus Lite ended at once"
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("Milvus Lite does not listen")


class MilvusStandalone(LocalMilvus):
    """Milvus 2.3.5 itself, of the Python package ``milvus``: x86-64 Linux only."""

    timeout_s = 15.0
    programs: Path
    """Folder of the unpacked programs, which all servers share."""

    @property
    def _etcd(self) -> Path:
        return self._folder / "configs" / "etcd.yaml"

    @staticmethod
    def available() -> bool:
        return importlib.util.find_spec("milvus") is not None

    @classmethod
    def unpack(cls, folder: Path) -> None:
        """Unpacks the programs, half a gigabyte."""
        import milvus

        folder.mkdir()
        for packed in (Path(milvus.__file__).parent / "data" / "bin").glob("*.lzma"):
            program = folder / packed.stem
            with lzma.open(packed) as source, program.open("wb") as target:
                while piece := source.read(1 << 20):
                    target.write(piece)
            program.chmod(0o755)
        cls.programs = folder

    def start(self) -> None:
        if not (self._folder / "configs").exists():
            # in a process of its own: it leaves sockets open
            command = [sys.executable, "-c", _CONFIGURE, str(self._folder), str(self._port)]
            subprocess.run(command, check=True)
            self._etcd.write_text(_ETCD.format(free_port(), free_port(), self._folder / "data"))
        environment = {
            "DEPLOY_MODE": "STANDALONE",
            "ETCD_CONFIG_PATH": str(self._etcd),
            "METRICS_PORT": str(free_port()),
            "MILVUS_RUN_DIR": str(self._folder / "run"),
            "LD_LIBRARY_PATH": str(self.programs),
            "PATH": "/usr/bin:/bin",
        }
        with (self._folder / "logs" / "milvus.log").open("a") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "milvus"), "run", "standalone"],
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, (self._folder / "logs/milvus.log").read_text()[
                -2000:
            ]
            if self._answers():
                return
            time.sleep(0.2)
        raise AssertionError("Milvus does not answer")

    def _answers(self) -> bool:
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        try:
            client = MilvusClient(uri=self.uri, timeout=2)
            client.list_collections(timeout=2)
            client.close()
        except MilvusException:
            return False
        return True
