"""Places of a pool, mutexes and what else a task holds: taken once, handed on by every exit, never beyond the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from fix_dependency import asked
from fix_engine import OpenEngine
from fix_ledger import LEASE, Background, Database, Held, OpenLedger, claim, finish, query, request, wrong
from fix_proxy import Proxy
from providers import Numbers

import strandline as sl
from strandline import _core

CAUSE = {"origin": "source", "kind": "fatal", "message": "no", "where": None}


# Claims as one would write them first: $1 a plan.
BY_COUNT = (
    "update strandline.ing_task t set status_code = 'RUNNING' where t.id = any(array(select id from strandline.ing_task"
    " where status_code = 'QUEUED' and plan_id = $1::bigint order by id"
    " limit (select 3 - count(*) from strandline.ing_task where status_code = 'RUNNING' and plan_id = $1::bigint)"
    " for no key update skip locked)) returning id"
)
BY_ABSENCE = (
    "update strandline.ing_task t set status_code = 'RUNNING' where t.id = any(array(select x.id"
    " from strandline.ing_task x where x.status_code = 'QUEUED' and x.plan_id = $1::bigint"
    " and not exists (select from strandline.ing_task o where o.status_code = 'RUNNING' and o.mutex_key = x.mutex_key)"
    " order by x.id limit 10 for no key update skip locked)) returning id"
)
BY_ROW = (
    "update strandline.ing_task t set status_code = 'RUNNING' where t.id = any(array(select x.id"
    " from strandline.ing_task x join strandline.ing_mutex m on m.key = x.mutex_key"
    " where x.status_code = 'QUEUED' and x.plan_id = $1::bigint"
    " and not exists (select from strandline.ing_task o where o.status_code = 'RUNNING' and o.mutex_key = x.mutex_key)"
    " order by x.id limit 10 for no key update of x, m skip locked)) returning id"
)


def running(database: Database) -> int:
    found: int = database.value("select count(*) from strandline.ing_task where status_code = 'RUNNING'")
    return found


def admitted(database: Database, key: str = "api") -> list[int]:
    """The tasks of a key that are through its mutex, which is as many as the mutex has counted."""
    rows = database.rows(
        "select id from strandline.ing_task where mutex_key = $1 and not mutex_waiting"
        " and status_code in ('QUEUED', 'RUNNING') order by id",
        key,
    )
    assert database.value("select admitted from strandline.ing_mutex where key = $1", key) == len(rows)
    return [row["id"] for row in rows]


# Places ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(2, 1), (3, 0)])
def test_a_claim_beside_a_held_one_takes_what_is_free(
    first: int, second: int, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, background: Background
) -> None:
    plan = ledger.plan(request(0, 100))
    ledger.set_pool("default", 3, "suite")
    worker = open_ledger(proxy.dsn)
    held = proxy.stop_at("tx.commit")
    a = background(claim, worker, plan, first)
    held.wait()
    assert len(claim(ledger, plan)) == second  # at once
    assert len(ledger.claim("suite", 100, LEASE, pool="default")) == 0
    held.forward()
    assert len(a.result()) == first
    assert claim(ledger, plan) == []
    assert ledger.verify() == []


def test_places_by_a_count_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 100))
    workers = [held(), held()]
    assert [len(each.text(BY_COUNT, plan["plan_id"])) for each in workers] == [3, 3]
    for each in workers:
        each.commit()
    assert running(database) == 6


def test_a_limit_is_lowered_beside_a_held_claim(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """What the claim has taken counts, and goes when it comes free."""
    plan = ledger.plan(request(0, 100))
    ledger.set_pool("default", 3, "suite")
    worker, operator = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(claim, worker, plan, 3)
    held.wait()
    b = background(operator.set_pool, "default", 1, "suite")
    database.wait_until_blocked(operator.backend_pid, by=worker.backend_pid)
    held.forward()
    runs = a.result()
    assert b.result()
    for run in runs:
        assert claim(ledger, plan) == []
        finish(ledger, run)
    assert len(claim(ledger, plan)) == 1
    assert ledger.verify() == []


def test_a_first_limit_counts_a_claim_that_was_under_way(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, background: Background
) -> None:
    """The claim has not seen the limit; the reaper gives its tasks their places."""
    plan = ledger.plan(request(0, 100))
    worker = open_ledger(proxy.dsn)
    held = proxy.stop_at("tx.commit")
    a = background(claim, worker, plan, 5)
    held.wait()
    assert ledger.set_pool("default", 3, "suite")  # waits for nobody
    held.forward()
    runs = a.result()
    ledger.reap(lease=LEASE)
    for run in runs[:3]:
        assert claim(ledger, plan) == []
        finish(ledger, run)
    assert len(claim(ledger, plan)) == 1
    assert ledger.verify() == []


# What an exit gives back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cancelled", "lost for good"])
def test_the_end_of_a_run_whose_lease_is_lost_releases_all_that_it_held(
    end: str, ledger: _core.Ledger, database: Database
) -> None:
    ledger.set_pool("default", 1, "suite")
    plan = ledger.plan(request(0, 20, mutex_key="api", max_losses=1))
    (run,) = claim(ledger, plan)
    needs = [{"task": run.task_id, "resolved": resolved} for resolved in (False, True)]
    strict = ledger.plan(asked("gauge", 0, 10, *needs[:1], pool="else"))
    lax = ledger.plan(asked("third", 0, 10, *needs[1:], pool="else"))
    if end == "cancelled":
        assert ledger.cancel({"task": run.task_id}, "suite") == [{"task_id": run.task_id, "status": "RUNNING"}]
    assert admitted(database) == [run.task_id]
    assert claim(ledger, plan) == claim(ledger, lax) == []
    database.wait_until_lease_over(run)
    reaped = ledger.reap(lease=LEASE)
    assert (reaped["cancelled"], reaped["failed"]) == ((1, 0) if end == "cancelled" else (0, 1))
    (task, row) = (database.task(run.task_id), database.run(run))
    assert (task["status_code"], row["status_code"]) == ("CANCELLED" if end == "cancelled" else "FAILED", "LOST")
    # Window, place, mutex, and those who wait for it.
    assert database.missing(plan["cursor_id"], 0, 20) == [(0, 10)]
    assert database.value("select count(*) from strandline.ing_pool_slot where task_id is not null") == 0
    assert admitted(database) == [run.task_id + 1]
    (next_run,) = claim(ledger, plan)
    assert next_run.task_id == run.task_id + 1
    assert len(claim(ledger, lax)) == 1
    fallen = database.rows("select status_code from strandline.ing_task where plan_id = $1", strict["plan_id"])
    assert fallen == [{"status_code": "FAILED"}]
    assert ledger.verify() == []


@pytest.mark.parametrize(
    ("forgotten", "found"),
    [
        ("v where s.task_id = v.id and s.attempt_no = v.attempt_no)", "slots"),
        ("m where g.key = m.key),", "admitted"),
    ],
    ids=["place", "mutex"],
)
def test_an_exit_that_forgets_something_wrong_form_breaks(
    forgotten: str, found: str, ledger: _core.Ledger, held: Callable[..., Held]
) -> None:
    """Nothing in the data shows it: nobody can be claimed any more. verify does."""
    ledger.set_pool("default", 1, "suite")
    plan = ledger.plan(request(0, 20, mutex_key="api"))
    (run,) = claim(ledger, plan)
    worker = held()
    worker.run("task.lock", [run.task_id])
    worker.run("run.end", run.task_id, run.attempt_no, "CANCELLED", "CANCELLED", "suite", None)
    forgetful = wrong("task.leave", (forgotten, forgotten.replace(" where ", " where false and ")))
    (left,) = worker.text(forgetful, [run.task_id], "CANCELLED", "CANCELLED", 0, 0, 0)
    worker.run("task.admit", left["admit"])
    worker.commit()
    assert claim(ledger, plan) == []
    assert [each["check"] for each in ledger.verify()] == [found]


# Mutexes --------------------------------------------------------------------------------------------------------------


def test_two_of_a_key_in_one_claim_run_one_by_one(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 30, mutex_key="api"))
    seen = []
    while runs := claim(ledger, plan):
        assert len(runs) == 1
        assert len(admitted(database)) == 1
        seen.append(runs[0].lo)
        finish(ledger, runs[0])
    assert seen == [0, 10, 20]
    assert admitted(database) == []


@pytest.mark.parametrize("claiming", [BY_ABSENCE, BY_ROW], ids=["absence", "row"])
def test_a_mutex_inside_the_claim_wrong_form_breaks(
    claiming: str, ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 30, mutex_key="api"))
    worker = held()
    assert len(worker.text(claiming, plan["plan_id"])) == 3
    worker.commit()
    assert running(database) == 3


def test_two_leave_a_key_at_once(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 60, mutex_key="api", mutex_slots=2))
    first, second = claim(ledger, plan)
    one, other = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(finish, one, first)
    held.wait()
    b = background(finish, other, second)
    database.wait_until_blocked(other.backend_pid, by=one.backend_pid)
    assert claim(ledger, plan) == []
    held.forward()
    a.result()
    b.result()
    assert admitted(database) == [second.task_id + 1, second.task_id + 2]
    assert len(claim(ledger, plan)) == 2


@pytest.mark.parametrize("how", ["yield", "backoff", "pause", "cancel"])
def test_a_mutex_is_handed_on(how: str, ledger: _core.Ledger, database: Database) -> None:
    """Also by a task that is through the mutex and not begun."""
    plan = ledger.plan(request(0, 20, mutex_key="api"))
    (first, second) = (row["id"] for row in database.rows("select id from strandline.ing_task order by id"))
    assert admitted(database) == [first]
    if how in ("pause", "cancel"):
        (ledger.pause if how == "pause" else ledger.cancel)({"task": first}, "suite")
    else:
        (run,) = claim(ledger, plan)
        if how == "yield":
            ledger.give_back(run, "BUDGET")
        else:
            ledger.fail(run, CAUSE, reason="TRANSIENT", retryable=True, backoff=[3_600_000_000])
    assert admitted(database) == [second]
    (run,) = claim(ledger, plan)
    assert run.task_id == second


@pytest.fixture
def circle(ledger: _core.Ledger, database: Database) -> tuple[_core.Run, int, int]:
    """A run that has the mutex; before it a task, and one that comes first and waits for it."""
    (run,) = claim(ledger, ledger.plan(asked("fourth", 0, 10, mutex_key="api")))
    (parent,) = database.rows(
        "select id from strandline.ing_task where plan_id = $1",
        ledger.plan(request(0, 10, mutex_key="api", priority=9))["plan_id"],
    )
    (child,) = database.rows(
        "select id from strandline.ing_task where plan_id = $1",
        ledger.plan(asked("gauge", 0, 10, {"task": parent["id"], "resolved": False}, mutex_key="api", priority=1))[
            "plan_id"
        ],
    )
    return run, parent["id"], child["id"]


def test_who_waits_for_another_is_not_let_through(
    circle: tuple[_core.Run, int, int], ledger: _core.Ledger, database: Database
) -> None:
    run, parent, child = circle
    finish(ledger, run)
    for task in (parent, child):
        assert admitted(database) == [task]
        (run,) = ledger.claim("suite", 10, LEASE, pool="default")
        assert run.task_id == task
        finish(ledger, run)


def test_letting_through_who_waits_wrong_form_breaks(
    circle: tuple[_core.Run, int, int], ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """It has the mutex for which the one that it waits for waits."""
    run, parent, child = circle
    worker = held()
    worker.run("task.lock", [run.task_id])
    worker.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    worker.text(wrong("task.admit", ("unmet = 0 and not held", "not held")), ["api"])
    worker.commit()
    assert admitted(database) == [child]
    ledger.reap(lease=LEASE)
    assert ledger.claim("suite", 10, LEASE, pool="default") == []
    assert database.task(parent)["mutex_waiting"]


def test_who_is_not_due_is_not_let_through(ledger: _core.Ledger, database: Database) -> None:
    """The reaper lets it through when it is due and the mutex is free; a trigger does so at once."""
    (run,) = claim(ledger, ledger.plan(asked("gauge", 0, 10, mutex_key="api")))
    later = ledger.plan(request(0, 10, mutex_key="api", delay=3_600_000_000))
    finish(ledger, run)
    assert admitted(database) == []
    assert ledger.fetch("task.mutex_idle") == []
    ledger.trigger({"plan": later["plan_id"]}, "suite")
    assert len(claim(ledger, later)) == 1


def test_letting_through_who_is_not_due_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """A stream that rests for a day has the mutex for a day."""
    (run,) = claim(ledger, ledger.plan(asked("gauge", 0, 10, mutex_key="api")))
    later = ledger.plan(request(0, 10, mutex_key="api", priority=1, delay=3_600_000_000))
    due = ledger.plan(asked("third", 0, 10, mutex_key="api"))
    worker = held()
    worker.run("task.lock", [run.task_id])
    worker.run("task.leave", [run.task_id], "SUCCEEDED", "DONE", 0, 0, 0)
    at_any_time = wrong(
        "task.admit", (" and scheduled_at <= clock_timestamp()", ""), (", scheduled_at = clock_timestamp()", "")
    )
    worker.text(at_any_time, ["api"])
    worker.commit()
    ledger.reap(lease=LEASE)
    assert claim(ledger, due) == claim(ledger, later) == []


def test_a_waiter_that_is_busy_when_its_turn_comes_is_let_through_by_a_claimer_without_work(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    """Admission waits for nobody; whoever it passed over is found later."""
    plan = ledger.plan(request(0, 20, mutex_key="api"))
    (run,) = claim(ledger, plan)
    operator = held()
    operator.run("task.lock", [run.task_id + 1])
    finish(ledger, run)
    assert admitted(database) == []
    operator.commit()
    (next_run,) = claim(ledger, plan)
    assert next_run.task_id == run.task_id + 1
    assert admitted(database) == [next_run.task_id]


class Hesitant(Numbers):
    """Its source fails once, at the first page."""

    name = "hesitant"
    mutex_key = "api"
    backoff = ("100000 us",)
    failed: ClassVar[list[int]] = []

    def before(self, context: sl.Context, first: int) -> None:
        if not self.failed:
            self.failed.append(first)
            raise sl.Transient("once")


def test_a_task_of_a_mutex_goes_on_when_its_backoff_is_over(
    open_engine: OpenEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has nothing to do lets it through."""
    monkeypatch.setenv("STRANDLINE_LEASE", "9 s")
    Hesitant.failed.clear()
    open_engine().ingest(Hesitant, window=(0, 20))
    rested = database.value(
        "select extract(epoch from max(created_at) - min(finished_at))::float8 from strandline.ing_task_run"
    )
    assert rested < 5  # and not nine


def test_admission_waits_for_the_mutex_and_passes_over_tasks() -> None:
    text = query("task.admit")
    assert "order by key for no key update)" in text
    assert "limit m.free for no key update skip locked" in text
