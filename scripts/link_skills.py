"""Choose the threshold from which on a phrase is taken for a skill (`SIMILARITY` in app/matching/skills.py).

    python scripts/link_skills.py [--data ../shared/data] [--model NAME_OR_FOLDER]

Sentences of job advertisements with the ESCO skills that people found in them (packs `skillsent_*_validation`) are
linked as the service links texts, at each threshold. Printed are precision (skills found that are right), recall
(right skills that are found) and how many were found, for each pack and both together; "labels" is what exact labels
alone find. The threshold to take is the least one at which the precision in each pack is at least 0.6. Run it anew
with every new encoder.
"""

import argparse
import gzip
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.matching.embedder import Embedder, load_embedder  # noqa: E402 - after the path
from app.matching.skills import SIMILARITY, Concept, SkillLinker  # noqa: E402
from app.matching.types import Matrix  # noqa: E402 - after the path
from app.taxonomy.service import skill_texts  # noqa: E402
from app.taxonomy.skills import Skill  # noqa: E402

PACKS = ("skillsent_tech_validation", "skillsent_house_validation")
THRESHOLDS = tuple(round(0.54 + 0.02 * step, 2) for step in range(16))
LEAST_PRECISION = 0.6


class Score(NamedTuple):
    """Counts of one pack at one threshold."""

    right: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 1 where nothing was."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of what is right that was found."""
        return self.right / self.wanted if self.wanted else 0.0

    def __add__(self, other: object) -> "Score":
        """Return the counts of two packs together."""
        if not isinstance(other, Score):
            return NotImplemented
        return Score(self.right + other.right, self.found + other.found, self.wanted + other.wanted)


def rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table below its head."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in content.decode("utf-8").split("\n")[1:]:
        if line:
            yield line.split("\t")


def read_skills(data: Path) -> list[Skill]:
    """Return ESCO's skills in English, by the ids that the packs use."""
    return [
        Skill(id_, {"en": label}, {"en": tuple(dict.fromkeys(filter(None, alt.split("|"))))}, description)
        for id_, _, _, label, alt, description in rows(data / "esco" / "skills_en_v1.1.1.tsv.gz")
    ]


def make_linker(
    skills: Sequence[Skill], embedder: Embedder, embed: Callable[[Sequence[str]], Matrix] | None = None
) -> SkillLinker:
    """Return the linker that an import of those skills would give; `embed` returns their vectors, if kept elsewhere."""
    embed = embed or embedder.embed_documents
    vectors = np.zeros((3, len(skills), embedder.dim), dtype=np.float16)
    texts = [skill_texts(skill) for skill in skills]
    for number in range(3):
        there = [place for place, own in enumerate(texts) if own[number]]
        vectors[number, there] = embed([texts[place][number] for place in there])
    concepts = [Concept(skill.id, (skill.labels["en"],), skill.alt.get("en", ())) for skill in skills]
    return SkillLinker(concepts, vectors.astype(np.float32), embedder.phrases)


def scores(pack: Path, linker: SkillLinker, embedder: Embedder, thresholds: Sequence[float]) -> dict[float, Score]:
    """Return the counts at each threshold; above 1, only exact labels are found."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for question, skill in rows(pack / "qrels.tsv"):
        wanted[question].add(skill)
    questions = list(rows(pack / "queries.tsv"))
    found = linker.find([text for _, _, text in questions], embedder, least=min(thresholds))
    table = {}
    for least in thresholds:
        kept = [{skill.id for skill in own if skill.by == "exact" or skill.similarity >= least} for own in found]
        right = sum(len(own & wanted[question]) for own, (question, _, _) in zip(kept, questions, strict=True))
        table[least] = Score(right, sum(map(len, kept)), sum(map(len, wanted.values())))
    return table


def given(description: str | None) -> tuple[Path, Embedder]:
    """Return the shared data and the encoder that the command line names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", help="as PUENTE_MODEL; by default the default encoder")
    options = parser.parse_args()
    return options.data, load_embedder(options.model)


def main() -> None:
    """Print the table."""
    data, embedder = given(__doc__)
    print(f"{embedder.model_key}; in use: {SIMILARITY}", flush=True)
    linker = make_linker(read_skills(data), embedder)
    levels = (*THRESHOLDS, 2.0)
    tables = [scores(data / "packs" / pack, linker, embedder, levels) for pack in PACKS]
    print(f"{'threshold':>9}  " + "  ".join(f"{name:>22}" for name in ("tech", "house", "both")))
    for level in levels:
        own = [table[level] for table in tables]
        cells = [f"P {s.precision:.2f}  R {s.recall:.2f}  n {s.found:4}" for s in (*own, own[0] + own[1])]
        print(f"{'labels' if level > 1 else f'{level:.2f}':>9}  " + "  ".join(f"{cell:>22}" for cell in cells))
    good = [level for level in THRESHOLDS if all(table[level].precision >= LEAST_PRECISION for table in tables)]
    print(f"least threshold with a precision of {LEAST_PRECISION} in each: {min(good) if good else 'none'}")


if __name__ == "__main__":
    main()
