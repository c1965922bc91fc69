"""Rows of files to import: CSV, JSON Lines and XLSX, all giving the same data.

A row that is wrong is an error at that row and the reading goes on; a file that is no such file, or has a
column that no kind knows, is refused whole. Nothing of a file is repeated in an error.
"""

import csv
import json
import math
import os
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from pydantic import ValidationError

from app.errors import MAX_ERRORS, FieldError, InvalidInput, PayloadTooLarge
from app.matching.kinds import ProfileKind
from app.organisations.schemas import OrganisationCreate
from app.profiles.cells import COLUMNS, KINDS, ORGANISATION_KINDS, read_cells, read_header
from app.profiles.schemas import SCHEMAS, ProfileFields
from app.profiles.xlsx import MAX_COLUMNS, read_sheet
from app.wall import safe_errors

MAX_LINE = 1_000_000
"""Bytes of one line, and characters of one CSV row over all its lines."""

MAX_BROKEN = 1_000
"""CSV rows that cannot be read; after so many the rest is given up."""

MAX_DEPTH = 8
"""Levels of a JSON row; the deepest field of ours stands on the third."""

UPLOAD_SUFFIX = ".upload"
"""Marks files that we stored and may delete."""

DELIMITERS = (",", ";", "\t")

_TYPES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx"}
_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20


class Row(NamedTuple):
    """One row: its number as an editor (line) or spreadsheet (row) shows it; its fields, or what is wrong."""

    number: int
    data: dict[str, Any] | None
    errors: list[FieldError]


class _RowError(ValueError):
    """A row that cannot be read; the message is shown, so it repeats nothing of the row."""


def _wrong(number: int, reason: str, field: str = "row") -> Row:
    return Row(number, None, [FieldError(field=field, reason=reason)])


def store_upload(source: BinaryIO, folder: Path, *, limit: int) -> Path:
    """Copy `source` to a new file in `folder` and return its path once it is on the disk.

    Raises `PayloadTooLarge` beyond `limit` bytes. The file belongs to its job, which deletes it at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4()}{UPLOAD_SUFFIX}"
    try:
        with path.open("xb") as target:
            _copy(source, target, limit)
            target.flush()
            os.fsync(target.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> None:
    size = 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"a file may have at most {limit} bytes")
        target.write(chunk)


def file_type(path: Path, *, name: str) -> str:
    """Return `csv`, `jsonl` or `xlsx`, by the content of the file and the extension of its `name`.

    Raises `InvalidInput` naming `file` when the two disagree or the file is none of these.
    """
    with path.open("rb") as file:
        begin = file.read(4096)
    named = _TYPES.get(Path(name).suffix.lower())
    if not begin:
        raise InvalidInput.at("file", "is empty")
    if begin.startswith(_OLD_EXCEL):
        raise InvalidInput.at("file", "an old or protected Excel file: save it as XLSX, without password")
    if begin.startswith(_UTF16):
        raise InvalidInput.at("file", "is UTF-16 text: save it as UTF-8")
    zipped = begin.startswith(_ZIP)
    if zipped != (named == "xlsx") and (zipped or named):
        if named is None:
            return "xlsx"
        raise InvalidInput.at("file", "not an XLSX workbook" if named == "xlsx" else "its content is no text")
    if named is None:
        return "jsonl" if begin.removeprefix(_BOM).lstrip().startswith(b"{") else "csv"
    return named


def read_rows(path: Path, *, name: str) -> Iterator[Row]:
    """Yield every row of the file in order, blank ones left out.

    `name` is what its owner calls the file. Raises `InvalidInput` naming `file` for a file that cannot be
    read as a whole: see `check_file`, which finds out beforehand.
    """
    readers = {"csv": _csv_rows, "jsonl": _json_rows, "xlsx": _sheet_rows}
    return readers[file_type(path, name=name)](path)


def check_file(path: Path, *, name: str, default_kind: str | None = None) -> int:
    """Read the file once and return how many rows it has, good or bad.

    Raises `InvalidInput` naming `file` (or `default_kind`) for what makes the whole file useless, so that it
    can be refused before anything of it is stored.
    """
    if default_kind is not None and default_kind not in KINDS:
        raise InvalidInput.at("default_kind", "not one of the known kinds")
    count, kinds = 0, default_kind is not None
    for row in read_rows(path, name=name):
        count += 1
        kinds = kinds or row.data is None or "kind" in row.data
    if not count:
        raise InvalidInput.at("file", "holds no rows")
    if not kinds:
        raise InvalidInput.at("default_kind", "needed, since no row of the file says its kind")
    return count


def validate(row: Row, *, default_kind: str | None = None) -> OrganisationCreate | ProfileFields | list[FieldError]:
    """Return what the row describes, checked by its schema, or what is wrong with it.

    `default_kind` stands in where the row says no kind.
    """
    if row.errors or row.data is None:
        return row.errors
    kind = row.data.get("kind", default_kind)
    if not isinstance(kind, str) or kind not in KINDS:
        reason = "is missing" if kind is None else "not one of the known kinds"
        return [FieldError(field="kind", reason=reason)]
    data = {**row.data, "kind": kind}
    try:
        if kind in ORGANISATION_KINDS:
            return OrganisationCreate.model_validate(data)
        return SCHEMAS[ProfileKind(kind)].model_validate(data)
    except ValidationError as error:
        return safe_errors(error.errors(include_url=False))


# --- lines ------------------------------------------------------------------


class _Lines:
    """The lines of a text file with their numbers; lines can be put back."""

    def __init__(self, path: Path) -> None:
        self._source = self._read(path)
        self._returned: deque[tuple[int, str | None]] = deque()

    def next(self) -> tuple[int, str | None] | None:
        """Return (number, line with its end), the line being None when it is too long; None at the end."""
        if self._returned:
            return self._returned.popleft()
        return next(self._source, None)

    def put_back(self, lines: list[tuple[int, str | None]]) -> None:
        self._returned.extendleft(reversed(lines))

    @staticmethod
    def _read(path: Path) -> Iterator[tuple[int, str | None]]:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_LINE)
                    yield number, None
                    continue
                try:
                    yield number, (line.removeprefix(_BOM) if number == 1 else line).decode()
                except UnicodeDecodeError:
                    reason = f"line {number} is not UTF-8 text: save the file as UTF-8"
                    raise InvalidInput.at("file", reason) from None


# --- tables -----------------------------------------------------------------


def _columns(cells: list[Any]) -> list[str]:
    names, wrong = read_header(cells)
    if len(names) > MAX_COLUMNS:
        raise InvalidInput.at("file", f"has more than {MAX_COLUMNS} columns")
    if wrong:
        raise InvalidInput(errors=[FieldError(field="file", reason=reason) for reason in wrong[:MAX_ERRORS]])
    return names


def _table_row(number: int, columns: list[str], cells: list[Any]) -> Row | None:
    """Return the row, or None when it is blank."""
    if all(cell == "" or (isinstance(cell, str) and not cell.strip()) for cell in cells):
        return None
    while len(cells) > len(columns) and cells[-1] == "":
        cells.pop()
    if len(cells) != len(columns):
        return _wrong(number, f"wrong number of columns: {len(cells)} instead of {len(columns)}")
    data, errors = read_cells(columns, cells)
    return Row(number, None if errors else data, errors)


def _sheet_rows(path: Path) -> Iterator[Row]:
    columns: list[str] | None = None
    for number, cells in read_sheet(path):
        if columns is None:
            if any(cell != "" for cell in cells):
                columns = _columns(cells)
        elif row := _table_row(number, columns, [*cells, *[""] * (len(columns) - len(cells))]):
            yield row


def _record(lines: _Lines, delimiter: str) -> tuple[int, list[str]] | Row | None:
    """Read one CSV row, which may span lines: (number, cells), or an error, or None at the end.

    After an error the reading goes on at the next line: one quote too many costs one row, not the rest.
    """
    taken: list[tuple[int, str | None]] = []
    size = 0

    def feed() -> Iterator[str]:
        nonlocal size
        while (item := lines.next()) is not None:
            taken.append(item)
            if item[1] is None or (size := size + len(item[1])) > MAX_LINE:
                raise _RowError("longer than a row may be")
            yield item[1]

    try:
        cells = next(csv.reader(feed(), delimiter=delimiter, strict=True), None)
    except (csv.Error, _RowError) as error:
        lines.put_back(taken[1:])
        reason = str(error) if isinstance(error, _RowError) else "a quote is open or stands where none may"
        return _wrong(taken[0][0], reason)
    return None if cells is None else (taken[0][0], cells)


def _delimiter(line: str) -> str:
    """Return the character that separates the most known columns in the header."""

    def known(delimiter: str) -> int:
        return sum(name.strip().strip('"').lower() in COLUMNS for name in line.split(delimiter))

    return max(DELIMITERS, key=known)


def _csv_rows(path: Path) -> Iterator[Row]:
    lines = _Lines(path)
    while (first := lines.next()) is not None and first[1] is not None and not first[1].strip():
        pass
    if first is None or first[1] is None:
        raise InvalidInput.at("file", "has no line with the names of its columns")
    lines.put_back([first])
    delimiter = _delimiter(first[1])
    header = _record(lines, delimiter)
    if header is None or isinstance(header, Row):
        raise InvalidInput.at("file", "its first line is no list of columns")
    columns = _columns(list(header[1]))
    broken = 0
    while (record := _record(lines, delimiter)) is not None:
        if isinstance(record, Row):
            yield record
            broken += 1
            if broken == MAX_BROKEN:
                yield _wrong(record.number + 1, "too many broken rows: the file was not read from here on")
                return
        elif row := _table_row(record[0], columns, record[1]):
            yield row


# --- JSON Lines -------------------------------------------------------------


def _constant(_: str) -> NoReturn:
    raise _RowError("contains NaN or Infinity")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:  # noqa: PLR2004 - more than 64 bits can need
        raise _RowError("contains an integer beyond 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RowError("contains a number that is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise _RowError("names a field twice")
    return data


def _check(value: Any, depth: int = 1) -> None:
    """Raise `_RowError` for what JSON may hold and we do not take: lone surrogates, NUL and deep nesting."""
    if depth > MAX_DEPTH:
        raise _RowError("is nested too deeply")
    if isinstance(value, str):
        if "\x00" in value:
            raise _RowError("contains NUL characters")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _RowError("contains characters that are not text")
    elif isinstance(value, dict):
        for name, part in value.items():
            _check(name, depth)
            _check(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check(part, depth + 1)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)


def _json_rows(path: Path) -> Iterator[Row]:
    lines = _Lines(path)
    while (item := lines.next()) is not None:
        number, line = item
        if line is None:
            yield _wrong(number, f"longer than {MAX_LINE} bytes")
            continue
        if not line.strip():
            continue
        try:
            data = _DECODER.decode(line)
            _check(data)
        except _RowError as error:
            yield _wrong(number, str(error))
        except (ValueError, RecursionError):
            yield _wrong(number, "not valid JSON")
        else:
            good = isinstance(data, dict)
            yield Row(number, data, []) if good else _wrong(number, "not a JSON object")
