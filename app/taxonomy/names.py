"""What codes are called in the languages of our explanations: a `Namer` for the engine."""

from typing import Final

from app.taxonomy.codes import IndustrialEcosystem
from app.taxonomy.interventions import field_name
from app.taxonomy.skills import label

# The languages that our profiles are most often in; another one keeps its code.
_LANGUAGES: Final[dict[str, tuple[str, str, str]]] = {
    "bg": ("Bulgarian", "búlgaro", "búlgaro"),
    "ca": ("Catalan", "catalán", "catalão"),
    "cs": ("Czech", "checo", "checo"),
    "da": ("Danish", "danés", "dinamarquês"),
    "de": ("German", "alemán", "alemão"),
    "el": ("Greek", "griego", "grego"),
    "en": ("English", "inglés", "inglês"),
    "es": ("Spanish", "español", "espanhol"),
    "et": ("Estonian", "estonio", "estónio"),
    "eu": ("Basque", "euskera", "basco"),
    "fi": ("Finnish", "finés", "finlandês"),
    "fr": ("French", "francés", "francês"),
    "ga": ("Irish", "irlandés", "irlandês"),
    "gl": ("Galician", "gallego", "galego"),
    "hr": ("Croatian", "croata", "croata"),
    "hu": ("Hungarian", "húngaro", "húngaro"),
    "it": ("Italian", "italiano", "italiano"),
    "lt": ("Lithuanian", "lituano", "lituano"),
    "lv": ("Latvian", "letón", "letão"),
    "mt": ("Maltese", "maltés", "maltês"),
    "nl": ("Dutch", "neerlandés", "neerlandês"),
    "no": ("Norwegian", "noruego", "norueguês"),
    "pl": ("Polish", "polaco", "polaco"),
    "pt": ("Portuguese", "portugués", "português"),
    "ro": ("Romanian", "rumano", "romeno"),
    "sk": ("Slovak", "eslovaco", "eslovaco"),
    "sl": ("Slovene", "esloveno", "esloveno"),
    "sv": ("Swedish", "sueco", "sueco"),
    "uk": ("Ukrainian", "ucraniano", "ucraniano"),
}
_ORDER: Final = ("en", "es", "pt")


def name_of(facet: str, code: str, language: str) -> str:
    """Return what a code of that facet is called in `language` (en, es or pt); the code where it has no name.

    Named are skills, industrial ecosystems, fields of intervention and languages; codes of regions and of economic
    activities stay codes.

    >>> name_of("languages", "gl", "es"), name_of("sectors", "agri-food", "pt"), name_of("nuts", "ES61", "en")
    ('gallego', 'Agroalimentar', 'ES61')
    """
    if facet == "skills":
        return label(code, language) or code
    if facet == "sectors" and code in IndustrialEcosystem.__members__.values():
        return IndustrialEcosystem(code).label(language)
    if facet == "intervention_fields":
        return field_name(code, language) or code
    if facet == "languages" and code in _LANGUAGES:
        return _LANGUAGES[code][_ORDER.index(language)]
    return code
