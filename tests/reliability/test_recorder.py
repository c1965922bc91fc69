"""Runs are kept before they are answered, whatever else is written meanwhile, and none fails for another's sake."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, delete, event, func, select

import app.db.session
import app.suggestions.recorder
import app.suggestions.turns
from app.db.session import Database
from app.matching.embedder import Embedder
from app.organisations.tables import Organisation
from app.profiles.repository import ProfileRepository
from app.profiles.tables import Profile
from app.suggestions.recorder import RunRecorder
from app.suggestions.tables import Suggestion, SuggestionRun
from app.suggestions.turns import Turns
from tests.conftest import Service, make_service
from tests.reliability.content import OWNERS, make_file
from tests.reliability.oracle import same_json

THREADS = 8
RUNS_EACH = 25
QUESTION = {"text": "Pilot lines for lighter vehicles", "limit": 3}


class Transactions:
    """Counts the recorder's transactions, and those that were open at the same time."""

    def __init__(self, database: Database) -> None:
        self.committed = self.open = self.most_open = 0
        self._lock = threading.Lock()
        for name, change in (("begin", 1), ("commit", -1), ("rollback", -1)):
            event.listen(database._record, name, self._counter(name, change))

    def _counter(self, name: str, change: int) -> Callable[[Connection], None]:
        def count(_: Connection) -> None:
            with self._lock:
                self.open += change
                self.most_open = max(self.most_open, self.open)
                self.committed += name == "commit"

        return count


def with_owners(service: Service) -> Service:
    for owner in OWNERS:
        answer = service.client.post("/api/v1/organisations", json=owner, headers=service.writer)
        assert answer.status_code == httpx.codes.CREATED
    return service


@pytest.fixture
def owned(service: Service) -> Service:
    """The application with an organisation of each kind."""
    return with_owners(service)


def create(service: Service, kind: str, owner: str, title: str) -> str:
    # No two say the same, or one would be collapsed into the other.
    words = " ".join(f"{title}{number}" for number in range(8))
    row = {"kind": kind, "organisation": owner, "title": title, "text": f"{words}: pilot lines for vehicles."}
    answer = service.client.post("/api/v1/profiles", json=row, headers=service.writer)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["id"])


def suggest(service: Service, **question: Any) -> httpx.Response:
    return service.client.post("/api/v1/suggestions/cluster-region", json=question or QUESTION, headers=service.reader)


def read_run(service: Service, run_id: str) -> httpx.Response:
    return service.client.get(f"/api/v1/suggestions/runs/{run_id}", headers=service.reader)


def test_every_answered_run_can_be_read_at_once_while_an_import_writes(owned: Service) -> None:
    for number in range(5):
        create(owned, "priority", "r", f"Priority {number}")
    transactions = Transactions(owned.client.app.state.database)  # type: ignore[attr-defined]
    file = make_file(1, 1, 3_000)
    job = owned.client.post("/api/v1/imports", files={"file": (file.name, file.content)}, headers=owned.writer).json()
    done = threading.Event()

    def hold_the_write_lock() -> None:
        while not done.is_set():
            with owned.database.write() as session:
                session.execute(select(func.count()).select_from(Profile))
                time.sleep(0.03)
            time.sleep(0.01)

    def ask(_: int) -> list[str]:
        wrong = []
        for _ in range(RUNS_EACH):
            answer = suggest(owned)
            assert answer.status_code == httpx.codes.OK, answer.text
            again = read_run(owned, answer.json()["run_id"])
            if again.status_code != httpx.codes.OK or not same_json(again.json(), answer.json()):
                wrong.append(again.text)
        return wrong

    holder = threading.Thread(target=hold_the_write_lock)
    holder.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = [line for lines in pool.map(ask, range(THREADS)) for line in lines]
    finally:
        done.set()
        holder.join()
    assert wrong == []
    with owned.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SuggestionRun)) == THREADS * RUNS_EACH
    # They wait for each other in the process, not in SQLite, which would sleep and retry.
    assert transactions.committed == THREADS * RUNS_EACH
    assert transactions.most_open == 1
    until = time.monotonic() + 60
    while (state := owned.client.get(f"/api/v1/jobs/{job['id']}", headers=owned.reader).json())["state"] != "done":
        assert state["state"] in ("queued", "running"), state
        assert time.monotonic() < until
        time.sleep(0.02)
    assert state["result"]["created"] == len(file.titles(len(file.rows)))


@contextmanager
def deleting(service: Service, *ids: str) -> Iterator[None]:
    """Delete profiles in a transaction that is committed at the end only."""
    with service.database.write() as session:
        for id_ in ids:
            pk, version = session.execute(select(Profile.pk, Profile.version).where(Profile.id == id_)).one()
            ProfileRepository(session).delete(pk, version)
        yield


def until_waiting(service: Service, how_many: int) -> None:
    """Wait until that many requests have their answer and wait for the write lock to keep it."""
    recorder: RunRecorder = service.client.app.state.recorder  # type: ignore[attr-defined]
    limit = time.monotonic() + 10
    while recorder._lock.locked() is False:
        assert time.monotonic() < limit
        time.sleep(0.01)
    time.sleep(0.05 * how_many)


def test_a_deletion_meanwhile_costs_its_own_runs_what_it_deleted_and_others_nothing(owned: Service) -> None:
    gone, stays = create(owned, "priority", "r", "Gone"), create(owned, "priority", "r", "Stays")
    asker, other = create(owned, "pitch", "c", "Asker"), create(owned, "pitch", "c", "Other")
    questions = [QUESTION, {"profile_id": other}, {"profile_id": asker}, QUESTION]
    # All have been read, and wait to be written, before the deletion is committed.
    owned.client.app.state.turns = Turns(len(questions))  # type: ignore[attr-defined]
    with ThreadPoolExecutor(len(questions)) as pool:
        with deleting(owned, gone, asker):
            asked = [pool.submit(suggest, owned, **question) for question in questions]
            until_waiting(owned, len(questions))
        answers = [one.result() for one in asked]
    assert [answer.status_code for answer in answers] == [httpx.codes.OK] * len(questions)
    for question, answer in zip(questions, answers, strict=True):
        assert {item["profile"]["id"] for item in answer.json()["items"]} == {gone, stays}
        again = read_run(owned, answer.json()["run_id"])
        if question == {"profile_id": asker}:
            assert again.status_code == httpx.codes.NOT_FOUND
        else:
            assert [item["profile"]["id"] for item in again.json()["items"]] == [stays]
    with owned.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SuggestionRun)) == len(questions) - 1
        assert session.scalar(select(func.count()).select_from(Suggestion)) == len(questions) - 1


def test_behind_a_writer_that_is_stuck_all_are_refused_in_time_and_the_next_ones_served(
    database_file: Path, hash_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_s = 0.5
    for module in (app.db.session, app.suggestions.recorder):
        monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", int(patience_s * 1000))
    monkeypatch.setattr(app.suggestions.turns, "PATIENCE_S", patience_s)
    for service in make_service(database_file, hash_embedder):
        create(with_owners(service), "priority", "r", "Priority")
        with ThreadPoolExecutor(THREADS) as pool, service.database.write() as session:
            session.execute(delete(Organisation).where(Organisation.ref == "nobody"))
            begun = time.monotonic()
            answers = [one.result() for one in [pool.submit(suggest, service) for _ in range(THREADS)]]
            took = time.monotonic() - begun
        assert [answer.status_code for answer in answers] == [httpx.codes.SERVICE_UNAVAILABLE] * THREADS
        assert all("Retry-After" in answer.headers for answer in answers)
        assert suggest(service).status_code == httpx.codes.OK
        # Not one after the other: with the real ten seconds each, the last would wait for minutes.
        assert took < 4 * patience_s


def test_runs_do_not_make_the_log_grow_for_ever(
    database_file: Path, hash_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.suggestions.recorder, "CHECKPOINT_S", 0.02)
    log = database_file.with_name(f"{database_file.name}-wal")
    for service in make_service(database_file, hash_embedder):
        create(with_owners(service), "priority", "r", "Priority")
        sizes = []
        for _ in range(8):
            for _ in range(15):
                suggest(service)
            time.sleep(0.06)
            sizes.append(log.stat().st_size)
        assert sizes[-1] < 2 * sizes[1], sizes


@pytest.mark.parametrize("bounded", [True, False])
def test_nor_do_they_while_there_is_always_somebody_who_reads(
    bounded: bool, database_file: Path, hash_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a negative control: checkpoints alone cannot begin the log anew under readers that overlap."""
    monkeypatch.setattr(app.suggestions.recorder, "CHECKPOINT_S", 0.02)
    monkeypatch.setattr(app.suggestions.recorder, "LONG_LOG", 100 if bounded else 10**9)
    log = database_file.with_name(f"{database_file.name}-wal")
    for service in make_service(database_file, hash_embedder):
        create(with_owners(service), "priority", "r", "Priority")
        done = threading.Event()

        def read(after_s: float, service: Service = service, done: threading.Event = done) -> None:
            time.sleep(after_s)
            while not done.is_set():
                with service.database.read() as session:
                    session.scalar(select(func.count()).select_from(SuggestionRun))
                    time.sleep(0.03)

        readers = [threading.Thread(target=read, args=(number * 0.01,)) for number in range(3)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(400):
                assert suggest(service).status_code == httpx.codes.OK
        finally:
            done.set()
            for reader in readers:
                reader.join()
        pages = log.stat().st_size / 4096
        assert pages < 700 if bounded else pages > 1_000, pages


def test_a_reader_that_never_ends_holds_up_no_question(
    database_file: Path, hash_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.suggestions.recorder, "CHECKPOINT_S", 0.02)
    monkeypatch.setattr(app.suggestions.recorder, "LONG_LOG", 1)
    for service in make_service(database_file, hash_embedder):
        create(with_owners(service), "priority", "r", "Priority")
        with service.database.read() as session:
            session.scalar(select(func.count()).select_from(SuggestionRun))
            begun = time.monotonic()
            for _ in range(10):
                assert suggest(service).status_code == httpx.codes.OK
            assert time.monotonic() - begun < 10


def test_a_full_disk_is_told_and_logged_without_what_was_sent(owned: Service, caplog: pytest.LogCaptureFixture) -> None:
    database: Database = owned.client.app.state.database  # type: ignore[attr-defined]
    kept = create(owned, "priority", "r", "Kept")
    event.listen(database._write, "begin", lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1"))
    row = {"kind": "priority", "organisation": "r", "title": "Canary", "text": "A canary sings. " * 1_000}
    answer = owned.client.post("/api/v1/profiles", json=row, headers=owned.writer)
    assert answer.status_code == httpx.codes.INSUFFICIENT_STORAGE, answer.text
    assert "canary" not in (answer.text + caplog.text).lower()
    assert [item["profile"]["id"] for item in suggest(owned).json()["items"]] == [kept]
