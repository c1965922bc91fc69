"""Dense and lexical fused: FTS5's bm25 over stemmed words, as SQLite would serve it. `README.md` has the figures."""

import functools
import math
import re
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
import Stemmer
from numpy.typing import NDArray

from app.matching.letters import plain
from app.taxonomy.languages import detect_language
from evaluation.encoders import Vectors
from evaluation.packs import Pack, PackText

WEIGHT = 0.15
"""Share of the lexical part, fitted on one half of the queries of every same-language pack and judged on the other."""

COMMON = 0.1
"""A word that more than this share of the rows has is a stop word: no lists to keep, whatever the language."""

STEMMERS = {
    "ca": "catalan",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fr": "french",
    "gl": "portuguese",
    "it": "italian",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
}
"""Language → Snowball's stemmer; Galician has none and takes the nearest. Other languages' words stay as they are."""

_WORD = re.compile(r"\w+")


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text's words, in order, without accents (as FTS5 would drop them)."""
    words = _WORD.findall(text.casefold())
    stemmer = _stemmer(language)
    return [plain(stem) for stem in (stemmer.stemWords(words) if stemmer else words)]


class LexicalIndex:
    """An FTS5 table of a corpus, in memory."""

    def __init__(self, rows: Sequence[PackText]) -> None:
        self._size = len(rows)
        self._database = sqlite3.connect(":memory:")
        run = self._database.execute
        run("CREATE VIRTUAL TABLE words USING fts5(stems, content='', tokenize='unicode61 remove_diacritics 2')")
        self._database.executemany(
            "INSERT INTO words(rowid, stems) VALUES (?, ?)",
            ((place, " ".join(stems(row.text, row.language))) for place, row in enumerate(rows)),
        )
        run("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row)")
        self._rows_with: dict[str, int] = dict(run("SELECT term, doc FROM vocabulary").fetchall())

    def close(self) -> None:
        """Give the memory back."""
        self._database.close()

    def search(self, query: PackText) -> NDArray[np.float64]:
        """Return bm25 of every row, the greater the better; 0 where no word is shared, or only stop words are."""
        most = math.ceil(COMMON * self._size)
        words = [word for word in dict.fromkeys(stems(query.text, query.language)) if self._rows_with.get(word)]
        wanted = " OR ".join(f'"{word}"' for word in words if self._rows_with[word] <= most)
        found = np.zeros(self._size)
        if wanted:
            asked = self._database.execute("SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?", (wanted,))
            for place, value in asked:
                found[place] = value
        return found


class OwnLanguage:
    """Words of rows in several languages, as on a shelf of the service: only rows of the query's language count.

    The rows' languages are guessed as the service guesses them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        guessed = [detect_language(text) for text in texts]
        languages = [found[0] if found else "" for found in guessed]
        rows = [PackText("", "", language, text) for language, text in zip(languages, texts, strict=True)]
        self._languages = np.array(languages)
        self._index = LexicalIndex(rows)

    def close(self) -> None:
        """Give the memory back."""
        self._index.close()

    def search(self, text: str, language: str) -> NDArray[np.float64]:
        """Return bm25 of every row, 0 for those of other languages."""
        found = self._index.search(PackText("", "", language, text))
        found[self._languages != language] = 0
        return found


def fuse(cosine: NDArray[np.floating], words: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return (1 - w) x cosine + w x bm25 / the query's best bm25; `w` is `WEIGHT`."""
    best = words.max()
    return np.asarray((1 - WEIGHT) * cosine + WEIGHT * (words / best if best > 0 else 0))


def fused(pack: Pack, vectors: Vectors) -> Iterator[NDArray[np.floating]]:
    """Yield, per query, cosine and words as `fuse` joins them; the cosine alone where the languages differ."""
    index = LexicalIndex(pack.corpus) if pack.monolingual else None
    corpus = vectors.documents([row.text for row in pack.corpus])
    for query, vector in zip(pack.queries, vectors.queries([query.text for query in pack.queries]), strict=True):
        cosine = corpus @ vector
        if index is None:
            yield cosine
            continue
        lexical = index.search(query)
        itself = pack.dropped(query)
        if itself is not None:
            lexical[itself] = 0
        yield fuse(cosine, lexical)
    if index is not None:
        index.close()


@functools.cache
def _stemmer(language: str) -> "Stemmer.Stemmer | None":
    return Stemmer.Stemmer(STEMMERS[language]) if language in STEMMERS else None
