"""Ordered providers: how far a page says that it reaches, in the units of the cursor, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from fix_ledger import Database
from providers import bounds

import strandline as sl

DAY = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


class Ids(sl.Provider):
    """Two rows a page, in their order; `say` tells what a page that ends before an id says of itself."""

    name = "ids"
    cursor_type = "id"
    ordered = True
    backoff = ("1 us",)
    say: ClassVar[dict[int, Any]] = {}

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        lo, hi = bounds(context)
        first = lo if cursor is None else cursor
        stop = min(first + 2, hi)
        self.before(context, first)
        rows = [{"id": each} for each in range(first, stop)]
        return sl.Page(rows, cursor=stop if stop < hi else None, upto=self.say.get(stop, stop))

    def before(self, context: sl.Context, first: int) -> None:
        """For subclasses."""


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> type[Ids]:
    monkeypatch.setattr(Ids, "say", {})
    return Ids


def reached(database: Database) -> list[int | None]:
    return [
        row["reached"]
        for row in database.rows("select reached from strandline.ing_task_run order by task_id, attempt_no")
    ]


def test_what_a_page_reaches_is_kept(engine: sl.Engine, database: Database, ids: type[Ids]) -> None:
    class Stops(Ids):
        name = "stops"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 6 and context.attempt == 1:
                raise sl.Transient("a moment")

    assert engine.ingest(Stops, window=(0, 10)).status == "SUCCEEDED"
    assert reached(database) == [6, 10]
    assert database.value("select count(*) from public.stops") == 10


def test_a_page_need_not_say_it(engine: sl.Engine, database: Database, ids: type[Ids]) -> None:
    ids.say.update({2: None, 6: None, 10: None})
    assert engine.ingest(ids, window=(0, 10)).status == "SUCCEEDED"
    assert reached(database) == [None]  # the last page did not say it


@pytest.mark.parametrize(
    ("upto", "complaint"),
    [
        (3, "lies before what an earlier page has reached"),
        (11, r"lies outside of its window"),
        (-1, r"lies outside of its window"),
        ("soon", "page 3: upto: "),
        (2.5, "page 3: upto: "),
        (DAY, "page 3: upto: "),
    ],
)
def test_a_wrong_bound_is_refused(
    engine: sl.Engine, database: Database, ids: type[Ids], upto: Any, complaint: str
) -> None:
    ids.say[6] = upto
    report = engine.ingest(ids, window=(0, 10), errors="report")
    assert report.status == "FAILED"
    assert report.failures[0].kind == "data"
    assert re.search(complaint, report.failures[0].message)
    assert database.value("select count(*) from public.ids") == 4


def test_a_bound_that_goes_back_after_a_retry_is_refused(engine: sl.Engine, database: Database, ids: type[Ids]) -> None:
    """What the run before has reached counts as well."""

    class Forgets(Ids):
        name = "forgets"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 6 and context.attempt == 1:
                raise sl.Transient("a moment")
            self.say[8] = 5

    assert engine.ingest(Forgets, window=(0, 10), errors="report").status == "FAILED"
    assert reached(database) == [6, 6]


def test_whoever_is_not_ordered_cannot_say_it(engine: sl.Engine, ids: type[Ids]) -> None:
    class Unordered(Ids):
        name = "unordered"
        ordered = False

    report = engine.ingest(Unordered, window=(0, 10), errors="report")
    assert report.failures[0].kind == "config"
    assert "set ordered = True" in report.failures[0].message


@pytest.mark.parametrize(
    "upto",
    [DAY + dt.timedelta(hours=12), "2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00"],
)
def test_times_become_microseconds(engine: sl.Engine, database: Database, upto: Any) -> None:
    class Hours(sl.Provider):
        name = "hours"
        ordered = True

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            return sl.Page([{"at": DAY}], upto=upto)

    assert engine.ingest(Hours, window="2024-05-01").status == "SUCCEEDED"
    noon = int((DAY + dt.timedelta(hours=12)).timestamp()) * 1_000_000
    assert reached(database) == [noon]


def test_a_date_is_read_in_the_time_zone(engine: sl.Engine, database: Database) -> None:
    class Days(sl.Provider):
        name = "days"
        ordered = True
        time_zone = "Europe/Berlin"

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            return sl.Page([{"at": DAY}], upto=dt.date(2024, 5, 2))

    assert engine.ingest(Days, window="2024-05").status == "SUCCEEDED"
    assert reached(database) == [int(dt.datetime(2024, 5, 1, 22, tzinfo=dt.UTC).timestamp()) * 1_000_000]


# Bounds that run ahead of the rows ------------------------------------------------------------------------------------


def of_list(rows: list[dict[str, Any]]) -> Any:
    return rows


def of_arrow(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pyarrow").Table.from_pylist(rows)


@pytest.mark.parametrize("made", [of_list, of_arrow])
def test_a_row_below_what_an_earlier_page_said_is_refused(
    engine: sl.Engine, database: Database, made: Callable[[list[dict[str, Any]]], Any]
) -> None:
    class Ahead(Ids):
        name = "ahead"
        cursor_field = "id"
        say: ClassVar = {2: 5}

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            page = super().next(context, cursor)
            return dataclasses.replace(page, rows=made(page.rows))

    failure = engine.ingest(Ahead, window=(0, 10), errors="report").failures[0]
    assert failure.kind == "data"
    assert "page 2 has a row at 2 by 'id', and page 1 said upto=5" in failure.message
    assert database.value("select count(*) from public.ahead") == 2


def test_a_row_below_what_an_earlier_run_said_is_refused(engine: sl.Engine, database: Database) -> None:
    class Broken(Ids):
        name = "broken"
        cursor_field = "id"
        max_attempts = 2
        say: ClassVar = {2: 5}

        def before(self, context: sl.Context, first: int) -> None:
            if first == 2 and context.attempt == 1:
                raise sl.Transient("once")

    failure = engine.ingest(Broken, window=(0, 10), errors="report").failures[0]
    assert "page 1 has a row at 2 by 'id', and a page of an earlier run said upto=5" in failure.message


def test_times_are_compared_as_instants(engine: sl.Engine) -> None:
    class Hours(sl.Provider):
        name = "hours"
        ordered = True
        cursor_field = "at"

        def pages(self, context: sl.Context, cursor: Any) -> Any:
            noon = DAY + dt.timedelta(hours=12)
            yield sl.Page([{"at": "2024-05-01T01:00:00+01:00"}], upto=noon)
            yield sl.Page([{"at": noon}, {"at": None}], upto="2024-05-01T13:00:00Z")
            yield sl.Page([{"at": "2024-05-01T14:59:59+02:00"}])

    failure = engine.ingest(Hours, window="2024-05-01", errors="report").failures[0]
    assert (
        "page 3 has a row at 2024-05-01T12:59:59Z by 'at', and page 2 said upto=2024-05-01T13:00:00Z" in failure.message
    )


def test_without_a_cursor_field_nothing_can_be_told(engine: sl.Engine, ids: type[Ids]) -> None:
    ids.say[2] = 4
    assert engine.ingest(ids, window=(0, 10)).rows == 10
