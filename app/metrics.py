"""What Prometheus is told of requests: how many, how long, by route. Nothing of what was asked."""

from http import HTTPStatus
from time import perf_counter

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import route_path

REQUESTS = Counter("http_requests", "Requests by route, method and class of status", ["handler", "method", "status"])
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds until an answer was sent, by route and method",
    ["handler", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Measures every request outside `unmeasured`."""

    def __init__(self, app: ASGIApp, unmeasured: frozenset[str]) -> None:
        self._app = app
        self._unmeasured = unmeasured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and measure it."""
        if scope["type"] != "http" or scope["path"] in self._unmeasured:
            await self._app(scope, receive, send)
            return
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        started = perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            handler = route_path(scope) or "none"
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(handler, method, f"{status // 100}xx").inc()
            SECONDS.labels(handler, method).observe(perf_counter() - started)
