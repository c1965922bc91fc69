"""Economic activities: NACE Rev. 2 ("2.0") and Rev. 2.1 ("2.1"), from the lists of python-stdnum.

A code is a section letter (`J`), a division (`62`), a group (`62.1`) or a class (`62.10`). Sections differ
between the revisions: division 62 is in J in Rev. 2 and in K in Rev. 2.1.
"""

import re
from functools import lru_cache
from typing import Final, Literal, get_args

from stdnum.eu import nace
from stdnum.exceptions import ValidationError

NaceRevision = Literal["2.0", "2.1"]
NACE_REVISIONS: Final[tuple[str, ...]] = get_args(NaceRevision)
DEFAULT_REVISION: Final[NaceRevision] = "2.1"

# A section letter, digits with or without the point, or both ("K62.10").
_FORM = re.compile(
    r"(?P<section>[A-Z])?\s?"
    r"(?:(?P<division>[0-9]{1,2})(?:\.(?P<rest>[0-9]{1,2}))?|(?P<run>[0-9]{3,4}))?"
)


@lru_cache(maxsize=4096)
def normalise_nace(code: str, revision: str = DEFAULT_REVISION) -> str | None:
    """Return the code in its official form ("6210" and "K62.10" become "62.10"), or None when unknown.

    A spreadsheet's lost zero is put back ("1.11" is class 01.11, "1" is division 01), but three digits
    without a point are always division and group ("111" is 11.1).
    """
    if revision not in NACE_REVISIONS:
        return None
    form = _FORM.fullmatch(code.strip().upper())
    if form is None:
        return None
    digits = form["run"] or (form["division"] or "").zfill(2) + (form["rest"] or "")
    section = form["section"]
    if not (form["run"] or form["division"]):
        return section if section and _info(section, revision) else None
    info = _info(digits, revision)
    if not info or (section and info.get("section") != section):
        return None
    return str(nace.format(digits))


def is_nace(code: str, revision: str = DEFAULT_REVISION) -> bool:
    """Tell whether `code`, in any form that `normalise_nace` reads, exists in that revision."""
    return normalise_nace(code, revision) is not None


def nace_label(code: str, revision: str = DEFAULT_REVISION) -> str | None:
    """Return the official English heading, or None when the code is unknown in that revision.

    The official lists write section headings in capitals; they are answered in sentence case.
    """
    normal = normalise_nace(code, revision)
    if normal is None:
        return None
    label = _info(normal, revision)["label"]
    return label.capitalize() if normal.isalpha() else label


def nace_section(code: str, revision: str = DEFAULT_REVISION) -> str | None:
    """Return the section letter in which a code stands, or None when the code is unknown."""
    normal = normalise_nace(code, revision)
    if normal is None:
        return None
    return normal if normal.isalpha() else _info(normal, revision).get("section")


def _info(number: str, revision: str) -> dict[str, str]:
    """Return python-stdnum's record of a code, or an empty dict when there is none."""
    try:
        return dict(nace.info(number, revision=revision))
    except ValidationError:
        return {}
