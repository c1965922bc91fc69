"""Workbooks: bombs, lies, damage, and what a good one says."""

import io
import random
import struct
import zipfile
from pathlib import Path

import openpyxl
import pytest

from app.errors import InvalidInput
from app.profiles import xlsx
from app.profiles.files import check_file
from tests.profiles.made_files import PLAIN, SHEET, refused, repacked, rows_of, sheet, workbook, written

NOISE = random.Random(2026)  # noqa: S311 - repeatable, not secret
FAR = sheet('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
ENTITIES = sheet(
    '<row><c t="str"><v>&b;</v></c></row>',
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
)
SHARED = b'<sst xmlns="x">' + b"<si><t>" + b"x" * 30_000 + b"</t></si></sst>"
REPEATED = sheet("".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 5_000)))
BOMBS = {
    "zeros": ({"xl/media/zeros.bin": b"\0" * 20_000_000}, "too large"),
    "blank sheet": ({SHEET: b"<worksheet>" + b" " * 20_000_000 + b"</worksheet>"}, "too large"),
    "far cell": ({SHEET: FAR}, "more than 200000 rows"),
    "many columns": ({SHEET: sheet("<row>" + "<c><v>1</v></c>" * 101 + "</row>")}, "more than 100 columns"),
    "many rows": (
        {SHEET: sheet("".join(f"<row><c><v>{n * n}</v></c></row>" for n in range(200_002)))},
        "more than 200000 rows",
    ),
    "entities": ({SHEET: ENTITIES}, "document type"),
    "deep": ({SHEET: sheet("<row>" * 100 + "</row>" * 100)}, "not an XLSX"),
    "long token": ({SHEET: b'<worksheet a="' + NOISE.randbytes(1_500_000).hex().encode()}, "too large"),
    "long cell": ({SHEET: sheet(f'<row><c t="str"><v>{"x" * 40_000}</v></c></row>')}, "too much text"),
    "long shared": ({"xl/sharedStrings.xml": SHARED.replace(b"x" * 100, b"x" * 200)}, "too much text"),
    "many members": ({f"xl/media/{n}": b"" for n in range(1_001)}, "too many files"),
    "odd reference": ({SHEET: sheet('<row><c r="A-1"><v>1</v></c></row>')}, "not an XLSX"),
    "no sheet": ({"xl/workbook.xml": b"<workbook/>"}, "no rows"),
    "no xml": ({SHEET: b"hello"}, "not an XLSX"),
    "two lists": ({"xl/sharedStrings.xml": SHARED, "xl/others.xml": SHARED}, "not an XLSX"),
}


@pytest.mark.parametrize(("change", "reason"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_is_opened(tmp_path: Path, change: dict[str, bytes], reason: str) -> None:
    error = refused(tmp_path, repacked(PLAIN, change), "bomb.xlsx")
    assert reason in error.errors[0]["reason"]


def test_a_string_that_many_cells_share_counts_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = repacked(PLAIN, {"xl/sharedStrings.xml": SHARED, SHEET: REPEATED})
    refused(tmp_path, content, "bomb.xlsx")
    monkeypatch.setattr(xlsx, "MAX_CHARACTERS", 30_000 * 5_000)
    xlsx.vetted(tmp_path / "bomb.xlsx")


def test_wide_and_long_together_are_too_many_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook([["kind", "title"], *[["pitch", "T"]] * 60])
    monkeypatch.setattr(xlsx, "MAX_CELLS", 100)
    refused(tmp_path, content, "a.xlsx")


def test_a_total_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = {f"xl/media/{n}.png": NOISE.randbytes(60_000) for n in range(4)}
    path = written(tmp_path, repacked(PLAIN, noise), "a.xlsx")
    assert check_file(path, name="a.xlsx") == 1
    monkeypatch.setattr(xlsx, "MAX_UNPACKED", 200_000)
    with pytest.raises(InvalidInput):
        check_file(path, name="a.xlsx")


def _lying(content: bytes, name: str, size: int) -> bytes:
    """A workbook whose directory says that a member is `size` bytes long."""
    directory = content.rindex(b"PK\x01\x02", 0, content.index(name.encode(), content.index(b"PK\x01\x02")))
    return content[: directory + 24] + struct.pack("<I", size) + content[directory + 28 :]


def test_lies_about_sizes_do_not_help(tmp_path: Path) -> None:
    bomb = repacked(PLAIN, {SHEET: b"<worksheet>" + b" " * 20_000_000 + b"</worksheet>"})
    refused(tmp_path, _lying(bomb, SHEET, 1_000), "small.xlsx")
    refused(tmp_path, _lying(PLAIN, SHEET, 190_000_000), "large.xlsx")


def test_a_huge_directory_is_refused_unread(tmp_path: Path) -> None:
    end = PLAIN.rindex(b"PK\x05\x06")
    content = PLAIN[: end + 12] + struct.pack("<I", 2_000_000) + PLAIN[end + 16 :]
    refused(tmp_path, content, "a.xlsx")
    refused(tmp_path, PLAIN[:end] + b"PK\x06\x07" + b"\0" * 16 + PLAIN[end:], "b.xlsx")


def test_a_member_twice_or_locked_or_oddly_packed_is_refused(tmp_path: Path) -> None:
    target = io.BytesIO(PLAIN)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(SHEET.upper(), sheet(""))
    refused(tmp_path, target.getvalue(), "twice.xlsx")
    target = io.BytesIO(PLAIN)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("xl/media/a.bin", b"\0" * 100_000)
    refused(tmp_path, target.getvalue(), "lzma.xlsx")
    directory = PLAIN.index(b"PK\x01\x02")
    locked = PLAIN[: directory + 8] + b"\x01\x00" + PLAIN[directory + 10 :]
    refused(tmp_path, locked, "locked.xlsx")


def test_damaged_workbooks_are_refused_or_read_never_a_crash(tmp_path: Path) -> None:
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        content = bytearray(PLAIN)
        for _ in range(NOISE.choice([1, 1, 2, 8])):
            content[NOISE.randrange(len(content))] = NOISE.randrange(256)
        path = written(tmp_path, bytes(content), "a.xlsx")
        try:
            check_file(path, name="a.xlsx", default_kind="pitch")
        except InvalidInput:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > 0


def test_only_one_visible_sheet_may_hold_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.append(["kind", "title"])
    first.append(["pitch", "One"])
    second = book.create_sheet("lists")
    book.save(tmp_path / "a.xlsx")
    assert check_file(tmp_path / "a.xlsx", name="a.xlsx") == 1
    second.append(["es"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(InvalidInput):
        check_file(tmp_path / "a.xlsx", name="a.xlsx")
    second.sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    assert check_file(tmp_path / "a.xlsx", name="a.xlsx") == 1


def test_formulas_give_their_stored_value_and_errors_nothing(tmp_path: Path) -> None:
    body = (
        '<row><c t="str"><v>kind</v></c><c t="str"><v>title</v></c><c t="str"><v>places</v></c></row>'
        '<row><c t="str"><v>pitch</v></c><c t="str"><f>A1&amp;B1</f><v>Sum</v></c>'
        '<c t="e"><v>#N/A</v></c></row>'
    )
    (row,) = rows_of(tmp_path, repacked(PLAIN, {SHEET: sheet(body)}), "a.xlsx")
    assert row.data == {"kind": "pitch", "title": "Sum"}
