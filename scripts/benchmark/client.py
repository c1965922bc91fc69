"""A light HTTP client, in a process of its own: the same for every service that is measured.

Reads one plan as JSON from standard input and writes the latencies as JSON to standard output. Connections stay
open; requests are built before the clock starts; answers are read whole and their status checked.

The plan: `port`, `method`, `path`, `headers`, `bodies` (asked in turn, each client beginning elsewhere), `clients`,
and either `requests` (of each client) or `seconds`.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

TIMEOUT_S = 120.0


class Connection:
    """One keep-alive connection to a service on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer; ConnectionError when there is none."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[:end].lower()
        marker = head.find(b"content-length:")
        if marker < 0:
            raise ConnectionError("an answer without content-length")
        length = int(head[marker + 15 :].split(b"\r\n", 1)[0])
        body = [received[end + 4 :]]
        missing = length - len(body[0])
        while missing > 0:
            body.append(self._more())
            missing -= len(body[-1])
        return int(head[9:12]), b"".join(body)

    def _more(self) -> bytes:
        found = self._socket.recv(65_536)
        if not found:
            raise ConnectionError("the service closed the connection")
        return found


def build(method: str, path: str, headers: dict[str, str], body: str | None) -> bytes:
    """Return a request as it goes over the wire."""
    content = (body or "").encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out a plan; return the latencies in seconds, the wall-clock seconds and the answers that were no 200."""
    requests = [build(plan["method"], plan["path"], plan["headers"], body) for body in plan["bodies"]]
    latencies: list[list[float]] = [[] for _ in range(plan["clients"])]
    failures: list[str] = []
    barrier = threading.Barrier(plan["clients"] + 1)

    def work(number: int) -> None:
        connection = Connection(plan["port"])
        try:
            barrier.wait()
            _ask_all(connection, requests, plan, number, latencies[number], failures)
        except OSError as error:
            failures.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(plan["clients"])]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    return {"latencies": [value for own in latencies for value in own], "wall": wall, "failures": failures}


def _ask_all(
    connection: Connection,
    requests: Sequence[bytes],
    plan: dict[str, Any],
    number: int,
    latencies: list[float],
    failures: list[str],
) -> None:
    place = number * len(requests) // plan["clients"]
    until = time.perf_counter() + plan["seconds"] if plan.get("seconds") else None
    left = plan.get("requests") or 1_000_000
    while left > 0 and (until is None or time.perf_counter() < until):
        started = time.perf_counter()
        status, _ = connection.ask(requests[place % len(requests)])
        latencies.append(time.perf_counter() - started)
        if status != 200:
            failures.append(str(status))
        place += 1
        left -= 1


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
