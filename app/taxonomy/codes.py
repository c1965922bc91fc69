"""Fixed vocabularies: enumerations stored as text, and the ISCED-F 2013 fields of training."""

from enum import IntEnum, StrEnum
from typing import Final

DEFAULT_LANGUAGE: Final = "en"


class IndustrialEcosystem(StrEnum):
    """The 14 industrial ecosystems of the EU industrial strategy, under our own slugs.

    The European Commission calls them an analytical tool, not a fixed nomenclature
    (clustercollaboration.eu, "Industrial ecosystems"); hence slugs of ours and no official codes.
    """

    AEROSPACE_DEFENCE = "aerospace-defence"
    AGRI_FOOD = "agri-food"
    CONSTRUCTION = "construction"
    CULTURAL_CREATIVE = "cultural-creative"
    DIGITAL = "digital"
    ELECTRONICS = "electronics"
    ENERGY_INTENSIVE = "energy-intensive"
    ENERGY_RENEWABLES = "energy-renewables"
    HEALTH = "health"
    MOBILITY = "mobility-transport-automotive"
    PROXIMITY_SOCIAL = "proximity-social-economy"
    RETAIL = "retail"
    TEXTILES = "textiles"
    TOURISM = "tourism"

    def label(self, lang: str = DEFAULT_LANGUAGE) -> str:
        """Return the name in `lang` (en, es or pt); any other language answers in English."""
        labels = _ECOSYSTEM_LABELS[self]
        return labels.get(lang, labels[DEFAULT_LANGUAGE])


def _three(en: str, es: str, pt: str) -> dict[str, str]:
    """Return a label in our three languages, keyed by language."""
    return {"en": en, "es": es, "pt": pt}


_ECOSYSTEM_LABELS: Final[dict[IndustrialEcosystem, dict[str, str]]] = {
    IndustrialEcosystem.AEROSPACE_DEFENCE: _three(
        "Aerospace and defence", "Aeroespacial y defensa", "Aeroespacial e defesa"
    ),
    IndustrialEcosystem.AGRI_FOOD: _three("Agri-food", "Agroalimentario", "Agroalimentar"),
    IndustrialEcosystem.CONSTRUCTION: _three("Construction", "Construcción", "Construção"),
    IndustrialEcosystem.CULTURAL_CREATIVE: _three(
        "Cultural and creative industries",
        "Industrias culturales y creativas",
        "Indústrias culturais e criativas",
    ),
    IndustrialEcosystem.DIGITAL: _three("Digital", "Digital", "Digital"),
    IndustrialEcosystem.ELECTRONICS: _three("Electronics", "Electrónica", "Eletrónica"),
    IndustrialEcosystem.ENERGY_INTENSIVE: _three(
        "Energy-intensive industries",
        "Industrias de gran consumo de energía",
        "Indústrias com utilização intensiva de energia",
    ),
    IndustrialEcosystem.ENERGY_RENEWABLES: _three("Renewable energy", "Energías renovables", "Energias renováveis"),
    IndustrialEcosystem.HEALTH: _three("Health", "Salud", "Saúde"),
    IndustrialEcosystem.MOBILITY: _three(
        "Mobility, transport and automotive",
        "Movilidad, transporte y automoción",
        "Mobilidade, transportes e automóvel",
    ),
    IndustrialEcosystem.PROXIMITY_SOCIAL: _three(
        "Proximity, social economy and civil society",
        "Proximidad, economía social y sociedad civil",
        "Proximidade, economia social e sociedade civil",
    ),
    IndustrialEcosystem.RETAIL: _three("Retail", "Comercio minorista", "Comércio a retalho"),
    IndustrialEcosystem.TEXTILES: _three("Textiles", "Textil", "Têxteis"),
    IndustrialEcosystem.TOURISM: _three("Tourism", "Turismo", "Turismo"),
}


class EqfLevel(IntEnum):
    """Level of the European Qualifications Framework, 1 (basic) to 8 (doctorate).

    Spanish vocational training: a higher cycle (grado superior) stands at 5.
    """

    LEVEL_1 = 1
    LEVEL_2 = 2
    LEVEL_3 = 3
    LEVEL_4 = 4
    LEVEL_5 = 5
    LEVEL_6 = 6
    LEVEL_7 = 7
    LEVEL_8 = 8


EQF_MIN: Final = int(min(EqfLevel))
EQF_MAX: Final = int(max(EqfLevel))


class DualRegime(StrEnum):
    """Regime of Spanish dual vocational training (Ley Orgánica 3/2022, RD 659/2023).

    General: 25-35 % of the hours in the company, no employment contract.
    Intensivo: 35-50 %, with a training contract.
    """

    GENERAL = "general"
    INTENSIVO = "intensivo"


class Mode(StrEnum):
    """Where the work or the course takes place."""

    ON_SITE = "on_site"
    HYBRID = "hybrid"
    ONLINE = "online"


class ProgrammeType(StrEnum):
    """What a training offer is."""

    TRAINING_CYCLE = "training_cycle"
    SPECIALISATION = "specialisation"
    BOOTCAMP = "bootcamp"
    COURSE = "course"
    EVENT = "event"


class CooperationType(StrEnum):
    """Kind of cooperation sought, in the letters of the Enterprise Europe Network."""

    BUSINESS_OFFER = "BO"
    BUSINESS_REQUEST = "BR"
    TECHNOLOGY_OFFER = "TO"
    TECHNOLOGY_REQUEST = "TR"
    RESEARCH_REQUEST = "RDR"


class LabelLevel(StrEnum):
    """Cluster management excellence label, ordered: bronze < silver < gold.

    Comparison follows the order of the labels, not of the alphabet; with a string that is no label
    it raises ValueError.
    """

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"

    @property
    def rank(self) -> int:
        """1 for bronze, 2 for silver, 3 for gold."""
        return _LABEL_RANKS[self.value]

    def __lt__(self, other: str) -> bool:
        return self.rank < LabelLevel(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= LabelLevel(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > LabelLevel(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= LabelLevel(other).rank


_LABEL_RANKS: Final = {"bronze": 1, "silver": 2, "gold": 3}


class S3Axis(StrEnum):
    """The three axes on which Eye@RIS3 describes a smart-specialisation priority."""

    ECONOMIC = "economic"
    SCIENTIFIC = "scientific"
    OBJECTIVE = "objective"


class FpGrade(StrEnum):
    """Grade of the Spanish vocational offer (Ley Orgánica 3/2022).

    From A (part of a module) to E (specialisation course); a training cycle is D.
    """

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"


# UNESCO ISCED fields of education and training 2013: codes are official, labels are our short ones.
ISCED_F_BROAD: Final[dict[str, str]] = {
    "00": "Generic programmes",
    "01": "Education",
    "02": "Arts and humanities",
    "03": "Social sciences and journalism",
    "04": "Business, administration and law",
    "05": "Natural sciences and mathematics",
    "06": "Information and communication technologies",
    "07": "Engineering, manufacturing and construction",
    "08": "Agriculture, forestry, fisheries and veterinary",
    "09": "Health and welfare",
    "10": "Services",
}
ISCED_F_NARROW: Final[dict[str, str]] = {
    "001": "Basic programmes",
    "002": "Literacy and numeracy",
    "003": "Personal development",
    "011": "Education",
    "021": "Arts",
    "022": "Humanities",
    "023": "Languages",
    "031": "Social sciences",
    "032": "Journalism and information",
    "041": "Business and administration",
    "042": "Law",
    "051": "Biology",
    "052": "Environment",
    "053": "Physical sciences",
    "054": "Mathematics and statistics",
    "061": "Information and communication technologies",
    "071": "Engineering",
    "072": "Manufacturing and processing",
    "073": "Architecture and construction",
    "081": "Agriculture",
    "082": "Forestry",
    "083": "Fisheries",
    "084": "Veterinary",
    "091": "Health",
    "092": "Welfare",
    "101": "Personal services",
    "102": "Hygiene and occupational health",
    "103": "Security",
    "104": "Transport",
}
# Third digits that ISCED-F reserves in every broad field.
_ISCED_F_RESERVED: Final[dict[str, str]] = {
    "0": "not further defined",
    "8": "interdisciplinary",
    "9": "other",
}
_BROAD_DIGITS: Final = 2
_NARROW_DIGITS: Final = 3
_DETAILED_DIGITS: Final = 4


def isced_f_label(code: str) -> str | None:
    """Return our short English label of an ISCED-F 2013 code, or None when it is unknown.

    A detailed code (4 digits) answers with the label of its narrow field (first 3 digits).
    """
    if not (code.isascii() and code.isdigit() and _BROAD_DIGITS <= len(code) <= _DETAILED_DIGITS):
        return None
    broad = ISCED_F_BROAD.get(code[:_BROAD_DIGITS])
    if broad is None or len(code) == _BROAD_DIGITS:
        return broad
    narrow = ISCED_F_NARROW.get(code[:_NARROW_DIGITS])
    if narrow is None and code[_NARROW_DIGITS - 1] in _ISCED_F_RESERVED:
        narrow = f"{broad}, {_ISCED_F_RESERVED[code[_NARROW_DIGITS - 1]]}"
    return narrow


def is_isced_f(code: str) -> bool:
    """Tell whether `code` is an ISCED-F 2013 field of 2, 3 or 4 digits.

    Four digits are accepted when the first three are a known narrow field: the detailed list is long
    and countries extend it.
    """
    return isced_f_label(code) is not None
