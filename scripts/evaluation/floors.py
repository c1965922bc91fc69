"""The quality that CI holds: small fixed samples of packs, and our own data, each with a floor for the default encoder.

`floors.json` is what `scripts/evaluate.py --floors` printed when the default encoder last changed.
"""

import json
from pathlib import Path

from evaluation import packs, parity, stages, targets
from evaluation.encoders import Vectors

FILE = Path(__file__).resolve().parent / "floors.json"
MARGIN = 0.03
"""How far below what was measured a floor lies: less than what a worse encoder loses, more than a library's noise."""

SAMPLES = {
    "competent_fr_to_esco_en": (200, 600),
    "esco_need_en_to_skills_en": (40, 500),
    "esco_skill_fr_en": (200, 600),
    "melo_deu_q_de_c_en": (80, 400),
    "melo_esp_q_es_c_es": (80, 400),
    "nace_label_pl_en": (200, 300),
    "skillsent_tech_validation": (75, 500),
    "talentclef25_val_en": (40, 600),
    "tatoeba_cat_eng": (200, 200),
}
"""Pack → how many queries, and how many rows of the corpus at least."""

OWN = ("triples", "gender")


def own_data(vectors: Vectors) -> dict[str, float]:
    """Return overlap@5 of the triples and RBO of the titles, within pools that are in the repository."""
    return {"triples": parity.overlap(vectors, None).mean, "gender": parity.gender(vectors, None).mean}


def sample(name: str, vectors: Vectors, data: Path) -> float:
    """Return the main metric of one of `SAMPLES`, read from the shared data."""
    pack = packs.sample(packs.read(data / "packs" / name), *SAMPLES[name])
    return stages.score(pack, "dense", vectors)[targets.METRIC_OF.get(name, pack.metric)]


def read() -> dict[str, float]:
    """Return the floors, by sample and own data."""
    found: dict[str, float] = json.loads(FILE.read_text("utf-8"))
    return found


def table(vectors: Vectors, data: Path) -> str:
    """Measure everything and return the content of `floors.json`; OSError without the shared data."""
    found = own_data(vectors) | {name: sample(name, vectors, data) for name in SAMPLES}
    return json.dumps({name: round(max(0.0, value - MARGIN), 3) for name, value in found.items()}, indent=1)
