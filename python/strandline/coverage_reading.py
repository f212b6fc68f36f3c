"""Reads the coverage of a cursor from the ledger."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.coverage import Coverage, Part, slice_rows, step_rows
from strandline.reporting import watermark_of
from strandline.window import Window, resolve, strategy

if TYPE_CHECKING:
    from strandline._core import Ledger

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def read_coverage(ledger: Ledger, cursor: dict[str, Any], window: Any, by: Any) -> Coverage:
    """The coverage of `window`, None for everything from the origin to the last bound that was ever planned."""
    kind, zone = cursor["cursor_type_code"].lower(), cursor["time_zone"]
    now = ledger.now()
    at = _EPOCH + dt.timedelta(microseconds=now)
    name = f"{cursor['provenance_code']}>{cursor['cursor_key']}"
    whole = ledger.fetch("coverage.end", cursor["id"])[0]
    lo, hi = resolve(window, cursor_type=kind, time_zone=zone, now=now) if window is not None else (None, None)
    span = (whole["lo"] if lo is None else lo, (whole["hi"] if hi is None else hi) or 0)
    if span[0] >= span[1]:
        return Coverage(window=None, watermark=watermark_of(cursor), at=at, name=name)

    def shown(a: int, b: int) -> Window:
        return Window.from_bounds(a, b, "time" if kind == "time" else "id", zone)

    parts = tuple(
        Part(row["lo"], row["hi"], row["state"]) for row in ledger.fetch("coverage.sets", cursor["id"], *span)
    )

    def sets(*states: str) -> list[Window]:
        merged = _core.intervals_union([(part.lo, part.hi) for part in parts if part.state in states], [])
        return [shown(a, b) for a, b in merged]

    if by is None:
        tasks = ledger.fetch("coverage.tasks", cursor["id"], *span)
        covered = [(part.lo, part.hi) for part in parts if part.state == "COVERED"]
        rows = slice_rows(span, tasks, covered, shown)
    else:
        points = _core.cut(strategy(by), zone, *span)
        rows = step_rows(list(pairwise(points)), parts, shown)
    return Coverage(
        window=shown(*span),
        watermark=watermark_of(cursor),
        at=at,
        covered=sets("COVERED"),
        in_flight=sets("RUNNING", "QUEUED"),
        failed=sets("FAILED"),
        missing=sets("MISSING", "CANCELLED"),
        rows=rows,
        name=name,
        parts=parts,
        mark=cursor["value_norm"],
    )
