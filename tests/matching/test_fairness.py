"""Fair lists: what is shown equals a naive walk over the whole ranking, whatever is asked for."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.matching.calibration import Calibration, Curve
from app.matching.engine import judge, propose, too_unlikely
from app.matching.fairness import (
    LONGEST_WALK,
    MAX_SIMILAR,
    UNKNOWN,
    Copies,
    ExposurePolicy,
    FairList,
    Fairness,
    Fate,
    fair_list,
    fate,
)
from app.matching.kinds import MATCH_KINDS, MatchKind, ProfileKind
from app.matching.types import Document, Matrix, Side
from tests.matching.contracts import DIM, grid
from tests.matching.worlds import brute_force, document, query, shelf_of

SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)

fairness = st.builds(
    Fairness,
    max_per_organisation=st.none() | st.integers(1, 4),
    copies=st.none()
    | st.builds(
        Copies,
        near_duplicate=st.sampled_from((0.75, 1.0)),
        clone=st.sampled_from((0.5, 0.75)),
        most=st.integers(1, 3),
        of_others=st.booleans(),
    ),
    exposure=st.builds(ExposurePolicy, margin=st.sampled_from((0.0, 0.01, 0.05))),
)
"""Vectors of `grid` have exact products: 0, ±1/4, ±1/2, ±3/4, ±1."""


class Given(NamedTuple):
    """Candidates in any order, and who of them is shown often."""

    keys: list[int]
    scores: list[float]
    owners: list[int]
    vectors: Matrix
    often: frozenset[int]

    def listed(self, policy: Fairness, limit: int, floor: float = -np.inf) -> FairList:
        return fair_list(
            policy,
            np.array(self.keys, dtype=np.int64),
            np.array(self.scores, dtype=np.float64),
            lambda places: np.array([self.owners[place] for place in places], dtype=np.int64),
            lambda places: self.vectors[places],
            limit,
            floor=floor,
            often_shown=self.often,
        )


@st.composite
def worlds(draw: st.DrawFn) -> Given:
    count = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = grid(rng, draw(st.integers(1, 20)))
    vectors = pool[rng.integers(0, len(pool), count)]
    owners = [int(owner) for owner in rng.integers(UNKNOWN, 5, count)]
    keys = [int(key) for key in rng.permutation(200)[:count]]
    often = frozenset(key for key in keys if rng.random() < 0.2) if draw(st.booleans()) else frozenset()
    return Given(keys, [round(float(s), 2) for s in rng.random(count) / 5], owners, vectors, often)


def ranked(world: Given, policy: Fairness) -> list[int]:
    """Return all places in the order in which they are walked."""

    def rank(place: int) -> tuple[float, bool, int]:
        often = world.keys[place] in world.often
        return (-round(world.scores[place] - policy.exposure.margin * often, 4), often, world.keys[place])

    return sorted(range(len(world.keys)), key=rank)


def belong(world: Given, copies: Copies, one: int, other: int, least: float) -> bool:
    owner = world.owners[one]
    mine = owner == world.owners[other] != UNKNOWN
    return (copies.of_others or mine) and float(world.vectors[one] @ world.vectors[other]) >= least


def largest_group(world: Given, copies: Copies, places: Sequence[int]) -> int:
    """Return how many of `places` belong together at most, directly or through others."""
    groups = [{place} for place in places]
    for one, other in combinations(places, 2):
        if belong(world, copies, one, other, copies.clone):
            first, second = (next(group for group in groups if place in group) for place in (one, other))
            if first is not second:
                groups.remove(second)
                first |= second
    return max(map(len, groups), default=0)


def allowed(world: Given, policy: Fairness, shown: Sequence[int], place: int) -> str | None:
    """Return the cap that forbids `place` beside `shown`, by its definition."""
    copies, most, owner = policy.copies, policy.max_per_organisation, world.owners[place]
    if most is not None and owner != UNKNOWN and sum(world.owners[other] == owner for other in shown) >= most:
        return "per_organisation"
    if copies is not None:
        if any(belong(world, copies, place, other, copies.near_duplicate) for other in shown):
            return "near_duplicate"
        together = largest_group(world, copies, [*shown, place])
        if together > copies.most and together > largest_group(world, copies, shown):
            return "near_duplicate"
    return None


def naive(world: Given, policy: Fairness, limit: int) -> tuple[list[int], dict[str, int]]:
    """Walk the whole ranking from the top, skipping what the caps forbid."""
    shown: list[int] = []
    held: dict[str, int] = {}
    for place in ranked(world, policy):
        if len(shown) == limit:
            break
        label = allowed(world, policy, shown, place)
        if label is None:
            shown.append(place)
        else:
            held[label] = held.get(label, 0) + 1
    return shown, held


@SLOW
@given(world=worlds(), policy=fairness, limit=st.integers(1, 20))
def test_it_equals_the_naive_walk(world: Given, policy: Fairness, limit: int) -> None:
    shown, held = naive(world, policy, limit)
    found = world.listed(policy, limit)
    assert list(found.shown) == shown
    usual, _ = naive(world._replace(often=frozenset()), policy, limit)
    displaced = len(set(usual) - set(shown))
    assert dict(found.held) == {**held, **({"exposure": displaced} if displaced else {})}
    assert found.walked == len(shown) + sum(held.values())
    assert found.full == (len(shown) == len(usual) == limit)


@SLOW
@given(world=worlds(), policy=fairness, limit=st.integers(1, 20))
def test_the_caps_hold_and_nothing_is_added(world: Given, policy: Fairness, limit: int) -> None:
    found = world.listed(policy, limit)
    assert len(set(found.shown)) == len(found.shown) <= limit
    if policy.max_per_organisation is not None:
        owners = [world.owners[place] for place in found.shown if world.owners[place] != UNKNOWN]
        assert max(map(owners.count, owners), default=0) <= policy.max_per_organisation
    if policy.copies is not None:
        assert largest_group(world, policy.copies, found.shown) <= policy.copies.most
    order = ranked(world, policy)
    assert list(found.shown) == sorted(found.shown, key=order.index)
    for first, second in zip(found.shown, found.shown[1:], strict=False):
        # Out of order of score by the exposure margin at most, and only behind what is not shown often.
        if world.scores[first] < world.scores[second]:
            assert world.scores[second] - world.scores[first] <= policy.exposure.margin + 1e-9
            assert world.keys[second] in world.often - {world.keys[first]}
    assert set(found.similar) <= set(found.shown)
    for leader, others in found.similar.items():
        assert len(others) <= MAX_SIMILAR
        assert not set(others) & set(found.shown)
        assert all(order.index(other) > order.index(leader) for other in others)


@SLOW
@given(world=worlds(), policy=fairness)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(world: Given, policy: Fairness) -> None:
    whole = world.listed(policy, 100)
    for limit in (1, 3, 10):
        assert world.listed(policy, limit).shown == whole.shown[:limit]


@SLOW
@given(world=worlds(), policy=fairness, limit=st.integers(1, 10), floor=st.sampled_from((0.0, 0.05, 0.1)))
def test_below_the_floor_nobody_is_walked(world: Given, policy: Fairness, limit: int, floor: float) -> None:
    whole, part = world.listed(policy, limit), world.listed(policy, limit, floor)
    assert part.shown == whole.shown[: len(part.shown)]
    if part.full:
        assert part == whole


@SLOW
@given(world=worlds(), policy=fairness)
def test_each_one_has_its_fate(world: Given, policy: Fairness) -> None:
    shown, _ = naive(world, policy, 100)
    usual, _ = naive(world._replace(often=frozenset()), policy, 100)
    order = ranked(world, policy)
    for place in range(len(world.keys)):
        rank, cap = fate(
            policy,
            np.array(world.keys, dtype=np.int64),
            np.array(world.scores, dtype=np.float64),
            lambda places: np.array([world.owners[place] for place in places], dtype=np.int64),
            lambda places: world.vectors[places],
            place,
            often_shown=world.often,
        )
        if place in shown:
            assert (rank, cap) == (shown.index(place) + 1, None)
        elif place in usual:
            assert (rank, cap) == (None, "exposure")
        else:
            before = [other for other in shown if order.index(other) < order.index(place)]
            assert (rank, cap) == (None, allowed(world, policy, before, place))


def test_who_stands_beyond_the_longest_walk_has_the_rank_of_their_score() -> None:
    count = LONGEST_WALK + 50
    keys, scores = np.arange(count), np.linspace(0.9, 0.1, count)
    owners = np.array([0] * 10 + list(range(1, count - 9)))
    vectors = np.zeros((count, 4), dtype=np.float32)

    def stands(place: int) -> Fate:
        policy = Fairness(max_per_organisation=3)
        return fate(policy, keys, scores, owners.__getitem__, vectors.__getitem__, place)

    assert stands(2) == Fate(3, None)
    assert stands(9) == Fate(None, "per_organisation")
    assert stands(10) == Fate(4, None)
    assert stands(count - 1) == Fate(count - 7, None)


@pytest.mark.parametrize("name", ["of others", "of the same"])
def test_the_only_good_match_is_never_lost_to_exposure(name: str) -> None:
    often = frozenset({7})
    vectors = np.eye(4, dtype=np.float32)[:3]
    world = Given([7, 8, 9], [0.5, 0.4, 0.3], [1, 2 if name == "of others" else 1, 3], vectors, often)
    assert world.listed(Fairness(), 1).shown == (0,)
    near = world._replace(scores=[0.5, 0.49, 0.3])
    assert near.listed(Fairness(), 1).shown == (1,)
    assert dict(near.listed(Fairness(), 1).held) == {"exposure": 1}
    assert near.listed(Fairness(), 3).shown == (1, 0, 2)


def copied(rng: np.random.Generator, count: int) -> list[Document]:
    """Return profiles of few organisations and few texts."""
    vectors = grid(rng, 30)
    return [
        document(pk, vectors[rng.integers(0, 30)], {"organisation": int(rng.integers(1, 25)), "country": "ES"})
        for pk in rng.permutation(count) + 1
    ]


@settings(SLOW, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.sampled_from(list(Side)),
    policy=fairness,
    own=st.none() | st.integers(1, 3),
    count=st.sampled_from((5, 150, 400)),
    least=st.none() | st.sampled_from((0.15, 0.35, 0.55, 0.75, 0.95)),
)
def test_index_and_database_show_the_same_list(
    seed: int, side: Side, policy: Fairness, own: int | None, count: int, least: float | None
) -> None:
    """Also when whoever scores less than `least` is below the threshold."""
    rng = np.random.default_rng(seed)
    documents = copied(rng, count)
    kind = replace(MATCH_KINDS["cluster-region"], fair_seekers=policy, fair_offers=policy)
    often = frozenset(int(pk) for pk in rng.integers(1, count + 1, count // 4))
    question = query(grid(rng, 1)[0], {}, side, max_per_organisation=own, often_shown=often)
    everyone, _ = brute_force(kind, question, documents)
    ranking = [(score, pk) for score, pk in everyone if least is None or score >= least]
    calibration = None
    if least is not None:
        steps = (-2.0, least - 1e-5, least - 1e-6, 2.0), (0.1, 0.1, 0.9, 0.9)
        calibration = Calibration("cluster-region", "m", "1", Curve("isotonic", "score", steps), 0.5)
    by_key = {found.pk: found for found in documents}
    world = Given(
        [pk for _, pk in ranking],
        [score for score, _ in ranking],
        [int(str(by_key[pk].facets["organisation"])) for _, pk in ranking],
        np.array([by_key[pk].passages.vector for _, pk in ranking]).reshape(-1, DIM),
        often,
    )
    miss = everyone[0][1] if everyone and not ranking else None
    for limit in (1, 10, 30):
        shown, held = naive(world, policy.with_most(own), limit)
        expected = [world.keys[place] for place in shown]
        proposal = propose(shelf_of(documents), kind, question, limit, calibration)
        assert list(proposal.pks) == (expected if miss is None else [miss])
        assert {label: count for label, count in proposal.held.items() if label != "exposure"} == held
        whole = judge(kind, question, documents, limit, calibration)
        assert [found.document.pk for found in whole.candidates] == expected
        below = len(everyone) - len(ranking) if len(expected) < limit else 0
        assert not whole.rejected
        assert too_unlikely(proposal, whole, limit) == ({"below_threshold": below} if below else {})
        assert (whole.nearest_miss.document.pk if whole.nearest_miss else None) == miss
        read = [by_key[pk] for pk in (*proposal.pks, *proposal.similar)]
        again = judge(kind, question, read, limit, calibration)
        assert again.nearest_miss == whole.nearest_miss
        assert [found.document.pk for found in again.candidates] == expected
        assert [found.similar for found in again.candidates] == [found.similar for found in whole.candidates]
        assert again.eligible == {found.pk for found in read}


def test_what_the_database_no_longer_has_holds_nobody_back() -> None:
    axes = np.eye(DIM, dtype=np.float32)
    documents = [document(pk, axes[0], {"organisation": pk}) for pk in (1, 2, 3)]
    question = query(axes[0], {}, Side.OFFER)
    kind = MATCH_KINDS["cluster-region"]
    proposal = propose(shelf_of(documents), kind, question, 5)
    assert (proposal.pks, proposal.similar, dict(proposal.held)) == ((1,), (2, 3), {"near_duplicate": 2})
    proposal = propose(shelf_of(documents), kind, replace(question, absent=frozenset({1})), 5)
    assert (proposal.pks, proposal.similar, proposal.eligible) == ((2,), (3,), 2)


@pytest.mark.parametrize("kind", MATCH_KINDS.values(), ids=lambda kind: kind.name)
def test_a_person_neither_stands_for_another_nor_waits_behind_a_schoolmate(kind: MatchKind) -> None:
    for side in Side:
        policy = kind.fairness(side)
        people = kind.profile_kind(side) is ProfileKind.TRAINEE
        assert (policy.copies is None) == (policy.max_per_organisation is None) == people


def test_what_is_described_is_what_counts() -> None:
    described: dict[str, Any] = MATCH_KINDS["cluster-region"].describe()["fairness"]
    caps = {side: {cap["label"]: cap["figures"] for cap in found} for side, found in described.items()}
    assert caps["seeker"]["near_duplicate"] == {"near_duplicate": 0.97, "clone": 0.8, "max_clones": 2}
    assert caps["offer"]["per_organisation"] == {"max_per_organisation": 3}
    assert caps["seeker"]["exposure"] == {"share": 0.5, "margin": 0.02, "least_askers": 20}
    assert "of any organisation" in described["seeker"][0]["sentence"]
    people = MATCH_KINDS["company-trainee"].describe()["fairness"]["offer"]
    assert [cap["label"] for cap in people] == ["exposure"]
