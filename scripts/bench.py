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
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np  # noqa: E402 - after the threads are set

from app import log  # noqa: E402 - the project's folder must be on the path first
from app.db.session import Database  # noqa: E402
from app.matching.embedder import Embedder, load_embedder  # noqa: E402
from app.suggestions.projection import Projection  # noqa: E402
from benchmark import load, measure  # noqa: E402
from benchmark.corpus import CACHE, SOURCE, Corpus, Embedded, MissingTextsError, Row, embedded  # noqa: E402
from benchmark.processes import Worker  # noqa: E402
from benchmark.report import Report  # noqa: E402

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
        self._corpus = Corpus(options.texts)
        self._options = options
        self._effort = measure.QUICK if options.quick else measure.FULL
        self._work: Path = options.work
        self._work.mkdir(parents=True, exist_ok=True)
        self._embedder: Embedder = load_embedder()
        self.report = Report({"machine": machine(), "model": self._embedder.model_key})

    def wants(self, section: str) -> bool:
        """Tell whether a section is to be run."""
        return self._options.only in (None, section)

    def run(self) -> None:
        """Run every section that is wanted."""
        if self.wants("encoder"):
            say("Encoder …")
            with Worker("ours") as ours, Worker("plain") as plain:
                measure.encoder(self.report, self._corpus, ours, plain, self._effort)
        if self.wants("ingest"):
            say("Ingest of texts …")
            with Worker("ours") as ours, Worker("plain") as plain:
                folder = self._folder("ingest")
                measure.ingest(self.report, self._corpus, ours, plain, folder, self._effort)
                self._tidy(folder)
        sizes = [*self._options.sizes, *([1_000_000] if self._options.million else [])]
        for size in dict.fromkeys(sizes):
            self._size(size)

    def _size(self, size: int) -> None:
        say(f"{size:,} profiles …")
        rows = self._corpus.documents(size)
        folder = self._folder(f"size-{size}")
        vectors = embedded(self._embedder, rows, self._corpus.distinct, self._work, say)
        asked = self._corpus.questions(self._effort.questions)
        np.save(folder / "vectors.npy", vectors.vectors)
        np.save(folder / "questions.npy", self._embedder.embed_queries(asked))
        listed = [[row.ref, row.country, row.title, row.text] for row in rows]
        (folder / "rows.json").write_text(json.dumps(listed), encoding="utf-8")
        with Worker("index", str(folder)) as index:
            if self.wants("search"):
                say("  search within a mask …")
                measure.search(self.report, size, rows, index, self._effort)
            if self.wants("request"):
                database = folder / "puente.db"
                key = self._load(size, database, rows, vectors)
                with Worker("ours") as ours:
                    say("  requests over HTTP …")
                    setting = measure.Setting(size, rows, vectors.vectors, folder, database, key)
                    measure.requests(self.report, setting, self._corpus, ours, index, self._embedder, self._effort)
        self._tidy(folder)

    def _load(self, size: int, database: Path, rows: list[Row], vectors: Embedded) -> str:
        """Fill the database with given vectors, measure that and the index's filling, and return an API key."""
        say("  loading with given vectors …")
        owners, key = load.create(database, [*rows, load.ONLY])
        opened = Database(str(database))
        tell = partial(_tell_loaded, size, [time.monotonic()])
        stored = load.fill(opened, self._embedder, rows, vectors, owners, tell)
        load.add_only(opened, self._embedder, owners)
        fills = [self._filled(opened) for _ in range(self._effort.fills)]
        opened.erase_traces()
        opened.close()
        rebuild = float(np.median(fills))
        self.report.add(size, "ingest with given vectors, into SQL + index", len(rows) / (stored + rebuild), "rows/s", 10_000)
        self.report.add(size, "  into SQL alone", len(rows) / stored, "rows/s")
        self.report.add(size, "index filled anew from SQL", rebuild, "s")
        self.report.add(size, "database on disk", database.stat().st_size / 1e6, "MB")
        return key

    def _filled(self, database: Database) -> float:
        projection = Projection(database, self._embedder.model_key, self._embedder.dim)
        started = time.perf_counter()
        projection.catch_up()
        return time.perf_counter() - started

    def _folder(self, name: str) -> Path:
        folder = self._work / name
        folder.mkdir(exist_ok=True)
        return folder

    def _tidy(self, folder: Path) -> None:
        if not self._options.keep:
            shutil.rmtree(folder)


def _tell_loaded(size: int, last: list[float], done: int) -> None:
    """Say how far the loading is, every five seconds."""
    if time.monotonic() - last[0] > 5:
        last[0] = time.monotonic()
        say(f"    {done:,} of {size:,}")


def main() -> int:
    """Run the benchmark; 0 when it ran, whether or not the targets are met, 2 when it could not."""
    options = arguments()
    log.configure("WARNING")
    try:
        bench = Bench(options)
    except MissingTextsError as error:
        say(f"bench: {error}")
        return 2
    write: Callable[[], None] = lambda: bench.report.write(options.out)  # noqa: E731 - used twice, once below
    try:
        bench.run()
    finally:
        bench.report.facts["machine"]["load_at_end"] = os.getloadavg()
        if options.out:
            write()
    print(bench.report.table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
