"""Encoders by name, and the vectors they gave, kept on disk.

Every text takes the service's own way: `load_embedder`, and `embed_parts` with its passages.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app.matching import onnx_export, pins
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder, load_embedder
from app.matching.types import Matrix, Vector
from evaluation.packs import PROJECT

CACHE = PROJECT / "var" / "evaluation"
BASELINE_SERVED = f"{pins.BASELINE}/int8"
"""The English model that every other is compared with, as the service would serve it."""

CHUNK = 2_500
"""Texts whose vectors are kept in one file: an interrupted run goes on behind the last full one."""

EXPORTED = "/int8"


def load(name: str) -> Embedder:
    """Load an encoder as `load_embedder` does; EmbedderError when it cannot be had.

    `default` is what the service starts with. `FOLDER/int8` is the export of a sentence-transformers folder that the
    service would make and serve; it is made on first use and kept.
    """
    if name == "default":
        return load_embedder()
    if not name.endswith(EXPORTED) or name == BASELINE_SERVED:
        return load_embedder(name)
    source = Path(name.removesuffix(EXPORTED)).resolve()
    key = onnx_export.encoder_id(source.name, onnx_export.source_files(source), onnx_export.RECIPE)
    folder = CACHE / "exports" / key
    onnx_export.ensure(source, folder, source.name)
    return load_embedder(str(folder))


class Vectors:
    """The vectors of one encoder; each is computed once and, where there is a cache, kept by the encoder's key."""

    def __init__(self, embedder: Embedder, cache: Path | None = CACHE, say: Callable[[str], object] = str) -> None:
        self.embedder = embedder
        self._say = say
        self._folder = cache / "vectors" / embedder.model_key.replace("/", "_") if cache else None
        self._known: dict[bytes, Vector] = {}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._folder.glob("*.npz")):
                with np.load(path) as kept:
                    self._known.update(zip((key.tobytes() for key in kept["keys"]), kept["vectors"], strict=True))

    def queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors (n, d) of what is sought."""
        return self._of([Parts(text=text) for text in texts], as_queries=True)

    def documents(self, texts: Sequence[str]) -> Matrix:
        """Vectors (n, d) of what is offered."""
        return self._of([Parts(text=text) for text in texts], as_queries=False)

    def profiles(self, items: Sequence[Parts]) -> Matrix:
        """Vectors (n, d) of whole profiles: title, text and extra lines."""
        return self._of(items, as_queries=False)

    def _of(self, items: Sequence[Parts], *, as_queries: bool) -> Matrix:
        keys = [_key(item, as_queries=as_queries) for item in items]
        new = {key: item for key, item in zip(keys, items, strict=True) if key not in self._known}
        todo = list(new.items())
        for start in range(0, len(todo), CHUNK):
            self._embed(todo[start : start + CHUNK], as_queries=as_queries)
        found = [self._known[key] for key in keys]
        return np.stack(found) if found else np.empty((0, self.embedder.dim), dtype=np.float32)

    def _embed(self, chunk: list[tuple[bytes, Parts]], *, as_queries: bool) -> None:
        started = time.perf_counter()
        passages = embed_parts(self.embedder, [item for _, item in chunk], as_queries=as_queries)
        vectors = np.stack([found.vector for found in passages])
        keys = [key for key, _ in chunk]
        self._known.update(zip(keys, vectors, strict=True))
        if self._folder is None:
            return
        name = hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()
        temporary = self._folder / f"{name}.tmp"
        with temporary.open("wb") as file:
            np.savez(file, keys=np.frombuffer(b"".join(keys), dtype="V16"), vectors=vectors)
        temporary.replace(self._folder / f"{name}.npz")
        if len(chunk) > 100:
            self._say(f"  embedded {len(chunk):,} texts in {time.perf_counter() - started:.0f} s")


def _key(item: Parts, *, as_queries: bool) -> bytes:
    return hashlib.blake2b(repr((as_queries, item)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
