"""Whole requests over HTTP, the floor that they stand on, and where their time goes."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.engine import BELOW_THRESHOLD
from app.matching.fairness import Places, fair_list
from app.matching.kinds import MATCH_KINDS
from app.matching.nearness import Near, ratio, text_weight
from app.matching.types import Matrix, Side
from benchmark.client import Connection, build
from benchmark.corpus import Corpus, Row, country_sets
from benchmark.load import ONLY, region_ref
from benchmark.measure import Effort, median_ms
from benchmark.processes import Server, Worker, bare, free_port, http, puente
from benchmark.report import RIGHT, Report, Target

KIND = MATCH_KINDS["cluster-region"]
ROUTE = f"/api/v1/suggestions/{KIND.name}"
KEPT = 0.10
LONG = (150, 800)
"""Length in characters of the longer questions: a pitch of a few sentences."""

PARTS = ("encode", "search", "sql", "explain")
TOLERANCE = 2e-4
"""How far a score in an answer may lie from brute force: it is rounded to four digits after weighting."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A database of `size` priorities with a key to it, its vectors, and the folder of the bare script's files."""

    size: int
    rows: Sequence[Row]
    vectors: Matrix
    folder: Path
    database: Path
    key: str


class Questions:
    """The questions as each service wants them, each under countries that keep about 10 %."""

    def __init__(self, setting: Setting, corpus: Corpus, effort: Effort) -> None:
        self._sets = [countries for countries, _ in country_sets(setting.rows, KEPT)]
        self.texts = corpus.questions(effort.questions)
        self._long = corpus.questions(effort.questions, letters=LONG) or self.texts
        self.headers = {"X-API-Key": setting.key}
        self._asked = {False: 0, True: 0}

    def countries(self, number: int) -> list[str]:
        """Return the countries under which a question is asked."""
        return self._sets[number % len(self._sets)]

    def plans(self, count: int, *, long: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the next `count` questions for Puente and for the bare script, as plans of the HTTP client."""
        texts, first = self._long if long else self.texts, self._asked[long]
        self._asked[long] += count
        ours, other = [], []
        for number in range(first, first + count):
            text, countries = texts[number % len(texts)], self.countries(number)
            ours.append(json.dumps({"text": text, "filters": {"countries": countries}}))
            other.append(json.dumps({"text": text, "countries": countries}))
        return (
            {"method": "POST", "path": ROUTE, "headers": self.headers, "bodies": ours},
            {"method": "POST", "path": "/search", "bodies": other},
        )


def requests(
    report: Report, setting: Setting, corpus: Corpus, index: Worker, embedder: Embedder, effort: Effort
) -> None:
    """Start, memory, latency and throughput of the service against the bare script; split of a request."""
    questions = Questions(setting, corpus, effort)
    starts, memory = [], []
    for _ in range(effort.repeats - 1):
        with puente(setting.database, free_port(), setting.folder / "puente.log") as server:
            starts.append(server.ready_s)
            memory.append(server.memory_mb)
    with (
        puente(setting.database, free_port(), setting.folder / "puente.log") as server,
        bare(setting.folder, free_port(), setting.folder / "bare.log") as opponent,
    ):
        starts.append(server.ready_s)
        memory.append(server.memory_mb)
        _check(report, setting, questions, server, embedder, effort)
        rounds = _rounds(questions, server, opponent, index, effort)
        after, bare_after, bare_start = server.memory_mb, opponent.memory_mb, opponent.ready_s
    _report(report, setting.size, rounds)
    _split(report, setting, questions, effort)
    report.median(setting.size, "ready after start", starts, "s", Target(5.0, most=True))
    report.add(setting.size, "  bare script", bare_start, "s")
    report.median(setting.size, "resident memory when ready", memory, "MB")
    report.add(setting.size, "  after the load", after, "MB", Target(600.0, most=True))
    report.add(setting.size, "  bare script after the load", bare_after, "MB")


def _rounds(
    questions: Questions, server: Server, opponent: Server, index: Worker, effort: Effort
) -> list[dict[str, Any]]:
    """Take turns: encoder and search alone, empty request, one client of each, eight clients of each."""
    found: list[dict[str, Any]] = []
    for turn in range(effort.rounds + 1):
        mine, other = questions.plans(effort.asked)
        mine_long, other_long = questions.plans(max(effort.asked // 2, 1), long=True)
        mine_many, other_many = questions.plans(len(questions.texts))
        texts = [json.loads(body)["text"] for body in other["bodies"]]
        round_ = {
            **index.ask("floor", countries=questions.countries(0), texts=texts),
            "empty": http(server, method="GET", path="/live", requests=effort.asked)["latencies"],
            "ours": http(server, **mine, requests=effort.asked)["latencies"],
            "bare": http(opponent, **other, requests=effort.asked)["latencies"],
            "ours long": http(server, **mine_long, requests=len(mine_long["bodies"]))["latencies"],
            "bare long": http(opponent, **other_long, requests=len(other_long["bodies"]))["latencies"],
            "ours 8": http(server, **mine_many, clients=8, seconds=effort.seconds),
            "bare 8": http(opponent, **other_many, clients=8, seconds=effort.seconds),
        }
        if turn:  # the first turn warms up
            found.append(round_)
    return found


def _report(report: Report, size: int, rounds: Sequence[dict[str, Any]]) -> None:
    names = ("encode", "search", "empty", "ours", "bare", "ours long", "bare long")
    p50 = {name: [median_ms(round_[name]) for round_ in rounds] for name in names}
    p95 = {name: [1e3 * _p95(round_[name]) for round_ in rounds] for name in ("ours", "bare")}
    floor = [sum(parts) for parts in zip(p50["encode"], p50["search"], p50["empty"], strict=True)]
    many = {name: [round_[name] for round_ in rounds] for name in ("ours 8", "bare 8")}
    rate = {name: [len(own["latencies"]) / own["wall"] for own in found] for name, found in many.items()}
    report.median(size, "floor: encoding a question, p50", p50["encode"], "ms")
    report.median(size, "  exact search within the mask, p50", p50["search"], "ms")
    report.median(size, "  empty HTTP request, p50", p50["empty"], "ms")
    report.median(size, "request, 10 % kept, 1 client, p50", p50["ours"], "ms")
    report.median(size, "  p95", p95["ours"], "ms")
    report.ratio(size, "  p50 over the floor", p50["ours"], floor, Target(2.0, most=True))
    report.median(size, "  bare script, p50", p50["bare"], "ms")
    report.median(size, "  bare script, p95", p95["bare"], "ms")
    report.ratio(size, "  times as quick as the bare script", p50["bare"], p50["ours"], Target(2.0))
    report.median(size, "request with a longer question, p50", p50["ours long"], "ms")
    report.ratio(size, "  times as quick as the bare script", p50["bare long"], p50["ours long"])
    report.median(size, "throughput at 8 clients", rate["ours 8"], "requests/s")
    report.median(size, "  bare script", rate["bare 8"], "requests/s")
    report.ratio(size, "  times the bare script's", rate["ours 8"], rate["bare 8"], Target(3.0))
    report.median(size, "  p95", [1e3 * _p95(own["latencies"]) for own in many["ours 8"]], "ms")
    report.median(size, "  bare script, p95", [1e3 * _p95(own["latencies"]) for own in many["bare 8"]], "ms")
    cpu = {name: [1e3 * own["cpu"] for own in found] for name, found in many.items()}
    report.median(size, "processor time of a request, mean", cpu["ours 8"], "ms")
    report.median(size, "  bare script", cpu["bare 8"], "ms")


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _check(
    report: Report, setting: Setting, questions: Questions, server: Server, embedder: Embedder, effort: Effort
) -> None:
    """Compare whole answers with brute force: their scores must be the ten best under the filter and the caps.

    A question is a mere text, so a score is what its text counts for.

    A list that ends at the threshold of the calibration is compared as far as it goes, and counted.
    """
    connection = Connection(server.port)

    def ask(body: str) -> dict[str, Any]:
        status, content = connection.ask(build("POST", ROUTE, questions.headers, body))
        found: dict[str, Any] = json.loads(content) if status == 200 else {"items": [], "rejected": {}}
        return found

    countries = np.array([row.country for row in setting.rows])
    good = wanted = ended = 0
    for body in questions.plans(effort.checked)[0]["bodies"]:
        question = json.loads(body)
        answer = ask(body)
        found = [item["score"] for item in answer["items"]]
        vector = embed_parts(embedder, [Parts(text=question["text"])], as_queries=True)[0].vector
        allowed = np.flatnonzero(np.isin(countries, question["filters"]["countries"]))
        near = Near(embedder.fields, ratio(KIND), setting.vectors[allowed]).to(vector)
        best = _fair_best(setting, allowed, text_weight(KIND) * near)
        if BELOW_THRESHOLD in answer["rejected"]:
            ended += 1
            best = best[: len(found)]
        wanted += len(best)
        good += sum(abs(a - b) < TOLERANCE for a, b in zip(found, best, strict=False))
    only = ask(json.dumps({"text": questions.texts[0], "filters": {"countries": [ONLY.country]}}))
    connection.close()
    # It is about something else: whether it is suggested or named as the nearest miss is the calibration's matter.
    shown = [*only["items"], *filter(None, [only.get("nearest_miss")])]
    right = [item["profile"]["title"] for item in shown] == [ONLY.title]
    report.add(setting.size, "recall@10 of whole requests against brute force", good / max(wanted, 1), "recall", RIGHT)
    report.add(setting.size, "  lists that end at the threshold", ended / effort.checked, "")
    report.add(setting.size, "the only eligible of all profiles is answered", float(right), "", RIGHT)


def _fair_best(setting: Setting, rows: Places, scores: NDArray[np.float64]) -> list[float]:
    """Return the ten best scores of a fair list: every row is walked, in order of score."""
    numbers: dict[str, int] = {}
    owners = [numbers.setdefault(region_ref(setting.rows[row]), len(numbers)) for row in rows]
    listed = fair_list(
        KIND.fairness(Side.OFFER),
        rows,
        scores,
        np.array(owners).__getitem__,
        lambda places: setting.vectors[rows[places]],
        10,
    )
    return [float(scores[place]) for place in listed.shown]


def _split(report: Report, setting: Setting, questions: Questions, effort: Effort) -> None:
    """Say where a request's time goes, by clocks around the parts of our own server."""
    port, result = free_port(), setting.folder / "split.json"
    plan, _ = questions.plans(effort.asked * 2)
    command = ["-m", "benchmark.split", str(setting.database), str(port), str(result)]
    with Server(command, port, "/ready", setting.folder / "split.log", ours=True) as server:
        http(server, **plan, requests=effort.asked)
        seconds = http(server, **plan, requests=effort.asked * 2)["latencies"]
    clocks: list[dict[str, float]] = json.loads(result.read_text(encoding="utf-8"))[-len(seconds) :]
    report.add(setting.size, "split of one request (with clocks on): all", median_ms(seconds), "ms")
    for part in PARTS:
        report.add(setting.size, f"  {part}", median_ms([clock.get(part, 0.0) for clock in clocks]), "ms")
        for name in sorted({name for clock in clocks for name in clock if name.startswith(f"{part}: ")}):
            value = median_ms([clock.get(name, 0.0) for clock in clocks])
            report.add(setting.size, f"    {name.partition(': ')[2]}", value, "ms")
    rest = [whole - sum(clock.get(part, 0.0) for part in PARTS) for whole, clock in zip(seconds, clocks, strict=True)]
    report.add(setting.size, "  rest (HTTP, validation, threads, JSON)", statistics.median(rest) * 1e3, "ms")
