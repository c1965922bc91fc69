"""Languages: BCP 47 tags, and telling the language of a text.

Detection uses py3langid restricted to the languages of the European Union with Catalan, Galician, Basque
and Norwegian. The model is loaded at first use (about 0.5 s and 60 MB); `load_detector` lets a process
pay for that in advance. A text then takes from 0.05 to 0.3 ms.
"""

from functools import lru_cache
from threading import Lock
from typing import Any, Final

# What `detect_language` can answer.
DETECTABLE: Final = frozenset(
    {"bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr"}
    | {"hu", "it", "lt", "lv", "mt", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sv"}
)
# py3langid knows Nynorsk apart; we answer the macrolanguage for both.
_MODEL_ALIASES: Final = {"nn": "no"}

# On 37,000 real texts in 12 languages, answers of probability 0.5 and more were right in 95 % of the cases
# at 4 to 20 letters, 98 % at 20 to 40, 99.4 % beyond; the rule leaves 7 of 10 labels of 8 to 12 letters
# without an answer, and hardly any text of 60 letters or more.
MIN_PROBABILITY: Final = 0.5
MIN_LETTERS: Final = 3
# A language shows within a page; the rest would only cost time.
_MAX_CHARACTERS: Final = 4000

_ALPHA_2, _ALPHA_3, _SCRIPT = 2, 3, 4
# Written by habit for what BCP 47 calls GB and GR.
_REGION_HABITS: Final = {"UK": "GB", "EL": "GR"}


@lru_cache(maxsize=4096)
def normalise_language(tag: str) -> str | None:
    """Return a BCP 47 tag in canonical form, or None when it names no language.

    Read are a language of ISO 639-1 or 639-3, then optionally a script of ISO 15924, then optionally a
    region of ISO 3166 or three digits: `pt_pt` becomes `pt-PT`, `spa` becomes `es` (the shortest code
    stands, RFC 5646 section 2.2.1). Variants and extensions are not read.
    """
    language, *rest = tag.strip().replace("_", "-").split("-")
    primary_tag = _language(language.lower())
    script = region = ""
    if rest and len(rest[0]) == _SCRIPT:
        script = rest.pop(0).title()
    if rest:
        region = rest.pop(0).upper()
        region = _REGION_HABITS.get(region, region)
    if primary_tag is None or rest or (script and not _is_script(script)) or (region and not _is_region(region)):
        return None
    normal = "-".join(part for part in (primary_tag, script, region) if part)
    # A dangling hyphen leaves an empty subtag, which is no tag.
    return normal if normal.count("-") == tag.strip().replace("_", "-").count("-") else None


def primary(tag: str) -> str | None:
    """Return the language of a tag without script and region (`pt-PT` gives `pt`), or None when unknown."""
    normal = normalise_language(tag)
    return None if normal is None else normal.partition("-")[0]


@lru_cache(maxsize=1024)
def language_name(tag: str) -> str | None:
    """Return the English name of the language of a tag, or None when unknown."""
    code = primary(tag)
    if code is None:
        return None
    # Some ISO names carry a qualification: "Greek, Modern (1453-)".
    return str(_pycountry_language(code).name).partition(" (")[0].partition(",")[0]


def detect_language(text: str) -> tuple[str, float] | None:
    """Return the language of a text and its probability (0.5 to 1), or None when the text does not say.

    None means fewer than three letters, or no language that is more likely than all others together:
    single words and names often belong to several. Same text, same answer. Safe to call from any thread.
    """
    sample = text[:_MAX_CHARACTERS]
    if sum(map(str.isalpha, sample)) < MIN_LETTERS:
        return None
    language, probability = _detector().classify(sample)
    language = _MODEL_ALIASES.get(language, language)
    return (language, min(float(probability), 1.0)) if probability >= MIN_PROBABILITY else None


def load_detector() -> None:
    """Load the detection model now, so that no request waits for it."""
    _detector()


_detector_lock = Lock()
_detector_loaded: list[Any] = []


def _detector() -> Any:
    """Return the restricted identifier, loading it once per process; it is read-only afterwards."""
    if not _detector_loaded:
        with _detector_lock:
            if not _detector_loaded:
                _detector_loaded.append(_build_detector())
    return _detector_loaded[0]


def _build_detector() -> Any:
    """Build an identifier that holds the columns of our languages only.

    `set_languages` alone would keep the full model beside the restricted one.
    """
    import numpy as np  # noqa: PLC0415 - only detection needs it
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - idem

    full = LanguageIdentifier.from_model_file(MODEL_FILE)
    full.set_languages(sorted(DETECTABLE | _MODEL_ALIASES.keys()))
    return LanguageIdentifier(
        np.ascontiguousarray(full.nb_ptc),
        full.nb_pc.copy(),
        full.nb_classes,
        full.tk_nextmove,
        full.tk_output,
        norm_probs=True,
        tk_row=full.tk_row,
    )


def _pycountry_language(code: str) -> Any:
    """Return pycountry's entry for an ISO 639-1 or 639-3 code, or None."""
    import pycountry  # noqa: PLC0415 - 50 ms with its language table, that only a look-up should pay

    if len(code) == _ALPHA_2:
        return pycountry.languages.get(alpha_2=code)
    return pycountry.languages.get(alpha_3=code) if len(code) == _ALPHA_3 else None


def _language(code: str) -> str | None:
    """Return the shortest ISO 639 code of a language, or None when there is no such language."""
    entry = _pycountry_language(code) if code.isascii() and code.isalpha() else None
    return None if entry is None else str(getattr(entry, "alpha_2", entry.alpha_3))


def _is_script(code: str) -> bool:
    """Tell whether a four-letter code is a script of ISO 15924."""
    import pycountry  # noqa: PLC0415 - see above

    return pycountry.scripts.get(alpha_4=code) is not None


def _is_region(code: str) -> bool:
    """Tell whether a code is a country of ISO 3166-1, or three digits (a UN M.49 area)."""
    import pycountry  # noqa: PLC0415 - see above

    if len(code) == _ALPHA_3:
        return code.isascii() and code.isdigit()
    return len(code) == _ALPHA_2 and pycountry.countries.get(alpha_2=code) is not None
