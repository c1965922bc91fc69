"""The teacher: the English encoder tuned to the field before anything is taught in other languages.

Contrast (InfoNCE, van den Oord et al. 2018) over English pairs: labels of one occupation, labels and description of one
skill, occupation ↔ essential skill, sentence of a job advertisement ↔ skill. A second term holds general English where
the untouched teacher had it.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch

from training.network import Network
from training.sources import Concept, Sources

TEMPERATURE: Final = 0.05
BATCH: Final = 192
BANK_SAMPLE: Final = 4_096
BANK_STEPS: Final = 50
HELD: Final = 96
HOLD_WEIGHT: Final = 4.0
RATE: Final = 4e-5
KEPT_WAY: Final = 0.75
_WARM_UP: Final = 0.05

Batch = tuple[list[str], list[str], list[str], list[frozenset[str]], bool]
Task = Callable[[random.Random], Batch]
"""Anchors, positives, what each positive is, what each anchor must not be pushed away from, and whether the positives
are skills, so that all other skills are wrong answers."""


def tune(start: Path, destination: Path, sources: Sources, *, steps: int, seed: int) -> dict[str, float]:
    """Write the tuned teacher to `destination`; train for `steps`. Returns figures for the model card."""
    torch.manual_seed(seed)
    chance = random.Random(seed)  # noqa: S311  draws batches, guards nothing
    network = Network(start)
    general = sorted({pair.english for pair in sources.pairs} | set(_described(sources.skills)))
    held = torch.from_numpy(Network(start).embed_all(general))
    skills = sorted(sources.skills)
    labels = [sources.skills[key].labels["en"][0] for key in skills]
    bank = torch.empty(0)
    optimiser = torch.optim.AdamW(network.model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    tasks = _tasks(sources)
    lost = kept = 0.0
    for step in range(steps):
        if step % BANK_STEPS == 0:
            bank = torch.from_numpy(network.embed_all(labels))
            network.model.train()
        done = step / steps
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / steps / _WARM_UP) * (1 - done)
        task = chance.choices([task for task, _ in tasks], [weight for _, weight in tasks])[0]
        anchors, positives, names, friends, against_all = task(chance)
        places = [chance.randrange(len(general)) for _ in range(HELD)]
        texts = anchors + positives + [general[place] for place in places]
        vectors = network.embed(network.tokens(texts))
        count = len(anchors)
        logits = vectors[:count] @ vectors[count : 2 * count].T / TEMPERATURE
        friend = _friends(names, friends)
        friend.fill_diagonal_(False)  # noqa: FBT003  torch's signature
        logits = logits.masked_fill(friend, -1e4)
        target = torch.arange(count)
        backward = torch.nn.functional.cross_entropy(logits.T, target)
        if against_all:  # all of ESCO stands against the anchor, as it was a few steps ago
            drawn = chance.sample(range(len(skills)), BANK_SAMPLE)
            others = vectors[:count] @ bank[drawn].T / TEMPERATURE
            logits = torch.cat([logits, others.masked_fill(_friends([skills[p] for p in drawn], friends), -1e4)], 1)
        contrast = (torch.nn.functional.cross_entropy(logits, target) + backward) / 2
        hold = (1 - (vectors[2 * count :] * held[places]).sum(1)).mean()
        (contrast + HOLD_WEIGHT * hold).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        lost, kept = 0.98 * lost + 0.02 * contrast.item(), 0.98 * kept + 0.02 * hold.item()
        if step % 50 == 0:
            print(f"teacher {step} steps, {done:.0%}: contrast {lost:.3f}, hold {kept:.4f}", flush=True)
    network.part_of_the_way(Network(start), KEPT_WAY)
    network.save(destination)
    return {"steps": steps, "contrast": round(lost, 4), "hold": round(kept, 4)}


def _friends(names: Sequence[str], friends: Sequence[frozenset[str]]) -> torch.Tensor:
    return torch.tensor([[name in own for name in names] for own in friends])


def _described(concepts: dict[str, Concept]) -> list[str]:
    return [concept.descriptions["en"] for concept in concepts.values() if concept.descriptions.get("en")]


def _tasks(sources: Sources) -> list[tuple[Task, float]]:
    skills, occupations = sources.skills, sources.occupations
    titles = [key for key, concept in occupations.items() if len(concept.labels["en"]) > 1]
    known = list(skills)
    needing = [key for key in sources.essential if occupations.get(key) and occupations[key].descriptions.get("en")]
    advertised = [(skill, text) for skill, lang, text in sources.advertisements if lang == "en"]

    def needs(chance: random.Random) -> Batch:
        drawn = chance.sample(needing, BATCH)
        wanted = [chance.choice(sorted(sources.essential[key])) for key in drawn]
        anchors = [
            occupations[key].descriptions["en"]
            if chance.random() < 0.8
            else chance.choice(occupations[key].labels["en"])
            for key in drawn
        ]
        shown = [_shown(skills[key], chance) for key in wanted]
        return anchors, shown, wanted, [sources.related[key] for key in drawn], True

    def advertisement(chance: random.Random) -> Batch:
        drawn = chance.sample(advertised, BATCH)
        return (
            [text for _, text in drawn],
            [
                chance.choice(skills[key].labels["en"][:4]) if chance.random() < 0.3 else skills[key].labels["en"][0]
                for key, _ in drawn
            ],
            [key for key, _ in drawn],
            [frozenset((key,)) for key, _ in drawn],
            True,
        )

    tasks: list[tuple[Task, float]] = [(_same(occupations, titles), 3), (_same(skills, known), 2), (needs, 5)]
    return [*tasks, (advertisement, 4)] if len(advertised) > BATCH else tasks


def _same(concepts: dict[str, Concept], keys: list[str]) -> Task:
    """Return the task of finding another name of the same concept."""

    def task(chance: random.Random) -> Batch:
        drawn = chance.sample(keys, BATCH)
        pairs = [_two(concepts[key], chance) for key in drawn]
        return [a for a, _ in pairs], [b for _, b in pairs], drawn, [frozenset((key,)) for key in drawn], False

    return task


def _two(concept: Concept, chance: random.Random) -> tuple[str, str]:
    """Two ways of naming a concept; one time in five its description."""
    labels = concept.labels["en"]
    description = concept.descriptions.get("en")
    if description and (len(labels) == 1 or chance.random() < 0.2):
        return chance.choice(labels), description
    first, second = chance.sample(labels, 2) if len(labels) > 1 else (labels[0], labels[0])
    return first, second


def _shown(concept: Concept, chance: random.Random) -> str:
    label, description = concept.labels["en"][0], concept.descriptions.get("en", "")
    return f"{label}. {description}" if description and chance.random() < 0.6 else label
