"""Made-up content that can be recognised: each title is unique, and says what must be stored under it."""

import csv
import io
import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

OWNERS = (
    {"kind": "cluster", "ref": "c", "name": "Cluster", "country": "ES", "nuts_code": "ES61"},
    {"kind": "region", "ref": "r", "name": "Region", "country": "PT", "nuts_code": "PT11"},
    {"kind": "company", "ref": "k", "name": "Company", "country": "ES"},
    {"kind": "school", "ref": "s", "name": "School", "country": "ES"},
)
OWNER_OF = {"pitch": "c", "priority": "r", "skill_need": "k", "training_offer": "s", "trainee": "s"}
ECOSYSTEMS = ("health", "digital", "textiles", "tourism", "electronics")
SKILLS = ("puente:python", "puente:java", "puente:php")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "xo", "zu")
WORDS = 14
BAD_EVERY = 37

Row = dict[str, Any]


def words(rng: random.Random, how_many: int = WORDS) -> str:
    """Return a text that no other is near to."""
    return " ".join("".join(rng.choices(_SYLLABLES, k=4)) for _ in range(how_many)).capitalize() + "."


def profile(rng: random.Random, kind: str, title: str) -> Row:
    """Return a profile to post or import."""
    row: Row = {
        "kind": kind,
        "organisation": OWNER_OF[kind],
        "ecosystems": sorted(rng.sample(ECOSYSTEMS, rng.randrange(3))),
        "languages": rng.sample(["es", "pt"], rng.randrange(3)),
    }
    if kind == "trainee":
        return {**row, "ref": title.upper(), "skills": [rng.choice(SKILLS)]}
    row |= {"title": title, "text": words(rng), "language": rng.choice(["en", "es"])}
    if kind == "training_offer":
        row["programme_type"] = "course"
    if rng.random() < 0.5:  # a repetition shows in one half by the version, in the other by a second row
        row["ref"] = title.lower()
    return row


def title_of(row: Row) -> str:
    """Return the title under which a row is stored: of a trainee, the code."""
    return str(row.get("title", row.get("ref")))


class File(NamedTuple):
    """A file to import; `rows[i]` is None where row i is bad."""

    name: str
    content: bytes
    rows: Sequence[Row | None]
    bad_lines: list[int]

    def titles(self, first: int) -> set[str]:
        """Return the titles of the good ones among the `first` rows."""
        return {title_of(row) for row in self.rows[:first] if row is not None}


def make_file(seed: int, number: int, rows: int, kind: str = "jsonl") -> File:
    """Return a file of that many rows, some bad; `kind` is its extension."""
    rng = random.Random(seed * 1_000 + number)  # noqa: S311 - repeatable, not secret
    plan: list[tuple[str, int]] = []
    for profile_kind, share in (("pitch", 0.4), ("priority", 0.3), ("skill_need", 0.1), ("training_offer", 0.1)):
        plan += [(profile_kind, place) for place in range(int(rows * share))]
    rng.shuffle(plan)  # kinds mixed; trainees last, as a batch holds either them or the others
    plan += [("trainee", place) for place in range(rows - len(plan))]
    made: list[Row] = [profile(rng, of, f"i{number}-{of.replace('_', '')}-{place:05}") for of, place in plan]
    good = [None if place % BAD_EVERY == BAD_EVERY - 1 else row for place, row in enumerate(made)]
    # Zero places are wrong in every kind: as a value, or because the kind knows no places.
    sent = [row if keep is not None else {**row, "places": 0} for row, keep in zip(made, good, strict=True)]
    header = 0 if kind == "jsonl" else 1
    bad_lines = [place + 1 + header for place, row in enumerate(good) if row is None]
    content = _as_csv(sent) if kind == "csv" else "\n".join(json.dumps(row) for row in sent)
    return File(f"import-{number}.{kind}", content.encode(), good, bad_lines)


def _as_csv(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    target = io.StringIO()
    writer = csv.DictWriter(target, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()})
    return target.getvalue()
