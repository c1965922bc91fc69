"""Fair lists: which of the candidates, in order of score, are shown, and which are held back and why.

A list is what one gets by walking the whole ranking from the top and passing over what a cap forbids. Nothing is
moved but by the exposure margin, nothing is added: a list that the caps leave short stays short. A choice does not
depend on how long a list is asked for: the shorter list is the beginning of the longer one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.matching.types import Matrix
from app.matching.words import DEFAULT, say

Places: TypeAlias = NDArray[np.int64]
"""Positions in arrays of candidates, in any order."""

MAX_SIMILAR = 5
"""Of what is collapsed into a candidate, that many are named with it."""

EXPOSURE_DEPTH = 10
"""An item counts as shown to somebody when it stands that high in their list."""

PER_ORGANISATION = "per_organisation"
NEAR_DUPLICATE = "near_duplicate"
EXPOSURE = "exposure"

LONGEST_WALK = 1_000
"""Whose place is asked for is followed until that many stand before it: ten times the longest list there is."""

UNKNOWN = -1
"""The number of an organisation that is not known."""

_BLOCK = 16
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Copies:
    """When one text is a copy of another, by the cosine of the documents' vectors.

    From `near_duplicate` on an item is collapsed into the best-scored one. From `clone` on the two belong together,
    and of items that belong together, directly or through others in the list, at most `most` are shown: an edited
    copy is not quite the same text, thirty of them are still one. With `of_others` copies in the hands of other
    organisations count as well; without, an organisation's text is compared with its own only.

    The figures were measured with all-MiniLM-L6-v2 (int8). Of the demonstration territory's 49 pitches no two
    are nearer than 0.78; of copies with a twentieth of their words replaced by others, 95 % lie above 0.93 to the
    original, with a tenth 95 % above 0.89. Of twenty such copies of one pitch never more than two were shown; with a
    fifth replaced, which leaves little sense, more than two in a quarter of the lists. Two courses of one school that
    differ in level reach 0.96, and are not one.
    """

    near_duplicate: float = 0.97
    clone: float = 0.80
    most: int = 2
    of_others: bool = False


@dataclass(frozen=True, slots=True)
class ExposurePolicy:
    """When an item is in too many lists, and what that may cost it.

    Once `least_askers` others asked, an item in the top ten of more than `share` of their lists is ranked as though
    its score were lower by `margin`. So it gives way to what is nearly as good, and never to what is not.
    """

    share: float = 0.5
    margin: float = 0.02
    least_askers: int = 20


@dataclass(frozen=True, slots=True)
class Fairness:
    """What a list of suggestions may look like; None switches a cap off."""

    max_per_organisation: int | None = 3
    copies: Copies | None = field(default_factory=Copies)
    exposure: ExposurePolicy = field(default_factory=ExposurePolicy)

    def with_most(self, most: int | None) -> "Fairness":
        """Return the same with the asker's own `max_per_organisation`, where there is one."""
        return self if most is None else replace(self, max_per_organisation=most)

    def describe(self, language: str = DEFAULT) -> list[dict[str, Any]]:
        """Return the caps as GET /match-kinds shows them: label, sentence in one of `words.LANGUAGES`, and figures."""
        found: list[dict[str, Any]] = []
        copies, exposure = self.copies, self.exposure
        if copies is not None:
            key = "cap.copies_of_others" if copies.of_others else "cap.copies_of_one"
            sentence = say(key, language, most=copies.most)
            figures = {"near_duplicate": copies.near_duplicate, "clone": copies.clone, "max_clones": copies.most}
            found.append({"label": NEAR_DUPLICATE, "sentence": sentence, "figures": figures})
        if self.max_per_organisation is not None:
            sentence = say("cap.per_organisation", language, most=self.max_per_organisation)
            figures = {"max_per_organisation": self.max_per_organisation}
            found.append({"label": PER_ORGANISATION, "sentence": sentence, "figures": figures})
        sentence = say("cap.exposure", language, depth=EXPOSURE_DEPTH, percent=round(100 * exposure.share))
        figures = {"share": exposure.share, "margin": exposure.margin, "least_askers": exposure.least_askers}
        found.append({"label": EXPOSURE, "sentence": sentence, "figures": figures})
        return found


class FairList(NamedTuple):
    """Places of candidates: those shown, in order; the first that were collapsed into each; and counts of the rest.

    `walked` is how many candidates were passed to come so far. `full` says that `limit` are shown, so that what comes
    later was not looked at.
    """

    shown: tuple[int, ...]
    similar: Mapping[int, tuple[int, ...]]
    held: Mapping[str, int]
    walked: int
    full: bool

    def all_similar(self) -> list[int]:
        """Return all places that are named as similar to one shown."""
        return [place for places in self.similar.values() for place in places]


def fair_list(
    fairness: Fairness,
    keys: NDArray[np.int64],
    scores: NDArray[np.float64],
    organisations: Callable[[Places], NDArray[np.int64]],
    vectors: Callable[[Places], Matrix],
    limit: int,
    *,
    floor: float = -np.inf,
    often_shown: frozenset[int] = frozenset(),
) -> FairList:
    """Return the fair list of the candidates with these keys and scores, both shape (n,), in any order.

    Only who is ranked by more than `floor` is walked: below it candidates that are not given may have a place.
    `organisations(places)` are numbers of the candidates' owners, `UNKNOWN` where that is not known: it is then under
    nobody's cap.
    `vectors(places)` are their unit vectors, shape (len(places), d).

    `held` counts who was passed over on the way to the last one shown, by the first cap that forbids it, and under
    `exposure` who would be shown if nobody were shown often.
    """

    def walked(often: frozenset[int]) -> FairList:
        order, ranked_by = _order(fairness.exposure, keys, scores, often)
        return _walk(fairness, order[: np.count_nonzero(ranked_by > floor)], organisations, vectors, limit)

    found = walked(often_shown)
    if often_shown.isdisjoint(keys.tolist()):
        return found
    plain = walked(frozenset())
    displaced = len(set(plain.shown) - set(found.shown))
    held = {**found.held, EXPOSURE: displaced} if displaced else found.held
    return found._replace(held=held, full=found.full and plain.full)


class Fate(NamedTuple):
    """What becomes of one candidate: its rank from 1 in a list that is long enough, or the cap that forbids it."""

    rank: int | None
    cap: str | None


def fate(
    fairness: Fairness,
    keys: NDArray[np.int64],
    scores: NDArray[np.float64],
    organisations: Callable[[Places], NDArray[np.int64]],
    vectors: Callable[[Places], Matrix],
    own: int,
    *,
    often_shown: frozenset[int] = frozenset(),
) -> Fate:
    """Return what becomes of the candidate at place `own` in the list that `fair_list` makes of all of them.

    The walk ends with the candidate, or once `LONGEST_WALK` stand before it: its rank is then that by score, less
    what was passed over until there.
    """

    def follow(often: frozenset[int]) -> Fate:
        order, _ = _order(fairness.exposure, keys, scores, often)
        before = int(np.flatnonzero(order == own)[0])
        upto = order[: before + 1]
        owners = organisations(upto)
        walk = _walked(fairness, upto, owners, vectors, LONGEST_WALK)
        cap = walk.last_cap
        if owners[-1] in walk.capped and own not in walk.shown:
            # Passed over with others of its organisation, and never walked.
            cap = PER_ORGANISATION
        return Fate(before + 1 - sum(walk.held.values()) if cap is None else None, cap)

    found = follow(often_shown)
    if found.cap is None or often_shown.isdisjoint(keys.tolist()):
        return found
    usual = follow(frozenset())
    return found if usual.rank is None else Fate(None, EXPOSURE)


def _order(
    policy: ExposurePolicy, keys: NDArray[np.int64], scores: NDArray[np.float64], often_shown: frozenset[int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the places in the order in which they are walked, and the score that each is ranked by, by place.

    Best first; at the same score what is shown often comes later, and then the key decides.
    """
    if not often_shown:
        return np.lexsort((keys, -scores)), scores
    often = np.isin(keys, np.array(sorted(often_shown)))
    ranked_by = (scores - policy.margin * often).round(_DECIMALS)
    return np.lexsort((keys, often, -ranked_by)), ranked_by


def _walk(
    fairness: Fairness,
    order: Places,
    organisations: Callable[[Places], NDArray[np.int64]],
    vectors: Callable[[Places], Matrix],
    limit: int,
) -> FairList:
    """Return what walking the candidates at `order`, best first, until `limit` are shown comes to."""
    walk = _walked(fairness, order, organisations(order), vectors, limit)
    similar = {place: tuple(copies) for place, copies in walk.similar.items()}
    walked = len(walk.shown) + sum(walk.held.values())
    return FairList(tuple(walk.shown), similar, walk.held, walked, walk.full)


def _walked(
    fairness: Fairness, order: Places, owners: NDArray[np.int64], vectors: Callable[[Places], Matrix], limit: int
) -> "_Walk":
    walk, block = _Walk(fairness, limit), max(limit, _BLOCK)
    passed: list[NDArray[np.int64]] = []
    ahead = np.arange(len(order))
    while len(ahead) and not walk.full:
        steps, ahead = ahead[:block], ahead[block:]
        places = order[steps]
        if walk.take(places.tolist(), owners[steps].tolist(), partial(vectors, places)) and len(ahead):
            # All at once: an organisation may have thousands more.
            capped = np.isin(owners[ahead], walk.capped)
            passed.append(ahead[capped])
            ahead = ahead[~capped]
    if walk.full:
        last = int(np.flatnonzero(order == walk.shown[-1])[0])
        passed = [steps[steps < last] for steps in passed]
    walk.count(PER_ORGANISATION, sum(map(len, passed)))
    return walk


class _Walk:
    """What was shown and held back so far; `last_cap` is the cap that forbade the last one walked, or None."""

    def __init__(self, fairness: Fairness, limit: int) -> None:
        self._copies = fairness.copies
        self._most = fairness.max_per_organisation
        self._limit = limit
        self._owner_of: dict[int, int] = {}
        self._owned: dict[int, int] = {}
        self._rank: dict[int, int] = {}
        self._groups: dict[int, list[int]] = {}
        self._vectors: list[NDArray[np.float64]] = []
        self.shown: list[int] = []
        self.capped: list[int] = []
        self.similar: dict[int, list[int]] = {}
        self.held: dict[str, int] = {}
        self.last_cap: str | None = None

    @property
    def full(self) -> bool:
        return len(self.shown) >= self._limit

    def count(self, label: str, more: int) -> None:
        """Count so many who were held back."""
        if more:
            self.held[label] = self.held.get(label, 0) + more

    def take(self, places: Sequence[int], owners: Sequence[int], vectors: Callable[[], Matrix]) -> bool:
        """Walk the candidates at `places`, who come next, with `vectors()`; tell whether an owner reached the cap."""
        self._owner_of.update(zip(places, owners, strict=True))
        before = len(self.capped)
        near: Mapping[int, list[tuple[int, float]]] = {}
        block = None
        if self._copies is not None:
            # In double precision, so that the same pair is a copy or not, whatever stands beside it.
            block = vectors().astype(np.float64)
            near = self._near(self._copies, places, block)
        for row, (place, owner) in enumerate(zip(places, owners, strict=True)):
            if self.full:
                break
            label = self.last_cap = self._forbidden(place, owner, near.get(place, ()))
            if label is not None:
                self.count(label, 1)
                continue
            self._rank[place] = len(self.shown)
            self.shown.append(place)
            owned = self._owned[owner] = self._owned.get(owner, 0) + 1
            if owned == self._most and owner != UNKNOWN:
                self.capped.append(owner)
            if block is not None:
                self._vectors.append(block[row])
        return len(self.capped) > before

    def _near(
        self, copies: Copies, places: Sequence[int], block: NDArray[np.float64]
    ) -> dict[int, list[tuple[int, float]]]:
        """Return for each place of the block the earlier ones that it may belong with, and how near they are."""
        before, shown = len(self.shown), [*self.shown, *places]
        cosines = block @ np.concatenate([np.array(self._vectors).reshape(-1, block.shape[1]), block]).T
        found: dict[int, list[tuple[int, float]]] = {}
        for row, column in zip(*(axis.tolist() for axis in np.nonzero(cosines >= copies.clone)), strict=True):
            place, other = places[row], shown[column]
            if column < before + row and (copies.of_others or self._same_owner(place, other)):
                found.setdefault(place, []).append((other, float(cosines[row, column])))
        return found

    def _same_owner(self, place: int, other: int) -> bool:
        return self._owner_of[place] == self._owner_of[other] != UNKNOWN

    def _forbidden(self, place: int, owner: int, near: Sequence[tuple[int, float]]) -> str | None:
        """Return the cap that forbids this candidate, or None; note whom it belongs with."""
        if owner in self.capped:
            return PER_ORGANISATION
        if self._copies is None:
            return None
        # What was held back is nobody's neighbour.
        close = [(other, cosine) for other, cosine in near if other in self._rank]
        same = [other for other, cosine in close if cosine >= self._copies.near_duplicate]
        members = {member for other, _ in close for member in self._groups[other]}
        if same or len(members) >= self._copies.most:
            best = min(same or [other for other, _ in close], key=self._rank.__getitem__)
            listed = self.similar.setdefault(best, [])
            if len(listed) < MAX_SIMILAR:
                listed.append(place)
            return NEAR_DUPLICATE
        group = [*sorted(members), place]
        for member in group:
            self._groups[member] = group
        return None
