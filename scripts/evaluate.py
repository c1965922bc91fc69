#!/usr/bin/env python
"""Judge encoders and stages of retrieval on relevance packs, across languages and genders, and by the clock.

    .venv/bin/python scripts/evaluate.py --encoder all-MiniLM-L6-v2/int8 --encoder default --json report.json

Texts go the service's own way (`load_embedder`, `embed_parts`). Vectors are kept below `var/evaluation`, so that a
second run takes a minute or two. An encoder is `default`, a name or path that `load_embedder` knows, or `FOLDER/int8`,
the export that the service would serve. See `evaluation/README.md`.
"""

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from evaluation import floors, latency, own, packs, parity, stages, targets  # noqa: E402 - idem
from evaluation.encoders import BASELINE_SERVED, Vectors, load  # noqa: E402 - idem
from evaluation.report import Figure, Report  # noqa: E402 - idem

from app.matching.embedder import EmbedderError  # noqa: E402 - the project's folder must be on the path first

SECTIONS = ("packs", "sts", "overlap", "gender", "latency")

POOLS: dict[str, tuple[str, ...]] = {"mixed pool": own.LANGUAGES, "English pool": ("en",), "territory alone": ()}
"""What the triples are ranked against: the languages of the texts beside the territory's (`own.pool`)."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="*", type=Path, help="folders of packs; default ../shared/data/packs")
    parser.add_argument("--encoder", action="append", help="may be given several times; default: default")
    parser.add_argument("--stage", action="append", choices=stages.names(), help="default: every stage")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="default: every section")
    parser.add_argument("--only", action="append", default=[], help="packs whose name contains this")
    parser.add_argument("--data", type=Path, default=packs.SHARED, help="the shared data; default ../shared/data")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--floors", action="store_true", help="print the table of floors for the default encoder")
    return parser.parse_args()


def say(line: str) -> None:
    """Show progress on standard error."""
    print(line, file=sys.stderr, flush=True)


class Evaluation:
    """One run over several encoders."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._names: list[str] = list(dict.fromkeys(options.encoder or ["default"]))
        self._sections: list[str] = options.section or list(SECTIONS)
        self._data: Path | None = options.data if options.data.exists() else None
        self.report = Report({"models": {}})

    def run(self) -> Report:
        """Evaluate every encoder in every section that is wanted; EmbedderError when one cannot be loaded."""
        folders = packs.folders(self._options.packs or [self._options.data / "packs"], self._options.only)
        for name in self._names:
            vectors = Vectors(load(name), say=say)
            self.report.facts["models"][name] = vectors.embedder.model_key
            if "packs" in self._sections:
                self._packs(name, vectors, folders)
            if "sts" in self._sections and self._data is not None and (self._data / "sts").exists():
                self._sts(name, vectors, self._data)
            if "overlap" in self._sections:
                self._overlap(name, vectors)
            if "gender" in self._sections:
                self._gender(name, vectors)
        if "latency" in self._sections:
            self._latency()
        return self.report

    def _add(
        self, name: str, metric: str, encoder: str, value: float, target: float | None = None,
        *, stage: str = "dense", most: bool = False, details: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.report.figures.append(Figure(name, metric, encoder, stage, value, target, most, details))

    def _packs(self, encoder: str, vectors: Vectors, folders: list[Path]) -> None:
        for folder in folders:
            pack = packs.read(folder)
            metric = targets.METRIC_OF.get(pack.name, pack.metric)
            for stage in self._options.stage or stages.names():
                found = stages.score(pack, stage, vectors)
                say(f"{pack.name} {encoder} {stage}: {metric} {found[metric]}")
                target = targets.TARGETS.get(pack.name)
                self._add(pack.name, metric, encoder, found[metric], target, stage=stage, details=found)

    def _sts(self, encoder: str, vectors: Vectors, data: Path) -> None:
        found = parity.sts(vectors, data)
        english = found.get("en")
        known = [figure for figure in self.report.figures if figure.encoder == BASELINE_SERVED]
        baseline = next((figure.value for figure in known if figure.name == "sts_en"), None)
        for language, value in found.items():
            target = baseline and baseline - targets.STS_LOSS
            if language != "en":
                target = english and english - targets.STS_GAP
            self._add(f"sts_{language}", "Spearman", encoder, value, target and round(target, 4))

    def _overlap(self, encoder: str, vectors: Vectors) -> None:
        for pool, languages in POOLS.items():
            found = parity.overlap(vectors, self._data, languages)
            self._add(f"triples, {pool}", "overlap@5", encoder, found.mean, targets.OVERLAP, details=found.parts)
            say(f"overlap@5 {encoder}, {pool} of at least {found.size} texts: {found.mean} {found.parts}")
        if "lexical" in (self._options.stage or stages.names()):
            found = parity.overlap(vectors, self._data, words=True)
            name = "triples, mixed pool"
            self._add(name, "overlap@5", encoder, found.mean, targets.OVERLAP, stage="lexical", details=found.parts)

    def _gender(self, encoder: str, vectors: Vectors) -> None:
        found = parity.gender(vectors, self._data)
        self._add("gender", "RBO .9", encoder, found.mean, targets.PARITY, details=found.parts)
        say(f"gender {encoder}, at least {found.size} labels: {found.mean} {found.parts}")

    def _latency(self) -> None:
        found = latency.single_text(self._names)
        served, plain = found[BASELINE_SERVED], found[latency.PLAIN]
        for name, value in found.items():
            target = served if name in self._names else None
            self._add("one text", "ms", name, value, target, most=True)
            if name in self._names:
                self._add("one text", "x plain", name, round(plain / value, 2), targets.TIMES_PLAIN)


def main() -> int:
    """Run, print the table and write the JSON; 2 when an encoder or the packs are not there."""
    options = arguments()
    try:
        if options.floors:
            print(floors.table(Vectors(load("default"), say=say), options.data))
            return 0
        report = Evaluation(options).run()
    except (EmbedderError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report.table())
    if options.json:
        report.write(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
