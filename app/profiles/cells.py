"""From the cells of a table to the fields of a profile or an organisation.

A table has one column a field, named as in the JSON. What is a list there stands in one cell here, its parts
separated by `|`:

- `languages`: `es|pt`
- `memberships`: `cluster-tera|mobility-alliance:partnership`, the kind being `cluster` unless it is written
- `labels`: `silver:2025-01-01:2027-01-31`, and a fourth part for an issuer other than the usual one
- `figures`: `inhabitants=52.116|members=over 200`

Numbers and dates stay text: the schemas read them. An empty cell means that the field is absent.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, get_args, get_origin

from app.errors import FieldError
from app.organisations.schemas import OrganisationCreate, OrganisationKind
from app.profiles.schemas import SCHEMAS, ProfileFields
from app.wall import MAX_TEXT, Wall

SEPARATOR = "|"
"""Stands between the parts of a list."""

PROSE = frozenset({"text", "summary"})
"""Fields kept exactly as written; around others, space is dropped."""

ORGANISATION_KINDS = frozenset(kind.value for kind in OrganisationKind)
KINDS = ORGANISATION_KINDS | {kind.value for kind in SCHEMAS}
"""What may stand in the `kind` column."""

MODELS: tuple[type[OrganisationCreate | ProfileFields], ...] = (OrganisationCreate, *SCHEMAS.values())


class _CellError(ValueError):
    """A cell that cannot be read; the message is shown, so it repeats nothing of the cell."""


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))


def _list_fields(models: Sequence[type[Wall]]) -> frozenset[str]:
    return frozenset(
        name for model in models for name, field in model.model_fields.items() if _is_list(field.annotation)
    )


COLUMNS = frozenset({"kind"}).union(*(model.model_fields for model in MODELS))
"""Every column that a table may have."""

LISTS = _list_fields(MODELS)
"""The columns whose cells hold a list."""


def _membership(part: str) -> dict[str, str]:
    of, colon, kind = part.partition(":")
    return {"of": of.strip(), **({"kind": kind.strip()} if colon else {})}


def _label(part: str) -> dict[str, str]:
    names = ("level", "assessed_on", "valid_until", "issuer")
    values = [value.strip() for value in part.split(":", 3)]
    if len(values) < len(names) - 1:
        msg = "write a label as level:assessed_on:valid_until, such as silver:2025-01-01:2027-01-31"
        raise _CellError(msg)
    return dict(zip(names, values, strict=False))


def _figure(part: str) -> dict[str, str]:
    name, equals, as_written = part.partition("=")
    if not equals:
        msg = "write a figure as name=figure, such as members=over 200"
        raise _CellError(msg)
    return {"name": name.strip(), "as_written": as_written.strip()}


_PARTS: dict[str, Callable[[str], dict[str, str]]] = {
    "memberships": _membership,
    "labels": _label,
    "figures": _figure,
}


def _written(column: str, cell: Any) -> str:
    """Return a spreadsheet's cell as somebody would have written it in a text file."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if column == "nace_codes" and not cell.is_integer():
            # 62.10 and 62.1 are two codes and one number.
            msg = "write the code as text: a spreadsheet drops the last zero of a number"
            raise _CellError(msg)
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**63 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell)


def _value(column: str, cell: Any) -> Any:
    """Return what a cell means, or None when it is empty; raises `_CellError`."""
    text = _written(column, cell)
    if "\x00" in text:
        msg = "contains NUL characters"
        raise _CellError(msg)
    if len(text) > MAX_TEXT:
        msg = f"longer than {MAX_TEXT} characters"
        raise _CellError(msg)
    stripped = text.strip()
    if not stripped:
        return None
    if column in LISTS:
        parts = [part.strip() for part in stripped.split(SEPARATOR)]
        read = _PARTS.get(column)
        return [read(part) if read else part for part in parts if part]
    if column == "nace_revision" and stripped == "2":
        # Spreadsheets show 2.0 as 2.
        return "2.0"
    return text if column in PROSE else stripped


def read_header(cells: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Return the columns' names, without the unnamed ones at the end, and what is wrong with them."""
    names = [str(cell).strip().lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    wrong = []
    for position, name in enumerate(names, start=1):
        if name not in COLUMNS:
            wrong.append(f"column {position} is not a field of any kind")
        elif names.index(name) < position - 1:
            wrong.append(f"column {position} repeats a field")
    return names, wrong


def read_cells(columns: Sequence[str], cells: Sequence[Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the fields that a row gives and what is wrong in its cells; `cells` has one cell a column."""
    data: dict[str, Any] = {}
    errors: list[FieldError] = []
    for column, cell in zip(columns, cells, strict=True):
        try:
            value = _value(column, cell)
        except _CellError as error:
            errors.append(FieldError(field=column, reason=str(error)))
            continue
        if value is not None:
            data[column] = value
    return data, errors
