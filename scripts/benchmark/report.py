"""Figures with their targets, as a table and as JSON."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One figure: `target` is the least value wanted, or the most when `most`; None when it is only reported."""

    size: int | None
    name: str
    value: float
    unit: str
    target: float | None
    most: bool
    rounds: list[float]

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.most else self.value >= self.target


class Report:
    """What a run found, in order."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.figures: list[Figure] = []

    def add(
        self,
        size: int | None,
        name: str,
        value: float,
        unit: str,
        target: float | None = None,
        *,
        most: bool = False,
        rounds: list[float] | None = None,
    ) -> None:
        """Add a figure; `size` is None when it does not depend on the number of profiles."""
        self.figures.append(Figure(size, name, float(value), unit, target, most, rounds or []))

    def value(self, size: int | None, name: str) -> float:
        """Return a figure that was added before; KeyError when there is none."""
        for figure in self.figures:
            if (figure.size, figure.name) == (size, name):
                return figure.value
        raise KeyError(name)

    def table(self) -> str:
        """Return the figures as lines of text, size by size."""
        lines: list[str] = []
        for size in dict.fromkeys(figure.size for figure in self.figures):
            lines += ["", "Any size" if size is None else f"{size:,} profiles"]
            for figure in self.figures:
                if figure.size == size:
                    lines.append(_line(figure))
        missed = [figure for figure in self.figures if figure.met is False]
        wanted = [figure for figure in self.figures if figure.met is not None]
        lines += ["", f"{len(wanted) - len(missed)} of {len(wanted)} targets met."]
        return "\n".join(lines[1:])

    def write(self, path: Path) -> None:
        """Write facts and figures as JSON."""
        figures = [{**figure._asdict(), "met": figure.met} for figure in self.figures]
        path.write_text(json.dumps({**self.facts, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def _line(figure: Figure) -> str:
    digits = 0 if abs(figure.value) >= 1_000 else 3 if figure.unit in {"ms", "recall", "s"} else 2
    value = f"{figure.value:,.{digits}f} {figure.unit}"
    if figure.target is None:
        return f"  {figure.name:<62} {value:>16}"
    sign = "≤" if figure.most else "≥"
    met = "met" if figure.met else "NOT MET"
    return f"  {figure.name:<62} {value:>16}   {sign} {figure.target:,g}: {met}"
