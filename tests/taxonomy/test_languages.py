from concurrent.futures import ThreadPoolExecutor

import pytest

from app.taxonomy import languages
from app.taxonomy.languages import detect_language, language_name, normalise_language, primary


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("es", "es"),
        ("ES", "es"),
        ("pt-PT", "pt-PT"),
        ("pt_pt", "pt-PT"),
        (" ca ", "ca"),
        ("spa", "es"),
        ("ast", "ast"),
        ("en-UK", "en-GB"),
        ("el-EL", "el-GR"),
        ("es-419", "es-419"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("sr-Cyrl", "sr-Cyrl"),
        ("no", "no"),
    ],
)
def test_normal_form(written: str, normal: str) -> None:
    assert normalise_language(written) == normal
    assert normalise_language(normal) == normal


@pytest.mark.parametrize(
    "written",
    [
        "",
        "-",
        "e",
        "xx",
        "zz-ES",
        "es-",
        "es--ES",
        "es-ZZ",
        "es-ES-x",
        "english",
        "es-Xxxx",
        "es-1",
        "e5",
        "es-é1",
        "ñ",
    ],
)
def test_what_is_no_tag(written: str) -> None:
    assert normalise_language(written) is None
    assert primary(written) is None
    assert language_name(written) is None


def test_primary_and_name() -> None:
    assert primary("pt-PT") == "pt"
    assert primary("spa") == "es"
    assert language_name("pt-PT") == "Portuguese"
    assert language_name("gl") == "Galician"
    assert language_name("ast") == "Asturian"


TEXTS = {
    "es": "Buscamos personas tituladas en sistemas microinformáticos y redes para nuestro almacén de Málaga.",
    "pt": "Procuramos técnicos de manutenção industrial para a nossa fábrica do Norte.",
    "en": "We are looking for trainees who can maintain the machines of our sawmill.",
    "ca": "Cerquem alumnes de formació professional per treballar en el manteniment dels equips.",
    "gl": "Buscamos persoas que coñezan o cultivo do mexillón e queiran traballar nas nosas bateas.",
    "eu": "Gure enpresak mekanizazioko ikasleak behar ditu urtarriletik aurrera.",
    "fr": "Nous cherchons des apprentis pour l'entretien de nos machines agricoles.",
    "no": "Vi søker elever som vil lære å vedlikeholde maskinene på sagbruket vårt.",
    "mt": "Qegħdin infittxu studenti li jixtiequ jitgħallmu jaħdmu magħna fil-fabbrika.",
    "el": "Αναζητούμε μαθητευόμενους για τη συντήρηση των μηχανημάτων μας.",
}


@pytest.mark.parametrize("lang", TEXTS)
def test_detects(lang: str) -> None:
    found = detect_language(TEXTS[lang])
    assert found is not None
    assert found[0] == lang
    assert languages.MIN_PROBABILITY <= found[1] <= 1


def test_capitals_and_length_do_not_matter() -> None:
    assert detect_language("MANTENIMIENTO DE REDES") == detect_language("mantenimiento de redes")
    long = detect_language(TEXTS["pt"] * 5_000)
    assert long is not None
    assert long[0] == "pt"


@pytest.mark.parametrize(
    "text", ["", "   ", "12345", "3,5 % - 2030", "€ !!!", "FP", "ok", "Java", "soldador", "日本語の文章"]
)
def test_what_does_not_say(text: str) -> None:
    assert detect_language(text) is None


def test_a_broken_character_is_no_error() -> None:
    assert detect_language("\ud800\udfff \x00") is None
    found = detect_language(TEXTS["es"] + "\ud800")
    assert found is not None
    assert found[0] == "es"


def test_threads_load_one_model_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build() -> object:
        built.append(1)
        return original()

    original = languages._build_detector
    monkeypatch.setattr(languages, "_build_detector", build)
    monkeypatch.setattr(languages, "_detector_loaded", [])
    texts = list(TEXTS.values()) * 20
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(detect_language, texts))
    assert parallel == [detect_language(text) for text in texts]
    languages.load_detector()
    assert len(built) == 1


def test_only_our_languages_are_answered() -> None:
    detector = languages._detector()
    assert {"nn"} | languages.DETECTABLE == set(detector.labels)
