"""The student learns to put texts of twelve languages where the teacher puts their English.

It is the teacher's own network on our vocabulary.

Targets are computed once; only the student's side of a pair is encoded in training, so that other texts cost nothing
and thousands of them stand beside each one. Two terms: the cosine with the target (Reimers & Gurevych 2020), and how
near other targets of the bank are, which is to be what it is for the teacher (relational distillation, Tejankar et al.
2021, arXiv 2103.16148): that teaches what the cosine alone leaves blurred.
"""

import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from training import genders
from training.network import Network
from training.plurals import plural
from training.sources import Concept, Sources

TEMPERATURE: Final = 0.05
COSINE_WEIGHT: Final = 5.0
HOLD_WEIGHT: Final = 10.0
"""Weight of the cosine where the text is English itself: what the teacher knows is not to be lost."""
BATCH_TOKENS: Final = 4_096
BANK_SAMPLE: Final = 3_072
RATE_BODY: Final = 1e-4
RATE_TABLE: Final = 6e-4
KEPT_WAY: Final = 0.6
"""How far the network itself goes from the teacher; its pieces' vectors go all the way. Against the whole way general
sentences gain (STS .006 to .015 in every language) and so do titles within Spanish and skill sentences; related titles
in German lose .006, Tatoeba .022. Going less far gains little more and loses the field."""

_OWN: Final = frozenset({"everyday", "projects"})
_ISCO: Final = re.compile(r"C\d+")
_WARM_UP: Final = 0.02
SHIPPED: Final = torch.float8_e4m3fn
_FROZEN: Final = 0.9
_WINDOW: Final = 4_000
_SAVE_EVERY: Final = 600.0


@dataclass(slots=True)
class Task:
    """Texts, the row of the bank that each one means, and how often a batch is drawn from here."""

    name: str
    weight: float
    bank: NDArray[np.float32]
    cosine: float = COSINE_WEIGHT
    wanted: list[tuple[list[int], list[int]]] = field(default_factory=list)
    """Instead of one row, for each text: the rows that are right, and those that are not wrong either."""
    texts: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def add(self, text: str, row: int, times: int = 1) -> None:
        """Add an example; `times` makes it come as often as that many."""
        self.texts.extend([text] * times)
        self.rows.extend([row] * times)


def teach(
    start: Path, teacher: Path, destination: Path, sources: Sources, *, tokens: int, rate: float, seed: int
) -> dict[str, object]:
    """Write the student to `destination`, saved every ten minutes; train on `tokens` of text. Returns figures.

    `rate` is the part of the full rate that is begun with: less than 1 to go on from a student that has learnt.
    """
    torch.manual_seed(seed)
    chance = random.Random(seed)  # noqa: S311  draws batches, guards nothing
    network = Network(start)
    taught = Network(teacher)
    tasks = _tasks(sources, taught)
    streams = {task.name: _batches(task, network, random.Random(f"{seed}{task.name}")) for task in tasks}  # noqa: S311
    table = network.table
    same = _alike(table.detach().numpy())
    network.model.embeddings.word_embeddings.sparse = True
    optimisers = [
        torch.optim.AdamW([p for p in network.model.parameters() if p is not table], weight_decay=0.0,
                          betas=(0.9, 0.98), fused=True),
        # A step touches few of the pieces: only these are moved.
        torch.optim.SparseAdam([table], betas=(0.9, 0.98)),
    ]  # fmt: skip

    def save() -> None:
        with torch.no_grad():
            table.copy_(table[same])
        network.save(destination)

    steps = seen = 0
    saved, losses = time.monotonic(), dict[str, float]()
    network.model.train()
    while (done := seen / tokens) < 1:
        if done >= _FROZEN and table.requires_grad:
            # The pieces are shipped in a byte a number: the network learns with what they will be.
            with torch.no_grad():
                table.copy_(table.to(SHIPPED).float())
            table.requires_grad = False
            del optimisers[1]
        for optimiser, top in zip(optimisers, (RATE_BODY, RATE_TABLE), strict=False):
            optimiser.param_groups[0]["lr"] = rate * top * min(1.0, (done + 1e-3) / _WARM_UP) * (1 - done)
        task = chance.choices(tasks, [task.weight for task in tasks])[0]
        ids, rows = next(streams[task.name])
        vectors = network.embed([same[own].tolist() for own in ids])
        loss = _needs_loss(task, vectors, rows) if task.wanted else _loss(task, vectors, rows, chance)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        steps += 1
        seen += sum(map(len, ids))
        losses[task.name] = 0.95 * losses.get(task.name, loss.item()) + 0.05 * loss.item()
        if steps % 200 == 0:
            shown = ", ".join(f"{name} {value:.2f}" for name, value in sorted(losses.items()))
            print(f"student {steps} steps, {seen / 1e6:.1f} M tokens, {done:.0%}: {shown}", flush=True)
        if time.monotonic() - saved > _SAVE_EVERY:
            save()
            saved = time.monotonic()
    network.part_of_the_way(taught, KEPT_WAY)
    save()
    return {"steps": steps, "tokens": seen, "loss": {name: round(value, 3) for name, value in sorted(losses.items())}}


def _alike(table: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each piece the first one that has its vector: pieces that begin as one remain one (`genders`)."""
    _, first, group = np.unique(table, axis=0, return_index=True, return_inverse=True)
    alike: NDArray[np.int64] = first[group.reshape(-1)]
    return alike


def _loss(task: Task, vectors: torch.Tensor, rows: Sequence[int], chance: random.Random) -> torch.Tensor:
    own = torch.from_numpy(task.bank[rows])
    others = torch.from_numpy(task.bank[[chance.randrange(len(task.bank)) for _ in range(BANK_SAMPLE)]])
    cosine = (vectors * own).sum(1, keepdim=True)
    near = torch.cat([cosine, vectors @ others.T], dim=1) / TEMPERATURE
    wanted = torch.cat([torch.ones_like(cosine), own @ others.T], dim=1) / TEMPERATURE
    return torch.nn.functional.cross_entropy(near, wanted.softmax(1)) + task.cosine * (1 - cosine.mean())


def _needs_loss(task: Task, vectors: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """All rows of the bank stand against each text; its right ones share its probability."""
    logits = vectors @ torch.from_numpy(task.bank).T / TEMPERATURE
    share = torch.zeros_like(logits)
    for place, row in enumerate(rows):
        right, neither = task.wanted[row]
        share[place, right] = 1 / len(right)
        logits[place, neither] = -1e4
    return torch.nn.functional.cross_entropy(logits, share)


def _batches(task: Task, network: Network, chance: random.Random) -> Iterator[tuple[list[list[int]], list[int]]]:
    """Endless batches of like length, each example once before any comes again."""
    places = list(range(len(task.texts)))
    while True:
        chance.shuffle(places)
        for begin in range(0, len(places), _WINDOW):
            window = places[begin : begin + _WINDOW]
            ids = dict(zip(window, network.tokens([task.texts[place] for place in window]), strict=True))
            batches: list[list[int]] = [[]]
            for place in sorted(window, key=lambda place: len(ids[place])):
                if (len(batches[-1]) + 1) * len(ids[place]) > BATCH_TOKENS:
                    batches.append([])
                batches[-1].append(place)
            chance.shuffle(batches)
            for batch in batches:
                yield [ids[place] for place in batch], [task.rows[place] for place in batch]


def _tasks(sources: Sources, teacher: Network) -> list[Task]:
    skills, occupations = sources.skills, sources.occupations
    general = (*_general(sources, teacher, own=False), *_general(sources, teacher, own=True))
    named = _named("skills", 20, skills, teacher)
    titles = _named("occupations", 24, occupations, teacher, centre=True)
    described = _described(sources, teacher)
    wanted = _wanted(sources, teacher)
    needs, fields = _needs(sources, teacher), _fields(sources, teacher)
    return [task for task in (*general, named, titles, described, wanted, needs, fields) if task.texts]


def _general(sources: Sources, teacher: Network, *, own: bool) -> tuple[Task, Task]:
    """Parallel text: the other language, and English itself, at the teacher's vector of the English.

    Our `own` sentences and projects are few and bring the words that the other sources lack: a task of their own.
    """
    pairs = [pair for pair in sources.pairs if (pair.source in _OWN) == own]
    english = sorted({pair.english for pair in pairs})
    row = {text: place for place, text in enumerate(english)}
    bank = teacher.embed_all(english)
    name, weight, of_english = ("everyday", 36, 12) if own else ("parallel", 22, 14)
    foreign, native = Task(name, weight, bank), Task(f"{name} en", of_english, bank, HOLD_WEIGHT)
    for pair in pairs:
        foreign.add(pair.text, row[pair.english])
    for text in english:
        native.add(text, row[text])
    return foreign, native


def _needs(sources: Sources, teacher: Network) -> Task:
    """Put what an occupation does nearest to the skills that are essential to it."""
    keys = sorted(sources.skills)
    row = {key: place for place, key in enumerate(keys)}
    task = Task("needs", 12, teacher.embed_all([_shown(sources.skills[key]) for key in keys]))
    for identifier in sorted(sources.essential):
        right = [row[key] for key in sorted(sources.essential[identifier]) if key in row]
        occupation = sources.occupations.get(identifier)
        if occupation and right:
            optional = sources.related[identifier] - sources.essential[identifier]
            neither = [row[key] for key in sorted(optional) if key in row]
            for text in occupation.descriptions.values():
                task.add(text, len(task.wanted))
            task.wanted.append((right, neither))
    return task


def _fields(sources: Sources, teacher: Network) -> Task:
    """Put a project nearest to the centre of those that are of its field of intervention, in whatever language."""
    keys = sorted({key for key, _ in sources.projects})
    row = {key: place for place, key in enumerate(keys)}
    vectors = teacher.embed_all([texts[0] for _, texts in sources.projects])
    bank = np.zeros((len(keys), vectors.shape[1]), dtype=np.float32)
    task = Task("fields", 8, bank)
    for (key, texts), vector in zip(sources.projects, vectors, strict=True):
        bank[row[key]] += vector
        for text in texts:
            task.add(text, len(task.wanted))
        task.wanted.append(([row[key]], []))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    return task


def _shown(skill: Concept) -> str:
    return f"{skill.labels['en'][0]}. {skill.descriptions.get('en', '')}"


def _named(name: str, weight: float, concepts: dict[str, Concept], teacher: Network, *, centre: bool = False) -> Task:
    """Labels of concepts in every language: at the concept's English label, or at the centre of all of them."""
    keys = sorted(concepts)
    texts = [label for key in keys for label in concepts[key].labels["en"]]
    vectors = iter(teacher.embed_all(texts))
    bank = np.empty((len(keys), 384), dtype=np.float32)
    for place, key in enumerate(keys):
        own = np.stack([next(vectors) for _ in concepts[key].labels["en"]])
        # The first label names the concept; the others pull it a little, or, for titles, as much.
        bank[place] = own.mean(axis=0) + own[0] * (0.5 if centre else 1.0)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    task = Task(name, weight, bank)
    for place, key in enumerate(keys):
        for lang, labels in concepts[key].labels.items():
            for number, label in enumerate(labels):
                forms = genders.both_genders(label)
                for text in forms:
                    task.add(text, place, 2 if number == 0 and lang != "en" else 1)
                # ESCO gives trades in the singular; its groups of trades are concepts of their own, in the plural.
                if centre and not _ISCO.fullmatch(key) and (several := plural(forms[:2][-1], lang)):
                    task.add(several, place)
    return task


def _described(sources: Sources, teacher: Network) -> Task:
    concepts = [c for c in (*sources.occupations.values(), *sources.skills.values()) if c.descriptions.get("en")]
    task = Task("descriptions", 10, teacher.embed_all([concept.descriptions["en"] for concept in concepts]))
    for place, concept in enumerate(concepts):
        for lang, text in concept.descriptions.items():
            task.add(text, place, 1 if lang == "en" else 4)
    return task


def _wanted(sources: Sources, teacher: Network) -> Task:
    """Sentences of advertisements: nearest to the skill they ask for, wherever that is."""
    keys = sorted(sources.skills)
    row = {key: place for place, key in enumerate(keys)}
    bank = teacher.embed_all([sources.skills[key].labels["en"][0] for key in keys])
    task = Task("advertisements", 4, bank, cosine=0.0)
    for key, lang, text in sources.advertisements:
        task.add(text, row[key], 1 if lang == "en" else 2)
    return task
