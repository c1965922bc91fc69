"""Print every tie of a starter skill to ESCO, to be read: what `SURE` and `CONFIRMED` in app/taxonomy/ties.py rest on.

    python scripts/tie_skills.py [--data ../shared/data] [--model NAME_OR_FOLDER]

Ties are made as an import of ESCO in English makes them. Behind them come those that a lower threshold would make,
nearest first. Run it anew with every new encoder.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from link_skills import given, read_skills  # noqa: E402 - after the path

from app.taxonomy.skills import all_skills  # noqa: E402
from app.taxonomy.ties import CONFIRMED, SURE, tie  # noqa: E402

LEAST = 0.85
"""Down to which cosine the labels that are not tied are printed."""


def main() -> None:
    """Print the ties and the near ones."""
    data, embedder = given(__doc__)
    print(f"{embedder.model_key}; in use: {SURE} alone, {CONFIRMED} with a common name", flush=True)
    skills, starter = read_skills(data), all_skills()
    labels = embedder.embed_documents([skill.label("en") for skill in skills])
    ties = tie(starter, skills, labels, embedder)
    cosines = labels @ embedder.embed_documents([skill.label("en") for skill in starter]).T
    place = {skill.id: number for number, skill in enumerate(skills)}
    lines = []
    for column, skill in enumerate(starter):
        other = place[ties[skill.id]] if skill.id in ties else int(cosines[:, column].argmax())
        lines.append((skill.id in ties, float(cosines[other, column]), skill.label("en"), skills[other].label("en")))
    for tied, cosine, ours, theirs in sorted(lines, key=lambda line: (not line[0], -line[1], line[2])):
        if tied or cosine >= LEAST:
            print(f"{'tied' if tied else '    '} {cosine:.3f}  {ours}  =  {theirs}")
    print(f"{len(ties)} of {len(starter)} tied")


if __name__ == "__main__":
    main()
