"""The same question has the same answer: byte for byte, in the next request and in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from app.settings import ROOT
from tests.conftest import Service
from tests.fixtures.answers import TEXTS
from tests.fixtures.builders import load, read, suggest, without_ids

TERRITORY = ROOT / "scripts" / "territory"
FILES = [TERRITORY / f"{name}.jsonl" for name in ("organisations", "priorities", "pitches")]


def asked_elsewhere(folder: Path, seed: str) -> list[bytes]:
    """Return the items that a new process gives for a new database; its hashes of strings start from `seed`."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fixtures.answers", str(folder / "puente.db"), *map(str, FILES)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.splitlines()


def test_two_databases_from_the_same_files_answer_alike(tmp_path: Path) -> None:
    first, second = asked_elsewhere(tmp_path / "a", "1"), asked_elsewhere(tmp_path / "b", "2")
    assert len(first) == 2 * len(TEXTS) + 1
    assert all(len(json.loads(line)) >= 5 for line in first)
    assert first == second


def test_the_same_request_twice(service: Service) -> None:
    for file in FILES:
        load(service, file.name, file.read_bytes())
    pitch = read(service, "/profiles", kind="pitch", limit=1)["items"][0]["id"]
    for question in ({"text": TEXTS[0]}, {"text": TEXTS[1], "filters": {"countries": ["ES"]}}, {"profile_id": pitch}):
        answers = [suggest(service, "cluster-region", limit=100, **question) for _ in range(3)]
        assert len({without_ids(answer) for answer in answers}) == 1
        assert len({answer["run_id"] for answer in answers}) == 3
        rest = [{k: v for k, v in answer.items() if k not in ("run_id", "items")} for answer in answers]
        assert rest[0] == rest[1] == rest[2]
        assert [item["suggestion_id"] for item in answers[0]["items"]] == [
            f"{answers[0]['run_id']}-{rank}" for rank in range(1, len(answers[0]["items"]) + 1)
        ]


def test_what_others_write_meanwhile_moves_nothing(service: Service) -> None:
    for file in FILES:
        load(service, file.name, file.read_bytes())
    before = suggest(service, "cluster-region", text=TEXTS[0], limit=100)
    for file in FILES:
        assert load(service, file.name, file.read_bytes())["result"]["created"] == 0
    after = suggest(service, "cluster-region", text=TEXTS[0], limit=100)
    assert after["index_seq"] > before["index_seq"]
    assert without_ids(after) == without_ids(before)
