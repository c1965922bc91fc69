"""The engine: what it proposes is exact, what it judges adds up, what is unknown never counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.matching.documents import passage_weights
from app.matching.engine import judge, missing_facts, propose, rejecting_rule, stand, total_rejected
from app.matching.filters import PairRule
from app.matching.index import ExactIndex, FaissIndex
from app.matching.kinds import MATCH_KINDS, MatchKind
from app.matching.shelf import Shelf
from app.matching.types import Document, Filters, Matrix, Passages, Side
from tests.matching.contracts import DIM, grid, sphere
from tests.matching.worlds import (
    LANGUAGES,
    PLACES,
    SECTORS,
    SKILLS,
    brute_force,
    document,
    facets,
    fields,
    filters,
    passages,
    query,
    score_of,
    shelf_of,
    uncapped,
)

KINDS = {name: uncapped(kind) for name, kind in MATCH_KINDS.items()}
"""Rankings as they are; what the caps leave of them is judged in test_fairness."""

kinds = st.sampled_from(sorted(KINDS)).map(KINDS.__getitem__)
sides = st.sampled_from(list(Side))
seeds = st.integers(0, 2**32 - 1)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


def many(rng: np.random.Generator, count: int, *, exact: bool) -> list[Document]:
    """Return profiles with random facets, of which a third is unknown."""
    vectors = (grid if exact else sphere)(rng, count)

    def pick(codes: tuple[str, ...]) -> str:
        return str(rng.choice(codes))

    found = []
    for row in range(count):
        place = pick(PLACES)
        known: dict[str, Any] = {
            "country": place[:2],
            "nuts": place,
            "sectors": frozenset({pick(SECTORS), pick(SECTORS)}),
            "languages": frozenset({pick(LANGUAGES)}),
            "eqf_level": int(rng.integers(1, 9)),
            "organisation": int(rng.integers(1, 4)),
            "skills": frozenset({pick(SKILLS), pick(SKILLS)}),
            "programme_type": pick(("course", "event")),
            "regions_sought": frozenset({pick(PLACES)}),
            "mobility": frozenset({pick(PLACES)}),
        }
        found.append(
            document(row * 7 % 1009 + 1, vectors[row], {k: v for k, v in known.items() if rng.random() < 0.67})
        )
    return found


@SLOW
@given(
    kind=kinds,
    side=sides,
    seed=seeds,
    rows=st.lists(facets, max_size=25),
    asker=facets,
    conditions=filters,
    limit=st.integers(1, 8),
    declined=st.frozensets(st.integers(1, 25), max_size=3),
)
def test_what_is_proposed_equals_brute_force(
    kind: MatchKind,
    side: Side,
    seed: int,
    rows: list[dict[str, Any]],
    asker: dict[str, Any],
    conditions: Filters,
    limit: int,
    declined: frozenset[int],
) -> None:
    rng = np.random.default_rng(seed)
    vectors = grid(rng, len(rows))
    documents = [document(pk, vectors[pk - 1], known) for pk, known in enumerate(rows, start=1)]
    question = query(grid(rng, 1)[0], asker, side, filters=conditions, excluded=declined)
    expected, rejected = brute_force(kind, question, documents)
    proposal = propose(shelf_of(documents), kind, question, limit)
    assert list(proposal.pks) == [pk for _, pk in expected[:limit]]
    assert dict(proposal.rejected) == rejected
    assert proposal.eligible == len(expected)
    assert proposal.eligible + sum(proposal.rejected.values()) == len(documents)
    assert proposal.complete == (len(expected) <= limit)
    ranking = judge(kind, question, documents, limit)
    assert [(c.score, c.document.pk) for c in ranking.candidates] == expected[:limit]
    assert dict(ranking.rejected) == rejected
    ranks = {pk: (rank, len(expected), None) for rank, (_, pk) in enumerate(expected, start=1)}
    shelf = shelf_of(documents)
    assert [stand(shelf, kind, question, found.pk) for found in documents] == [ranks.get(d.pk) for d in documents]
    assert [rejecting_rule(kind, question, found) is None for found in documents] == [d.pk in ranks for d in documents]


@settings(SLOW, max_examples=18)
@given(kind=kinds, side=sides, seed=seeds, conditions=filters, way=st.sampled_from(["exact", "rounded", "fields"]))
def test_it_goes_as_deep_as_it_must(kind: MatchKind, side: Side, seed: int, conditions: Filters, way: str) -> None:
    rng = np.random.default_rng(seed)
    exact = way == "exact"
    documents = many(rng, 700, exact=exact)
    vector = (grid if exact else sphere)(rng, 1)[0]
    reader = fields(DIM, seed) if way == "fields" else None
    question = query(vector, many(rng, 1, exact=exact)[0].facets, side, filters=conditions, fields=reader)
    expected, rejected = brute_force(kind, question, documents)
    shelf = shelf_of(documents, reader)
    score = {pk: found for found, pk in expected}
    for limit in (1, 10, 40):
        proposal = propose(shelf, kind, question, limit)
        assert (proposal.eligible, dict(proposal.rejected)) == (len(expected), rejected)
        if exact:
            assert list(proposal.pks) == [pk for _, pk in expected[:limit]]
        else:
            # FAISS and numpy add in another order: a score at the edge of a decimal may round either way.
            best = [found for found, _ in expected[:limit]]
            np.testing.assert_allclose([score[pk] for pk in proposal.pks], best, atol=1.01e-4)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("count", [100, 1500])
def test_what_is_first_by_score_is_found_however_far_by_meaning(count: int, side: Side) -> None:
    """Hundreds are nearer in meaning, and would fill the first search; one has everything else in common."""
    common = {"nuts": "ES61", "sectors": frozenset({"digital"}), "regions_sought": frozenset({"ES61"})}
    axes = np.eye(DIM, dtype=np.float32)
    nearest, near, far = (
        np.float32(cosine) * axes[0] + np.float32((1 - cosine**2) ** 0.5) * axes[axis]
        for axis, cosine in enumerate((0.7, 0.6, 0.5), start=1)
    )
    documents = [document(1, nearest), *(document(pk, near, {"nuts": "PT11"}) for pk in range(2, count))]
    documents.append(document(count, far, common))
    kind = KINDS["cluster-region"]
    for limit in (1, 10, 50):
        proposal = propose(shelf_of(documents), kind, query(axes[0], common, side), limit)
        assert proposal.pks == (count, *range(1, limit))
        unknowing = propose(shelf_of(documents), kind, query(axes[0], {}, side), limit)
        assert unknowing.pks == tuple(range(1, limit + 1))


@pytest.mark.parametrize("place", [0, 5000, 10_000])
@pytest.mark.parametrize("similarity", ["opposite", "orthogonal"])
def test_an_only_eligible_profile_among_ten_thousand_near_ones(place: int, similarity: str) -> None:
    rng = np.random.default_rng(5)
    dim = 16
    towards = np.zeros(dim, dtype=np.float32)
    towards[0] = 1
    near = towards + 0.05 * rng.normal(size=(10_000, dim))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    away = np.roll(towards, 1) if similarity == "orthogonal" else -towards
    documents = [document(pk, vector.astype(np.float32), {"country": "ES"}) for pk, vector in enumerate(near, start=1)]
    documents.insert(place, document(20_000, away, {"country": "PT"}))
    question = query(towards, filters=Filters(countries=frozenset({"PT"})))
    for index in (FaissIndex, ExactIndex):
        shelf = Shelf(dim, index)
        shelf.fill(
            [d.pk for d in documents], np.stack([d.passages.vector for d in documents]), [d.facets for d in documents]
        )
        proposal = propose(shelf, KINDS["cluster-region"], question, 10)
        assert proposal.pks == (20_000,)
        assert (proposal.eligible, proposal.rejected) == (1, {"countries": 10_000})


@SLOW
@given(
    kind=kinds,
    side=sides,
    seed=seeds,
    rows=st.lists(facets, min_size=1, max_size=10),
    asker=facets,
    reads_fields=st.booleans(),
)
def test_contributions_add_up(
    kind: MatchKind, side: Side, seed: int, rows: list[dict[str, Any]], asker: dict[str, Any], *, reads_fields: bool
) -> None:
    rng = np.random.default_rng(seed)
    vectors = sphere(rng, len(rows) + 1)
    documents = [document(pk, vectors[pk], known) for pk, known in enumerate(rows)]
    question = query(vectors[-1], asker, side, fields=fields(DIM) if reads_fields else None)
    for found in judge(kind, question, documents, 100).candidates:
        assert 0 <= found.score <= 1
        assert found.score == pytest.approx(sum(part.contribution for part in found.contributions), abs=1e-6)
        assert found.probability is None
        assert found.band == kind.band(found.score)
        for part, (feature, weight) in zip(found.contributions, kind.features, strict=True):
            assert (part.feature, part.weight) == (feature.name, weight)
            assert 0 <= part.value <= 1
            assert part.value * part.weight == pytest.approx(part.contribution, abs=1e-6)
            assert part.words
            read = feature.facet(side), feature.facet(side.other)
            if None not in read and (asker.get(read[0]) is None or found.document.facets.get(read[1]) is None):
                assert part.contribution == 0
                assert part.words.startswith("Not known")


@SLOW
@given(kind=kinds, side=sides, seed=seeds, row=facets, asker=facets, forgotten=st.data())
def test_forgetting_a_fact_never_raises_a_score(
    kind: MatchKind, side: Side, seed: int, row: dict[str, Any], asker: dict[str, Any], forgotten: st.DataObject
) -> None:
    vectors = grid(np.random.default_rng(seed), 2)
    before = score_of(kind, query(vectors[0], asker, side), document(1, vectors[1], row))
    name = forgotten.draw(st.sampled_from([*sorted({*row, *asker}), "nuts"]))
    fewer = [{key: value for key, value in known.items() if key != name} for known in (row, asker)]
    for mine, theirs in ((fewer[1], row), (asker, fewer[0]), (fewer[1], fewer[0])):
        assert score_of(kind, query(vectors[0], mine, side), document(1, vectors[1], theirs)) <= before


@SLOW
@given(kind=kinds, side=sides, seed=seeds, row=facets, asker=facets, label=facets.filter(lambda f: "labels" in f))
def test_a_label_never_changes_a_score(
    kind: MatchKind, side: Side, seed: int, row: dict[str, Any], asker: dict[str, Any], label: dict[str, Any]
) -> None:
    vectors = grid(np.random.default_rng(seed), 2)
    plain = {key: value for key, value in row.items() if key != "labels"}
    with_label, without = plain | {"labels": label["labels"]}, plain
    question = query(vectors[0], asker, side)
    first = judge(kind, question, [document(1, vectors[1], with_label)], 1)
    second = judge(kind, question, [document(1, vectors[1], without)], 1)
    assert [c.contributions for c in first.candidates] == [c.contributions for c in second.candidates]
    assert first.rejected == second.rejected


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_unknown_facts_of_the_asker_are_listed(name: str, side: Side) -> None:
    kind = KINDS[name]
    read = {feature.facet(side) for feature, _ in kind.features} - {None}
    read |= {rule.facet(side) for rule in kind.pair_rules if isinstance(rule, PairRule)}
    vector = grid(np.random.default_rng(0), 1)[0]
    assert set(missing_facts(kind, query(vector, {}, side))) == read
    for known in read:
        left = missing_facts(kind, query(vector, {str(known): frozenset()}, side))
        assert set(left) == read - {known}
        assert judge(kind, query(vector, {str(known): None}, side), [], 1).missing == tuple(sorted(map(str, read)))


def test_ties_are_broken_by_key() -> None:
    rng = np.random.default_rng(0)
    vector = grid(rng, 1)[0]
    keys = rng.permutation(300) + 1
    documents = [document(int(pk), vector) for pk in keys]
    kind = KINDS["cluster-region"]
    assert propose(shelf_of(documents), kind, query(vector), 20).pks == tuple(range(1, 21))
    ranking = judge(kind, query(vector), documents, 20)
    assert [candidate.document.pk for candidate in ranking.candidates] == list(range(1, 21))


@SLOW
@given(
    seed=seeds,
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "remove"]), st.lists(st.integers(1, 12), max_size=4, unique=True)), max_size=8
    ),
)
def test_a_shelf_forgets_what_was_replaced_or_removed(seed: int, steps: list[tuple[str, list[int]]]) -> None:
    rng = np.random.default_rng(seed)
    shelf, present = Shelf(DIM, FaissIndex), dict[int, Document]()
    for action, pks in steps:
        if action == "remove":
            shelf.remove(pks)
            present = {pk: kept for pk, kept in present.items() if pk not in pks}
        elif pks:
            vectors = grid(rng, len(pks))
            for pk, vector in zip(pks, vectors, strict=True):
                present[pk] = document(pk, vector, {"country": str(rng.choice(["ES", "PT"]))})
            shelf.replace(pks, vectors, [present[pk].facets for pk in pks])
    assert len(shelf) == len(present)
    assert {pk for pk in range(1, 13) if pk in shelf} == present.keys()
    question = query(grid(rng, 1)[0], filters=Filters(countries=frozenset({"ES"})))
    kind = KINDS["cluster-region"]
    expected, rejected = brute_force(kind, question, list(present.values()))
    proposal = propose(shelf, kind, question, 5)
    assert list(proposal.pks) == [pk for _, pk in expected[:5]]
    assert (proposal.eligible, dict(proposal.rejected)) == (len(expected), rejected)


def whole(spans: tuple[tuple[int, int] | None, ...], vectors: Matrix) -> Passages:
    """Return passages with the vector of the document that they are."""
    total = passage_weights(spans) @ vectors
    return Passages(spans, vectors, (total / np.linalg.norm(total)).astype(np.float32))


def test_evidence_quotes_the_nearest_passages_and_each_of_theirs_once() -> None:
    axes = np.eye(DIM, dtype=np.float32)
    theirs = whole(((0, 3), (4, 7), (8, 11), None, (12, 15)), axes[[0, 1, 2, 3, 4]])
    mine = whole(((0, 2), (3, 5)), np.stack([axes[1], 0.8 * axes[0] + 0.6 * axes[2]]))
    found = Document(1, "aaa bbb ccc ddd", {}, theirs)
    kind = KINDS["cluster-region"]
    for side in Side:
        question = replace(query(mine.vector, side=side), text="mm nn", passages=mine)
        evidence = judge(kind, question, [found], 1).candidates[0].evidence
        pairs = [(e.similarity, e.seeker.text, e.offer.text) for e in evidence]
        own = [(1.0, "mm", "bbb"), (0.8, "nn", "aaa"), (0.6, "nn", "ccc")]
        assert pairs == (own if side is Side.SEEKER else [(s, offer, seeker) for s, seeker, offer in own])
    silent = replace(question, passages=passages(axes[1]))
    assert judge(kind, silent, [found], 1).candidates[0].evidence == ()


def test_a_similarity_is_no_greater_than_a_cosine_can_be() -> None:
    vector = np.full(DIM, DIM**-0.5, dtype=np.float32) * np.float32(1.0004)
    known = Passages(((0, 3),), vector.reshape(1, -1), vector)
    question = replace(query(vector), text="aaa", passages=known)
    (found,) = judge(KINDS["cluster-region"], question, [Document(1, "aaa", {}, known)], 1).candidates
    assert found.evidence[0].similarity == 1
    assert found.contributions[0].value == 1


def test_rejections_add_up_in_order_of_label() -> None:
    assert list(total_rejected({"b": 1, "a": 2}, {"a": 1, "c": 3}).items()) == [("a", 3), ("b", 1), ("c", 3)]
    assert total_rejected() == {}
