"""Which starter skills are tied to which of a catalogue: by name, by name and vector, by vector, or not at all."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from app.matching.embedder import Embedder, HashEmbedder
from app.matching.types import Matrix
from app.taxonomy.skills import Skill, get_skill
from app.taxonomy.ties import CONFIRMED, SURE, tie

NAMES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("statistics", ("data analysis",)),
    ("robotics", ("industrial automation", "mechatronics")),
    ("mechatronics", ()),
    ("operate chainsaw", ("utilise chainsaw",)),
    ("perform video editing", ()),
    ("cloud technologies", ("cloud computing",)),
    ("Java (computer programming)", ("Java",)),
    ("JavaScript", ()),
    ("livestock", ()),
    ("textile technologies", ()),
    ("emergency medicine", ()),
    ("collect tourist information", ()),
    ("carpentry", ()),
)
"""Skills of ESCO v1.1.1 as it names them in English: the same as one of ours, and what only looks like it."""


def skill(id_: str, alt: Mapping[str, tuple[str, ...]] | None = None, **labels: str) -> Skill:
    return Skill(id_, labels, alt or {})


def leaning(towards: float) -> list[float]:
    """Return a vector of length 1 whose cosine with that of any starter skill is `towards`."""
    return [towards, float(np.sqrt(1 - towards**2))]


class Same(HashEmbedder):
    """Gives every text one vector."""

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)


def tied(ours: Skill, *theirs: Skill, near: Sequence[float] = ()) -> str | None:
    """Return what `ours` is tied to; `near` are the cosines of the labels, 0 where none are given."""
    labels = np.array([leaning(one) for one in near or [0.0] * len(theirs)], dtype=np.float32)
    return tie([ours], theirs, labels, Same(2)).get(ours.id)


OURS = skill("ours", {"en": ("turning",), "pt": ("torno",)}, en="lathe work", es="torneado", pt="torneamento")


@pytest.mark.parametrize(
    "theirs",
    [
        skill("a", en="Lathe  Work"),
        skill("a", en="operate lathe", es="Torneádo"),
        skill("a", en="lathe work (metal)"),
        skill("a", pt="torneamento"),
    ],
)
def test_a_label_of_one_language_is_enough(theirs: Skill) -> None:
    assert tied(OURS, skill("z", en="milling"), theirs) == "a"


@pytest.mark.parametrize(
    "theirs",
    [
        [skill("a", en="torneado")],
        [skill("a", fr="lathe work")],
        [skill("a", en="lathe work (metal)"), skill("b", en="lathe work (wood)")],
        [skill("a", {"en": ("lathe work",)}, en="machining")],
        [],
    ],
)
def test_a_name_of_another_language_or_of_several_skills_or_an_unconfirmed_one_is_not(theirs: list[Skill]) -> None:
    assert tied(OURS, *theirs) is None


@pytest.mark.parametrize(
    "theirs",
    [
        skill("a", {"en": ("lathe work",)}, en="machining"),
        skill("a", en="turning"),
        skill("a", {"pt": ("torno",)}, en="machining"),
    ],
)
def test_another_name_needs_labels_that_are_near(theirs: Skill) -> None:
    assert tied(OURS, theirs, near=[CONFIRMED]) == "a"
    assert tied(OURS, theirs, near=[CONFIRMED - 0.001]) is None


def test_a_skills_own_name_goes_before_anothers_other_name() -> None:
    other, own = skill("a", {"en": ("lathe work",)}, en="machining"), skill("b", en="lathe work")
    assert tied(OURS, other, own, near=[0.9, 0.2]) == "b"


def test_without_a_common_name_the_nearest_is_taken_if_it_is_near_enough() -> None:
    theirs = [skill("a", en="x"), skill("b", en="y"), skill("c", en="z")]
    assert tied(OURS, *theirs, near=[SURE, SURE + 0.01, SURE + 0.01]) == "b"
    assert tied(OURS, *theirs, near=[SURE - 0.001, 0, 0]) is None


def test_of_several_bearers_of_its_labels_the_nearest_is_taken() -> None:
    assert tied(OURS, skill("a", en="lathe work"), skill("b", es="torneado"), near=[0.3, 0.5]) == "b"
    assert tied(OURS, skill("a", en="lathe work"), skill("b", es="torneado")) == "a"


def test_what_is_near_to_a_starter_skill_and_not_the_same_is_not_tied(real_embedder: Embedder) -> None:
    wanted = (
        "data-analysis industrial-automation mechatronics chainsaw-operation video-editing cloud-computing java "
        "javascript livestock-farming technical-textiles emergency-medical-care tourist-information cabinet-making"
    )
    starter = [found for slug in wanted.split() if (found := get_skill(f"puente:{slug}"))]
    assert len(starter) == len(wanted.split())
    theirs = [Skill(label, {"en": label}, {"en": names}) for label, names in NAMES]
    labels = real_embedder.embed_documents([label for label, _ in NAMES])
    assert tie(starter, theirs, labels, real_embedder) == {
        "puente:mechatronics": "mechatronics",
        "puente:chainsaw-operation": "operate chainsaw",
        "puente:video-editing": "perform video editing",
        "puente:cloud-computing": "cloud technologies",
        "puente:java": "Java (computer programming)",
        "puente:javascript": "JavaScript",
    }
