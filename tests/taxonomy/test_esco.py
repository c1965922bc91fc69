"""The importer of ESCO: languages, versions, encoders, bad files."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from app.db.session import Database
from app.errors import Conflict
from app.matching.embedder import HashEmbedder
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import CatalogueFileError, CatalogueService, SkillFinder, esco_version, read_esco
from app.taxonomy.tables import Catalogue, CatalogueSkill, SkillLabel, SkillVectors
from tests.fixtures.esco import ENGLISH, PORTUGUESE, SPANISH, URI, import_folder, write_folder

EMBEDDER = HashEmbedder(64)


def counts(database: Database) -> tuple[int, int, int]:
    """Return the numbers of skills, labels and vectors."""
    with database.read() as session:
        tables = (CatalogueSkill, SkillLabel, SkillVectors)
        return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)  # type: ignore[return-value]


def everything(database: Database) -> list[tuple[object, ...]]:
    """Return all rows of the catalogue, the moment of the import aside."""
    with database.read() as session:
        found: list[tuple[object, ...]] = []
        for table in (CatalogueSkill, SkillLabel, SkillVectors, Catalogue):
            columns = [column for column in table.__table__.c if column.name != "imported_at"]
            found += [tuple(map(str, row)) for row in session.execute(select(*columns).order_by(*columns[:2]))]
        return found


def found_in(database: Database, text: str, embedder: HashEmbedder = EMBEDDER) -> set[str]:
    """Return the ids of the skills found in a text, their common beginning aside."""
    with database.read() as session:
        found = SkillFinder(embedder).find(CatalogueRepository(session), [{"text": text}])
        return {skill.id.removeprefix(URI) for _, skill in found[0].skills} if found else set()


def test_all_languages_of_a_folder(database: Database, tmp_path: Path) -> None:
    assert import_folder(database, EMBEDDER, write_folder(tmp_path / "esco")) == (5, 0)
    assert counts(database) == (5, 5 + 4 + 2, 5)
    for text in ("metal welding", "Soldadura de metales.", "soldar peças metálicas"):
        assert found_in(database, text) == {"weld"}
    with database.read() as session:
        repository = CatalogueRepository(session)
        skill = repository.catalogue().get_skill(URI + "bake")
        assert skill is not None
        assert (skill.labels["pt"], skill.alt["en"], skill.status) == ("cozer pão", ("make bread", "data"), "released")
        assert skill.description == "Prepare dough and bake loaves in an oven."
        vectors = repository.vectors([URI + "bake", URI + "prune"], EMBEDDER.model_key, EMBEDDER.dim)
        assert vectors is not None
        assert np.allclose(np.linalg.norm(vectors, axis=2), [[1, 1], [1, 0], [1, 1]], atol=1e-3)


def test_the_same_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "esco")
    import_folder(database, EMBEDDER, folder)
    before = everything(database)
    assert import_folder(database, EMBEDDER, folder) == (0, 0)
    assert everything(database) == before


def test_a_language_more_and_a_skill_less(database: Database, tmp_path: Path) -> None:
    import_folder(database, EMBEDDER, write_folder(tmp_path / "en", en=ENGLISH))
    assert found_in(database, "hornear pan") == set()
    assert import_folder(database, EMBEDDER, write_folder(tmp_path / "es", es=SPANISH))[0] == 0
    assert found_in(database, "hornear pan and bake bread") == {"bake"}
    assert counts(database) == (5, 9, 5)
    changed = [("weld", "weld anything at all", (), "Another description."), *ENGLISH[1:2]]
    assert import_folder(database, EMBEDDER, write_folder(tmp_path / "less", en=changed))[0] == 3
    assert counts(database) == (4, 2 + 4, 4)
    assert found_in(database, "weld metal parts") == set()
    assert found_in(database, "weld anything at all") == {"weld"}


def test_another_version_replaces_all_of_the_last_one(database: Database, tmp_path: Path) -> None:
    import_folder(database, EMBEDDER, write_folder(tmp_path / "esco"), "1.1.0")
    import_folder(database, EMBEDDER, write_folder(tmp_path / "pt", pt=PORTUGUESE), "1.2.0")
    assert counts(database) == (2, 2, 2)
    with database.read() as session:
        assert set(session.scalars(select(CatalogueSkill.version))) == {"1.2.0"}
        assert session.scalars(select(Catalogue.languages)).one() == ["pt"]


def test_another_encoder_embeds_anew_and_until_then_labels_are_found(database: Database, tmp_path: Path) -> None:
    folder, other = write_folder(tmp_path / "esco"), HashEmbedder(32)
    import_folder(database, EMBEDDER, folder)
    assert found_in(database, "bake bread") == found_in(database, "bake bread", other) == {"bake"}
    assert found_in(database, "baking bread loaves; baked bread", other) == set()
    assert import_folder(database, other, folder) == (5, 0)
    assert counts(database) == (5, 11, 5)
    with database.read() as session:
        assert set(session.scalars(select(SkillVectors.model_key))) == {other.model_key}


def test_obsolete_skills_are_kept_and_not_found(database: Database, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "esco", en=ENGLISH)
    file = folder / "skills_en.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("released", "obsolete", 1), encoding="utf-8")
    import_folder(database, EMBEDDER, folder)
    assert counts(database)[0] == 5
    assert found_in(database, "weld metal parts and prune vines") == {"prune"}


def test_two_imports_at_a_time_do_not_mix(database: Database, tmp_path: Path) -> None:
    given = read_esco(write_folder(tmp_path / "esco"))
    with database.read() as session:
        service = CatalogueService(CatalogueRepository(session), EMBEDDER)
        late = service.prepare(given, "1.1.0")
    import_folder(database, EMBEDDER, tmp_path / "esco")
    before = everything(database)
    with pytest.raises(Conflict), database.write() as session:
        service.store(CatalogueRepository(session), late)
    assert everything(database) == before


def test_the_version_stands_in_the_folders_name(tmp_path: Path) -> None:
    official = tmp_path / "ESCO dataset - v1.2.0 - classification - en - csv"
    assert esco_version(official) == "1.2.0"
    assert esco_version(tmp_path / "esco_v1.1" / "skills") == "1.1"
    assert esco_version(Path("/nothing/here")) is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("other.csv", b"a,b\n", "no file such as"),
        ("skills_xx.csv", b"a,b\n", "skills_xx.csv: its name"),
        ("skills_en.csv", b"a,b\n1,2\n", "lacks the columns conceptUri, preferredLabel"),
        ("skills_en.csv", b"", "lacks the columns"),
        ("skills_en.csv", b"conceptUri,preferredLabel\n", "no skills"),
        ("skills_en.csv", b"conceptUri,preferredLabel\nx,y\n", "conceptUri"),
        ("skills_en.csv", b"conceptUri,preferredLabel\nhttp://x/1,\n", "no preferredLabel"),
        ("skills_en.csv", b"conceptUri,preferredLabel\nhttp://x/1,a\nhttp://x/1,b\n", "twice"),
        ("skills_en.csv", b"conceptUri,preferredLabel\nhttp://x/1,\xff\xfe\n", "UTF-8"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CatalogueFileError, match=said):
        read_esco(tmp_path)


def test_two_files_of_one_language_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, en=ENGLISH)
    write_folder(tmp_path / "en", en=ENGLISH)
    with pytest.raises(CatalogueFileError, match="two files"):
        read_esco(tmp_path)
