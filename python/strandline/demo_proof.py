"""Compares the table of the demo with the published file, field by field."""

from __future__ import annotations

import datetime as dt
import operator
from collections import Counter
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
    fields = operator.itemgetter(*map(result.columns.index, names))
    key = operator.itemgetter(*map(result.columns.index, ("time_hour", "carrier", "flight")))
    text = _Texts().__getitem__
    stored = Counter(",".join(map(text, fields(row))) for row in result)
    keys = set(map(key, result))
    outside = sum(hour >= _NEW_YEAR_UTC for hour, _, _ in map(key, result))
    different = 0
    if stored != published:
        different = sum((stored - published).values()) + sum((published - stored).values())
    ours, theirs = _by_month(stored), _by_month(published)
    months = [(name, theirs[str(i)], ours[str(i)]) for i, name in enumerate(_MONTHS, start=1)]
    months.append(("year", theirs.total(), ours.total()))
    return Comparison(stored.total(), different, len(keys), outside, months)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _names() -> list[str]:
    from .demo import Flight

    return list(Flight.__dataclass_fields__)


class _Texts(dict[Any, str]):
    """Values as the file spells them. Six million fields have ten thousand values: each is spelled once."""

    def __missing__(self, value: Any) -> str:
        if value is None:
            text = "NA"
        elif isinstance(value, dt.datetime):
            text = value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            text = str(value)
        self[value] = text
        return text


def _by_month(lines: Counter[str]) -> Counter[str]:
    months: Counter[str] = Counter()
    for line, count in lines.items():
        months[line.split(",", 2)[1]] += count
    return months
