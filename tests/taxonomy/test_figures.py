from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.taxonomy.figures import MAX_LENGTH, MAX_VALUE, Figure, Qualifier, parse_figure

EXACT, AT_LEAST, AT_MOST, ABOUT, TARGET = Qualifier


@pytest.mark.parametrize(
    ("written", "figure"),
    [
        # how the five sources of the project write their figures
        ("52.116 inhabitants", Figure(52116, EXACT, None, "people")),
        ("Size of city : 52.116 inhabitants", Figure(52116, EXACT, None, "people")),
        ("1 000 by 2030", Figure(1000, TARGET, 2030)),
        ("job creation (1 000 by 2030)", Figure(1000, TARGET, 2030)),
        ("over 200 members", Figure(200, AT_LEAST)),
        ("Over 200 participants", Figure(200, AT_LEAST)),
        ("about 3,000 technology professionals each year", Figure(3000, ABOUT)),
        ("more than ten cluster organisations", Figure(10, AT_LEAST)),
        ("over a dozen start-ups", Figure(12, AT_LEAST)),
        ("40% of the participants", Figure(40, EXACT, None, "%")),
        ("Approximately 70% of graduates", Figure(70, ABOUT, None, "%")),
        ("15 new tech startups", Figure(15)),
        ("62 companies", Figure(62)),
        ("with 21 cluster organisations", Figure(21)),
    ],
)
def test_the_figures_of_the_sources(written: str, figure: Figure) -> None:
    assert parse_figure(written) == figure


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3,000", 3000),
        ("3.000", 3000),
        ("3 000", 3000),
        ("3\u00a0000", 3000),
        ("3\u202f000", 3000),
        ("3'000", 3000),
        ("3\N{RIGHT SINGLE QUOTATION MARK}000", 3000),
        ("1.234.567,89", 1234567.89),
        ("1,234,567.89", 1234567.89),
        ("1 234 567,89", 1234567.89),
        ("1.234.567", 1234567),
        ("1,5", 1.5),
        ("1.5", 1.5),
        ("12,25", 12.25),
        ("0,500", 0.5),
        ("0.125", 0.125),
        ("1234,567", 1234.567),
        ("1.2345", 1.2345),
        ("70,0", 70),
        ("-5", -5),
        ("\N{MINUS SIGN}1,5", -1.5),
        ("007", 7),
        ("2.3 million", 2300000),
        ("1,5 millones", 1500000),
        ("2 mil millones", 2 * 10**9),
        ("2 mil milhões", 2 * 10**9),
        ("3 mil", 3000),
        ("100k", 100000),
        ("1.5bn", 15 * 10**8),
        ("2 dozen", 24),
        ("2 hundred thousand", 200000),
        ("200h", 200),
        ("100km", 100),
        ("3rd place, 20 teams", 20),
        ("5G for 30 towns", 30),
        ("COVID-19: 40 firms", 40),
        ("EU27: 300", 300),
        ("a two-year plan for 200", 200),
    ],
)
def test_values(written: str, value: float) -> None:
    assert parse_figure(written).value == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("one", 1),
        ("twenty", 20),
        ("uno", 1),
        ("una", 1),
        ("um", 1),
        ("veinte", 20),
        ("dezasseis", 16),
        ("dezesseis", 16),
        ("dieciséis", 16),
        ("DIECISEIS", 16),
        ("três", 3),
        ("thirty-five", 35),
        ("treinta y cinco", 35),
        ("trinta e cinco", 35),
        ("veinticinco", 25),
        ("two hundred and five", 205),
        ("doscientos cinco", 205),
        ("duzentos e cinco", 205),
        ("dos mil quinientos", 2500),
        ("two dozen", 24),
        ("una docena", 12),
        ("uma dezena", 10),
        ("un millón", 10**6),
        ("um milhão", 10**6),
        ("un centenar de empresas", 100),
        ("two hundred thousand", 200000),
        ("cien", 100),
        ("zero", 0),
    ],
)
def test_number_words(written: str, value: int) -> None:
    assert parse_figure(written) == Figure(value)


@pytest.mark.parametrize(
    ("written", "qualifier"),
    [
        ("at least 5", AT_LEAST),
        ("más de 200", AT_LEAST),
        ("mas de 200", AT_LEAST),
        ("mais de 200", AT_LEAST),
        ("pelo menos 200", AT_LEAST),
        ("al menos 200", AT_LEAST),
        ("+ de 200", AT_LEAST),
        ("> 200", AT_LEAST),
        ("≥200", AT_LEAST),
        ("200+", AT_LEAST),
        ("200 or more", AT_LEAST),
        ("200 o más", AT_LEAST),
        ("no fewer than 20", AT_LEAST),
        ("no menos de 20", AT_LEAST),
        ("más de un millar", AT_LEAST),
        ("mais de vinte", AT_LEAST),
        ("more than €200", AT_LEAST),
        ("10-15", AT_LEAST),
        ("10\N{EN DASH}15 %", AT_LEAST),
        ("between 10 and 15", AT_LEAST),
        ("entre 10 y 15", AT_LEAST),
        ("de 10 a 15", AT_LEAST),
        ("up to 200", AT_MOST),
        ("hasta 200", AT_MOST),
        ("até 200", AT_MOST),
        ("no more than 10", AT_MOST),
        ("no más de 10", AT_MOST),
        ("não mais de 10", AT_MOST),
        ("fewer than ten", AT_MOST),
        ("menos de 10", AT_MOST),
        ("10 como máximo", AT_MOST),
        ("< 200", AT_MOST),
        ("about 200", ABOUT),
        ("approx. 200", ABOUT),
        ("aproximadamente 200", ABOUT),
        ("unos 200", ABOUT),
        ("cerca de 200", ABOUT),
        ("~200", ABOUT),
        ("c. 200", ABOUT),
        ("200 aprox.", ABOUT),
        ("casi cien", ABOUT),
        ("target: 200", TARGET),
        ("200 (objetivo)", TARGET),
        ("meta de 200", TARGET),
        ("200 empleos previstos", TARGET),
        ("at least 200 by 2030", TARGET),
        ("200 para 2030", TARGET),
        ("200 hasta 2030", TARGET),
        ("200 até 2030", TARGET),
        ("200 in 2030", EXACT),
        ("moreover 200", EXACT),
        ("200 overall", EXACT),
    ],
)
def test_qualifiers(written: str, qualifier: Qualifier) -> None:
    assert parse_figure(written).qualifier is qualifier


@pytest.mark.parametrize(
    ("written", "value", "year"),
    [
        ("500 (2021)", 500, 2021),
        ("500, 2021", 500, 2021),
        ("10 %, 2021", 10, 2021),
        ("500 in 2021", 500, 2021),
        ("in 2021, 500", 500, 2021),
        ("2021: 52.116", 52116, 2021),
        ("2.021 in 2021", 2021, 2021),
        ("en 2021, 500 personas", 500, 2021),
        ("em 2021: 500", 500, 2021),
        ("año 2021: 1 000", 1000, 2021),
        ("500 desde 2019", 500, 2019),
        ("2021", 2021, None),
        ("2.021", 2021, None),
        ("in 2000 companies", 2000, None),
        ("para 2000 alumnos", 2000, None),
        ("in 1 000 companies", 1000, None),
        ("300 in 2021-2027", 300, None),
        ("2021/22: 300", 300, None),
    ],
)
def test_years(written: str, value: int, year: int | None) -> None:
    figure = parse_figure(written)
    assert (figure.value, figure.year) == (value, year)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("40 %", "%"),
        ("40%", "%"),
        ("40 per cent", "%"),
        ("40 por ciento", "%"),
        ("40 por cento", "%"),
        ("€40", "EUR"),
        ("€ 40", "EUR"),
        ("40 €", "EUR"),
        ("EUR 40", "EUR"),
        ("40 euros", "EUR"),
        ("2 millones de euros", "EUR"),
        ("3 M€", "EUR"),
        ("€3m", "EUR"),
        ("$40", "USD"),
        ("£40", "GBP"),
        ("40 USD", "USD"),
        ("40 habitantes", "people"),
        ("10 a 15 personas", "people"),
        ("40 pessoas", "people"),
        ("370 horas", "hours"),
        ("370 h", "hours"),
        ("370 hotels", None),
        ("40", None),
        ("400 kg", None),
    ],
)
def test_units(written: str, unit: str | None) -> None:
    assert parse_figure(written).unit == unit


def test_millions_of_money_and_metres() -> None:
    assert parse_figure("€3m").value == parse_figure("3 M€").value == parse_figure("3M").value == 3 * 10**6
    assert parse_figure("3 m").value == 3
    assert parse_figure("3 MW").value == 3


@pytest.mark.parametrize(
    "written",
    [
        "",
        "   ",
        "none",
        "by 2030",
        "2021-2027",
        "COVID-19",
        "5G",
        "1º",
        "una empresa",
        "29/10/2024",
        "2024-02-08",
        "08-02-2024",
        "8.2.2024",
        "February 22, 2024",
        "16 de febrero",
        "1.2.3",
        "1,00,000",
        "1.234,56.7",
        "1.234.56",
        "1,234,56",
        "24/7",
        "1/3",
        "3½",
        "10³",
        "1 de cada 10",
        "one out of ten",
        "two thirds",
        "half a dozen",
        "media docena",
        "twelve five",
        "two hundred and fifty thousand",
        "1" * 16,
        str(MAX_VALUE),
        "999 999 999 billion",
        "1" * (MAX_LENGTH + 1),
        "\N{ARABIC-INDIC DIGIT THREE}\N{ARABIC-INDIC DIGIT FOUR}",
    ],
)
def test_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse_figure(written)


def test_an_error_does_not_repeat_what_was_written() -> None:
    with pytest.raises(ValueError, match="number") as caught:
        parse_figure("secret name")
    assert "secret" not in str(caught.value)


def _grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


def test_nested_words_take_no_time() -> None:
    assert parse_figure("more than " + "una" * 90 + " 5").value == 5
    assert parse_figure("more than " + "una " * 70 + "5").qualifier is AT_LEAST


SEPARATORS = st.sampled_from([".", ",", " ", "'", "\u00a0", "\u202f", "\u2009"])


@given(number=st.integers(0, MAX_VALUE - 1), separator=SEPARATORS)
def test_whole_numbers_come_back(number: int, separator: str) -> None:
    assert parse_figure(str(number)).value == number
    found = parse_figure(_grouped(number, separator))
    assert found == Figure(number)
    assert isinstance(found.value, int)


@given(
    whole=st.integers(1000, 10**9),
    cents=st.integers(1, 99),
    marks=st.sampled_from([(".", ","), (",", "."), (" ", ","), (" ", "."), ("\u202f", ","), ("'", ".")]),
)
def test_decimals_after_thousands_come_back(whole: int, cents: int, marks: tuple[str, str]) -> None:
    separator, mark = marks
    written = f"{_grouped(whole, separator)}{mark}{cents:02d}"
    assert parse_figure(written).value == float(Decimal(f"{whole}.{cents:02d}"))


@given(number=st.decimals(0, 999, places=2), mark=st.sampled_from([".", ","]))
def test_two_decimals_come_back(number: Decimal, mark: str) -> None:
    assert parse_figure(str(number).replace(".", mark)).value == float(number)


@given(
    number=st.integers(1, 10**9),
    separator=SEPARATORS,
    words=st.sampled_from([("more than", AT_LEAST), ("hasta", AT_MOST), ("cerca de", ABOUT), ("", EXACT)]),
    unit=st.sampled_from([(" inhabitants", "people"), (" %", "%"), (" horas", "hours"), (" €", "EUR"), ("", None)]),
    year=st.integers(1990, 2099),
)
def test_everything_together(
    number: int, separator: str, words: tuple[str, Qualifier], unit: tuple[str, str | None], year: int
) -> None:
    written = f"{words[0]} {_grouped(number, separator)}{unit[0]}"
    assert parse_figure(f"{written} in {year}") == Figure(number, words[1], year, unit[1])
    assert parse_figure(f"{written} ({year})") == Figure(number, words[1], year, unit[1])
    assert parse_figure(f"{written} by {year}") == Figure(number, TARGET, year, unit[1])


@given(st.text(max_size=MAX_LENGTH))
def test_any_text_is_read_or_refused(text: str) -> None:
    _read(text)


@given(st.text("0123456789.,' -+%€$/:()kmM~<>\u00a0½²toayen", max_size=60))
def test_any_medley_of_marks_is_read_or_refused(text: str) -> None:
    _read(text)


def _read(text: str) -> None:
    try:
        figure = parse_figure(text)
    except ValueError:
        return
    assert abs(figure.value) < MAX_VALUE
    assert figure.year is None or 1900 <= figure.year < 2200
