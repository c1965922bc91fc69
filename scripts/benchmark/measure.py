"""The sections that compare encoders, ingest and search: what is measured, in which turns, against which target.

The targets are those of the design (performance.md §4).
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark import load
from benchmark.corpus import Corpus, Row, country_sets
from benchmark.processes import Worker
from benchmark.report import RIGHT, Report, Target

PUENTE, PLAIN = "Puente", "plain sentence-transformers"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: rounds, and what each of them holds."""

    rounds: int
    texts: int
    singles: int
    imported: int
    questions: int
    masked: int
    asked: int
    seconds: float
    repeats: int
    checked: int


FULL = Effort(
    rounds=7,
    texts=256,
    singles=40,
    imported=600,
    questions=1_000,
    masked=60,
    asked=80,
    seconds=4.0,
    repeats=3,
    checked=60,
)
QUICK = Effort(
    rounds=1, texts=32, singles=4, imported=40, questions=40, masked=10, asked=10, seconds=0.5, repeats=1, checked=10
)


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return 1e3 * statistics.median(seconds)


def encoder(report: Report, corpus: Corpus, ours: Worker, plain: Worker, effort: Effort) -> None:
    """Texts a second on unsorted texts, and one text alone, against plain sentence-transformers."""
    rows = corpus.documents(effort.texts * (effort.rounds + 1))
    asked = corpus.questions(effort.singles * (effort.rounds + 1))
    rates: dict[str, list[float]] = {PUENTE: [], PLAIN: []}
    singles: dict[str, list[float]] = {PUENTE: [], PLAIN: []}
    for turn in range(effort.rounds + 1):
        texts = [row.plain for row in rows[turn * effort.texts :][: effort.texts]]
        questions = asked[turn * effort.singles :][: effort.singles]
        for name, worker in ((PUENTE, ours), (PLAIN, plain)):
            rate = len(texts) / worker.ask("documents", texts=texts)
            single = median_ms(worker.ask("questions", texts=questions))
            if turn:  # the first turn warms up
                rates[name].append(rate)
                singles[name].append(single)
    report.median(None, f"encoder, unsorted texts: {PUENTE}", rates[PUENTE], "texts/s")
    report.median(None, f"  {PLAIN}", rates[PLAIN], "texts/s")
    report.ratio(None, "  times as quick", rates[PUENTE], rates[PLAIN])
    report.median(None, f"encoder, one text, p50: {PUENTE}", singles[PUENTE], "ms")
    report.median(None, f"  {PLAIN}", singles[PLAIN], "ms")
    report.ratio(None, "  times as quick", singles[PLAIN], singles[PUENTE])


def ingest(report: Report, corpus: Corpus, ours: Worker, plain: Worker, folder: Path, effort: Effort) -> None:
    """Texts in, profiles in SQL and index out, against plain sentence-transformers' encoding alone."""
    rows = corpus.documents(effort.imported * (effort.rounds + 1))
    database = folder / "import.db"
    load.create(database, rows)
    rates: list[float] = []
    plain_rates: list[float] = []
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
            plain_rates.append(len(own) / seconds)
    report.median(None, f"ingest, texts into SQL + index: {PUENTE}", rates, "texts/s")
    report.median(None, f"  {PLAIN}, encoding alone", plain_rates, "texts/s")
    report.ratio(None, "  times as quick", rates, plain_rates, Target(3.0))


def search(report: Report, size: int, rows: Sequence[Row], index: Worker, effort: Effort) -> None:
    """Puente's search within a mask against bare FAISS and numpy, at four shares, in two layouts."""
    recalls = []
    for share in (0.5, 0.1, 0.01, 0.001):
        countries = country_sets(rows, share, most=1)[0][0]
        for layout, given in (("+".join(countries), countries), ("scattered rows", [])):
            found = index.ask("contest", countries=given, share=share, count=effort.masked)
            label = f"search, {found['share']:.2%} kept ({layout})"
            report.add(size, f"{label}: {PUENTE}", statistics.median(found["ms"]["ours"]), "ms")
            report.add(size, "  FAISS flat, bitmap built per query", statistics.median(found["ms"]["faiss"]), "ms")
            report.add(size, "  numpy, full product and mask", statistics.median(found["ms"]["numpy"]), "ms")
            recalls.append(found["recall"]["ours"])
    report.add(size, "recall@10 of the search, least of all masks", min(recalls), "recall", RIGHT)
    report.add(size, "the only eligible among 10,000 near ones is proposed", float(index.ask("only")), "", RIGHT)
