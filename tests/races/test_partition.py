"""Partitions come and go beside workers: nobody who reads or commits waits for either."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from fix_ledger import LEASE, TARGET, Background, Database, Held, OpenLedger, claim, finish, page, request
from fix_proxy import Proxy
from fix_server import Connect

from strandline import _core

WIDTH = 1_000_000
PARENTS = ("ing_task_run", "ing_task_run_batch", "ing_coverage")
WAITED = psycopg.errors.LockNotAvailable


def advance(database: Database, task_id: int) -> None:
    """The next task that is planned has this id."""
    database.rows("select setval(pg_get_serial_sequence('strandline.ing_task', 'id'), $1::bigint, false)", task_id)


def attached(database: Database, parent: str) -> list[int]:
    """The numbers of the partitions of a table."""
    rows = database.rows(
        "select substring(inhrelid::regclass::text from '_p([0-9]+)$')::int as part from pg_inherits"
        " where inhparent = $1::regclass and not inhdetachpending order by 1",
        f"strandline.{parent}",
    )
    return [row["part"] for row in rows]


@pytest.fixture
def old_and_new(ledger: _core.Ledger, database: Database) -> tuple[_core.Run, list[_core.Run]]:
    """A finished run in the first partition, and live ones on both sides of the border to the third."""
    old = ledger.plan(request(0, 10))
    (done,) = claim(ledger, old)
    finish(ledger, done)
    ledger.fold(old["cursor_id"])
    advance(database, 2 * WIDTH - 2)
    runs = claim(ledger, ledger.plan(request(10, 60)), lease=40 * LEASE)
    assert [run.task_id for run in runs] == list(range(2 * WIDTH - 2, 2 * WIDTH + 3))
    return done, runs


def store(ledger: _core.Ledger, run: _core.Run) -> None:
    """A page that does not end the run, and the last one."""
    assert run.lo is not None
    assert run.hi is not None
    middle = run.lo + 5
    ledger.commit(run, TARGET, [page(range(run.lo, middle), after=middle)], done=False, lease=40 * LEASE)
    ledger.commit(run, TARGET, [page(range(middle, run.hi))], done=True, lease=40 * LEASE)


def test_a_planner_attaches_what_its_tasks_will_need(
    old_and_new: tuple[_core.Run, list[_core.Run]], ledger: _core.Ledger, database: Database
) -> None:
    """One width ahead, so that no claim ever meets a missing one."""
    _, runs = old_and_new
    for parent in PARENTS:
        assert attached(database, parent) == [0, 1, 2, 3]
    for run in runs:
        store(ledger, run)
    used = database.rows("select distinct tableoid::regclass::text as part from strandline.ing_task_run_batch")
    assert {row["part"].rpartition("_p")[2] for row in used} == {"0", "1", "2"}
    ledger.fold_all()
    ledger.close_plan(runs[0].plan_id)
    assert database.ids() == list(range(60))
    assert ledger.verify() == []


@pytest.mark.parametrize("parent", PARENTS)
def test_a_detach_beside_a_reader_lets_everybody_work(
    parent: str,
    old_and_new: tuple[_core.Run, list[_core.Run]],
    ledger: _core.Ledger,
    held: Callable[..., Held],
    connect: Connect,
    database: Database,
    background: Background,
) -> None:
    """The detach waits for the reader; claims, commits, renewals and the reaper wait for neither."""
    done, runs = old_and_new
    reader, owner = held(), Held(connect(autocommit=True))
    old = f"strandline.{parent}_p0"
    assert reader.text(f"select count(*) from strandline.{parent} where task_id = $1", done.task_id) == [{"count": 1}]
    detach = background(owner.text, f"alter table strandline.{parent} detach partition {old} concurrently")
    database.wait_until_blocked(owner.pid, by=reader.pid)
    for run in runs:
        store(ledger, run)
    later = ledger.plan(request(60, 80))
    first, second = claim(ledger, later)
    assert len(ledger.fetch("run.renew", [second.task_id], [second.attempt_no], LEASE)) == 1
    finish(ledger, first)
    database.wait_until_lease_over(second)
    assert ledger.reap(lease=LEASE)["lost"] == 1
    ledger.fold(later["cursor_id"])
    assert not detach.done()
    reader.rollback()
    detach.result()
    assert attached(database, parent) == [1, 2, 3]
    database.rows(f"drop table {old}")
    assert database.ids() == list(range(70))
    assert database.mark(later["cursor_id"]) == 70


def test_a_drop_behind_a_reader_wrong_form_breaks(
    old_and_new: tuple[_core.Run, list[_core.Run]],
    held: Callable[..., Held],
    database: Database,
    background: Background,
) -> None:
    """It wants the parent for itself, waits for the reader, and everybody else waits behind it."""
    done, runs = old_and_new
    reader, owner, worker = held(), held(), held()
    reader.text("select count(*) from strandline.ing_task_run where task_id = $1", done.task_id)
    drop = background(owner.text, "drop table strandline.ing_task_run_p0")
    database.wait_until_blocked(owner.pid, by=reader.pid)
    worker.text("set local lock_timeout = '100ms'")
    with pytest.raises(WAITED):
        worker.run("run.fence", runs[-1].task_id, 1, 0, 1, LEASE, None, 1, False, None)
    reader.rollback()
    drop.result()
    owner.rollback()


def test_the_next_partition_is_attached_beside_commits(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """A planner that has attached and not committed: whoever works in the newest one does not notice."""
    advance(database, WIDTH)
    runs = claim(ledger, ledger.plan(request(0, 30)), lease=40 * LEASE)
    assert attached(database, "ing_task_run") == [0, 1, 2]
    advance(database, 2 * WIDTH - 1)
    planner = open_ledger(proxy.dsn)
    held = proxy.stop_at("plan.tasks_copy")
    a = background(planner.plan, request(100, 120))
    held.wait()
    for run in runs:
        store(ledger, run)
    assert database.ids() == list(range(30))
    assert attached(database, "ing_task_run") == [0, 1, 2]  # the new one is not there yet
    held.forward()
    assert a.result()["slices"] == 2
    assert attached(database, "ing_task_run") == [0, 1, 2, 3]
    assert [run.task_id for run in claim(ledger, a.result())] == [2 * WIDTH - 1, 2 * WIDTH]


def test_a_partition_made_in_place_wrong_form_breaks(ledger: _core.Ledger, held: Callable[..., Held]) -> None:
    """PARTITION OF wants the parent for itself: every claim and commit waits until the planner is done."""
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    planner, worker = held(), held()
    planner.text(
        "create table strandline.ing_task_run_p9 partition of strandline.ing_task_run"
        " for values from (9000000) to (10000000)"
    )
    worker.text("set local lock_timeout = '100ms'")
    with pytest.raises(WAITED):
        worker.run("run.fence", run.task_id, run.attempt_no, 0, 1, LEASE, None, 1, False, None)


def test_two_planners_need_the_same_partition_at_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """One makes it, the other finds it made."""
    other_source = {"code": "gauge", "reference": "tests:Gauge", "version": "1", "config": {}, "labels": {}}
    advance(database, WIDTH - 1)
    first, second = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(first.plan, request(0, 20))
    held.wait()
    b = background(second.plan, request(0, 20, provenance=other_source))
    database.wait_until_blocked(second.backend_pid, by=first.backend_pid)
    held.forward()
    assert [each.result()["slices"] for each in (a, b)] == [2, 2]
    for parent in PARENTS:
        assert attached(database, parent) == [0, 1, 2]
    assert len(ledger.claim("suite", 10, LEASE, pool="default")) == 4
