"""Why a pair is where it is: one first reason, for any pair, in the asker's language."""

from typing import Any

import pytest

from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    change,
    fields_of,
    need,
    offer,
    pitch,
    post,
    priority,
    read,
    suggest,
    trainee,
)

CARS = "Electric vehicles and batteries"
NOBODY = "00000000-0000-0000-0000-000000000000"
WEB, PYTHON = "puente:web-development", "puente:python"


@pytest.fixture
def house(service: Service) -> Service:
    """One organisation of each kind."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref, nuts_code="ES61")
    return service


def why(service: Service, kind: str, seeker: str, offered: str, status: int = 200, **query: Any) -> dict[str, Any]:
    """Ask why about two profiles; `from_` becomes `from`."""
    if "from_" in query:
        query["from"] = query.pop("from_")
    found: dict[str, Any] = read(service, f"/suggestions/{kind}/why", status, seeker=seeker, offer=offered, **query)
    return found


def ask_why(service: Service, kind: str, status: int = 200, **question: Any) -> dict[str, Any]:
    """Ask why with a question; `from_` becomes `from`."""
    if "from_" in question:
        question["from"] = question.pop("from_")
    answer = service.client.post(f"{API}/suggestions/{kind}/why", json=question, headers=service.reader)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def label(answer: dict[str, Any]) -> str:
    reason = answer["first_reason"]
    assert reason.keys() == {"kind", "label", "words"}
    assert reason["kind"] == "rule"
    assert reason["words"].endswith(".")
    return str(reason["label"])


def test_ranks_are_those_of_the_suggestions(house: Service) -> None:
    asker = add_profile(house, pitch("k", ecosystems=["digital"]))
    for number in range(7):
        owner = add_organisation(house, "region", nuts_code="ES61")
        add_profile(house, priority(owner, title=f"Priority {number}", ecosystems=["digital"] if number % 2 else []))
    answer = suggest(house, "cluster-region", profile_id=asker)
    assert len(answer["items"]) == 7
    for item in answer["items"]:
        found = why(house, "cluster-region", asker, item["profile"]["id"])
        reason = found["first_reason"]
        assert (reason["kind"], reason["rank"], reason["of"]) == ("rank", item["rank"], 7)
        assert found["item"] == {name: v for name, v in item.items() if name not in ("suggestion_id", "rank")}
        parts = {part["feature"]: part["contribution"] for part in item["contributions"]}
        best = {part["feature"]: part["contribution"] for part in answer["items"][0]["contributions"]}
        lack = {name: best[name] - parts[name] for name in parts}
        if item["rank"] == 1 or max(lack.values()) <= 0:
            assert reason["low_part"] is None
        else:
            assert lack[reason["low_part"]] == max(lack.values())
        for name in ("model", "rules_version", "missing", "match_kind", "from", "answer_language"):
            assert found[name] == answer[name]
        back = suggest(house, "cluster-region", profile_id=item["profile"]["id"])
        turned = why(house, "cluster-region", asker, item["profile"]["id"], from_="offer")
        assert (turned["from"], turned["first_reason"]["rank"]) == ("offer", 1)
        assert turned["item"]["profile"]["id"] == asker == back["items"][0]["profile"]["id"]


def test_equal_scores_rank_in_the_order_in_which_they_were_stored(house: Service) -> None:
    asker = add_profile(house, pitch("k"))
    made = [add_profile(house, priority(add_organisation(house, "region"))) for _ in range(4)]
    found = [why(house, "cluster-region", asker, other)["first_reason"] for other in made]
    assert [reason["rank"] for reason in found] == [1, 2, 3, 4]
    assert {reason["low_part"] for reason in found} == {None}
    assert "scores the same" in found[1]["words"]


def test_the_state_of_either_speaks_first(house: Service) -> None:
    asker, other = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    for state, expected in (("draft", "not_published"), ("expired", "expired"), ("withdrawn", "withdrawn")):
        hidden = add_profile(house, priority("r", state=state))
        found = why(house, "cluster-region", asker, hidden)
        assert label(found) == expected
        assert "the offer" in found["first_reason"]["words"]
        assert found["item"]["profile"]["id"] == hidden
        late = add_profile(house, pitch("k", state=state))
        found = why(house, "cluster-region", late, other)
        if state == "draft":
            assert found["first_reason"]["kind"] == "rank"
        else:
            assert label(found) == expected
            assert "the seeker" in found["first_reason"]["words"]


def test_nothing_to_compare(house: Service) -> None:
    asker, nobody = add_profile(house, need("c")), add_profile(house, trainee("s", "DAW-1"))
    found = why(house, "company-trainee", asker, nobody)
    assert (label(found), found["item"]) == ("insufficient_data", None)
    assert "the offer" in found["first_reason"]["words"]
    found = why(house, "company-trainee", asker, nobody, from_="offer")
    assert (label(found), found["item"], found["missing"]) == ("insufficient_data", None, ["text"])
    assert "the offer" in found["first_reason"]["words"]


def test_the_first_rule_that_fails_is_told(house: Service) -> None:
    asker = add_profile(house, need("c", eqf_level=5, starts_on="2027-03-01", ends_on="2027-06-30"))
    low = {"eqf_level": 2, "starts_on": "2027-09-01", "ends_on": "2027-12-20"}
    made = {
        "qualification": add_profile(house, offer("s", programme_type="event", **low)),
        "period": add_profile(house, offer("s", **low)),
        "level_reached": add_profile(house, offer("s", eqf_level=2)),
        "own_items": add_profile(house, offer("c", **low)),
    }
    add_profile(house, offer("s"))
    answer = suggest(house, "company-school", profile_id=asker)
    assert answer["rejected"] == dict.fromkeys(sorted(made), 1)
    for expected, other in made.items():
        assert label(why(house, "company-school", asker, other)) == expected


def test_conditions_of_a_question_are_rules_too(house: Service) -> None:
    other = add_profile(house, priority("r", ecosystems=["digital"]))
    add_profile(house, priority("r"))
    for filters, expected in (
        ({"countries": ["PT"], "sectors": ["health"]}, "countries"),
        ({"sectors": ["health"]}, "sectors"),
        ({"label_min": "gold"}, "label_min"),
        ({"starts_on": "2027-01-01"}, "dates"),
    ):
        assert label(ask_why(house, "cluster-region", text=CARS, offer=other, filters=filters)) == expected
    found = ask_why(house, "cluster-region", text=CARS, offer=other, filters={"sectors": ["digital"]})
    assert (found["first_reason"]["rank"], found["first_reason"]["of"]) == (1, 1)
    assert found["item"]["evidence"] == suggest(house, "cluster-region", text=CARS)["items"][0]["evidence"]


def test_what_was_declined_is_told(house: Service) -> None:
    asker, other = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    item = suggest(house, "cluster-region", profile_id=asker)["items"][0]
    post(house, f"/suggestions/{item['suggestion_id']}/decision", {"decision": "declined", "reason": "No."})
    assert label(why(house, "cluster-region", asker, other)) == "declined"
    assert why(house, "cluster-region", asker, other, from_="offer")["first_reason"]["kind"] == "rank"


def test_questions_that_are_refused(house: Service) -> None:
    asker, other = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    for seeker, offered, field in (
        (NOBODY, other, "seeker"),
        (asker, NOBODY, "offer"),
        (other, other, "seeker"),
        (asker, asker, "offer"),
    ):
        for side in ("seeker", "offer"):
            answer = why(house, "cluster-region", seeker, offered, 422, from_=side)
            assert fields_of(answer) == {f"query.{field}"}, side
    assert fields_of(why(house, "cluster-moon", asker, other, 404)) == {"path.match_kind"}
    assert fields_of(why(house, "cluster-region", asker, other, 422, answer_language="fi")) == {"query.answer_language"}
    for field, question in (
        ("body.text", {"offer": other}),
        ("body.offer", {"text": CARS}),
        ("body.offer", {"text": CARS, "offer": NOBODY}),
        ("body.offer", {"profile_id": asker, "offer": asker}),
        ("body.seeker", {"text": CARS, "seeker": asker}),
        ("body.seeker", {"text": CARS, "from_": "offer"}),
        ("body.offer", {"text": CARS, "from_": "offer", "offer": other, "seeker": asker}),
        ("body.profile_id", {"profile_id": NOBODY, "offer": other}),
        ("body.limit", {"text": CARS, "offer": other, "limit": 3}),
    ):
        assert fields_of(ask_why(house, "cluster-region", 422, **question)) == {field}
    person = add_profile(house, trainee("s", "DAW-1"))
    need_ = add_profile(house, need("c"))
    assert fields_of(ask_why(house, "company-trainee", 422, text="x", from_="offer", seeker=need_)) == {"body.text"}
    assert label(ask_why(house, "company-trainee", text="x", offer=person)) == "insufficient_data"


@pytest.mark.parametrize(
    ("language", "unknown", "text"),
    [
        ("en", "Not known", "We are an automotive cluster and we look for regions that invest in batteries."),
        ("es", "No se sabe", "Somos un clúster de automoción y buscamos regiones que inviertan en baterías."),
        ("pt", "Não se sabe", "Somos um cluster automóvel e procuramos regiões que invistam em baterias."),
    ],
)
def test_answers_are_in_the_asker_s_language(house: Service, language: str, unknown: str, text: str) -> None:
    add_profile(house, priority("r", ecosystems=["digital"]))
    asker = add_profile(house, pitch("k", text=text, language=language))
    for question in ({"text": text}, {"text": CARS, "answer_language": language}, {"text": "X", "language": language}):
        answer = suggest(house, "cluster-region", **question)
        assert answer["answer_language"] == language
        words = {part["feature"]: part["words"] for part in answer["items"][0]["contributions"]}
        assert words["shared_sectors"].startswith(unknown)
    assert suggest(house, "cluster-region", profile_id=asker)["answer_language"] == language
    found = why(house, "cluster-region", asker, answer["items"][0]["profile"]["id"])
    assert found["answer_language"] == language
    kinds = read(house, "/match-kinds", language=language)
    bands = {band["name"]: band["words"] for band in kinds[0]["bands"]}
    assert found["item"]["band_words"] == bands[found["item"]["band"]]


def test_whoever_speaks_another_language_is_answered_in_english(house: Service) -> None:
    asker = add_profile(house, pitch("k", language="fi"))
    assert suggest(house, "cluster-region", profile_id=asker)["answer_language"] == "en"
    assert suggest(house, "cluster-region", profile_id=asker, answer_language="pt")["answer_language"] == "pt"
    assert fields_of(suggest(house, "cluster-region", text=CARS, answer_language="fi", status=422)) == {
        "body.answer_language"
    }


def test_a_guessed_language_words_the_answer_and_judges_nobody(house: Service) -> None:
    add_profile(house, trainee("s", "DAW-1", skills=[WEB], languages=["en"]))
    answer = suggest(house, "company-trainee", text="Buscamos una persona en prácticas para aplicaciones web.")
    assert (answer["answer_language"], answer["rejected"]) == ("es", {})
    assert "languages" in answer["missing"]


def test_what_would_raise_a_score(house: Service) -> None:
    add_profile(house, offer("s", skills=[WEB], eqf_level=5))
    answer = suggest(house, "company-school", text="web applications", answer_language="en")
    raised = answer["items"][0]["raise_score"]
    assert (raised["feature"], raised["field"], raised["side"], raised["gain"]) == (
        "skill_coverage", "skills", "seeker", 0.15,
    )  # fmt: skip
    assert raised["words"] == "If the seeker gave this fact, the score could rise by up to 0.15: skills."
    asker = add_profile(house, need("c", skills=[WEB, PYTHON], eqf_level=5, languages=["en"]))
    raised = suggest(house, "company-school", profile_id=asker, answer_language="es")["items"][0]["raise_score"]
    assert (raised["field"], raised["side"], raised["gain"]) == ("skills", "offer", 0.075)
    assert "Python" in raised["words"]
    assert "0,075" in raised["words"]
    change(house, f"/profiles/{asker}", {"skills": [WEB]})
    assert suggest(house, "company-school", profile_id=asker)["items"][0]["raise_score"] is None


def test_what_is_given_adds_no_more_than_was_said(house: Service) -> None:
    add_profile(house, offer("s", skills=[WEB], eqf_level=5, text="Web applications and data."))
    asker = add_profile(house, need("c", nuts_code=None))
    before = suggest(house, "company-school", profile_id=asker)["items"][0]
    assert before["raise_score"]["field"] == "skills"
    change(house, f"/profiles/{asker}", {"skills": [WEB]})
    after = suggest(house, "company-school", profile_id=asker)["items"][0]
    part = {p["feature"]: p["contribution"] for p in after["contributions"]}
    assert part["skill_coverage"] <= before["raise_score"]["gain"]
