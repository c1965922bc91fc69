"""Suggestions over HTTP: questions from both sides, filters, runs, and what people decide."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    change,
    fields_of,
    ids,
    is_problem,
    need,
    offer,
    pitch,
    post,
    priority,
    read,
    remove,
    suggest,
    trainee,
)

CARS = "Electric vehicles and batteries"
WEB = "puente:web-development"
NO_RUN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def house(service: Service) -> Service:
    """One organisation of each kind."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref, nuts_code="ES61")
    return service


def decide(service: Service, item: Mapping[str, Any], decision: str, status: int = 201, **more: Any) -> dict[str, Any]:
    """Decide on a suggestion and expect that status."""
    body = {"decision": decision, "reason": "We know them already.", **more}
    return post(service, f"/suggestions/{item['suggestion_id']}/decision", body, status=status)


def test_an_answer_says_everything_it_depends_on(house: Service) -> None:
    wanted = add_profile(house, priority("r", ecosystems=["digital"]))
    add_profile(house, priority("r", title="Fishing", text="Boats, nets and fresh fish from the sea."))
    answer = suggest(house, "cluster-region", text=CARS, language="en", limit=5)
    kinds = {kind["name"]: kind for kind in read(house, "/match-kinds")}
    assert answer.keys() == {
        "run_id", "match_kind", "from", "status", "model", "index_seq", "exposure_seq", "rules_version", "missing",
        "rejected", "items",
    }  # fmt: skip
    assert (answer["match_kind"], answer["from"], answer["status"]) == ("cluster-region", "seeker", "ok")
    assert answer["model"] == "hash@1/384"
    assert answer["rules_version"] == kinds["cluster-region"]["rules_version"]
    assert answer["index_seq"] >= 2
    assert answer["missing"] == ["ecosystems", "nuts_code", "regions_sought"]
    assert answer["rejected"] == {}
    assert [item["rank"] for item in answer["items"]] == [1, 2]
    first = answer["items"][0]
    assert first["suggestion_id"].startswith(answer["run_id"])
    owner = read(house, "/organisations/r")
    assert first["profile"] == {
        "id": wanted,
        "kind": "priority",
        "title": "Automotive industry",
        "language": "en",
        "organisation": {"id": owner["id"], "name": owner["name"], "nuts_code": "ES61"},
    }
    assert first["probability"] is None
    assert first["band"] in {band["name"] for band in kinds["cluster-region"]["bands"]}
    weights = {feature["name"]: feature["weight"] for feature in kinds["cluster-region"]["features"]}
    for item in answer["items"]:
        parts = item["contributions"]
        assert {part["feature"]: part["weight"] for part in parts} == weights
        assert item["score"] == pytest.approx(sum(part["contribution"] for part in parts), abs=1e-6)
        for part in parts:
            assert part["value"] * part["weight"] == pytest.approx(part["contribution"], abs=1e-6)
            assert part["words"]
        for pair in item["evidence"]:
            assert pair["seeker"]["text"] == CARS[pair["seeker"]["start"] : pair["seeker"]["end"]]


def test_a_profile_asks_with_what_is_known_of_it(house: Service) -> None:
    asker = add_profile(house, pitch("k", ecosystems=["digital"], regions_sought=["ES61"]))
    found = add_profile(house, priority("r", ecosystems=["digital"]))
    answer = suggest(house, "cluster-region", profile_id=asker)
    assert (ids(answer), answer["missing"], answer["from"]) == ([found], [], "seeker")
    values = {part["feature"]: part["value"] for part in answer["items"][0]["contributions"]}
    assert (values["shared_sectors"], values["region_sought"], values["same_region"]) == (1, 1, 1)


def test_both_sides_may_ask(house: Service) -> None:
    seeker, offered = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    assert ids(suggest(house, "cluster-region", profile_id=seeker, from_="seeker")) == [offered]
    back = suggest(house, "cluster-region", profile_id=offered)
    assert (ids(back), back["from"]) == ([seeker], "offer")
    text = suggest(house, "cluster-region", text=CARS, from_="offer")
    assert (ids(text), text["from"]) == ([seeker], "offer")
    answer = suggest(house, "cluster-region", profile_id=offered, from_="seeker", status=422)
    assert fields_of(answer) == {"body.from"}


@pytest.mark.parametrize(
    ("filters", "expected", "rejected"),
    [
        ({"countries": ["PT"]}, {"pt"}, {"countries": 2}),
        ({"countries": ["ES", "PT"]}, {"es", "pt"}, {"countries": 1}),
        ({"nuts": ["ES6"]}, {"es"}, {"nuts": 2}),
        ({"nuts": ["ES", "EL30"]}, {"es", "el"}, {"nuts": 1}),
        ({"sectors": ["digital"]}, {"es"}, {"sectors": 2}),
        ({"sectors": ["62"]}, {"pt"}, {"sectors": 2}),
        ({"sectors": ["62.10", "digital"]}, {"es", "pt"}, {"sectors": 1}),
        ({"languages": ["pt-PT"]}, {"pt"}, {"languages": 2}),
        ({"label_min": "silver"}, {"es"}, {"label_min": 2}),
        ({"label_min": "bronze", "valid_on": "2020-06-01"}, {"es", "pt"}, {"label_min": 1}),
        ({"label_min": "gold"}, set(), {"label_min": 3}),
        ({"countries": ["PT"], "sectors": ["digital"]}, set(), {"countries": 2, "sectors": 1}),
        ({"eqf_levels": [5]}, set(), {"eqf_levels": 3}),
        ({"starts_on": "2027-01-01"}, set(), {"dates": 3}),
        ({}, {"es", "pt", "el"}, {}),
    ],
)
def test_filters_keep_what_has_the_fact_and_count_the_rest(
    service: Service, filters: dict[str, Any], expected: set[str], rejected: dict[str, int]
) -> None:
    def label(level: str, until: str) -> list[dict[str, str]]:
        return [{"level": level, "assessed_on": "2020-01-01", "valid_until": until}]

    add_organisation(service, "region", ref="es", nuts_code="ES61", labels=label("silver", "2199-12-31"))
    add_organisation(service, "region", ref="pt", country="PT", nuts_code="PT11", labels=label("bronze", "2020-12-31"))
    add_organisation(service, "region", ref="el", country="EL", nuts_code="EL30")
    made = {
        add_profile(service, priority("es", ecosystems=["digital"])): "es",
        add_profile(service, priority("pt", nace_codes=["62.10"], languages=["pt"])): "pt",
        add_profile(service, priority("el")): "el",
    }
    answer = suggest(service, "cluster-region", text=CARS, filters=filters)
    assert {made[found] for found in ids(answer)} == expected
    assert answer["rejected"] == rejected
    assert answer["status"] == ("ok" if expected else "no_match")


def test_courses_by_date_and_level(house: Service) -> None:
    spring = add_profile(house, offer("s", starts_on="2027-03-01", ends_on="2027-06-30", eqf_level=5))
    add_profile(house, offer("s", starts_on="2027-09-01", ends_on="2027-12-20", eqf_level=4))
    add_profile(house, offer("s"))
    found = suggest(house, "company-school", text="web", filters={"starts_on": "2027-06-30", "ends_on": "2027-08-31"})
    assert (ids(found), found["rejected"]) == ([spring], {"dates": 2})
    found = suggest(house, "company-school", text="web", filters={"eqf_levels": [5, 6]})
    assert (ids(found), found["rejected"]) == ([spring], {"eqf_levels": 2})


def test_an_event_is_never_offered_for_a_need(house: Service) -> None:
    event = add_profile(house, offer("s", programme_type="event", title="Science week"))
    course = add_profile(house, offer("s", programme_type="course"))
    asker = add_profile(house, need("c"))
    assert ids(suggest(house, "company-school", profile_id=asker)) == [course]
    assert ids(suggest(house, "company-school", profile_id=course)) == [asker]
    answer = suggest(house, "company-school", profile_id=event)
    assert (answer["status"], answer["rejected"]) == ("no_match", {"qualification": 1})


def test_ones_own_items_are_never_suggested(house: Service) -> None:
    add_profile(house, need("c"))
    own = add_profile(house, offer("c"))
    other = add_profile(house, offer("s"))
    asker = read(house, "/profiles", kind="skill_need")["items"][0]["id"]
    answer = suggest(house, "company-school", profile_id=asker)
    assert (ids(answer), answer["rejected"]) == ([other], {"own_items": 1})
    assert ids(suggest(house, "company-school", profile_id=own)) == []
    assert set(ids(suggest(house, "company-school", text="web applications"))) == {own, other}


def test_what_was_declined_is_not_suggested_again_to_the_same_side(house: Service) -> None:
    add_organisation(house, ref="k2")
    mine = add_profile(house, pitch("k"))
    theirs = add_profile(house, pitch("k2", title="Fish", text="Boats and nets."))
    offered, another = add_profile(house, priority("r")), add_profile(house, priority("r", text="Other cars."))
    first = suggest(house, "cluster-region", profile_id=mine)
    item = next(item for item in first["items"] if item["profile"]["id"] == offered)
    kept = decide(house, item, "declined")
    assert (kept["suggestion_id"], kept["decision"]) == (item["suggestion_id"], "declined")
    again = suggest(house, "cluster-region", profile_id=mine)
    assert (ids(again), again["rejected"]) == ([another], {"declined": 1})
    assert set(ids(suggest(house, "cluster-region", profile_id=theirs))) == {offered, another}
    assert set(ids(suggest(house, "cluster-region", profile_id=offered))) == {mine, theirs}
    change(house, f"/profiles/{mine}", {"title": "A new title"})
    assert ids(suggest(house, "cluster-region", profile_id=mine)) == [another]


def test_what_was_accepted_is_suggested_again(house: Service) -> None:
    asker, offered = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    decide(house, suggest(house, "cluster-region", profile_id=asker)["items"][0], "accepted")
    assert ids(suggest(house, "cluster-region", profile_id=asker)) == [offered]


def test_a_decision_is_taken_once(house: Service) -> None:
    add_profile(house, priority("r"))
    item = suggest(house, "cluster-region", text=CARS)["items"][0]
    decide(house, item, "accepted", decided_by="Marta")
    is_problem(
        house.client.post(
            f"{API}/suggestions/{item['suggestion_id']}/decision",
            json={"decision": "declined", "reason": "No."},
            headers=house.writer,
        ),
        409,
    )


@pytest.mark.parametrize(
    "body", [{"decision": "accepted"}, {"decision": "perhaps", "reason": "So."}, {"reason": "So."}]
)
def test_a_decision_has_a_reason(house: Service, body: dict[str, str]) -> None:
    add_profile(house, priority("r"))
    item = suggest(house, "cluster-region", text=CARS)["items"][0]
    post(house, f"/suggestions/{item['suggestion_id']}/decision", body, status=422)
    decide(house, item, "accepted")


def test_about_a_person_somebody_decides_by_name(house: Service) -> None:
    asker = add_profile(house, need("c", skills=[WEB]))
    add_profile(house, trainee("s", "DAW-1", skills=[WEB], languages=["en"]))
    item = suggest(house, "company-trainee", profile_id=asker)["items"][0]
    assert item["profile"]["title"] == "DAW-1"
    assert fields_of(decide(house, item, "accepted", status=422)) == {"body.decided_by"}
    assert decide(house, item, "accepted", decided_by="Marta")["decided_by"] == "Marta"


@pytest.mark.parametrize(("said", "found"), [(None, ["DAW-1"]), ("en", [])])
def test_a_language_that_is_only_guessed_keeps_nobody_away_from_a_place(
    house: Service, said: str | None, found: list[str]
) -> None:
    asker = add_profile(house, need("c", skills=[WEB], language=said))
    assert read(house, f"/profiles/{asker}")["language"] == "en"
    add_profile(house, trainee("s", "DAW-1", skills=[WEB], languages=["es"]))
    answer = suggest(house, "company-trainee", profile_id=asker)
    assert [item["profile"]["title"] for item in answer["items"]] == found
    assert ("languages" in answer["missing"]) == (said is None)


def test_a_person_is_not_described_by_text(house: Service) -> None:
    answer = suggest(house, "company-trainee", text="A friendly young person", from_="offer", status=422)
    assert fields_of(answer) == {"body.text"}


def test_a_run_reads_as_it_was_answered(house: Service) -> None:
    asker = add_profile(house, pitch("k"))
    owners = [add_organisation(house, "region") for _ in range(3)]
    shown = [add_profile(house, priority(owner)) for owner in owners]
    answer = suggest(house, "cluster-region", profile_id=asker, filters={"countries": ["ES"]})
    change(house, f"/profiles/{shown[0]}", {"title": "Renamed", "text": "All is new."})
    change(house, f"/profiles/{shown[1]}", {"state": "withdrawn"})
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == answer
    remove(house, f"/profiles/{shown[2]}")
    left = [item for item in answer["items"] if item["profile"]["id"] != shown[2]]
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == {**answer, "items": left}
    remove(house, f"/profiles/{asker}")
    read(house, f"/suggestions/runs/{answer['run_id']}", status=404)


def test_nothing_fits_and_nothing_known(house: Service) -> None:
    answer = suggest(house, "cluster-region", text=CARS)
    assert (answer["status"], answer["items"]) == ("no_match", [])
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == answer
    add_profile(house, need("c"))
    nobody = add_profile(house, trainee("s", "DAW-1"))
    answer = suggest(house, "company-trainee", profile_id=nobody)
    assert (answer["status"], answer["items"], answer["missing"]) == ("insufficient_data", [], ["text"])
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == answer
    assert ids(suggest(house, "company-trainee", text="web")) == []


@pytest.mark.parametrize(("state", "status"), [("draft", 200), ("expired", 409), ("withdrawn", 409)])
def test_who_may_still_ask(house: Service, state: str, status: int) -> None:
    asker = add_profile(house, pitch("k", state=state))
    suggest(house, "cluster-region", profile_id=asker, status=status)


def test_questions_that_are_refused(house: Service) -> None:
    asker = add_profile(house, pitch("k"))
    person = add_profile(house, trainee("s", "DAW-1"))
    for field, question in (
        ("text", {}),
        ("profile_id", {"text": CARS, "profile_id": asker}),
        ("profile_id", {"profile_id": NO_RUN}),
        ("profile_id", {"profile_id": person}),
        ("filters.ends_on", {"text": CARS, "filters": {"starts_on": "2027-02-01", "ends_on": "2027-01-31"}}),
    ):
        assert fields_of(suggest(house, "cluster-region", status=422, **question)) == {f"body.{field}"}
    assert fields_of(suggest(house, "cluster-moon", text=CARS, status=404)) == {"path.match_kind"}


def test_the_limit_cuts_the_same_list(house: Service) -> None:
    for number in range(12):
        add_profile(house, priority(add_organisation(house, "region"), title=f"Priority {number}"))
    whole = ids(suggest(house, "cluster-region", text=CARS, limit=100))
    assert len(whole) == 12
    assert len(suggest(house, "cluster-region", text=CARS)["items"]) == 10
    for limit in (1, 5, 12):
        assert ids(suggest(house, "cluster-region", text=CARS, limit=limit)) == whole[:limit]


def test_what_was_just_written_is_found(house: Service) -> None:
    for number in range(5):
        owner = add_organisation(house, "region")
        made = add_profile(house, priority(owner, title=f"Hydrogen {number}", text="Hydrogen from the wind."))
        assert made in ids(suggest(house, "cluster-region", text="Hydrogen from the wind", limit=100))
    change(house, f"/profiles/{made}", {"state": "draft"})
    assert made not in ids(suggest(house, "cluster-region", text="Hydrogen from the wind", limit=100))


def test_a_label_of_the_owner_counts_from_the_moment_it_is_written(house: Service) -> None:
    made = add_profile(house, priority("r"))
    filters = {"label_min": "bronze"}
    assert ids(suggest(house, "cluster-region", text=CARS, filters=filters)) == []
    label = {"level": "gold", "assessed_on": "2020-01-01", "valid_until": "2199-12-31"}
    change(house, "/organisations/r", {"labels": [label]})
    assert ids(suggest(house, "cluster-region", text=CARS, filters=filters)) == [made]


@pytest.mark.parametrize("who", ["suggested", "asked"])
def test_a_profile_deleted_while_it_is_suggested_is_no_error(
    house: Service, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    asker, gone = add_profile(house, pitch("k")), add_profile(house, priority("r"))
    kept = add_profile(house, priority("r", title="Fish", text="Boats and nets."))
    recorder = house.client.app.state.recorder  # type: ignore[attr-defined]
    record = recorder.record

    def delete_first(run: Any, suggestions: Any) -> None:
        remove(house, f"/profiles/{gone if who == 'suggested' else asker}")
        record(run, suggestions)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "record", delete_first)
        answer = suggest(house, "cluster-region", profile_id=asker)
    if who == "suggested":
        assert ids(read(house, f"/suggestions/runs/{answer['run_id']}")) == [kept]
    else:
        read(house, f"/suggestions/runs/{answer['run_id']}", status=404)


def test_who_may_do_what(house: Service) -> None:
    add_profile(house, priority("r"))
    answer = suggest(house, "cluster-region", text=CARS)
    decision = f"{API}/suggestions/{answer['items'][0]['suggestion_id']}/decision"
    body = {"decision": "accepted", "reason": "Yes."}
    is_problem(house.client.post(decision, json=body, headers=house.reader), 403)
    calls: list[tuple[str, str, Any]] = [
        ("POST", decision, body),
        ("POST", f"{API}/suggestions/cluster-region", {"text": CARS}),
        ("GET", f"{API}/suggestions/runs/{answer['run_id']}", None),
        ("GET", f"{API}/match-kinds", None),
    ]
    for method, path, sent in calls:
        is_problem(house.client.request(method, path, json=sent), 401)
    is_problem(house.client.post(f"{API}/suggestions/{NO_RUN}-1/decision", json=body, headers=house.writer), 404)
    read(house, f"/suggestions/runs/{NO_RUN}", status=404)
