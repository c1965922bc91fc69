"""Lists that people find fair: copies, organisations with much, and what everybody is shown already."""

import json
import random
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from app.matching.documents import embed_parts
from app.matching.embedder import Embedder
from app.matching.fairness import Copies
from app.profiles.composition import parts
from app.settings import ROOT
from tests.conftest import Service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    ids,
    load,
    pitch,
    priority,
    read,
    remove,
    suggest,
)

TERRITORY = ROOT / "scripts" / "territory"
LEAST, CLONES = 0.01, 30
TITLE = "Carrocerías más ligeras para la automoción"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TERRITORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def edited(text: str, share: float, chance: random.Random) -> str:
    """Return the text with a share of its words replaced by words of other pitches."""
    words = [word for row in rows("pitches") for word in row["text"].split()]
    return " ".join(chance.choice(words) if chance.random() < share else word for word in text.split())


def copies(service: Service, share: float, owners: int) -> set[str]:
    """Register one pitch of the territory 30 times more, in the names of so many clusters; return all their ids."""
    (original,) = (row for row in rows("pitches") if row["title"] == TITLE)
    chance = random.Random(1)  # noqa: S311 - made-up edits, no secret
    names = [add_organisation(service, "cluster") for _ in range(owners)]
    lines = [
        {**original, "organisation": names[number % owners], "ref": f"c{number}"}
        | {"text": edited(original["text"], share, chance)}
        for number in range(CLONES)
    ]
    done = load(service, "clones.jsonl", "\n".join(map(json.dumps, lines)).encode())
    assert done["result"]["created"] == CLONES
    pitches = read(service, "/profiles", kind="pitch", limit=100)["items"]
    return {found["id"] for found in pitches if found["title"] == TITLE}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("owners", [1, CLONES])
def test_copies_of_one_pitch_take_two_of_the_top_twenty(real_service: Service, share: float, owners: int) -> None:
    for name in ("organisations", "priorities", "pitches"):
        load(real_service, f"{name}.jsonl", (TERRITORY / f"{name}.jsonl").read_bytes())
    found = copies(real_service, share, owners)
    asker = add_profile(
        real_service,
        priority(add_organisation(real_service, "region"), title=TITLE, text="Aceros para carrocerías ligeras."),
    )
    answer = suggest(real_service, "cluster-region", profile_id=asker, limit=20)
    listed = [item for item in answer["items"] if item["profile"]["id"] in found]
    assert len(answer["items"]) == 20
    assert answer["items"][0]["profile"]["id"] in found
    assert len(listed) <= 2
    assert answer["rejected"]["near_duplicate"] >= CLONES + 1 - len(listed)
    named = [other for item in listed for other in item["similar"]]
    assert 5 <= len(named) <= 5 * len(listed)
    assert {other["id"] for other in named} <= found - {item["profile"]["id"] for item in listed}
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_no_two_pitches_of_the_territory_are_copies_and_edited_ones_are(real_embedder: Embedder) -> None:
    """The thresholds are the encoder's: another encoder, and they are to be looked at anew."""
    limits, pitches = Copies(), rows("pitches")
    own = [parts("pitch", row["title"], row["text"], {}) for row in pitches]
    vectors = np.stack([found.vector for found in embed_parts(real_embedder, own)])
    cosines = [float(vectors[one] @ vectors[other]) for one, other in combinations(range(len(pitches)), 2)]
    assert max(cosines) < limits.clone - LEAST
    chance = random.Random(2)  # noqa: S311 - made-up edits, no secret
    chosen = pitches[::5]
    others = [parts("pitch", row["title"], edited(row["text"], 0.05, chance), {}) for row in chosen]
    near = [float(vectors[5 * place] @ found.vector) for place, found in enumerate(embed_parts(real_embedder, others))]
    assert min(near) > limits.clone + LEAST


WORDS = ("harbour", "olive", "drone", "ceramics", "vineyard", "hospital", "tramway", "satellite", "cheese", "textile")


def different(number: int) -> dict[str, str]:
    """Return a title and a text that no other number has."""
    first, second = WORDS[number % 10], WORDS[number // 10 % 10]
    return {"title": f"{first} {number}", "text": f"{first}{number} and {second}{number}: {second}ery{number}."}


def test_one_organisation_fills_no_list(service: Service) -> None:
    much, little = (add_organisation(service, "region") for _ in range(2))
    lines = [priority(much, **different(number)) for number in range(40)]
    load(service, "much.jsonl", "\n".join(map(json.dumps, lines)).encode())
    other = add_profile(service, priority(little, title="Fish", text="Boats and nets."))
    question: dict[str, Any] = {"text": "Olive drones in the harbour", "limit": 100}
    answer = suggest(service, "cluster-region", **question)
    assert len(answer["items"]) == 4
    assert other in ids(answer)
    assert answer["rejected"] == {"per_organisation": 37}
    every = suggest(service, "cluster-region", **question, max_per_organisation=100)
    assert (len(every["items"]), every["rejected"]) == (41, {})
    assert ids(suggest(service, "cluster-region", **question, max_per_organisation=1)) == [
        next(found for found in ids(every) if found != other),
        other,
    ]
    first = suggest(service, "cluster-region", text=question["text"], limit=2)
    assert (ids(first), first["rejected"]) == (ids(every)[:2], {})
    for wrong in (0, 101, "3", 2.5):
        suggest(service, "cluster-region", **question, max_per_organisation=wrong, status=422)


def test_what_regions_have_in_common_is_shown_of_each(service: Service) -> None:
    made = [add_profile(service, priority(add_organisation(service, "region"))) for _ in range(4)]
    own = add_organisation(service, "region")
    twice = [add_profile(service, priority(own, **same)) for same in ({}, {"ref": "again"})]
    answer = suggest(service, "cluster-region", text="Electric vehicles and batteries")
    assert ids(answer) == [*made, twice[0]]
    assert [[other["id"] for other in item["similar"]] for item in answer["items"]] == [[], [], [], [], twice[1:]]
    assert answer["rejected"] == {"near_duplicate": 1}


def test_a_copy_takes_the_place_of_the_one_that_goes(service: Service) -> None:
    asker = add_profile(service, priority(add_organisation(service, "region")))
    owners = [add_organisation(service, "cluster") for _ in range(3)]
    made = [add_profile(service, pitch(owner)) for owner in owners]
    answer = suggest(service, "cluster-region", profile_id=asker)
    (item,) = answer["items"]
    assert [item["profile"]["id"], *(other["id"] for other in item["similar"])] == made
    assert item["similar"][0]["organisation"]["id"] == owners[1]
    run = read(service, f"/suggestions/runs/{answer['run_id']}")
    assert run == answer
    change(service, f"/profiles/{made[1]}", {"title": "Renamed"})
    remove(service, f"/profiles/{made[2]}")
    assert [(other["id"], other["title"]) for other in read_similar(service, answer)] == [(made[1], "Renamed")]
    remove(service, f"/profiles/{made[0]}")
    assert ids(suggest(service, "cluster-region", profile_id=asker)) == [made[1]]


def read_similar(service: Service, answer: dict[str, Any]) -> list[dict[str, Any]]:
    run = read(service, f"/suggestions/runs/{answer['run_id']}")
    return [other for item in run["items"] for other in item["similar"]]


def test_a_run_that_was_kept_before_lists_were_fair_can_be_read(service: Service) -> None:
    add_profile(service, priority(add_organisation(service, "region")))
    answer = suggest(service, "cluster-region", text="Electric vehicles")
    with service.database.write() as session:
        session.execute(
            text(
                "UPDATE suggestion SET item = "
                "json_remove(item, '$.similar', '$.band_words', '$.raise_score', '$.skills')"
            )
        )
        session.execute(
            text(
                "UPDATE suggestion_run SET head = "
                "json_remove(head, '$.exposure_seq', '$.answer_language', '$.calibration', '$.reason')"
            )
        )
    items = [{**item, "raise_score": None} for item in answer["items"]]
    assert read(service, f"/suggestions/runs/{answer['run_id']}") == {**answer, "items": items}
