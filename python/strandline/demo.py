"""A complete provider, and the story of `make demo`: 336,776 flights arrive while a worker is killed.

    strandline ingest strandline.demo:Flights --window 2013-W07

is a smaller way to try it. The story itself is in `strandline.demo_story`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import strandline as sl

from .demo_archive import open_archive

PAGE = 2000
"""Flights in one page."""


@dataclass
class Flight:
    """One departure; delays in minutes, distances in miles, times of day as hhmm in New York or at the destination."""

    year: int
    month: int
    day: int
    dep_time: int | None
    sched_dep_time: int
    dep_delay: int | None
    arr_time: int | None
    sched_arr_time: int
    arr_delay: int | None
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    air_time: int | None
    distance: int
    hour: int
    minute: int
    time_hour: datetime


class Flights(sl.Provider):
    """The flights that left New York City in 2013, week by week, in pages of 2,000."""

    name = "flights"
    schema = Flight
    cursor_field = "time_hour"
    time_zone = "America/New_York"
    slice = "1 week"

    def next(self, context: sl.Context, cursor: int | None) -> sl.Page:
        """One page of the slice; the cursor is how many of its flights were read before."""
        archive = open_archive()
        assert context.window is not None  # a time provider always has one
        flights = archive.within(context.window)
        begin = cursor or 0
        end = min(begin + PAGE, len(flights))
        rows = [parse(line) for line in archive.read(flights[begin:end])]
        return sl.Page(rows, cursor=end if end < len(flights) else None, total=len(flights))


_TEXT = frozenset(("carrier", "tailnum", "origin", "dest"))
_FIELDS = [
    (name, str if name in _TEXT else datetime.fromisoformat if name == "time_hour" else int)
    for name in Flight.__dataclass_fields__
]


def parse(line: list[str]) -> dict[str, Any]:
    """The fields of one line of the file as the types of `Flight`; the text NA is no value."""
    return {name: None if text == "NA" else convert(text) for (name, convert), text in zip(_FIELDS, line, strict=True)}


def main(argv: list[str] | None = None) -> int:
    """Tells the story; 0 when every claim in it held."""
    from .demo_story import main as tell

    return tell(argv)


if __name__ == "__main__":
    sys.exit(main())
