"""What the encoder learns from: texts with a known licence, and what the relevance packs ask for left out.

Everything but our own texts (the tables beside this file) is read from `../shared/data`; each folder's README there
names origin and licence. Only rows whose licence allows passing the weights on are read.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("es", "pt", "fr", "it", "de", "ca", "gl", "eu", "ro", "pl", "nl")
"""The languages beside English."""

PROJECT_LANGUAGES: Final = ("en", "es", "pt", "fr", "it", "de")
PHRASE_LANGUAGES: Final = ("fr", "fr", "de", "it", "pt", "es", "ro", "pl", "ca")
TITLE_LANGUAGES: Final = ("de", "de", "de", "de", "fr", "it", "es", "pt", "ro", "pl")
"""Columns of `projects.tsv` behind the field, of `competences.tsv` behind the skill and of `titles.tsv` behind the
occupation."""

LICENCES: Final = frozenset({"CC-BY-4.0", "Apache-2.0", "EUPL-1.2", "MIT", "BSD-3-Clause"})
"""Licences of parallel text that the weights are trained on; copyleft and unverified rows are not."""

_HERE: Final = Path(__file__).parent
_LIFE: Final = 5_100
"""The first rows of `everyday.tsv` are about everyday life; behind them come work, regions and clusters too."""

_UNIT: Final = 4
"""Digits of a unit group; ESCO's codes go on behind them."""

_HELD_OUT: Final = ("esco_need_en_to_skills_en", "esco_need_de_to_skills_en")


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and the English text that means the same."""

    lang: str
    text: str
    english: str
    source: str


@dataclass(slots=True)
class Concept:
    """An ESCO skill or occupation: labels by language (the preferred one first) and descriptions by language."""

    labels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    descriptions: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sources:
    """All that is learnt from."""

    pairs: list[Pair]
    skills: dict[str, Concept]
    occupations: dict[str, Concept]
    essential: dict[str, frozenset[str]]
    """Occupation → its essential skills, without the occupations that the need packs ask for."""
    related: dict[str, frozenset[str]]
    """Occupation → all its skills, so that an optional one is never taken for a wrong answer."""
    advertisements: list[tuple[str, str, str]]
    """(skill, language, sentence of a job advertisement), our own."""
    projects: list[tuple[str, list[str]]]
    """(EU intervention field, a project of that field in `PROJECT_LANGUAGES`), our own."""
    life: list[list[str]]
    """Sentences that are about no field of intervention, each in all languages, our own."""
    groups: dict[str, str] = field(default_factory=dict)
    """Occupation → its unit group of ISCO-08."""


def read(data: Path, *, leave_out: str = "") -> Sources:
    """Read everything below `data` (the folder `shared/data`).

    `leave_out` begins the source names of parallel rows to drop, for ablations ("eforms-code:cpv").
    """
    skills = _skills(data)
    essential, related = _relations(data)
    projects = [(field, texts) for field, *texts in rows(_HERE / "projects.tsv")]
    occupations = _occupations(data)
    return Sources(
        pairs=[pair for pair in _pairs(data, projects) if not leave_out or not pair.source.startswith(leave_out)],
        skills=skills,
        occupations=occupations,
        essential=essential,
        related=related,
        advertisements=[(row[0], row[1], row[2]) for row in rows(_HERE / "job_ads.tsv") if row[0] in skills],
        projects=projects,
        life=list(islice(rows(_HERE / "everyday.tsv"), _LIFE)),
        groups={row[0]: row[1][:_UNIT] for row in rows(data / "esco" / "occupations_en_es_de_v1.2.tsv.gz")},
    )


def rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a TSV file, gzipped or not, below its header."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader, None)
        yield from reader


def _pairs(data: Path, projects: list[tuple[str, list[str]]]) -> Iterator[Pair]:
    for lang in LANGUAGES:
        for name in (f"{lang}-en.tsv.gz", f"{lang}-en.labels.tsv.gz"):
            for text, english, source, licence, _kind in rows(data / "parallel" / name):
                if licence in LICENCES:
                    yield Pair(lang, text, english, source)
    for english, *texts in rows(_HERE / "everyday.tsv"):
        for lang, text in zip(LANGUAGES, texts, strict=True):
            yield Pair(lang, text, english, "everyday")
    for _, (english, *texts) in projects:
        for lang, text in zip(PROJECT_LANGUAGES[1:], texts, strict=True):
            yield Pair(lang, text, english, "projects")
    yield from _groups(data)


def _groups(data: Path) -> Iterator[Pair]:
    """Labels and descriptions of ISCO and skill groups."""
    found = [
        Pair(lang, label, row[1], "isco")
        for row in rows(data / "esco" / "isco_groups_multi.tsv")
        for lang, label in zip(("es", "de", "fr"), row[2:5], strict=True)
    ]
    for row in rows(data / "esco" / "skill_groups_multi.tsv"):
        for place, lang in enumerate(("es", "de")):
            found.append(Pair(lang, row[3 + place], row[2], "skill-group"))
            found.append(Pair(lang, row[6 + place], row[5], "skill-group"))
    return (pair for pair in found if pair.text and pair.english)


def _skills(data: Path) -> dict[str, Concept]:
    skills: dict[str, Concept] = {}
    for identifier, _type, _reuse, label, alternatives, description in rows(data / "esco" / "skills_en_v1.1.1.tsv.gz"):
        concept = skills[identifier] = Concept()
        concept.labels["en"] = _unique([label, *alternatives.split("|")])
        concept.descriptions["en"] = description
    for identifier, lang, kind, label in rows(data / "esco" / "skill_labels_es_fr_v1.0.tsv.gz"):
        if identifier in skills:
            known = skills[identifier].labels[lang]
            known.insert(0, label) if kind == "pref" else known.append(label)
    for row in rows(data / "competences" / "be_competent_fr_nl_esco.tsv.gz"):
        identifier, esco_nl, _code, label_fr, label_nl, relation = row
        if identifier in skills:
            concept = skills[identifier]
            concept.labels["nl"] = _unique([esco_nl, *concept.labels["nl"]])
            # A broader or narrower competence is near its skill, not the same: it counts as an alternative label.
            if label_fr and relation in {"skos:exactMatch", "skos:closeMatch"}:
                concept.labels["fr"].append(label_fr)
            if label_nl and relation in {"skos:exactMatch", "skos:closeMatch"}:
                concept.labels["nl"].append(label_nl)
    for identifier, *phrases in rows(_HERE / "competences.tsv"):
        for lang, phrase in zip(PHRASE_LANGUAGES, phrases, strict=True):
            skills[identifier].labels[lang].append(phrase)
    return skills


def _occupations(data: Path) -> dict[str, Concept]:
    occupations: dict[str, Concept] = defaultdict(Concept)
    wanted = {"en", *LANGUAGES}
    folder = data / "esco_labels_21_languages"
    for concept, lang, label in rows(folder / "esco_occupation_isco_labels_21langs.tsv.gz"):
        if lang in wanted:
            occupations[concept.rpartition("/")[2]].labels[lang].append(label)
    for row in rows(data / "esco" / "occupations_en_es_de_v1.2.tsv.gz"):
        identifier, _code, lang, label, alternatives, description = row
        concept_ = occupations[identifier]
        concept_.labels[lang] = _unique([label, *alternatives.split("|"), *concept_.labels[lang]])
        if description:
            concept_.descriptions[lang] = description
    for uri, _label, _national, title, relation in rows(data / "competences" / "fr_national_occupations_esco.tsv.gz"):
        identifier = uri.rpartition("/")[2]
        if identifier in occupations and relation in {"skos:exactMatch", "skos:closeMatch", "skos:narrowMatch"}:
            occupations[identifier].labels["fr"].append(title)
    _add_our_titles(occupations)
    return {identifier: concept for identifier, concept in occupations.items() if concept.labels["en"]}


def _add_our_titles(occupations: dict[str, Concept]) -> None:
    for identifier, *titles in rows(_HERE / "titles.tsv"):
        for lang, title in zip(TITLE_LANGUAGES, titles, strict=True):
            if title:  # what a public pack asks for is left out
                occupations[identifier].labels[lang].append(title)
    for number, (english, *titles) in enumerate(rows(_HERE / "trades.tsv")):
        labels = occupations[f"trade-{number}"].labels
        labels["en"] = [english]
        for lang, title in zip(LANGUAGES, titles, strict=True):
            labels[lang] = [title]


def _relations(data: Path) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    held_out = {row[0] for name in _HELD_OUT for row in rows(data / "packs" / name / "queries.tsv")}
    essential, related = defaultdict(set), defaultdict(set)
    for occupation, skill, relation in rows(data / "esco" / "occupation_skill_v1.1.1.tsv.gz"):
        related[occupation].add(skill)
        if relation == "essential" and occupation not in held_out:
            essential[occupation].add(skill)
    return ({k: frozenset(v) for k, v in essential.items()}, {k: frozenset(v) for k, v in related.items()})


def _unique(labels: list[str]) -> list[str]:
    return list(dict.fromkeys(label for label in labels if label))
