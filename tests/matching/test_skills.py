"""Skills in texts: what is found, where, and what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.matching.embedder import Embedder, HashEmbedder
from app.matching.skills import SIMILARITY, Concept, FoundBy, SkillLinker, phrases

CONCEPTS = (
    Concept("bake", ("bake bread", "hornear pan"), ("make bread", "data")),
    Concept("business", ("business",), ()),
    Concept("analysis", ("business analysis",), ("analyse a business",)),
    Concept("gopher", ("Gopher (computer programming)",), ()),
    Concept("one", ("first name",), ("same name",)),
    Concept("two", ("second name",), ("same name", "first name")),
    Concept("c", ("C",), ("C++ programming",)),
    Concept("finnish", ("finés",)),
)
EMBEDDER = HashEmbedder(64)


def linker(embedder: Embedder = EMBEDDER, concepts: tuple[Concept, ...] = CONCEPTS) -> SkillLinker:
    labels = embedder.embed_documents([concept.labels[0] for concept in concepts])
    nothing = np.zeros_like(labels)
    return SkillLinker(concepts, np.stack([labels, nothing, nothing]))


def exact(text: str) -> dict[str, str]:
    """Return the quoted evidence by skill, by labels alone."""
    found = SkillLinker(CONCEPTS, None).find([text], EMBEDDER)[0]
    assert all((skill.similarity, skill.by) == (1.0, FoundBy.EXACT) for skill in found)
    return {skill.id: text[skill.start : skill.end] for skill in found}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("We bake bread daily.", {"bake": "bake bread"}),
        ("Queremos HORNEAR  PAN aquí.", {"bake": "HORNEAR  PAN"}),
        ("To BAKE\nBREAD", {"bake": "BAKE\nBREAD"}),
        ("They rebake breads.", {}),
        ("All data is here.", {}),
        ("Our business analysis is good.", {"analysis": "business analysis"}),
        ("Our business is good.", {"business": "business"}),
        ("Gopher is asked for.", {"gopher": "Gopher"}),
        ("Con buenos fines.", {}),
        ("Habla FINÉS.", {"finnish": "FINÉS"}),
        ("Habla fine\u0301s.", {"finnish": "fine\u0301s"}),
        ("The first name.", {"one": "first name"}),
        ("The same name.", {}),
        ("We like C and 3 + 4.", {}),
        ("C++ programming at night", {"c": "C++ programming"}),
        ("C programming at night", {}),
        ("", {}),
    ],
)
def test_labels_that_stand_in_a_text(text: str, found: dict[str, str]) -> None:
    assert exact(text) == found


def test_a_phrase_that_is_near_enough() -> None:
    text = "Wanted: people who know; bakes bread; nothing else."
    found = linker().find([text], EMBEDDER, least=0.6)[0]
    assert [(skill.id, text[skill.start : skill.end], skill.by) for skill in found] == [
        ("bake", "bakes bread", FoundBy.LABEL)
    ]
    assert 0.6 <= found[0].similarity < 1
    assert linker().find([text], EMBEDDER, least=0.99) == [()]
    assert linker().find([text], EMBEDDER, least=0.6, most_phrases=1) == [()]


def test_it_is_said_which_of_the_three_vectors_is_nearest() -> None:
    said = EMBEDDER.embed_documents(["weld parts", "join pieces", "melt metal together"])
    own = SkillLinker((Concept("weld", ("weld parts",)),), said[:, np.newaxis])
    for text, by in (("join pieces", FoundBy.ALTERNATIVES), ("melt metal together", FoundBy.DESCRIPTION)):
        assert [skill.by for skill in own.find([text], EMBEDDER, least=0.5)[0]] == [by]
        assert own.find([text], EMBEDDER, least=0.99) == [()]


def test_what_a_concept_lacks_is_near_to_nothing() -> None:
    own = SkillLinker((Concept("x", ("xylophone maker",)),), np.zeros((3, 1, 64), dtype=np.float32))
    assert own.find(["anything at all"], EMBEDDER, least=0.01) == [()]


def test_vectors_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        SkillLinker(CONCEPTS, np.zeros((3, 2, 64), dtype=np.float32))


def test_phrases_are_sentences_and_their_clauses() -> None:
    text = "We bake bread and weld. Sabe podar vides, incluyendo injertos (finos)."
    assert [text[start:end] for start, end in phrases(text, EMBEDDER)] == [
        "We bake bread and weld",
        "We bake bread",
        "Sabe podar vides, incluyendo injertos (finos)",
        "Sabe podar vides",
    ]


WORDS = st.sampled_from(
    ["bake", "bread", "BREAD", "hornear", "pan", "business", "analysis", "Gopher", "e\u0301", "ﬁn", ",", ".", "\n", "İ",
     "and", "first name", "same name", "C++", "(", ")", "•", " ", "\u200b", "ß"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=30).map(" ".join))


@given(st.lists(TEXTS, max_size=4))
def test_evidence_stands_at_its_place_and_is_the_same_again_in_any_company(texts: list[str]) -> None:
    own = linker()
    found = own.find(texts, EMBEDDER)
    assert own.find(texts, EMBEDDER) == found
    assert [own.find([text], EMBEDDER)[0] for text in texts] == found
    names = {concept.id: concept for concept in CONCEPTS}
    for text, skills in zip(texts, found, strict=True):
        assert [skill.start for skill in skills] == sorted(skill.start for skill in skills)
        assert len({skill.id for skill in skills}) == len(skills)
        for skill in skills:
            assert 0 <= skill.start < skill.end <= len(text)
            assert SIMILARITY <= skill.similarity <= 1
            quoted = text[skill.start : skill.end]
            assert quoted == quoted.strip()
            if skill.by is FoundBy.EXACT:
                alone = SkillLinker((names[skill.id],), None).find([quoted], EMBEDDER)[0]
                assert [(same.start, same.end) for same in alone] == [(0, len(quoted))]


@given(TEXTS)
def test_phrases_lie_within_their_text_in_order(text: str) -> None:
    found = phrases(text, EMBEDDER)
    assert len(set(found)) == len(found)
    for start, end in found:
        assert text[start:end].strip() == text[start:end] != ""


def test_ten_sentences_with_the_real_encoder(real_embedder: Embedder) -> None:
    concepts = (
        Concept("weld", ("weld metal parts",)),
        Concept("bake", ("bake bread",)),
        Concept("web", ("develop web applications",)),
        Concept("prune", ("prune vines",)),
        Concept("drive", ("drive lorries",)),
    )
    own = linker(real_embedder, concepts)
    sentences = {
        "Welding of metal parts": {"weld"},
        "Our people bake bread every morning.": {"bake"},
        "developing web applications, with care": {"web"},
        "pruning vines": {"prune"},
        "driving lorries": {"drive"},
        "They drive lorries and prune vines": {"drive", "prune"},
        "We are a friendly team.": set(),
        "The office is in the city centre.": set(),
        "Salary by agreement, thirty days of holidays.": set(),
        "Apply before Friday.": set(),
    }
    found = own.find(list(sentences), real_embedder)
    assert {text: {skill.id for skill in skills} for text, skills in zip(sentences, found, strict=True)} == sentences
