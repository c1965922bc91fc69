import pytest

from app.taxonomy import codes
from app.taxonomy.codes import IndustrialEcosystem, LabelLevel


def test_the_fourteen_ecosystems() -> None:
    assert " ".join(IndustrialEcosystem) == (
        "aerospace-defence agri-food construction cultural-creative digital electronics energy-intensive "
        "energy-renewables health mobility-transport-automotive proximity-social-economy retail textiles "
        "tourism"
    )


@pytest.mark.parametrize("lang", ["en", "es", "pt"])
def test_every_ecosystem_has_its_own_label(lang: str) -> None:
    assert len({ecosystem.label(lang) for ecosystem in IndustrialEcosystem}) == 14


def test_ecosystem_labels() -> None:
    assert IndustrialEcosystem("agri-food").label("es") == "Agroalimentario"
    assert IndustrialEcosystem.HEALTH.label("pt") == "Saúde"
    assert IndustrialEcosystem.HEALTH.label("fi") == "Health"


def test_eqf_bounds() -> None:
    assert (codes.EQF_MIN, codes.EQF_MAX) == (1, 8)
    assert [int(level) for level in codes.EqfLevel] == list(range(1, 9))


def test_closed_lists() -> None:
    assert list(codes.DualRegime) == ["general", "intensivo"]
    assert list(codes.Mode) == ["on_site", "hybrid", "online"]
    assert list(codes.ProgrammeType) == ["training_cycle", "specialisation", "bootcamp", "course", "event"]
    assert list(codes.CooperationType) == ["BO", "BR", "TO", "TR", "RDR"]
    assert list(codes.S3Axis) == ["economic", "scientific", "objective"]
    assert list(codes.FpGrade) == ["A", "B", "C", "D", "E"]


def test_label_levels_are_ordered_by_worth_not_by_letter() -> None:
    bronze, silver, gold = LabelLevel
    assert bronze < silver < gold
    assert gold > silver > bronze
    assert gold >= LabelLevel("gold") >= silver
    assert bronze <= LabelLevel("bronze") <= silver
    assert not gold < silver
    assert max(LabelLevel) is gold
    assert sorted([gold, bronze, silver]) == [bronze, silver, gold]
    assert silver < "gold"
    assert [level.rank for level in LabelLevel] == [1, 2, 3]
    assert {LabelLevel.GOLD: 1}["gold"] == 1
    with pytest.raises(ValueError, match="copper"):
        assert silver < "copper"


@pytest.mark.parametrize("code", ["00", "06", "10", "061", "0613", "0611", "104", "1041", "018", "070", "0888"])
def test_isced_f(code: str) -> None:
    assert codes.is_isced_f(code)
    assert codes.isced_f_label(code)


@pytest.mark.parametrize(
    "code", ["", "6", "11", "99", "065", "0651", "06130", "O6", "6.1", "\u0661\u0660", " 06", "105"]
)
def test_what_is_no_isced_f(code: str) -> None:
    assert not codes.is_isced_f(code)
    assert codes.isced_f_label(code) is None


def test_isced_f_labels() -> None:
    assert codes.isced_f_label("07") == "Engineering, manufacturing and construction"
    assert codes.isced_f_label("0713") == "Engineering"
    assert codes.isced_f_label("078") == "Engineering, manufacturing and construction, interdisciplinary"
    assert set(code[:2] for code in codes.ISCED_F_NARROW) == set(codes.ISCED_F_BROAD)  # noqa: C401
