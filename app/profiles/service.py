"""Create, change and delete profiles.

Two steps, so that the encoder never runs inside a transaction: `prepare` reads, resolves and embeds; `store` writes
row, codes, vectors and change in one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pydantic import ValidationError

from app.db.base import public_id
from app.errors import Conflict, FieldError, InvalidInput, NotFound, PreconditionFailed
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.kinds import ProfileKind
from app.matching.types import Passages
from app.organisations.schemas import OrganisationBrief
from app.profiles.composition import ProgrammeFacts, content_hash, parts, trainee_text
from app.profiles.repository import Owner, ProfileFilter, ProfileRepository
from app.profiles.schemas import (
    OWNERS,
    PROFILE_CREATE,
    SCHEMAS,
    TRANSITIONS,
    ProfileAnswer,
    ProfileFields,
    ProfilePage,
    ProfileState,
    TraineeCreate,
)
from app.profiles.tables import Profile
from app.taxonomy.languages import detect_language
from app.wall import safe_errors

FIXED = ("kind", "organisation", "ref")
COLUMNS = (
    "state", "valid_from", "valid_until", "nuts_code", "nuts_version", "nace_codes", "nace_revision", "ecosystems",
    "languages", "source_url", "illustrative", "eqf_level", "starts_on", "ends_on", "places",
)  # fmt: skip
"""Fields that have a column of the same name; those that a kind lacks are null."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A profile ready to be stored; `vectors` is None when the stored ones still hold."""

    values: Mapping[str, Any]
    codes: tuple[tuple[str, str], ...]
    content: Parts
    vectors: Passages | None
    pk: int | None = None
    version: int = 0
    dependants: tuple["Prepared", ...] = ()
    programme: tuple[int, int] | None = None
    """Key and version of the training offer that a trainee's text was made of."""

    @property
    def new(self) -> bool:
        """Whether the profile is not stored yet."""
        return self.pk is None


def programme_facts(offer: Profile) -> ProgrammeFacts:
    """Return what of a training offer counts for its trainees."""
    return ProgrammeFacts(
        offer.title,
        offer.language,
        offer.details.get("learning_outcomes", ()),
        offer.details.get("skills", ()),
        offer.eqf_level,
    )


def answer(profile: Profile, *, today: date | None = None) -> ProfileAnswer:
    """Return the profile as JSON shows it, with the fields of its kind."""
    day = today or date.today()  # noqa: DTZ011 - validity ends by the local calendar
    schema = SCHEMAS[ProfileKind(profile.kind)]
    plain = {name: getattr(profile, name) for name in ProfileAnswer.model_fields if hasattr(profile, name)}
    own = {name: profile.details.get(name) for name in schema.details}
    own |= {name: getattr(profile, name) for name in COLUMNS if name in schema.model_fields}
    if profile.kind == ProfileKind.TRAINEE:
        own["programme"] = profile.programme.id if profile.programme else None
    in_dates = (profile.valid_from is None or profile.valid_from <= day) and (
        profile.valid_until is None or profile.valid_until >= day
    )
    return ProfileAnswer(
        **{
            **plain,
            **own,
            "organisation": OrganisationBrief.model_validate(profile.organisation),
            "eligible_today": profile.state == ProfileState.PUBLISHED and in_dates and bool(profile.text),
        }
    )


def as_input(profile: Profile) -> dict[str, Any]:
    """Return the profile as one would post it again: the round trip of export and import."""
    schema = SCHEMAS[ProfileKind(profile.kind)]
    fields: dict[str, Any] = {
        "kind": profile.kind,
        "organisation": profile.organisation.ref or profile.organisation.id,
    }
    for name in schema.model_fields:
        if name in schema.details:
            fields[name] = profile.details.get(name)
        elif name == "programme":
            fields[name] = (profile.programme.ref or profile.programme.id) if profile.programme else None
        elif name not in fields:
            value = getattr(profile, name)
            fields[name] = value.isoformat() if isinstance(value, date) else value
    if profile.language_detected:
        fields["language"] = None
    outcomes = profile.details.get("learning_outcomes")
    if outcomes and profile.text == "\n".join(outcomes):
        fields["text"] = None
    return fields


class ProfileService:
    """Profiles, seen through one read session."""

    def __init__(self, read: ProfileRepository, embedder: Embedder) -> None:
        self._read = read
        self._embedder = embedder

    def get(self, id_: str) -> Profile:
        """Return the profile; raises `NotFound`."""
        found = self._read.get(id_)
        if found is None:
            raise NotFound
        return found

    def page(self, where: ProfileFilter, *, limit: int, cursor: str | None) -> ProfilePage:
        """Return one page of profiles."""
        rows, following = self._read.page(where, limit=limit, cursor=cursor)
        return ProfilePage(items=[answer(row) for row in rows], next=following)

    def prepare(self, items: Sequence[ProfileFields], *, update: bool = False) -> list[Prepared | list[FieldError]]:
        """Resolve, check and embed `items` in one batch; each gives a `Prepared` or the list of what is wrong.

        With `update`, an item whose ref is already known to its organisation becomes a new version of that profile.
        """
        owners = self._read.owners([item.organisation for item in items])
        known = self._existing(items, owners) if update else {}
        programmes = self._programmes(items, owners)
        drafts: list[Prepared | list[FieldError]] = []
        for position, item in enumerate(items):
            owner = owners.get(item.organisation)
            errors = _owner_errors(item, owner)
            existing = known.get(position)
            programme = None
            if isinstance(item, TraineeCreate) and item.programme is not None and owner is not None:
                programme = programmes.get((owner.pk, item.programme))
                if programme is None:
                    errors.append(
                        FieldError(field="programme", reason="no training offer of this school has this id or ref")
                    )
            if existing is not None and item.state not in (
                existing.state,
                *TRANSITIONS[ProfileState(existing.state)],
            ):
                errors.append(FieldError(field="state", reason=f"cannot follow {existing.state}"))
            if errors or owner is None:
                drafts.append(errors)
            else:
                drafts.append(_draft(item, owner, programme, existing))
        return self._embed(drafts)

    def prepare_patch(self, id_: str, changes: Mapping[str, Any], *, version: tuple[str, int]) -> Prepared:
        """Prepare a JSON merge patch of `version`, an id and a number.

        Raises `NotFound`, `PreconditionFailed` when the stored version is another, `InvalidInput`.
        """
        profile = self._at(id_, version)
        for name in FIXED:
            if name in changes:
                raise InvalidInput.at(f"body.{name}", "cannot be changed")
        if changes.get("state", profile.state) is None:
            raise InvalidInput.at("body.state", "must be given: its default would publish the profile")
        merged = {**as_input(profile), **changes}
        merged = {name: value for name, value in merged.items() if value is not None}
        try:
            item: ProfileFields = PROFILE_CREATE.validate_python(merged)
        except ValidationError as error:
            listed = safe_errors(error.errors(), prefix=("body",))
            for entry in listed:
                entry["field"] = entry["field"].replace(f"body.{profile.kind}.", "body.")
            raise InvalidInput(errors=listed) from None
        if item.state not in (profile.state, *TRANSITIONS[ProfileState(profile.state)]):
            raise InvalidInput.at("body.state", f"cannot follow {profile.state}")
        owner = Owner(profile.organisation.pk, profile.organisation.id, profile.organisation.kind)
        programme = None
        if isinstance(item, TraineeCreate) and item.programme is not None:
            programme = self._read.programmes([(owner.pk, item.programme)]).get((owner.pk, item.programme))
            if programme is None:
                raise InvalidInput.at("body.programme", "no training offer of this school has this id or ref")
        prepared = self._embed([_draft(item, owner, programme, profile)])[0]
        if isinstance(prepared, list):
            raise InvalidInput(errors=prepared)
        return prepared

    def delete(self, write: ProfileRepository, id_: str, *, version: tuple[str, int]) -> None:
        """Delete that version in the running transaction.

        Raises as `prepare_patch`, and `Conflict` while trainees follow the programme.
        """
        profile = self._at(id_, version)
        write.delete(profile.pk, profile.version)

    def _at(self, id_: str, version: tuple[str, int]) -> Profile:
        profile = self.get(id_)
        if (profile.id, profile.version) != version:
            raise PreconditionFailed
        return profile

    def store(self, write: ProfileRepository, prepared: Sequence[Prepared]) -> list[int]:
        """Write what was prepared in the running transaction; return the keys in order.

        Raises `Conflict` when a ref was taken or a programme and its trainees changed meanwhile, `PreconditionFailed`
        when a profile changed meanwhile.
        """
        self._check_programmes(write, prepared)
        fresh = [item for item in prepared if item.new]
        new_pks = write.insert([{**item.values, "version": 1} for item in fresh])
        pk_of = dict(zip((id(item) for item in fresh), new_pks, strict=True))
        for item in prepared:
            if item.pk is not None:
                write.update(item.pk, item.version, item.values)
                pk_of[id(item)] = item.pk
        for group, new in ((fresh, True), ([item for item in prepared if not item.new], False)):
            if group:
                write.write_codes({pk_of[id(item)]: item.codes for item in group}, new=new)
            changed = {
                pk_of[id(item)]: (content_hash(item.content), item.vectors) if item.vectors else None
                for item in group
                if item.vectors is not None or item.content.empty
            }
            if changed:
                write.write_vectors(self._embedder.model_key, changed, new=new)
        pks = [pk_of[id(item)] for item in prepared]
        write.note_changes(pks)
        dependants = [dependant for item in prepared for dependant in item.dependants]
        if dependants:
            self.store(write, dependants)
        return pks

    @staticmethod
    def _check_programmes(write: ProfileRepository, prepared: Sequence[Prepared]) -> None:
        """Raise `Conflict` unless trainees are written from what their programmes are, and these know them all."""
        followed = {item.programme[0]: item.programme[1] for item in prepared if item.programme is not None}
        offers = {
            item.pk: {dependant.pk for dependant in item.dependants}
            for item in prepared
            if item.pk is not None and item.values["kind"] == ProfileKind.TRAINING_OFFER
        }
        if (followed and write.versions(list(followed)) != followed) or (
            offers and write.followers(list(offers)) != {pk: own for pk, own in offers.items() if own}
        ):
            raise Conflict("the programme or its trainees changed meanwhile: try again")

    def _existing(self, items: Sequence[ProfileFields], owners: Mapping[str, Owner]) -> dict[int, Profile]:
        """Return, by position, the stored profile that an item is a new version of."""
        keys: dict[str, list[tuple[int, tuple[int, str]]]] = {}
        for position, item in enumerate(items):
            ref, owner = getattr(item, "ref", None), owners.get(item.organisation)
            if ref is not None and owner is not None:
                keys.setdefault(str(getattr(item, "kind")), []).append((position, (owner.pk, ref)))  # noqa: B009
        found: dict[int, Profile] = {}
        for kind, placed in keys.items():
            stored = self._read.existing(kind, [key for _, key in placed])
            found.update({position: stored[key] for position, key in placed if key in stored})
        return found

    def _programmes(
        self, items: Sequence[ProfileFields], owners: Mapping[str, Owner]
    ) -> dict[tuple[int, str], Profile]:
        keys = [
            (owners[item.organisation].pk, item.programme)
            for item in items
            if isinstance(item, TraineeCreate) and item.programme is not None and item.organisation in owners
        ]
        return self._read.programmes(keys) if keys else {}

    def _embed(self, drafts: list[Prepared | list[FieldError]]) -> list[Prepared | list[FieldError]]:
        """Add to each draft its trainees that change with it, and the vectors that are not stored yet."""
        ready = [self._with_dependants(draft) if isinstance(draft, Prepared) else draft for draft in drafts]
        everything = [draft for draft in ready if isinstance(draft, Prepared)]
        everything += [dependant for draft in everything for dependant in draft.dependants]
        stored = self._read.hashes([d.pk for d in everything if d.pk is not None], self._embedder.model_key)
        wanted = [d for d in everything if not d.content.empty and stored.get(d.pk or -1) != content_hash(d.content)]
        vectors = dict(
            zip((id(d) for d in wanted), embed_parts(self._embedder, [d.content for d in wanted]), strict=True)
        )

        def finished(draft: Prepared) -> Prepared:
            dependants = tuple(finished(dependant) for dependant in draft.dependants)
            return replace(draft, vectors=vectors.get(id(draft)), dependants=dependants)

        return [finished(draft) if isinstance(draft, Prepared) else draft for draft in ready]

    def _with_dependants(self, draft: Prepared) -> Prepared:
        if draft.pk is None or draft.values["kind"] != ProfileKind.TRAINING_OFFER:
            return draft
        values = draft.values
        facts = ProgrammeFacts(
            values["title"],
            values["language"],
            values["details"].get("learning_outcomes", ()),
            values["details"].get("skills", ()),
            values["eqf_level"],
        )
        trainees = tuple(_redraft(trainee, facts) for trainee in self._read.trainees_of(draft.pk))
        return replace(draft, dependants=trainees)


def _owner_errors(item: ProfileFields, owner: Owner | None) -> list[FieldError]:
    if owner is None:
        return [FieldError(field="organisation", reason="no organisation has this id or ref")]
    kind = ProfileKind(getattr(item, "kind"))  # noqa: B009 - every subclass has it
    if owner.kind not in OWNERS[kind]:
        allowed = " or ".join(sorted(OWNERS[kind]))
        return [FieldError(field="organisation", reason=f"a {kind} belongs to a {allowed}, not to a {owner.kind}")]
    return []


def _draft(item: ProfileFields, owner: Owner, programme: Profile | None, existing: Profile | None) -> Prepared:
    """Return the columns and codes of an item, not yet embedded."""
    plain = item.model_dump()
    kind = ProfileKind(plain["kind"])
    details = {name: value for name, value in item.model_dump(mode="json", include=set(item.details)).items() if value}
    if plain.get("cost_eur") == 0:
        details["cost_eur"] = 0
    values: dict[str, Any] = {name: plain.get(name) for name in COLUMNS}
    values["state"] = str(plain["state"])
    values["ecosystems"] = [str(ecosystem) for ecosystem in plain["ecosystems"]]
    values |= {
        "kind": kind.value,
        "ref": plain["ref"],
        "organisation_pk": owner.pk,
        "programme_pk": programme.pk if programme else None,
        "details": details,
    }
    if kind is ProfileKind.TRAINEE:
        facts = programme_facts(programme) if programme else None
        text = trainee_text(facts, details.get("skills", ()))
        values |= {"title": plain["ref"], "text": text, "language": None, "language_detected": False}
    else:
        text = plain["text"] or "\n".join(details.get("learning_outcomes", ()))
        language, detected = plain["language"], False
        if language is None:
            found = detect_language(f"{plain['title']}\n{text}")
            language, detected = (found[0] if found else None), found is not None
        values |= {"title": plain["title"], "text": text, "language": language, "language_detected": detected}
    if existing is None:
        values["id"] = public_id("profile", owner.id, kind.value, plain["ref"])
    codes = [("ecosystem", code) for code in values["ecosystems"]]
    codes += [("nace", code) for code in values["nace_codes"]]
    codes += [("language", code) for code in {*values["languages"], values["language"]} if code]
    codes += [("skill", code) for code in details.get("skills", ())]
    return Prepared(
        values,
        tuple(sorted(set(codes))),
        parts(kind, values["title"], values["text"], details),
        None,
        existing.pk if existing else None,
        existing.version if existing else 0,
        programme=(programme.pk, programme.version) if programme else None,
    )


def _redraft(trainee: Profile, programme: ProgrammeFacts) -> Prepared:
    """Return a trainee whose programme changed: only the lines that it is known by change with it."""
    text = trainee_text(programme, trainee.details.get("skills", ()))
    codes = [("language", code) for code in trainee.languages]
    codes += [("skill", code) for code in trainee.details.get("skills", ())]
    codes += [("ecosystem", code) for code in trainee.ecosystems] + [("nace", code) for code in trainee.nace_codes]
    return Prepared(
        {"text": text, "kind": trainee.kind},
        tuple(sorted(set(codes))),
        parts(trainee.kind, trainee.title, text, trainee.details),
        None,
        trainee.pk,
        trainee.version,
    )
