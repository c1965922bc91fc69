import pytest

from app.taxonomy import nace


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("62.10", "62.10"),
        ("6210", "62.10"),
        ("62.1", "62.1"),
        ("621", "62.1"),
        ("62", "62"),
        ("K", "K"),
        ("k", "K"),
        (" K62.10 ", "62.10"),
        ("K 62", "62"),
        ("01.11", "01.11"),
        ("1.11", "01.11"),
        ("1", "01"),
        ("0111", "01.11"),
    ],
)
def test_normal_form_in_revision_2_1(written: str, normal: str) -> None:
    assert nace.normalise_nace(written) == normal
    assert nace.is_nace(written, "2.1")


@pytest.mark.parametrize(
    "written",
    ["", ".", "62.", "99.99", "Z", "J62.10", "62.101", "62 10", "6210x", "0", "٦٢", "JK", "62.1O", "111"],
)
def test_what_is_no_code(written: str) -> None:
    assert nace.normalise_nace(written) is None
    assert not nace.is_nace(written)
    assert nace.nace_label(written) is None
    assert nace.nace_section(written) is None


def test_revisions_differ() -> None:
    assert nace.is_nace("62.01", "2.0")
    assert not nace.is_nace("62.01", "2.1")
    assert nace.is_nace("62.10", "2.1")
    assert not nace.is_nace("62.10", "2.0")
    assert nace.nace_section("62", "2.0") == "J"
    assert nace.nace_section("62", "2.1") == "K"
    assert nace.nace_section("K") == "K"


def test_an_unknown_revision_has_no_codes() -> None:
    assert not nace.is_nace("62", "1.1")
    assert nace.normalise_nace("62", "21") is None


def test_labels() -> None:
    assert nace.nace_label("6210") == "Computer programming activities"
    assert nace.nace_label("A", "2.0") == "Agriculture, forestry and fishing"
    assert nace.nace_label("62", "1.1") is None
