"""The shipped calibrations, with the default encoder, on the labelled sets: what they must reach."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from calibration import fitting, labelled
from calibration.asking import Asked, Asker, opened

from app.cli import load_territory
from app.matching.calibration import Calibration, load_calibrations
from app.matching.embedder import Embedder
from app.matching.kinds import MATCH_KINDS
from app.settings import Settings
from tests.conftest import Service
from tests.fixtures.builders import add_organisation, add_profile, ids, priority, suggest

MOST_ERROR = 0.08

SMART_CITY = (
    "Smart street lighting with sensors for noise and traffic",
    "Open data platform for city services",
    "Intelligent traffic lights and parking guidance",
    "Cybersecurity of municipal networks",
    "Digital twin of the city for planners",
    "Smart meters and leak detection in the water network",
    "Air quality monitoring by connected sensors",
    "5G and fibre for public buildings",
    "Online procedures and digital identity for citizens",
    "Charging points for electric buses",
)


class _Measured(NamedTuple):
    calibration: Calibration
    error: float
    refused: float
    kept: float
    asked: list[Asked]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, real_embedder: Embedder) -> dict[str, _Measured]:
    """Each kind's figures, measured through the service on the demonstration territory."""
    settings = Settings(database=str(tmp_path_factory.mktemp("calibration") / "territory.db"))
    found = load_calibrations(settings.calibrations, MATCH_KINDS, real_embedder.model_key)
    assert found.applied.keys() == MATCH_KINDS.keys(), f"run scripts/calibrate.py --write: {found.refused}"
    measured = {}
    with opened(Path(settings.database)) as database:
        load_territory(settings, database, real_embedder)
        asker = Asker(database, real_embedder)
        for name, kind in MATCH_KINDS.items():
            pairs = labelled.read(name)
            asked = asker.ask(kind, pairs)
            answers = asker.answered(kind, pairs, found.applied[name])
            unrelated = [not answers[one.seeker][0] for one in asked if not one.related]
            related = [answers[one.seeker][1] for one in asked if any(pair.fits for pair in one.pairs)]
            measured[name] = _Measured(
                found.applied[name],
                fitting.measured(found.applied[name], asked)[0],
                sum(unrelated) / len(unrelated),
                sum(related) / len(related),
                asked,
            )
    return measured


@pytest.mark.parametrize("kind", sorted(MATCH_KINDS))
def test_probabilities_say_what_is_labelled(kind: str, measured: dict[str, _Measured]) -> None:
    found = measured[kind]
    assert found.error <= MOST_ERROR
    assert found.calibration.figures["calibration_error"] <= MOST_ERROR
    assert found.calibration.labelled_sha256 == labelled.read(kind).sha256


@pytest.mark.parametrize("kind", sorted(MATCH_KINDS))
def test_the_unrelated_get_nothing_and_the_related_keep_theirs(kind: str, measured: dict[str, _Measured]) -> None:
    assert measured[kind].refused >= fitting.REFUSE
    assert measured[kind].kept >= fitting.KEEP


@pytest.mark.parametrize("kind", sorted(MATCH_KINDS))
def test_fitted_again_it_is_the_same(kind: str, measured: dict[str, _Measured]) -> None:
    shipped = measured[kind].calibration
    again = fitting.fit(
        MATCH_KINDS[kind], shipped.model_key, labelled.read(kind), measured[kind].asked, (), shipped.made_on
    )
    if not shipped.figures["decisions"]:
        assert again.version == shipped.version
        assert dict(again.figures) == dict(shipped.figures)


def test_a_bakery_finds_nothing_in_a_smart_city(calibrated_service: Service) -> None:
    owner = add_organisation(calibrated_service, "region", nuts_code="ES61")
    for title in SMART_CITY:
        add_profile(calibrated_service, priority(owner, title=title, text=title))
    for text, language in (
        ("We are a bakery that makes bread, cakes and croissants.", "en"),
        ("Somos una panadería artesana: pan de masa madre, tartas y cruasanes.", "es"),
        ("Somos uma padaria: pão, bolos e croissants.", "pt"),
    ):
        answer = suggest(calibrated_service, "cluster-region", text=text, language=language)
        assert (answer["status"], ids(answer)) == ("no_match", []), text
        assert answer["reason"]
        assert answer["nearest_miss"]["probability"] < 0.5
    lamps = suggest(calibrated_service, "cluster-region", text="Sensors in street lamps measure noise and traffic.")
    assert lamps["status"] == "ok"


@pytest.mark.parametrize("kind", sorted(MATCH_KINDS))
def test_the_labelled_set_is_large_and_various_enough(kind: str) -> None:
    found = labelled.read(kind)
    assert found.pairs >= 240
    related = {seeker: any(g >= labelled.FITS for g in grades.values()) for seeker, grades in found.grades.items()}
    assert sum(related.values()) >= 60
    assert sum(not value for value in related.values()) >= 60
    languages = Counter(seeker.language for seeker in found.grades if seeker.text)
    assert {"es", "pt", "en", "fr", "it", "de", "ca"} <= languages.keys()
    assert {fitting.fold_of(seeker.text, fitting.FOLDS) for seeker in found.grades if seeker.text} == set(range(5))
