"""Import a skill catalogue, and find its skills in texts."""

import hashlib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.errors import Conflict
from app.matching.embedder import Embedder
from app.matching.skills import LINKER, SIMILARITY, FoundSkill, SkillLinker
from app.matching.types import Matrix
from app.taxonomy.languages import normalise_language
from app.taxonomy.names import name_of
from app.taxonomy.repository import OBSOLETE, CatalogueRepository, Embedded, Head
from app.taxonomy.skills import Skill, SkillCatalogue, default_catalogue, load_skills
from app.taxonomy.ties import tie

_FILE = re.compile(r"skills_(?P<language>[A-Za-z-]{2,12})\.csv")
_VERSION = re.compile(r"v?(?P<version>\d+(?:\.\d+){1,3})", re.IGNORECASE)
_URI = re.compile(r"https?://[^\s\"<>]{1,112}")
_MAX_VERSION = 40
_ENGLISH = "en"
_BATCH = 2_000
QUESTION_PHRASES = 40
"""Phrases of a question that are compared by vector: a person waits. Of stored texts all are."""


class CatalogueFileError(ValueError):
    """The folder holds no catalogue that could be imported; the message says which file and why."""


class Found(NamedTuple):
    """The skills found in the named parts of a text, each once, and the stamp of what found them."""

    stamp: str
    skills: tuple[tuple[str, FoundSkill], ...]


def esco_version(folder: Path) -> str | None:
    """Return the version in the name of the folder or of the one around it, as the official download has it."""
    for name in (folder.resolve().name, folder.resolve().parent.name):
        found = _VERSION.search(name)
        if found:
            return found["version"]
    return None


def read_esco(folder: Path) -> SkillCatalogue:
    """Read `skills_<language>.csv` files of the official download from a folder and the folders in it.

    English comes first: its descriptions and statuses stand. Raises `CatalogueFileError`.
    """
    files: dict[str, Path] = {}
    for path in sorted([*folder.glob("skills_*.csv"), *folder.glob("*/skills_*.csv")]):
        named = _FILE.fullmatch(path.name)
        language = normalise_language(named["language"]) if named else None
        if language is None:
            raise CatalogueFileError(f"{path.name}: its name does not end in a language, as in skills_en.csv")
        if language in files:
            raise CatalogueFileError(f"{path.name}: there are two files of that language in the folder")
        files[language] = path
    if not files:
        raise CatalogueFileError(f"{folder}: there is no file such as skills_en.csv in it")
    found: SkillCatalogue | None = None
    for language in sorted(files, key=lambda language: (language != _ENGLISH, language)):
        own = _read_file(files[language], language)
        found = own if found is None else found.merged(own)
    assert found is not None  # noqa: S101 - for the type checker
    return found


def _read_file(path: Path, language: str) -> SkillCatalogue:
    try:
        own = load_skills(path, language)
    except UnicodeDecodeError as error:
        raise CatalogueFileError(f"{path.name}: not UTF-8") from error
    except (ValueError, OSError) as error:
        raise CatalogueFileError(f"{path.name}: {error}") from error
    if not len(own):
        raise CatalogueFileError(f"{path.name}: it holds no skills")
    for skill in own.all_skills():
        if not _URI.fullmatch(skill.id):
            raise CatalogueFileError(f"{path.name}: a conceptUri is no address of at most 120 characters")
    return own


class PreparedCatalogue(NamedTuple):
    """A catalogue ready to be stored, and what was stored when it was made; `vectors` lack what is stored already.

    `ties` give, by starter skill, the skill of the catalogue that means the same.
    """

    catalogue: SkillCatalogue
    head: Head
    vectors: Mapping[str, Embedded]
    ties: Mapping[str, str]
    before: Head | None
    tied: Mapping[str, str]

    @property
    def changed(self) -> bool:
        """Whether there is anything to store."""
        return (self.before, self.tied) != (self.head, self.ties)


class CatalogueService:
    """The imported catalogue, seen through one session."""

    def __init__(self, repository: CatalogueRepository, embedder: Embedder) -> None:
        self._repository = repository
        self._embedder = embedder

    def prepare(self, given: SkillCatalogue, version: str) -> PreparedCatalogue:
        """Join `given` with what is stored and embed what is new, outside of any write transaction.

        Languages that are given replace themselves; the others stay if the version is the same, else they go.
        """
        if not 0 < len(version) <= _MAX_VERSION:
            raise CatalogueFileError("the version is empty or longer than 40 characters")
        before = self._repository.head()
        whole = given
        if before is not None and before.version == version:
            whole = _joined(given, self._repository.catalogue())
        texts = {skill.id: skill_texts(skill) for skill in whole.all_skills()}
        hashes = {uri: _hash(own) for uri, own in texts.items()}
        key = self._embedder.model_key
        stored = self._repository.hashes(key)
        missing = [uri for uri in sorted(texts) if stored.get(uri) != hashes[uri]]
        identity = [(s.id, sorted(s.labels.items()), sorted(s.alt.items()), s.description, s.status)
                    for s in sorted(whole.all_skills(), key=lambda skill: skill.id)]  # fmt: skip
        vectors = self._embed(missing, texts, hashes)
        living = sorted((skill for skill in whole.all_skills() if skill.status != OBSOLETE), key=lambda skill: skill.id)
        ties = tie(default_catalogue().all_skills(), living, self._labels(living, vectors), self._embedder)
        head = Head(version, _hash((key, version, identity)), key)
        return PreparedCatalogue(whole, head, vectors, ties, before, self._repository.ties())

    def store(self, write: CatalogueRepository, prepared: PreparedCatalogue) -> None:
        """Write it in the running transaction; raises `Conflict` when another import came between."""
        if write.head() != prepared.before:
            raise Conflict("another import changed the catalogue meanwhile: try again")
        if prepared.changed:
            write.replace(prepared.catalogue, prepared.head, prepared.vectors, prepared.ties)

    def _labels(self, skills: Sequence[Skill], new: Mapping[str, Embedded]) -> Matrix:
        """Return the vectors of those skills' labels as they are stored, or will be: shape (n, d)."""
        ids, embedder = [skill.id for skill in skills], self._embedder
        stored = self._repository.vectors(ids, embedder.model_key, embedder.dim)
        found = np.zeros((len(ids), embedder.dim), dtype=np.float32) if stored is None else stored[0]
        for place, uri in enumerate(ids):
            if uri in new:
                # As it will be read: the second import must find the ties of the first.
                found[place] = np.asarray(new[uri].vectors[0]).astype("<f2")
        return found

    def _embed(
        self, uris: Sequence[str], texts: Mapping[str, Sequence[str]], hashes: Mapping[str, str]
    ) -> dict[str, Embedded]:
        found: dict[str, Embedded] = {}
        for start in range(0, len(uris), _BATCH):
            batch = uris[start : start + _BATCH]
            said = [(uri, number) for uri in batch for number in range(3) if texts[uri][number]]
            vectors = self._embedder.embed_documents([texts[uri][number] for uri, number in said])
            rows = dict(zip(said, vectors, strict=True))
            for uri in batch:
                found[uri] = Embedded(hashes[uri], (rows.get((uri, 0)), rows.get((uri, 1)), rows.get((uri, 2))))
        return found


def _joined(given: SkillCatalogue, stored: SkillCatalogue) -> SkillCatalogue:
    """Return what is given together with the languages of what is stored that it does not have."""
    languages = {language for skill in given.all_skills() for language in skill.labels}
    rest = []
    for skill in stored.all_skills():
        labels = {language: label for language, label in skill.labels.items() if language not in languages}
        alt = {language: names for language, names in skill.alt.items() if language in labels}
        if labels:
            rest.append(replace(skill, labels=labels, alt=alt))
    others = SkillCatalogue(tuple(rest))
    return given.merged(others) if _ENGLISH in languages else others.merged(given)


def skill_texts(skill: Skill) -> tuple[str, str, str]:
    """Return what the three vectors are made of: label, other names, and label with description, or "" for none.

    In English where there is English. Other names beyond the window of the encoder do not count; they are still found
    word for word.
    """
    language = _ENGLISH if _ENGLISH in skill.labels else min(skill.labels)
    label = skill.labels[language]
    others = ", ".join(name for name in skill.alt.get(language, ()) if name != label)
    return label, others, f"{label}. {skill.description}" if skill.description else ""


def _hash(what: object) -> str:
    return hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class SkillFinder:
    """Finds the skills of the imported catalogue in texts; keeps the catalogue until another is imported.

    Any thread may use it, each with a session of its own.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._linker: SkillLinker | None = None
        self._known: str | None = None

    def stamp(self, repository: CatalogueRepository) -> str | None:
        """Return what identifies the skills that would be found now, or None without a catalogue."""
        head = repository.head()
        return None if head is None else self._stamp(head)

    def find(
        self,
        repository: CatalogueRepository,
        texts: Sequence[Mapping[str, str]],
        *,
        most_phrases: int | None = None,
    ) -> list[Found] | None:
        """Return the skills found in each text, given as its named parts; None without a catalogue.

        A skill found in several parts stands in the one whose evidence is best, the first of equals.
        """
        linker = self._current(repository)
        if linker is None:
            return None
        stamp, own = linker
        parts = [(place, name, part) for place, text in enumerate(texts) for name, part in text.items() if part]
        found = own.find([part for _, _, part in parts], self._embedder, most_phrases=most_phrases)
        best: list[dict[str, tuple[str, FoundSkill]]] = [{} for _ in texts]
        for (place, name, _), skills in zip(parts, found, strict=True):
            for skill in skills:
                known = best[place].get(skill.id)
                if known is None or skill.similarity > known[1].similarity:
                    best[place][skill.id] = (name, skill)
        return [Found(stamp, tuple(entries[uri] for uri in sorted(entries))) for entries in best]

    def _stamp(self, head: Head) -> str:
        # Under another encoder than the catalogue's only labels are found: another stamp, so that it shows.
        vectors = "vectors" if head.model_key == self._embedder.model_key else "labels"
        return f"{head.stamp}/{vectors}/{LINKER}/{SIMILARITY}"

    def _current(self, repository: CatalogueRepository) -> tuple[str, SkillLinker] | None:
        head = repository.head()
        if head is None:
            return None
        stamp = self._stamp(head)
        with self._lock:
            if self._linker is None or self._known != stamp:
                concepts = repository.concepts()
                ids = [concept.id for concept in concepts]
                vectors = repository.vectors(ids, self._embedder.model_key, self._embedder.dim)
                self._linker = SkillLinker(concepts, vectors, self._embedder.phrases)
                self._known = stamp
            return stamp, self._linker


class SkillNames:
    """Labels of skills of both catalogues, for the ids given; one statement, and none without ids of the imported."""

    def __init__(self, repository: CatalogueRepository, ids: Iterable[str]) -> None:
        starter = default_catalogue()
        self._imported = repository.labels({id_ for id_ in ids if starter.get_skill(id_) is None})

    def __contains__(self, id_: str) -> bool:
        return id_ in self._imported or default_catalogue().get_skill(id_) is not None

    def name(self, facet: str, code: str, language: str) -> str:
        """Return what a code of that facet is called, as the engine asks for it (`names.name_of`)."""
        return self.label(code, language) if facet == "skills" else name_of(facet, code, language)

    def label(self, id_: str, language: str = _ENGLISH) -> str:
        """Return the label in that language, else in English, else in any; the id itself for an unknown skill."""
        own = self._imported.get(id_)
        if own is None:
            return default_catalogue().label(id_, language) or id_
        code = language.partition("-")[0]
        return own.get(language) or own.get(code) or own.get(_ENGLISH) or own[min(own)]
