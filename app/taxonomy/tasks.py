"""Long work on the imported catalogue."""

from app.db.session import Database
from app.errors import Conflict
from app.matching.embedder import Embedder
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import CatalogueService


def renew_catalogue(database: Database, embedder: Embedder) -> int:
    """Embed the imported catalogue anew where its vectors are of another encoder; return how many skills.

    Without this an upgraded service would find skills by their names alone until the next import. Who imports meanwhile
    or starts at the same time has embedded it: then nothing is stored here.
    """
    with database.read() as session:
        repository = CatalogueRepository(session)
        head = repository.head()
        if head is None or head.model_key == embedder.model_key:
            return 0
        service = CatalogueService(repository, embedder)
        prepared = service.prepare(repository.catalogue(), head.version)
    try:
        with database.write() as session:
            service.store(CatalogueRepository(session), prepared)
    except Conflict:
        return 0
    return len(prepared.vectors)
