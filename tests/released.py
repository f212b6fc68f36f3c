"""The providers of tests/data/schema_NNNN.sql: a release began to load them, and test_migrations.py goes on.

What identifies a source, a slice and a task stays as it is: name, config, cut, key.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any
from zoneinfo import ZoneInfo

import strandline as sl

ZONE = ZoneInfo("Europe/Berlin")
DAYS = ("2024-03-28", "2024-04-07")  # ten of them; the clocks change on the fourth
PRICES = (0, 40)
METER = (0, 30)
FRUIT = [{"name": "apple", "grams": 150}, {"name": "pear", "grams": 180}]
NUTS = [{"name": "almond", "grams": 1}, {"name": "hazelnut", "grams": 2}]


def hours(start: dt.datetime, stop: dt.datetime) -> list[dt.datetime]:
    """Every second full hour of a window; 11 or 12 of them a day."""
    begin = start.astimezone(dt.UTC)
    count = (stop.astimezone(dt.UTC) - begin) // dt.timedelta(hours=2)
    return [begin + dt.timedelta(hours=2 * number) for number in range(count)]


def all_hours() -> list[dt.datetime]:
    """The times of all readings, each once: the clocks cut the fourth day short."""
    day, last = (dt.datetime.fromisoformat(each).replace(tzinfo=ZONE) for each in DAYS)
    found: list[dt.datetime] = []
    while day < last:
        found += hours(day, day + dt.timedelta(days=1))
        day += dt.timedelta(days=1)
    return found


def broken(slice_: str, cursor: Any) -> bool:
    """Whether the maker of the data wants the second page of this slice to fail."""
    return cursor is not None and slice_ in os.environ.get("RELEASED_BROKEN", "").split()


class Readings(sl.Provider):
    """Appended: a row every second hour, three pages a day, each with the token behind it but the last."""

    name = "readings"
    slice = "1 day"
    time_zone = "Europe/Berlin"
    backoff = ("1 us",)
    labels = {"team": "tide"}
    station: str = "north"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        assert context.window is not None
        start, stop = context.window.start, context.window.stop
        assert isinstance(start, dt.datetime)
        assert isinstance(stop, dt.datetime)
        if broken(start.astimezone(ZONE).date().isoformat(), cursor):
            raise sl.Fatal("the archive of this day is torn")
        times = hours(start, stop)
        first = 0 if cursor is None else cursor["next"]
        rows = [{"at": at, "station": self.station} for at in times[first : first + 4]]
        return sl.Page(rows, cursor={"next": first + 4} if first + 4 < len(times) else None)


class Prices(sl.Provider):
    """Merged by id, from a pool that has a limit; two pages a slice."""

    name = "prices"
    cursor_type = "id"
    origin = 0
    slice = 10
    primary_key = ("id",)
    pool = "narrow"
    backoff = ("1 us",)

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        assert context.window is not None
        lo, hi = context.window.bounds
        if broken(str(lo), cursor):
            raise sl.Fatal("the list is torn here")
        first = lo if cursor is None else cursor
        stop = min(first + 5, hi)
        rows = [{"id": each, "cents": 100 * each} for each in range(first, stop)]
        return sl.Page(rows, cursor=stop if stop < hi else None)


class Meter(sl.Provider):
    """Its slices take turns: the maker plans them with a mutex key."""

    name = "meter"
    cursor_type = "id"
    origin = 0
    slice = 10

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        assert context.window is not None
        lo, hi = context.window.bounds
        return sl.Page([{"id": each} for each in range(lo, hi)])
