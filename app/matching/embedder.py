"""Texts become vectors: the `Embedder` protocol, three implementations and `load_embedder`.

Importing this module loads neither torch nor transformers; only making a `SentenceTransformerEmbedder` does.
"""

import functools
import hashlib
import math
import os
import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.matching import onnx_export, pins
from app.matching.beside import Beside, read_beside
from app.matching.letters import plain
from app.matching.onnx_export import EmbedderError as EmbedderError  # noqa: PLC0414  also known here
from app.matching.pins import BASELINE, PinnedModel
from app.matching.types import FieldReader, Matrix, PhraseMover

MODEL_VARIABLE: Final = "PUENTE_MODEL"
CACHE_VARIABLE: Final = "PUENTE_MODEL_CACHE"

_PROJECT: Final = Path(__file__).resolve().parents[2]
_LENGTH_TOLERANCE: Final = 1e-3


class Embedder(Protocol):
    """Turns texts into vectors of length 1. Every method may be called from several threads at once."""

    @property
    def model_key(self) -> str:
        """Who made the vectors, e.g. `all-MiniLM-L6-v2@1a2b3c4d/onnx-int8`; different keys never compare."""

    @property
    def dim(self) -> int:
        """Number of columns of an embedding."""

    @property
    def max_tokens(self) -> int:
        """The most tokens, as `count_tokens` counts them, that one embedding sees; the rest is ignored."""

    @property
    def fields(self) -> FieldReader | None:
        """Reads which fields of intervention a text speaks of off its vector; None where nothing was fitted to it."""

    @property
    def phrases(self) -> PhraseMover | None:
        """Moves a phrase's vector to where the skill stands that it speaks of; None where nothing was fitted to it."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the encoder's own marks and without truncation."""

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embeddings of what is sought, (n, d)."""

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Embeddings of what is offered, (n, d); uses every core that the encoder was given."""


def load_embedder(name_or_path: str | None = None) -> Embedder:
    """Load an encoder by name or path; without one, what PUENTE_MODEL says, else the default.

    The default is the int8 export of our own encoder in `models/`, made on first use (about ten seconds) under
    `var/models` or PUENTE_MODEL_CACHE. `hash` is the encoder without a model; `all-MiniLM-L6-v2` the English
    baseline in fp32 by sentence-transformers, `all-MiniLM-L6-v2/int8` its export; a folder made by
    `app.matching.onnx_export` is served by onnxruntime; anything else is a sentence-transformers folder, or a name
    on the Hugging Face hub. EmbedderError when it cannot be had.
    """
    wanted = name_or_path or os.environ.get(MODEL_VARIABLE)
    if not wanted:
        return _exported(pins.shipped())
    if wanted == "hash":
        return HashEmbedder()
    if wanted.removeprefix("sentence-transformers/") == BASELINE:
        return SentenceTransformerEmbedder(pins.baseline().folder, name=BASELINE)
    if wanted == f"{BASELINE}/int8":
        return _exported(pins.baseline())
    if (Path(wanted) / onnx_export.MODEL_FILE).is_file():
        return OnnxEmbedder(wanted)
    return SentenceTransformerEmbedder(wanted)


class OnnxEmbedder:
    """An exported encoder on onnxruntime: a tenth of a second to load, no torch.

    `folder` was made by `app.matching.onnx_export`; its files are compared with its manifest (EmbedderError).
    At most `sessions` texts are encoded at the same time, each on one core, in the order of arrival, so that a
    question waits for one text of an import and not for all of it. Texts are encoded one by one, so a text has the
    same vector, bit for bit, in any company (`onnx_export`).
    """

    def __init__(self, folder: str | Path, sessions: int = 2) -> None:
        folder = Path(folder)
        export = onnx_export.read_manifest(folder)
        self.model_key = export.encoder_id
        self.dim = export.dim
        self.max_tokens = export.max_tokens
        self.fields, self._groups, self.phrases = _beside(folder, self.dim)
        # Its settings are never changed after this, which is what makes sharing it between threads safe.
        self._tokenizer = Tokenizer.from_file(str(folder / onnx_export.TOKENIZER_FILE))
        # A question is counted and then encoded: it is read once.
        self._read = functools.lru_cache(maxsize=8)(functools.partial(self._tokenizer.encode, add_special_tokens=False))
        self._session = _one_thread_session(folder / onnx_export.MODEL_FILE)
        self._sessions = sessions
        self._turns = _Turns(sessions)
        self._helpers = ThreadPoolExecutor(max(sessions - 1, 1), thread_name_prefix="embed")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the encoder's own marks and without truncation."""
        return [len(self._read(texts[0]))] if len(texts) == 1 else _count(self._tokenizer, texts)

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d); what is free of the cores right now is shared, as by the sentences of one question."""
        return self._embed(texts, self._turns.free)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d), on as many cores as there are sessions; waits as long as it takes."""
        return self._embed(texts, self._sessions)

    def _embed(self, texts: Sequence[str], threads: int) -> Matrix:
        """Return embeddings (n, d), made by the calling thread and by helpers, up to `threads` of them together."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        # The longest come first (they are popped from the end), so that the threads finish together.
        todo = sorted(range(len(texts)), key=lambda row: len(texts[row]))

        def work() -> None:
            while True:
                try:
                    row = todo.pop()
                except IndexError:
                    return
                tokens = self._tokens(texts[row])
                with self._turns.turn():
                    vectors[row] = self._run(tokens)

        helpers = [self._helpers.submit(work) for _ in range(min(threads, len(texts)) - 1)]
        try:
            work()
        finally:
            todo.clear()  # after an error or an interrupt nobody begins another text
        for helper in helpers:
            if not helper.cancel():  # one that is busy elsewhere never began
                helper.result()
        return _checked(vectors)

    def _tokens(self, text: str) -> NDArray[np.int64]:
        """Token ids with the encoder's marks, (1, tokens), cut at the window."""
        encoding = self._read(text)
        if len(encoding) > self.max_tokens:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)  # its own: it is changed
            encoding.truncate(self.max_tokens)
        return np.array([self._tokenizer.post_process(encoding).ids], dtype=np.int64)

    def _run(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._session.run(["embedding"], {"input_ids": tokens})[0][0]
        return vector if self._groups is None else self._groups.drawn(vector)


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, on torch; one thread encodes at a time.

    A folder must be complete (EmbedderError; the library would quietly put mean pooling on top of anything);
    a name is taken from the Hugging Face hub or its local cache. `name` replaces the folder's in `model_key`.
    """

    def __init__(self, path_or_name: str | Path, *, name: str | None = None) -> None:
        folder = _model_folder(str(path_or_name))
        files = onnx_export.source_files(folder)
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415  loads torch: when asked for

            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
            backend = getattr(self._model.tokenizer, "backend_tokenizer", self._model.tokenizer)
            self._tokenizer = Tokenizer.from_str(backend.to_str())  # encoding changes the settings of theirs
        except Exception as error:
            raise EmbedderError(f"sentence-transformers cannot load {path_or_name}: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        known = name or Path(path_or_name).name or folder.resolve().name
        self.model_key: str = onnx_export.encoder_id(known, files, "torch-fp32/1")
        self.dim: int = self._model.get_embedding_dimension() or 0
        window = self._model.max_seq_length or self._model.tokenizer.model_max_length
        self.max_tokens: int = int(window) - self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self.fields, self._groups, self.phrases = _beside(folder, self.dim)
        self._one_at_a_time = threading.Lock()  # the library's tokenizer is not thread-safe

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the encoder's own marks and without truncation."""
        return _count(self._tokenizer, texts)

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d), with the model's prompt for queries if it has one."""
        return self._embed(self._model.encode_query, texts)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d), with the model's prompt for documents if it has one."""
        return self._embed(self._model.encode_document, texts)

    def _embed(self, encode: Any, texts: Sequence[str]) -> Matrix:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        with self._one_at_a_time:
            vectors = encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        found = np.ascontiguousarray(vectors, dtype=np.float32)
        return _checked(found if self._groups is None else np.stack([self._groups.drawn(vector) for vector in found]))


class HashEmbedder:
    """An encoder without a model: words and their pieces, hashed into `dim` columns; the same everywhere.

    It sees shared words and shared stems, not meaning: for trials, and where no model may run. Features are
    words and the 3- to 5-character pieces of `<word>`, without case and accents, weighted by 1 + log(count),
    with the sign of their hash (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask
    Learning").
    """

    max_tokens: int = 254
    fields: FieldReader | None = None
    phrases: PhraseMover | None = None

    def __init__(self, dim: int = 384) -> None:
        self.dim = dim
        self.model_key = f"hash@1/{dim}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words and punctuation marks of each text."""
        return [len(_TOKEN.findall(text)) for text in texts]

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d)."""
        return self.embed_documents(texts)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Embeddings (n, d)."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for feature, count in Counter(_features(text, self.max_tokens)).items():
                number = _hash(feature)
                weight = (1 + math.log(count)) * (_WORD_WEIGHT if feature.startswith("<") else 1.0)
                vectors[row, (number >> 1) % self.dim] += weight if number & 1 else -weight
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        nothing = lengths[:, 0] == 0  # no word at all, or signs that cancel out: still a vector
        vectors[nothing, 0] = lengths[nothing] = 1
        return _checked(vectors / lengths)


_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_WORD_WEIGHT: Final = 2.0


def _features(text: str, words: int) -> Iterator[str]:
    """Words (as `<word>`) and the 3- to 5-character pieces of the first `words` tokens."""
    for word in _TOKEN.findall(plain(text))[:words]:
        framed = f"<{word}>"
        yield framed
        for size in (3, 4, 5):
            yield from (f"{size}{framed[i : i + size]}" for i in range(len(framed) - size + 1))


@functools.lru_cache(maxsize=65_536)
def _hash(feature: str) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")


class _Turns:
    """A fixed number of places, given in the order of arrival."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._line: deque[threading.Event] = deque()

    @property
    def free(self) -> int:
        """Places that nobody holds now."""
        return self._free

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a place, once it is there."""
        ticket = None
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                ticket = threading.Event()
                self._line.append(ticket)
        if ticket is not None:
            self._wait(ticket)
        try:
            yield
        finally:
            self._leave()

    def _wait(self, ticket: threading.Event) -> None:
        try:
            ticket.wait()
        except BaseException:  # an interrupt must not leave a place behind
            with self._lock:
                served = ticket.is_set()
                if not served:
                    self._line.remove(ticket)
            if served:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1


def _beside(folder: Path, dim: int) -> Beside:
    try:
        return read_beside(folder, dim)
    except ValueError as error:
        raise EmbedderError(str(error)) from error


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    return [len(encoding) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def _one_thread_session(path: Path) -> ort.InferenceSession:
    """Open a session that computes in the thread that calls it; several threads may call it at once.

    So one session serves as a pool of them: as quick as one session per thread, in half the memory.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # patterns are kept per input shape, and every text has its own
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _checked(vectors: Matrix) -> Matrix:
    """Return the rows when all are finite and of length 1; EmbedderError otherwise."""
    if not (abs(np.vecdot(vectors, vectors) - 1) < 2 * _LENGTH_TOLERANCE).all():  # false for NaN and infinity too
        raise EmbedderError("the encoder gave a vector that is not finite or not of length 1")
    return vectors


def _exported(model: PinnedModel) -> OnnxEmbedder:
    """Load a model's int8 export, made now when there is none or it is damaged."""
    key = onnx_export.encoder_id(model.name, model.files, onnx_export.RECIPE)
    folder = Path(os.environ.get(CACHE_VARIABLE) or _PROJECT / "var" / "models") / key
    try:
        return OnnxEmbedder(folder)
    except EmbedderError:
        onnx_export.ensure(model.folder, folder, model.name)
        return OnnxEmbedder(folder)


def _model_folder(path_or_name: str) -> Path:
    """Return a folder as it is; fetch a name from the hub or its cache, or raise EmbedderError."""
    folder = Path(path_or_name).expanduser()
    if folder.exists() or path_or_name.startswith(("/", ".", "~")):
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is imported: a folder needs no hub
        return folder
    from huggingface_hub import snapshot_download  # noqa: PLC0415  only names need the hub

    try:
        return Path(snapshot_download(path_or_name, ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.ot"]))
    except Exception as error:
        raise EmbedderError(f"{path_or_name} is no folder, and not to be had from the hub: {error}") from error
