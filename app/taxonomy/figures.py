"""Figures as European sources write them: "52.116 inhabitants", "over 200", "1 000 by 2030", "40 %".

The rules, in the order in which they apply:

1. A year is set apart when it is announced: "by 2030", "in 2021", "(2021)", "200, 2021", "2021: 200".
   A period such as 2021-2027 is set apart and tells no year.
2. The first number in digits counts; words ("more than ten", English, Spanish and Portuguese) count only
   where there are no digits. Numbers that are part of a name ("COVID-19", "5G", "3rd") do not count.
3. A point, comma, space or apostrophe between one to three digits and exactly three digits separates
   thousands: "3,000" and "52.116" are whole numbers. Otherwise a point or comma is a decimal mark: "1,5",
   "0.125", "1234,567". Of two different marks the last is decimal: "1.234.567,89".
4. "thousand", "mil", "million", "mil millones", "k", "M", "bn" multiply what stands before them.
5. The words beside the number say how it is meant: see `Qualifier`.

What can be read two ways is refused: dates, version numbers, fractions, "1,00,000".
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.taxonomy import figure_words as words

MAX_LENGTH: Final = 300
"""Longest text that is read, in characters."""
MAX_VALUE: Final = 10**15
"""Figures of this size and more are refused: below it a float still holds every whole number."""


class Qualifier(StrEnum):
    """How a figure is meant.

    A target is announced for the future, whatever else is said of it. A bound ("over", "up to") goes
    before an estimate ("about"). A range answers with its lower end, as a lower bound.
    """

    EXACT = "exact"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ABOUT = "about"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Figure:
    """A parsed figure.

    `value` is an int when it is a whole number, else a float. `unit` is "%", "EUR", "USD", "GBP",
    "people", "hours", or None when the text names none of these.
    """

    value: int | float
    qualifier: Qualifier = Qualifier.EXACT
    year: int | None = None
    unit: str | None = None


# Text is matched in lower case, with single spaces and plain hyphens and apostrophes: see `_plain`.
_YEAR_DIGITS: Final = "(?:19|20|21)[0-9]{2}"
_YEAR: Final = rf"(?P<year>{_YEAR_DIGITS})(?![0-9]|[.,][0-9]|\s?%|\s(?:{words.COUNTED}))"
_YEAR_FORMS = (
    re.compile(rf"\b(?P<by>{words.BY_YEAR})\s{_YEAR}"),
    re.compile(rf"\b(?:{words.IN_YEAR})\s{_YEAR}"),
    re.compile(rf"\(\s?{_YEAR}\s?\)"),
    re.compile(rf"^{_YEAR}\s?:"),
    re.compile(rf",\s{_YEAR}$"),
)
_PERIOD = re.compile(rf"(?<![0-9]){_YEAR_DIGITS}\s?[-/]\s?(?:{_YEAR_DIGITS}|[0-9]{{2}})(?![0-9])")
_DATE = re.compile(
    r"[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}"
    rf"|[0-9]{{1,2}}(?: de)? (?:{words.MONTHS})\b|\b(?:{words.MONTHS}) [0-9]{{1,2}}(?![0-9.,])"
    rf"|\b(?:{words.MONTHS}) [0-9]{{1,2}},? {_YEAR_DIGITS}"
)
# Digits with the marks between them, not inside a word ("COVID-19", "EU27").
_NUMBER = re.compile(
    r"(?<![\w.,'])(?<![a-z]-)(?P<sign>-(?=[0-9]))?"
    r"(?P<digits>[0-9]{1,3}([.,' ])[0-9]{3}(?:\3[0-9]{3})*(?![0-9])(?:[.,][0-9]+)?|[0-9]+(?:[.,][0-9]+)?)"
)
_RANGE = re.compile(r"\s?(?:-|\b(?:to|and|a|y|e|até|o|or|ou)\b)\s?(?=[0-9])")
_TWO_WAYS = re.compile(
    r"[.,'/:\u2044][0-9]|[\u00bc-\u00be\u2150-\u215f]"  # dates, codes, and characters such as one half
    r"|\s?(?:of every|in every|out of|de cada|em cada|sobre)\b"
    rf"|[\s-](?:{words.FRACTIONS})\b"
)
# Ordinals, "5g", "3d", "4x", and raised digits: powers and footnotes.
_PART_OF_NAME = re.compile(r"\.?(?:st|nd|rd|th|[ªºgdx]|[\u00b2\u00b3\u00b9\u2070-\u2079])(?!\w)")
_HALF = re.compile(r"\b(?:half|medi[oa]|mei[oa])(?: an?)? $")
_WORD = re.compile(r"[^\W\d_]+")
_LINK = re.compile(r"\s?(?:-|\b(?:and|y|e)\b)?\s?(?=[^\W\d_])")
_SCALE = re.compile(rf"\s?({'|'.join(sorted(words.MULTIPLIERS, key=len, reverse=True))})(?!\w)")
_MILLIONS_OF_MONEY = re.compile(r"\s?m(?!\w)")
_MONEY = re.compile(r"[€$£]|\beur")
_BEFORE = tuple(
    (re.compile(rf"(?:^|(?<=[\W_]))(?:{pattern})\s?(?:(?:{words.FILLERS})\s?)*$"), qualifier)
    for pattern, qualifier in (
        (words.AT_MOST, Qualifier.AT_MOST),
        (words.AT_LEAST, Qualifier.AT_LEAST),
        (words.ABOUT, Qualifier.ABOUT),
    )
)
_AFTER = tuple(
    (re.compile(rf"(?:^|(?<=\W))(?:{pattern})(?!\w)"), qualifier)
    for pattern, qualifier in (
        (words.AT_MOST_AFTER, Qualifier.AT_MOST),
        (words.AT_LEAST_AFTER, Qualifier.AT_LEAST),
        (words.ABOUT_AFTER, Qualifier.ABOUT),
    )
)
_TARGET = re.compile(rf"\b(?:{words.TARGET})\b")
_UNITS = tuple((re.compile(pattern), unit) for pattern, unit in words.UNITS)
_UNIT_BEFORE = re.compile(r"(?P<EUR>€|\beur)|(?P<USD>\$|\busd)|(?P<GBP>£|\bgbp)")
_PLAIN_MARKS = str.maketrans(
    "\N{RIGHT SINGLE QUOTATION MARK}\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}\N{NON-BREAKING HYPHEN}", "'----"
)
_GROUP: Final = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """A number found in a text: its value and where it stands, with what multiplies it."""

    value: Decimal
    start: int
    end: int
    is_range: bool = False


def parse_figure(as_written: str) -> Figure:
    """Read a figure as its source writes it.

    Raises ValueError when the text is longer than 300 characters, holds no number, or holds one that can
    be read two ways (a date, a version number, a fraction) or reaches 10**15.
    """
    if len(as_written) > MAX_LENGTH:
        raise ValueError(f"a figure has at most {MAX_LENGTH} characters")
    text = _plain(as_written)
    if _DATE.search(text):
        raise ValueError("it looks like a date or a version, not like a figure")
    text, year, is_by = _set_year_apart(text)
    found = _number_in_digits(text) or _number_in_words(text)
    if found is None:
        raise ValueError("there is no number in it")
    if abs(found.value) >= MAX_VALUE:
        raise ValueError("the number is too large")
    whole = int(found.value)
    return Figure(
        value=whole if whole == found.value else float(found.value),
        qualifier=Qualifier.TARGET if is_by else _qualifier(text, found),
        year=year,
        unit=_unit(text, found),
    )


def _plain(text: str) -> str:
    """Return the text in lower case with ordinary spaces, hyphens and apostrophes, on one line."""
    text = unicodedata.normalize("NFC", text).translate(_PLAIN_MARKS)
    # The capital M of millions is kept apart from the m of metres.
    text = re.sub(r"(?<=[0-9])(\s?)M\b", r"\1million", text)
    return " ".join(text.lower().split())


def _set_year_apart(text: str) -> tuple[str, int | None, bool]:
    """Return the text with its year blanked out, the year, and whether it is the year of a target."""
    text = _PERIOD.sub(lambda match: "_" * len(match[0]), text)
    for form in _YEAR_FORMS:
        if match := form.search(text):
            blank = "_" * len(match[0])
            is_by = "by" in match.groupdict()
            return text[: match.start()] + blank + text[match.end() :], int(match["year"]), is_by
    return text, None, False


def _number_in_digits(text: str) -> _Found | None:
    """Return the first number written in digits, with what multiplies it."""
    for match in _NUMBER.finditer(text):
        end = match.end()
        if _PART_OF_NAME.match(text, end):
            continue
        value = _decimal(match["digits"])
        upper = _RANGE.match(text, end)
        if upper and (second := _NUMBER.match(text, upper.end())):
            end = second.end()
        value, end = _scaled(text, value, end)
        if (millions := _MILLIONS_OF_MONEY.match(text, end)) and _MONEY.search(text):
            value, end = value * 10**6, millions.end()
        if _TWO_WAYS.match(text, end):
            raise ValueError("the number can be read two ways")
        return _Found(-value if match["sign"] else value, match.start(), end, is_range=upper is not None)
    return None


def _decimal(digits: str) -> Decimal:
    """Read digits with separators by rule 3 of this module."""
    head, *groups = re.split(r"[^0-9]", digits)
    marks = re.findall(r"[^0-9]", digits)
    if not marks:
        return Decimal(digits)
    if len(set(marks)) == 1 and all(len(group) == _GROUP for group in groups) and _is_head(head):
        return Decimal(head + "".join(groups))
    if marks[-1] in marks[:-1] or marks[-1] not in ".,":
        raise ValueError("the number can be read two ways")
    return Decimal(f"{head}{''.join(groups[:-1])}.{groups[-1]}")


def _is_head(digits: str) -> bool:
    """Tell whether digits may stand before a separator of thousands."""
    return len(digits) <= _GROUP and not digits.startswith("0")


def _number_in_words(text: str) -> _Found | None:
    """Return the first number written in words; "un" is one only alone or before a multiplier."""
    for match in _WORD.finditer(text):
        if match[0] in words.NUMBER_WORDS:
            return _compound(text, match)
        if match[0] in words.ARTICLES:
            value, end = _scaled(text, Decimal(1), match.end())
            if value > 1 or match[0] == text:
                return _Found(value, match.start(), end)
    return None


def _compound(text: str, first: re.Match[str]) -> _Found:
    """Read "two hundred and five" or "veinte y uno" from its first word on."""
    total, end = Decimal(0), first.start()
    word: re.Match[str] | None = first
    while word and word[0] in words.NUMBER_WORDS:
        term, end = _scaled(text, Decimal(words.NUMBER_WORDS[word[0]]), word.end())
        if total and term >= _room(total):
            raise ValueError("the number can be read two ways")
        total += term
        link = _LINK.match(text, end)
        word = _WORD.match(text, link.end()) if link else None
    if _HALF.search(text[: first.start()]) or _TWO_WAYS.match(text, end):
        raise ValueError("the number can be read two ways")
    return _Found(total, first.start(), end)


def _scaled(text: str, value: Decimal, end: int) -> tuple[Decimal, int]:
    """Return the value times all the multipliers that follow it, and where they end."""
    while scale := _SCALE.match(text, end):
        value, end = value * words.MULTIPLIERS[scale[1]], scale.end()
    return value, end


def _room(total: Decimal) -> int:
    """Return the largest power of ten that divides a whole number: what may still be added stays below."""
    digits = str(int(total))
    return int("1" + "0" * (len(digits) - len(digits.rstrip("0"))))


def _qualifier(text: str, found: _Found) -> Qualifier:
    """Say how the number is meant, from the words right before it and those after it."""
    if _TARGET.search(text):
        return Qualifier.TARGET
    for pattern, qualifier in _BEFORE:
        if pattern.search(text[: found.start]):
            return qualifier
    after = re.split(r"[0-9]", text[found.end :])[0]
    if after.startswith("+") or found.is_range:
        return Qualifier.AT_LEAST
    for pattern, qualifier in _AFTER:
        if pattern.search(after):
            return qualifier
    return Qualifier.EXACT


def _unit(text: str, found: _Found) -> str | None:
    """Return the unit named right after the number, or the currency right before it."""
    after = text[found.end :].lstrip(" +")
    for pattern, unit in _UNITS:
        if pattern.match(after):
            return unit
    before = text[: found.start].rstrip()
    last = [match for match in _UNIT_BEFORE.finditer(before) if match.end() == len(before)]
    return last[0].lastgroup if last else None
