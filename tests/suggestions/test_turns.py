"""A few questions at a time, the others in line: in order, bounded, and told when it is too long."""

import threading
from collections.abc import Callable

import anyio
import pytest

import app.suggestions.turns as module
from app.errors import Unavailable
from app.suggestions.turns import Turns
from tests.conftest import Service
from tests.fixtures.builders import PROBLEM

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.005)


@pytest.mark.parametrize("places", [1, 2])
async def test_no_more_than_the_places_work_at_a_time_and_in_the_order_of_arrival(places: int) -> None:
    turns, go = Turns(places), threading.Event()
    lock, inside, most, order = threading.Lock(), [0], [0], list[int]()

    def work(number: int) -> int:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            order.append(number)
        assert go.wait(10)
        with lock:
            inside[0] -= 1
        return number

    found: list[int] = []

    async def ask(number: int) -> None:
        found.append(await turns.run(lambda: work(number)))

    async with anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(ask, number)
            await anyio.sleep(0.01)
        assert len(order) == places
        go.set()
    assert sorted(found) == list(range(9))
    assert most == [places]
    # Of two whose turns come together either may be the first to run.
    assert order == list(range(9)) if places == 1 else sorted(order[:2]) == [0, 1]


async def test_who_comes_behind_too_many_is_refused_at_once_and_who_waits_too_long_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    turns, go, refused = Turns(1), threading.Event(), list[Unavailable]()

    async def ask() -> None:
        try:
            await turns.run(lambda: go.wait(10))
        except Unavailable as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        await until(lambda: turns._places.statistics().tasks_waiting == 2)
        with pytest.raises(Unavailable):
            await turns.run(lambda: None)
        assert refused == []
        await until(lambda: len(refused) == 2)
        go.set()
    assert await turns.run(lambda: 7) == 7
    assert turns._places.value == 1


async def test_an_error_gives_the_place_back() -> None:
    turns = Turns(1)

    def fail() -> None:
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError):
            await turns.run(fail)
    assert await turns.run(lambda: "yes") == "yes"


def test_a_full_line_is_told_as_a_problem(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 0)
    turns: Turns = service.client.app.state.turns  # type: ignore[attr-defined]
    taken = turns._places.value
    for _ in range(taken):
        turns._places.acquire_nowait()
    path, question = "/api/v1/suggestions/cluster-region", {"text": "Batteries"}
    answer = service.client.post(path, json=question, headers=service.reader)
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert int(answer.headers["Retry-After"]) >= 1
    for _ in range(taken):
        turns._places.release()
    assert service.client.post(path, json=question, headers=service.reader).status_code == 200
