"""Files to import: the three formats give the same, and nothing hostile gets through."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput, PayloadTooLarge
from app.organisations.schemas import OrganisationCreate
from app.profiles import files
from app.profiles.cells import COLUMNS, LISTS
from app.profiles.files import check_file, read_rows, store_upload, validate
from app.profiles.schemas import PitchCreate, ProfileFields, TraineeCreate, TrainingOfferCreate
from tests.profiles.made_files import PLAIN, refused, rows_of, workbook, written

TEMPLATES = sorted((Path(__file__).parents[2] / "scripts" / "templates").glob("*.csv"))


def reasons(rows: list[files.Row]) -> dict[int, str]:
    return {row.number: row.errors[0]["reason"] for row in rows if row.errors}


# --- the formats agree ------------------------------------------------------

WORDS = st.text(
    st.characters(
        codec="utf-8", categories=("L", "N", "P", "Zs"), include_characters=",;\"'\t", exclude_characters="|"
    ),
    min_size=1,
    max_size=40,
).map(lambda text: f"a{text}z")
LINES = WORDS.filter(lambda text: "\t" not in text)
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map("\n".join)
DAYS = st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31))
PITCHES = st.fixed_dictionaries(
    {"kind": st.just("pitch"), "organisation": st.just("some-cluster"), "title": LINES, "text": TEXTS},
    optional={
        "ref": st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True),
        "state": st.sampled_from(["draft", "published"]),
        "valid_from": DAYS,
        "languages": st.lists(st.sampled_from(["es", "pt", "en"]), unique=True, min_size=1),
        "regions_sought": st.lists(st.sampled_from(["ES61", "PT", "FR1"]), unique=True, min_size=1),
        "illustrative": st.booleans(),
    },
)
OFFERS = st.fixed_dictionaries(
    {
        "kind": st.just("training_offer"),
        "organisation": st.just("some-school"),
        "title": LINES,
        "programme_type": st.just("course"),
        "learning_outcomes": st.lists(LINES.map(str.strip), min_size=1, max_size=3),
    },
    optional={"hours": st.integers(1, 5000), "eqf_level": st.integers(1, 8), "cost_eur": st.integers(0, 900)},
)


def as_cell(value: Any, *, typed: bool) -> Any:
    if isinstance(value, list):
        return "|".join(value)
    if typed or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(st.lists(PITCHES | OFFERS, min_size=1, max_size=6), st.sampled_from(files.DELIMITERS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_rows_give_the_same_in_every_format(
    tmp_path: Path, rows: list[dict[str, Any]], delimiter: str
) -> None:
    columns = sorted({name for row in rows for name in row})
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter=delimiter)
    writer.writerows([columns, *[[as_cell(row.get(c, ""), typed=False) for c in columns] for row in rows]])
    cells = [[as_cell(row.get(column, ""), typed=True) for column in columns] for row in rows]
    lines = "\n".join(json.dumps(row, default=str) for row in rows)

    expected = [validate(files.Row(0, json.loads(json.dumps(row, default=str)), [])) for row in rows]
    assert all(isinstance(item, ProfileFields) for item in expected)
    for name, content in (
        ("rows.csv", table.getvalue()),
        ("rows.csv", "\ufeff" + table.getvalue()),
        ("rows.jsonl", lines),
        ("rows.xlsx", workbook([columns, *cells])),
    ):
        assert [validate(row) for row in rows_of(tmp_path, content, name)] == expected, name
        assert check_file(tmp_path / name, name=name) == len(rows)


def test_cells_of_a_spreadsheet_are_read_as_their_owner_meant_them(tmp_path: Path) -> None:
    content = workbook(
        [
            [
                "kind",
                "Places",
                "illustrative",
                "valid_from",
                "starts_on",
                "nace_revision",
                "nuts_version",
                "hours",
            ],
            ["skill_need", 12.0, True, dt.date(2026, 1, 2), dt.datetime(2026, 3, 4), 2.0, 2024, 7.5],  # noqa: DTZ001
            [None, None, None, None, None, None, None, None],
            ["skill_need", 3, False, "2026-01-02", None, 2.1, "2021", None],
        ]
    )
    first, second = rows_of(tmp_path, content, "a.xlsx")
    assert (first.number, second.number) == (2, 4)
    assert first.data == {
        "kind": "skill_need", "places": "12", "illustrative": "true", "valid_from": "2026-01-02",
        "starts_on": "2026-03-04", "nace_revision": "2.0", "nuts_version": "2024", "hours": "7.5",
    }  # fmt: skip
    assert second.data == {
        "kind": "skill_need", "places": "3", "illustrative": "false", "valid_from": "2026-01-02",
        "nace_revision": "2.1", "nuts_version": "2021",
    }  # fmt: skip


def test_a_code_that_a_spreadsheet_took_for_a_number_is_an_error(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, workbook([["kind", "nace_codes"], ["pitch", 62.1], ["pitch", "62.10"]]), "a.xlsx")
    assert rows[0].errors[0]["field"] == "nace_codes"
    assert rows[1].data == {"kind": "pitch", "nace_codes": ["62.10"]}


def test_lists_of_things_in_one_cell(tmp_path: Path) -> None:
    (row,) = rows_of(
        tmp_path,
        "kind;name;country;languages;memberships;labels;figures\n"
        "company;Acme;ES; es | pt |;a-cluster|b-alliance:partnership;"
        "silver:2025-01-01:2027-01-31|gold:2027-02-01:2029-01-31:Another;inhabitants=52.116|members=over 200",
    )
    found = validate(row)
    assert isinstance(found, OrganisationCreate)
    assert found.languages == ["es", "pt"]
    assert [(m.of, m.kind.value) for m in found.memberships] == [
        ("a-cluster", "cluster"), ("b-alliance", "partnership"),
    ]  # fmt: skip
    assert [(label.level, label.issuer) for label in found.labels] == [
        ("silver", "ESCA"),
        ("gold", "Another"),
    ]
    assert [(f.name, f.as_written) for f in found.figures] == [
        ("inhabitants", "52.116"),
        ("members", "over 200"),
    ]


def test_a_list_cell_that_cannot_be_read_names_its_column(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "kind,name,country,labels,figures,,\n"
        "company,A,ES,silver,,,\ncompany,A,ES,,over 200,,\ncompany,A,ES,silver:2025-01-01:soon,,,\n",
    )
    assert [row.errors[0]["field"] for row in rows[:2]] == ["labels", "figures"]
    found = validate(rows[2])
    assert isinstance(found, list)
    assert found[0]["field"] == "labels.0.valid_until"


def test_an_hour_is_no_date(tmp_path: Path) -> None:
    cells = ["skill_need", dt.datetime(2026, 3, 4, 5, 6), dt.time(5, 6)]  # noqa: DTZ001
    (row,) = rows_of(tmp_path, workbook([["kind", "starts_on", "ends_on"], cells]), "a.xlsx")
    found = validate(row)
    assert isinstance(found, list)
    assert {"starts_on", "ends_on"} <= {error["field"] for error in found}


def test_every_list_field_is_known_as_one() -> None:
    assert {"languages", "skills", "memberships", "labels", "figures", "learning_outcomes"} <= LISTS <= COLUMNS
    assert not {"title", "text", "programme", "dual_regime"} & LISTS


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_are_valid_and_whole(path: Path) -> None:
    rows = list(read_rows(path, name=path.name))
    found = [validate(row) for row in rows]
    assert rows
    assert check_file(path, name=path.name) == len(rows)
    assert not [item for item in found if isinstance(item, list)]
    with path.open(encoding="utf-8") as file:
        columns = set(next(csv.reader(file)))
    fields = set(type(found[0]).model_fields)
    assert columns <= fields
    # Trainees have no sector and no source of their own.
    assert fields - columns <= {"nace_codes", "nace_revision", "ecosystems", "source_url"}
    assert all(item.illustrative for item in found)  # type: ignore[union-attr]


def test_there_is_a_template_for_each_kind() -> None:
    kinds = {str(row.data["kind"]) for path in TEMPLATES for row in read_rows(path, name=path.name) if row.data}
    assert kinds == files.KINDS


# --- kinds ------------------------------------------------------------------


def test_the_kind_column_wins_over_the_default(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "kind,organisation,title,text\n,o,A,one\npriority,o,B,two\n")
    kinds = [getattr(validate(row, default_kind="pitch"), "kind", None) for row in rows]
    assert kinds == ["pitch", "priority"]


def test_an_unknown_or_missing_kind_is_an_error_at_kind(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, '{"kind": "secret"}\n{"title": "x"}\n{"kind": ["pitch"]}\n{"kind": 1}\n', "a.jsonl")
    for row in rows:
        found = validate(row)
        assert isinstance(found, list)
        assert found[0]["field"] == "kind"
        assert "secret" not in found[0]["reason"]


def test_a_file_without_kinds_needs_a_default(tmp_path: Path) -> None:
    error = refused(tmp_path, "organisation,title,text\no,A,one\n", "a.csv")
    assert error.errors[0]["field"] == "default_kind"
    assert check_file(tmp_path / "a.csv", name="a.csv", default_kind="pitch") == 1
    with pytest.raises(InvalidInput):
        check_file(tmp_path / "a.csv", name="a.csv", default_kind="cathedral")


def test_a_trainee_has_no_room_for_a_name(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, '{"kind": "trainee", "organisation": "s", "ref": "A-01", "name": "Ana"}', "a.jsonl")
    found = validate(row)
    assert isinstance(found, list)
    assert found[0]["field"] == "name"
    (row,) = rows_of(tmp_path, "kind,organisation,ref,text\ntrainee,s,A-01,Ana\n")
    assert validate(row)[0]["field"] == "text"  # type: ignore[index]
    assert refused(tmp_path, "kind,organisation,ref,surname\ntrainee,s,A-01,Ana\n", "a.csv")
    (row,) = rows_of(tmp_path, "kind,organisation,ref,text\ntrainee,s,A-01,\n")
    assert isinstance(validate(row), TraineeCreate)


# --- whole files that are refused -------------------------------------------

UNREADABLE = [
    ("empty.csv", b""),
    ("empty.jsonl", b""),
    ("empty.xlsx", b""),
    ("blank.csv", b"\n\n \n"),
    ("blank.jsonl", b"\n\n \n"),
    ("header.csv", b"kind,title\n,\n"),
    ("header.xlsx", workbook([["kind", "title"]])),
    ("latin.csv", "kind,title\npitch,Cl\xfaster\n".encode("cp1252")),
    ("latin.jsonl", '{"title": "Cl\xfaster"}'.encode("cp1252")),
    ("utf16.csv", "kind,title\n".encode("utf-16")),
    ("surrogates.csv", b"kind,title\npitch,\xed\xa0\x80\n"),
    ("unknown.csv", "kind,title,nickname\npitch,One,x\n"),
    ("twice.csv", "kind,title,title\npitch,One,x\n"),
    ("quote.csv", 'kind,"title\npitch,One\n'),
    ("wide.csv", ",".join(["kind"] * 101) + "\n"),
    ("long.csv", "kind," * 300_000),
    ("macintosh.csv", "kind,title\rpitch,One\r"),
    ("no.xlsx", b"kind,title\npitch,One\n"),
    ("old.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100),
    ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100),
    ("head.xlsx", b"PK\x03\x04"),
    ("cut.xlsx", PLAIN[: len(PLAIN) // 2]),
    ("renamed.csv", PLAIN),
    ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
]


@pytest.mark.parametrize(("name", "content"), UNREADABLE, ids=[name for name, _ in UNREADABLE])
def test_a_file_that_is_no_such_file_is_refused_whole(tmp_path: Path, name: str, content: bytes | str) -> None:
    error = refused(tmp_path, content, name)
    shown = json.dumps(error.errors)
    assert "nickname" not in shown
    assert len(shown) < 4_000


def test_the_type_is_known_without_an_extension(tmp_path: Path) -> None:
    assert files.file_type(written(tmp_path, PLAIN, "a"), name="a") == "xlsx"
    assert files.file_type(written(tmp_path, '\ufeff {"kind"', "a"), name="a") == "jsonl"
    assert files.file_type(written(tmp_path, "kind,title", "a"), name="upload.bin") == "csv"


# --- broken rows ------------------------------------------------------------


def test_a_broken_csv_row_costs_itself_only(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "kind,title,text\n"  # 1
        "pitch,One,first\n"  # 2
        "pitch,Two\n"  # 3: too few
        "pitch,Three,a,b\n"  # 4: too many
        'pitch,"Four,open quote\n'  # 5
        "pitch,Five,still read\n"  # 6
        'pitch,"Six" x,junk behind a quote\n'  # 7
        'pitch,"Se\nven","two\nlines"\n'  # 8-10
        "\n"  # 11
        "pitch,Nine,\0\n"  # 12
        f"pitch,Ten,{'x' * 20_001}\n"  # 13
        f"pitch,Eleven,{'x' * 1_000_001}\n"  # 14
        "pitch,Twelve,last,,\n"  # 15: empty columns that a spreadsheet left behind
        ",,\n",  # 16
    )
    assert {row.number: row.data["title"] for row in rows if row.data} == {
        2: "One", 6: "Five", 8: "Se\nven", 15: "Twelve",
    }  # fmt: skip
    found = reasons(rows)
    assert set(found) == {3, 4, 5, 7, 12, 13, 14}
    assert found[3] == "wrong number of columns: 2 instead of 3"
    assert found[12] == "contains NUL characters"


def test_a_quote_open_to_the_end_hides_nothing(tmp_path: Path) -> None:
    lines = [f"pitch,T{number},text {number}" for number in range(20_000)]
    lines[10] = 'pitch,"T10,text'
    rows = rows_of(tmp_path, "kind,title,text\n" + "\n".join(lines))
    assert [row.number for row in rows if row.errors] == [12]
    assert len(rows) == 20_000


def test_a_file_of_broken_rows_is_given_up(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "kind,title\n" + 'pitch,"a" b\n' * 3_000)
    assert len(rows) == files.MAX_BROKEN + 1
    assert "not read" in rows[-1].errors[0]["reason"]


DEEP = '{"title": ' + "[" * 20 + "]" * 20 + "}"
BAD_LINES = [
    ("[1, 2]", "not a JSON object"),
    ('"pitch"', "not a JSON object"),
    ("{", "not valid JSON"),
    ("{'kind': 'pitch'}", "not valid JSON"),
    ('{"kind": "pitch"} {"kind": "pitch"}', "not valid JSON"),
    ('{"places": NaN}', "contains NaN or Infinity"),
    ('{"places": -Infinity}', "contains NaN or Infinity"),
    ('{"places": 1e999}', "contains a number that is too large"),
    ('{"places": 9223372036854775808}', "contains an integer beyond 64 bits"),
    ('{"places": -9223372036854775809}', "contains an integer beyond 64 bits"),
    ('{"places": ' + "9" * 5_000 + "}", "contains an integer beyond 64 bits"),
    ('{"kind": "pitch", "kind": "priority"}', "names a field twice"),
    ('{"labels": [{"level": 1, "level": 2}]}', "names a field twice"),
    ('{"title": "\\ud800"}', "contains characters that are not text"),
    ('{"\\udfff": 1}', "contains characters that are not text"),
    ('{"title": "a\\u0000b"}', "contains NUL characters"),
    (DEEP, "is nested too deeply"),
    ("[" * 100_000, "not valid JSON"),
    ('{"a":' * 100_000, "not valid JSON"),
    ('{"text": "' + "x" * 1_000_001 + '"}', "longer than 1000000 bytes"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_json_line_costs_itself_only(tmp_path: Path, line: str, reason: str) -> None:
    good = '{"kind": "pitch", "organisation": "o", "title": "T", "text": "long enough"}'
    rows = rows_of(tmp_path, f"{good}\n{line}\n\n{good}\n", "a.jsonl")
    assert reasons(rows) == {2: reason}
    assert [row.number for row in rows] == [1, 2, 4]
    assert isinstance(validate(rows[2]), PitchCreate)
    assert validate(rows[1]) == rows[1].errors


def test_errors_repeat_nothing_of_a_row(tmp_path: Path) -> None:
    hidden = "Zq7-hidden"
    line = {"kind": "trainee", "organisation": "s", "ref": hidden, hidden * 9: hidden, "languages": [hidden]}
    for row in rows_of(tmp_path, json.dumps(line), "a.jsonl"):
        found = validate(row)
        assert isinstance(found, list)
        assert {"ref", "?", "languages.0"} <= {error["field"] for error in found}
        assert hidden not in json.dumps(found)


# --- uploads ----------------------------------------------------------------


def test_an_upload_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    path = store_upload(io.BytesIO(b"x" * 3_000_000), folder, limit=3_000_000)
    assert path.parent == folder
    assert path.suffix == files.UPLOAD_SUFFIX
    assert path.stat().st_size == 3_000_000
    with pytest.raises(PayloadTooLarge):
        store_upload(io.BytesIO(b"x" * 3_000_001), folder, limit=3_000_000)
    assert list(folder.iterdir()) == [path]


def test_an_offer_may_do_without_text(tmp_path: Path) -> None:
    (row,) = rows_of(
        tmp_path,
        "kind\torganisation\ttitle\tprogramme_type\tlearning_outcomes\n"
        "training_offer\ts\tWelding\tcourse\tJoin steel, safely|Read; drawings\n",
        "a.tsv",
    )
    found = validate(row)
    assert isinstance(found, TrainingOfferCreate)
    assert found.learning_outcomes == ["Join steel, safely", "Read; drawings"]
