"""P1, atomic page: rows, batch row, checkpoint and counters, and on the last page coverage and statuses, appear
together or not at all."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import psycopg
import pytest
from fix_ledger import LEASE, TARGET, Background, Database, OpenLedger, claim, page, request
from fix_proxy import Proxy
from providers import Numbers

import strandline as sl
from strandline import _core

# What a commit leaves, each in one number, in one snapshot.
TRACES = """
select (select count(*) from public.readings) as rows,
  (select coalesce(sum(record_count), 0)::int from strandline.ing_task_run_batch) as batched,
  (select coalesce(sum(record_count), 0)::int from strandline.ing_task_run) as counted,
  (select coalesce(max(checkpoint::text), '0')::int from strandline.ing_task_run) as checkpoint,
  (select coalesce(sum(record_count), 0)::int from strandline.ing_coverage) as covered,
  (select count(*) from strandline.ing_task where status_code = 'SUCCEEDED') as tasks,
  (select count(*) from strandline.ing_task_run where status_code = 'SUCCEEDED') as runs
"""
NOTHING = dict.fromkeys(("rows", "batched", "counted", "checkpoint", "covered", "tasks", "runs"), 0)
FIRST = {**NOTHING, "rows": 5, "batched": 5, "counted": 5, "checkpoint": 5}
WHOLE = {**dict.fromkeys(("rows", "batched", "counted", "covered"), 10), "checkpoint": 5, "tasks": 1, "runs": 1}


def traces(database: Database) -> dict[str, Any]:
    (row,) = database.rows(TRACES)
    return row


@pytest.fixture
def run(ledger: _core.Ledger) -> _core.Run:
    (claimed,) = claim(ledger, ledger.plan(request(0, 10)))
    return claimed


@pytest.mark.parametrize(
    "constraint",
    ["check (id <> 7)", "unique (id)", "unique (id) deferrable initially deferred"],
    ids=["row", "index", "commit"],
)
def test_a_page_that_the_target_refuses_leaves_nothing(
    constraint: str, ledger: _core.Ledger, run: _core.Run, database: Database
) -> None:
    """In the middle of the COPY, at an index, and by COMMIT itself."""
    database.rows(f"alter table public.readings add constraint refuses {constraint}")
    ledger.commit(run, TARGET, [page(range(5), after=5)], done=False, lease=LEASE)
    with pytest.raises(sl.DataError, match="refuses"):
        ledger.commit(run, TARGET, [page([5, 6, 7, 7, 9])], done=True, lease=LEASE)
    assert traces(database) == FIRST
    assert (run.batch_no, run.checkpoint) == (1, "5")
    ledger.commit(run, TARGET, [page([5, 6, 8, 9, 10])], done=True, lease=LEASE)
    assert traces(database) == WHOLE


def test_pages_that_share_a_transaction_share_its_fate(
    ledger: _core.Ledger, run: _core.Run, database: Database
) -> None:
    database.rows("alter table public.readings add constraint refuses check (id <> 7)")
    with pytest.raises(sl.DataError):
        ledger.commit(run, TARGET, [page(range(5), after=5), page(range(5, 10))], done=True, lease=LEASE)
    assert traces(database) == NOTHING
    database.rows("alter table public.readings drop constraint refuses")
    ledger.commit(run, TARGET, [page(range(5), after=5), page(range(5, 10))], done=True, lease=LEASE)
    assert traces(database) == {**WHOLE, "checkpoint": 0}  # the last page of the group has no token
    assert database.value("select count(*) from strandline.ing_task_run_batch") == 2


@pytest.mark.parametrize("place", ["run.fence", "run.batches", "run.coverage", "task.leave", "tx.commit"])
def test_nobody_sees_half_a_page(
    place: str,
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    run: _core.Run,
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """The last page, stopped before each statement of its transaction, and its connection cut there."""
    ledger.commit(run, TARGET, [page(range(5), after=5)], done=False, lease=20 * LEASE)
    worker = open_ledger(proxy.dsn)
    stop, again = proxy.stop_at(place), proxy.stop_at(place)
    answer = background(worker.commit, run, TARGET, [page(range(5, 10))], done=True, lease=20 * LEASE)
    stop.wait()
    assert traces(database) == FIRST
    stop.cut_before()
    again.wait()  # the same page, on another connection
    assert traces(database) == FIRST
    again.forward()
    answer.result()
    assert traces(database) == WHOLE


class Watched(Numbers):
    """Looks before each page at what the pages before have left."""

    name = "watched"
    slice = 25
    dsn: ClassVar[str] = ""
    seen: ClassVar[list[tuple[int, int]]] = []
    lock: ClassVar[threading.Lock] = threading.Lock()

    def before(self, context: sl.Context, first: int) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if connection.execute("select to_regclass('public.watched')").fetchone() == (None,):
                return
            row = connection.execute(
                "select (select count(*) from public.watched),"
                " (select coalesce(sum(record_count), 0)::int from strandline.ing_task_run_batch)"
            ).fetchone()
        assert row is not None
        with self.lock:
            self.seen.append((row[0], row[1]))


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_and_ledger_agree_at_every_moment(engine: sl.Engine, dsn: str, workers: int) -> None:
    Watched.dsn = dsn
    Watched.seen.clear()
    engine.ingest(Watched, window=(0, 200), workers=workers)
    assert len(Watched.seen) >= 30
    assert [pair for pair in Watched.seen if pair[0] != pair[1]] == []


def test_an_ingest_into_a_table_that_refuses_a_row(engine: sl.Engine, database: Database) -> None:
    """The slice fails with the pages before it in place; mended, the same call goes on behind them."""
    database.rows("create table public.numbers (id bigint, v text, constraint refuses check (id <> 12))")
    report = engine.ingest(Numbers, window=(0, 20), errors="report")
    assert (report.status, report.rows, report.batches) == ("FAILED", 10, 2)
    assert "refuses" in report.failures[0].message
    assert len(engine.table("numbers")) == 10
    coverage = engine.coverage("numbers")
    assert coverage.covered == []
    assert coverage.watermark == 0
    database.rows("alter table public.numbers drop constraint refuses")
    assert engine.ingest(Numbers, window=(0, 20)).status == "SUCCEEDED"
    assert [row["id"] for row in database.rows("select id from public.numbers order by id")] == list(range(20))
    assert engine.coverage("numbers").watermark == 20
    assert engine.verify()
