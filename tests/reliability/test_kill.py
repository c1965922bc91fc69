"""`kill -9` in the middle of everything: nothing acknowledged is lost (reliability.md §1, T-KILL).

The real service, a real file, SIGKILL at random moments while a file is imported and single requests write and ask;
and the same harness on a service that keeps its index in a file, which it must see diverge.
"""

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing
from pathlib import Path

from app.matching.embedder import Embedder
from tests.reliability.campaign import Campaign
from tests.reliability.naive import VARIABLE
from tests.reliability.service_process import (
    NAIVE,
    PATIENCE_S,
    PUENTE,
    ROOT,
    DiedAtStartError,
    ServiceProcess,
    environment,
)

SEED = 20261123
KILLS = 50 if os.environ.get("PUENTE_RELIABILITY") == "nightly" else 10
SHORTEST_S, LONGEST_S = 0.05, 0.6
BOOT_S = 5.0
TERRITORY = ROOT / "scripts" / "territory"


def test_ten_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, hash_embedder: Embedder) -> None:
    campaign = Campaign(tmp_path, SEED, hash_embedder)
    books = campaign.books
    with campaign.service:
        campaign.service.start()
        campaign.create_owners()
        while campaign.kills_within_import < KILLS:
            assert campaign.kills < 2 * KILLS, "the kills came between the imports"
            before = len(books.runs)
            campaign.work(campaign.rng.uniform(SHORTEST_S, LONGEST_S))
            assert campaign.left_by_kill() == []
            sample = campaign.newest_and_some(6, 6)
            campaign.service.start()
            assert campaign.not_found(sample) == []
            assert campaign.runs_that_changed(books.runs[before:][-5:]) == []
        campaign.finish_imports()
        campaign.service.kill()
        assert campaign.left_by_kill() == []
        sample = campaign.newest_and_some(20, 40)
        campaign.service.start()
        assert campaign.not_found(sample) == []
    assert books.refused == []
    log = campaign.service.log.read_text()
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    boots = campaign.service.boots
    imported = sum(len(file.titles(len(file.rows))) for file in books.files.values())
    print(  # noqa: T201 - the figures, shown by pytest -s
        f"{campaign.kills} kills, {campaign.kills_within_import} within an import; acknowledged: {books.acknowledged} "
        f"answers ({len(books.runs)} runs) and {imported} rows of {len(books.files)} files; 0 lost, 0 divergent; "
        f"ready after {statistics.median(boots):.2f} s (longest {max(boots):.2f} s)"
    )
    assert statistics.median(boots) < BOOT_S


NAIVE_KILLS = 3
UNREADABLE = -1


def restart_naive(campaign: Campaign) -> int:
    """Start the naive service after a kill and return how many profiles it does not find, or `UNREADABLE`."""
    sample = campaign.newest_and_some(15, 5)
    try:
        campaign.service.start()
    except DiedAtStartError:  # the kill tore the file; its operator deletes it
        shutil.rmtree(f"{campaign.path}.index")
        campaign.service.start()
        return UNREADABLE
    return len(campaign.not_found(sample))


def test_the_harness_sees_an_index_in_a_file_diverge(tmp_path: Path, hash_embedder: Embedder) -> None:
    campaign = Campaign(tmp_path, SEED, hash_embedder, NAIVE)
    with campaign.service:
        # Once at the worst moment, for certain: between the commit and the file.
        campaign.service.start(**{VARIABLE: "23"})
        campaign.create_owners()
        campaign.work(0, rows=300, dies=True)
        assert campaign.left_by_kill() == [], "only the index is naive"
        lost = [restart_naive(campaign)]
        while campaign.kills < NAIVE_KILLS:
            campaign.work(campaign.rng.uniform(SHORTEST_S, LONGEST_S), rows=300)
            assert campaign.left_by_kill() == [], "only the index is naive"
            lost.append(restart_naive(campaign))
    print(  # noqa: T201 - idem
        f"naive index: {sum(map(bool, lost))} of {len(lost)} kills seen; of 20 looked for, lost {lost} (-1: unreadable)"
    )
    assert lost[0] != 0


def number(path: Path, statement: str) -> int:
    """Return the one number that `statement` finds; 0 while there is no such table yet."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute(statement).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


PROFILES = "SELECT count(*) FROM profile"
OPEN_IMPORTS = "SELECT count(*) FROM job WHERE kind = 'import' AND state IN ('queued', 'running')"


def test_a_first_start_that_was_killed_loads_the_rest_later(tmp_path: Path) -> None:
    rows = [json.loads(line) for file in TERRITORY.glob("*.jsonl") for line in file.read_text().splitlines()]
    wanted = sum("organisation" in row for row in rows)
    path = tmp_path / "puente.db"
    with ServiceProcess(path) as service:
        service.launch()
        until = time.monotonic() + PATIENCE_S
        while not number(path, PROFILES):
            assert time.monotonic() < until
            time.sleep(0.005)
        service.kill()
        assert number(path, PROFILES) < wanted, "the kill came too late"
        for options in (["--empty"], []):  # a start without the territory does not give up what is still to be loaded
            service.launch(*options)
            service.until_ready()
            while number(path, OPEN_IMPORTS):
                assert time.monotonic() < until
                time.sleep(0.02)
            service.kill()
    assert number(path, PROFILES) == wanted


class CommandLineImport:
    """`puente import FILE` in a process of its own."""

    def __init__(self, path: Path, file: Path) -> None:
        self._process = subprocess.Popen(
            [*PUENTE, "import", str(file), "--database", str(path)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self.finish()

    def finish(self) -> tuple[int, str]:
        """Wait for its end; return its status and what it said."""
        output, _ = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, output.decode()


def progress_of(path: Path, name: str) -> int:
    """Return how many rows the newest import of that file has counted; 0 while there is none."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT arguments, progress FROM job ORDER BY pk DESC").fetchall()
    return next((progress for arguments, progress in rows if json.loads(arguments).get("name") == name), 0)


def test_a_killed_command_line_import_goes_on_when_the_service_starts(tmp_path: Path, hash_embedder: Embedder) -> None:
    campaign = Campaign(tmp_path, SEED, hash_embedder)
    with campaign.service:
        campaign.service.start()
        campaign.create_owners()
        campaign.service.kill()
        for kind, least in (("csv", 0), ("jsonl", 600)):
            file = campaign.new_file(kind, 2_000)
            (tmp_path / file.name).write_bytes(file.content)
            process = CommandLineImport(campaign.path, tmp_path / file.name)
            until = time.monotonic() + PATIENCE_S
            while progress_of(campaign.path, file.name) <= least:
                assert time.monotonic() < until
                time.sleep(0.005)
            process.kill()
            (tmp_path / file.name).unlink()
            assert campaign.left_by_kill() == []
            assert progress_of(campaign.path, file.name) < len(file.rows), "the kill came too late"
        campaign.service.start()
        campaign.finish_imports()
        campaign.service.kill()
        assert campaign.left_by_kill() == []
        # The same file again: what has a ref is a new version of itself, nothing comes twice under it.
        (tmp_path / file.name).write_bytes(file.content)
        process = CommandLineImport(campaign.path, tmp_path / file.name)
        status, said = process.finish()
        refs = sum("ref" in row for row in file.rows if row is not None)
        bad = sum(row is None for row in file.rows)
        new = len(file.rows) - refs - bad
        assert status == 1
        assert f"{new} created, {refs} updated, {bad} refused" in said
