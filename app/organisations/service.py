"""Create, read, change and delete organisations."""

from datetime import date
from typing import Any

from pydantic import ValidationError

from app.db.base import public_id
from app.errors import InvalidInput, NotFound, PreconditionFailed
from app.organisations.repository import OrganisationFilter, OrganisationRepository
from app.organisations.schemas import (
    FigureAnswer,
    FigureInput,
    LabelAnswer,
    MembershipAnswer,
    OrganisationAnswer,
    OrganisationBrief,
    OrganisationCreate,
    OrganisationPage,
)
from app.organisations.tables import Organisation
from app.taxonomy.figures import parse_figure
from app.wall import safe_errors

FIXED = ("kind", "ref")
_RELATED = ("memberships", "labels", "figures")


def answer(organisation: Organisation, *, today: date | None = None) -> OrganisationAnswer:
    """Return the organisation as JSON shows it."""
    day = today or date.today()  # noqa: DTZ011 - labels expire by the local calendar
    plain = {name: getattr(organisation, name) for name in OrganisationAnswer.model_fields if name not in _RELATED}
    return OrganisationAnswer(
        **plain,
        memberships=[
            MembershipAnswer(of=OrganisationBrief.model_validate(m.of), kind=m.kind) for m in organisation.memberships
        ],
        labels=[
            LabelAnswer(
                level=label.level,
                issuer=label.issuer,
                assessed_on=label.assessed_on,
                valid_until=label.valid_until,
                valid_today=label.assessed_on <= day <= label.valid_until,
            )
            for label in organisation.labels
        ],
        figures=[FigureAnswer(**figure) for figure in organisation.figures],
    )


def _figure(figure: FigureInput) -> dict[str, Any]:
    """Return a figure as stored: what the source wrote and what it means."""
    parsed = parse_figure(figure.as_written)
    stored = figure.model_dump(mode="json")
    stored["year"] = figure.year or parsed.year
    stored["unit"] = figure.unit or parsed.unit
    return {**stored, "value": parsed.value, "qualifier": parsed.qualifier}


class OrganisationService:
    """Organisations, within one transaction."""

    def __init__(self, repository: OrganisationRepository) -> None:
        self._repository = repository

    def get(self, id_or_ref: str) -> Organisation:
        """Return the organisation; raises `NotFound`."""
        found = self._repository.get(id_or_ref)
        if found is None:
            raise NotFound
        return found

    def page(self, where: OrganisationFilter, *, limit: int, cursor: str | None) -> OrganisationPage:
        """Return one page of organisations."""
        rows, following = self._repository.page(where, limit=limit, cursor=cursor)
        return OrganisationPage(items=[answer(row) for row in rows], next=following)

    def create(self, data: OrganisationCreate) -> Organisation:
        """Store a new organisation; raises `Conflict` when its ref is taken."""
        organisation = Organisation(id=public_id("organisation", data.ref), kind=data.kind.value, ref=data.ref)
        return self._store(organisation, data)

    def upsert(self, data: OrganisationCreate) -> tuple[Organisation, bool]:
        """Store `data`, over the organisation with the same ref if there is one; return it and whether it is new."""
        existing = self._repository.get(data.ref) if data.ref else None
        if existing is None:
            return self.create(data), True
        if existing.kind != data.kind:
            raise InvalidInput.at("kind", "the organisation with this ref is of another kind")
        return self._store(existing, data), False

    def patch(self, id_or_ref: str, changes: dict[str, Any], *, version: tuple[str, int]) -> Organisation:
        """Apply a JSON merge patch to `version`, an id and a number.

        Raises `NotFound`, `PreconditionFailed` when the stored version is another, `InvalidInput`.
        """
        organisation = self.get(id_or_ref)
        if (organisation.id, organisation.version) != version:
            raise PreconditionFailed
        for name in FIXED:
            if name in changes:
                raise InvalidInput.at(f"body.{name}", "cannot be changed")
        merged = {**self.as_input(organisation), **changes}
        merged = {name: value for name, value in merged.items() if value is not None}
        try:
            data = OrganisationCreate.model_validate(merged)
        except ValidationError as error:
            raise InvalidInput(errors=safe_errors(error.errors(), prefix=("body",))) from None
        return self._store(organisation, data)

    def delete(self, id_or_ref: str, *, version: tuple[str, int]) -> None:
        """Delete the organisation at that version; raises as `patch`, and `Conflict` while it has profiles."""
        organisation = self.get(id_or_ref)
        if (organisation.id, organisation.version) != version:
            raise PreconditionFailed
        self._repository.delete(organisation)

    def as_input(self, organisation: Organisation) -> dict[str, Any]:
        """Return the organisation as one would post it again: the round trip of export and import."""
        fields = {name: getattr(organisation, name) for name in OrganisationCreate.model_fields if name not in _RELATED}
        return {
            **fields,
            "memberships": [{"of": m.of.ref or m.of.id, "kind": m.kind} for m in organisation.memberships],
            "labels": [
                {
                    "level": label.level,
                    "issuer": label.issuer,
                    "assessed_on": label.assessed_on.isoformat(),
                    "valid_until": label.valid_until.isoformat(),
                }
                for label in organisation.labels
            ],
            "figures": [
                {name: figure.get(name) for name in FigureInput.model_fields} for figure in organisation.figures
            ],
        }

    def _store(self, organisation: Organisation, data: OrganisationCreate) -> Organisation:
        known = self._repository.pks(m.of for m in data.memberships)
        for position, membership in enumerate(data.memberships):
            if membership.of not in known:
                raise InvalidInput.at(f"memberships.{position}.of", "no organisation has this id or ref")
            if known[membership.of][0] == organisation.pk:
                raise InvalidInput.at(f"memberships.{position}.of", "an organisation is no member of itself")
        for name, value in data.model_dump(mode="json", exclude={*FIXED, *_RELATED}).items():
            setattr(organisation, name, value)
        organisation.figures = [_figure(figure) for figure in data.figures]
        self._repository.save(
            organisation,
            memberships=list(dict.fromkeys((known[m.of][0], m.kind.value) for m in data.memberships)),
            labels=[label.model_dump() for label in data.labels],
        )
        return self.get(organisation.id)
