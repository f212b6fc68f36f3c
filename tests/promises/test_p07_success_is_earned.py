"""P7, success is earned: a task succeeds if and only if its provider said done and every page is committed and, where
the source reported a total, the counts agree. An empty window is a success."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from fix_ledger import LEASE, TARGET, Database, claim, page, request
from providers import Numbers, bounds

import strandline as sl
from strandline import _core


class Told(Numbers):
    """Says how many records its slice has: `says` more than there are."""

    name = "told"
    max_attempts = 2
    says: int = 0

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        lo, hi = bounds(context)
        found = super().next(context, cursor)
        return sl.Page(found.rows, cursor=found.cursor, total=hi - lo + self.says)


def ids(database: Database, table: str) -> list[int]:
    return [row["id"] for row in database.rows(f"select id from public.{table} order by id")]


def test_a_total_that_agrees(engine: sl.Engine) -> None:
    assert engine.ingest(Told, window=(0, 60)).status == "SUCCEEDED"


@pytest.mark.parametrize("says", [-1, 1])
def test_a_total_that_does_not_agree(says: int, engine: sl.Engine, database: Database) -> None:
    report = engine.ingest(Told(says=says), window=(0, 20), errors="report")
    assert report.status == "FAILED"
    assert f"has {20 + says} records, and 20 came" in report.failures[0].message
    coverage = engine.coverage("told")
    assert (coverage.covered, coverage.watermark) == ([], 0)
    assert database.value("select count(*) from strandline.ing_coverage") == 0
    assert ids(database, "told") == list(range(15))  # the page that would have been the last is not there
    assert engine.verify()

    assert engine.ingest(Told, window=(0, 20)).status == "SUCCEEDED"
    assert ids(database, "told") == list(range(20))


class Stumbles(Told):
    """Fails once before the page that begins at 10."""

    name = "stumbles"
    left: ClassVar[list[Exception]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if first == 10 and self.left:
            raise self.left.pop()


@pytest.mark.parametrize("error", [sl.Transient("no"), sl.CursorExpired("too old")], ids=["resumed", "walked anew"])
def test_a_total_counts_the_whole_walk_and_no_other(error: Exception, engine: sl.Engine, database: Database) -> None:
    """Pages of earlier attempts count; those of a walk that was begun anew do not."""
    Stumbles.left[:] = [error]
    assert engine.ingest(Stumbles, window=(0, 20)).status == "SUCCEEDED"
    assert Stumbles.left == []
    assert ids(database, "stumbles") == list(range(20))
    assert engine.verify()


class Nothing(sl.Provider):
    """Has no rows, and says so in one of several ways."""

    name = "nothing"
    cursor_type = "id"
    slice = 10
    way: str

    def next(self, context: sl.Context, cursor: Any) -> Any:
        if self.way == "pages without rows" and cursor is None:
            return sl.Page([], cursor=1)
        return {"None": None, "list": [], "page": sl.Page(), "total": sl.Page(total=0)}.get(self.way)


@pytest.mark.parametrize("way", ["None", "list", "page", "total", "pages without rows"])
def test_an_empty_window_is_a_success(way: str, engine: sl.Engine, database: Database) -> None:
    report = engine.ingest(Nothing(way=way), window=(0, 30))
    assert (report.status, report.slices, report.rows, report.watermark) == ("SUCCEEDED", 3, 0, 30)
    assert engine.coverage("nothing").complete
    assert engine.ingest(Nothing(way=way), window=(0, 30)).slices == 0
    assert engine.verify()


class Generated(sl.Provider):
    """A generator of pages without tokens, which ends in one of several ways."""

    name = "generated"
    cursor_type = "id"
    slice = 10
    max_attempts = 1
    end: str

    def pages(self, context: sl.Context, cursor: Any) -> Iterator[Any]:
        lo, hi = bounds(context)
        for each in range(lo, hi):
            yield [{"id": each}]
            if each == lo + 4 and self.end == "raises":
                raise OSError("the source is gone")
            if each == lo + 4 and self.end == "says done":
                yield sl.Page(done=True)


def test_a_generator_that_ends_is_done(engine: sl.Engine, database: Database) -> None:
    assert engine.ingest(Generated(end="runs out"), window=(0, 20)).status == "SUCCEEDED"
    assert ids(database, "generated") == list(range(20))


def test_a_generator_may_say_done_early(engine: sl.Engine, database: Database) -> None:
    assert engine.ingest(Generated(end="says done"), window=(0, 20)).status == "SUCCEEDED"
    assert ids(database, "generated") == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_a_generator_that_breaks_is_not_done(engine: sl.Engine, database: Database) -> None:
    report = engine.ingest(Generated(end="raises"), window=(0, 20), errors="report")
    assert (report.status, report.succeeded, report.watermark) == ("FAILED", 0, 0)
    assert engine.coverage("generated").covered == []
    assert engine.verify()
    assert engine.ingest(Generated(end="runs out"), window=(0, 20)).status == "SUCCEEDED"
    assert ids(database, "generated") == list(range(20))  # what the broken walks had stored is not doubled


class Vague(sl.Provider):
    """Gives a page that is not the last one and cannot be gone on from."""

    name = "vague"
    cursor_type = "id"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        return sl.Page([{"id": 1}], done=False)


def test_a_provider_that_stops_without_done(engine: sl.Engine, database: Database) -> None:
    report = engine.ingest(Vague, window=(0, 10), errors="report")
    assert report.status == "FAILED"
    assert "done=False" in report.failures[0].message
    assert database.value("select to_regclass('public.vague') is null")


class Stopped(Numbers):
    """Stops its own worker after two pages."""

    name = "stopped"
    stop: ClassVar[list[Callable[[], object]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if first == 10 and self.stop:
            self.stop.pop()()


def test_a_worker_that_is_stopped_has_earned_nothing(engine: sl.Engine, database: Database) -> None:
    """Ctrl-C between two pages: the pages stay, the slice is not done, and the next call finishes it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    Stopped.stop.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.ingest(Stopped, window=(0, 20))
    assert ids(database, "stopped") == list(range(10))
    assert engine.coverage("stopped").covered == []
    assert engine.verify()
    assert engine.ingest(Stopped, window=(0, 20)).status == "SUCCEEDED"
    assert ids(database, "stopped") == list(range(20))


def test_pages_alone_are_no_success(ledger: _core.Ledger, database: Database) -> None:
    """Every row is in, and done was not said: the window is not covered, and the plan is not over."""
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    ledger.commit(run, TARGET, [page(range(10), after=10)], done=False, lease=LEASE)
    assert ledger.fold(plan["cursor_id"]) == 0
    assert ledger.close_plan(plan["plan_id"]) is None
    assert database.mark(plan["cursor_id"]) == 0
    assert database.missing(plan["cursor_id"], 0, 10) == []  # it is in flight
    ledger.commit(run, TARGET, [page([])], done=True, lease=LEASE)
    assert ledger.fold(plan["cursor_id"]) == 1
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert database.mark(plan["cursor_id"]) == 10
    assert database.value("select record_count from strandline.ing_coverage") == 10
