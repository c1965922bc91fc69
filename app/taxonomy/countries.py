"""Countries as the regions of Europe write them: ISO 3166-1 alpha-2, except EL (Greece) and UK.

pycountry (ISO 3166 tables) takes about 30 ms to import, so it is imported at the first look-up.
"""

from functools import lru_cache
from typing import Any, Final

# NUTS and the European institutions write these two their own way (Interinstitutional style guide 7.1.1).
ISO_TO_NUTS: Final = {"GR": "EL", "GB": "UK"}
NUTS_TO_ISO: Final = {nuts: iso for iso, nuts in ISO_TO_NUTS.items()}
# Kosovo has no ISO code; XK is the user-assigned code that Eurostat uses.
_KOSOVO: Final = "XK"
_ALPHA_2: Final = 2


@lru_cache(maxsize=512)
def normalise_country(code: str) -> str | None:
    """Return the country code as NUTS writes it, or None when there is no such country.

    Accepts ISO 3166-1 alpha-2 in any case, and EL and UK; GR becomes EL and GB becomes UK.
    """
    code = code.strip().upper()
    if len(code) != _ALPHA_2 or not (code.isascii() and code.isalpha()):
        return None
    if code == _KOSOVO or code in NUTS_TO_ISO:
        return code
    return ISO_TO_NUTS.get(code, code) if _entry(code) is not None else None


@lru_cache(maxsize=1024)
def country_name(code: str, lang: str = "en") -> str | None:
    """Return the usual name of a country in `lang`, or None when the code is unknown.

    `code` may be written either way (GR or EL). A language without translation answers in English.
    """
    normal = normalise_country(code)
    if normal is None:
        return None
    if normal == _KOSOVO:
        return "Kosovo"
    entry = _entry(NUTS_TO_ISO.get(normal, normal))
    return _translated(str(getattr(entry, "common_name", entry.name)), lang)


def _entry(iso: str) -> Any:
    """Return pycountry's entry for an ISO alpha-2 code, or None."""
    import pycountry  # noqa: PLC0415 - 30 ms that only a look-up should pay

    return pycountry.countries.get(alpha_2=iso)


def _translated(name: str, lang: str) -> str:
    """Return `name` in `lang` from the catalogues that pycountry ships."""
    if lang == "en":
        return name
    import gettext  # noqa: PLC0415 - beside pycountry

    import pycountry  # noqa: PLC0415 - 30 ms that only a look-up should pay

    catalogue = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[lang], fallback=True)
    return catalogue.gettext(name)
