#!/usr/bin/env python
"""Fit what scores mean: `.venv/bin/python scripts/calibrate.py --write`.

Loads the demonstration territory into a database of its own, puts every labelled pair of `scripts/labelled` through
the service, fits a curve and a threshold per match kind, and prints them beside the present ones. Files in
`models/calibration` change only with `--write`. Decisions that people took in a database of yours count as labelled
pairs when you name it (`--database`). `PUENTE_MODEL` chooses the encoder.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
sys.path[:0] = [str(PROJECT), str(HERE)]

from calibration import fitting, labelled  # noqa: E402
from calibration.asking import Asked, Asker, opened  # noqa: E402

from app import log  # noqa: E402 - the project's folder must be on the path first
from app.cli import load_territory  # noqa: E402
from app.matching.calibration import Calibration, CalibrationError  # noqa: E402
from app.matching.embedder import Embedder, load_embedder  # noqa: E402
from app.matching.kinds import MATCH_KINDS, MatchKind  # noqa: E402
from app.settings import Settings  # noqa: E402


def main() -> None:
    """Fit each kind, print the table, and write the files when told to."""
    parser = argparse.ArgumentParser(description="Fit probabilities and thresholds.")
    parser.add_argument("--kind", action="append", choices=sorted(MATCH_KINDS), help="by default all")
    parser.add_argument("--database", type=Path, help="SQLite file whose decisions count as labelled pairs")
    parser.add_argument("--folder", type=Path, default=PROJECT / "models" / "calibration", help="where the files lie")
    parser.add_argument("--write", action="store_true", help="replace the files")
    options = parser.parse_args()
    if options.database is not None and not options.database.is_file():
        parser.error(f"there is no database {options.database}")
    embedder = load_embedder()
    with tempfile.TemporaryDirectory(prefix="puente-calibrate-") as folder:
        settings = Settings(database=str(Path(folder) / "territory.db"), log_level="ERROR")
        log.configure(settings.log_level)
        with opened(Path(settings.database)) as database:
            load_territory(settings, database, embedder)
            asker = Asker(database, embedder)
            for name in options.kind or sorted(MATCH_KINDS):
                kind = MATCH_KINDS[name]
                decided = _decided(options.database, kind, embedder) if options.database else []
                found = _fitted(kind, asker, embedder, options.folder / f"{name}.json", decided)
                if options.write:
                    options.folder.mkdir(parents=True, exist_ok=True)
                    (options.folder / f"{name}.json").write_text(found.to_json(), encoding="utf-8")


def _decided(path: Path, kind: MatchKind, embedder: Embedder) -> list[Asked]:
    with opened(path) as database:
        decided, lost = Asker(database, embedder).decided(kind)
    print(f"{kind.name}: {len(decided)} decisions, and {lost} that cannot be judged anew")
    return decided


def _fitted(kind: MatchKind, asker: Asker, embedder: Embedder, path: Path, decided: Sequence[Asked]) -> Calibration:
    pairs = labelled.read(kind.name)
    asked = asker.ask(kind, pairs)
    found = fitting.fit(kind, embedder.model_key, pairs, asked, decided, date.today().isoformat())  # noqa: DTZ011 - a day, by the local calendar
    print(f"\n{kind.name}: {found.curve.method} of the {found.curve.basis}, {embedder.model_key}")
    for name, figure in found.figures.items():
        print(f"  {name:40} {figure:g}")
    print("  on all labelled pairs                 error   Brier  threshold  unrelated refused  related kept")
    for name, calibration in (("before", _present(path, kind, embedder)), ("after", found)):
        error, brier = fitting.measured(calibration, asked) if calibration else (float("nan"), float("nan"))
        answers = asker.answered(kind, pairs, calibration)
        unrelated = [not answers[one.seeker][0] for one in asked if not one.related]
        related = [answers[one.seeker][1] for one in asked if any(pair.fits for pair in one.pairs)]
        print(
            f"  {name:36} {error:6.3f}  {brier:6.3f}  {calibration.threshold if calibration else 0:9.4f}"
            f"  {sum(unrelated) / len(unrelated):17.3f}  {sum(related) / len(related):12.3f}"
        )
    return found


def _present(path: Path, kind: MatchKind, embedder: Embedder) -> Calibration | None:
    """Return the present calibration if the service would apply it, else None: no threshold at all."""
    if not path.is_file():
        return None
    found = Calibration.from_json(path.read_text(encoding="utf-8"))
    return found if (found.model_key, found.rules_version) == (embedder.model_key, kind.rules_version()) else None


if __name__ == "__main__":
    try:
        main()
    except (CalibrationError, ValueError, OSError) as error:
        raise SystemExit(f"calibrate.py: {error}") from error
