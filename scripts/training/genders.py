"""Titles for men and for women are one title: which words are the two forms of one, and which pieces share a vector.

A place for a "soldador" must find whom a place for a "soldadora" finds. Training alone brings the two near; sharing a
vector makes them the same.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from tokenizers import Tokenizer, normalizers, pre_tokenizers

from training.sources import Sources

LEAST_SHOWN: Final = 3
"""How many pairs of a language must differ by the same endings before these are taken for endings of gender."""

_ALIKE: Final = 2
_LEAST_END: Final = 3

LEAST_USUAL: Final = 10
"""How many pairs of a language must change from the same ending before other words with these endings count."""

_APART: Final = frozenset({"musica", "fisica", "politica"})
"""Names of fields that are also the form for women of who works in them, and far from it."""

_LONG: Final = 7

_NORMALIZER: Final = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
_PRE_TOKENIZER: Final = pre_tokenizers.BertPreTokenizer()


def both_genders(label: str) -> list[str]:
    """Return a label, and its halves where it names a trade for men and for women.

    >>> both_genders("director técnico/directora técnica")
    ['director técnico/directora técnica', 'director técnico', 'directora técnica']
    """
    first, _, second = label.partition("/")
    first, second = first.strip(), second.strip()
    if second and "/" not in second and _plain(first)[:_ALIKE] == _plain(second)[:_ALIKE]:
        return [label, first, second]
    return [label]


def word_pairs(sources: Sources) -> Counter[tuple[str, str]]:
    """Return (form for men, form for women) → number of titles with it; words as the tokenizer sees them."""
    found: Counter[tuple[str, str]] = Counter()
    for pairs in _by_lang(sources).values():
        shown = Counter(_endings(*pair) for pair in pairs)
        found.update({p: count for p, count in pairs.items() if shown[_endings(*p)] >= LEAST_SHOWN})
    return Counter({pair: count for pair, count in found.items() if not _APART.intersection(pair)})


def usual_pairs(sources: Sources, vocabulary: Collection[str]) -> list[tuple[str, str]]:
    """Return (piece for women, piece for men) for long pieces whose endings change as those of many titles do.

    Not for -o and -a, which tell apart too much that is no title.
    """
    usual: set[tuple[str, str]] = set()
    for pairs in _by_lang(sources).values():
        changes = Counter(_endings(*pair, before=3) for pair in pairs)
        usual.update(change for change, count in changes.items() if count >= LEAST_USUAL and not _vowels(change))
    pieces = [piece for piece in vocabulary if len(piece.removeprefix("##")) >= _LONG]
    return [
        (woman, man)
        for man in sorted(pieces)
        for end, other in sorted(usual)
        if man.endswith(end) and (woman := man.removesuffix(end) + other) in vocabulary
    ]


def _by_lang(sources: Sources) -> dict[str, Counter[tuple[str, str]]]:
    by_lang: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for concept in sources.occupations.values():
        for lang, labels in concept.labels.items():
            for label in labels:
                for pair in _differences(both_genders(label)[1:]):
                    by_lang[lang][pair] += 1
    return by_lang


def words(text: str) -> list[str]:
    """Words of a text, without case and accents."""
    return [word for word, _ in _PRE_TOKENIZER.pre_tokenize_str(_plain(text))]


def _plain(text: str) -> str:
    plain: str = _NORMALIZER.normalize_str(text)
    return plain


def end_pieces(cutter: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (piece for women, piece for men) for words that a vocabulary cuts: ("##bedienerin", "##bediener").

    Only endings of three letters and more, which are words or nearly: "##o" and "##a" stand in too much else.
    """
    found: dict[tuple[str, str], None] = {}
    for man, woman in pairs:
        last = cutter.encode(man).tokens[-1]
        end = last.removeprefix("##")
        stem = man[: len(man) - len(end)]
        if last.startswith("##") and len(end) >= _LEAST_END and woman.startswith(stem) and woman != stem:
            found["##" + woman[len(stem) :], last] = None
    return list(found)


def shared(ties: Sequence[tuple[str, str]], vocabulary: dict[str, int]) -> list[int]:
    """Return, for each piece, the number of the piece whose vector it has: the first of all that are tied to it."""
    own = list(range(len(vocabulary)))

    def root(place: int) -> int:
        while own[place] != place:
            place = own[place]
        return place

    for one, other in ties:
        if one in vocabulary and other in vocabulary:
            first, second = sorted((root(vocabulary[one]), root(vocabulary[other])))
            own[second] = first
    return [root(place) for place in own]


def _differences(halves: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(halves) == 2:
        men, women = map(words, halves)
        if len(men) == len(women):
            for man, woman in zip(men, women, strict=True):
                if man != woman and man[:_ALIKE] == woman[:_ALIKE]:
                    yield man, woman


def _vowels(change: tuple[str, str]) -> bool:
    return change[0].endswith("o") and change[1].endswith("a")


def _endings(man: str, woman: str, before: int = 0) -> tuple[str, str]:
    """Return what is left of two words without their common beginning, but for `before` letters of it.

    >>> _endings("soldador", "soldadora")
    ('', 'a')
    """
    same = 0
    while same < min(len(man), len(woman)) and man[same] == woman[same]:
        same += 1
    same = max(0, same - before)
    return man[same:], woman[same:]
