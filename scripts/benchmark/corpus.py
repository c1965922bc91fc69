"""Real texts: titles and summaries of EU projects, in 18 languages, with their countries and regions.

The rows stand in one fixed order (shuffled by a seed), so that the first 10,000 are part of the first 100,000, and
questions are taken from the end of it: a question is never one of the texts that are searched.
"""

import gzip
import hashlib
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.types import Matrix, Passages
from app.taxonomy.nuts import is_nuts

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT.parent / "shared" / "data" / "eu_projects" / "projects.tsv.gz"
CACHE = ROOT / "var" / "bench"

SEED = 2027
HELD_OUT = 3_000
"""Rows at the end of the order that are asked and never searched."""

CHUNK = 2_500
"""Rows whose vectors are kept in one file: an interrupted run goes on behind the last full one."""

NOISE = 0.02
"""Length of the noise added to the vector of a repeated text, so that repetitions are near and not equal."""

_SPACE = re.compile(r"\s+")


class MissingTextsError(Exception):
    """The real texts are not on this machine."""


@dataclass(frozen=True, slots=True)
class Row:
    """One project: `text` is its summary, or its whole title where it has none."""

    ref: str
    country: str
    nuts_code: str | None
    language: str | None
    title: str
    text: str

    @property
    def plain(self) -> str:
        """What an encoder without our passages is given: the same words, once."""
        return self.text if self.text.startswith(self.title) else f"{self.title}. {self.text}"

    @property
    def parts(self) -> Parts:
        """What Puente embeds of it."""
        return Parts(title=self.title, text=self.text)


def _clean(value: str) -> str:
    return _SPACE.sub(" ", "".join(c if c.isprintable() else " " for c in value)).strip()


def _read(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split("\t")
        for line in lines:
            cells = dict(zip(names, line.rstrip("\n").split("\t"), strict=True))
            title, summary = _clean(cells["title"]), _clean(cells["summary"])
            text = summary or title
            if not any(c.isalnum() for c in text):
                continue
            region = cells["region"] if cells["region"].startswith(cells["country"]) else ""
            yield Row(
                cells["id"].lower(),
                cells["country"],
                region if region and is_nuts(region) else None,
                cells["lang"] or None,
                (title or summary)[:200].strip(),
                text,
            )


class Corpus:
    """The texts of a file like `projects.tsv.gz`; MissingTextsError when it is not there."""

    def __init__(self, path: Path = SOURCE) -> None:
        if not path.exists():
            raise MissingTextsError(
                f"the benchmark needs real texts, and {path} is not there: "
                "put the folder `shared` beside the project, or name another file with --texts"
            )
        self._rows = list(_read(path))
        random.Random(SEED).shuffle(self._rows)  # noqa: S311 - an order, not a secret
        self._held_out = min(HELD_OUT, len(self._rows) // 4)
        self.distinct = len(self._rows) - self._held_out
        """How many rows can be searched before they repeat."""

    def documents(self, size: int) -> list[Row]:
        """Return `size` rows to be searched; beyond the real ones they repeat, marked in ref and title."""
        rows = self._rows[: min(size, self.distinct)]
        turn = 1
        while len(rows) < size:
            turn += 1
            rows += [
                replace(row, ref=f"{row.ref}-{turn}", title=f"{row.title[:190]} ({turn})")
                for row in self._rows[: min(size - len(rows), self.distinct)]
            ]
        return rows

    def questions(self, count: int, *, letters: tuple[int, int] = (0, 10_000)) -> list[str]:
        """Return texts that are not searched, of a length in characters within `letters`."""
        held = (row.plain for row in reversed(self._rows[-self._held_out :]))
        return list(itertools.islice((text for text in held if letters[0] <= len(text) <= letters[1]), count))


def country_sets(rows: Sequence[Row], share: float, *, most: int = 4) -> list[tuple[list[str], float]]:
    """Return up to `most` sets of one or two countries that keep about `share` of the rows, the nearest first.

    With each set comes the share that it keeps.
    """
    sizes = Counter(row.country for row in rows)
    names = sorted(sizes)
    found = [([name], sizes[name] / len(rows)) for name in names]
    found += [([a, b], (sizes[a] + sizes[b]) / len(rows)) for a, b in itertools.combinations(names, 2)]
    near = [pair for pair in found if abs(pair[1] - share) <= share / 4]
    return sorted(near or found, key=lambda pair: abs(pair[1] - share))[:most]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of rows, in order: of the documents, (n, d), and of their passages, one below the other."""

    vectors: Matrix
    first: NDArray[np.int64]
    spans: NDArray[np.int32]
    passages: NDArray[np.float16]

    def passages_of(self, row: int) -> Passages:
        """Return the passages of one row; a repeated row has those of the first one."""
        place = row % (len(self.first) - 1)
        start, end = int(self.first[place]), int(self.first[place + 1])
        spans = tuple((int(a), int(b)) if a >= 0 else None for a, b in self.spans[start:end])
        return Passages(spans, self.passages[start:end].astype(np.float32), self.vectors[row])


def embedded(
    embedder: Embedder, rows: Sequence[Row], distinct: int, cache: Path, say: Callable[[str], None]
) -> Embedded:
    """Return the vectors of `rows`, whose first `distinct` do not repeat; each is computed once and kept.

    Kept in `cache`, by encoder and texts. Repeated rows get the vectors of the first ones, with a little noise.
    """
    own = rows[:distinct]
    folder = cache / "vectors" / embedder.model_key.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_chunk(embedder, own[start : start + CHUNK], folder, say) for start in range(0, len(own), CHUNK)]
    counts = np.concatenate([part["counts"] for part in parts])
    vectors = np.concatenate([part["vectors"] for part in parts])
    if len(rows) > len(own):
        vectors = _repeated(vectors, len(rows))
    return Embedded(
        vectors,
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([part["spans"] for part in parts]),
        np.concatenate([part["passages"] for part in parts]),
    )


def _chunk(
    embedder: Embedder, rows: Sequence[Row], folder: Path, say: Callable[[str], None]
) -> dict[str, NDArray[np.generic]]:
    digest = hashlib.blake2b("\x1e".join(f"{r.ref}\x1f{r.title}\x1f{r.text}" for r in rows).encode(), digest_size=8)
    path = folder / f"{digest.hexdigest()}.npz"
    if not path.exists():
        started = time.perf_counter()
        found = embed_parts(embedder, [row.parts for row in rows])
        temporary = path.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            vectors=np.stack([passages.vector for passages in found]),
            counts=np.array([len(passages.spans) for passages in found], dtype=np.int64),
            spans=np.array([s or (-1, -1) for passages in found for s in passages.spans], dtype=np.int32),
            passages=np.concatenate([passages.vectors for passages in found]).astype(np.float16),
        )
        temporary.replace(path)
        say(f"  embedded {len(rows)} texts in {time.perf_counter() - started:.0f} s ({path.name})")
    with np.load(path) as kept:
        return {name: kept[name] for name in ("vectors", "counts", "spans", "passages")}


def _repeated(vectors: Matrix, size: int) -> Matrix:
    """Return `vectors` followed by near repetitions of them, `size` rows in all, of length 1."""
    generator = np.random.default_rng(SEED)
    found = np.empty((size, vectors.shape[1]), dtype=np.float32)
    found[: len(vectors)] = vectors
    for start in range(len(vectors), size, len(vectors)):
        block = found[start : start + len(vectors)]
        noise = generator.standard_normal(block.shape, dtype=np.float32)
        np.multiply(noise, NOISE / np.sqrt(block.shape[1]), out=noise)
        np.add(vectors[: len(block)], noise, out=block)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return found
