"""Figures with their targets, as a table and as JSON."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Target(NamedTuple):
    """What a figure should reach: at least `value`, or at most; `correct` where missing it is an error."""

    value: float
    most: bool = False
    correct: bool = False

    def met(self, value: float) -> bool:
        """Tell whether a figure of that value meets it."""
        return value <= self.value if self.most else value >= self.value


RIGHT = Target(1.0, correct=True)
"""Recall, or a yes, that admits nothing less than one."""


class Figure(NamedTuple):
    """One figure: `size` is None when it does not depend on the number of profiles; `rounds` is what it is made of."""

    size: int | None
    name: str
    value: float
    unit: str
    target: Target | None
    rounds: list[float]


class Report:
    """What a run found, in order. Targets are those of `target_size` profiles, and of what depends on no size."""

    def __init__(self, facts: dict[str, Any], target_size: int) -> None:
        self.facts = facts
        self.figures: list[Figure] = []
        self._target_size = target_size

    def add(self, size: int | None, name: str, value: float, unit: str, target: Target | None = None) -> None:
        """Add a figure."""
        self._append(size, name, value, unit, target, [])

    def median(
        self, size: int | None, name: str, rounds: Sequence[float], unit: str, target: Target | None = None
    ) -> None:
        """Add the median of what the rounds found."""
        self._append(size, name, statistics.median(rounds), unit, target, list(rounds))

    def ratio(
        self,
        size: int | None,
        name: str,
        above: Sequence[float],
        below: Sequence[float],
        target: Target | None = None,
    ) -> None:
        """Add the median of the rounds' ratios: what one round's noise did to both cancels out."""
        self.median(size, name, [a / b for a, b in zip(above, below, strict=True)], "x", target)

    def _append(
        self, size: int | None, name: str, value: float, unit: str, target: Target | None, rounds: list[float]
    ) -> None:
        counts = target is not None and (target.correct or size in (None, self._target_size))
        self.figures.append(Figure(size, name, float(value), unit, target if counts else None, rounds))

    @property
    def right(self) -> bool:
        """Whether every figure that is a matter of correctness is right."""
        return all(f.target.met(f.value) for f in self.figures if f.target is not None and f.target.correct)

    def table(self) -> str:
        """Return the figures as lines of text, size by size."""
        lines: list[str] = []
        for size in dict.fromkeys(figure.size for figure in self.figures):
            lines += ["", "Whatever the size" if size is None else f"{size:,} profiles"]
            lines += [_line(figure) for figure in self.figures if figure.size == size]
        wanted = [(figure.target, figure.value) for figure in self.figures if figure.target is not None]
        met = sum(target.met(value) for target, value in wanted)
        return "\n".join([*lines[1:], "", f"{met} of {len(wanted)} targets met."])

    def write(self, path: Path) -> None:
        """Write facts and figures as JSON."""
        figures = [
            {
                "size": f.size,
                "name": f.name.strip(),
                "value": f.value,
                "unit": f.unit,
                "target": f.target.value if f.target else None,
                "target_is": ("at most" if f.target.most else "at least") if f.target else None,
                "met": f.target.met(f.value) if f.target else None,
                "rounds": f.rounds,
            }
            for f in self.figures
        ]
        path.write_text(json.dumps({**self.facts, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def _line(figure: Figure) -> str:
    digits = 0 if abs(figure.value) >= 1_000 else 3 if figure.unit in {"ms", "recall", "s"} else 2
    line = f"  {figure.name:<66} {figure.value:>10,.{digits}f} {figure.unit:<10}"
    if figure.target is None:
        return line.rstrip()
    sign = "≤" if figure.target.most else "≥"
    met = "met" if figure.target.met(figure.value) else "NOT MET"
    return f"{line} {sign} {figure.target.value:,g}: {met}"
