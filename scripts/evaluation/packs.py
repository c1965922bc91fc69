"""Relevance packs: queries, a corpus and which groups of its rows are relevant.

The format is that of `../shared/data/packs`: `queries.tsv` (qid, lang, text), `corpus.tsv.gz` (id, group, lang, text),
`qrels.tsv` (qid, group) and `task.json`. A row of the corpus is relevant when its group is in the query's qrels.
"""

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared" / "data"

MAIN_METRICS = (
    ("accuracy@1", "accuracy@1"),
    ("ndcg@20", "nDCG@20"),
    ("rp@5", "MRR"),
    ("map", "MAP"),
    ("precision@10", "P@10"),
    ("mrr", "MRR"),
)
"""What a pack's `task.json` says of its metric → the metric that it is judged by, the first that fits."""

THREE_LETTERS = {"fra": "fr", "cat": "ca", "eng": "en"}
"""Codes of the Tatoeba packs."""


class PackText(NamedTuple):
    """A query or a row of a corpus: `key` is its query's id, or its group."""

    id: str
    key: str
    language: str
    text: str


@dataclass(frozen=True)
class Pack:
    """One task. Rows without a relevant one are kept: a query that nothing answers counts as 0."""

    name: str
    metric: str
    queries: tuple[PackText, ...]
    corpus: tuple[PackText, ...]
    relevant: dict[str, frozenset[str]]
    drops_itself: bool
    """Whether the query's own string stands unlabelled in the corpus and must not be ranked."""

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The group of each row of the corpus, as a number: texts would be slow to compare by the million."""
        return np.array([self._number[row.key] for row in self.corpus])

    @cached_property
    def _number(self) -> dict[str, int]:
        named = [row.key for row in self.corpus] + [group for groups in self.relevant.values() for group in groups]
        return {group: number for number, group in enumerate(dict.fromkeys(named))}

    def wanted(self, query: PackText) -> frozenset[int]:
        """Return the numbers of the groups that are relevant to a query, also of those that the corpus lacks."""
        return frozenset(self._number[group] for group in self.relevant.get(query.id, ()))

    @cached_property
    def _folded(self) -> NDArray[np.str_]:
        return np.array([row.text.lower() for row in self.corpus])

    def dropped(self, query: PackText) -> NDArray[np.bool_] | None:
        """Which rows of the corpus are the query itself; None where that does not matter."""
        return self._folded == query.text.lower() if self.drops_itself else None

    @property
    def monolingual(self) -> bool:
        """Whether queries and corpus are written in one language."""
        return len({row.language for row in (*self.queries, *self.corpus)}) == 1

    def only(self, queries: Iterable[PackText]) -> "Pack":
        """Return the same task with some of its queries."""
        return replace(self, queries=tuple(queries))


def read(folder: Path) -> Pack:
    """Read a pack's folder; OSError or ValueError when it is none.

    Queries in capitals (Spanish MELO) are lower-cased: encoders that keep the case read capitals as acronyms.
    """
    task = json.loads((folder / "task.json").read_text("utf-8"))
    relevant: dict[str, set[str]] = defaultdict(set)
    for qid, group in _rows(folder / "qrels.tsv"):
        relevant[qid].add(group)
    return Pack(
        name=folder.name,
        metric=_main_metric(task["metric"]),
        queries=tuple(
            PackText(qid, qid, THREE_LETTERS.get(language, language), text.lower() if text.isupper() else text)
            for qid, language, text in _rows(folder / "queries.tsv")
        ),
        corpus=tuple(
            PackText(row, group, THREE_LETTERS.get(language, language), text)
            for row, group, language, text in _rows(folder / "corpus.tsv.gz")
        ),
        relevant={qid: frozenset(groups) for qid, groups in relevant.items()},
        drops_itself="talentclef25" in task["name"],
    )


def folders(places: Sequence[Path], wanted: Sequence[str] = ()) -> list[Path]:
    """Return the folders of packs below `places`, by name; `wanted` keeps those whose name contains one of them."""
    found = sorted({task.parent for place in places for task in place.glob("*/task.json")}, key=lambda path: path.name)
    return [path for path in found if not wanted or any(word in path.name for word in wanted)]


def sample(pack: Pack, queries: int, rows: int) -> Pack:
    """Return a smaller task: the first `queries` by hash, every row that is relevant to them, and rows by hash.

    The corpus has at least `rows` rows where the pack has as many. The same on every machine and in every run.
    """
    kept = sorted(pack.queries, key=lambda query: _hash(query.id))[:queries]
    groups = {group for query in kept for group in pack.relevant.get(query.id, ())}
    needed = {row.id for row in pack.corpus if row.key in groups}
    others = sorted((row for row in pack.corpus if row.id not in needed), key=lambda row: _hash(row.id))
    chosen = needed | {row.id for row in others[: max(0, rows - len(needed))]}
    return replace(pack, queries=tuple(kept), corpus=tuple(row for row in pack.corpus if row.id in chosen))


def half(query: PackText) -> int:
    """Return 0 or 1, by hash: which half of its pack a query belongs to when weights are fitted and judged."""
    return _hash(f"half {query.id}") & 1


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _main_metric(words: str) -> str:
    return next(metric for word, metric in MAIN_METRICS if word in words.lower())


def lines(path: Path) -> list[str]:
    """Return the lines of a text file that may be compressed, without their ends."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8").rstrip("\n").split("\n")


def _rows(path: Path) -> Iterable[list[str]]:
    return [line.split("\t") for line in lines(path)[1:]]
