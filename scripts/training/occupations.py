"""What reads ISCO-08 unit groups off the student's vectors: a multinomial logistic regression on ESCO's occupations.

Beside the groups there is a class "none of them", taught by everyday life, parallel text, skills and projects. How
far a vector is drawn to its groups was chosen on the public packs of titles.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from app.matching.beside import read_beside
from app.matching.occupations import FILE
from training import genders
from training.network import Network
from training.sources import Sources

Embed: TypeAlias = Callable[[list[str]], NDArray[np.float32]]

PULL: Final = 0.3
"""How far a vector of length 1 is drawn. From .2 to .35 titles gain; at .5 related titles are drawn into one."""

NONE_BIAS: Final = 4.0
"""Added to the logit of "none of them": in doubt a text is no title. Related titles lose .002 to .003, and what is no
title stays where it was: "nothing fits" is said as well as before (`scripts/calibrate.py`)."""

NONE: Final = 30_000
"""Texts of each kind that is no occupation."""

ROUNDS: Final = 16
BATCH: Final = 4_096
RATE: Final = 0.2
"""So that the regression becomes sure of what it reads: related titles (TalentCLEF) gain .005 on a cautious one."""

_HELD: Final = 10


def fit(student: Path, sources: Sources, seed: int) -> dict[str, object]:
    """Write `FILE` into the student's folder; returns how many examples there were, and how well others are read.

    The figure is the share of titles whose group comes first, of a tenth that a trial fit did not see.
    """
    chance = random.Random(seed)  # noqa: S311  draws examples, guards nothing
    network = Network(student)
    codes = sorted({code for key, code in sources.groups.items() if key in sources.occupations})
    row = {code: place for place, code in enumerate(codes)}
    examples = [
        (text, row[sources.groups[key]])
        for key, concept in sorted(sources.occupations.items())
        if key in sources.groups
        for text in (
            *(genders.both_genders(label)[0] for labels in concept.labels.values() for label in labels),
            *concept.descriptions.values(),
        )
    ]
    titles = len(examples)
    examples += [(text, len(codes)) for kind in _others(sources) for text in chance.sample(kind, min(NONE, len(kind)))]
    vectors = torch.from_numpy(network.embed_all([text for text, _ in examples]))
    classes = torch.tensor([place for _, place in examples])
    held = np.arange(len(examples)) % _HELD == 0
    seen = torch.from_numpy(~held)
    weights, bias = _regression(vectors[seen], classes[seen], len(codes) + 1, seed)
    judged = torch.from_numpy(held & (np.arange(len(examples)) < titles))
    right = float((vectors[judged] @ weights + bias).argmax(1).eq(classes[judged]).float().mean())
    weights, bias = _regression(vectors, classes, len(codes) + 1, seed)
    bias[-1] += NONE_BIAS
    centres = torch.stack([vectors[classes == place].mean(0) for place in range(len(codes))])
    directions = PULL * torch.nn.functional.normalize(centres - centres.mean(0), dim=1)
    tensors = {"weights": _half(weights), "bias": _half(bias), "directions": _half(directions)}
    save_file(tensors, student / FILE, metadata={"codes": " ".join(codes)})
    return {"titles": titles, "others": len(examples) - titles, "read_right": round(right, 4)}


def served(student: Path) -> Embed:
    """Return what gives texts the vectors that the service will give them: the student's, drawn to their groups."""
    network, groups = Network(student), read_beside(student, 384).groups

    def embed(texts: list[str]) -> NDArray[np.float32]:
        vectors = network.embed_all(texts)
        return vectors if groups is None else np.stack([groups.drawn(vector) for vector in vectors])

    return embed


def _others(sources: Sources) -> list[list[str]]:
    skills = sources.skills.values()
    return [
        [text for concept in skills for labels in concept.labels.values() for text in labels],
        [text for concept in skills for text in concept.descriptions.values() if text]
        + [text for _, _, text in sources.advertisements],
        [text for _, texts in sources.projects for text in texts],
        [text for texts in sources.life for text in texts],
        sorted({text for pair in sources.pairs if pair.source not in _NO_OTHERS for text in (pair.text, pair.english)}),
    ]


_NO_OTHERS: Final = frozenset({"everyday", "projects", "isco"})
"""Sources of pairs that speak of occupations too, or that stand among the others already."""


def _regression(
    vectors: torch.Tensor, classes: torch.Tensor, count: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (d, count) and bias (count,) by Adam: there are too many examples for an exact solver."""
    order = torch.Generator().manual_seed(seed)
    weights = torch.zeros(vectors.shape[1], count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.Adam([weights, bias])
    starts = [(turn, start) for turn in range(ROUNDS) for start in range(0, len(vectors), BATCH)]
    places = torch.empty(0, dtype=torch.long)
    for step, (_, start) in enumerate(starts):
        if start == 0:
            places = torch.randperm(len(vectors), generator=order)
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / len(starts))
        drawn = places[start : start + BATCH]
        loss = torch.nn.functional.cross_entropy(vectors[drawn] @ weights + bias, classes[drawn])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return weights.detach(), bias.detach()


def _half(tensor: torch.Tensor) -> NDArray[np.float16]:
    return np.ascontiguousarray(tensor.numpy(), dtype=np.float16)
