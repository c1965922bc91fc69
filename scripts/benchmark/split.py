"""Where the time of one request goes: Puente's own server, with clocks around its parts.

Usage: python -m benchmark.split DATABASE PORT RESULT. The clocks are put on from outside, by wrapping functions; the
product has none. When the server is ended it writes, for each request, the seconds of every part to RESULT.

Parts: `encode` (language, passages and vector of the question), `search` (the index: rules, product, order), `sql`
(key, place in the change log, the candidates' rows, the record of the run), `explain` (scoring the database's rows
again, words, quotes). What the client's clock shows beyond them is `rest`: HTTP, validation, threads, JSON.
"""

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import uvicorn

from app.accounts.repository import LiveKeys
from app.main import create_app
from app.settings import Settings
from app.suggestions import service
from app.suggestions.projection import Projection
from app.suggestions.recorder import RunRecorder
from app.suggestions.repository import ProjectionRepository


class Clocks:
    """Seconds by part, one entry a request; a part inside another counts only for the outer one."""

    def __init__(self) -> None:
        self.requests: list[dict[str, float]] = []
        self._open: dict[str, float] = defaultdict(float)
        self._local = threading.local()
        self._lock = threading.Lock()

    def put_on(self, holder: Any, name: str, part: str, label: str) -> None:
        """Wrap `holder.name`, whose time counts for `part` and, apart, under `label`."""
        inner: Callable[..., Any] = getattr(holder, name)

        @wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._local, "inside", False):
                return inner(*args, **kwargs)
            self._local.inside = True
            started = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self._local.inside = False
                spent = time.perf_counter() - started
                with self._lock:
                    self._open[part] += spent
                    self._open[f"{part}: {label}"] += spent

        setattr(holder, name, timed)

    def close_request(self, holder: Any, name: str) -> None:
        """Wrap `holder.name`, the whole of a request's work inside the service."""
        inner: Callable[..., Any] = getattr(holder, name)

        @wraps(inner)
        def counted(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            found = inner(*args, **kwargs)
            spent = time.perf_counter() - started
            with self._lock:
                self.requests.append({**self._open, "service": spent})
                self._open.clear()
            return found

        setattr(holder, name, counted)


def main() -> None:
    """Serve until ended, then write what the clocks say (for one client at a time)."""
    database, port, result = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    clocks = Clocks()
    clocks.put_on(service, "detect_language", "encode", "language")
    clocks.put_on(service, "embed_parts", "encode", "passages and vector")
    clocks.put_on(Projection, "propose", "search", "rules, product, order")
    clocks.put_on(LiveKeys, "find", "sql", "key")
    clocks.put_on(ProjectionRepository, "last_position", "sql", "place in the change log")
    clocks.put_on(ProjectionRepository, "documents", "sql", "candidates' rows")
    clocks.put_on(RunRecorder, "record", "sql", "record of the run")
    clocks.put_on(service, "judge", "explain", "scores, words, quotes")
    clocks.close_request(service.SuggestionService, "suggest")
    # uvicorn shuts down on the signal and then raises it again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        uvicorn.run(
            create_app(Settings(database=database)),
            host="127.0.0.1",
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
        )
    finally:
        result.write_text(json.dumps(clocks.requests), encoding="utf-8")


if __name__ == "__main__":
    main()
