"""check_provider: a good provider passes, and each fault is named."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from typing import Any

import pytest

import strandline as sl
from strandline.provider import Provider
from strandline.testing import check_provider

pytestmark = pytest.mark.nodb

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PAGE = 10


class Hourly(Provider):
    """A row an hour, ten on a page; the cursor is the number of rows before."""

    name = "hourly"
    primary_key = ("id",)
    cursor_field = "at"

    def next(self, context: sl.Context, cursor: int | None) -> sl.Page:
        rows = self.rows(context)
        begin = cursor or 0
        return sl.Page(rows[begin : begin + PAGE], cursor=begin + PAGE if begin + PAGE < len(rows) else None)

    def rows(self, context: sl.Context) -> list[Any]:
        assert context.window is not None
        start, stop = context.window.start, context.window.stop
        assert isinstance(start, dt.datetime)
        assert isinstance(stop, dt.datetime)
        numbers = range(-((START - start) // HOUR), min(2000, -((START - stop) // HOUR)))
        return [{"id": number, "at": START + number * HOUR} for number in numbers]


def complaints(kind: Any, window: Any = "2013-01-02", **given: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check_provider(kind, window, **given)
    return str(caught.value)


def test_a_good_provider_passes() -> None:
    check_provider(Hourly, "2013-01-02")
    check_provider(Hourly(), "2013-01")
    check_provider(Hourly, ("2014-01-01", "2014-01-02"))  # no rows at all


def test_more_pages_than_are_read() -> None:
    check_provider(Hourly, "2013")


def test_rows_of_every_kind() -> None:
    pyarrow = pytest.importorskip("pyarrow")

    class Arrow(Hourly):
        def next(self, context: sl.Context, cursor: int | None) -> sl.Page:
            page = super().next(context, cursor)
            return sl.Page(pyarrow.Table.from_pylist(list(page.rows)), cursor=page.cursor)

    class Lazy(Hourly):
        def next(self, context: sl.Context, cursor: int | None) -> sl.Page:
            page = super().next(context, cursor)
            return sl.Page(iter(page.rows), cursor=page.cursor)

    check_provider(Arrow, "2013-01-02")
    check_provider(Lazy, "2013-01-02")


def test_pages_that_differ() -> None:
    count = itertools.count()

    class Moving(Hourly):
        def rows(self, context: sl.Context) -> list[Any]:
            return [{**row, "seen": next(count)} for row in super().rows(context)]

    found = complaints(Moving)
    assert "two readings differ: 24 of 24 rows, row 0:" in found
    assert found.count("\n") == 1


def test_a_cursor_that_is_not_used() -> None:
    class Forgetful(Provider):
        name = "forgetful"

        def pages(self, context: sl.Context, cursor: Any) -> Any:
            for number in range(3):
                yield sl.Page([{"id": number}], cursor=number)

    found = complaints(Forgetful)
    assert "reading on from the cursor of page 1, 0, fails: page 1: forgetful: page 1 has rows and ends where" in found
    assert "reading on from the cursor of page 2, 1, " in found


def test_a_window_that_is_ignored() -> None:
    class Deaf(Hourly):
        cursor_field = None

        def rows(self, context: sl.Context) -> list[Any]:
            return [{"id": number} for number in range(25)]

    assert "the window is ignored" in complaints(Deaf)


def test_a_window_that_is_taken_with_both_ends() -> None:
    class Inclusive(Hourly):
        def rows(self, context: sl.Context) -> list[Any]:
            assert context.window is not None
            start, stop = context.window.start, context.window.stop
            numbers = [number for number in range(2000) if start <= START + number * HOUR <= stop]
            return [{"id": number, "at": (START + number * HOUR).isoformat()} for number in numbers]

    found = complaints(Inclusive)
    assert "1 rows lie outside of" in found
    assert "have 13 and 13 rows, the whole has 25" in found


def test_a_key_that_is_missing() -> None:
    class Keyless(Hourly):
        primary_key = ("id", "region")

    assert "page 1 has 10 rows without the key column 'region'" in complaints(Keyless)


def test_what_reading_itself_finds() -> None:
    class Still(Hourly):
        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            return sl.Page([{"id": 1}], cursor=5)

    class Failing(Hourly):
        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            raise KeyError("items")

    class Odd(Hourly):
        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            return sl.Page([{"id": 1}], cursor={1, 2})

    assert "page 2: hourly: page 2 has rows and ends where page 1 ended" in complaints(Still)
    assert "page 1 raises KeyError: 'items'" in complaints(Failing)
    assert "is no JSON" in complaints(Odd)


def test_params_and_client_reach_the_provider() -> None:
    class Asking(Provider):
        name = "asking"
        cursor_type = "token"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return [{"id": context.params["first"] + context.client}]

    check_provider(Asking, params={"first": 1}, client=2)
    assert "page 1 raises KeyError: 'first'" in complaints(Asking, None, client=2)


def test_a_window_that_cannot_be_resolved_is_the_callers_mistake() -> None:
    with pytest.raises(sl.ConfigError, match="has no start"):
        check_provider(Hourly)


def test_a_bound_that_runs_ahead_of_the_rows() -> None:
    class Ahead(Hourly):
        ordered = True
        ahead: int = 0

        def next(self, context: sl.Context, cursor: int | None) -> sl.Page:
            page = super().next(context, cursor)
            return dataclasses.replace(page, upto=page.rows[-1]["at"] + (1 + self.ahead) * HOUR)

    check_provider(Ahead, "2013-01-02")
    found = complaints(Ahead(ahead=1))
    assert "page 2 has a row at" in found
    assert "page 1 said upto=" in found
