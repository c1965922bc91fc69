"""The encoders with the real default model, exported once for this file, under kill -9 and in a race."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.matching import beside, onnx_export, pins
from app.matching import embedder as module
from app.matching.embedder import (
    Embedder,
    EmbedderError,
    HashEmbedder,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    load_embedder,
)

PROJECT = Path(__file__).resolve().parents[2]
NEED = "Two apprentices for CNC machining wanted from September; English B1 is enough."
LONG = "ciclo formativo de automatización " * 120
TEXTS = ["Robótica para astilleros", "", "   ", NEED, LONG, "😀", "Hydrogen buses on hilly routes"]


def source_folder() -> Path:
    return pins.shipped().folder


def start_export(destination: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app.matching.onnx_export", source_folder(), destination]
    return subprocess.Popen(
        [*map(str, command), "--name", pins.shipped().name],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache whose export was made by one of two racing processes, after a third was killed at work."""
    folder = tmp_path_factory.mktemp("models")
    key = onnx_export.encoder_id(pins.shipped().name, onnx_export.source_files(source_folder()), onnx_export.RECIPE)
    destination = folder / key
    killed = start_export(destination)
    wait_for(lambda: any(destination.parent.glob(".*/fresh/*.onnx")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not destination.exists()
    assert list(destination.parent.glob(".*.tmp-*"))
    racers = [start_export(destination), start_export(destination)]
    for racer in racers:
        _, said = racer.communicate(timeout=120)
        assert racer.returncode == 0, said
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(module.CACHE_VARIABLE, str(folder))
        patch.delenv(module.MODEL_VARIABLE, raising=False)
        yield folder


@pytest.fixture(scope="module")
def default(cache: Path) -> OnnxEmbedder:
    made = [file.stat().st_mtime_ns for file in sorted(cache.rglob("*.onnx"))]
    loaded = load_embedder()
    assert [file.stat().st_mtime_ns for file in sorted(cache.rglob("*.onnx"))] == made, "it was there already"
    assert isinstance(loaded, OnnxEmbedder)
    return loaded


@pytest.fixture(scope="module")
def plain() -> SentenceTransformerEmbedder:
    loaded = load_embedder(str(source_folder()))
    assert isinstance(loaded, SentenceTransformerEmbedder)
    return loaded


@pytest.fixture(params=["default", "plain", "hash"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "hash":
        return load_embedder("hash")
    loaded: Embedder = request.getfixturevalue(request.param)
    return loaded


class TestEveryEmbedder:
    def test_rows_are_float32_of_length_one(self, embedder: Embedder) -> None:
        for embed in (embedder.embed_documents, embedder.embed_queries):
            vectors = embed(TEXTS)
            assert vectors.shape == (len(TEXTS), embedder.dim)
            assert vectors.dtype == np.float32
            assert vectors.flags.c_contiguous
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_nothing_in_nothing_out(self, embedder: Embedder) -> None:
        assert embedder.embed_documents([]).shape == (0, embedder.dim)
        assert embedder.embed_queries([]).shape == (0, embedder.dim)
        assert embedder.embed_queries([]).dtype == np.float32
        assert embedder.count_tokens([]) == []

    def test_a_text_has_one_vector_alone_and_in_company(self, embedder: Embedder) -> None:
        together = embedder.embed_documents(TEXTS)
        for text, row in zip(TEXTS, together, strict=True):
            for alone in (embedder.embed_documents([text])[0], embedder.embed_queries([text])[0]):
                assert float(alone @ row) > 0.9999

    def test_tokens_are_counted_beyond_the_window(self, embedder: Embedder) -> None:
        counts = embedder.count_tokens(["uno dos tres " * 500, "", "hydrogen"])
        assert counts[0] > embedder.max_tokens
        assert counts[1:] == [0, 1]

    def test_near_texts_are_nearer(self, embedder: Embedder) -> None:
        bus, truck, cheese = embedder.embed_documents(
            ["hydrogen buses for public transport", "hydrogen trucks and transport", "ripening of sheep cheese"]
        )
        assert bus @ truck > bus @ cheese + 0.2

    def test_threads_share_it(self, embedder: Embedder) -> None:
        texts = [text for text in TEXTS if len(text) < 100]
        expected = embedder.embed_documents(texts)
        counts = embedder.count_tokens(texts)
        found: list[NDArray[np.float32]] = []

        def work() -> None:
            for _ in range(3):
                assert embedder.count_tokens(texts) == counts
                found.append(embedder.embed_queries(texts))
                found.append(embedder.embed_documents(texts[::-1])[::-1])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 24
        for vectors in found:
            np.testing.assert_allclose((vectors * expected).sum(axis=1), 1, atol=1e-4)

    def test_the_key_says_who_it_is(self, embedder: Embedder) -> None:
        assert "@" in embedder.model_key
        assert embedder.dim == 384
        assert embedder.max_tokens == 254


class TestOnnx:
    def test_company_does_not_change_one_bit(self, default: OnnxEmbedder) -> None:
        texts = [*onnx_export.SENTENCES, *TEXTS]
        together = default.embed_documents(texts)
        alone = np.concatenate([default.embed_queries([text]) for text in texts])
        assert np.array_equal(together, alone)
        assert np.array_equal(default.embed_documents(texts[::-1])[::-1], together)
        assert np.array_equal(default.embed_queries(texts), together)

    def test_a_question_waits_for_no_helper_that_is_busy(self, default: OnnxEmbedder) -> None:
        expected, done = default.embed_queries(TEXTS), threading.Event()
        busy = default._helpers.submit(done.wait, 30)
        try:
            assert np.array_equal(default.embed_queries(TEXTS), expected)
            assert not busy.done()
        finally:
            done.set()

    def test_it_agrees_with_sentence_transformers(
        self, default: OnnxEmbedder, plain: SentenceTransformerEmbedder
    ) -> None:
        ours, theirs = default.embed_documents(TEXTS), plain.embed_documents(TEXTS)
        cosines = (ours * theirs).sum(axis=1)
        assert cosines.mean() > onnx_export.MEAN_COSINE
        assert cosines.min() > onnx_export.MIN_COSINE
        assert default.count_tokens(TEXTS) == plain.count_tokens(TEXTS)
        assert default.model_key != plain.model_key

    def test_what_lies_beyond_the_window_is_not_seen(self, default: OnnxEmbedder) -> None:
        inside = "boat " * default.max_tokens
        assert default.count_tokens([inside]) == [default.max_tokens]
        first, second, third = default.embed_documents([inside, inside + "cheese", inside[:-5] + "cheese"])
        assert np.array_equal(first, second)
        assert not np.array_equal(first, third)

    def test_the_manifest_states_the_figures(self, cache: Path, default: OnnxEmbedder) -> None:
        (file,) = cache.rglob("manifest.json")
        manifest = json.loads(file.read_text("utf-8"))
        assert file.parent == cache / default.model_key
        assert manifest["against_fp32"]["texts"] == len(set(onnx_export.SENTENCES)) == 64
        assert manifest["against_fp32"]["mean_cosine"] >= onnx_export.MEAN_COSINE
        assert manifest["against_fp32"]["min_cosine"] >= onnx_export.MIN_COSINE
        pinned = json.loads((PROJECT / "models" / "manifest.json").read_text("utf-8"))
        assert manifest["source"] == pinned["files"]
        assert {key: manifest[key] for key in ("dim", "max_tokens", "max_seq_length")} == {
            key: pinned[key] for key in ("dim", "max_tokens", "max_seq_length")
        }

    def test_killed_and_racing_exports_leave_one_folder(self, cache: Path, default: OnnxEmbedder) -> None:
        folder = cache / default.model_key
        assert sorted(path.name for path in folder.parent.iterdir()) == [f".{folder.name}.lock", folder.name]
        files = {*beside.FILES, "manifest.json", "model.onnx", "tokenizer.json"}
        assert {path.name for path in folder.iterdir()} == files

    def test_a_damaged_export_is_refused_by_name_and_made_again(
        self, cache: Path, default: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        damaged = tmp_path / default.model_key
        shutil.copytree(cache / default.model_key, damaged)
        with (damaged / "model.onnx").open("r+b") as file:
            file.seek(1_000_000)
            file.write(b"damage")
        with pytest.raises(EmbedderError, match=r"model\.onnx"):
            OnnxEmbedder(damaged)
        monkeypatch.setenv(module.CACHE_VARIABLE, str(tmp_path))
        again = load_embedder()
        assert again.model_key == default.model_key
        text = "The same vector, made anew."
        assert float(again.embed_queries([text])[0] @ default.embed_queries([text])[0]) > 0.9999

    def test_an_exported_folder_can_be_named(
        self, cache: Path, default: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(module.MODEL_VARIABLE, str(cache / default.model_key))
        assert isinstance(load_embedder(), OnnxEmbedder)

    def test_an_incomplete_export_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"")
        with pytest.raises(EmbedderError, match="not a complete export"):
            load_embedder(str(tmp_path))

    def test_turns_are_given_in_the_order_of_arrival(self) -> None:
        turns = module._Turns(1)
        order: list[int] = []

        def wait(number: int) -> None:
            with turns.turn():
                order.append(number)

        threads = [threading.Thread(target=wait, args=(number,)) for number in range(8)]
        with turns.turn():
            for number, thread in enumerate(threads):
                thread.start()
                wait_for(lambda number=number: len(turns._line) == number + 1)
        for thread in threads:
            thread.join()
        assert order == list(range(8))

    def test_serving_loads_no_torch(self, cache: Path) -> None:
        code = (
            "import sys; from app.matching.embedder import load_embedder; "
            "assert load_embedder().embed_queries(['hola']).shape == (1, 384); "
            "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'faiss'} & set(sys.modules); "
            "sys.exit(f'loaded: {heavy}' if heavy else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            env={**os.environ, module.CACHE_VARIABLE: str(cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class TestSentenceTransformers:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The pinned model under another name, with files of its own."""
        folder = tmp_path / "another-model"
        folder.mkdir()
        for file in source_folder().iterdir():
            if file.is_file():
                (folder / file.name).symlink_to(file)
        for module_folder in ("1_Pooling", "2_Normalize"):
            shutil.copytree(source_folder() / module_folder, folder / module_folder)
        return folder

    def test_any_folder_is_served_under_its_own_name(
        self, folder: Path, plain: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(module.MODEL_VARIABLE, str(folder))
        loaded = load_embedder()
        assert isinstance(loaded, SentenceTransformerEmbedder)
        assert loaded.model_key.startswith("another-model@")
        assert loaded.model_key.partition("@")[2] == plain.model_key.partition("@")[2]
        assert np.array_equal(loaded.embed_queries(["hola"]), plain.embed_queries(["hola"]))

    @pytest.mark.parametrize("missing", ["modules.json", "config.json"])
    def test_a_folder_that_is_no_model_is_refused(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        with pytest.raises(EmbedderError, match=missing):
            load_embedder(str(folder))

    def test_a_folder_without_weights_is_refused(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        with pytest.raises(EmbedderError, match="cannot load"):
            load_embedder(str(folder))

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EmbedderError, match="no-such-model"):
            load_embedder(str(tmp_path / "no-such-model"))

    def test_only_what_the_graph_expresses_is_exported(self, folder: Path, tmp_path: Path) -> None:
        pooling = folder / "1_Pooling" / "config.json"
        settings = json.loads(pooling.read_text("utf-8"))
        settings["pooling_mode"] = "cls"
        pooling.write_text(json.dumps(settings), "utf-8")
        with pytest.raises(EmbedderError, match="only mean pooling"):
            onnx_export.export(folder, tmp_path / "out", "another-model")
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob("*tmp*"))

    def test_a_failed_export_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(EmbedderError, match=r"failed: .*modules\.json"):
            onnx_export.ensure(tmp_path, tmp_path / "out", "another-model")


class TestPins:
    @pytest.fixture
    def models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Our `models/` with pins that a test may change."""
        for file in (PROJECT / "models").iterdir():
            (tmp_path / file.name).symlink_to(file)
        monkeypatch.setattr(pins, "_MODELS", tmp_path)
        return tmp_path

    @staticmethod
    def change(path: Path, **changes: object) -> None:
        pinned = json.loads(path.read_text("utf-8"))
        path.unlink()
        path.write_text(json.dumps(pinned | changes), "utf-8")

    @pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "extra.json"])
    @pytest.mark.parametrize("which", [None, pins.BASELINE])
    def test_a_file_that_differs_is_named(self, models: Path, name: str, which: str | None) -> None:
        manifest = models / ("teacher.json" if which else "manifest.json")
        files = json.loads(manifest.read_text("utf-8"))["files"]
        self.change(manifest, files={**files, name: "0" * 64})
        with pytest.raises(EmbedderError, match=name):
            load_embedder(which)

    def test_a_package_that_is_not_installed_is_named(self, models: Path) -> None:
        self.change(models / "teacher.json", package="no-such-package")
        with pytest.raises(EmbedderError, match="no-such-package"):
            load_embedder(pins.BASELINE)

    def test_unreadable_pins_are_named(self, models: Path) -> None:
        (models / "manifest.json").unlink()
        with pytest.raises(EmbedderError, match="manifest"):
            load_embedder()

    def test_what_is_shipped_is_small(self) -> None:
        assert sum(file.stat().st_size for file in source_folder().rglob("*") if file.is_file()) <= 60_000_000


class TestHash:
    def test_vectors_are_the_same_on_every_machine(self) -> None:
        expected = [0.0, 0.0, 0.6556101, -0.2809757, 0.3746343, 0.0, -0.5619515, 0.1873172]
        vector = HashEmbedder(8).embed_queries(["Clúster de automoción"])[0]
        np.testing.assert_allclose(vector, expected, atol=1e-6)

    def test_case_and_accents_do_not_matter(self) -> None:
        first, second = HashEmbedder().embed_documents(["Automoción Eléctrica", "automocion electrica"])
        assert np.array_equal(first, second)

    def test_the_width_is_part_of_the_key(self) -> None:
        assert HashEmbedder(8).model_key != HashEmbedder().model_key


def test_what_is_no_vector_is_refused() -> None:
    for wrong in (np.nan, np.inf, 0.0, 2.0):
        vectors = np.zeros((2, 4), dtype=np.float32)
        vectors[0, 0], vectors[1, 0] = 1, wrong
        with pytest.raises(EmbedderError, match="not finite or not of length 1"):
            module._checked(vectors)
