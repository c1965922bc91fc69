import pytest

from app.taxonomy.countries import country_name, normalise_country


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("ES", "ES"),
        ("es", "ES"),
        (" pt ", "PT"),
        ("GR", "EL"),
        ("el", "EL"),
        ("GB", "UK"),
        ("uk", "UK"),
        ("XK", "XK"),
    ],
)
def test_normal_form(written: str, normal: str) -> None:
    assert normalise_country(written) == normal
    assert normalise_country(normal) == normal


@pytest.mark.parametrize("written", ["", "E", "ESP", "ZZ", "EU", "12", "ÉS", "Spain"])
def test_what_is_no_country(written: str) -> None:
    assert normalise_country(written) is None
    assert country_name(written) is None


def test_names() -> None:
    assert country_name("ES") == "Spain"
    assert country_name("ES", "es") == "España"
    assert country_name("PT", "pt") == "Portugal"
    assert country_name("EL", "es") == country_name("GR", "es") == "Grecia"
    assert country_name("UK", "pt") == "Reino Unido"
    assert country_name("MD") == "Moldova"
    assert country_name("XK") == "Kosovo"
    assert country_name("ES", "xx") == "Spain"
