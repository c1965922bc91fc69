"""`scripts/calibrate.py` runs from end to end, writes when told to, and hears what people decided."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from calibration.asking import Asker

from app.matching.calibration import Calibration
from app.matching.embedder import Embedder
from app.matching.kinds import MATCH_KINDS
from app.settings import ROOT
from tests.conftest import Service
from tests.fixtures.builders import add_organisation, add_profile, pitch, post, priority, read, remove, suggest

KIND = "cluster-region"


def calibrate(*arguments: str, status: int = 0) -> str:
    """Run the script with the encoder without a model and return what it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "calibrate.py"), "--kind", KIND, *arguments],
        env={**os.environ, "PUENTE_MODEL": "hash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr[-2000:]
    return done.stdout


def test_it_writes_only_when_told_to_and_the_same_each_time(tmp_path: Path) -> None:
    printed = calibrate("--folder", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert "before" in printed
    assert "after" in printed
    assert calibrate("--folder", str(tmp_path), "--write") == printed
    written = Calibration.from_json((tmp_path / f"{KIND}.json").read_text(encoding="utf-8"))
    assert (written.kind, written.model_key) == (KIND, "hash@1/384")
    assert date.fromisoformat(written.made_on)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    calibrate("--database", str(tmp_path / "nowhere.db"), status=2)
    assert not (tmp_path / "nowhere.db").exists()


def test_what_people_decided_is_judged_anew(service: Service, hash_embedder: Embedder) -> None:
    region, cluster = add_organisation(service, "region"), add_organisation(service, "cluster")
    near = add_profile(service, priority(region))
    add_profile(service, priority(region, title="Fish", text="Boats and nets."))
    gone = add_profile(service, priority(region, title="Wood", text="Pine and oak."))
    asker = add_profile(service, pitch(cluster))

    def decide(item: dict[str, str], decision: str) -> None:
        body = {"decision": decision, "reason": "So."}
        post(service, f"/suggestions/{item['suggestion_id']}/decision", body)

    items = suggest(service, KIND, profile_id=asker)["items"]
    accepted = [item["profile"]["id"] == near for item in items]
    for item, fits in zip(items, accepted, strict=True):
        decide(item, "accepted" if fits else "declined")
    decide(suggest(service, KIND, text="Batteries", limit=1)["items"][0], "accepted")
    remove(service, f"/profiles/{gone}")
    decided, lost = Asker(service.database, hash_embedder).decided(MATCH_KINDS[KIND])
    assert lost == 1
    kept = [(item["score"], fits) for item, fits in zip(items, accepted, strict=True) if item["profile"]["id"] != gone]
    assert sorted((pair.score, pair.fits) for one in decided for pair in one.pairs) == sorted(kept)
    assert read(service, "/match-kinds")
