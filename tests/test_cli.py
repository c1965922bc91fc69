"""The command line, as a person uses it: in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.accounts.principal import Role
from app.accounts.repository import LiveKeys
from app.accounts.service import check
from app.db.session import Database
from tests.fixtures.esco import write_folder

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ("organisations", "priorities", "pitches", "training_offers", "skill_needs", "trainees")


def puente(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PUENTE_MODEL": "hash", "PUENTE_DATABASE": str(folder / "puente.db")}
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database into which all templates were imported."""
    folder = tmp_path_factory.mktemp("cli")
    done = puente("import", *(str(ROOT / "scripts" / "templates" / f"{name}.csv") for name in TEMPLATES), folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(", 0 updated, 0 refused") == len(TEMPLATES)
    return folder


def test_the_templates_can_be_imported_in_their_order(filled: Path) -> None:
    again = puente("import", str(ROOT / "scripts" / "templates" / "pitches.csv"), folder=filled)
    assert again.stdout.startswith("pitches.csv: 0 created, ")


def test_an_export_is_an_import_again(filled: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.jsonl"
    assert puente("export", "--to", str(first), folder=filled).returncode == 0
    copied = puente("import", str(first), folder=tmp_path)
    assert copied.returncode == 0, copied.stderr
    second = puente("export", folder=tmp_path)
    assert second.stdout.splitlines() == first.read_text(encoding="utf-8").splitlines()
    kinds = {json.loads(line)["kind"] for line in second.stdout.splitlines()}
    assert {"cluster", "region", "company", "school", "pitch", "trainee"} <= kinds


def test_a_bad_row_is_named_and_the_good_one_kept(tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    file.write_text("kind,ref,name,country\nregion,good,Good,ES\nregion,bad,Bad,XX\n", encoding="utf-8")
    done = puente("import", str(file), folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == "two.csv: 1 created, 0 updated, 1 refused\n"
    assert "row 3: country:" in done.stderr


def test_a_file_that_is_no_workbook_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.xlsx"
    file.write_text("no workbook", encoding="utf-8")
    done = puente("import", str(file), folder=tmp_path)
    assert done.returncode == 2
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_printed_once_and_works(tmp_path: Path) -> None:
    made = puente("key", "a front-end", "--role", "writer", folder=tmp_path)
    key = made.stdout.strip()
    database = Database(str(tmp_path / "puente.db"))
    with database.read() as session:
        principal = check(key, LiveKeys(session.connection()))
    database.close()
    assert principal is not None
    assert principal.role is Role.WRITER
    secret = key.split("_", 2)[2].encode()  # it may hold that sign itself
    assert len(secret) == 43
    assert secret not in (tmp_path / "puente.db").read_bytes()


def test_another_database_is_refused_in_words(tmp_path: Path) -> None:
    done = puente("export", "--database", "postgresql://localhost/puente", folder=tmp_path)
    assert done.returncode == 2
    assert "only SQLite" in done.stderr
    assert "Traceback" not in done.stderr


def test_esco_is_imported_twice_and_a_bad_folder_is_one_clear_line(filled: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ESCO v1.2.0")
    first = puente("taxonomy", "import", "esco", str(folder), folder=filled)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("ESCO 1.2.0: 5 skills stored, 5 embedded, ")
    again = puente("taxonomy", "import", "esco", str(folder), folder=filled)
    assert again.stdout == "ESCO 1.2.0: 5 skills already there, 0 embedded, 0 tied to ours, 0 profiles read\n"
    (folder / "skills_en.csv").write_text("a,b\n", encoding="utf-8")
    bad = puente("taxonomy", "import", "esco", str(folder), folder=filled)
    assert bad.returncode == 2
    assert "skills_en.csv: the file lacks the columns" in bad.stderr
    assert "Traceback" not in bad.stderr
