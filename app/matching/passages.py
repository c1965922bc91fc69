"""A text becomes passages: whole sentences, or groups of them, that fit an encoder's window, with their places.

The spans of a text cover every character that is not space exactly once, in order: nothing is left out, so
nothing is truncated silently. Everything here is linear in the length of the text, whatever the text.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final, TypeAlias

_WORD: Final = re.compile(r"[•‣▪●◦]|[^\s•‣▪●◦]+")
"""A bullet, or a run without space and bullets."""

_BULLETS: Final = frozenset("•‣▪●◦")
_ENDS: Final = ".?!…"
_CLOSERS: Final = "\"'»“”’)]}"
_OPENERS: Final = "\"'«“‘„([{¿¡-–—"
_LINE_BREAK: Final = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

_MAY_END: Final = re.compile("[.?!…•‣▪●◦\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Without any of these a text is one sentence."""

_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)+")
"""`J.`, `p.`, `S.A.`, `z.B.`: single letters, each with its full stop."""

_ORDINAL: Final = re.compile(r"\d{1,2}\.")
"""`3. Oktober`, `1. Objetivos`; a longer number before a full stop is a quantity or a year."""

_HEADING_NUMBER: Final = re.compile(r"[ivx]{1,5}\.|\d+(?:\.\d+)*\.")
"""`IV.`, `2.1.`: counts as one only where a sentence begins (`siglo XXI.` ends one)."""

_ABBREVIATIONS: Final = frozenset(
    re.findall(
        r"\S+",
        # Iberian languages; English; French and Italian; the others
        """
        sr. sra. srta. srs. sres. dr. dra. drs. dña. ud. uds. prof. profa. eng. ing. lic. excmo. excma. ilmo.
        ilma. art. arts. núm. num. nº. pág. págs. pag. cap. vol. fig. ed. apdo. avda. av. ctra. tel. telf.
        tfno. aprox. máx. mín. max. min. ej. ex. cf. cfr. vid. incl. excl. ref. depto. dpto. admón. gob. cía.
        hnos. ee. rr. ff. aa. st. sta. sto.
        mr. mrs. ms. messrs. jr. nos. vs. viz. al. dept. approx. gov. ch. pp. jan. feb. apr. aug. sept. oct.
        mme. mlle. mm. env. chap. resp. sig. sigg. dott. pagg. nn.
        bzw. ca. nr. inkl. exkl. ggf. vgl. evtl. sog. abs. bd. hrsg. str. mio. mrd. tsd. allg. bijv. dhr.
        mevr. tzn. np. tj. ul. tzv. napr. např. kpl. esim. t.ex. bl.a. f.eks.
        """,
    )
)
"""What a full stop ends without ending a sentence; not words that often end one (`etc.`, `usw.`, `no.`)."""

_CHARACTERS_PER_TOKEN: Final = 32
"""A piece counts at least as many tokens as its characters by this: an encoder takes an unknown word, however
long, for one token and a run of space for none, and a passage is also something to be read."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a text, counted in Python code points."""

    start: int
    end: int


_Piece: TypeAlias = tuple[Span, int]
"""A span and what it counts, in tokens."""

_Counter: TypeAlias = Callable[[Sequence[str]], list[int]]


def split(text: str, count_tokens: _Counter, *, target: int = 64, limit: int = 254) -> list[Span]:
    """Cut a text into passages of about `target` tokens and never more than `limit`.

    Whole sentences are put together up to `target`; a longer sentence stands alone, and one above `limit` is
    cut between words into parts of about equal size (a word above `limit`, between characters).
    `count_tokens` gives the tokens of each text of a list; it is called once, twice with an overlong
    sentence, three times with an overlong word. Tokens are taken to add up over words, as those of every
    encoder that separates words do. The default of `limit` is what the default encoder's window of 256 leaves
    beside its two marks. ValueError unless 1 ≤ target ≤ limit; no span for a text of space alone.
    """
    if not 1 <= target <= limit:
        raise ValueError(f"target and limit must be 1 <= target <= limit, not {target} and {limit}")
    sentences = _measured(text, _sentences(text), count_tokens)
    pieces = _within(limit, text, sentences, count_tokens, (_words, _characters))
    return [span for span, _ in _joined(pieces, target)]


def sentences(text: str, count_tokens: _Counter, *, least: int = 16, limit: int = 254) -> list[Span]:
    """Cut a text into its sentences; one below `least` tokens is put together with those that follow it.

    So a list of short lines becomes a few passages that say something. Where a passage ends depends on nothing behind
    it: without one of the passages the text has the same others. Otherwise as `split`.
    """
    if not 1 <= least <= limit:
        raise ValueError(f"least and limit must be 1 <= least <= limit, not {least} and {limit}")
    measured = _measured(text, _sentences(text), count_tokens)
    pieces = _within(limit, text, measured, count_tokens, (_words, _characters))
    result: list[_Piece] = []
    for span, tokens in pieces:
        if result and result[-1][1] < least and result[-1][1] + tokens <= limit:
            last, before = result.pop()
            result.append((Span(last.start, span.end), before + tokens))
        else:
            result.append((span, tokens))
    return [span for span, _ in result]


def _sentences(text: str) -> Iterator[Span]:
    """Spans of the sentences; line breaks and bullets end a sentence as full stops do."""
    end = len(text.rstrip())
    # A full stop that stands last ends nothing but the text; a bullet there is a piece of its own.
    if end and not _MAY_END.search(text, 0, end - 1) and text[end - 1] not in _BULLETS:
        yield Span(len(text) - len(text.lstrip()), end)
        return
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return
    start = words[0][0]
    for (left, right), (after, to) in pairwise(words):
        if _ends(text[left:right], text[right:after], text[after:to], opening=left == start):
            yield Span(start, right)
            start = after
    yield Span(start, words[-1][1])


def _ends(word: str, gap: str, following: str, *, opening: bool) -> bool:
    """Whether a sentence ends between two neighbouring words; `opening`: the first of them begins it."""
    if following in _BULLETS or _LINE_BREAK.search(gap):
        return word not in _BULLETS
    core = word.rstrip(_CLOSERS)
    if not gap or not core or core[-1] not in _ENDS or following.lstrip(_OPENERS)[:1].islower():
        return False
    if core[-1] != "." or core.endswith(".."):
        return True
    core = core.lstrip(_OPENERS).casefold()
    if opening and _HEADING_NUMBER.fullmatch(core):
        return False
    return not (core in _ABBREVIATIONS or _INITIALS.fullmatch(core) or _ORDINAL.fullmatch(core))


def _words(text: str, span: Span) -> Iterator[Span]:
    return (Span(*match.span()) for match in _WORD.finditer(text, span.start, span.end))


def _characters(_text: str, span: Span) -> Iterator[Span]:
    return (Span(place, place + 1) for place in range(span.start, span.end))


def _measured(text: str, spans: Iterable[Span], count_tokens: _Counter) -> list[_Piece]:
    spans = list(spans)
    tokens = count_tokens([text[span.start : span.end] for span in spans]) if spans else []
    return [
        (span, max(count, ceil((span.end - span.start) / _CHARACTERS_PER_TOKEN)))
        for span, count in zip(spans, tokens, strict=True)
    ]


def _within(
    limit: int,
    text: str,
    pieces: list[_Piece],
    count_tokens: _Counter,
    cuts: tuple[Callable[[str, Span], Iterator[Span]], ...],
) -> list[_Piece]:
    """Cut the pieces above `limit` by the first of `cuts`, and what is then still above it by the next."""
    overlong = [span for span, tokens in pieces if tokens > limit]
    if not overlong or not cuts:
        return pieces
    parts = _measured(text, (part for span in overlong for part in cuts[0](text, span)), count_tokens)
    queue = deque(_within(limit, text, parts, count_tokens, cuts[1:]))
    result: list[_Piece] = []
    for span, tokens in pieces:
        if tokens <= limit:
            result.append((span, tokens))
            continue
        own: list[_Piece] = []
        while queue and queue[0][0].start < span.end:
            own.append(queue.popleft())
        total = sum(count for _, count in own)
        result += _joined(own, ceil(total / ceil(total / limit)))
    return result


def _joined(pieces: Iterable[_Piece], target: int) -> list[_Piece]:
    """Put neighbours together as long as they have at most `target` tokens together."""
    result: list[_Piece] = []
    for span, tokens in pieces:
        if result and result[-1][1] + tokens <= target:
            last, before = result.pop()
            result.append((Span(last.start, span.end), before + tokens))
        else:
            result.append((span, tokens))
    return result
