"""Figures by encoder and stage, as one table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One figure of an encoder and a stage; what is not a pack's is the vectors', and stands under `dense`."""

    name: str
    metric: str
    encoder: str
    stage: str
    value: float
    target: float | None
    most: bool = False
    """Whether the target is the greatest value, not the least."""
    details: dict[str, float] | None = None
    """What the value is made of, or the other metrics."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.most else self.value >= self.target


@dataclass
class Report:
    """What a run found, in order; `facts` are what it depends on."""

    facts: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)

    def table(self) -> str:
        """Return a row for each figure, with a column for each encoder and stage, in Markdown; ✓ meets the target."""
        columns = list(dict.fromkeys((figure.encoder, figure.stage) for figure in self.figures))
        encoders = dict.fromkeys(encoder for encoder, _ in columns)
        heads = [encoder if stage == "dense" else f"{encoder} + {stage}" for encoder, stage in columns]
        rows = [["figure", "metric", "target", *heads]]
        for name, metric in dict.fromkeys((figure.name, figure.metric) for figure in self.figures):
            of_row = [figure for figure in self.figures if (figure.name, figure.metric) == (name, metric)]
            cells = {(figure.encoder, figure.stage): figure for figure in of_row}
            rows.append([name, metric, _targets(of_row), *(_cell(cells.get(column)) for column in columns)])
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        rows.insert(1, ["-" * width for width in widths])
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
        ]
        met = {
            encoder: [figure.met for figure in self.figures if figure.encoder == encoder and figure.met is not None]
            for encoder in encoders
        }
        return "\n".join(
            [*lines, "", *(f"{name}: {sum(found)} of {len(found)} targets met." for name, found in met.items())]
        )

    def write(self, path: Path) -> None:
        """Write facts and figures as JSON."""
        figures = [{**figure._asdict(), "met": figure.met} for figure in self.figures]
        path.write_text(json.dumps({**self.facts, "figures": figures}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _targets(figures: Sequence[Figure]) -> str:
    """Return the target of a row: the encoders' own may differ, and are then left to their cells."""
    found = {(figure.target, figure.most) for figure in figures if figure.target is not None}
    if len(found) != 1:
        return "" if not found else "(each its own)"
    ((value, most),) = found
    return f"{'≤' if most else '≥'} {value:g}"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.value:.4g}" + (" ✓" if figure.met else "")
