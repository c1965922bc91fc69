"""Skills: our own starter list, and the lists that operators bring (ESCO or their own).

The starter list (`skills.json`) names skills of Spanish and Portuguese vocational training and of our
clusters in English, Spanish and Portuguese, under ids of ours (`puente:<slug>`). It is not ESCO: who wants
ESCO loads the official download with `load_skills`.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from app.matching.letters import plain

_FALLBACK: Final = "en"
_ESCO_COLUMNS: Final = frozenset({"conceptUri", "preferredLabel"})


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill: id, preferred label by language, alternative labels by language, description, and ESCO's status."""

    id: str
    labels: Mapping[str, str] = field(hash=False)
    alt: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    description: str = ""
    status: str = ""

    def label(self, lang: str) -> str:
        """Return the label in `lang` (its region is ignored), else in English, else in any language."""
        return self.labels.get(lang.partition("-")[0]) or self.labels.get(_FALLBACK) or next(iter(self.labels.values()))


def fold(label: str) -> str:
    """Return a label without case, accents and extra spaces, as look-ups compare it ("Soldadura  TIG")."""
    return " ".join(plain(label).split())


@dataclass(frozen=True, slots=True)
class SkillCatalogue:
    """A list of skills with look-ups by id and by label. Read-only once built, so any thread may use it."""

    skills: tuple[Skill, ...]
    _by_id: dict[str, Skill] = field(init=False, repr=False, compare=False, default_factory=dict)
    _by_label: dict[str, Skill] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for skill in self.skills:
            if skill.id in self._by_id:
                raise ValueError(f"the skill {skill.id} appears twice")
            self._by_id[skill.id] = skill
        # Preferred labels first: an alternative label never takes another skill's own name.
        for skill in self.skills:
            for name in skill.labels.values():
                self._by_label.setdefault(fold(name), skill)
        for skill in self.skills:
            for names in skill.alt.values():
                for name in names:
                    self._by_label.setdefault(fold(name), skill)

    def __len__(self) -> int:
        return len(self.skills)

    def all_skills(self) -> tuple[Skill, ...]:
        """Return every skill, in the order of the list."""
        return self.skills

    def get_skill(self, skill_id: str) -> Skill | None:
        """Return the skill with that id, or None."""
        return self._by_id.get(skill_id)

    def find_skill(self, label: str) -> Skill | None:
        """Return the skill that bears exactly this label in any language, case and accents aside, or None.

        Where two skills share a label, the one whose preferred label it is wins, then the first of the list.
        """
        return self._by_label.get(fold(label))

    def label(self, skill_id: str, lang: str = _FALLBACK) -> str | None:
        """Return a skill's label in `lang`, else in English; None when there is no such skill."""
        skill = self._by_id.get(skill_id)
        return None if skill is None else skill.label(lang)

    def merged(self, other: "SkillCatalogue") -> "SkillCatalogue":
        """Return a catalogue with the skills of both; for an id in both, labels and descriptions join.

        The way to add languages: ESCO publishes one file per language. Labels of this catalogue stay.
        """
        joined = dict(self._by_id)
        for skill in other.skills:
            mine = joined.get(skill.id)
            joined[skill.id] = skill if mine is None else _joined(mine, skill)
        return SkillCatalogue(tuple(joined.values()))


def _joined(mine: Skill, other: Skill) -> Skill:
    """Return one skill out of two with the same id."""
    return Skill(
        mine.id,
        {**other.labels, **mine.labels},
        {**other.alt, **mine.alt},
        mine.description or other.description,
        mine.status or other.status,
    )


@lru_cache(maxsize=1)
def default_catalogue() -> SkillCatalogue:
    """Return the starter list, read once per process (about 10 ms)."""
    text = files("app.taxonomy").joinpath("skills.json").read_text(encoding="utf-8")
    return SkillCatalogue(tuple(map(_from_json, json.loads(text))))


def load_skills(path: Path, lang: str = _FALLBACK) -> SkillCatalogue:
    """Read a list of skills from a file.

    A `.json` file is a list like our own: `[{"id", "labels": {lang: text}, "alt"?, "description"?}]`. Any
    other file is read as the CSV of the official ESCO download (columns conceptUri, preferredLabel,
    altLabels with one label per line, description, status), whose labels are taken to be in `lang`.
    Raises ValueError when the file is neither or an id comes twice, OSError when it cannot be read.
    """
    if path.suffix.lower() == ".json":
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(listed, list):
            raise ValueError(f"{path.name} is not a list of skills")
        return SkillCatalogue(tuple(map(_from_json, listed)))
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            return SkillCatalogue(tuple(_from_esco(row, lang) for row in _esco_rows(lines)))
        except csv.Error as error:
            raise ValueError(f"{path.name} is no CSV file: {error}") from error


def _esco_rows(lines: Iterable[str]) -> Iterator[dict[str, str | None]]:
    """Yield the rows of the official ESCO CSV that carry a concept."""
    reader = csv.DictReader(lines)
    missing = _ESCO_COLUMNS - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"the file lacks the columns {', '.join(sorted(missing))}")
    yield from (row for row in reader if row["conceptUri"])


def _from_json(entry: Any) -> Skill:
    """Build a skill from an object of our JSON; ValueError names what is wrong with it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise ValueError("a skill has no id")
    labels, alt, description = entry.get("labels"), entry.get("alt", {}), entry.get("description", "")
    if not (isinstance(labels, dict) and labels and all(_is_text(name) for name in labels.values())):
        raise ValueError(f"the skill {entry['id']} has no labels")
    if not (isinstance(alt, dict) and all(isinstance(names, list) for names in alt.values())):
        raise ValueError(f"the alternative labels of {entry['id']} are no lists by language")
    if not (all(_is_text(name) for names in alt.values() for name in names) and isinstance(description, str)):
        raise ValueError(f"the skill {entry['id']} holds something that is no text")
    return Skill(entry["id"], labels, {lang: tuple(names) for lang, names in alt.items()}, description)


def _is_text(value: object) -> bool:
    """Tell whether a value is a string with something in it."""
    return isinstance(value, str) and bool(value.strip())


def _from_esco(row: Mapping[str, str | None], lang: str) -> Skill:
    """Build a skill from a row of the official ESCO CSV."""
    label = (row["preferredLabel"] or "").strip()
    if not label:
        raise ValueError(f"the skill {row['conceptUri']} has no preferredLabel")
    others = tuple(_distinct((row.get("altLabels") or "").splitlines()))
    return Skill(
        (row["conceptUri"] or "").strip(),
        {lang: label},
        {lang: others} if others else {},
        (row.get("description") or "").strip(),
        (row.get("status") or "").strip(),
    )


def _distinct(names: Iterable[str]) -> Iterable[str]:
    """Return the names without blanks and repetitions, in order."""
    return dict.fromkeys(name.strip() for name in names if name.strip())


def all_skills() -> tuple[Skill, ...]:
    """Return every skill of the starter list."""
    return default_catalogue().all_skills()


def get_skill(skill_id: str) -> Skill | None:
    """Return the skill of the starter list with that id, or None."""
    return default_catalogue().get_skill(skill_id)


def find_skill(label: str) -> Skill | None:
    """Return the skill of the starter list that bears this label in any language, or None."""
    return default_catalogue().find_skill(label)


def label(skill_id: str, lang: str = _FALLBACK) -> str | None:
    """Return the label of a skill of the starter list in `lang`, else in English, or None."""
    return default_catalogue().label(skill_id, lang)
