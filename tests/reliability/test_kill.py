"""`kill -9` in the middle of everything: nothing acknowledged is lost (reliability.md §1, T-KILL).

The real service, a real file, SIGKILL at random moments while a file is imported and single requests write and ask;
and the same harness on a service that keeps its index in a file, which it must see diverge.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.matching.embedder import Embedder
from tests.reliability.campaign import Campaign

SEED = 20261123
KILLS = 10
SHORTEST_S, LONGEST_S = 0.05, 0.9
BOOT_S = 5.0


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
            sample = campaign.newest_and_some(12, 12)
            campaign.service.start()
            assert campaign.not_found(sample) == []
            assert campaign.runs_that_changed(books.runs[before:][-5:]) == []
        campaign.finish_imports()
        campaign.service.kill()
        assert campaign.left_by_kill() == []
        sample = campaign.newest_and_some(50, 150)
        campaign.service.start()
        assert campaign.not_found(sample) == []
    assert books.refused == []
    log = campaign.service.log.read_text()
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    boots = campaign.service.boots
    imported = sum(len(file.titles(len(file.rows))) for file in books.files.values())
    print(
        f"{campaign.kills} kills, {campaign.kills_within_import} within an import; {books.acknowledged} answers and "
        f"{imported} imported rows of {len(books.files)} files acknowledged; 0 lost, 0 divergent; {len(books.runs)} runs; "
        f"ready after {statistics.median(boots):.2f} s (longest {max(boots):.2f} s)"
    )
    assert statistics.median(boots) < BOOT_S
