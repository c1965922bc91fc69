"""The only place that reads and writes the organisations' tables."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.exc import StaleDataError

from app.db.changes import ORGANISATION, record_changes
from app.db.pages import keyset_page
from app.db.repository import Repository
from app.errors import Conflict, PreconditionFailed
from app.organisations.tables import Label, Membership, Organisation, OrganisationTag

LEVELS = ("bronze", "silver", "gold")


class OrganisationFilter(NamedTuple):
    """What a list may be narrowed by; None means no condition."""

    kind: str | None = None
    country: str | None = None
    nuts: str | None = None
    ecosystem: str | None = None
    language: str | None = None
    member_of: str | None = None
    label_min: str | None = None
    valid_on: date | None = None


def _whole(statement: Select[Any]) -> Select[Any]:
    return statement.options(
        selectinload(Organisation.labels), selectinload(Organisation.memberships).joinedload(Membership.of)
    )


class OrganisationRepository(Repository):
    """Organisations with their memberships, labels and codes."""

    def get(self, id_or_ref: str) -> Organisation | None:
        """Return the organisation with that id or ref, whole."""
        found: Organisation | None = self.session.scalars(
            _whole(select(Organisation)).where(or_(Organisation.id == id_or_ref, Organisation.ref == id_or_ref))
        ).one_or_none()
        return found

    def pks(self, ids_or_refs: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Return for each known id or ref its (pk, kind); unknown ones are absent."""
        wanted = list(dict.fromkeys(ids_or_refs))
        known: dict[str, tuple[int, str]] = {}
        for column in (Organisation.id, Organisation.ref):
            rows = self.session.execute(select(column, Organisation.pk, Organisation.kind).where(column.in_(wanted)))
            known.update({name: (pk, kind) for name, pk, kind in rows if name is not None})
        return known

    def page(
        self, where: OrganisationFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[Organisation], str | None]:
        """Return one page in order of name, and the next cursor."""
        statement = _whole(select(Organisation)).order_by(Organisation.name, Organisation.pk)
        if where.kind is not None:
            statement = statement.where(Organisation.kind == where.kind)
        if where.country is not None:
            statement = statement.where(Organisation.country == where.country)
        if where.nuts is not None:
            statement = statement.where(Organisation.nuts_code.startswith(where.nuts, autoescape=True))
        for scheme, code in (("ecosystem", where.ecosystem), ("language", where.language)):
            if code is not None:
                tagged = select(OrganisationTag.organisation_pk).where(
                    OrganisationTag.scheme == scheme, OrganisationTag.code == code
                )
                statement = statement.where(Organisation.pk.in_(tagged))
        if where.member_of is not None:
            of = select(Organisation.pk).where(
                or_(Organisation.id == where.member_of, Organisation.ref == where.member_of)
            )
            members = select(Membership.member_pk).where(Membership.of_pk.in_(of))
            statement = statement.where(Organisation.pk.in_(members))
        if where.label_min is not None:
            day = where.valid_on or date.today()  # noqa: DTZ011 - labels expire by the local calendar
            labelled = select(Label.organisation_pk).where(
                Label.level.in_(LEVELS[LEVELS.index(where.label_min) :]),
                Label.assessed_on <= day,
                Label.valid_until >= day,
            )
            statement = statement.where(Organisation.pk.in_(labelled))
        return keyset_page(self.session, statement, limit=limit, cursor=cursor)

    def save(
        self,
        organisation: Organisation,
        *,
        memberships: Sequence[tuple[int, str]],
        labels: Sequence[dict[str, Any]],
    ) -> None:
        """Write the organisation, new or changed, with all that belongs to it, and note the change.

        Raises `Conflict` when its ref is taken and `PreconditionFailed` when it changed meanwhile.
        """
        new = organisation.pk is None
        if new:
            organisation.memberships, organisation.labels = [], []
            self.session.add(organisation)
        else:
            # A new membership alone must give a new version, too.
            flag_modified(organisation, "name")
        try:
            with self.session.begin_nested():
                self.session.flush()
        except IntegrityError as error:
            raise Conflict("ref is already taken by another organisation") from error
        except StaleDataError as error:
            raise PreconditionFailed from error
        pk = organisation.pk
        for table, owner in ((Membership, Membership.member_pk), (Label, Label.organisation_pk)):
            self.session.execute(delete(table).where(owner == pk))
        self.session.execute(delete(OrganisationTag).where(OrganisationTag.organisation_pk == pk))
        if memberships:
            self.session.execute(
                insert(Membership), [{"member_pk": pk, "of_pk": of, "kind": kind} for of, kind in memberships]
            )
        if labels:
            self.session.execute(insert(Label), [{"organisation_pk": pk, **label} for label in labels])
        tags = [("ecosystem", code) for code in organisation.ecosystems]
        tags += [("language", code) for code in organisation.languages]
        tags += [("nace", code) for code in organisation.nace_codes]
        if tags:
            self.session.execute(
                insert(OrganisationTag),
                [{"organisation_pk": pk, "scheme": scheme, "code": code} for scheme, code in tags],
            )
        record_changes(self.session, ORGANISATION, [pk])
        self.session.expire(organisation, ["memberships", "labels"])

    def delete(self, organisation: Organisation) -> None:
        """Delete the organisation; raises `Conflict` while profiles belong to it."""
        try:
            with self.session.begin_nested():
                self.session.execute(delete(Organisation).where(Organisation.pk == organisation.pk))
        except IntegrityError as error:
            raise Conflict("profiles still belong to this organisation: delete them first") from error
        record_changes(self.session, ORGANISATION, [organisation.pk])
