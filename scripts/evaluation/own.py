"""Our own data, one text in three languages and titles in two genders, and the pools in which they are ranked."""

import csv
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.matching.documents import Parts
from app.matching.kinds import MATCH_KINDS, MatchKind, ProfileKind
from app.profiles.composition import parts
from evaluation.packs import SHARED, lines

HERE = Path(__file__).resolve().parent
TERRITORY = HERE.parent / "territory"

SIDES = {
    ProfileKind.SKILL_NEED: (ProfileKind.TRAINING_OFFER, "training_offers"),
    ProfileKind.TRAINING_OFFER: (ProfileKind.SKILL_NEED, "skill_needs"),
    ProfileKind.PITCH: (ProfileKind.PRIORITY, "priorities"),
    ProfileKind.PRIORITY: (ProfileKind.PITCH, "pitches"),
}
"""The kind of a triple → the kind that answers it, and its file of the demonstration territory."""

LANGUAGES = ("es", "pt", "en")
DESCRIPTIONS = 600
PROJECTS = 200
SHORTEST = 60
"""Background texts of a pool: ESCO occupation descriptions, a third of them in each language that there is, and EU
projects of each of our three languages, in characters not shorter than `SHORTEST`."""


class Triple(NamedTuple):
    """One text, as it would be written in each language."""

    kind: ProfileKind
    es: str
    pt: str
    en: str

    @property
    def texts(self) -> tuple[str, str, str]:
        """The three texts."""
        return self.es, self.pt, self.en


class Titles(NamedTuple):
    """A job title for a man and for a woman."""

    language: str
    masculine: str
    feminine: str


def triples() -> list[Triple]:
    """Return the triples, written for this project."""
    return [Triple(ProfileKind(row["kind"]), row["es"], row["pt"], row["en"]) for row in _table(HERE / "triples.tsv")]


def titles() -> list[Titles]:
    """Return the pairs of titles, written for this project."""
    return [Titles(row["language"], row["masculine"], row["feminine"]) for row in _table(HERE / "gender.tsv")]


def match_kind(kind: ProfileKind) -> MatchKind:
    """Return the kind of match in which triples of that kind are answered."""
    sides = {kind, SIDES[kind][0]}
    return next(found for found in MATCH_KINDS.values() if {found.seeker, found.offer} == sides)


def pool(kind: ProfileKind, shared: Path | None = SHARED, languages: Sequence[str] = LANGUAGES) -> list[Parts]:
    """Return what a triple of that kind is ranked against: the territory's answering profiles, among other texts.

    The others are occupation descriptions and EU projects chosen by hash, in `languages`; there are none where no
    language is wanted, and without the shared data (None) they are the triples of other kinds.
    """
    answering, name = SIDES[kind]
    own = [_profile(answering, item) for item in _items(TERRITORY / f"{name}.jsonl")]
    if not languages:
        return own
    if shared is None or not (shared / "esco").exists():
        return own + [Parts(text=text) for triple in triples() if triple.kind != kind for text in triple.texts]
    return own + list(_background(shared, tuple(languages)))


def occupation_labels(language: str, shared: Path | None = SHARED) -> list[str]:
    """Return ESCO's occupation labels in a language (of Spanish for Catalan, which ESCO does not have), each once.

    Without the shared data: the titles of `titles`, of every language.
    """
    path = (shared or Path()) / "esco_labels_21_languages" / "esco_occupation_isco_labels_21langs.tsv.gz"
    if shared is None or not path.exists():
        return list(dict.fromkeys(title for pair in titles() for title in (pair.masculine, pair.feminine)))
    known = "es" if language == "ca" else language
    return list(
        dict.fromkeys(
            row["label"] for row in _table(path) if row["lang"] == known and not row["concept"].startswith("isco/")
        )
    )


def sts_languages(shared: Path = SHARED) -> list[str]:
    """Return the languages that have sentence pairs."""
    return sorted(path.stem.removeprefix("dev_") for path in (shared / "sts").glob("dev_*.tsv"))


def sts(language: str, shared: Path = SHARED) -> list[tuple[str, str, float]]:
    """Return sentence pairs with the similarity that people gave them, 0 to 5."""
    rows = _table(shared / "sts" / f"dev_{language}.tsv")
    return [(row["sentence1"], row["sentence2"], float(row["score"])) for row in rows]


def _profile(kind: ProfileKind, item: dict[str, Any]) -> Parts:
    outcomes = item.get("learning_outcomes", ())
    text = item.get("text") or ("\n".join(outcomes) or None)
    return parts(kind, item["title"], text, item)


@functools.cache
def _background(shared: Path, languages: tuple[str, ...]) -> tuple[Parts, ...]:
    return (*_descriptions(shared, languages), *_projects(shared, languages))


def _descriptions(shared: Path, languages: Sequence[str]) -> Iterator[Parts]:
    """Yield descriptions of different occupations: each is given in one language only."""
    chosen: dict[str, dict[str, str]] = {}
    for row in _table(shared / "esco" / "occupations_en_es_de_v1.2.tsv.gz"):
        if row["description"]:
            chosen.setdefault(row["id"], {})[row["lang"]] = row["description"]
    for place, key in enumerate(sorted(chosen, key=_hash)[:DESCRIPTIONS]):
        given = sorted(set(chosen[key]) & set(languages)) or ["en"]
        yield Parts(text=chosen[key][given[place % len(given)]])


def _projects(shared: Path, languages: Sequence[str]) -> Iterator[Parts]:
    """Yield projects: title and summary, or the title alone, which is all that Spanish and Portuguese lists give."""
    found: dict[str, list[tuple[str, str, str]]] = {language: [] for language in languages}
    for row in _table(shared / "eu_projects" / "projects.tsv.gz"):
        if row["lang"] in found and len(row["title"] + row["summary"]) > SHORTEST:
            title = row["title"].capitalize() if row["title"].isupper() else row["title"]
            found[row["lang"]].append((_hash(row["id"]), title, row["summary"][:600]))
    for rows in found.values():
        for _, title, summary in sorted(rows)[: PROJECTS * len(LANGUAGES) // len(languages)]:
            yield Parts(title=title or None, text=summary or title)


def _items(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(path)]


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(lines(path), delimiter="\t", quoting=csv.QUOTE_NONE))


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
