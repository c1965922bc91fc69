"""Match kinds are one table: a new one is one entry, and works over HTTP from end to end."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.matching import kinds, words
from app.matching.fairness import Copies, ExposurePolicy
from app.matching.features import SemanticSimilarity, same_region
from app.matching.kinds import MATCH_KINDS, MatchKind, ProfileKind
from app.matching.types import Side
from tests.conftest import Service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    ids,
    is_problem,
    offer,
    post,
    priority,
    read,
    remove,
    suggest,
)


@pytest.fixture
def school_region(monkeypatch: pytest.MonkeyPatch) -> Iterator[MatchKind]:
    """The fourth match kind, in one entry."""
    kind = MatchKind(
        "school-region",
        ProfileKind.TRAINING_OFFER,
        ProfileKind.PRIORITY,
        ((SemanticSimilarity(), 0.9), (same_region(), 0.1)),
    )
    with monkeypatch.context() as patch:
        patch.setitem(MATCH_KINDS, kind.name, kind)
        yield kind


def test_a_fourth_kind_is_one_entry(service: Service, school_region: MatchKind) -> None:
    add_organisation(service, "school", ref="s", nuts_code="ES61")
    add_organisation(service, "region", ref="r", nuts_code="ES61")
    add_organisation(service, "region", ref="far", country="PT")
    course = add_profile(service, offer("s", title="Batteries", text="Students build batteries for vehicles."))
    near = add_profile(service, priority("r", title="Batteries", text="Batteries for vehicles."))
    far = add_profile(service, priority("far", title="Fish", text="Nets and boats."))

    described = {kind["name"]: kind for kind in read(service, "/match-kinds")}
    assert len(described) == 4
    assert (described["school-region"]["seeker"], described["school-region"]["offer"]) == ("training_offer", "priority")

    answer = suggest(service, "school-region", profile_id=course)
    assert ids(answer) == [near, far]
    assert answer["rules_version"] == described["school-region"]["rules_version"] == school_region.rules_version()
    for item in answer["items"]:
        assert item["score"] == pytest.approx(sum(part["contribution"] for part in item["contributions"]), abs=1e-6)
        assert [part["feature"] for part in item["contributions"]] == ["semantic_similarity", "same_region"]
    back = suggest(service, "school-region", profile_id=near)
    assert (ids(back), back["from"]) == ([course], "offer")
    assert set(ids(suggest(service, "school-region", text="Batteries for vehicles"))) == {near, far}
    assert ids(suggest(service, "school-region", text="Batteries", from_="offer")) == [course]
    assert ids(suggest(service, "school-region", profile_id=course, filters={"countries": ["PT"]})) == [far]

    declined = {"decision": "declined", "reason": "No."}
    post(service, f"/suggestions/{answer['items'][0]['suggestion_id']}/decision", declined)
    assert ids(suggest(service, "school-region", profile_id=course)) == [far]
    assert read(service, f"/suggestions/runs/{answer['run_id']}") == answer
    remove(service, f"/profiles/{far}")
    assert ids(suggest(service, "school-region", profile_id=course)) == []


def test_without_its_entry_it_is_gone_and_its_runs_still_read(
    service: Service, school_region: MatchKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_profile(service, priority(add_organisation(service, "region")))
    answer = suggest(service, school_region.name, text="Batteries")
    with monkeypatch.context() as patch:
        patch.delitem(MATCH_KINDS, school_region.name)
        assert len(read(service, "/match-kinds")) == 3
        is_problem(
            service.client.post("/api/v1/suggestions/school-region", json={"text": "x"}, headers=service.reader), 404
        )
        assert read(service, f"/suggestions/runs/{answer['run_id']}") == answer
        accepted = {"decision": "accepted", "reason": "Yes."}
        post(service, f"/suggestions/{answer['items'][0]['suggestion_id']}/decision", accepted)


@pytest.mark.parametrize("name", sorted(MATCH_KINDS))
def test_a_version_changes_with_whatever_changes_scores(name: str) -> None:
    kind = MATCH_KINDS[name]
    (first, weight), (second, other), *rest = kind.features
    changed = [
        replace(kind, features=((first, weight - 0.01), (second, other + 0.01), *rest)),
        replace(kind, features=((first, weight + other), *rest)),
        replace(kind, bands=(("strong", 0.51), *kind.bands[1:])),
        replace(kind, pair_rules=(*kind.pair_rules, MATCH_KINDS["company-school"].pair_rules[0])),
        *([replace(kind, pair_rules=())] if kind.pair_rules else []),
        replace(kind, features=((second, other), (first, weight), *rest)),
        replace(kind, fair_offers=replace(kind.fair_offers, max_per_organisation=7)),
        replace(kind, fair_offers=replace(kind.fair_offers, copies=Copies(of_others=True))),
        replace(kind, fair_seekers=replace(kind.fair_seekers, exposure=ExposurePolicy(margin=0.03))),
    ]
    versions = [kind.rules_version(), *(other_kind.rules_version() for other_kind in changed)]
    assert len(set(versions)) == len(versions)
    assert replace(kind).rules_version() == kind.rules_version()


def test_a_version_does_not_change_with_a_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (kind.describe(), kind.rules_version()) for name, kind in MATCH_KINDS.items()}
    monkeypatch.setattr(words, "MESSAGES", {"en": dict.fromkeys(words.MESSAGES["en"], "Said otherwise.")})
    kinds._rules_version.cache_clear()
    for name, kind in MATCH_KINDS.items():
        described, version = before[name]
        assert kind.describe() != described
        assert kind.rules_version() == version


@pytest.mark.parametrize("name", sorted(MATCH_KINDS))
def test_every_kind_is_well_formed(name: str) -> None:
    kind = MATCH_KINDS[name]
    assert kind.name == name
    assert sum(weight for _, weight in kind.features) == pytest.approx(1)
    assert all(weight > 0 for _, weight in kind.features)
    features, labels = [feature.name for feature, _ in kind.features], [rule.label for rule in kind.rules]
    assert len(set(features)) == len(features)
    assert len(set(labels)) == len(labels)
    least = [score for _, score in kind.bands]
    assert least == sorted(least, reverse=True)
    assert least[-1] == 0
    assert [kind.band(score) for score in (1, least[0], least[1], 0)] == [
        kind.bands[0][0],
        kind.bands[0][0],
        kind.bands[1][0],
        kind.bands[-1][0],
    ]
    assert kind.side_of(kind.seeker) is Side.SEEKER
    assert kind.side_of(kind.offer) is Side.OFFER
    assert kind.side_of("nothing") is None
    assert (kind.profile_kind(Side.SEEKER), kind.profile_kind(Side.OFFER)) == (kind.seeker, kind.offer)


@pytest.mark.parametrize("weights", [(), (0.5,), (0.9, 0.2), (1.0, 1e-6)])
def test_weights_that_do_not_sum_to_one_are_refused(weights: tuple[float, ...]) -> None:
    features = tuple((SemanticSimilarity(), weight) for weight in weights)
    with pytest.raises(ValueError, match="add up"):
        MatchKind("wrong", ProfileKind.PITCH, ProfileKind.PRIORITY, features)


def test_what_is_told_of_a_kind_is_what_it_does(service: Service) -> None:
    for told in read(service, "/match-kinds"):
        kind = MATCH_KINDS[told["name"]]
        assert told["risk_tier"] == ("natural_person" if "trainee" in told["offer"] else "legal_person")
        assert [(f["name"], f["weight"]) for f in told["features"]] == [(f.name, w) for f, w in kind.features]
        assert [rule["label"] for rule in told["rules"]] == [rule.label for rule in kind.rules]
        assert all(entry["sentence"].endswith(".") for entry in (*told["features"], *told["rules"]))
        assert [(band["name"], band["least_score"]) for band in told["bands"]] == list(kind.bands)
        assert told["rules_version"] == kind.rules_version()
