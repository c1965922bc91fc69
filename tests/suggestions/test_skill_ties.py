"""Skills of the starter list that are the same as one of the imported catalogue, over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from app.matching.embedder import HashEmbedder
from tests.conftest import Service, make_service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    need,
    offer,
    read,
    suggest,
    trainee,
    without_ids,
)
from tests.fixtures.esco import ENGLISH, SPANISH, URI, Rows, import_folder, write_folder

WEB, CNC, VINES = "puente:web-development", "puente:cnc-machining", "puente:viticulture"
ENGLISH_MORE: Rows = [
    *ENGLISH,
    ("webdev", "Web development", ("program web pages",), "Build what browsers show."),
    ("vines", "viticulture", ("grape growing",), "Grow grapes."),
]
SPANISH_MORE: Rows = [*SPANISH, ("vines", "viticultura", (), "")]


@pytest.fixture
def house(service: Service) -> Service:
    """A company and a school, without ESCO."""
    for kind, ref in (("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref, nuts_code="ES61")
    return service


def bring_esco(service: Service, folder: Path, version: str = "1.2.0", **languages: Rows) -> None:
    rows = languages or {"en": ENGLISH_MORE, "es": SPANISH_MORE}
    import_folder(service.database, HashEmbedder(), write_folder(folder, **rows), version)


def item_of(answer: dict[str, Any], profile: str) -> dict[str, Any]:
    return next(dict(item) for item in answer["items"] if item["profile"]["id"] == profile)


def uris(item: dict[str, Any], which: str) -> list[str]:
    return [skill["uri"].removeprefix(URI) for skill in item["skills"][which]]


def coverage(item: dict[str, Any]) -> float:
    return float({part["feature"]: part["value"] for part in item["contributions"]}["skill_coverage"])


def test_a_declared_starter_skill_covers_what_a_text_asks_for(house: Service, tmp_path: Path) -> None:
    person = add_profile(house, trainee("s", "T-1", skills=[WEB, CNC], languages=["en"]))
    asking = "We look for web development. They prune vines, too."
    assert suggest(house, "company-trainee", text=asking)["items"][0]["skills"]["shared"] == []
    bring_esco(house, tmp_path / "esco")
    item = item_of(suggest(house, "company-trainee", text=asking), person)
    assert item["skills"]["shared"] == [{"uri": URI + "webdev", "label": "Web development"}]
    assert uris(item, "missing") == ["prune"]
    assert coverage(item) == 0.5
