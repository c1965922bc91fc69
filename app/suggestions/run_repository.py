"""Keeps runs, and reads back who was shown to whom. Every question comes here: on a connection, without a session."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, and_, bindparam, exists, func, select

from app.db.base import now
from app.db.changes import PROFILE, IndexChange
from app.db.prepared import Prepared, insert_into
from app.matching.fairness import EXPOSURE_DEPTH
from app.profiles.tables import Profile
from app.suggestions.tables import Suggestion, SuggestionRun

_P, _R, _S = Profile.__table__.c, SuggestionRun.__table__.c, Suggestion.__table__.c

_ADD_RUN = insert_into(SuggestionRun, "id", "match_kind", "side", "profile_pk", "key_id", "head", "created_at")
_ADD_SUGGESTION = insert_into(Suggestion, "run_pk", "rank", "profile_pk", "item")


class RunRepository:
    """Keeps runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, run: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Keep a run and what it suggested: rows of their tables, less the keys and the moment."""
        run_pk = _ADD_RUN.insert(self._connection, {**run, "created_at": now()})
        if suggestions:
            _ADD_SUGGESTION.insert_all(self._connection, [{**row, "run_pk": run_pk} for row in suggestions])

    def add_rest(self, run: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Keep of a run what is about profiles that are still there; nothing when the one that asked is gone."""
        named = {row["profile_pk"] for row in (run, *suggestions)}
        there = {None, *self._connection.scalars(select(_P.pk).where(_P.pk.in_(named - {None})))}
        if run["profile_pk"] in there:
            self.add(run, [suggestion for suggestion in suggestions if suggestion["profile_pk"] in there])


class KeptRun(NamedTuple):
    """A run that was kept: its number and id, who asked, and the first that it showed; a text's asker is None."""

    pk: int
    id: str
    match_kind: str
    side: str
    asker_pk: int | None
    shown: tuple[int, ...]


_FIRST_SHOWN = and_(_S.run_pk == _R.pk, _S.rank <= EXPOSURE_DEPTH, _R.profile_pk.is_not(None))
_KEPT = select(_R.pk, _R.id, _R.match_kind, _R.side, _R.profile_pk, _S.profile_pk).order_by(_R.pk, _S.rank)
_RUNS_SINCE = Prepared(
    _KEPT.outerjoin_from(
        SuggestionRun.__table__, Suggestion.__table__, and_(_FIRST_SHOWN, _R.pk > bindparam("last"))
    ).where(_R.pk >= bindparam("last"))
)
_RUNS_OF = Prepared(
    _KEPT.outerjoin_from(SuggestionRun.__table__, Suggestion.__table__, _FIRST_SHOWN).where(
        _R.pk.in_(select(func.json_each(bindparam("pks")).table_valued("value").c.value))
    )
)
_PLACE = func.row_number().over(partition_by=(_R.match_kind, _R.side), order_by=func.max(_R.pk).desc())
_LATEST_LISTS = (
    select(func.max(_R.pk).label("pk"), _PLACE.label("place"))
    .where(_R.profile_pk.is_not(None), _R.pk > select(func.max(_R.pk)).scalar_subquery() - bindparam("horizon"))
    .group_by(_R.match_kind, _R.side, _R.profile_pk)
    .subquery()
)
_LATEST = Prepared(
    select(_LATEST_LISTS.c.pk)
    .where(_LATEST_LISTS.c.place <= bindparam("askers"))
    .union(select(func.max(_R.pk)).having(func.max(_R.pk).is_not(None)))
)
_CHANGES = IndexChange.__table__.c
_DELETED_SINCE = Prepared(
    select(_CHANGES.entity_pk)
    .where(_CHANGES.seq > bindparam("seq"), _CHANGES.entity_kind == PROFILE)
    .where(~exists().where(_P.pk == _CHANGES.entity_pk))
)


class ExposureRepository:
    """Who was shown to whom."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def since(self, last: KeptRun | None) -> list[KeptRun] | None:
        """Return the runs after `last`, in order; None when there is no such run, or no longer."""
        if last is None:
            return None
        found = self._kept(_RUNS_SINCE, {"last": last.pk})
        return found[1:] if found and found[0][:2] == last[:2] else None

    def latest(self, askers: int, horizon: int) -> list[KeptRun]:
        """Return, in order, the latest run of each of the last `askers` profiles of each match kind and side.

        Of the last `horizon` runs only; and the very last run, whoever asked.
        """
        pks = sorted(pk for (pk,) in _LATEST.all(self._connection, {"askers": askers, "horizon": horizon}))
        return self._kept(_RUNS_OF, {"pks": orjson.dumps(pks).decode()})

    def deleted_since(self, seq: int) -> list[int]:
        """Return the profiles that changed after `seq` and are gone."""
        return [pk for (pk,) in _DELETED_SINCE.all(self._connection, {"seq": seq})]

    def _kept(self, statement: Prepared, values: Mapping[str, Any]) -> list[KeptRun]:
        runs: dict[int, tuple[Any, ...]] = {}
        shown: dict[int, list[int]] = {}
        for *run, pk in statement.all(self._connection, values):
            runs[run[0]] = tuple(run)
            if pk is not None:
                shown.setdefault(run[0], []).append(pk)
        return [KeptRun._make((*run, tuple(shown.get(pk, ())))) for pk, run in runs.items()]
