"""What the EU's fields of intervention are called, in short and in our own words.

The codes are those of Commission Implementing Regulation (EU) No 215/2014, Annex I, table 1; left out are those that
differ from another one by the size of what is supported only, and those of no support to organisations.
"""

import csv
from functools import cache
from importlib.resources import files


def field_name(code: str, language: str) -> str | None:
    """Return what a field is called in `language` (en, es or pt); None where there is no such field.

    >>> field_name("094", "es")
    'patrimonio cultural y museos'
    """
    names = _names().get(code)
    return names[language] if names else None


@cache
def _names() -> dict[str, dict[str, str]]:
    lines = (files("app.taxonomy") / "intervention_fields.tsv").read_text(encoding="utf-8").splitlines()
    return {row["code"]: row for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}
