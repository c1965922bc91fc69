"""Rows of an XLSX workbook that somebody unknown made.

An XLSX file is a ZIP of XML, and both can be bombs: small outside, endless inside. So calamine, which builds
the whole sheet in memory, never sees the file itself. Every member is first unpacked as a stream under a
counter and read by expat with a limit on everything that grows: document types are refused, so are nesting,
long tokens, far-away cells and shared strings that many cells repeat. Then it is copied into a new archive,
and calamine reads that copy. Whatever is not well-formed XML (pictures, macros) is left out of the copy, and
so are lies in the directory of the archive.

Limits: `reliability.md` of the design, "XLSX/ZIP/XML bombs on import".
"""

import io
import re
import shutil
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from app.errors import InvalidInput

MAX_DIRECTORY = 1_000_000
"""Bytes of the archive's directory; the reader of archives takes it whole."""

MAX_MEMBERS = 1_000
"""Files inside the archive."""

MAX_UNPACKED = 200_000_000
"""Bytes of all members together, unpacked."""

MAX_RATIO = 100
"""How many times its packed size a member above `RATIO_FREE` may have."""

RATIO_FREE = 1_000_000
"""Bytes below which the ratio says nothing."""

MAX_ROWS = 200_000
"""Rows of a sheet, its header apart."""

MAX_COLUMNS = 100
"""Columns of a sheet."""

MAX_CELLS = 5_000_000
"""Rows times columns: the reader keeps empty cells, too."""

MAX_CHARACTERS = 100_000_000
"""Characters of all cells together, a shared string counted as often as cells repeat it."""

MAX_CELL = 32_767
"""Characters that a cell of a spreadsheet can hold."""

MAX_DEPTH = 64
MAX_TOKEN = 1_000_000
CHUNK = 65_536

# The end of an archive's directory stands in its last 64 KiB; its 64-bit twin is for archives above 4 GiB.
_TAIL = 65_536 + 22
_END = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"

_REFERENCE = re.compile(r"([A-Za-z]{1,4})([0-9]{1,8})")
_VALUES = frozenset({"v", "is", "f"})
_PACKINGS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_NEEDED = frozenset({"[content_types].xml", "xl/workbook.xml"})
_SHARED = "xl/sharedstrings.xml"

_NO_WORKBOOK = "not an XLSX workbook"
_TOO_LARGE = "the workbook is too large when unpacked"


_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)
"""What the reader of archives raises for damaged ones."""


def _refuse(reason: str) -> InvalidInput:
    return InvalidInput.at("file", reason)


def _position(reference: str) -> tuple[int, int]:
    """Return (row, column), 1-based, of a reference such as B7."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise _refuse(_NO_WORKBOOK)
    column = 0
    for letter in match[1].upper():
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(match[2]), column


class _Budget:
    """What all members of one workbook spend together."""

    def __init__(self) -> None:
        self.unpacked = 0
        self.characters = 0
        self.shared: array[int] | None = None

    def spend(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > MAX_UNPACKED:
            raise _refuse(_TOO_LARGE)

    def write(self, characters: int) -> None:
        self.characters += characters
        if self.characters > MAX_CHARACTERS:
            raise _refuse("the cells of the workbook hold too much text")


class _Scan:
    """One member, read element by element; raises `InvalidInput` at the first thing beyond its limit."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._depth = 0
        self._row = self._column = 0
        self._top = self._left = 2**31
        self._bottom = self._right = 0
        self._cell_type = ""
        self._filled = False
        self._length = 0
        self._index: list[str] | None = None
        self._strings: array[int] | None = None
        self._fed = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes) -> None:
        """Read on; raises `expat.ExpatError` where the member is no XML."""
        self._parser.Parse(chunk, False)  # noqa: FBT003 - expat takes no keywords
        self._fed += len(chunk)
        if self._fed - max(self._parser.CurrentByteIndex, 0) > MAX_TOKEN:
            raise _refuse(_TOO_LARGE)

    def close(self) -> None:
        """End the member; raises `expat.ExpatError` where it is cut short."""
        self._parser.Parse(b"", True)  # noqa: FBT003 - idem

    def _doctype(self, *_: object) -> None:
        raise _refuse("the workbook declares a document type")

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(":")[2]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refuse(_NO_WORKBOOK)
        if name == "c":
            if "r" in attributes:
                self._row, self._column = _position(attributes["r"])
            else:
                self._column += 1
            self._cell_type = attributes.get("t", "")
            self._filled, self._length = False, 0
        elif name == "row":
            given = attributes.get("r", "")
            self._row = int(given) if given.isdecimal() and len(given) < 9 else self._row + 1  # noqa: PLR2004
            self._column = 0
        elif name in _VALUES:
            self._filled = True
            self._index = [] if name == "v" and self._cell_type == "s" else None
        elif name == "si":
            self._length = 0
        elif name == "sst":
            if self._budget.shared is not None:
                raise _refuse(_NO_WORKBOOK)
            self._strings = self._budget.shared = array("l")

    def _text(self, characters: str) -> None:
        self._length += len(characters)
        if self._index is not None:
            self._index.append(characters)

    def _end(self, qualified: str) -> None:
        name = qualified.rpartition(":")[2]
        self._depth -= 1
        if name == "v" and self._index is not None:
            self._repeat("".join(self._index).strip())
            self._index = None
        elif name == "c":
            self._cell_ends()
        elif name == "si":
            if self._length > MAX_CELL:
                raise _refuse("a cell of the workbook holds too much text")
            if self._strings is not None:
                self._strings.append(self._length)

    def _repeat(self, index: str) -> None:
        """Count the shared string that a cell repeats."""
        shared = self._budget.shared
        if shared is not None and index.isdecimal() and len(index) < 9 and int(index) < len(shared):  # noqa: PLR2004
            self._budget.write(shared[int(index)])

    def _cell_ends(self) -> None:
        if not self._filled:
            return
        if self._length > MAX_CELL:
            raise _refuse("a cell of the workbook holds too much text")
        self._budget.write(self._length)
        self._top, self._bottom = min(self._top, self._row), max(self._bottom, self._row)
        self._left, self._right = min(self._left, self._column), max(self._right, self._column)
        if self._bottom > MAX_ROWS + 1:
            raise _refuse(f"the sheet has more than {MAX_ROWS} rows")
        if self._right > MAX_COLUMNS:
            raise _refuse(f"the sheet has more than {MAX_COLUMNS} columns")
        if (self._bottom - self._top + 1) * (self._right - self._left + 1) > MAX_CELLS:
            raise _refuse(f"the sheet has more than {MAX_CELLS} cells")


def _directory(path: Path) -> None:
    """Raise `InvalidInput` unless the archive's directory is small, before anything reads it whole."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read(_TAIL)
    if _ZIP64 in tail:
        raise _refuse(_NO_WORKBOOK)
    ends = [match.start() for match in re.finditer(re.escape(_END), tail)]
    for end in ends:
        if int.from_bytes(tail[end + 12 : end + 16], "little") > MAX_DIRECTORY:
            raise _refuse("the workbook holds too many files, or one twice")


def _members(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """Return the members in the order in which they must be read, or raise `InvalidInput`."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    names = {member.filename.lower() for member in members}
    if not names >= _NEEDED:
        raise _refuse(_NO_WORKBOOK)
    if len(members) > MAX_MEMBERS or len(names) < len(members):
        raise _refuse("the workbook holds too many files, or one twice")
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise _refuse(_TOO_LARGE)
    for member in members:
        if member.flag_bits & 1:
            raise _refuse("the workbook is protected by a password")
        if member.compress_type not in _PACKINGS or member.compress_size > size:
            raise _refuse(_NO_WORKBOOK)
        if member.file_size > RATIO_FREE and member.file_size > MAX_RATIO * member.compress_size:
            raise _refuse(_TOO_LARGE)
    # Shared strings come first: their lengths are what the cells that repeat them cost.
    return sorted(members, key=lambda member: member.filename.lower() != _SHARED)


def _is_xml(source: IO[bytes], budget: _Budget) -> bool:
    """Read one member to its end: is it well-formed XML? Raises `InvalidInput` beyond a limit."""
    scan: _Scan | None = _Scan(budget)
    while chunk := source.read(CHUNK):
        budget.spend(len(chunk))
        if scan is None:
            continue
        try:
            scan.feed(chunk)
        except expat.ExpatError:
            scan = None
    if scan is None:
        return False
    try:
        scan.close()
    except expat.ExpatError:
        return False
    return True


def vetted(path: Path) -> io.BytesIO:
    """Return a copy of the workbook at `path` in which everything has been measured.

    Raises `InvalidInput` naming `file` for what is no XLSX workbook or breaks a limit.
    """
    budget = _Budget()
    copy = io.BytesIO()
    try:
        _directory(path)
        with (
            zipfile.ZipFile(path) as old,
            zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            for member in _members(old, path.stat().st_size):
                with old.open(member) as source:
                    if not _is_xml(source, budget):
                        continue
                with old.open(member) as source, new.open(member.filename, "w") as target:
                    shutil.copyfileobj(source, target, CHUNK)
    except _BROKEN as error:
        raise _refuse(_NO_WORKBOOK) from error
    copy.seek(0)
    return copy


def read_sheet(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Yield (row number, cells) of the workbook's only visible sheet that holds anything, empty rows too.

    Row numbers are the spreadsheet's; cells are what calamine makes of them (str, float, bool, date,
    datetime, time, timedelta; "" for an empty cell or a formula's error). Raises `InvalidInput` naming
    `file`: see `vetted`; also when no row is there, or rows on several visible sheets, since it would be
    wrong to read only one.
    """
    try:
        workbook = CalamineWorkbook.from_filelike(vetted(path))
        found = None
        for position, sheet in enumerate(workbook.sheets_metadata):
            if sheet.visible != SheetVisibleEnum.Visible or sheet.typ != SheetTypeEnum.WorkSheet:
                continue
            rows = workbook.get_sheet_by_index(position)
            if rows.start is None:
                continue
            if found is not None:
                raise _refuse("several visible sheets hold rows: keep one sheet a file, or hide the others")
            found = rows
    except CalamineError as error:
        raise _refuse(_NO_WORKBOOK) from error
    if found is None:
        raise _refuse("holds no rows")
    yield from enumerate(found.iter_rows(), start=1)
