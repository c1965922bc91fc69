"""Who is in too many lists: what `ExposurePolicy` needs to know of the runs that were kept.

Counted are the lists of profiles that asked, not of texts: a text's author has no identity, and whoever sends many
would push others down. Of each profile its latest list counts, of the last `MAX_ASKERS` profiles by match kind and
side, within the last `HORIZON` runs. That is a function of the table alone, so it is the same after a restart; here
it is kept up to date by the numbers of the runs, with one statement per question.

What a profile asked itself does not count in its own lists: asking again has the same answer.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from app.db.changes import Position
from app.db.session import Database
from app.matching.kinds import MatchKind
from app.matching.types import Side
from app.suggestions.run_repository import ExposureRepository, KeptRun

MAX_ASKERS = 200
HORIZON = 50_000


class Exposure(NamedTuple):
    """The keys of what is shown often, and the number of the latest run that this was counted from, 0 for none."""

    often_shown: frozenset[int]
    seq: int


class _Lists:
    """The latest list of each asker of one match kind and side, oldest first."""

    def __init__(self) -> None:
        self._lists: OrderedDict[int, KeptRun] = OrderedDict()
        self._counts: Counter[int] = Counter()

    def __contains__(self, asker_pk: int) -> bool:
        return asker_pk in self._lists

    def add(self, asker_pk: int, run: KeptRun) -> None:
        """Put the asker's list in the place of their former one."""
        self._forget(asker_pk)
        self._lists[asker_pk] = run
        self._counts.update(run.shown)
        if len(self._lists) > MAX_ASKERS:
            self._forget(next(iter(self._lists)))

    def expire(self, pk: int) -> None:
        """Forget the lists of runs up to `pk`."""
        while self._lists and next(iter(self._lists.values())).pk <= pk:
            self._forget(next(iter(self._lists)))

    def seen_by(self, asker_pk: int | None, kind: MatchKind, side: Side) -> Exposure:
        """Return what is shown often to others than this asker."""
        own = None if asker_pk is None else self._lists.get(asker_pk)
        policy = kind.fairness(side.other).exposure
        askers = len(self._lists) - (own is not None)
        seq = next((run.pk for run in reversed(self._lists.values()) if run is not own), 0)
        if askers < policy.least_askers:
            return Exposure(frozenset(), seq)
        mine, most = (() if own is None else own.shown), policy.share * askers
        often = {pk for pk, count in self._counts.items() if count > most}
        return Exposure(frozenset(pk for pk in often if self._counts[pk] - (pk in mine) > most), seq)

    def _forget(self, asker_pk: int) -> None:
        run = self._lists.pop(asker_pk, None)
        if run is not None:
            self._counts.subtract(run.shown)
            for pk in run.shown:
                if not self._counts[pk]:
                    del self._counts[pk]


class ExposureCounts:
    """The lists of all match kinds and sides, from one database; any thread may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._lists: dict[tuple[str, str], _Lists] = {}
        self._last: KeptRun | None = None
        self._seq = 0

    def seen_by(self, asker_pk: int | None, kind: MatchKind, side: Side, seen: Position) -> Exposure:
        """Return what is shown often to others than this asker, who asks from `side`, by the runs kept until now.

        `seen` is the newest change that the asker's session knows: who was deleted before it counts no more.
        """
        with self._lock:
            self._catch_up(seen)
            lists = self._lists.get((kind.name, side.value))
            return Exposure(frozenset(), 0) if lists is None else lists.seen_by(asker_pk, kind, side)

    def _catch_up(self, seen: Position) -> None:
        with self._database.look() as connection:
            repository = ExposureRepository(connection)
            runs = repository.since(self._last)
            # The run that was the last is no longer there: it was deleted, and its number may be another's by now.
            stale = runs is None or (seen.seq > self._seq and self._knows(repository.deleted_since(self._seq)))
            if stale:
                self._lists.clear()
                runs = repository.latest(MAX_ASKERS, HORIZON)
            self._seq = max(self._seq, seen.seq)
            for run in runs or ():
                self._last = run
                if run.asker_pk is not None:
                    self._lists.setdefault((run.match_kind, run.side), _Lists()).add(run.asker_pk, run)
            if runs and self._last is not None:
                for lists in self._lists.values():
                    lists.expire(self._last.pk - HORIZON)

    def _knows(self, profile_pks: Iterable[int]) -> bool:
        return any(pk in lists for pk in profile_pks for lists in self._lists.values())
