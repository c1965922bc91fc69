"""Another encoder than the one that the stored vectors are of: after an upgrade nothing may be lost."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from app.matching.embedder import Embedder, HashEmbedder
from app.matching.types import Matrix
from app.profiles.embedding import embed_profiles
from app.profiles.tables import Embedding
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.skills import default_catalogue
from app.taxonomy.tasks import renew_catalogue
from tests.conftest import Service, make_service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    ids,
    need,
    offer,
    priority,
    read,
    suggest,
    trainee,
)
from tests.fixtures.esco import URI, import_folder, write_folder


@contextmanager
def served(database_file: Path, embedder: Embedder) -> Iterator[Service]:
    yield from make_service(database_file, embedder)


@pytest.fixture
def other() -> Embedder:
    """An encoder whose vectors have another length, and another key."""
    return HashEmbedder(dim=128)


def stored(service: Service, embedder: Embedder) -> dict[int, str]:
    with service.database.read() as session:
        rows = session.execute(
            select(Embedding.profile_pk, Embedding.content_hash).where(Embedding.model_key == embedder.model_key)
        )
        return {pk: content for pk, content in rows}  # noqa: C416 - a result is taken for a mapping by dict()


def test_a_service_with_another_encoder_finds_what_it_found(
    database_file: Path, hash_embedder: Embedder, other: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(database_file, hash_embedder) as service:
        region, school = add_organisation(service, "region", nuts_code="ES61"), add_organisation(service, "school")
        add_profile(service, priority(region, title="Hydrogen", text="Hydrogen buses. Green ports."))
        course = add_profile(
            service,
            offer(school, title="Welding", text="Welding of pipes", skills=[default_catalogue().all_skills()[0].id]),
        )
        add_profile(service, trainee(school, "T-1", programme=course))
        company = add_organisation(service, "company")
        add_profile(service, need(company, title="Welder", text="Welding of pipes and tanks"))
        before = [
            suggest(service, "cluster-region", text="Hydrogen buses"),
            suggest(service, "company-trainee", text="Welding"),
        ]
        hashes = stored(service, hash_embedder)
    assert all(ids(answer) for answer in before)

    capsys.readouterr()
    with served(database_file, other) as service:
        after = [
            suggest(service, "cluster-region", text="Hydrogen buses"),
            suggest(service, "company-trainee", text="Welding"),
        ]
        assert [ids(answer) for answer in after] == [ids(answer) for answer in before]
        assert {answer["model"] for answer in after} == {other.model_key}
        assert stored(service, other) == hashes, "the same content, so that an import need not embed it once more"
        assert stored(service, hash_embedder) == hashes, "who goes back finds everything as it was"
        said = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "renewed for" in line]
        assert [line["sizes"] for line in said] == [{"profiles": len(hashes), "skills": 0, "read": 0}]
        assert embed_profiles(service.database, other) == 0


def test_what_changed_meanwhile_is_left_alone(database_file: Path, hash_embedder: Embedder, other: Embedder) -> None:
    with served(database_file, hash_embedder) as service:
        region = add_organisation(service, "region", nuts_code="ES61")
        first = add_profile(service, priority(region, title="Hydrogen", text="Hydrogen buses"))
        add_profile(service, priority(region, title="Ports", text="Green ports"))

        class Meddling(HashEmbedder):
            """Another person changes a profile while it is embedded."""

            def embed_documents(self, texts: Sequence[str]) -> Matrix:
                change(service, f"/profiles/{first}", {"title": "Wood"})
                return super().embed_documents(texts)

        assert embed_profiles(service.database, Meddling(dim=128)) == 1
        assert embed_profiles(service.database, other) == 1


def test_skills_are_found_by_the_other_encoder_s_vectors(
    database_file: Path, tmp_path: Path, hash_embedder: Embedder, other: Embedder
) -> None:
    def found(service: Service) -> list[tuple[str, str]]:
        item = read(service, "/profiles", kind="skill_need")["items"][0]
        return [(skill["uri"], skill["found_by"]) for skill in item["found_skills"]]

    with served(database_file, hash_embedder) as service:
        import_folder(service.database, hash_embedder, write_folder(tmp_path / "esco"))
        company = add_organisation(service, "company")
        add_profile(service, need(company, text="Weld metal parts. Vines prune."))
        before = found(service)
    assert (URI + "weld", "exact") in before
    assert {by for _, by in before} > {"exact"}, "one is found by its vector alone"
    with served(database_file, other) as service:
        assert found(service) == before
        with service.database.read() as session:
            head = CatalogueRepository(session).head()
        assert head is not None
        assert head.model_key == other.model_key

        class Meddling(HashEmbedder):
            """Another process starts at the same time, and is quicker."""

            def embed_documents(self, texts: Sequence[str]) -> Matrix:
                renew_catalogue(service.database, HashEmbedder(dim=96))
                return super().embed_documents(texts)

        assert renew_catalogue(service.database, Meddling(dim=96)) == 0
        assert renew_catalogue(service.database, other) > 0
