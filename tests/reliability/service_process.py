"""A service in a process of its own, to be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

import httpx

from app.accounts.principal import Role
from app.accounts.repository import ApiKeyRepository
from app.accounts.service import ApiKeyService
from app.db.session import Database

ROOT = Path(__file__).resolve().parents[2]
PUENTE = (sys.executable, "-c", "from app.cli import main; main()")
"""The command line as it is installed."""

NAIVE = (sys.executable, "-m", "tests.reliability.naive")
"""The same with an index that is kept in a file: the negative control."""

PATIENCE_S = 60.0
API = "/api/v1"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a process of ours: the encoder without a model, no settings of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUENTE_")}
    return {**kept, "PUENTE_MODEL": "hash", **extra}


def create_key(path: Path) -> str:
    """Return a new writer's key of the database."""
    database = Database(str(path))
    with database.write() as session:
        key = ApiKeyService(ApiKeyRepository(session)).create(Role.WRITER, "reliability")
    database.close()
    return key


def copy_as_left(path: Path, folder: Path) -> Path:
    """Copy the files of a database as a killed process left them, log included, over an earlier copy.

    SQLite mends the copy when it is opened; the original is left to be mended by the service itself.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / path.name


class DiedAtStartError(Exception):
    """The service ended instead of getting ready; the message is its log."""


class ServiceProcess:
    """`puente serve`, or something like it, on one database; `boots` are the seconds until it was ready."""

    def __init__(self, path: Path, key: str = "", command: Sequence[str] = PUENTE) -> None:
        self.path = path
        self.log = path.with_name("service.log")
        self.boots: list[float] = []
        self._command = command
        self._headers = {"X-API-Key": key}
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, **extra: str) -> None:
        """Start it and wait until it says that it is ready; raises `DiedAtStartError` when it ends instead."""
        begun = time.perf_counter()
        self.launch("--empty", **extra)
        self.until_ready()
        self.boots.append(time.perf_counter() - begun)

    def launch(self, *options: str, **extra: str) -> None:
        """Start it with options of its command line and variables of its environment."""
        assert self._process is None
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._output = self.log.open("ab")
        arguments = ["serve", *options, "--port", str(port), "--database", str(self.path)]
        self._process = subprocess.Popen(
            [*self._command, *arguments], cwd=ROOT, env=environment(**extra), stdout=self._output, stderr=self._output
        )

    def until_ready(self) -> None:
        """Wait until it says that it is ready; raises `DiedAtStartError`."""
        assert self._process is not None
        until = time.monotonic() + PATIENCE_S
        with self.client() as client:
            while True:
                if self._process.poll() is not None:
                    self.wait()
                    raise DiedAtStartError(self.log.read_text())
                assert time.monotonic() < until, self.log.read_text()
                try:
                    answer = client.get("/ready")
                except httpx.TransportError:
                    time.sleep(0.02)
                    continue
                assert answer.status_code == httpx.codes.OK, answer.text
                return

    def client(self) -> httpx.Client:
        """Return a client of it with a writer's key; close it."""
        return httpx.Client(base_url=self._url, headers=self._headers, timeout=PATIENCE_S, trust_env=False)

    def kill(self) -> None:
        """Kill it (SIGKILL: it can do nothing about it), if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self.wait()

    def wait(self) -> None:
        """Wait until it has died."""
        assert self._process is not None
        assert self._output is not None
        self._process.wait(PATIENCE_S)
        self._output.close()
        self._process = self._output = None
