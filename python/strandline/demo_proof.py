"""Compares the table of the demo with the published file, field by field."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .demo_archive import read_package_file

if TYPE_CHECKING:
    from .engine import Engine

_NEW_YEAR_UTC = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Comparison:
    """`different` counts lines that only one side has; `months` holds (month, in the file, in the table)."""

    rows: int
    different: int
    keys: int
    outside_utc: int
    months: list[tuple[str, int, int]]


def read_file(source: Path) -> Counter[str]:
    """The lines of the published file, straight from the package: not by the way that the provider read them."""
    _, lines = read_package_file(source)
    return Counter(lines)


def compare(engine: Engine, published: Counter[str]) -> Comparison:
    """Writes every row of the table as its line of the file and compares the two heaps of lines."""
    names = _names()
    # Where the columns of the table stand is the table's business: they are found by name.
    result = engine.table("flights")
    at = [list(result.columns).index(name) for name in names]
    stored: Counter[str] = Counter()
    keys = set()
    outside = 0
    carrier, flight, hour = (names.index(name) for name in ("carrier", "flight", "time_hour"))
    for row in result:
        values = [row[i] for i in at]
        keys.add((values[hour], values[carrier], values[flight]))
        outside += values[hour] >= _NEW_YEAR_UTC
        stored[_line(values)] += 1
    different = sum((stored - published).values()) + sum((published - stored).values())
    ours, theirs = _by_month(stored), _by_month(published)
    months = [(name, theirs[str(i)], ours[str(i)]) for i, name in enumerate(_MONTHS, start=1)]
    months.append(("year", theirs.total(), ours.total()))
    return Comparison(stored.total(), different, len(keys), outside, months)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _names() -> list[str]:
    from .demo import Flight

    return list(Flight.__dataclass_fields__)


def _line(values: Iterable[Any]) -> str:
    return ",".join(_text(value) for value in values)


def _text(value: Any) -> str:
    if value is None:
        return "NA"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def _by_month(lines: Counter[str]) -> Counter[str]:
    months: Counter[str] = Counter()
    for line, count in lines.items():
        months[line.split(",", 2)[1]] += count
    return months
