"""What moves phrases to the skills they speak of: a linear map of the student's vectors, fitted by contrast.

Phrases are sentences of advertisements, what an occupation does, and skills as other languages and national
catalogues word them; all of ESCO's skills stand against each of them. The skills' own vectors stay where they are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from app.matching.skill_phrases import FILE
from app.taxonomy.service import skill_texts
from app.taxonomy.skills import Skill
from training.occupations import Embed, served
from training.sources import Concept, Sources

STEPS: Final = 900
BATCH: Final = 256
RATE: Final = 2e-3
TEMPERATURE: Final = 0.05
DECAY: Final = 3e-4
"""Times the sum of the squares of the map: it is to stay near to moving nothing."""

NEEDS, ADVERTISEMENTS, NAMES = 2, 2, 4
"""How often a batch is of what occupations do, of advertisements and of skills' names in other languages."""

_ENGLISH: Final = "en"


@dataclass(slots=True)
class Said:
    """Texts of one kind, and for each the skills that it means."""

    share: float
    texts: list[str]
    meant: list[list[int]]


def fit(student: Path, sources: Sources, seed: int) -> dict[str, object]:
    """Write `FILE` into the student's folder; returns how many phrases there were, and the losses."""
    embed = served(student)
    keys = sorted(sources.skills)
    row = {key: place for place, key in enumerate(keys)}
    bank = torch.from_numpy(_bank([sources.skills[key] for key in keys], embed))
    kinds = [kind for kind in _said(sources, row) if kind.texts]
    vectors = [torch.from_numpy(embed(kind.texts)) for kind in kinds]
    weights, losses = _learn(kinds, vectors, bank, seed)
    save_file({"weights": np.ascontiguousarray(weights.numpy(), dtype=np.float16)}, student / FILE)
    return {"phrases": [len(kind.texts) for kind in kinds], "losses": [round(loss, 3) for loss in losses]}


def _said(sources: Sources, row: dict[str, int]) -> list[Said]:
    needs, names = Said(NEEDS, [], []), Said(NAMES, [], [])
    for key in sorted(sources.essential):
        meant = sorted(row[skill] for skill in sources.essential[key] if skill in row)
        if meant and key in sources.occupations:
            texts = list(sources.occupations[key].descriptions.values())
            needs.texts += texts
            needs.meant += [meant] * len(texts)
    for key, place in row.items():
        for lang, labels in sources.skills[key].labels.items():
            if lang != _ENGLISH:
                names.texts += labels
                names.meant += [[place]] * len(labels)
    advertised = [(row[key], text) for key, _, text in sources.advertisements]
    return [needs, Said(ADVERTISEMENTS, [text for _, text in advertised], [[place] for place, _ in advertised]), names]


def _bank(skills: list[Concept], embed: Embed) -> NDArray[np.float32]:
    """Return where each skill stands, the mean of its label's, its other names' and its description's vectors."""
    parts = zip(*(skill_texts(_skill(concept)) for concept in skills), strict=True)
    bank = np.zeros((len(skills), 384), dtype=np.float32)
    for texts in parts:
        there = [place for place, text in enumerate(texts) if text]
        bank[there] += embed([texts[place] for place in there])
    found: NDArray[np.float32] = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    return found


def _skill(concept: Concept) -> Skill:
    label, *others = concept.labels[_ENGLISH]
    return Skill("", {_ENGLISH: label}, {_ENGLISH: tuple(others)}, concept.descriptions.get(_ENGLISH, ""))


def _learn(
    kinds: list[Said], vectors: list[torch.Tensor], bank: torch.Tensor, seed: int
) -> tuple[torch.Tensor, list[float]]:
    chance = np.random.default_rng(seed)
    weights = torch.zeros(bank.shape[1], bank.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weights])
    shares = np.array([kind.share for kind in kinds])
    losses = [0.0] * len(kinds)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        number = int(chance.choice(len(kinds), p=shares / shares.sum()))
        drawn = chance.choice(len(kinds[number].texts), min(BATCH, len(kinds[number].texts)), replace=False)
        share = torch.zeros(len(drawn), len(bank))
        for place, text in enumerate(drawn.tolist()):
            meant = kinds[number].meant[text]
            share[place, meant] = 1 / len(meant)
        own = vectors[number][torch.from_numpy(drawn)]
        moved = torch.nn.functional.normalize(own + own @ weights, dim=1)
        loss = torch.nn.functional.cross_entropy(moved @ bank.T / TEMPERATURE, share)
        optimiser.zero_grad()
        (loss + DECAY * (weights**2).sum()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses[number] += 0.1 * (loss.item() - losses[number]) if losses[number] else loss.item()
    return weights.detach(), losses
