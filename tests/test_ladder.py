"""The retry ladder: which failures are tried again, how often, and what sets the count back."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fix_ledger import Database
from providers import Numbers, bounds

import strandline as sl
from strandline import _core, classify

STOP = 20


class Climbs(Numbers):
    """One slice of four pages. `errors` are raised one after another, each before a page that is not there yet."""

    name = "climbs"
    slice = STOP
    max_attempts = 3
    errors: ClassVar[dict[int, list[BaseException]]] = {}
    asked: ClassVar[list[int]] = []

    def before(self, context: sl.Context, first: int) -> None:
        self.asked.append(first)
        left = self.errors.get(first)
        if left:
            raise left.pop(0)


@pytest.fixture
def climbs() -> Iterator[type[Climbs]]:
    Climbs.errors.clear()
    Climbs.asked.clear()
    yield Climbs
    Climbs.errors.clear()


def runs(database: Database) -> list[tuple[str, str]]:
    """(status, reason) of all runs in their order."""
    rows = database.rows(
        "select status_code, end_reason_code from strandline.ing_task_run order by task_id, attempt_no"
    )
    return [(row["status_code"], row["end_reason_code"]) for row in rows]


def ids(database: Database, table: str) -> list[int]:
    """The ids in a table, each as often as it is there."""
    return [row["id"] for row in database.rows(f'select id from public."{table}" order by id')]


def load(engine: sl.Engine, provider: type[sl.Provider]) -> sl.Report:
    return engine.ingest(provider, window=(0, STOP), errors="report")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (sl.ConfigError("the wrong key"), "CONFIG"),
        (sl.Fatal("gone for good"), "FATAL"),
        (sl.DataError("a row that is none"), "DATA"),
        (TypeError("a bug"), "CONFIG"),
    ],
)
def test_what_waiting_does_not_heal_fails_at_once(
    engine: sl.Engine, database: Database, climbs: type[Climbs], error: BaseException, reason: str
) -> None:
    climbs.errors[10] = [error]
    report = load(engine, climbs)
    assert (report.status, report.failed) == ("FAILED", 1)
    assert runs(database) == [("FAILED", reason)]
    assert climbs.asked == [0, 5, 10]
    assert ids(database, "climbs") == list(range(10))  # what came before the error stays


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (sl.Transient("a moment"), "TRANSIENT"),
        (sl.DataError("half a page", retryable=True), "DATA"),
        (ConnectionResetError("gone"), "TRANSIENT"),
        (TimeoutError(), "TRANSIENT"),
        (ValueError("odd"), "TRANSIENT"),
    ],
)
def test_what_waiting_may_heal_is_tried_again(
    engine: sl.Engine, database: Database, climbs: type[Climbs], error: BaseException, reason: str
) -> None:
    climbs.errors[10] = [error]
    assert load(engine, climbs).status == "SUCCEEDED"
    assert runs(database) == [("FAILED", reason), ("SUCCEEDED", "DONE")]
    assert climbs.asked == [0, 5, 10, 10, 15]
    assert ids(database, "climbs") == list(range(STOP))


def test_the_last_attempt_is_the_last(engine: sl.Engine, database: Database, climbs: type[Climbs]) -> None:
    climbs.errors[10] = [sl.Transient(f"no {n}") for n in range(5)]
    report = load(engine, climbs)
    assert report.status == "FAILED"
    assert runs(database) == [("FAILED", "TRANSIENT")] * 3
    assert report.failures[0].message == "no 2"
    assert database.value("select failures from strandline.ing_task") == 3


def test_a_page_sets_the_count_back(engine: sl.Engine, database: Database, climbs: type[Climbs]) -> None:
    for first in (0, 5, 10, 15):
        climbs.errors[first] = [sl.Transient("one"), sl.Transient("two")]
    assert load(engine, climbs).status == "SUCCEEDED"
    assert runs(database) == [("FAILED", "TRANSIENT")] * 8 + [("SUCCEEDED", "DONE")]
    assert ids(database, "climbs") == list(range(STOP))


def test_backoff_grows_until_its_last_step(engine: sl.Engine, database: Database) -> None:
    class Rests(Climbs):
        name = "rests"
        max_attempts = 9
        backoff = ("1 h", "2 h", "4 h")

        def before(self, context: sl.Context, first: int) -> None:
            raise sl.Transient("again")

    plan = engine.plan(Rests, window=(0, STOP))
    for hours in (1, 2, 4, 4):
        engine.work(plan, tasks=1, errors="report")
        pause = database.value(
            "select extract(epoch from scheduled_at - clock_timestamp())::float8 / 3600 from strandline.ing_task"
        )
        assert 0.89 * hours < pause < 1.11 * hours
        assert database.value("select reason_code from strandline.ing_task") == "BACKING_OFF"
        database.rows("update strandline.ing_task set scheduled_at = clock_timestamp()")


def test_rate_limits_and_budgets_use_up_no_attempt(engine: sl.Engine, database: Database, climbs: type[Climbs]) -> None:
    class Once(Climbs):
        name = "once"
        max_attempts = 1

    climbs.errors[10] = [sl.RateLimited("slowly", retry_after=0.001) for _ in range(6)]
    plan = engine.plan(Once, window=(0, STOP))
    for _ in range(3):
        engine.work(plan, seconds=0, errors="report")
    assert engine.work(plan).status == "SUCCEEDED"
    assert runs(database) == [("YIELDED", "RATE_LIMITED")] * 6 + [("SUCCEEDED", "DONE")]
    assert database.value("select failures from strandline.ing_task") == 0


def test_lost_leases_have_a_limit_of_their_own(
    engine: sl.Engine, database: Database, ledger: _core.Ledger, climbs: type[Climbs]
) -> None:
    class Dies(Climbs):
        name = "dies"
        max_losses = 3
        max_attempts = 1

    plan = engine.plan(Dies, window=(0, STOP))
    for count in (1, 2, 3):
        (run,) = ledger.claim("suite", 1, 1, plans=[plan.id or 0])
        database.wait_until_lease_over(run)
        ledger.reap()
        task = database.task(run.task_id)
        assert (task["losses"], task["failures"]) == (count, 0)
        database.rows("update strandline.ing_task set scheduled_at = clock_timestamp()")
    assert (task["status_code"], task["reason_code"]) == ("FAILED", "LEASE_LOST")
    assert runs(database) == [("LOST", "LEASE_LOST")] * 3


@pytest.mark.parametrize("key", [(), ("id",)], ids=["append", "merge"])
def test_an_expired_cursor_starts_over_and_doubles_nothing(
    engine: sl.Engine, database: Database, key: tuple[str, ...]
) -> None:
    class Expires(Climbs):
        name = "expires"
        primary_key = key

    Expires.errors.clear()
    Expires.errors[15] = [sl.CursorExpired("too old")]
    report = load(engine, Expires)
    assert report.status == "SUCCEEDED"
    assert runs(database) == [("YIELDED", "CURSOR_EXPIRED"), ("SUCCEEDED", "DONE")]
    assert ids(database, "expires") == list(range(STOP))
    assert engine.verify()


def test_a_cursor_that_always_expires_ends(engine: sl.Engine, database: Database, climbs: type[Climbs]) -> None:
    climbs.errors[15] = [sl.CursorExpired("too old") for _ in range(50)]
    assert load(engine, climbs).status == "FAILED"
    assert runs(database)[-1] == ("FAILED", "CURSOR_EXPIRED")
    assert len(runs(database)) <= 2 * Climbs.max_attempts


class ShopError(Exception):
    """An error of a client that nobody here knows."""


class ShopClosed(ShopError):
    """A nearer class of it."""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "_table", {})
    classify.register(ShopError, sl.Fatal)
    classify.register(ShopClosed, lambda error: sl.RateLimited(str(error), retry_after=0.001))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (ShopError("no such shop"), [("FAILED", "FATAL")]),
        (ShopClosed("until nine"), [("YIELDED", "RATE_LIMITED"), ("SUCCEEDED", "DONE")]),
    ],
)
def test_the_table_can_be_extended(
    engine: sl.Engine, database: Database, climbs: type[Climbs], error: BaseException, ends: list[tuple[str, str]]
) -> None:
    climbs.errors[5] = [error]
    load(engine, climbs)
    assert runs(database) == ends


# Looping providers ---------------------------------------------------------------------------------------------------


class Circle(sl.Provider):
    """Pages whose tokens come back after `length` pages, behind a straight way of `straight`."""

    name = "circle"
    cursor_type = "id"
    slice = 1000

    straight: int
    length: int

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        lo, _ = bounds(context)
        at = lo if cursor is None else cursor
        following = at + 1 if at + 1 < self.straight + self.length else self.straight
        return sl.Page([{"id": at}], cursor=following)


@pytest.mark.parametrize(("straight", "length"), list(itertools.product([1, 4], [1, 2, 7])))
def test_a_circle_ends_and_names_both_pages(engine: sl.Engine, database: Database, straight: int, length: int) -> None:
    report = engine.ingest(Circle(straight=straight, length=length), window=(0, 1000), errors="report")
    assert report.status == "FAILED"
    (end,) = database.rows("select status_code, end_reason_code, errors, batch_no from strandline.ing_task_run")
    assert (end["status_code"], end["end_reason_code"]) == ("FAILED", "DATA")
    (why,) = end["errors"]
    assert why["origin"] == "source"
    first, second = (int(word) for word in _pages(why["message"]))
    assert second < first
    assert (first - second) % length == 0
    assert end["batch_no"] <= 3 * (straight + length) + 3


def _pages(message: str) -> Iterator[str]:
    words = message.replace(":", " ").replace(";", " ").replace(",", " ").split()
    return (words[at + 1] for at, word in enumerate(words) if word == "page" and words[at + 1].isdigit())


def test_a_deadline_ends_a_run_after_its_page(engine: sl.Engine, database: Database) -> None:
    class Late(Climbs):
        name = "late"
        deadline = "2 s"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 5:
                assert context.deadline is not None
                assert context.deadline > dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
                # The client counts to it on its own clock, from when it heard of it.
                database.wait_until(
                    "select clock_timestamp() > deadline_at + interval '0.2 s' from strandline.ing_task"
                )

    report = load(engine, Late)
    assert report.status == "FAILED"
    assert runs(database) == [("FAILED", "DEADLINE")]
    assert ids(database, "late") == list(range(10))  # the page in hand is stored
    (end,) = database.rows("select errors from strandline.ing_task_run")
    assert end["errors"][0]["origin"] == "engine"
    assert end["errors"][0]["kind"] == "deadline"
