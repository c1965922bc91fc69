"""Create, change and delete profiles.

Two steps, so that the encoder never runs inside a transaction: `prepare` reads, resolves and embeds; `store` writes
row, codes, vectors and change in one transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from pydantic import ValidationError

from app.errors import Conflict, FieldError, InvalidInput, NotFound, PreconditionFailed
from app.matching.documents import embed_parts
from app.matching.embedder import Embedder
from app.matching.kinds import ProfileKind
from app.organisations.schemas import OrganisationBrief
from app.profiles.composition import ProgrammeFacts, content_hash, found_in
from app.profiles.drafts import COLUMNS, Prepared, draft, owner_errors, redraft, skill_errors
from app.profiles.repository import Owner, ProfileFilter, ProfileRepository
from app.profiles.schemas import (
    PROFILE_CREATE,
    SCHEMAS,
    TRANSITIONS,
    FoundSkillAnswer,
    ProfileAnswer,
    ProfileFields,
    ProfilePage,
    ProfileState,
    TraineeCreate,
)
from app.profiles.skill_repository import ProfileSkillRepository
from app.profiles.tables import Profile
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import Found, SkillFinder, SkillNames
from app.wall import safe_errors

FIXED = ("kind", "organisation", "ref")


def answer(
    profile: Profile, found_skills: Sequence[FoundSkillAnswer] = (), *, today: date | None = None
) -> ProfileAnswer:
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
            "found_skills": list(found_skills),
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


def found_skills(read: ProfileRepository, profiles: Sequence[Profile]) -> dict[int, list[FoundSkillAnswer]]:
    """Return the skills that were found in those profiles, with their evidence and labels, by key."""
    rows = ProfileSkillRepository(read.session).found([profile.pk for profile in profiles])
    names = SkillNames(CatalogueRepository(read.session), {row.uri for row in rows})
    languages = {profile.pk: profile.language or "en" for profile in profiles}
    found: dict[int, list[FoundSkillAnswer]] = {}
    for row in rows:
        shown = FoundSkillAnswer.model_validate(row)
        shown.label = names.label(row.uri, languages[row.profile_pk])
        found.setdefault(row.profile_pk, []).append(shown)
    return found


class ProfileService:
    """Profiles, seen through one read session; a `finder` that is shared need not load the skill catalogue anew."""

    def __init__(self, read: ProfileRepository, embedder: Embedder, finder: SkillFinder | None = None) -> None:
        self._read = read
        self._catalogue = CatalogueRepository(read.session)
        self._embedder = embedder
        self._finder = finder or SkillFinder(embedder)

    def get(self, id_: str) -> Profile:
        """Return the profile; raises `NotFound`."""
        found = self._read.get(id_)
        if found is None:
            raise NotFound
        return found

    def read(self, id_: str) -> ProfileAnswer:
        """Return the profile as JSON shows it; raises `NotFound`."""
        found = self.get(id_)
        return answer(found, found_skills(self._read, [found]).get(found.pk, ()))

    def page(self, where: ProfileFilter, *, limit: int, cursor: str | None) -> ProfilePage:
        """Return one page of profiles."""
        rows, following = self._read.page(where, limit=limit, cursor=cursor)
        found = found_skills(self._read, rows)
        return ProfilePage(items=[answer(row, found.get(row.pk, ())) for row in rows], next=following)

    def prepare(self, items: Sequence[ProfileFields], *, update: bool = False) -> list[Prepared | list[FieldError]]:
        """Resolve, check and embed `items` in one batch; each gives a `Prepared` or the list of what is wrong.

        With `update`, an item whose ref is already known to its organisation becomes a new version of that profile.
        """
        owners = self._read.owners([item.organisation for item in items])
        known = self._existing(items, owners) if update else {}
        programmes = self._programmes(items, owners)
        names = SkillNames(self._catalogue, {skill for item in items for skill in getattr(item, "skills", ())})
        drafts: list[Prepared | list[FieldError]] = []
        for position, item in enumerate(items):
            owner = owners.get(item.organisation)
            errors = owner_errors(item, owner) + skill_errors(item, names)
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
                drafts.append(draft(item, owner, programme, existing, names))
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
        names = SkillNames(self._catalogue, getattr(item, "skills", ()))
        if wrong := skill_errors(item, names):
            raise InvalidInput(errors=[{**error, "field": f"body.{error['field']}"} for error in wrong])
        owner = Owner(profile.organisation.pk, profile.organisation.id, profile.organisation.kind)
        programme = self._programme(item, owner)
        prepared = self._embed([draft(item, owner, programme, profile, names)])[0]
        if isinstance(prepared, list):
            raise InvalidInput(errors=prepared)
        return prepared

    def _programme(self, item: ProfileFields, owner: Owner) -> Profile | None:
        if not isinstance(item, TraineeCreate) or item.programme is None:
            return None
        found = self._read.programmes([(owner.pk, item.programme)]).get((owner.pk, item.programme))
        if found is None:
            raise InvalidInput.at("body.programme", "no training offer of this school has this id or ref")
        return found

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
            found = {pk_of[id(item)]: item.skills for item in group if item.skills is not None}
            ProfileSkillRepository(write.session).write(found, new=new)
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
        """Add to each draft its trainees that change with it, and the vectors and skills that are not stored yet."""
        ready = [self._with_dependants(one) if isinstance(one, Prepared) else one for one in drafts]
        everything = [one for one in ready if isinstance(one, Prepared)]
        everything += [dependant for one in everything for dependant in one.dependants]
        stored = self._read.hashes([d.pk for d in everything if d.pk is not None], self._embedder.model_key)
        same = {id(d) for d in everything if d.pk is not None and stored.get(d.pk) == content_hash(d.content)}
        wanted = [d for d in everything if not d.content.empty and id(d) not in same]
        vectors = dict(
            zip((id(d) for d in wanted), embed_parts(self._embedder, [d.content for d in wanted]), strict=True)
        )
        skills = self._find(everything, same)

        def finished(one: Prepared) -> Prepared:
            dependants = tuple(finished(dependant) for dependant in one.dependants)
            return replace(one, vectors=vectors.get(id(one)), skills=skills.get(id(one)), dependants=dependants)

        return [finished(one) if isinstance(one, Prepared) else one for one in ready]

    def _find(self, drafts: Sequence[Prepared], same: Collection[int]) -> dict[int, Found]:
        """Return the skills of each draft whose text, or the catalogue, is another than when its were found."""
        stamp = self._finder.stamp(self._catalogue)
        if stamp is None:
            return {}
        readings = ProfileSkillRepository(self._read.session).readings([d.pk for d in drafts if d.pk is not None])
        wanted = [
            d
            for d in drafts
            if d.values["kind"] != ProfileKind.TRAINEE
            and not (id(d) in same and d.pk is not None and readings.get(d.pk) == stamp)
        ]
        texts = [found_in(d.values["kind"], d.values["title"], d.values["text"], d.values["details"]) for d in wanted]
        found = self._finder.find(self._catalogue, texts) or []
        return dict(zip((id(d) for d in wanted), found, strict=True))

    def _with_dependants(self, offer: Prepared) -> Prepared:
        if offer.pk is None or offer.values["kind"] != ProfileKind.TRAINING_OFFER:
            return offer
        values = offer.values
        facts = ProgrammeFacts(
            values["title"],
            values["language"],
            values["details"].get("learning_outcomes", ()),
            values["details"].get("skills", ()),
            values["eqf_level"],
        )
        trainees = self._read.trainees_of(offer.pk)
        declared = {skill for trainee in trainees for skill in trainee.details.get("skills", ())}
        names = SkillNames(self._catalogue, declared)
        return replace(offer, dependants=tuple(redraft(trainee, facts, names) for trainee in trainees))
