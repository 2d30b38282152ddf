"""The table and the file."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import Line

_WIDTHS = (43, 7, 22, 22, 18, 16)
_COLUMNS = ("", "unit", "gateway", "nginx", "gateway to nginx", "target")


def compared(line: Line) -> list[float]:
    """Round by round, what the gateway took compared with nginx: a ratio, or a difference in the unit."""
    pairs = zip(line.figures["gateway"], line.figures["nginx"], strict=True)
    if line.compared == "ratio":
        return [ours / theirs for ours, theirs in pairs]
    return [ours - theirs for ours, theirs in pairs]


def reached(line: Line) -> bool | None:
    return None if line.target is None else median(compared(line)) < line.target


def table(lines: Sequence[Line]) -> str:
    """Figures are the least, the median and the greatest over the rounds."""
    out = [_row(_COLUMNS), _row(tuple("-" * width for width in _WIDTHS))]
    for line in lines:
        sign = "x" if line.compared == "ratio" else ""
        target = ""
        if line.target is not None:
            verdict = "reached" if reached(line) else "MISSED"
            target = f"< {line.target:g}{sign} {verdict}"
        figures = (_spread(line.figures["gateway"]), _spread(line.figures["nginx"]))
        out.append(_row((line.title, line.unit, *figures, _spread(compared(line), sign), target)))
    return "\n".join(out)


def _row(cells: Sequence[str]) -> str:
    first, *others = zip(cells, _WIDTHS, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def _spread(figures: Sequence[float], sign: str = "") -> str:
    least, greatest = min(figures), max(figures)
    if least == greatest:
        return f"{_shown(least)}{sign}"
    return f"{_shown(least)} {_shown(median(figures))}{sign} {_shown(greatest)}"


def _shown(figure: float) -> str:
    return (
        f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}" if abs(figure) >= 10 else f"{figure:.2f}"
    )


def as_json(lines: Sequence[Line], ledger: str, disturbed: float) -> str:
    """The figures of every round; `disturbed` is the share of the cores that other work had."""
    described: list[dict[str, Any]] = [
        {
            "key": line.key,
            "title": line.title,
            "unit": line.unit,
            "gateway": line.figures["gateway"],
            "nginx": line.figures["nginx"],
            line.compared: compared(line),
            "target": line.target,
            "reached": reached(line),
        }
        for line in lines
    ]
    return json.dumps(
        {**machine(), "ledger": ledger, "other_work": round(disturbed, 3), "lines": described}, indent=2
    )


def machine() -> dict[str, str]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"Python {platform.python_version()}",
        "cores": f"{os.cpu_count()} cores",
        "processor": models[0] if models else platform.machine(),
    }
