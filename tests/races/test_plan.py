"""Planners of one namespace: a window is planned once, whoever else plans, commits or gives up at the same time."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from fix_ledger import (
    COLUMNS,
    LEASE,
    TARGET,
    Background,
    Database,
    Held,
    OpenLedger,
    claim,
    finish,
    finish_all,
    page,
    query,
    request,
)
from fix_proxy import Proxy

from strandline import _core
from strandline.errors import Conflict

WHOLE = [(0, 40)]

# What a planner writes, in the fewest columns.
INSERT_TASK = (
    "insert into strandline.ing_task (idempotent_key, plan_id, slice_id, cursor_id, generation, lo, hi,"
    " provenance_code, operation_code)"
    " values (sha256($4::text::bytea), 0, 0, $1::bigint, 1, $2::bigint, $3::bigint, 'meter', 'HARVEST')"
)


@pytest.fixture
def cursor(ledger: _core.Ledger) -> int:
    """A namespace with nothing in it: of a plan whose window is empty."""
    plan = ledger.plan(request(0, 0))
    assert plan["reason_code"] == "EMPTY_WINDOW"
    cursor_id: int = plan["cursor_id"]
    return cursor_id


@pytest.fixture(params=["read committed", "repeatable read"])
def level(request: pytest.FixtureRequest, dsn: str, connect: Callable[..., psycopg.Connection[object]]) -> str:
    """What the database makes of a transaction that names no isolation level."""
    name: str = request.param
    with connect(autocommit=True) as connection:
        connection.execute(f"alter database {connection.info.dbname} set default_transaction_isolation = '{name}'")
    return name


def test_a_second_planner_waits_and_plans_only_the_rest(
    level: str, ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    first, second = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("plan.tasks_copy")
    a = background(first.plan, request(0, 40))
    held.wait()
    b = background(second.plan, request(0, 60))
    database.wait_until_blocked(second.backend_pid, by=first.backend_pid)
    held.forward()
    assert a.result()["slices"] == 4
    assert b.result()["missing"] == [(40, 60)]
    assert b.result()["slices"] == 2
    assert b.result()["in_flight_plans"] == [a.result()["plan_id"]]
    assert database.tasks(a.result()["cursor_id"]) == [(lo, lo + 10) for lo in range(0, 60, 10)]


def plan_twice(cursor: int, a: Held, b: Held, database: Database, background: Background, plan: Planner) -> list[Parts]:
    """A plans and is held, B plans the same window, A commits; what each of them found missing and planned."""
    found = [plan(a, cursor)]
    for lo, hi in found[0]:
        a.text(INSERT_TASK, cursor, lo, hi, "a")
    waiting = background(plan, b, cursor)
    database.wait_until_blocked(b.pid, by=a.pid)
    a.commit()
    found.append(waiting.result())
    for lo, hi in found[1]:
        b.text(INSERT_TASK, cursor, lo, hi, "b")
    b.commit()
    return found


Parts = list[tuple[int, int]]
Planner = Callable[[Held, int], Parts]


def bounds(rows: list[dict[str, int]]) -> Parts:
    return [(row["lo"], row["hi"]) for row in rows]


def two_statements(lock: str) -> Planner:
    def plan(held: Held, cursor: int) -> Parts:
        held.text(lock, cursor)
        return bounds(held.run("plan.missing", cursor, 1, 0, 40))

    return plan


def one_statement(held: Held, cursor: int) -> Parts:
    lock = "with c as materialized (select id from strandline.ing_cursor where id = $1 for no key update) "
    return bounds(held.text(lock + query("plan.missing") + " where exists (select from c)", cursor, 1, 0, 40))


def test_lock_then_subtract_plans_once(
    cursor: int, held: Callable[..., Held], database: Database, background: Background
) -> None:
    found = plan_twice(cursor, held(), held(), database, background, two_statements(query("plan.lock")))
    assert found == [WHOLE, []]


def test_lock_and_subtract_in_one_statement_wrong_form_breaks(
    cursor: int, held: Callable[..., Held], database: Database, background: Background
) -> None:
    assert plan_twice(cursor, held(), held(), database, background, one_statement) == [WHOLE, WHOLE]
    assert database.tasks(cursor) == WHOLE * 2


@pytest.mark.parametrize("level", ["repeatable read"], indirect=True)
def test_for_update_under_repeatable_read_wrong_form_breaks(
    level: str, cursor: int, held: Callable[..., Held], database: Database, background: Background
) -> None:
    lock = "select id from strandline.ing_cursor where id = $1 for update"
    assert plan_twice(cursor, held(), held(), database, background, two_statements(lock)) == [WHOLE, WHOLE]


@pytest.mark.parametrize("level", ["repeatable read"], indirect=True)
def test_a_lock_that_changes_the_row_fails_under_repeatable_read(
    level: str, cursor: int, held: Callable[..., Held], database: Database, background: Background
) -> None:
    with pytest.raises(psycopg.errors.SerializationFailure):
        plan_twice(cursor, held(), held(), database, background, two_statements(query("plan.lock")))


# Finished and not folded ---------------------------------------------------------------------------------------------


def test_a_finished_slice_that_waits_for_its_fold_is_not_planned_again(
    ledger: _core.Ledger, database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    finish(ledger, run)
    assert database.intervals(plan["cursor_id"]) == []
    again = ledger.plan(request(0, 10))
    assert (again["slices"], again["missing"], again["reason_code"]) == (0, [], "NOTHING_MISSING")


def test_sets_without_coverage_wrong_form_breaks(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    finish(ledger, run)
    start, end = (
        " - coalesce((select range_agg(int8range(lo, hi)) from strandline.ing_coverage",
        "hi > $3 and lo < $4), '{}')",
    )
    text = query("plan.missing")
    at = text.index(start)
    without = text[:at] + text[text.index(end, at) + len(end) :]
    assert bounds(database.rows(without, plan["cursor_id"], 1, 0, 10)) == [(0, 10)]
    assert bounds(database.rows(text, plan["cursor_id"], 1, 0, 10)) == []


def test_a_done_commit_while_a_planner_reads(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    planner = open_ledger(proxy.dsn)
    held = proxy.stop_at("plan.missing")
    again = background(planner.plan, request(0, 10))
    held.wait()  # it holds the cursor
    finish(ledger, run)
    held.forward()
    assert again.result()["slices"] == 0
    assert database.tasks(plan["cursor_id"]) == []


def test_coverage_and_tasks_in_two_statements_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held]
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    planner = held()
    planner.run("plan.lock", plan["cursor_id"])
    covered = planner.text(
        "select lo, hi from strandline.ing_coverage where cursor_id = $1::bigint union all"
        " select lo, hi from strandline.ing_interval where cursor_id = $1::bigint",
        plan["cursor_id"],
    )
    finish(ledger, run)
    live = planner.text(
        "select lo, hi from strandline.ing_task where cursor_id = $1::bigint and status_code in ('QUEUED', 'RUNNING')",
        plan["cursor_id"],
    )
    assert (covered, live) == ([], [])  # in neither set: it would be planned again


# Cuts that were given up ---------------------------------------------------------------------------------------------


def pages_of(ledger: _core.Ledger, run: _core.Run, ids: range) -> None:
    """Commits one page for each id, without ending the slice."""
    for each in ids:
        ledger.commit(run, TARGET, [page([each], after=each + 1)], done=False, lease=LEASE)


def go_on(ledger: _core.Ledger, plan: dict[str, object]) -> None:
    """Works a plan as a provider would that goes on from its checkpoint."""
    while runs := claim(ledger, plan):
        for run in runs:
            assert run.lo is not None
            assert run.hi is not None
            start = run.lo if run.checkpoint is None else int(run.checkpoint)
            ledger.commit(run, TARGET, [page(range(start, run.hi))], done=True, lease=LEASE)


def give_up(ledger: _core.Ledger, run: _core.Run) -> None:
    """Gives a run back and cancels its task."""
    ledger.give_back(run, "PAUSED")
    assert ledger.cancel({"task": run.task_id}, "suite") == [{"task_id": run.task_id, "status": "CANCELLED"}]


def test_a_cancelled_cut_planned_again_is_the_same_task(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    pages_of(ledger, run, range(3))
    give_up(ledger, run)
    before = database.task(run.task_id)
    again = ledger.plan(request(0, 10))
    after = database.task(run.task_id)
    assert again["slices"] == 1
    assert after["plan_id"] == again["plan_id"] != plan["plan_id"]
    assert (after["status_code"], after["attempt_no"]) == ("QUEUED", before["attempt_no"] + 1)
    assert database.value("select count(*) from strandline.ing_plan_slice") == 1
    (taken,) = claim(ledger, again)
    assert (taken.task_id, taken.checkpoint, taken.batch_no) == (run.task_id, "3", 3)


def test_a_plain_insert_of_a_cancelled_cut_wrong_form_breaks(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    ledger.cancel({"plan": plan["plan_id"]}, "suite")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.rows(
            "insert into strandline.ing_plan_slice (plan_id, slice_no, slice_signature, task_key, slice_spec, lo, hi)"
            " select plan_id, slice_no, slice_signature, task_key, slice_spec, lo, hi from strandline.ing_plan_slice"
        )


@pytest.mark.parametrize("step", [2, 5, 40])
def test_a_cut_with_pages_planned_with_another_length_doubles_nothing(
    step: int, ledger: _core.Ledger, database: Database
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    pages_of(ledger, first, range(3))
    give_up(ledger, first)
    give_up(ledger, second)  # without a page: cut anew, or superseded
    again = ledger.plan(request(0, 40, step=step))
    assert again["missing"] == [(0, 40)]
    go_on(ledger, again)
    assert ledger.fold(plan["cursor_id"]) > 0
    assert database.ids() == list(range(40))
    assert database.intervals(plan["cursor_id"]) == [(0, 40)]
    assert ledger.verify() == []


def test_closed_cuts_whose_pages_are_forgotten_wrong_form_breaks(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    pages_of(ledger, run, range(3))
    give_up(ledger, run)
    database.rows("update strandline.ing_task set batch_no = 0")  # what a planner sees that does not ask
    again = ledger.plan(request(0, 10, step=5))
    finish_all(ledger, again)
    assert database.ids() == [0, 0, 1, 1, 2, 2, *range(3, 10)]


def test_a_cancelled_week_is_not_retried_when_its_days_were_loaded(ledger: _core.Ledger, database: Database) -> None:
    week = ledger.plan(request(0, 10))
    task = claim(ledger, week)[0]
    give_up(ledger, task)
    days = ledger.plan(request(0, 4, step=2))
    finish_all(ledger, days)
    with pytest.raises(Conflict, match="cut anew"):
        ledger.retry({"task": task.task_id}, "suite")
    assert ledger.retry({"plan": week["plan_id"]}, "suite") == []
    finish_all(ledger, ledger.plan(request(0, 10)))
    assert database.ids() == list(range(10))


def test_a_failed_task_is_not_retried_while_its_window_is_loaded_elsewhere(
    ledger: _core.Ledger, database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    cause = {"origin": "provider", "kind": "fatal", "message": "no", "where": None}
    assert ledger.fail(run, cause, reason="PROVIDER_ERROR", retryable=False, backoff=[]) == "FAILED"
    # Loaded by other means than a plan, which would have superseded the cut.
    database.rows(
        "insert into strandline.ing_interval (cursor_id, generation, lo, hi) values ($1::bigint, 1, 5, 10)",
        plan["cursor_id"],
    )
    with pytest.raises(Conflict, match="no longer missing"):
        ledger.retry({"task": run.task_id}, "suite")


@pytest.mark.parametrize("of", ["plan", "cursor"])
def test_what_a_reread_has_loaded_does_not_keep_the_rest_of_a_plan_from_its_retry(
    of: str, ledger: _core.Ledger
) -> None:
    """A reread supersedes no cut of another generation: here one whose window it has loaded."""
    merged = {**TARGET, "table": "latest", "mode": "merge", "primary_key": ["id"]}
    ledger.ensure_target(merged, COLUMNS)
    stream = {"name": "readings", **merged, "columns": None, "contract": {}}
    plan = ledger.plan(request(0, 20, stream=stream))
    subject = {of: plan[f"{of}_id"]}
    loaded, left = [row["task_id"] for row in ledger.cancel(subject, "suite")]
    again = ledger.plan(request(0, 10, stream=stream, only="all"))
    (run,) = claim(ledger, again)
    ledger.commit(run, merged, [page(range(10))], done=True, lease=LEASE)
    ledger.fold(plan["cursor_id"])
    with pytest.raises(Conflict, match="no longer missing"):
        ledger.retry({"task": loaded}, "suite")
    assert ledger.retry(subject, "suite") == [left]
    assert ledger.verify() == []


def test_a_retry_that_looked_before_the_window_was_cut_anew(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    """Between its look and its turn at the cursor, days are cut, loaded in part, and cancelled."""
    week = ledger.plan(request(0, 10))
    task = claim(ledger, week)[0]
    give_up(ledger, task)
    retrier = open_ledger(proxy.dsn)
    held = proxy.stop_at("plan.lock")
    retry = background(retrier.retry, {"task": task.task_id}, "suite")
    held.wait()
    days = ledger.plan(request(0, 10, step=5))
    (day,) = claim(ledger, days, 1)
    pages_of(ledger, day, range(2))
    for row in database.rows("select id from strandline.ing_task where plan_id = $1::bigint", days["plan_id"]):
        ledger.cancel({"task": row["id"]}, "suite")
    ledger.end_cancelled(day)
    held.forward()
    with pytest.raises(Conflict, match="cut anew"):
        retry.result()
    assert database.tasks(week["cursor_id"]) == []


def test_two_retries_at_once_give_one_attempt(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    ledger.cancel({"plan": plan["plan_id"]}, "suite")
    first, second = open_ledger(proxy.dsn), open_ledger()
    held = proxy.stop_at("tx.commit")
    a = background(first.retry, {"plan": plan["plan_id"]}, "suite")
    held.wait()
    b = background(second.retry, {"plan": plan["plan_id"]}, "suite")
    database.wait_until_blocked(second.backend_pid, by=first.backend_pid)
    held.forward()
    assert len(a.result()) == 1
    assert b.result() == []
    assert database.task(a.result()[0])["attempt_no"] == 2


def test_the_target_is_as_declared(ledger: _core.Ledger) -> None:
    found = ledger.describe_target("public", "readings")
    assert found is not None
    assert [name for name, _, _ in found][: len(COLUMNS)] == [name for name, _, _ in COLUMNS]
