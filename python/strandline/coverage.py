"""Which parts of a window are in the target, which are on their way, which failed and which are missing."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from strandline import _core
from strandline.report import plain

if TYPE_CHECKING:
    from strandline.window import Window

STATES = ("COVERED", "RUNNING", "QUEUED", "FAILED", "CANCELLED", "MISSING")
_COLOURS = {
    "COVERED": "#2a7f62",
    "RUNNING": "#3f88c5",
    "QUEUED": "#a9cbe8",
    "FAILED": "#c8553d",
    "CANCELLED": "#8d8d8d",
    "MISSING": "#e9e6df",
}
# What one cell of a picture shows when several states meet in it: what needs a look wins over what is well.
_LOUDEST = ("FAILED", "RUNNING", "QUEUED", "CANCELLED", "MISSING", "COVERED")


class Part(NamedTuple):
    """A piece [lo, hi) of the window in the cursor's unit, in one state."""

    lo: int
    hi: int
    state: str


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One slice, one gap or one step of `by`. Fields that a gap has not are None.

    `state` is COVERED, RUNNING, QUEUED, FAILED, CANCELLED or MISSING; `worker` is host:pid:number; `attempts` counts
    runs; `error` is the text of the last failure.
    """

    window: Window
    state: str
    task: int | None = None
    worker: str | None = None
    leased_until: datetime | None = None
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """The state of a window of one cursor, read in one snapshot at `at`.

    `covered`, `in_flight`, `failed` and `missing` are disjoint and make up the window: what a reread has in flight or
    lost stays covered. `watermark` is where the covered prefix ends. `rows`
    has one entry per slice and gap, or per step.
    """

    window: Window | None
    watermark: Any
    at: datetime
    covered: list[Window] = field(default_factory=list)
    in_flight: list[Window] = field(default_factory=list)
    failed: list[Window] = field(default_factory=list)
    missing: list[Window] = field(default_factory=list)
    rows: list[CoverageRow] = field(default_factory=list)
    name: str = ""
    parts: tuple[Part, ...] = field(default=(), repr=False)
    mark: int | None = field(default=None, repr=False)

    @property
    def complete(self) -> bool:
        """True when every part of the window is in the target."""
        return not (self.in_flight or self.failed or self.missing)

    def to_dict(self) -> dict[str, Any]:
        """The coverage as plain values that JSON can hold."""
        out: dict[str, Any] = {
            item.name: plain(getattr(self, item.name))
            for item in fields(self)
            if item.name not in ("rows", "parts", "mark")
        }
        out["rows"] = [{item.name: plain(getattr(row, item.name)) for item in fields(row)} for row in self.rows]
        return out

    def text(self, width: int = 80) -> str:
        """A picture of at most `width` characters a line: a calendar of cells for times, a strip for ids."""
        from strandline.picture import picture
        from strandline.render import Style

        return picture(self, Style(width=width))

    def svg(self, width: int = 720, height: int = 64) -> str:
        """The same picture as an SVG element, with a title on every part and a line at the watermark."""
        span = self._span()
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        )
        head += (
            f' role="img" font-family="sans-serif" font-size="11"><title>coverage of {html.escape(self.name)}</title>'
        )
        if span is None:
            return f'{head}<text x="4" y="{height // 2}">nothing planned yet</text></svg>'
        lo, hi = span
        scale = width / (hi - lo)
        bar = height - 32
        drawn = [
            f'<rect x="{(part.lo - lo) * scale:.2f}" y="4" width="{max(0.5, (part.hi - part.lo) * scale):.2f}"'
            f' height="{bar}" fill="{_COLOURS[part.state]}"><title>{part.state.lower()}</title></rect>'
            for part in self.parts
        ]
        if self.mark is not None and lo <= self.mark <= hi:
            x = min(width - 1.0, (self.mark - lo) * scale)
            drawn.append(f'<line x1="{x:.2f}" y1="0" x2="{x:.2f}" y2="{bar + 8}" stroke="#222" stroke-width="2"/>')
        ends = self._ends()
        drawn.append(f'<text x="0" y="{bar + 18}">{html.escape(ends[0])}</text>')
        drawn.append(f'<text x="{width}" y="{bar + 18}" text-anchor="end">{html.escape(ends[1])}</text>')
        drawn.append(_legend(self.parts, height - 3))
        return head + "".join(drawn) + "</svg>"

    def _repr_html_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{name} {len(getattr(self, name))}" for name in ("covered", "in_flight", "failed", "missing")
        )
        return f"<Coverage {self.name} {self.window}: {counts}, watermark {plain(self.watermark)}>"

    def _span(self) -> tuple[int, int] | None:
        return (self.parts[0].lo, self.parts[-1].hi) if self.parts else None

    def _ends(self) -> tuple[str, str]:
        if self.window is None:
            span = self._span() or (0, 0)
            return str(span[0]), str(span[1])
        return str(plain(self.window.start)), str(plain(self.window.stop))


def clip(lo: int, hi: int, span: tuple[int, int]) -> tuple[int, int]:
    """[lo, hi) within `span`; empty (lo >= hi) where they do not meet."""
    return max(lo, span[0]), min(hi, span[1])


def slice_rows(
    span: tuple[int, int],
    tasks: Sequence[dict[str, Any]],
    covered: Sequence[tuple[int, int]],
    window: Callable[[int, int], Window],
) -> list[CoverageRow]:
    """One row per slice within `span` and one per gap between slices.

    `tasks` come newest generation first within one window. A slice that was given up counts only while nothing covers
    its window; what is covered without a task (its history was pruned) is a row of its own.
    """
    rows: list[tuple[int, CoverageRow]] = []
    covered = list(covered)
    taken: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    for task in tasks:
        lo, hi = clip(task["lo"], task["hi"], span)
        if lo >= hi or (lo, hi) in seen:
            continue
        if task["status_code"] in ("FAILED", "CANCELLED") and _core.intervals_contain(covered, lo, hi):
            continue
        seen.add((lo, hi))
        taken.append((lo, hi))
        state = "COVERED" if task["status_code"] == "SUCCEEDED" else task["status_code"]
        rows.append((lo, _task_row(task, state, window(lo, hi))))
    free = _core.intervals_subtract([span], taken)
    uncovered = _core.intervals_subtract(free, covered)
    rows += [(lo, CoverageRow(window=window(lo, hi), state="MISSING")) for lo, hi in uncovered]
    rows += [
        (lo, CoverageRow(window=window(lo, hi), state="COVERED")) for lo, hi in _core.intervals_intersect(free, covered)
    ]
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def step_rows(
    steps: Sequence[tuple[int, int]], parts: Sequence[Part], window: Callable[[int, int], Window]
) -> list[CoverageRow]:
    """One row per step; its state is the one that most needs a look among the parts that it meets."""
    rows = []
    first = 0
    for lo, hi in steps:
        while first < len(parts) and parts[first].hi <= lo:
            first += 1
        states = set()
        for part in parts[first:]:
            if part.lo >= hi:
                break
            states.add(part.state)
        rows.append(CoverageRow(window=window(lo, hi), state=_loudest(states)))
    return rows


def _task_row(task: dict[str, Any], state: str, window: Window) -> CoverageRow:
    error = task.get("last_error")
    live = state == "RUNNING"
    return CoverageRow(
        window=window,
        state=state,
        task=task["task_id"],
        worker=task.get("worker") if live or state == "COVERED" else None,
        leased_until=task.get("leased_until") if live else None,
        attempts=task.get("attempts") or 0,
        error=error.get("message") if isinstance(error, dict) and state in ("FAILED", "QUEUED") else None,
    )


def _loudest(states: set[str]) -> str:
    return next((state for state in _LOUDEST if state in states), "MISSING")


def _legend(parts: Sequence[Part], y: int) -> str:
    drawn = []
    x = 0
    for state in STATES:
        if any(part.state == state for part in parts):
            drawn.append(f'<rect x="{x}" y="{y - 8}" width="8" height="8" fill="{_COLOURS[state]}"/>')
            drawn.append(f'<text x="{x + 12}" y="{y}">{state.lower()}</text>')
            x += 28 + 7 * len(state)
    return "".join(drawn)
