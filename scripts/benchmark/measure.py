"""The sections of the benchmark: what is measured, in which turns, against which target (performance.md §4)."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.matching.documents import embed_parts
from app.matching.documents import Parts
from app.matching.embedder import Embedder
from app.matching.types import Matrix
from benchmark import load
from benchmark.client import Connection, build
from benchmark.corpus import SEED, Corpus, Row, country_sets
from benchmark.processes import HERE, Server, Worker, bare, free_port, http, puente
from benchmark.report import Report

ROUTE = "/api/v1/suggestions/cluster-region"
KEPT = 0.10
LONG = (150, 800)
"""Length in characters of the longer questions: a pitch of a few sentences."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    texts: int
    singles: int
    imported: int
    questions: int
    masked: int
    asked: int
    seconds: float
    fills: int
    starts: int
    checked: int


FULL = Effort(
    rounds=7, texts=256, singles=40, imported=600, questions=1_000, masked=60, asked=80, seconds=4.0, fills=3, starts=3, checked=60
)
QUICK = Effort(
    rounds=1, texts=32, singles=4, imported=40, questions=40, masked=10, asked=10, seconds=0.5, fills=1, starts=1, checked=10
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A database of `size` priorities, its vectors and the folder for the bare script."""

    size: int
    rows: Sequence[Row]
    vectors: Matrix
    folder: Path
    database: Path
    key: str


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return 1e3 * statistics.median(seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def encoder(report: Report, corpus: Corpus, ours: Worker, plain: Worker, effort: Effort) -> None:
    """Texts a second on unsorted texts, and one text alone, against plain sentence-transformers."""
    rows = corpus.documents(effort.texts * (effort.rounds + 1))
    asked = corpus.questions(effort.singles * (effort.rounds + 1))
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    singles: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(effort.rounds + 1):
        texts = [row.plain for row in rows[turn * effort.texts :][: effort.texts]]
        questions = asked[turn * effort.singles :][: effort.singles]
        for name, worker in (("ours", ours), ("plain", plain)):
            rate = len(texts) / worker.ask("documents", texts=texts)
            single = median_ms(worker.ask("questions", texts=questions))
            if turn:  # the first turn warms up
                rates[name].append(rate)
                singles[name].append(single)
    for name, label in (("ours", "Puente"), ("plain", "plain sentence-transformers")):
        report.add(None, f"encoder, unsorted texts, {label}", statistics.median(rates[name]), "texts/s", rounds=rates[name])
    report.add(None, "  ratio", *_ratio(rates["ours"], rates["plain"]))
    for name, label in (("ours", "Puente"), ("plain", "plain sentence-transformers")):
        report.add(None, f"one text, p50, {label}", statistics.median(singles[name]), "ms", rounds=singles[name])
    report.add(None, "  ratio", *_ratio(singles["plain"], singles["ours"]))


def _ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, str]:
    """Return the median of the rounds' ratios and its unit."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True)), "x"


def ingest(report: Report, corpus: Corpus, ours: Worker, plain: Worker, folder: Path, effort: Effort) -> None:
    """Texts in, profiles in SQL and index out, against plain sentence-transformers' encoding alone."""
    rows = corpus.documents(effort.imported * (effort.rounds + 1))
    database = folder / "import.db"
    load.create(database, rows)
    rates, bare_rates, index = [], [], []
    for turn in range(effort.rounds + 1):
        own = rows[turn * effort.imported :][: effort.imported]
        file = folder / f"round-{turn}.jsonl"
        file.write_text("".join(json.dumps(load.as_input(row)) + "\n" for row in own), encoding="utf-8")
        found = ours.ask("import", database=str(database), file=str(file))
        if found["created"] != len(own):
            raise RuntimeError(f"{found['failed']} rows of the benchmark's import were refused")
        seconds = plain.ask("documents", texts=[row.plain for row in own])
        if turn:
            rates.append(len(own) / found["seconds"])
            bare_rates.append(len(own) / seconds)
            index.append(found["index_seconds"] / found["seconds"])
    report.add(None, "ingest, texts into SQL + index", statistics.median(rates), "texts/s", rounds=rates)
    report.add(None, "  plain sentence-transformers, encoding alone", statistics.median(bare_rates), "texts/s", rounds=bare_rates)
    value, unit = _ratio(rates, bare_rates)
    report.add(None, "  ingest over plain encoding", value, unit, 3.0)
    report.add(None, "  share of the index", statistics.median(index), "")


def search(report: Report, size: int, rows: Sequence[Row], index: Worker, effort: Effort) -> None:
    """Puente's search within a mask against bare FAISS and numpy, at four shares, in two layouts."""
    recalls = []
    for share in (0.5, 0.1, 0.01, 0.001):
        countries = country_sets(rows, share, most=1)[0][0]
        for layout, given in ((f"countries {'+'.join(countries)}", countries), ("scattered", [])):
            found = index.ask("contest", countries=given, share=share, count=effort.masked)
            ms = {name: statistics.median(own) for name, own in found["ms"].items()}
            label = f"search, {found['share']:.2%} kept, {layout}"
            report.add(size, f"{label}: Puente", ms["ours"], "ms")
            report.add(size, "  FAISS flat, bitmap built per query", ms["faiss"], "ms")
            report.add(size, "  numpy, full product and mask", ms["numpy"], "ms")
            report.add(size, "  recall@10 of FAISS flat", found["recall"]["faiss"], "recall")
            recalls.append(found["recall"]["ours"])
    report.add(size, "recall@10 of Puente, least of all masks", min(recalls), "recall", 1.0)
    report.add(size, "the only eligible among 10,000 near ones is found", float(index.ask("only")), "", 1.0)


def requests(
    report: Report, setting: Setting, corpus: Corpus, ours: Worker, index: Worker, embedder: Embedder, effort: Effort
) -> None:
    """Whole requests over HTTP against the bare script, and the floor that they stand on."""
    asked = Asked(setting, corpus, effort)
    starts = []
    for _ in range(effort.starts):
        with puente(setting.database, free_port(), setting.folder / "puente.log") as server:
            starts.append(server.ready_s)
            memory = server.memory_mb
    report.add(setting.size, "ready after start", statistics.median(starts), "s", 5.0, most=True, rounds=starts)
    report.add(setting.size, "resident memory when ready", memory, "MB")
    with (
        puente(setting.database, free_port(), setting.folder / "puente.log") as server,
        bare(setting.folder, free_port(), setting.folder / "bare.log") as opponent,
    ):
        _check_answers(report, setting, asked, server, embedder, effort)
        rounds = _rounds(asked, server, opponent, ours, index, effort)
        report.add(setting.size, "resident memory after the load", server.memory_mb, "MB", 600.0, most=True)
        report.add(setting.size, "  bare script", opponent.memory_mb, "MB")
        report.add(setting.size, "  bare script, ready after start", opponent.ready_s, "s")
    _report_rounds(report, setting.size, rounds)
    _split(report, setting, asked, effort)


class Asked:
    """The questions as each service wants them, each under countries that keep about 10 %."""

    def __init__(self, setting: Setting, corpus: Corpus, effort: Effort) -> None:
        self.sets = [countries for countries, _ in country_sets(setting.rows, KEPT)]
        self.texts = corpus.questions(effort.questions)
        self.long = corpus.questions(effort.questions, letters=LONG) or self.texts
        self.headers = {"X-API-Key": setting.key}
        self._turn = {"short": 0, "long": 0}

    def countries(self, number: int) -> list[str]:
        """Return the countries under which a question is asked."""
        return self.sets[number % len(self.sets)]

    def plans(self, count: int, *, long: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the next `count` questions for Puente and for the bare script; no question comes twice in a row."""
        name, texts = ("long", self.long) if long else ("short", self.texts)
        first = self._turn[name]
        self._turn[name] += count
        ours, bodies = [], []
        for number in range(first, first + count):
            text, countries = texts[number % len(texts)], self.countries(number)
            ours.append(json.dumps({"text": text, "filters": {"countries": countries}}))
            bodies.append(json.dumps({"text": text, "countries": countries}))
        puente_plan = {"method": "POST", "path": ROUTE, "headers": self.headers, "bodies": ours}
        return puente_plan, {"method": "POST", "path": "/search", "bodies": bodies}


def _rounds(
    asked: Asked, server: Server, opponent: Server, ours: Worker, index: Worker, effort: Effort
) -> list[dict[str, Any]]:
    """Take turns: encoder alone, search alone, empty request, one client of each, eight clients of each."""
    found: list[dict[str, Any]] = []
    for turn in range(effort.rounds + 1):
        first = turn * effort.asked
        mine, other = asked.plans(effort.asked)
        my_long, other_long = asked.plans(max(effort.asked // 2, 1), long=True)
        texts = [json.loads(body)["text"] for body in other["bodies"]]
        many, other_many = asked.plans(len(asked.texts))
        live = {"method": "GET", "path": "/live", "requests": effort.asked}
        round_ = {
            "encode": ours.ask("questions", texts=texts),
            "search": index.ask("ours", countries=asked.countries(0), first=first, count=effort.asked),
            "empty": http(server, **live)["latencies"],
            "ours": http(server, **mine, requests=effort.asked)["latencies"],
            "bare": http(opponent, **other, requests=effort.asked)["latencies"],
            "ours_long": http(server, **my_long, requests=len(my_long["bodies"]))["latencies"],
            "bare_long": http(opponent, **other_long, requests=len(other_long["bodies"]))["latencies"],
            "ours_8": http(server, **many, clients=8, seconds=effort.seconds),
            "bare_8": http(opponent, **other_many, clients=8, seconds=effort.seconds),
        }
        if turn:
            found.append(round_)
    return found


def _report_rounds(report: Report, size: int, rounds: Sequence[dict[str, Any]]) -> None:
    p50 = {
        name: [median_ms(round_[name]) for round_ in rounds]
        for name in ("encode", "search", "empty", "ours", "bare", "ours_long", "bare_long")
    }
    floor = [sum(parts) for parts in zip(p50["encode"], p50["search"], p50["empty"], strict=True)]
    rate = {
        name: [len(r[name]["latencies"]) / r[name]["wall"] for r in rounds] for name in ("ours_8", "bare_8")
    }
    middle = statistics.median
    for name, label in (
        ("encode", "encoding a question, alone, p50"),
        ("search", "search within the mask, alone, p50"),
        ("empty", "empty HTTP request, p50"),
    ):
        report.add(size, f"floor: {label}", middle(p50[name]), "ms", rounds=p50[name])
    report.add(size, "request at 1 client, p50", middle(p50["ours"]), "ms", rounds=p50["ours"])
    report.add(size, "  p95", 1e3 * middle(percentile(r["ours"], 0.95) for r in rounds), "ms")
    report.add(size, "  over the floor", _ratio(p50["ours"], floor)[0], "x", 2.0, most=True)
    report.add(size, "  bare script, p50", middle(p50["bare"]), "ms", rounds=p50["bare"])
    report.add(size, "  bare script, p95", 1e3 * middle(percentile(r["bare"], 0.95) for r in rounds), "ms")
    report.add(size, "  times faster than the bare script", _ratio(p50["bare"], p50["ours"])[0], "x", 2.0)
    report.add(size, "longer questions, p50", middle(p50["ours_long"]), "ms", rounds=p50["ours_long"])
    report.add(size, "  times faster than the bare script", _ratio(p50["bare_long"], p50["ours_long"])[0], "x")
    report.add(size, "throughput at 8 clients", middle(rate["ours_8"]), "requests/s", rounds=rate["ours_8"])
    report.add(size, "  bare script", middle(rate["bare_8"]), "requests/s", rounds=rate["bare_8"])
    report.add(size, "  times the bare script's", _ratio(rate["ours_8"], rate["bare_8"])[0], "x", 3.0)
    report.add(size, "  p95 at 8 clients", 1e3 * middle(percentile(r["ours_8"]["latencies"], 0.95) for r in rounds), "ms")


def _check_answers(
    report: Report, setting: Setting, asked: Asked, server: Server, embedder: Embedder, effort: Effort
) -> None:
    """Compare whole answers with brute force: the ten best scores under the filter must be these."""
    import numpy as np  # noqa: PLC0415 - here alone

    connection = Connection(server.port)
    plan, _ = asked.plans(effort.checked)
    countries = np.array([row.country for row in setting.rows])
    good = wanted = 0
    for number, body in enumerate(plan["bodies"]):
        status, content = connection.ask(build("POST", ROUTE, asked.headers, body))
        items = json.loads(content)["items"] if status == 200 else []
        found = [c["value"] for item in items for c in item["contributions"] if c["feature"] == "semantic_similarity"]
        question = embed_parts(embedder, [Parts(text=asked.texts[number % len(asked.texts)])], as_queries=True)[0]
        allowed = setting.vectors[np.isin(countries, asked.countries(number))]
        best = np.sort(allowed @ question.vector)[::-1][:10]
        wanted += len(best)
        good += sum(abs(a - max(float(b), 0.0)) < 2e-4 for a, b in zip(found, best, strict=False))
    only = json.dumps({"text": asked.texts[0], "filters": {"countries": [load.ONLY_COUNTRY]}})
    _, content = connection.ask(build("POST", ROUTE, asked.headers, only))
    connection.close()
    titles = [item["profile"]["title"] for item in json.loads(content)["items"]]
    report.add(setting.size, "recall@10 of whole requests against brute force", good / wanted, "recall", 1.0)
    report.add(setting.size, "the only eligible of all profiles is answered", float(titles == [load.ONLY.title]), "", 1.0)


def _split(report: Report, setting: Setting, asked: Asked, effort: Effort) -> None:
    """Where a request's time goes, by clocks around the parts of our own server."""
    port, result = free_port(), setting.folder / "split.json"
    plan, _ = asked.plans(effort.asked * 2)
    command = [str(HERE / "split.py"), str(setting.database), str(port), str(result)]
    with Server(command, port, "/ready", setting.folder / "split.log", ours=True) as server:
        http(server, **plan, requests=effort.asked)
        seconds = http(server, **plan, requests=effort.asked * 2)["latencies"]
    clocks: list[dict[str, float]] = json.loads(result.read_text(encoding="utf-8"))[-len(seconds) :]
    report.add(setting.size, "split of one request: all", median_ms(seconds), "ms")
    parts = ("encode", "search", "sql", "explain")
    for part in parts:
        report.add(setting.size, f"  {part}", median_ms([clock.get(part, 0.0) for clock in clocks]), "ms")
        for name in sorted({name for clock in clocks for name in clock if name.startswith(f"{part}: ")}):
            value = median_ms([clock.get(name, 0.0) for clock in clocks])
            report.add(setting.size, f"    {name.partition(': ')[2]}", value, "ms")
    rest = [whole - sum(clock.get(part, 0.0) for part in parts) for whole, clock in zip(seconds, clocks, strict=True)]
    report.add(setting.size, "  rest (HTTP, validation, threads, JSON)", median_ms(rest), "ms")
