"""Evidence with the real encoder: quotes stand where they say, and are what the similarity is made of."""

from typing import Any

import pytest

from tests.conftest import Service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    need,
    offer,
    pitch,
    priority,
    read,
    suggest,
    trainee,
)

CARS = "We build battery packs for electric buses and vans."
SCHOOL = "Our cluster also trains young mechanics in three schools."
WINE = "Some members grow grapes and make wine in the hills."
LONG = """\
The cluster was founded in 1998 by eleven family companies of the valley, which still meet every month. \
Its members make chairs, tables and kitchen furniture out of oak and beech from the surrounding forests. \
In recent years a group of engineers has begun to print spare parts for wind turbines at sea. \
They look for a coastal region with a port where such parts can be tested under salt water and storm. \
Other members care for the schools: they send masters of their trade to teach two mornings a week. \
The old railway station became a museum of wood, with a workshop where children learn to carve. \
A quarter of what is sold goes abroad, most of it to France and Portugal, by lorry and by ship. \
Energy comes from the river, and since last spring also from the roofs of all eleven factories."""
TURBINES = "Offshore wind energy: turbines, blades and their maintenance in salt water. Ports for testing at sea."
UNICODE = (
    "Nous cherchons des régions « pilotes ». 🚗🔋 Des autobus électriques — e\u0301nergie propre !\r\n\tÀ bientôt."
)


@pytest.fixture
def house(real_service: Service) -> Service:
    """One organisation of each kind, and the real encoder."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(real_service, kind, ref=ref)
    return real_service


def pairs(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found = [pair for item in answer["items"] for pair in item["evidence"]]
    assert found
    return found


def quoted(text: str, quote: dict[str, Any]) -> bool:
    assert quote["text"].strip()
    return text[quote["start"] : quote["end"]] == quote["text"]


def check_quotes(service: Service, answer: dict[str, Any], question: str) -> None:
    """Check every quote of an answer against the question's text and the profile's, as the API shows it."""
    mine, theirs = answer["from"], "offer" if answer["from"] == "seeker" else "seeker"
    assert answer["items"]
    for item in answer["items"]:
        text = read(service, f"/profiles/{item['profile']['id']}")["text"]
        assert len(item["evidence"]) <= 4
        for pair in item["evidence"]:
            assert -1 <= pair["similarity"] <= 1
            assert quoted(question, pair[mine])
            assert quoted(text, pair[theirs])
        similarities = [pair["similarity"] for pair in item["evidence"]]
        assert similarities == sorted(similarities, reverse=True)
        shown = [(pair[theirs]["start"], pair[theirs]["end"]) for pair in item["evidence"]]
        assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("question", [CARS, f"{WINE}\n\n{CARS}\n{SCHOOL}", LONG, UNICODE, "  " + CARS + " \n"])
def test_quotes_are_substrings_whoever_asks(house: Service, question: str) -> None:
    made = [
        add_profile(house, priority("r", text=LONG)),
        add_profile(house, priority("r", text=UNICODE, language="fr")),
        add_profile(house, pitch("k", text=LONG)),
        add_profile(house, pitch("k", text=f"{WINE} {UNICODE} {CARS}")),
    ]
    for side in ("seeker", "offer"):
        answer = suggest(house, "cluster-region", text=question, from_=side)
        check_quotes(house, answer, question)
        assert pairs(answer)
    for asker in made:
        answer = suggest(house, "cluster-region", profile_id=asker)
        check_quotes(house, answer, read(house, f"/profiles/{asker}")["text"])


def test_quotes_from_learning_outcomes_and_trainees(house: Service) -> None:
    outcomes = ["Desarrollo web en entorno cliente", "Bases de datos", "Diseño de interfaces"]
    course = add_profile(house, offer("s", ref="daw", text=None, learning_outcomes=outcomes, language="es"))
    asker = add_profile(house, need("c", skills=["puente:web-development"]))
    person = add_profile(house, trainee("s", "DAW-1", programme="daw", skills=["puente:python"]))
    text = read(house, f"/profiles/{asker}")["text"]
    for kind, other in (("company-school", course), ("company-trainee", person)):
        answer = suggest(house, kind, profile_id=asker)
        check_quotes(house, answer, text)
        assert [item["profile"]["id"] for item in answer["items"]] == [other]
        back = suggest(house, kind, profile_id=other)
        check_quotes(house, back, read(house, f"/profiles/{other}")["text"])
        same = [(p["seeker"], p["offer"]) for p in pairs(back)]
        assert {str(pair) for pair in same} & {str((p["seeker"], p["offer"])) for p in pairs(answer)}


def similarity(answer: dict[str, Any]) -> float:
    """Return what meaning adds to the score of the only item."""
    (item,) = answer["items"]
    return float(next(p["value"] for p in item["contributions"] if p["feature"] == "semantic_similarity"))


@pytest.mark.parametrize("asks", ["text", "profile"])
def test_the_quoted_sentence_carries_the_similarity(house: Service, asks: str) -> None:
    """Without what was quoted first the two texts are further apart: evidence is no afterthought."""
    add_profile(house, priority("r", title="Sea", text=TURBINES))
    if asks == "text":
        before = suggest(house, "cluster-region", text=LONG)
        best = before["items"][0]["evidence"][0]["seeker"]
        after = suggest(house, "cluster-region", text=LONG.replace(best["text"], ""))
    else:
        asker = add_profile(house, pitch("k", title="A cluster", text=LONG))
        before = suggest(house, "cluster-region", profile_id=asker)
        best = before["items"][0]["evidence"][0]["seeker"]
        change(house, f"/profiles/{asker}", {"text": LONG.replace(best["text"], "")})
        after = suggest(house, "cluster-region", profile_id=asker)
    assert len(best["text"]) < len(LONG) / 2
    assert similarity(after) < similarity(before)
    assert before["items"][0]["evidence"][0]["similarity"] > after["items"][0]["evidence"][0]["similarity"]


def test_deleting_the_quoted_sentence_of_the_offer_lowers_it_too(house: Service) -> None:
    made = add_profile(house, priority("r", title="A region", text=LONG))
    question = "Spare parts for wind turbines at sea, tested in a port."
    before = suggest(house, "cluster-region", text=question)
    best = before["items"][0]["evidence"][0]["offer"]
    assert "turbines" in best["text"] or "port" in best["text"]
    change(house, f"/profiles/{made}", {"text": LONG.replace(best["text"], "")})
    assert similarity(suggest(house, "cluster-region", text=question)) < similarity(before)


def test_equal_texts_are_as_near_as_texts_can_be(house: Service) -> None:
    add_profile(house, priority("r", title=CARS, text=CARS))
    answer = suggest(house, "cluster-region", text=CARS)
    assert similarity(answer) == pytest.approx(1, abs=1e-3)
    assert answer["items"][0]["evidence"][0]["similarity"] == pytest.approx(1, abs=1e-3)


def test_the_automotive_pitch_finds_the_automotive_priority_first(house: Service) -> None:
    texts = {
        "cars": ("Automotive", "The region invests in the automotive industry and in vehicle components."),
        "food": ("Food", "Olive oil, wine and organic vegetables."),
        "health": ("Health", "Care of the elderly at home with digital tools."),
    }
    made = {add_profile(house, priority("r", title=title, text=text)): name for name, (title, text) in texts.items()}
    questions = {
        "en": "We are an automotive cluster looking for regions that invest in vehicle components.",
        "es": "Somos un clúster de automoción y buscamos regiones que inviertan en componentes de vehículos.",
        "pt": "Somos um cluster automóvel à procura de regiões que invistam em componentes de veículos.",
    }
    for language, question in questions.items():
        answer = suggest(house, "cluster-region", text=question)
        assert made[answer["items"][0]["profile"]["id"]] == "cars", language
