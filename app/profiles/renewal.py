"""What is stored, brought to the present encoder and linker: after an upgrade, or with another `PUENTE_MODEL`."""

from typing import NamedTuple

from app.db.session import Database
from app.matching.embedder import Embedder
from app.profiles.embedding import embed_profiles
from app.profiles.linking import link_profiles
from app.taxonomy.service import SkillFinder
from app.taxonomy.tasks import renew_catalogue


class Renewed(NamedTuple):
    """How many profiles and skills were embedded anew, and how many profiles were read for skills anew."""

    profiles: int
    skills: int
    read: int


def renew(database: Database, embedder: Embedder, finder: SkillFinder) -> Renewed:
    """Do what is left to do; nothing where all is of this encoder, catalogue and linker."""
    # The catalogue first: profiles are read with its vectors.
    skills = renew_catalogue(database, embedder)
    return Renewed(embed_profiles(database, embedder), skills, link_profiles(database, finder))
