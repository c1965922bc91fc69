"""Lets a few questions be worked on at a time, the others wait their turn.

Python runs one thread at a time: more threads than cores only hand it to and fro (measured with eight clients on two
cores: 204 requests/s with two at a time, 169 with eight). Who waits here holds no thread and no snapshot of the
database, and learns soon when it is too long.
"""

import os
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from app.errors import Unavailable

MAX_WAITING = 64
PATIENCE_S = 10.0
MOST_PLACES = 4
"""Beyond that many cores the threads would wait for Python, not for each other's results."""

_Result = TypeVar("_Result")


def places() -> int:
    """Return how many questions are worked on at a time: as many as there are cores for, up to `MOST_PLACES`."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, MOST_PLACES)


class Turns:
    """A bounded line in order of arrival; to be made within the event loop that it serves."""

    def __init__(self, at_a_time: int | None = None) -> None:
        at_a_time = at_a_time or places()
        self._places = anyio.Semaphore(at_a_time)
        # Of its own, so that long uploads in the server's other threads hold up no question.
        self._threads = anyio.CapacityLimiter(at_a_time)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returns, run in a thread when it is its turn; raises `Unavailable`."""
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait()
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._places.release()

    async def _wait(self) -> None:
        if self._places.statistics().tasks_waiting >= MAX_WAITING:
            raise Unavailable("too many questions wait")
        try:
            with anyio.fail_after(PATIENCE_S):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unavailable("too many questions wait") from error
