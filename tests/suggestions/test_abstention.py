"""The right to say "no match": what is too unlikely is not suggested, and the answer says so."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from app.matching.calibration import Calibration, Calibrations, Curve
from app.matching.kinds import MATCH_KINDS
from tests.conftest import Service
from tests.fixtures.builders import add_organisation, add_profile, ids, need, priority, read, suggest, trainee

WANTED = "Batteries and electric vehicles come first."
Calibrate = Callable[[float], Calibration]


@pytest.fixture
def calibrate(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calibrate]:
    """Give cluster-region a calibration with that threshold."""
    state = service.client.app.state  # type: ignore[attr-defined]

    def apply(threshold: float, kind: str = "cluster-region") -> Calibration:
        made = Calibration(
            kind, "hash@1/384", MATCH_KINDS[kind].rules_version(), Curve("platt", "share", ((10.0, -4.0),)), threshold
        )
        monkeypatch.setattr(state, "calibrations", Calibrations({kind: made}, {}))
        return made

    return apply  # type: ignore[return-value]


@pytest.fixture
def house(service: Service) -> Service:
    add_organisation(service, "region", ref="r", nuts_code="ES61")
    add_profile(service, priority("r"))
    for number in range(4):
        owner = add_organisation(service, "region", nuts_code="ES61")
        add_profile(
            service, priority(owner, title=f"Fishing {number}", text="Boats, nets and fresh fish from the sea.")
        )
    return service


def test_only_what_is_likely_enough_is_suggested_and_the_rest_counted(house: Service, calibrate: Calibrate) -> None:
    everything = suggest(house, "cluster-region", text=WANTED, language="en")
    assert len(everything["items"]) == 5
    made = calibrate(0.5)
    for limit in (2, 10):
        answer = suggest(house, "cluster-region", text=WANTED, language="en", limit=limit)
        assert ids(answer) == ids(everything)[:1]
        assert answer["rejected"] == {"below_threshold": 4}
        assert (answer["status"], answer["reason"], answer["nearest_miss"]) == ("ok", None, None)
        assert answer["calibration"] == made.version
        (item,) = answer["items"]
        assert item["probability"] >= 0.5
        assert item["score"] == everything["items"][0]["score"]
    told = {kind["name"]: kind for kind in read(house, "/match-kinds")}["cluster-region"]
    assert told["not_calibrated"] is None
    assert (told["calibration"]["version"], told["calibration"]["threshold"]) == (made.version, 0.5)
    full = suggest(house, "cluster-region", text=WANTED, language="en", limit=1)
    assert full["rejected"] == {}


def test_when_nothing_is_likely_the_nearest_miss_is_told_and_not_kept(house: Service, calibrate: Calibrate) -> None:
    first = suggest(house, "cluster-region", text=WANTED, language="en")["items"][0]
    calibrate(0.999)
    answer = suggest(house, "cluster-region", text=WANTED, language="en")
    assert (answer["status"], answer["items"], answer["rejected"]) == ("no_match", [], {"below_threshold": 5})
    assert answer["reason"]
    miss = answer["nearest_miss"]
    assert miss.keys() == first.keys() - {"suggestion_id", "rank"}
    assert (miss["profile"], miss["score"], miss["contributions"]) == (
        first["profile"],
        first["score"],
        first["contributions"],
    )
    assert 0 < miss["probability"] < 0.999
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == {**answer, "nearest_miss": None}


def test_why_there_is_nothing(service: Service, calibrate: Calibrate) -> None:
    calibrate(0.1)
    answer = suggest(service, "cluster-region", text=WANTED)
    assert (answer["status"], answer["nearest_miss"]) == ("no_match", None)
    empty = answer["reason"]
    add_profile(service, priority(add_organisation(service, "region", country="ES")))
    answer = suggest(service, "cluster-region", text=WANTED, filters={"countries": ["PT"]})
    assert answer["rejected"] == {"countries": 1}
    assert answer["reason"] not in (None, empty)


def test_a_kind_can_keep_its_numbers_to_itself(
    service: Service, calibrate: Calibrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = MATCH_KINDS["company-trainee"]
    asker = add_profile(service, need(add_organisation(service, "company"), skills=["puente:web-development"]))
    school = add_organisation(service, "school")
    add_profile(service, trainee(school, "DAW-1", skills=["puente:web-development"], languages=["en"]))
    calibrate(0.01, "company-trainee")  # type: ignore[call-arg]
    (open_,) = suggest(service, "company-trainee", profile_id=asker)["items"]
    assert open_["probability"] is not None
    monkeypatch.setitem(MATCH_KINDS, kind.name, dataclasses.replace(kind, shows_probability=False))
    (closed,) = suggest(service, "company-trainee", profile_id=asker)["items"]
    assert (closed["probability"], closed["band"]) == (None, open_["band"])
