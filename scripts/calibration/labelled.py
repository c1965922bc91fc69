"""Reads the labelled pairs of `scripts/labelled`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "labelled"
FITS = 2
"""From this grade on a pair fits: 0 unrelated, 1 same broad field, 2 fits, 3 fits very well."""


@dataclass(frozen=True, slots=True)
class Seeker:
    """Who asks: a text in a language, or a profile of the territory as `organisation/profile`."""

    ref: str | None
    text: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One match kind's pairs: for each seeker the grades of some offers, by ref."""

    kind: str
    grades: dict[Seeker, dict[str, int]]
    name: str
    sha256: str

    @property
    def pairs(self) -> int:
        """Return how many pairs there are."""
        return sum(len(offers) for offers in self.grades.values())


def read(kind: str, folder: Path = FOLDER) -> Labelled:
    """Read a kind's file; raises `ValueError` with the line that is wrong."""
    path = folder / f"{kind}.jsonl"
    content = path.read_bytes()
    grades: dict[Seeker, dict[str, int]] = {}
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        try:
            said = json.loads(line)
            asker = said["seeker"]
            seeker = Seeker(asker.get("ref"), asker.get("text"), asker.get("language"))
            offer, grade = said["offer"]["ref"], said["related"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number}: {error!r}") from error
        offers = grades.setdefault(seeker, {})
        if offer in offers or grade not in range(4) or (seeker.ref is None) == (seeker.text is None):
            raise ValueError(f"{path}:{number}: a pair twice, a grade beyond 0 to 3, or not one of ref and text")
        offers[offer] = grade
    return Labelled(kind, grades, path.name, hashlib.sha256(content).hexdigest())
