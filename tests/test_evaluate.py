"""The evaluation: metrics against other people's code, packs and their traps, and a whole run on made-up packs."""

import gzip
import importlib.util
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import ir_measures
import numpy as np
import pytest
from evaluation import lexical, metrics, own, packs, stages
from evaluation.encoders import Vectors
from hypothesis import given
from hypothesis import strategies as st

from app.matching.embedder import Embedder

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "evaluate.py"
SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def make_pack(folder: Path, name: str, queries: list[str], corpus: list[tuple[str, str]], metric: str = "MRR") -> Path:
    """A pack in which query number n is answered by the rows of group n."""
    pack = folder / name
    pack.mkdir(parents=True)
    (pack / "task.json").write_text(json.dumps({"name": name, "metric": metric}))
    (pack / "queries.tsv").write_text("qid\tlang\ttext\n" + "".join(f"q{n}\tes\t{q}\n" for n, q in enumerate(queries)))
    (pack / "qrels.tsv").write_text("qid\tgroup\n" + "".join(f"q{n}\tg{n}\n" for n in range(len(queries))))
    rows = "".join(f"c{n}\t{group}\tes\t{text}\n" for n, (group, text) in enumerate(corpus))
    (pack / "corpus.tsv.gz").write_bytes(gzip.compress(f"id\tgroup\tlang\ttext\n{rows}".encode()))
    return pack


@pytest.fixture
def vectors(hash_embedder: Embedder) -> Vectors:
    return Vectors(hash_embedder, cache=None)


def test_metrics_are_those_of_ir_measures() -> None:
    dice = random.Random(7)  # noqa: S311 - rankings, no secret
    judge, qrels, run = metrics.Judge(), [], []
    for query in range(40):
        groups = [dice.randrange(30) for _ in range(300)]
        relevant = frozenset(dice.sample(range(30), dice.randrange(1, 6)))
        judge.add(np.array(groups), relevant)
        for place, group in enumerate(groups):
            run.append(ir_measures.ScoredDoc(str(query), str(place), -float(place)))
            qrels.append(ir_measures.Qrel(str(query), str(place), int(group in relevant)))
    wanted = {"MRR": ir_measures.RR, "MAP": ir_measures.AP, **metrics.CUT}
    found = ir_measures.calc_aggregate(list(wanted.values()), qrels, run)
    means = judge.means()
    for name, measure in wanted.items():
        assert means[name] == pytest.approx(found[measure], abs=1e-4), name


def test_a_query_without_an_answer_counts_as_nothing() -> None:
    judge = metrics.Judge()
    judge.add(np.array([1, 2]), frozenset({1}))
    judge.add(np.array([1, 2]), frozenset({3}))
    assert set(judge.means().values()) == {0.5, 0.05}
    assert judge.means()["P@10"] == 0.05
    with pytest.raises(ValueError, match="no query"):
        metrics.Judge().means()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_rbo_is_one_for_equal_rankings_symmetric_and_between(ranking: list[int], dice: random.Random) -> None:
    first = [str(item) for item in ranking]
    second = dice.sample(first, len(first))
    assert metrics.rbo(first, first) == pytest.approx(1)
    assert metrics.rbo(first, second) == pytest.approx(metrics.rbo(second, first))
    assert -1e-9 <= metrics.rbo(first, second) <= 1 + 1e-9
    assert metrics.rbo(first, [f"x{item}" for item in first]) == 0


def test_rbo_of_a_swap_at_the_top() -> None:
    # Agreement at depths 1, 2, 3 is 0, 1, 1: .1/.9 × (.9² + .9³) + .9³.
    assert metrics.rbo(["a", "b", "c"], ["b", "a", "c"]) == pytest.approx(0.1 / 0.9 * (0.81 + 0.729) + 0.729)
    with pytest.raises(ValueError, match="one length"):
        metrics.rbo(["a"], ["a", "b"])


def test_capitals_are_lowered_and_the_query_itself_is_dropped(tmp_path: Path, vectors: Vectors) -> None:
    corpus = [("g0", "Impresor de serigrafía"), ("x", "impresores de serigrafía"), ("g1", "panadero")]
    queries = ["IMPRESORES DE SERIGRAFÍA", "Panadera"]
    plain = packs.read(make_pack(tmp_path, "melo", queries, corpus))
    assert [query.text for query in plain.queries] == ["impresores de serigrafía", "Panadera"]
    assert stages.score(plain, "dense", vectors)["MRR"] == 0.75
    itself = packs.read(make_pack(tmp_path, "talentclef25_es", queries, corpus, "MAP"))
    assert itself.metric == "MAP"
    assert stages.score(itself, "dense", vectors)["MRR"] == 1


def test_a_sample_keeps_what_is_relevant(tmp_path: Path) -> None:
    corpus = [(f"g{n // 2}", f"text {n}") for n in range(100)]
    pack = packs.read(make_pack(tmp_path, "p", [f"query {n}" for n in range(50)], corpus))
    smaller = packs.sample(pack, 10, 40)
    assert len(smaller.queries) == 10
    assert len(smaller.corpus) == 40
    groups = [row.key for row in smaller.corpus]
    assert all(groups.count(group) == 2 for query in smaller.queries for group in pack.relevant[query.id])
    assert packs.sample(pack, 10, 40) == smaller
    assert {packs.half(query) for query in pack.queries} == {0, 1}


def test_vectors_are_kept(tmp_path: Path, hash_embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["uno", "dos", "uno"]
    first = Vectors(hash_embedder, tmp_path).queries(texts)
    again = Vectors(hash_embedder, tmp_path)
    monkeypatch.setattr(hash_embedder, "embed_queries", None)
    assert np.array_equal(again.queries(texts), first)
    assert again.queries([]).shape == (0, hash_embedder.dim)


def score_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packs_score", SHARED_DATA / "packs" / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not (SHARED_DATA / "packs").exists(), reason="needs ../shared/data/packs (relevance packs)")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves task.json open
@pytest.mark.parametrize("name", ["eufunds_fr_de_same_field", "nace_label_pl_en", "talentclef25_val_en"])
def test_every_metric_is_that_of_the_packs_own_script(name: str, vectors: Vectors) -> None:
    folder = SHARED_DATA / "packs" / name
    _, theirs = score_py().score(folder, vectors.documents, {})
    ours = stages.score(packs.read(folder), "dense", vectors)
    names = {"acc@1": "accuracy@1", "rp@5": "RP@5", "ndcg@20": "nDCG@20", "p@10": "P@10", "mrr": "MRR", "map": "MAP"}
    assert {names.get(key, key): value for key, value in theirs.items()} == pytest.approx(ours, abs=1e-4)


def test_pools_without_the_shared_data_are_our_own() -> None:
    for kind, (_, file) in own.SIDES.items():
        pool = own.pool(kind, None)
        profiles = len((own.TERRITORY / f"{file}.jsonl").read_text("utf-8").splitlines())
        others = sum(triple.kind != kind for triple in own.triples())
        assert len(pool) == profiles + 3 * others
    assert len(own.occupation_labels("ca", None)) > 150


@pytest.mark.skipif(not (SHARED_DATA / "esco").exists(), reason="needs ../shared/data/esco (occupations)")
def test_pools_with_the_shared_data_are_large() -> None:
    for kind in own.SIDES:
        assert len(own.pool(kind, SHARED_DATA)) >= 1_000
    assert "soldador/soldadora" in own.occupation_labels("ca", SHARED_DATA)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_whole_run_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    make_pack(
        tmp_path / "packs", "melo_esp_q_es_c_es", ["panadera", "soldadora"], [("g0", "panadero"), ("g1", "soldador")]
    )
    out = tmp_path / "report.json"
    done = run(
        str(tmp_path / "packs"), "--data", str(tmp_path / "none"), "--encoder", "hash",
        "--section", "packs", "--section", "gender", "--json", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| melo_esp_q_es_c_es" in done.stdout
    assert "1 ✓" in done.stdout
    found = json.loads(out.read_text("utf-8"))
    assert found["models"] == {"hash": "hash@1/384"}
    pack = found["figures"][0]
    assert (pack["name"], pack["stage"], pack["value"], pack["met"]) == ("melo_esp_q_es_c_es", "dense", 1.0, True)
    assert {"MAP", "nDCG@20", "recall@50"} <= pack["details"].keys()


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("--encoder", str(tmp_path / "no-such-model"), "--section", "gender")
    assert done.returncode == 2
    assert "no-such-model" in done.stderr
    assert "Traceback" not in done.stderr


def test_words_are_stemmed_and_weigh_within_one_language_only(tmp_path: Path, vectors: Vectors) -> None:
    corpus = [
        ("g0", "Técnicos de soldadura naval"),
        ("g1", "panaderos de pueblo"),
        *[("x", f"de {n}") for n in range(30)],
    ]
    pack = packs.read(make_pack(tmp_path, "p", ["técnica de soldaduras", "panadero"], corpus))
    index = lexical.LexicalIndex(pack.corpus)
    found = [index.search(query) for query in pack.queries]
    index.close()
    assert [np.flatnonzero(scores).tolist() for scores in found] == [[0], [1]]  # "de" is in too many rows to count
    first = next(lexical.fused(pack, vectors))
    cosine = next(stages.dense(pack, vectors))
    assert first[0] == pytest.approx((1 - lexical.WEIGHT) * cosine[0] + lexical.WEIGHT)
    english = replace(pack, corpus=tuple(row._replace(language="en") for row in pack.corpus))
    assert np.array_equal(next(lexical.fused(english, vectors)), cosine)


def test_words_count_within_the_language_of_the_question() -> None:
    index = lexical.OwnLanguage(
        [
            "Buscamos una persona para la recepción de nuestro hotel de montaña.",
            "We are looking for a person at the reception desk of our mountain hotel.",
            "Reparación de bicicletas en un taller pequeño del centro de la ciudad.",
            *(f"Cursos de cocina número {number} para personas adultas de la comarca." for number in range(20)),
        ]
    )
    try:
        assert np.flatnonzero(index.search("hoteles", "es")).tolist() == [0]
        assert np.flatnonzero(index.search("hotels", "en")).tolist() == [1]
        assert not index.search("hotel", "pt").any()
    finally:
        index.close()
