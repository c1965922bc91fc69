"""The processes that are measured: started, asked, and ended by their own id.

`Worker` runs `worker.py` and speaks JSON lines with it; `Server` is a service on a port of this machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from benchmark.corpus import ROOT

SCRIPTS = ROOT / "scripts"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""What Puente's own start sets; a service written by hand leaves the libraries' defaults."""

START_S = 180.0
STOP_S = 40.0


def environment(*, ours: bool) -> dict[str, str]:
    """Return the environment of a process that runs our code, or of one that a user would write."""
    kept = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    path = os.pathsep.join([str(ROOT), str(SCRIPTS)])
    return {**kept, **(ONE_THREAD if ours else {}), "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def end(process: "subprocess.Popen[Any]") -> None:
    """Ask a process to stop, and make it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Worker:
    """A process of `worker.py`, in one of its roles; use it with `with`."""

    def __init__(self, role: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.worker", role, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(ours=role != "plain"),
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        self.ask("hello")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.close()
        end(self._process)

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have the worker do something and return what it says; RuntimeError when it died."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - idem
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker died at {command!r} (exit status {self._process.wait()})")
        return json.loads(line)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A service on 127.0.0.1 that is ready once `path` answers 200; use it with `with`."""

    def __init__(self, command: list[str], port: int, path: str, log: Path, *, ours: bool) -> None:
        self.port = port
        self._log = log.open("wb")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, *command], stdout=self._log, stderr=self._log, env=environment(ours=ours), cwd=ROOT
        )
        self._path, self._log_path = path, log
        self.ready_s = 0.0

    @property
    def memory_mb(self) -> float:
        """Its resident memory in MB (10^6 bytes)."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    @property
    def cpu_s(self) -> float:
        """The processor time that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> Self:
        while time.perf_counter() - self._started < START_S:
            if self._process.poll() is not None:
                break
            if self._answers():
                self.ready_s = time.perf_counter() - self._started
                return self
            time.sleep(0.02)
        self.close()
        raise RuntimeError(f"the service did not get ready; its last words:\n{self._tail()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        end(self._process)
        self._log.close()

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", self._path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _tail(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")[-2_000:]


def puente(database: Path, port: int, log: Path) -> Server:
    """Start `puente serve` as a user does."""
    code = "from app.cli import main; main()"
    command = ["-c", code, "serve", "--empty", "--database", str(database), "--port", str(port)]
    return Server(command, port, "/ready", log, ours=True)


def bare(folder: Path, port: int, log: Path) -> Server:
    """Start the service that one would write by hand."""
    return Server([str(SCRIPTS / "bare.py"), str(folder), str(port)], port, "/live", log, ours=False)


def http(server: Server, **plan: Any) -> dict[str, Any]:
    """Run the HTTP client in a process of its own; RuntimeError when an answer was no 200.

    Returned are `latencies` and `wall`, in seconds, and `cpu`, the server's processor time in seconds a request.
    """
    complete = {"headers": {}, "bodies": [None], "clients": 1, "port": server.port, **plan}
    before = server.cpu_s
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.client"],
        input=json.dumps(complete),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env=environment(ours=True),
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if found["failures"]:
        raise RuntimeError(f"{len(found['failures'])} answers were no 200: {sorted(set(found['failures']))}")
    found["cpu"] = (server.cpu_s - before) / len(found["latencies"])
    return found
