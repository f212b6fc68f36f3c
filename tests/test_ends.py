"""Who ended a run, and why: every way in which one can end has its reason code, its actor and a structured cause."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from fix_ledger import Database
from providers import Numbers

import strandline as sl
from strandline import _core

STOP = 40

Event = Callable[[sl.Context], object]


class Ends(Numbers):
    """One slice of eight pages; `events` are called before the page at 10, one for each run."""

    name = "ends"
    slice = STOP
    events: ClassVar[list[Event]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if first == 10 and self.events:
            self.events.pop(0)(context)


@pytest.fixture
def ends() -> Iterator[type[Ends]]:
    Ends.events.clear()
    yield Ends
    Ends.events.clear()


def first_end(database: Database) -> dict[str, Any]:
    """How the first run ended, its one cause beside it."""
    (row,) = database.rows(
        "select status_code, end_reason_code, ended_by, worker, errors, finished_at from strandline.ing_task_run"
        " order by task_id, attempt_no limit 1"
    )
    assert row["finished_at"] is not None
    (why,) = row["errors"]
    assert set(why) >= {"origin", "kind", "message", "where"}
    assert why["origin"] in ("source", "engine", "destination", "operator")
    assert why["kind"] == why["kind"].lower()
    assert why["message"]
    return {**row, "why": why}


def raising(error: BaseException) -> Event:
    def event(context: sl.Context) -> None:
        raise error

    return event


@pytest.mark.parametrize(
    ("error", "status", "reason", "kind"),
    [
        (sl.Transient("a moment"), "FAILED", "TRANSIENT", "transient"),
        (sl.RateLimited("slowly", retry_after=0.001), "YIELDED", "RATE_LIMITED", "rate_limited"),
        (sl.ConfigError("the wrong key"), "FAILED", "CONFIG", "config"),
        (sl.DataError("no row"), "FAILED", "DATA", "data"),
        (sl.CursorExpired("too old"), "YIELDED", "CURSOR_EXPIRED", "cursor_expired"),
        (sl.Fatal("gone"), "FAILED", "FATAL", "fatal"),
        (KeyError("items"), "FAILED", "TRANSIENT", "transient"),
        (NameError("a bug"), "FAILED", "CONFIG", "config"),
        (SystemExit("enough"), "FAILED", "TRANSIENT", "transient"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_what_the_source_says(
    engine: sl.Engine,
    database: Database,
    ends: type[Ends],
    error: BaseException,
    status: str,
    reason: str,
    kind: str,
) -> None:
    ends.events.append(raising(error))
    engine.ingest(ends, window=(0, STOP), errors="report")
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == (status, reason, end["worker"])
    assert (end["why"]["origin"], end["why"]["kind"]) == ("source", kind)
    assert str(error).strip("'") in end["why"]["message"]
    assert "test_ends.py:" in end["why"]["where"]


def test_a_count_that_differs(engine: sl.Engine, database: Database) -> None:
    class Counts(sl.Provider):
        name = "counts"
        cursor_type = "id"
        max_attempts = 1

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            return sl.Page([{"id": 1}], total=2)

    engine.ingest(Counts, window=(0, 5), errors="report")
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"]) == ("FAILED", "COUNT_MISMATCH")
    assert end["why"]["origin"] == "source"


def test_a_walk_without_tokens(engine: sl.Engine, database: Database) -> None:
    class Tokenless(sl.Provider):
        name = "tokenless"
        cursor_type = "id"
        backoff = ("1 us",)

        def pages(self, context: sl.Context, cursor: Any) -> Iterator[sl.Page]:
            for number in range(3):
                if number == 2 and context.attempt == 1:
                    raise sl.Transient("a moment")
                yield sl.Page([{"id": number}])

    assert engine.ingest(Tokenless, window=(0, 5)).status == "SUCCEEDED"
    rows = database.rows("select status_code, end_reason_code, errors from strandline.ing_task_run order by attempt_no")
    assert [(row["status_code"], row["end_reason_code"]) for row in rows] == [
        ("FAILED", "TRANSIENT"),
        ("YIELDED", "RESTART"),
        ("SUCCEEDED", "DONE"),
    ]
    (why,) = rows[1]["errors"]
    assert (why["origin"], why["kind"]) == ("engine", "restart")
    assert database.value("select count(*) from public.tokenless") == 3


def test_a_budget(engine: sl.Engine, database: Database, ends: type[Ends]) -> None:
    # The budget of seconds ends while the third page is made: it is over when the database's clock says so.
    ends.events.append(lambda context: database.rows("select pg_sleep(0.6)"))
    report = engine.ingest(ends, window=(0, STOP), seconds=0.5, errors="report")
    assert report.status == "ACTIVE"
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"]) == ("YIELDED", "BUDGET")
    assert (end["why"]["origin"], end["why"]["kind"]) == ("engine", "budget")
    assert database.value("select count(*) from public.ends") == 15  # the page in hand is stored


def test_an_interruption(engine: sl.Engine, database: Database, ends: type[Ends]) -> None:
    interrupted = threading.Event()  # never set: the page takes its time

    def event(context: sl.Context) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        interrupted.wait(0.2)

    ends.events.append(event)
    with pytest.raises(KeyboardInterrupt):
        engine.ingest(ends, window=(0, STOP))
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == ("YIELDED", "INTERRUPTED", end["worker"])
    assert (end["why"]["origin"], end["why"]["kind"]) == ("operator", "interrupted")


@pytest.mark.parametrize(
    ("verb", "status", "reason"),
    [
        ("cancel", "CANCELLED", "CANCELLED"),
        ("pause", "YIELDED", "PAUSED"),
        ("quarantine", "YIELDED", "QUARANTINED"),
        ("stop", "YIELDED", "DRAINING"),
    ],
)
def test_what_an_operator_asks_for(
    engine: sl.Engine, open_engine: Any, database: Database, ends: type[Ends], verb: str, status: str, reason: str
) -> None:
    """Seen at the next page; the run names whoever asked, and their words."""

    def event(context: sl.Context) -> None:
        other = open_engine()
        if verb in ("cancel", "pause"):
            getattr(other, verb)(f"task:{context.task_id}", reason="enough")
        else:
            worker = database.value("select worker from strandline.ing_task_run where status_code = 'RUNNING'")
            getattr(other, verb)(worker, reason="enough")

    ends.events.append(event)
    report = engine.ingest(ends, window=(0, STOP), errors="report", seconds=20 if verb == "quarantine" else None)
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"]) == (status, reason)
    assert end["ended_by"] != end["worker"]
    assert (end["why"]["origin"], end["why"]["kind"]) == ("operator", verb)
    assert "enough" in end["why"]["message"]
    assert report.status in ("CANCELLED", "ACTIVE")
    # The page in hand brings the word; the one after it was on its way when that came.
    assert database.value("select count(*) from public.ends") in (10, 15, 20)


def test_a_lost_lease(ledger: _core.Ledger, engine: sl.Engine, database: Database, ends: type[Ends]) -> None:
    plan = engine.plan(ends, window=(0, STOP))
    (run,) = ledger.claim("suite", 1, 1, plans=[plan.id or 0])
    database.wait_until_lease_over(run)
    ledger.reap()
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == ("LOST", "LEASE_LOST", "reaper")
    assert end["why"]["origin"] == "engine"


def test_a_provider_that_cannot_be_loaded(engine: sl.Engine, database: Database) -> None:
    plan = engine.plan(Numbers, window=(0, STOP))
    database.rows(
        "update strandline.ing_schedule_instance set provenance_config_snapshot ="
        " jsonb_set(provenance_config_snapshot::jsonb, '{reference}', '\"providers:Gone\"')"
    )
    engine.work(plan, errors="report")
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == ("FAILED", "CONFIG", end["worker"])
    assert (end["why"]["origin"], end["why"]["kind"]) == ("engine", "config")
    assert "'Gone'" in end["why"]["message"]


# What the target refuses ---------------------------------------------------------------------------------------------


@pytest.fixture
def grouped(open_engine: Any, monkeypatch: pytest.MonkeyPatch) -> sl.Engine:
    """An engine that commits all pages of a slice together."""
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "1000000")
    monkeypatch.setenv("STRANDLINE_PAGE_SECONDS", "1000")
    engine: sl.Engine = open_engine()
    return engine


@pytest.mark.parametrize(
    ("refused", "page"),
    [
        (12, {"before": '{"next":10}', "after": '{"next":15}', "done": False, "size": 5}),
        (2, {"before": None, "after": '{"next":5}', "done": False, "size": 5}),
        (37, {"before": '{"next":35}', "after": None, "done": True, "size": 5}),
    ],
)
def test_the_pages_before_the_one_that_the_target_refuses_stay(
    grouped: sl.Engine, database: Database, ends: type[Ends], refused: int, page: dict[str, Any]
) -> None:
    database.rows(f"create table public.ends (id bigint check (id <> {refused}), v text)")
    report = grouped.ingest(ends, window=(0, STOP), errors="report")
    assert report.status == "FAILED"
    end = first_end(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == ("FAILED", "DATA", end["worker"])
    assert (end["why"]["origin"], end["why"]["kind"]) == ("destination", "data")
    assert "ends_id_check" in end["why"]["message"]
    rows = database.rows("select id from public.ends order by id")
    assert [row["id"] for row in rows] == list(range(refused - refused % 5))
    error = database.value("select last_error from strandline.ing_task")
    assert error["page"] == page
    assert database.value("select count(*) from strandline.ing_task_run_batch") == refused // 5


def test_a_page_that_cannot_be_encoded_is_known(grouped: sl.Engine, database: Database) -> None:
    class Words(Numbers):
        name = "words"
        slice = STOP
        schema: ClassVar[Any] = {"id": "bigint", "v": "bigint"}

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            page = super().next(context, cursor)
            rows = [{"id": row["id"], "v": "word" if row["id"] == 12 else row["id"]} for row in page.rows]
            return sl.Page(rows, cursor=page.cursor)

    assert grouped.ingest(Words, window=(0, STOP), errors="report").status == "FAILED"
    end = first_end(database)
    assert (end["end_reason_code"], end["why"]["origin"], end["why"]["kind"]) == ("DATA", "source", "data")
    assert database.value("select count(*) from public.words") == 10
    error = database.value("select last_error from strandline.ing_task")
    assert error["page"] == {"before": '{"next":10}', "after": '{"next":15}', "done": False, "size": 5}


def test_what_is_refused_before_an_error_comes_first(grouped: sl.Engine, database: Database, ends: type[Ends]) -> None:
    """The source fails at its third page while the second, which the target refuses, is still in hand."""
    database.rows("create table public.ends (id bigint check (id <> 7), v text)")
    ends.events.append(raising(sl.Transient("a moment")))
    assert grouped.ingest(ends, window=(0, STOP), errors="report").status == "FAILED"
    end = first_end(database)
    assert (end["end_reason_code"], end["why"]["origin"]) == ("DATA", "destination")
    assert database.value("select last_error from strandline.ing_task")["page"]["before"] == '{"next":5}'
    assert database.value("select count(*) from public.ends") == 5


def test_a_target_that_vanished_is_the_destinations(engine: sl.Engine, database: Database, ends: type[Ends]) -> None:
    ends.events.append(lambda context: database.rows("alter table public.ends rename column v to w"))
    engine.ingest(ends, window=(0, STOP), errors="report")
    end = first_end(database)
    assert end["status_code"] == "FAILED"
    assert end["why"]["origin"] in ("destination", "engine")


@pytest.mark.parametrize(
    ("sqlstate", "ends_as"),
    [("53100", ("SUCCEEDED", "DONE")), ("55P03", ("FAILED", "TRANSIENT"))],
    ids=["a full disk", "a lock that is not given"],
)
def test_a_database_that_is_short_of_something_is_waited_for(
    engine: sl.Engine, database: Database, ends: type[Ends], sqlstate: str, ends_as: tuple[str, str]
) -> None:
    """Nobody's data is wrong, and the slice arrives without an operator."""
    database.rows("create table public.ends (id bigint, v text)")
    database.rows("create sequence public.tries")
    database.rows(
        "create function public.refuse() returns trigger language plpgsql as $$ begin"
        f" if new.id = 12 and nextval('public.tries') < 5 then raise exception 'not now' using errcode = '{sqlstate}';"
        " end if; return new; end $$"
    )
    database.rows("create trigger t before insert on public.ends for each row execute function public.refuse()")
    assert engine.ingest(ends, window=(0, STOP)).status == "SUCCEEDED"
    (first, *_) = database.rows("select status_code, end_reason_code, errors from strandline.ing_task_run order by 1")
    assert (first["status_code"], first["end_reason_code"]) == ends_as
    if first["errors"]:
        assert (first["errors"][0]["origin"], first["errors"][0]["kind"]) == ("engine", "transient")
    assert database.value("select count(*) from public.ends") == STOP
