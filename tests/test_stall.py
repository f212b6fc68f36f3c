"""Providers that hang: the run ends at once, another one takes over, and the thread that hung can do no harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fix_ledger import Database
from providers import Numbers

import strandline as sl

STOP = 20


class Hangs(Numbers):
    """One slice of four pages. It hangs before the page at `at`, in the attempts that `attempts` names."""

    name = "hangs"
    slice = STOP
    page_timeout = "100000 us"
    at: ClassVar[int] = 10
    attempts: ClassVar[range] = range(1, 2)
    release: ClassVar[threading.Event] = threading.Event()
    hung: ClassVar[list[threading.Thread]] = []
    raises: ClassVar[bool] = False

    def before(self, context: sl.Context, first: int) -> None:
        if first == self.at and context.attempt in self.attempts:
            self.hung.append(threading.current_thread())
            self.release.wait(60)  # here it hangs
            if self.raises:
                raise ConnectionResetError("at last")


@pytest.fixture
def hangs(engine: sl.Engine) -> Iterator[type[Hangs]]:
    del engine  # the threads that hang end before the database is dropped
    Hangs.release.clear()
    Hangs.hung.clear()
    yield Hangs
    Hangs.release.set()
    for thread in Hangs.hung:
        thread.join(30)
        assert not thread.is_alive()


def end_of(database: Database, attempt: int = 1) -> dict[str, Any]:
    (row,) = database.rows(
        "select status_code, end_reason_code, ended_by, worker, errors, batch_no from strandline.ing_task_run"
        " where attempt_no = $1::int",
        attempt,
    )
    return row


def ids(database: Database, table: str) -> list[int]:
    return [row["id"] for row in database.rows(f'select id from public."{table}" order by id')]


@pytest.mark.parametrize("raises", [False, True], ids=["the page comes", "an error comes"])
def test_a_page_that_does_not_come_is_not_waited_for(
    engine: sl.Engine,
    database: Database,
    hangs: type[Hangs],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    raises: bool,
) -> None:
    caplog.set_level("INFO", "strandline")
    monkeypatch.setattr(Hangs, "raises", raises)
    report = engine.ingest(hangs, window=(0, STOP))
    assert report.status == "SUCCEEDED"
    assert ids(database, "hangs") == list(range(STOP))
    end = end_of(database)
    assert (end["status_code"], end["end_reason_code"], end["ended_by"]) == ("FAILED", "STALLED", end["worker"])
    (why,) = end["errors"]
    assert (why["origin"], why["kind"]) == ("source", "stalled")
    assert why["message"] == (
        "hangs: page 3 did not come within page_timeout, 0.1 s; the last committed page is page 2, which ends at the"
        ' cursor {"next":10}'
    )
    assert "test_stall.py:" in why["where"]
    assert why["where"].endswith(" in before")
    assert end_of(database, 2)["status_code"] == "SUCCEEDED"
    # The thread that hung comes back, and nothing that it does counts.
    before = database.rows("select id, xmin::text from public.hangs order by id")
    hangs.release.set()
    hangs.hung[0].join(30)
    assert not hangs.hung[0].is_alive()
    assert "a page came after it was given up" in caplog.text
    assert database.rows("select id, xmin::text from public.hangs order by id") == before
    assert engine.verify()


def test_pages_in_hand_are_stored_before_a_run_is_given_up(
    database: Database, open_engine: Any, monkeypatch: pytest.MonkeyPatch, hangs: type[Hangs]
) -> None:
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "1000")
    engine = open_engine()
    monkeypatch.setattr(Hangs, "attempts", range(1, 2))
    assert engine.ingest(hangs, window=(0, STOP)).status == "SUCCEEDED"
    assert end_of(database)["batch_no"] == 2
    assert "page 2, which ends at the cursor" in end_of(database)["errors"][0]["message"]
    assert ids(database, "hangs") == list(range(STOP))


def test_who_always_hangs_fails_at_last(
    engine: sl.Engine, database: Database, hangs: type[Hangs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hangs, "attempts", range(1, 100))
    monkeypatch.setattr(Hangs, "at", 0)
    monkeypatch.setattr(Hangs, "max_attempts", 2)
    report = engine.ingest(hangs, window=(0, STOP), errors="report")
    assert report.status == "FAILED"
    assert report.failures[0].kind == "stalled"
    assert "page 1 did not come" in report.failures[0].message
    assert "no page was committed before it" in report.failures[0].message
    assert database.value("select failures from strandline.ing_task") == 2
    assert len(hangs.hung) == 2
    assert all(thread.is_alive() for thread in hangs.hung)  # they were not waited for


def test_one_hanging_thread_does_not_keep_the_others_of_a_slice_waiting(
    engine: sl.Engine, database: Database, hangs: type[Hangs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one worker, four slices and the first of them hanging, all of them arrive."""
    monkeypatch.setattr(Hangs, "at", 0)
    assert engine.ingest(hangs, window=(0, 4 * STOP)).succeeded == 4
    assert ids(database, "hangs") == list(range(4 * STOP))
    assert database.value("select count(distinct worker) from strandline.ing_task_run") == 1


def test_a_slow_page_that_says_so_is_waited_for(engine: sl.Engine, database: Database) -> None:
    class Slow(Numbers):
        name = "slow"
        slice = STOP
        page_timeout = "400000 us"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 5:
                ends = time.monotonic() + 1
                while time.monotonic() < ends:
                    context.alive()

    assert engine.ingest(Slow, window=(0, STOP)).status == "SUCCEEDED"
    assert database.value("select count(*) from strandline.ing_task_run") == 1


def test_alive_ends_a_page_that_was_given_up(
    engine: sl.Engine, database: Database, hangs: type[Hangs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that says it lives after it was given up does not get to make its page."""
    went_on = threading.Event()

    def before(self: Hangs, context: sl.Context, first: int) -> None:
        if first == 10 and context.attempt == 1:
            self.hung.append(threading.current_thread())
            self.release.wait(60)
            context.alive()
            went_on.set()

    monkeypatch.setattr(Hangs, "before", before)
    assert engine.ingest(hangs, window=(0, STOP)).status == "SUCCEEDED"
    hangs.release.set()
    hangs.hung[0].join(30)
    assert not went_on.is_set()


def test_a_client_that_cannot_be_left_does_not_stop_the_worker(
    engine: sl.Engine, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Rude(Numbers):
        name = "rude"
        slice = STOP

        def around(self, context: sl.Context) -> Iterator[str]:
            try:
                yield "client"
            finally:
                raise OSError("the connection was not closed properly")

    assert engine.ingest(Rude, window=(0, 2 * STOP)).succeeded == 2
    assert "leaving around() failed" in caplog.text
    assert ids(database, "rude") == list(range(2 * STOP))
