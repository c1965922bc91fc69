"""A vocabulary for twelve languages on the English model's, and embeddings for the new pieces.

The English word pieces in Latin script keep their vectors, so that English text is cut as before. New pieces begin as
the average of the English pieces that they are translated by: the probabilities come from IBM Model 1 (Brown et al.
1993) over the parallel texts; the idea from trans-tokenisation (Remy et al. 2024, arXiv 2408.04303). The network is
cross-lingual to a degree before its first step.
"""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from training import genders
from training.network import Network, copy_shell, write_json
from training.sources import Sources

SIZE: Final = 92_000
"""Pieces: 35 million weights, a byte each in what is shipped."""

TITLE_WORDS: Final = 10_000
"""The most words that have a form for men and one for women and are pieces of their own."""

_LATIN: Final = re.compile(r"(##)?[\x20-\x7e\u00a0-\u024f\u2010-\u2027\u2030-\u203a\u20ac\u2122]+")
_SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CANDIDATES: Final = 160_000
_ROUNDS: Final = 6
_MOST_PIECES: Final = 40


def build(teacher: Path, destination: Path, sources: Sources, seed: int) -> dict[str, int]:
    """Write `destination`: the teacher with our vocabulary. Returns counts for the model card."""
    english = Network(teacher)
    old = english.tokenizer.get_vocab()
    texts = parallel_texts(sources, random.Random(seed))  # noqa: S311  chooses labels, guards nothing
    kept = list(_SPECIAL) + [
        piece
        for piece, _ in sorted(old.items(), key=lambda item: item[1])
        if _LATIN.fullmatch(piece) and not piece.startswith("[unused") and piece not in _SPECIAL
    ]
    added, ties = _choose(kept, sources, {lang: [text for text, _ in pairs] for lang, pairs in texts.items()})
    vocabulary = kept + added
    copy_shell(teacher, destination)
    _write_tokenizer(teacher, destination, vocabulary)

    tokenizer = Tokenizer.from_file(str(destination / "tokenizer.json"))
    table = english.table.detach().numpy()
    fresh = np.empty((len(vocabulary), table.shape[1]), dtype=np.float32)
    for place, piece in enumerate(kept):
        fresh[place] = table[old[piece]]
    first = len(kept)
    sums, weights = _translated(texts, tokenizer, english.tokenizer, table, first, len(vocabulary))
    spelt = 0
    for place in range(first, len(vocabulary)):
        if weights[place - first] > 0:
            fresh[place] = sums[place - first] / weights[place - first]
        else:  # never aligned: as the English pieces that spell it
            spelt += 1
            word = vocabulary[place].removeprefix("##")
            fresh[place] = table[english.tokenizer.encode(word, add_special_tokens=False).ids].mean(axis=0)
    same = np.array(genders.shared(ties, tokenizer.get_vocab()))
    for root in np.unique(same[same != np.arange(len(same))]):
        if root >= first:  # the forms of a word are what their translations are together
            forms = np.flatnonzero(same == root)
            fresh[root] = (fresh[forms] * (weights[forms - first, None] + 1)).sum(axis=0)
    # An average is shorter than what it averages: give new pieces the usual length.
    lengths = np.linalg.norm(fresh, axis=1, keepdims=True)
    usual = np.median(lengths[len(_SPECIAL) : first])
    fresh[first:] *= usual / lengths[first:]
    fresh = fresh[same]
    english.model.resize_token_embeddings(len(vocabulary), mean_resizing=False)
    with torch.no_grad():
        english.table.copy_(torch.from_numpy(fresh))
    english.model.embeddings.word_embeddings.padding_idx = None
    english.save_weights(destination)
    tied = int((same != np.arange(len(same))).sum())
    return {"pieces": len(vocabulary), "from_english": first, "added": len(added), "spelt": spelt, "tied": tied}


def parallel_texts(sources: Sources, chance: random.Random) -> dict[str, list[tuple[str, str]]]:
    """Language → (text, English text) from the parallel texts and from the labels of each concept."""
    texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in sources.pairs:
        texts[pair.lang].append((pair.text, pair.english))
    for concept in (*sources.occupations.values(), *sources.skills.values()):
        english = concept.labels["en"]
        for lang, labels in concept.labels.items():
            if lang != "en":
                # The preferred label translates the preferred one; which alternative belongs to which is not known.
                texts[lang].append((labels[0], english[0]))
                texts[lang].extend((label, chance.choice(english)) for label in labels[1:])
        for lang, description in concept.descriptions.items():
            if lang != "en":
                texts[lang].append((description, concept.descriptions["en"]))
    return texts


def _choose(
    kept: Sequence[str], sources: Sources, texts: dict[str, list[str]]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Choose the new pieces; return them, and the pairs of pieces that share a vector (`genders`)."""
    by_use = sorted(genders.word_pairs(sources).items(), key=lambda item: (-item[1], len(item[0][0]), item[0]))
    pairs = [pair for pair, _ in by_use]
    known = set(kept)
    titles = [word for word in dict.fromkeys(word for pair in pairs for word in pair) if word not in known]
    titles = titles[:TITLE_WORDS]
    ranked = _ranked(kept, titles, texts)
    cut = genders.end_pieces(_cutter([*kept, *titles, *ranked[: SIZE - len(kept) - len(titles)]]), pairs)
    ends = [piece for piece in dict.fromkeys(woman for woman, _ in cut) if piece not in known]
    first = list(dict.fromkeys([*titles, *ends]))
    taken = known.union(first)
    others = [piece for piece in ranked if piece not in taken]
    added = sorted([*first, *others[: SIZE - len(kept) - len(first)]])
    ties = [(woman, man) for man, woman in pairs] + cut + genders.usual_pairs(sources, {*kept, *added})
    return added, list(dict.fromkeys(ties))


def _ranked(kept: Sequence[str], wanted: Sequence[str], texts: dict[str, list[str]]) -> list[str]:
    """Pieces by what they save, every language counting alike but for the square root of its size."""
    trained = _cutter(())
    # Small languages are repeated: otherwise only the pieces of the large ones would be merged.
    most = max(len(own) for own in texts.values())
    balanced = (text for _, own in sorted(texts.items()) for text in own * max(1, int((most / len(own)) ** 0.5)))
    trainer = trainers.WordPieceTrainer(
        vocab_size=_CANDIDATES, min_frequency=3, special_tokens=list(_SPECIAL), show_progress=False
    )
    trained.train_from_iterator(balanced, trainer)
    known = {*kept, *wanted}
    candidates = [piece for piece in trained.get_vocab() if piece not in known and _LATIN.fullmatch(piece)]
    pieces = [*kept, *wanted, *sorted(candidates)]
    cutter = _cutter(pieces)
    score: Counter[int] = Counter()
    for own in texts.values():
        used = Counter(number for encoding in cutter.encode_batch_fast(own) for number in encoding.ids)
        scale = sum(used.values()) ** 0.5
        for number, count in used.items():
            score[number] += count / scale
    best = sorted((number for number in score if number >= len(known)), key=lambda n: (-score[n], pieces[n]))
    return [pieces[number] for number in best]


def _cutter(pieces: Sequence[str]) -> Tokenizer:
    """Return a tokenizer with these pieces, without marks around a text."""
    numbers = {piece: number for number, piece in enumerate(pieces)}
    cutter = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))  # noqa: S106  a word piece
    cutter.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    cutter.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return cutter


def _write_tokenizer(teacher: Path, destination: Path, vocabulary: Sequence[str]) -> None:
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = json.loads((teacher / "tokenizer.json").read_text("utf-8"))
    tokenizer["model"]["vocab"] = numbers
    tokenizer["added_tokens"] = [
        token | {"id": numbers[token["content"]]} for token in tokenizer["added_tokens"] if token["content"] in numbers
    ]
    for name, entry in tokenizer["post_processor"].get("special_tokens", {}).items():
        entry["ids"] = [numbers[name]]
    for name in ("sep", "cls"):
        if name in tokenizer["post_processor"]:
            tokenizer["post_processor"][name][1] = numbers[tokenizer["post_processor"][name][0]]
    tokenizer["padding"] = tokenizer["truncation"] = None
    (destination / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
    (destination / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary), "utf-8")
    config = json.loads((teacher / "config.json").read_text("utf-8"))
    write_json(destination / "config.json", config | {"vocab_size": len(vocabulary), "pad_token_id": 0})


def _translated(
    texts: dict[str, list[tuple[str, str]]],
    tokenizer: Tokenizer,
    english: Tokenizer,
    table: NDArray[np.float32],
    first: int,
    size: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return sums of English vectors by expected counts, for each new piece, over all languages; and the counts."""
    sums = np.zeros((size - first, table.shape[1]), dtype=np.float32)
    weights = np.zeros(size - first, dtype=np.float32)
    for pairs in texts.values():
        foreign, native, expected = align(
            _ids(tokenizer, (text for text, _ in pairs)), _ids(english, (text for _, text in pairs)), len(table)
        )
        new = foreign >= first
        np.add.at(sums, foreign[new] - first, expected[new, None] * table[native[new]])
        np.add.at(weights, foreign[new] - first, expected[new])
    return sums, weights


def _ids(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    tokenizer.no_truncation()
    return [
        encoding.ids[:_MOST_PIECES] for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]


def align(
    foreign: Sequence[Sequence[int]], native: Sequence[Sequence[int]], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """IBM Model 1 without the empty word: pairs (foreign piece, native piece) and how often one stands for the other.

    `size`: number of native pieces. Pairs that explain less than a twentieth of a piece are dropped, and what is left
    is squared into the more certain ones.
    """
    left, right, owner = [], [], []
    count = 0
    for own, other in zip(foreign, native, strict=True):
        if own and other:
            left.append(np.repeat(np.array(own), len(other)))
            right.append(np.tile(np.array(other), len(own)))
            owner.append(count + np.repeat(np.arange(len(own)), len(other)))
            count += len(own)
    f, e, place = (np.concatenate(part).astype(np.int64) for part in (left, right, owner))
    keys, key = np.unique(f * size + e, return_inverse=True)
    of_native = keys % size
    chance = np.full(len(keys), 1.0)
    expected = chance
    for _ in range(_ROUNDS):
        each = chance[key]
        each /= np.bincount(place, each, minlength=count)[place]
        expected = np.bincount(key, each, minlength=len(keys))
        chance = expected / np.bincount(of_native, expected, minlength=size)[of_native]
    of_foreign = keys // size
    share = expected / np.bincount(of_foreign, expected)[of_foreign]
    certain = share > 0.05
    return of_foreign[certain], of_native[certain], (expected * share)[certain].astype(np.float32)
