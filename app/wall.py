"""The wall for input: the base model and the field types that every schema is built from.

What passes here is well-formed Unicode without control characters, finite numbers within 64 bits and no
unknown field. Long texts are kept exactly as sent (quotes point into them by character offset); single
lines are stripped and normalised to NFC.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_serializer
from pydantic_core import ErrorDetails

from app.errors import MAX_ERRORS, FieldError, field_path

MAX_TEXT = 20_000
"""Longest text, in characters; longer ones are refused, never cut."""

# Control characters but tab, line feed and carriage return; surrogates; non-characters. C1 controls stand in many
# real texts that were once in another encoding, and do no harm.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# Messages of these kinds would repeat what the client sent.
_ECHOING = {
    "union_tag_invalid": "not one of the known kinds",
    "string_unicode": "not well-formed Unicode",
    "json_invalid": "not valid JSON",
}


class Wall(BaseModel):
    """Base of every input schema: unknown fields and non-finite numbers are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=MAX_TEXT)


class Answer(BaseModel):
    """Base of every output schema."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, from_attributes=True)

    # The tables keep UTC without saying so; RFC 3339, which JSON Schema's date-time is, wants it said.
    @field_serializer("created_at", "updated_at", check_fields=False)
    def _in_utc(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=UTC)

    @field_serializer("finished_at", check_fields=False)
    def _in_utc_if_any(self, moment: datetime | None) -> datetime | None:
        return moment and moment.replace(tzinfo=UTC)


def _clean(value: str) -> str:
    if _FORBIDDEN.search(value):
        msg = "contains control characters or characters that are not text"
        raise ValueError(msg)
    return value


def _line(value: str) -> str:
    value = unicodedata.normalize("NFC", _clean(value)).strip()
    if "\n" in value or "\r" in value or "\t" in value:
        msg = "must be a single line"
        raise ValueError(msg)
    if not value:
        msg = "must not be empty"
        raise ValueError(msg)
    return value


def _text(value: str) -> str:
    if not any(character.isalnum() for character in _clean(value)):
        msg = "must contain letters or digits"
        raise ValueError(msg)
    return value


def unique(values: list[Any]) -> list[Any]:
    """Return `values` without repetitions, in order."""
    return list(dict.fromkeys(values))


def not_a_bool(value: Any) -> Any:
    """Refuse true and false, which Python would count as 1 and 0."""
    if isinstance(value, bool):
        msg = "must be a whole number"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns ValueError into a field error
    return value


_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _written_day(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    msg = "must be a day, written as 2027-01-31"
    raise ValueError(msg)


Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_line)]
"""A single line of 1–200 characters."""

LongLine = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_line)]
"""A single line of 1–300 characters, such as an official module name."""

Summary = Annotated[str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_text)]
"""A paragraph of 1–2,000 characters."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_text)]
"""A text of 1–20,000 characters with at least one letter or digit, kept as sent."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
"""A short name chosen by the owner of the data; the key under which a later import finds the item again."""

TraineeCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{2,31}$")]
"""A trainee's pseudonymous code, given by the school; it means nothing outside the school."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_line)]
"""An id or a ref of something stored."""

WebAddress = Annotated[
    str, StringConstraints(max_length=500, pattern=r"^https?://[^\s\x00-\x20<>\"]+$"), AfterValidator(_clean)
]
"""An http or https address; it is shown, never fetched."""

Count = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(not_a_bool)]
"""A whole number of at least one."""

ReasonableDate = Annotated[date, BeforeValidator(_written_day), Field(ge=date(1990, 1, 1), le=date(2199, 12, 31))]
"""A calendar date between 1990 and 2199."""


def safe_errors(errors: list[ErrorDetails], *, prefix: tuple[str, ...] = ()) -> list[FieldError]:
    """Turn pydantic's error list into ours: at most `MAX_ERRORS`, no input repeated.

    `prefix` is put before each location, for models validated outside a request body.
    """
    listed = []
    for error in errors[:MAX_ERRORS]:
        reason = _ECHOING.get(error["type"]) or error["msg"].removeprefix("Value error, ")
        # No fields are the place in broken JSON, and pydantic's names of a union's members, such as `str-enum[Kind]`.
        place = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
        place = tuple(part for part in place if "[" not in str(part))
        listed.append(FieldError(field=field_path((*prefix, *place)), reason=reason[:200]))
    return listed
