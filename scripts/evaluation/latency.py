"""How long one text takes, in alternating rounds and in processes of their own."""

import statistics
from collections.abc import Sequence

from benchmark.processes import Worker

from app.matching.onnx_export import SENTENCES
from evaluation import own
from evaluation.encoders import BASELINE_SERVED

PLAIN = "plain sentence-transformers"
TEXTS = 200
ROUNDS = 5


def texts() -> list[str]:
    """Return the 200 texts: the triples' in es, pt and en, and some of those an export is judged on."""
    return [*(text for triple in own.triples() for text in triple.texts), *SENTENCES][:TEXTS]


def single_text(encoders: Sequence[str], rounds: int = ROUNDS) -> dict[str, float]:
    """Return milliseconds for one text: the median over `texts` of each text's median over the rounds.

    Beside `encoders` the served baseline and plain sentence-transformers with the baseline's weights (fp32, torch's
    two threads) are measured. All take turns, so that a busy machine slows all of them; the first round warms up.
    """
    names = list(dict.fromkeys([*encoders, BASELINE_SERVED, PLAIN]))
    workers = {name: Worker("plain") if name == PLAIN else Worker("encoder", name) for name in names}
    spent: dict[str, list[list[float]]] = {name: [] for name in names}
    try:
        for worker in workers.values():
            worker.__enter__()
        for turn in range(rounds + 1):
            for name, worker in workers.items():
                found = worker.ask("questions", texts=texts())
                if turn:
                    spent[name].append(found)
    finally:
        for worker in workers.values():
            worker.__exit__(None, None, None)
    medians = {name: [statistics.median(one) for one in zip(*found, strict=True)] for name, found in spent.items()}
    return {name: round(1e3 * statistics.median(found), 3) for name, found in medians.items()}
