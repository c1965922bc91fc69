"""The catalogue is whole: every message in every language, with the same places, and nothing that is never said."""

import ast
import doctest
import re
import string
from pathlib import Path

import pytest

import app
from app.matching import words as module
from app.matching.calibration import BANDS
from app.matching.engine import BELOW_THRESHOLD
from app.matching.fairness import EXPOSURE, NEAR_DUPLICATE, PER_ORGANISATION
from app.matching.kinds import MATCH_KINDS
from app.matching.types import Side
from app.matching.words import LANGUAGES, MESSAGES, say
from app.taxonomy import names

STATES = {"not_published", "expired", "withdrawn", "insufficient_data"}
LEFT_OUT = {BELOW_THRESHOLD, NEAR_DUPLICATE, PER_ORGANISATION, EXPOSURE}


def places(message: str) -> set[str]:
    """Return the names of the values that a message takes."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def test_the_examples_hold() -> None:
    for checked in (module, names):
        found = doctest.testmod(checked)
        assert (found.failed, found.attempted > 0) == (0, True)


def test_every_message_stands_in_every_language_with_the_same_places() -> None:
    assert MESSAGES.keys() == set(LANGUAGES)
    english = MESSAGES["en"]
    for language in LANGUAGES:
        assert MESSAGES[language].keys() == english.keys(), language
        for key, message in MESSAGES[language].items():
            assert message.strip() == message != "", (language, key)
            assert places(message) == places(english[key]), (language, key)
            assert message.endswith(".") == english[key].endswith("."), (language, key)


def test_no_translation_was_forgotten() -> None:
    for key, message in MESSAGES["en"].items():
        if len(message) > 25:
            assert len({MESSAGES[language][key] for language in LANGUAGES}) == len(LANGUAGES), key


@pytest.mark.parametrize("name", sorted(MATCH_KINDS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_a_kind_is_made_of_has_its_words(name: str, language: str) -> None:
    kind = MATCH_KINDS[name]
    for feature, _ in kind.features:
        assert say(f"feature.{feature.name}", language)
        assert say(f"part.{feature.name}", language)
        for side in Side:
            assert feature.facet(side) is None or say(f"fact.{feature.facet(side)}", language)
    for rule in kind.rules:
        assert say(f"rule.{rule.label}", language)
        assert say(f"failed.{rule.label}", language)
    for label in LEFT_OUT:
        assert say(f"failed.{label}", language)
    for band, _ in (*kind.bands, *BANDS):
        assert say(f"band.{band}", language)


def test_nothing_stands_there_that_is_never_said() -> None:
    """Keys are written out in the code, or made of a prefix and a name that a kind, a facet or a side has."""
    written: set[str] = set()
    for path in Path(app.__file__).parent.rglob("*.py"):
        if path.name != "words.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            written |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    kinds = MATCH_KINDS.values()
    features = [feature for kind in kinds for feature, _ in kind.features]
    made = {f"{prefix}.{feature.name}" for feature in features for prefix in ("feature", "part")}
    made |= {f"fact.{feature.facet(side)}" for feature in features for side in Side}
    made |= {f"{prefix}.{rule.label}" for kind in kinds for rule in kind.rules for prefix in ("rule", "failed")}
    made |= {f"failed.{state}" for state in STATES | LEFT_OUT} | {f"side.{side}" for side in Side}
    made |= {f"band.{band}" for kind in kinds for band, _ in kind.bands}
    endings = {"similarity": ("same", "close", "some", "little"), "sought": ("yes", "no"), "raise": ("fact", "skill")}
    made |= {f"{prefix}.{ending}" for prefix, own in endings.items() for ending in own}
    assert MESSAGES["en"].keys() - written - made == set()


def test_a_name_never_contains_what_a_message_would_take_for_a_place() -> None:
    for language in LANGUAGES:
        assert say("raise.skill", language, whose="x", gain="0.1", skill="{odd}").count("{odd}") == 1
        assert not re.search(r"\{|\}", say("region.same", language, place="ES61"))
