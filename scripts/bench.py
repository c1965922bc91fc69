#!/usr/bin/env python
"""Measure Puente against what one would write by hand, on real texts, in one run.

Every figure is a median over rounds in which the opponents take turns, so that a busy machine slows both; the
targets are ratios. Only this machine is talked to, and every process that is started is ended by its id.
See `--help`; the texts are described in `benchmark/corpus.py`.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np  # noqa: E402 - after the threads are set
from benchmark import load, measure  # noqa: E402
from benchmark.corpus import CACHE, SOURCE, Corpus, Embedded, MissingTextsError, Row, embedded  # noqa: E402
from benchmark.processes import Worker  # noqa: E402
from benchmark.report import Report, Target  # noqa: E402
from benchmark.serving import Setting, requests  # noqa: E402

from app import log  # noqa: E402 - the project's folder must be on the path first
from app.db.session import Database  # noqa: E402
from app.matching.embedder import load_embedder  # noqa: E402
from app.suggestions.projection import Projection  # noqa: E402

TARGET_SIZE = 100_000
BUSY = 0.5
"""Load average, per core, above which others disturb the measurement: two threads of torch suffer most."""

PACKAGES = ("faiss-cpu", "fastapi", "numpy", "onnxruntime", "sentence-transformers", "sqlalchemy", "torch")


def size_of(word: str) -> int:
    """Read a size such as 500, 10k or 1M; ValueError for others."""
    factor = {"k": 1_000, "m": 1_000_000}.get(word[-1:].lower(), 1)
    size = int(word if factor == 1 else word[:-1]) * factor
    if not 100 <= size <= 2_000_000:
        raise ValueError(word)
    return size


def sizes_of(words: str) -> list[int]:
    """Read a list of sizes separated by commas."""
    return [size_of(word.strip()) for word in words.split(",")]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=sizes_of, default=sizes_of("10k,100k"), help="profiles; default 10k,100k")
    parser.add_argument("--million", action="store_true", help="also 1M profiles (8 GB of disk, 6 GB of memory)")
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    parser.add_argument("--quick", action="store_true", help="one short round of each: to see that it works")
    parser.add_argument("--only", choices=("encoder", "ingest", "search", "request"), help="one section alone")
    parser.add_argument("--texts", type=Path, default=SOURCE, help="a file like eu_projects/projects.tsv.gz")
    parser.add_argument("--work", type=Path, default=CACHE, help="folder for vectors (kept) and databases")
    parser.add_argument("--keep", action="store_true", help="keep the databases")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def say(line: str) -> None:
    """Show progress on standard error."""
    print(line, file=sys.stderr, flush=True)


class Bench:
    """One run of the benchmark."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._corpus = Corpus(options.texts)
        self._effort = measure.QUICK if options.quick else measure.FULL
        self._work: Path = options.work
        self._work.mkdir(parents=True, exist_ok=True)
        self._embedder = load_embedder()
        facts = {"model": self._embedder.model_key, "quick": options.quick, "machine": machine()}
        self.report = Report(facts, TARGET_SIZE)

    def run(self) -> None:
        """Run every section that is wanted."""
        if self._wants("encoder") or self._wants("ingest"):
            with Worker("ours") as ours, Worker("plain") as plain:
                self._texts(ours, plain)
        if self._wants("search") or self._wants("request"):
            for size in dict.fromkeys([*self._options.sizes, *([1_000_000] if self._options.million else [])]):
                self._size(size)

    def _wants(self, section: str) -> bool:
        return self._options.only in {None, section}

    def _texts(self, ours: Worker, plain: Worker) -> None:
        if self._wants("encoder"):
            say("encoder …")
            measure.encoder(self.report, self._corpus, ours, plain, self._effort)
        if self._wants("ingest"):
            say("ingest of texts …")
            folder = self._folder("ingest")
            measure.ingest(self.report, self._corpus, ours, plain, folder, self._effort)
            self._tidy(folder)

    def _size(self, size: int) -> None:
        say(f"{size:,} profiles …")
        rows = self._corpus.documents(size)
        folder = self._folder(f"size-{size}")
        vectors = embedded(self._embedder, rows, self._corpus.distinct, self._work, say)
        np.save(folder / "vectors.npy", vectors.vectors)
        np.save(folder / "questions.npy", self._embedder.embed_queries(self._corpus.questions(self._effort.questions)))
        listed = [[row.ref, row.country, row.title, row.text] for row in rows]
        (folder / "rows.json").write_text(json.dumps(listed), encoding="utf-8")
        with Worker("index", str(folder)) as index:
            if self._wants("search"):
                say("  search within a mask …")
                measure.search(self.report, size, rows, index, self._effort)
            if self._wants("request"):
                database = folder / "puente.db"
                key = self._load(size, database, rows, vectors)
                say("  requests over HTTP …")
                setting = Setting(size, rows, vectors.vectors, folder, database, key)
                requests(self.report, setting, self._corpus, index, self._embedder, self._effort)
        self._tidy(folder)

    def _load(self, size: int, database: Path, rows: list[Row], vectors: Embedded) -> str:
        """Fill the database with given vectors, measure that and the index's filling, and return an API key."""
        say("  loading with given vectors …")
        owners, key = load.create(database, [*rows, load.ONLY])
        opened = Database(str(database))
        told = time.monotonic()

        def tell(done: int) -> None:
            nonlocal told
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"    {done:,} of {size:,}")

        stored = load.fill(opened, self._embedder, rows, vectors, owners, tell)
        load.add_only(opened, self._embedder, owners)
        fills = [self._filled(opened) for _ in range(self._effort.repeats)]
        opened.erase_traces()
        opened.close()
        rate = len(rows) / (stored + statistics.median(fills))
        self.report.add(size, "ingest with given vectors, into SQL + index", rate, "rows/s", Target(10_000))
        self.report.add(size, "  into SQL alone", len(rows) / stored, "rows/s")
        self.report.median(size, "index filled anew from SQL", fills, "s")
        self.report.add(size, "database on disk", database.stat().st_size / 1e6, "MB")
        return key

    def _filled(self, database: Database) -> float:
        projection = Projection(database, self._embedder.model_key, self._embedder.dim, fields=self._embedder.fields)
        started = time.perf_counter()
        projection.catch_up()
        return time.perf_counter() - started

    def _folder(self, name: str) -> Path:
        folder = self._work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _tidy(self, folder: Path) -> None:
        if not self._options.keep:
            shutil.rmtree(folder)


def main() -> int:
    """Run the benchmark.

    0 when it ran and every answer was right, whether or not it was quick enough; 1 when an answer was wrong; 2 when it
    could not run.
    """
    options = arguments()
    log.configure("WARNING")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves by every `with`, which ends what was started
    if os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        say(f"bench: the machine is busy (load {os.getloadavg()[0]:.1f}): trust the figures less")
    try:
        bench = Bench(options)
    except MissingTextsError as error:
        say(f"bench: {error}")
        return 2
    try:
        bench.run()
    finally:
        bench.report.facts["load_at_end"] = os.getloadavg()
        if options.out:
            bench.report.write(options.out)
    print(bench.report.table())
    return 0 if bench.report.right else 1


if __name__ == "__main__":
    raise SystemExit(main())
