"""Work on a service from several sides, kill it in the middle, and say what it has lost.

A `Campaign` keeps the books: what was sent, what was answered, and so what may and what must be found after a kill.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.migrate import upgrade
from app.db.session import Database
from app.jobs.schemas import UNFINISHED
from app.jobs.tables import Job
from app.matching.embedder import Embedder
from app.profiles.tables import Profile
from app.suggestions.projection import Projection
from app.suggestions.tables import Decision, SuggestionRun
from tests.reliability.content import OWNERS, File, Row, make_file, profile, words
from tests.reliability.oracle import damage, divergence, expected_shelves, read_stored, same_json
from tests.reliability.service_process import API, PATIENCE_S, PUENTE, ServiceProcess, copy_as_left, create_key

WRITERS = 2
KEPT = ("kind", "title", "text", "ecosystems", "languages")
"""What is compared of a profile, beside what every profile must have."""

POLL_S = 0.02
ROWS = 3_000
QUESTIONS = {
    "pitch": ("cluster-region", "offer"),
    "priority": ("cluster-region", "seeker"),
    "skill_need": ("company-school", "offer"),
    "training_offer": ("company-school", "seeker"),
}
"""Match kind and side from which a profile of that kind is found by its own text."""


class Found(NamedTuple):
    """A profile that is stored."""

    kind: str
    title: str
    text: str


class Books:
    """What was sent and what was answered. Each title belongs to one thread, each entry is replaced as a whole."""

    def __init__(self) -> None:
        self.singles: dict[str, Sequence[Row | None]] = {}
        """By title: every content, or absence (None), in which it may be found; one after an answer, else two."""
        self.ids: dict[str, str] = {}
        self.acknowledged = 0
        self.refused: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.decided: dict[str, bool] = {}
        """Suggestions by id: whether the decision was acknowledged (true) or sent only (false)."""
        self.files: dict[str, File] = {}
        self.jobs: dict[str, str] = {}
        """Ids of the acknowledged imports, by the name of their file."""
        self.seen: Counter[str] = Counter()
        """The last progress that a client saw, by the name of the file."""
        self._lock = threading.Lock()

    def acknowledge(self) -> None:
        """Count one answer that promises that something is kept."""
        with self._lock:
            self.acknowledged += 1


def _expect(books: Books, answer: httpx.Response, status: int) -> bool:
    if answer.status_code != status:
        books.refused.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
        return False
    books.acknowledge()
    return True


def write(client: httpx.Client, books: Books, rng: random.Random, name: str, stop: threading.Event) -> None:
    """Create profiles one by one, change some and delete some, until told to stop or cut off."""
    mine: dict[str, tuple[Row, str]] = {}
    number = 0
    while not stop.is_set():
        choice = rng.random()
        if mine and choice < 0.2:  # one request in five changes something
            title = rng.choice(sorted(mine))
            row, tag = mine.pop(title)
            headers, path = {"If-Match": tag}, f"{API}/profiles/{books.ids[title]}"
            if choice < 0.05 and row["kind"] == "skill_need":  # and a few of these delete
                books.singles[title] = (row, None)
                if _expect(books, client.delete(path, headers=headers), httpx.codes.NO_CONTENT):
                    books.singles[title] = (None,)
                continue
            new = {**row, "text": words(rng), "ecosystems": ["tourism"]}
            books.singles[title] = (row, new)
            changes = {"text": new["text"], "ecosystems": new["ecosystems"]}
            answer = client.patch(path, headers=headers, json=changes)
            if _expect(books, answer, httpx.codes.OK):
                books.singles[title] = (new,)
                mine[title] = (new, answer.headers["ETag"])
            continue
        number += 1
        title = f"w{name}-{number:05}"
        row = profile(rng, rng.choice(["pitch", "priority", "skill_need", "training_offer"]), title)
        books.singles[title] = (None, row)
        answer = client.post(f"{API}/profiles", json=row)
        if _expect(books, answer, httpx.codes.CREATED):
            books.ids[title] = answer.json()["id"]
            books.singles[title] = (row,)
            mine[title] = (row, answer.headers["ETag"])


def ask(client: httpx.Client, books: Books, rng: random.Random, _: str, stop: threading.Event) -> None:
    """Ask for suggestions and decide on some, until told to stop or cut off."""
    while not stop.is_set():
        question = {"text": words(rng), "limit": 3}
        answer = client.post(f"{API}/suggestions/cluster-region", json=question)
        if not _expect(books, answer, httpx.codes.OK):
            continue
        run = answer.json()
        books.runs.append(run)
        if run["items"] and rng.random() < 0.3:  # some are decided on at once
            decide(client, books, run["items"][0]["suggestion_id"])


def decide(client: httpx.Client, books: Books, suggestion_id: str) -> None:
    """Decline a suggestion."""
    books.decided[suggestion_id] = False
    decision = {"decision": "declined", "reason": "not for us", "decided_by": "a tester"}
    answer = client.post(f"{API}/suggestions/{suggestion_id}/decision", json=decision)
    if _expect(books, answer, httpx.codes.CREATED):
        books.decided[suggestion_id] = True


Work = Callable[[httpx.Client, Books, random.Random, str, threading.Event], None]


class Campaign:
    """Rounds of work and kills on one database."""

    def __init__(self, folder: Path, seed: int, embedder: Embedder, command: Sequence[str] = PUENTE) -> None:
        self.path = folder / "puente.db"
        self.books = Books()
        self.kills = self.kills_within_import = 0
        self.rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._seed = seed
        self._rounds = 0
        self._embedder = embedder
        upgrade(str(self.path))
        self.service = ServiceProcess(self.path, create_key(self.path), command)
        # Its files are replaced by what each kill leaves: an index over it lives through all of them.
        self._copy = Database(str(folder / "left" / self.path.name))
        self._follower = self._projection()

    def _projection(self) -> Projection:
        return Projection(self._copy, self._embedder.model_key, self._embedder.dim, fields=self._embedder.fields)

    def create_owners(self) -> None:
        """Create the organisations that own what follows."""
        with self.service.client() as client:
            for owner in OWNERS:
                assert client.post(f"{API}/organisations", json=owner).status_code == httpx.codes.CREATED

    def work(self, seconds: float, *, rows: int = ROWS, dies: bool = False) -> None:
        """Import and write and ask for that long, then kill the service; or until it dies by itself."""
        self._rounds += 1
        stop = threading.Event()
        works: list[Work] = [*[write] * WRITERS, ask]
        threads = [
            threading.Thread(target=self._cut_off, args=(work, f"{self._rounds}x{number}", stop))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            self._cut_off(lambda *_: self._import(PATIENCE_S if dies else seconds, rows), "", stop)
            self.service.wait() if dies else self.service.kill()
            self.kills += 1
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _cut_off(self, work: Work, name: str, stop: threading.Event) -> None:
        """Work until the service is gone."""
        rng = random.Random(f"{self._seed}/{name}")  # noqa: S311 - repeatable, not secret
        try:
            with self.service.client() as client:
                work(client, self.books, rng, name, stop)
        except httpx.TransportError:
            return

    def _import(self, seconds: float, rows: int) -> None:
        """Keep an import running and look at its progress."""
        until = time.monotonic() + seconds
        with self.service.client() as client:
            while time.monotonic() < until:
                if not self._running(client):
                    self._post_import(client, rows)
                time.sleep(min(POLL_S, max(0.0, until - time.monotonic())))

    def _post_import(self, client: httpx.Client, rows: int) -> None:
        file = self.new_file("jsonl" if len(self.books.files) % 2 else "csv", rows)
        answer = client.post(f"{API}/imports", files={"file": (file.name, file.content)})
        if _expect(self.books, answer, httpx.codes.ACCEPTED):
            self.books.jobs[file.name] = answer.json()["id"]

    def new_file(self, kind: str, rows: int) -> File:
        """Return a new file to import, of that extension, and enter it in the books."""
        file = make_file(self._seed, len(self.books.files) + 1, rows, kind)
        self.books.files[file.name] = file
        return file

    def _running(self, client: httpx.Client) -> list[str]:
        """Note the progress of every import and return which are not done."""
        return [name for name, job_id in self.books.jobs.items() if not self._progress(client, name, job_id)]

    def _progress(self, client: httpx.Client, name: str, job_id: str) -> bool:
        """Note the progress of an import; return whether it is done."""
        if self.books.seen[name] == len(self.books.files[name].rows):
            return True
        job = client.get(f"{API}/jobs/{job_id}").json()
        assert job["state"] in (*UNFINISHED, "done"), job
        self.books.seen[name] = job["progress"]
        return bool(job["state"] == "done")

    def finish_imports(self, patience_s: float = 60.0) -> None:
        """Wait until the imports, which nobody told to go on, are done."""
        until = time.monotonic() + patience_s
        with self.service.client() as client:
            while self._running(client):
                assert time.monotonic() < until, "an import did not go on after the kill"
                time.sleep(POLL_S)

    # --- what a kill has left -------------------------------------------------

    def left_by_kill(self) -> list[str]:
        """Return what is wrong with the files as they lie there, and with two indexes over them.

        One index has followed the database through all kills, the other is filled anew, as at a restart.
        """
        copy_as_left(self.path, self._copy.path.parent)
        model = self._embedder.model_key
        with self._copy.read() as session:
            stored = read_stored(session)
            found = damage(session, model, stored)
            found += self._lost_singles(session) + self._lost_answers(session) + self._wrong_imports(session)
        wanted = expected_shelves(stored, model)
        for name, index in (("the index that follows", self._follower), ("a new index", self._projection())):
            index.catch_up()
            found += [f"{name}: {line}" for line in divergence(index, wanted)]
        self._copy.close()
        return found

    def _lost_singles(self, session: Session) -> list[str]:
        columns = [getattr(Profile, name) for name in (*KEPT, "id")]
        rows = session.execute(select(*columns).where(Profile.title.startswith("w"))).mappings()
        stored = {row["title"]: dict(row) for row in rows}
        found = [f"{title}: nobody sent it" for title in stored.keys() - self.books.singles.keys()]
        for title, allowed in self.books.singles.items():
            own = stored.get(title)
            if not any(_is(own, row) for row in allowed):
                found.append(f"{title}: {'is not what was' if own else 'was lost after it was'} acknowledged")
            elif own is not None and self.books.ids.get(title, own["id"]) != own["id"]:
                found.append(f"{title}: has another id than was answered")
            # What was found is the truth from now on.
            self.books.singles[title] = (next((row for row in allowed if _is(own, row)), None),)
        return found

    def _lost_answers(self, session: Session) -> list[str]:
        runs = set(session.scalars(select(SuggestionRun.id)))
        found = [f"run {run['run_id']}: was lost" for run in self.books.runs if run["run_id"] not in runs]
        decided = set(session.scalars(select(Decision.suggestion_id)))
        found += [
            f"decision on {suggestion}: {'was lost' if answered else 'nobody took it'}"
            for suggestion, answered in self.books.decided.items()
            if answered and suggestion not in decided
        ]
        found += [f"decision on {suggestion}: nobody took it" for suggestion in decided - self.books.decided.keys()]
        return found

    def _wrong_imports(self, session: Session) -> list[str]:
        """Compare what is stored of each file with the progress of its job: all rows up to there, none beyond."""
        found = []
        stored = Counter(session.scalars(select(Profile.title).where(Profile.title.ilike("i%"))))
        changed = set(session.scalars(select(Profile.title).where(Profile.title.ilike("i%"), Profile.version != 1)))
        expected: set[str] = set()
        jobs = {job.arguments["name"]: job for job in session.scalars(select(Job))}
        if any(
            job.state in UNFINISHED and job.progress < len(self.books.files[name].rows) for name, job in jobs.items()
        ):
            self.kills_within_import += 1
        for name, job_id in self.books.jobs.items():
            if name not in jobs or jobs[name].id != job_id:
                found.append(f"{name}: the import was lost")
        for name, job in jobs.items():
            file = self.books.files[name]
            expected |= file.titles(job.progress)
            self.books.jobs[name] = job.id  # it was queued, though the answer may not have left
            if job.progress < self.books.seen[name]:
                found.append(f"{name}: progress {job.progress} after {self.books.seen[name]} was seen")
            counts = dict(job.result or {"created": 0, "updated": 0, "failed": 0})
            wanted = (len(file.titles(job.progress)), 0, sum(row is None for row in file.rows[: job.progress]))
            if (counts["created"], counts["updated"], counts["failed"]) != wanted:
                found.append(f"{name}: counts {counts} instead of {wanted}")
        found += [f"{title}: is stored {times} times" for title, times in stored.items() if times > 1]
        found += [f"{title}: was counted and is not stored" for title in sorted(expected - stored.keys())]
        found += [f"{title}: is stored and was not counted" for title in sorted(stored.keys() - expected)]
        found += [f"{title}: was imported again" for title in sorted(changed)]
        return found

    # --- what the service says after its restart --------------------------------

    def stored(self) -> list[Found]:
        """Return the published profiles of the copy that have a text of their own, the oldest first."""
        with self._copy.read() as session:
            rows = session.execute(
                select(Profile.kind, Profile.title, Profile.text)
                .where(Profile.kind.in_(sorted(QUESTIONS)), Profile.state == "published")
                .order_by(Profile.pk)
            )
            stored = [Found(*row) for row in rows]
        self._copy.close()
        return stored

    def not_found(self, sample: Sequence[Found]) -> list[str]:
        """Return which of the profiles a search for their own text does not return among the first."""
        missing = []
        with self.service.client() as client:
            for one in sample:
                name, side = QUESTIONS[one.kind]
                question = {"text": one.text, "from": side, "limit": 3}
                answer = client.post(f"{API}/suggestions/{name}", json=question)
                assert answer.status_code == httpx.codes.OK, answer.text
                titles = [item["profile"]["title"] for item in answer.json()["items"]]
                if one.title not in titles:
                    missing.append(f"{one.kind} {one.title}: a search for its own text does not find it")
        return missing

    def newest_and_some(self, newest: int, some: int) -> list[Found]:
        """Return the profiles that a kill is most likely to cost, and a sample of the others."""
        stored = self.stored()
        return stored[-newest:] + self.rng.sample(stored[:-newest], min(some, len(stored[:-newest])))

    def runs_that_changed(self, runs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return which runs the service does not answer as it did, and decide on one suggestion of each."""
        found = []
        with self.service.client() as client:
            for run in runs:
                again = client.get(f"{API}/suggestions/runs/{run['run_id']}")
                if again.status_code != httpx.codes.OK or not same_json(again.json(), run):
                    found.append(f"run {run['run_id']}: {again.status_code} {again.text}")
                open_ones = [i["suggestion_id"] for i in run["items"] if i["suggestion_id"] not in self.books.decided]
                for suggestion_id in open_ones[:1]:
                    decide(client, self.books, suggestion_id)
        return found


def _is(own: Mapping[str, Any] | None, row: Row | None) -> bool:
    """Return whether a stored profile is what was sent; both may be absent."""
    if own is None or row is None:
        return own is row
    return all(own[name] == row[name] for name in KEPT)
