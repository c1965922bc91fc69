"""Texts without case and accents. Loads nothing heavy: code lists are read with it, too."""

import unicodedata


def plain(text: str) -> str:
    """Return a text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
