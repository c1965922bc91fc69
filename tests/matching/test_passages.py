import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.matching.passages import Span, _sentences, split


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def pieces(texts: Sequence[str]) -> list[int]:
    """An encoder that cuts words into pieces of three characters."""
    return [sum(-(-len(word) // 3) for word in text.split()) for text in texts]


def quotes(text: str, target: int = 1, limit: int = 200) -> list[str]:
    return [text[span.start : span.end] for span in split(text, words, target=target, limit=limit)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t  ", []),
        ("Hola", ["Hola"]),
        ("  Uno dos. Tres.  ", ["Uno dos.", "Tres."]),
        ("¿Buscan socios? ¡Sí! Escriban.", ["¿Buscan socios?", "¡Sí!", "Escriban."]),
        ("Hay 52.116 habitantes. NACE 62.10 y 1,5 %.", ["Hay 52.116 habitantes.", "NACE 62.10 y 1,5 %."]),
        ("Véase el art. 5 de la Ley. Fin.", ["Véase el art. 5 de la Ley.", "Fin."]),
        ("El Dr. Pérez y la Sra. Gil. Vigo.", ["El Dr. Pérez y la Sra. Gil.", "Vigo."]),
        ("Piezas, p. ej. Ruedas. Otras.", ["Piezas, p. ej. Ruedas.", "Otras."]),
        ("Werkzeuge, z.B. Fräsen. Ende.", ["Werkzeuge, z.B. Fräsen.", "Ende."]),
        ("Am 3. Oktober 2020. Danach Ruhe.", ["Am 3. Oktober 2020.", "Danach Ruhe."]),
        ("O n.º 7 da Av. Central. Lisboa.", ["O n.º 7 da Av. Central.", "Lisboa."]),
        ("He said “stop.” Then (it ended.) Good.", ["He said “stop.”", "Then (it ended.)", "Good."]),
        ("Des «mots.» «D’autres.» Fin", ["Des «mots.»", "«D’autres.»", "Fin"]),
        ("Espera… Luego sigue... después. Ya", ["Espera…", "Luego sigue... después.", "Ya"]),
        ("Una frase. minúscula sigue. Otra", ["Una frase. minúscula sigue.", "Otra"]),
        ("IV. Prioridades. Siglo XXI. Fin", ["IV. Prioridades.", "Siglo XXI.", "Fin"]),
        ("2.1. Objetivos. Medidas", ["2.1. Objetivos.", "Medidas"]),
        ("• uno • dos\n•tres", ["• uno", "• dos", "•tres"]),
        ("línea uno\nlínea dos\r\n\r\nlínea tres", ["línea uno", "línea dos", "línea tres"]),
        ("In 2020. The end.", ["In 2020.", "The end."]),
        ("😀 Olá. 😀 Sim.", ["😀 Olá.", "😀 Sim."]),
    ],
)
def test_sentences_are_found_as_a_reader_finds_them(text: str, expected: list[str]) -> None:
    assert quotes(text) == expected


def test_whole_sentences_are_put_together_up_to_the_target() -> None:
    assert quotes("Uno dos. Tres. Cuatro cinco. Seis.", target=3) == ["Uno dos. Tres.", "Cuatro cinco. Seis."]


def test_a_sentence_between_target_and_limit_stands_alone() -> None:
    text = "Uno. Esta frase tiene seis palabras enteras. Dos."
    assert quotes(text, target=4, limit=6) == ["Uno.", "Esta frase tiene seis palabras enteras.", "Dos."]


def test_a_sentence_above_the_limit_is_cut_between_words_into_even_parts() -> None:
    text = " ".join(f"palabra{number}" for number in range(10))
    assert words(quotes(text, target=4, limit=8)) == [5, 5]


def test_a_word_above_the_limit_is_cut_between_characters() -> None:
    text = "Antes " + "x" * 70 + " después."
    cut = [text[s.start : s.end] for s in split(text, pieces, target=5, limit=10)]
    assert "".join(cut).replace(" ", "") == text.replace(" ", "")
    assert len(cut) > 7
    assert max(pieces(cut)) <= 10


def test_what_an_encoder_takes_for_one_token_is_still_cut_to_be_read() -> None:
    spans = split("x" * 20_000, lambda texts: [1] * len(texts), target=64, limit=256)
    assert max(span.end - span.start for span in spans) <= 256


def test_offsets_are_code_points() -> None:
    assert split("😀😀. Más", words, target=1) == [Span(0, 3), Span(4, 7)]


def test_tokens_are_counted_in_few_calls() -> None:
    calls: list[int] = []

    def counted(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return pieces(texts)

    split("Una frase. " * 100, counted)
    assert len(calls) == 1
    split("palabra " * 1000 + "x" * 3000, counted)
    assert len(calls) == 4


@pytest.mark.parametrize(("target", "limit"), [(0, 5), (6, 5), (-1, -1)])
def test_senseless_sizes_are_refused(target: int, limit: int) -> None:
    with pytest.raises(ValueError, match="target and limit"):
        split("texto", words, target=target, limit=limit)


@pytest.mark.parametrize(
    "unit", ["a", ".", ".)", "• ", "a. ", "\n", "(", ")", "x ", "中", "😀", "A. B? ", "«", "1.", "..", "¿?", ". . "]
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (80_000 // len(unit))
    start = time.process_time()
    split(text, pieces)
    assert time.process_time() - start < 4


texts = st.one_of(
    st.text(),
    st.text(alphabet="aB1.?!…•\n \u00a0\u2028\x1c\x85¿«»()\"'😀é,-", max_size=400),
    st.lists(st.sampled_from(["Uno", "dos.", "art.", "5", "¿Qué?", "•", "\n", "x" * 40, " ", "p. ej."])).map(" ".join),
)


@settings(deadline=None)
@given(text=texts, target=st.integers(1, 12), more=st.integers(0, 20))
def test_spans_cover_every_character_once_and_in_order(text: str, target: int, more: int) -> None:
    limit = target + more
    spans = split(text, pieces, target=target, limit=limit)
    covered = [place for span in spans for place in range(span.start, span.end)]
    assert len(covered) == len(set(covered))
    assert covered == sorted(covered)
    left = set(range(len(text))) - set(covered)
    assert all(text[place].isspace() for place in left)
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        quote = text[span.start : span.end]
        assert quote == quote.strip()
        assert pieces([quote])[0] <= limit
    for first, second in pairwise(spans):
        assert first.end <= second.start
    assert spans == split(text, pieces, target=target, limit=limit)


@given(st.text("ab C.?!…•\n\r\u2028\x1c \t\"'", max_size=12))
def test_a_text_that_plainly_is_one_sentence_is_cut_as_any_other(text: str) -> None:
    """The short way for most questions says what the long way says: a sentence put before it only takes that."""
    found = [(span.start, span.end) for span in _sentences(text)]
    before = "X.\n"
    longer = [(span.start, span.end) for span in _sentences(before + text)]
    assert longer == [(0, 2), *((start + len(before), end + len(before)) for start, end in found)]
