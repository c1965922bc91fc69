"""Files to import, made for tests."""

import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from app.errors import InvalidInput
from app.profiles.files import Row, check_file, read_rows


def written(folder: Path, content: bytes | str, name: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(folder: Path, content: bytes | str, name: str = "rows.csv") -> list[Row]:
    return list(read_rows(written(folder, content, name), name=name))


def refused(folder: Path, content: bytes | str, name: str) -> InvalidInput:
    path = written(folder, content, name)
    with pytest.raises(InvalidInput) as caught:
        check_file(path, name=name)
    assert {error["field"] for error in caught.value.errors} <= {"file", "default_kind"}
    return caught.value


def workbook(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def repacked(content: bytes, change: dict[str, bytes], *, level: int = 9) -> bytes:
    """A workbook with members replaced or added."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as new,
    ):
        for name in dict.fromkeys([*old.namelist(), *change]):
            new.writestr(name, change[name] if name in change else old.read(name))
    return target.getvalue()


PLAIN = workbook([["kind", "title"], ["pitch", "One"]])
SHEET = "xl/worksheets/sheet1.xml"


def sheet(body: str, head: str = "") -> bytes:
    return f'<?xml version="1.0"?>{head}<worksheet xmlns="x"><sheetData>{body}</sheetData></worksheet>'.encode()
