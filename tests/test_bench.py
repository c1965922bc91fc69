"""The benchmark runs end to end on a few made-up texts, and its answers are right."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "scripts" / "bench.py"
COLUMNS = ("id", "country", "region", "lang", "period", "title", "summary", "theme", "intervention_code", "source_file")
COUNTRIES = ("ES", "PT", "FR", "IT", "DE", "EL", "UK", "FI", "SE", "IE", "HU")
WHAT = ("electric buses", "wine cellars", "solar roofs", "textile waste", "fish farms", "hospital robots", "ceramics")
HOW = ("training for", "a network of firms in", "research on", "a pilot plant for", "exports of", "standards for")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """430 projects in the form of the real ones: 107 are only asked, so that 400 profiles repeat some of the rest."""
    dice = random.Random(1)  # noqa: S311 - made-up texts, no secret
    lines = ["\t".join(COLUMNS)]
    for number in range(430):
        country = dice.choice(COUNTRIES)
        title = f"{dice.choice(HOW)} {dice.choice(WHAT)} and {dice.choice(WHAT)} {number}"
        summary = f"{title.capitalize()}. {dice.choice(HOW)} {dice.choice(WHAT)}." if number % 3 else ""
        lines.append("\t".join((f"{country}{number:06}", country, "", "en", "2021-2027", title, summary, "", "", "1")))
    path = tmp_path / "projects.tsv.gz"
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return path


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_every_section_runs_and_every_answer_is_right(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = run("--quick", "--sizes", "400", "--texts", str(texts), "--work", str(tmp_path / "work"), "--out", str(out))
    assert done.returncode == 0, (done.stdout + done.stderr)[-6_000:]
    found = json.loads(out.read_text("utf-8"))
    value = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert value["recall@10 of the search, least of all masks"] == 1
    assert value["recall@10 of whole requests against brute force"] == 1
    assert value["the only eligible among 10,000 near ones is proposed"] == 1
    assert value["the only eligible of all profiles is answered"] == 1
    for begun in (
        "encoder, unsorted",
        "ingest, texts",
        "ingest with given",
        "search, 0.",
        "request, 10 %",
        "p50 over the",
    ):
        assert [name for name in value if name.startswith(begun)], begun
    assert {"encode", "search", "sql", "explain", "rest (HTTP, validation, threads, JSON)"} <= value.keys()
    assert "throughput at 8 clients" in done.stdout
    # Vectors are kept for the next run, databases are not.
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["vectors"]


def test_without_texts_it_says_what_is_missing(tmp_path: Path) -> None:
    done = run("--texts", str(tmp_path / "none.tsv.gz"), "--work", str(tmp_path / "work"))
    assert done.returncode == 2
    assert "needs real texts" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sizes", ["10", "1k,,2k"])
def test_sizes_that_are_none_are_refused(sizes: str) -> None:
    done = run("--sizes", sizes)
    assert done.returncode == 2
    assert "--sizes" in done.stderr
