"""The words around figures, in English, Spanish and Portuguese: data for `figures`.

Texts are regular expressions over lower-case text with single spaces.
"""

from decimal import Decimal
from typing import Final

# From zero on.
_EN: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_ES: Final = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
    "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco "
    "veintiséis veintisiete veintiocho veintinueve treinta"
)
_PT: Final = (
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezasseis "
    "dezassete dezoito dezanove vinte"
)
_TENS: Final = (
    "ten twenty thirty forty fifty sixty seventy eighty ninety hundred",
    "diez veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien",
    "dez vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem",
)
_HUNDREDS: Final = (
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos",
    "ciento doscientas trescientas cuatrocientas quinientas seiscientas setecientas ochocientas novecientas",
    "cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos novecentos",
    "cento duzentas trezentas quatrocentas quinhentas seiscentas setecentas oitocentas novecentas",
)
_OTHERS: Final = {
    "dieciseis": 16,
    "veintiun": 21,
    "veintiún": 21,
    "veintiuna": 21,
    "duas": 2,
    "tres": 3,
    "quatorze": 14,
    "dezesseis": 16,
    "dezessete": 17,
    "dezenove": 19,
    "dozen": 12,
    "docena": 12,
    "dúzia": 12,
    "decena": 10,
    "dezena": 10,
    "centenar": 100,
    "centena": 100,
    "quincena": 15,
    "quinzena": 15,
    "veintena": 20,
    "vintena": 20,
    "treintena": 30,
    "thousand": 1000,
    "millar": 1000,
    "milhar": 1000,
}
ARTICLES: Final = frozenset({"un", "una", "um", "uma"})
"""Words that are both "one" and an article."""
NUMBER_WORDS: Final[dict[str, int]] = {
    word: position * step
    for lists, first, step in (((_EN, _ES, _PT), 0, 1), (_TENS, 1, 10), (_HUNDREDS, 1, 100))
    for listed in lists
    for position, word in enumerate(listed.split(), start=first)
    if word not in ARTICLES
} | _OTHERS
"""What each number word means; compounds are put together from these."""
MONTHS: Final = (
    "january|february|march|april|june|july|august|september|october|november|december"
    "|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    "|janeiro|fevereiro|março|maio|junho|julho|setembro|outubro|novembro|dezembro"
)
"""Months, which tell a date from a figure; English May is left out, for it is a verb as well."""
FRACTIONS: Final = "thirds?|quarters?|fifths?|terci[oa]s?|cuart[oa]s?|quint[oa]s?|terços?|quartos?"

_MILLION: Final = Decimal(10**6)
MULTIPLIERS: Final[dict[str, Decimal]] = {
    "k": Decimal(1000),
    "dozen": Decimal(12),
    "docenas": Decimal(12),
    "dúzias": Decimal(12),
    "hundred": Decimal(100),
    "thousand": Decimal(1000),
    "mil": Decimal(1000),
    "million": _MILLION,
    "millions": _MILLION,
    "mn": _MILLION,
    "millón": _MILLION,
    "millon": _MILLION,
    "millones": _MILLION,
    "milhão": _MILLION,
    "milhões": _MILLION,
    "bn": Decimal(10**9),
    "billion": Decimal(10**9),
    "mil millones": Decimal(10**9),
    "mil milhões": Decimal(10**9),
}
"""What multiplies the number before it. Spanish "billón" (10**12) and Brazilian "bilhão" (10**9) are left
out: they are mistaken for each other and for the English billion."""

BY_YEAR: Final = (
    "by(?: the year)?|before|until|para(?: el año| o ano)?|hasta(?: el año)?|antes de|até(?: ao? ano)?"
    "|de aquí a|horizon|horizonte"
)
"""What announces the year of a target."""
IN_YEAR: Final = (
    "in(?: the year)?|as of|since|from|during|en(?: el año)?|em|no ano(?: de)?|desde|durante|a|año|ano|year"
)
"""What announces the year of an observation."""
COUNTED: Final = (
    "people|persons|inhabitants|students?|jobs|places|companies|firms|members|participants|workers|employees"
    "|hours|euros?|personas|habitantes|alumn[oa]s?|estudiantes|empleos|plazas|empresas|soci[oa]s|miembros"
    "|participantes|trabajador[ea]s|emplead[oa]s|horas|pessoas|estudantes|empregos|vagas|lugares|membros"
    "|trabalhador[ea]s|thousand|mil|million|millones|milhões"
)
"""What, right after four digits, says that they are not a year."""

AT_LEAST: Final = (
    "over|(?<!no )(?<!not )more than|at least|above|upwards of|no fewer than|no less than|not less than"
    "|not fewer than|a minimum of|minimum|min\\.?|exceeding|exceeds|in excess of|(?<!no )m[aá]s de|al menos"
    "|por lo menos|como mínimo|no menos de|un mínimo de|mínimo|superior(?:es)? a|por encima de|\\+ de"
    "|(?<!não )mais (?:de|que)|pelo menos|ao menos|no mínimo|não menos de|um mínimo de|acima de|>=?|≥"
)
AT_MOST: Final = (
    "up to|(?<!no )(?<!not )(?:less|fewer) than|under|below|no more than|not more than|at most"
    "|a maximum of|maximum|max\\.?|hasta|(?<!no )(?<!não )menos de|no m[aá]s de|como máximo|un máximo de"
    "|máximo|inferior(?:es)? a|por debajo de|até|não mais de|no máximo|um máximo de|abaixo de|<=?|≤"
)
ABOUT: Final = (
    "about|approximately|approx\\.?|around|circa|ca?\\.|roughly|some|nearly|almost|close to|an estimated"
    "|estimated|aproximadamente|aprox\\.?|alrededor de|cerca de|en torno a|unos|unas|casi|más o menos"
    "|por volta de|quase|à volta de|uns|umas|mais ou menos|em torno de|[~≈]"
)
"""What qualifies the number right after it."""
FILLERS: Final = r"[€$£~≈]|\b(?:eur|an?|una?|uma?|the|el|los|las|os|as|de|of|about|cerca de)\b"
"""What may stand between a qualifier and its number."""

AT_LEAST_AFTER: Final = (
    "or more|or above|o más|y más|ou mais|at least|as a minimum|al menos|como mínimo|no mínimo|pelo menos"
)
AT_MOST_AFTER: Final = "or less|or fewer|o menos|ou menos|at most|as a maximum|como máximo|como mucho|no máximo"
ABOUT_AFTER: Final = (
    "or so|approximately|approx\\.?|aproximadamente|aprox\\.?|más o menos|mais ou menos|aproximad[oa]s?"
)
"""What qualifies the number before it."""
TARGET: Final = "targets?|targeted|goals?|objetivos?|objectivos?|metas?|planned|expected|previst[oa]s?|esperad[oa]s?"
"""What makes a figure a target wherever it stands."""

UNITS: Final = (
    (r"%|per ?cent(?!\w)|por ciento(?!\w)|por cento(?!\w)|pct(?!\w)", "%"),
    (r"€|(?:de )?euros?(?!\w)|eur(?!\w)", "EUR"),
    (r"\$|usd(?!\w)", "USD"),
    (r"£|gbp(?!\w)", "GBP"),
    (r"(?:de )?(?:inhabitants|people|persons|habitantes|personas|pessoas)(?!\w)", "people"),
    (r"(?:de )?(?:hours|hour|hrs?|h|horas?)(?!\w)", "hours"),
)
"""Pattern right after the number, and the unit that it means."""
