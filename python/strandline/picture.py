"""Coverage as a picture in the terminal: a calendar of cells for times, a strip for ids.

A year shows as a line per month with a cell per day, so that a hole is where a person looks for it.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from . import render

if TYPE_CHECKING:
    from .coverage import Coverage, Part

_MARKS = {"COVERED": "█", "RUNNING": "▓", "QUEUED": "▒", "FAILED": "x", "CANCELLED": "c", "MISSING": "·"}
_ASCII = {"COVERED": "#", "RUNNING": "+", "QUEUED": "-", "FAILED": "x", "CANCELLED": "c", "MISSING": "."}
# A cell where several states meet shows the one that needs a look: half a covered day is not a covered day.
_LOUDEST = ("FAILED", "CANCELLED", "MISSING", "QUEUED", "RUNNING", "COVERED")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LEFT = 12
_MICROSECOND = dt.timedelta(microseconds=1)

_Rows = list[tuple[str, list[int]]]


def picture(coverage: Coverage, style: render.Style = render.PLAIN) -> str:
    """The window of `coverage` as cells, with a legend in per cent; every line fits `style.width`."""
    parts = coverage.parts
    if not parts:
        return "nothing planned yet"
    lo, hi = parts[0].lo, parts[-1].hi
    rows, unit = _layout(coverage, lo, hi, style.width)
    starts = [part.lo for part in parts]
    lines = []
    for label, bounds in rows:
        cells = [_cell(parts, starts, a, b, lo, hi) for a, b in pairwise(bounds)]
        lines.append(f"{label:<{_LEFT}}" + _paint(cells, style))
    lines.append("")
    lines += _legend(parts, hi - lo, unit, style)
    return "\n".join(lines)


def _cell(parts: Sequence[Part], starts: Sequence[int], a: int, b: int, lo: int, hi: int) -> str | None:
    """The loudest state in [a, b), None outside the window."""
    a, b = max(a, lo), min(b, hi)
    if a >= b:
        return None
    states = set()
    for part in parts[max(bisect_right(starts, a) - 1, 0) :]:
        if part.lo >= b:
            break
        if part.hi > a:
            states.add(part.state)
    return next((state for state in _LOUDEST if state in states), "MISSING")


def _paint(cells: Sequence[str | None], style: render.Style) -> str:
    marks = _MARKS if style.unicode else _ASCII
    text = []
    at = 0
    while at < len(cells):
        end = at
        while end < len(cells) and cells[end] == cells[at]:
            end += 1
        state = cells[at]
        run = (marks[state] if state else " ") * (end - at)
        colour = render.STATE_COLOURS.get(state or "")
        text.append(style.paint(run, colour) if colour else run)
        at = end
    return "".join(text).rstrip()


def _legend(parts: Sequence[Part], span: int, unit: str, style: render.Style) -> list[str]:
    marks = _MARKS if style.unicode else _ASCII
    items = []
    for state in marks:
        amount = sum(part.hi - part.lo for part in parts if part.state == state)
        if amount:
            text = f"{marks[state]} {state.lower()} {_percent(amount / span)}"
            items.append((text, style.paint(text[0], render.STATE_COLOURS.get(state, "")) + text[1:]))
    lines = [" " * _LEFT]
    wide = _LEFT
    for text, painted in [*items, (unit, unit)]:
        if wide > _LEFT and wide + 3 + len(text) > style.width:
            lines.append(" " * _LEFT)
            wide = _LEFT
        gap = "" if wide == _LEFT else "   "
        lines[-1] += gap + painted
        wide += len(gap) + len(text)
    return lines


def _percent(share: float) -> str:
    if share >= 1:
        return "100%"
    # Never "100 %" with a hole, never "0 %" with something there.
    return f"{min(max(share * 100, 0.1), 99.9):.1f}%"


def _layout(coverage: Coverage, lo: int, hi: int, width: int) -> tuple[_Rows, str]:
    """Rows of cell bounds (one more bound than cells) and what one cell is."""
    window = coverage.window
    start = getattr(window, "start", None)
    if not isinstance(start, dt.datetime):
        return _strip(lo, hi, width, str)
    zone = _zone(getattr(window, "time_zone", None))
    first, last = _local(lo, zone), _local(hi - 1, zone)
    days = (last.date() - first.date()).days + 1
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    if days <= 14:
        return _days(first.date(), days, zone), "one cell is 30 min"
    if months <= 36:
        return _months(first.year, first.month, months, zone), "one cell is a day"
    if last.year - first.year < 40:
        return _years(first.year, last.year, zone), "one cell is a week"
    return _strip(lo, hi, width, lambda micros: _local(micros, zone).date().isoformat())


def _days(day: dt.date, count: int, zone: dt.tzinfo) -> _Rows:
    rows = []
    for date in (day + dt.timedelta(days=i) for i in range(count)):
        midnight = dt.datetime.combine(date, dt.time())
        ticks = [_micros((midnight + dt.timedelta(minutes=30 * i)).replace(tzinfo=zone)) for i in range(48)]
        rows.append((date.strftime("%a %d %b"), _ascending([*ticks, _midnight(date + dt.timedelta(days=1), zone)])))
    return rows


def _months(year: int, month: int, count: int, zone: dt.tzinfo) -> _Rows:
    rows = []
    for i in range(count):
        y, m = year + (month - 1 + i) // 12, (month - 1 + i) % 12 + 1
        after = dt.date(y + m // 12, m % 12 + 1, 1)
        first = dt.date(y, m, 1)
        bounds = [_midnight(first + dt.timedelta(days=d), zone) for d in range((after - first).days + 1)]
        rows.append((first.strftime("%b %Y"), bounds))
    return rows


def _years(first: int, last: int, zone: dt.tzinfo) -> _Rows:
    rows = []
    for year in range(first, last + 1):
        day, after = dt.date(year, 1, 1), dt.date(year + 1, 1, 1)
        bounds = [_midnight(day + dt.timedelta(weeks=w), zone) for w in range(53)]
        rows.append((str(year), [*bounds, _midnight(after, zone)]))
    return rows


def _strip(lo: int, hi: int, width: int, text: Callable[[int], str]) -> tuple[_Rows, str]:
    count = max(min(width - _LEFT - 2, 60, hi - lo), 1)
    bounds = [lo + (hi - lo) * i // count for i in range(count + 1)]
    label = text(lo)
    # A bound that is too long for the margin goes into the legend, whole: a cut number is a wrong number.
    return [(label if len(label) < _LEFT else "", bounds)], f"{label} to {text(hi)}"


def _ascending(bounds: list[int]) -> list[int]:
    # Local half hours that a clock change skips or repeats become empty cells instead of going backwards.
    for i in range(1, len(bounds)):
        bounds[i] = max(bounds[i], bounds[i - 1])
    return bounds


def _zone(name: object) -> dt.tzinfo:
    if isinstance(name, dt.tzinfo):
        return name
    return ZoneInfo(name) if isinstance(name, str) and name else dt.UTC


def _local(micros: int, zone: dt.tzinfo) -> dt.datetime:
    return (_EPOCH + dt.timedelta(microseconds=micros)).astimezone(zone)


def _midnight(day: dt.date, zone: dt.tzinfo) -> int:
    return _micros(dt.datetime.combine(day, dt.time(), tzinfo=zone))


def _micros(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
