"""The plot of docs/performance.md: three panels over the number of tasks, readable on light and on dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.operator.results import Lap, Run

__all__ = ["svg"]

WIDTH: Final = 270
HEIGHT: Final = 190
LEFT, TOP, GAP, BOTTOM = 44, 46, 58, 60
"""Pixels: of a panel, and around and between them."""

KINDS: Final = ("create", "update", "delete")

STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .straight { stroke: #818b98; stroke-width: 1; stroke-dasharray: 4 3 }
  .line { fill: none; stroke-width: 2 }
  .create { stroke: #0969da } .update { stroke: #bc4c00 } .delete { stroke: #1a7f37 } .memory { stroke: #8250df }
  circle { fill: #ffffff; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .create { stroke: #58a6ff } .update { stroke: #f0883e } .delete { stroke: #3fb950 } .memory { stroke: #bc8cff }
    circle { fill: #0d1117 }
  }
"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        title: With the unit.
        origin: What no task costs.
        lines: By their class in the style sheet, the points.
    """

    title: str
    origin: float
    lines: dict[str, list[Point]]


def svg(run: Run) -> str:
    """Draw the laps that have all phases; the dashed lines are straight, through none and the fewest tasks."""
    laps = run.whole()
    panels = [
        Panel("Seconds", 0, {kind: _points(laps, kind, "seconds") for kind in KINDS}),
        Panel("CPU seconds", 0, {kind: _points(laps, kind, "cpu_seconds") for kind in KINDS}),
        Panel("Peak memory, MiB", laps[0].start.memory_mib, {"memory": [(lap.tasks, _peak(lap)) for lap in laps]}),
    ]
    width, height = LEFT + len(panels) * (WIDTH + GAP), TOP + HEIGHT + BOTTOM
    drawn = [part for number, panel in enumerate(panels) for part in _draw(panel, LEFT + number * (WIDTH + GAP))]
    drawn += _legend(LEFT, height - 12)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    label = "Time, CPU and peak memory against the number of tasks"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *drawn, "</svg>", ""])


def _draw(panel: Panel, left: float) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    most = max(x for x, _ in points)
    straight = [panel.origin + (line[0][1] - panel.origin) / line[0][0] * most for line in panel.lines.values()]
    highest = max(*straight, *(y for _, y in points))
    step = _round(highest / 4)
    top = step * math.ceil(highest / step)

    def place(point: Point) -> str:
        return f"{left + point[0] / most * WIDTH:.1f},{TOP + HEIGHT - point[1] / top * HEIGHT:.1f}"

    drawn = [f'<text x="{left}" y="{TOP - 18}">{panel.title}</text>']
    for number in range(round(top / step) + 1):
        x, y = left, TOP + HEIGHT - number * step / top * HEIGHT
        drawn.append(f'<line class="grid" x1="{x}" y1="{y:.1f}" x2="{x + WIDTH}" y2="{y:.1f}"/>')
        drawn.append(f'<text class="small" x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>')
    for x in sorted({x for x, _ in points}):
        position = f'x="{left + x / most * WIDTH:.1f}" y="{TOP + HEIGHT + 18}"'
        drawn.append(f'<text class="small" {position} text-anchor="middle">{x:,.0f}</text>')
    for (kind, line), end in zip(panel.lines.items(), straight, strict=True):
        drawn.append(f'<polyline class="line straight" points="{place((0, panel.origin))} {place((most, end))}"/>')
        drawn.append(f'<polyline class="line {kind}" points="{" ".join(map(place, line))}"/>')
        spots = [place(point).split(",") for point in line]
        drawn += [f'<circle class="{kind}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in spots]
    return drawn


def _legend(left: float, y: float) -> list[str]:
    drawn = []
    for kind in (*KINDS, "memory", "straight"):
        words = "linear" if kind == "straight" else kind
        drawn.append(f'<line class="line {kind}" x1="{left}" y1="{y - 4}" x2="{left + 24}" y2="{y - 4}"/>')
        drawn.append(f'<text class="small" x="{left + 30}" y="{y}">{words}</text>')
        left += 110
    return drawn


def _points(laps: Sequence[Lap], kind: str, what: str) -> list[Point]:
    return [(lap.tasks, getattr(lap.phases[kind], what)) for lap in laps]


def _peak(lap: Lap) -> float:
    return max(phase.peak_mib for phase in lap.phases.values())


def _round(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... for a scale."""
    power = 10.0 ** math.floor(math.log10(max(step, 1e-3)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)
