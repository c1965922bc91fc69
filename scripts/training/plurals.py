"""The plural of a title, as national lists of occupations and advertisements write it: "soldadores de tubería".

Romance languages, in which the noun comes first and its adjectives follow: words are put into the plural up to the
first preposition. Rules of school grammar; what they get wrong ("los crisis") is rare among titles, and only training
text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_RULES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "es": ((r"[sx]$", r"\g<0>"), (r"z$", "ces"), (r"ón$", "ones"), (r"[aeiouáéó]$", r"\g<0>s"), (r"$", "es")),
    "pt": (
        *((r"[sx]$", r"\g<0>"), (r"ão$", "ões"), (r"m$", "ns"), (r"al$", "ais"), (r"el$", "eis"), (r"il$", "is")),
        *((r"[rz]$", r"\g<0>es"), (r"$", "s")),
    ),
    "ca": ((r"[sx]$", r"\g<0>"), (r"a$", "es"), (r"([àéíóú])$", r"\1ns"), (r"$", "s")),
    "fr": ((r"[sxz]$", r"\g<0>"), (r"al$", "aux"), (r"eau$", "eaux"), (r"$", "s")),
    "it": ((r"ista$", "isti"), (r"io$", "i"), (r"ca$", "che"), (r"[oe]$", "i"), (r"a$", "e")),
}
_JOINS: Final = frozenset({"y", "e", "o", "i", "et", "ou", "ed"})
_ENDS: Final = re.compile(
    "a|à|al|ao|auprès|avec|chez|com|con|da|das|de|degli|dei|del|della|delle|dello|des|di|do|dos|du|em|en|in|para|per|por"
    "|pour|sans|sin|sobre|sur"
)


def plural(title: str, lang: str) -> str | None:
    """Return the plural of a title; None for a language without rules, or where nothing changes.

    >>> plural("operador técnico de planta", "es")
    'operadores técnicos de planta'
    """
    rules = _RULES.get(lang)
    if rules is None:
        return None
    words = title.split()
    for place, word in enumerate(words):
        if _ENDS.fullmatch(word.lower()) or "'" in word or not word.isalpha():
            break
        if word not in _JOINS:
            words[place] = _plural(word, rules)
    changed = " ".join(words)
    return changed if changed != title else None


def _plural(word: str, rules: Sequence[tuple[str, str]]) -> str:
    for ending, other in rules:
        if re.search(ending, word):
            return re.sub(ending, other, word, count=1)
    return word
