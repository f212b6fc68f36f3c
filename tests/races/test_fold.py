"""Folds: the mark never stays behind what is committed, and after a rewind nothing older moves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fix_ledger import (
    LEASE,
    Background,
    Database,
    Held,
    OpenLedger,
    claim,
    finish,
    finish_all,
    query,
    request,
)
from fix_proxy import Proxy

from strandline import _core


def test_the_holder_of_a_fold_looks_again(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    finish(ledger, first)
    folder = open_ledger(proxy.dsn)
    held = proxy.stop_at("cursor.write")
    a = background(folder.fold, plan["cursor_id"])
    held.wait()  # it has read what is to be folded
    finish(ledger, second)
    assert ledger.fold(plan["cursor_id"]) == 0  # skipped, at once
    held.forward()
    assert a.result() == 2
    assert database.mark(plan["cursor_id"]) == 20


def test_a_fold_that_found_nothing_looks_again(
    ledger: _core.Ledger,
    open_ledger: OpenLedger,
    held: Callable[..., Held],
    proxy: Proxy,
    database: Database,
    background: Background,
) -> None:
    """Another folder is faster between its look and its lock; then a finisher passes by while it holds the cursor."""
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    finish(ledger, first)
    folder = open_ledger(proxy.dsn)
    faster = held()
    faster.text("lock table strandline.ing_cursor in access exclusive mode")
    before_commit = proxy.stop_at("tx.commit")
    a = background(folder.fold, plan["cursor_id"])
    database.wait_until_blocked(folder.backend_pid, by=faster.pid)
    (taken,) = faster.run("cursor.take", plan["cursor_id"])
    assert write(faster, plan["cursor_id"], taken) is True
    faster.commit()
    before_commit.wait()  # it holds the cursor and has read nothing
    finish(ledger, second)
    assert ledger.fold(plan["cursor_id"]) == 0
    before_commit.forward()
    assert a.result() == 1
    assert database.mark(plan["cursor_id"]) == 20


def test_a_planner_looks_again(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    planner = open_ledger(proxy.dsn)
    held = proxy.stop_at("plan.insert")
    a = background(planner.plan, request(10, 20))
    held.wait()  # it holds the cursor
    finish(ledger, run)
    assert ledger.fold(plan["cursor_id"]) == 0
    held.forward()
    assert a.result()["slices"] == 1
    assert database.mark(plan["cursor_id"]) == 10


def test_a_retry_looks_again(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    ledger.give_back(second, "PAUSED")
    ledger.cancel({"task": second.task_id}, "suite")
    retrier = open_ledger(proxy.dsn)
    held = proxy.stop_at("task.retry")
    a = background(retrier.retry, {"task": second.task_id}, "suite")
    held.wait()  # it holds the cursor
    finish(ledger, first)
    assert ledger.fold(plan["cursor_id"]) == 0
    held.forward()
    assert a.result() == [second.task_id]
    assert database.mark(plan["cursor_id"]) == 10


def test_a_claimer_without_work_folds_what_a_killed_holder_left(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    holder = held()
    holder.text("select from strandline.ing_cursor where id = $1 for no key update skip locked", plan["cursor_id"])
    finish(ledger, run)
    assert ledger.fold(plan["cursor_id"]) == 0
    holder.connection.close()  # killed before it could look again
    database.wait_until("not exists (select from pg_stat_activity where pid = $1::int)", holder.pid)
    assert database.mark(plan["cursor_id"]) == 0
    assert claim(ledger, plan) == []
    assert ledger.fold_all() == 1
    assert database.mark(plan["cursor_id"]) == 10


def test_a_planner_that_does_not_look_again_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    planner = held()
    planner.run("plan.lock", plan["cursor_id"])
    finish(ledger, run)
    assert ledger.fold(plan["cursor_id"]) == 0
    planner.commit()
    assert database.mark(plan["cursor_id"]) == 0  # and nobody is left
    assert database.value(query("cursor.again"), plan["cursor_id"]) is True


def test_the_reaper_folds(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    finish(ledger, claim(ledger, plan)[0])
    assert ledger.reap(lease=LEASE)["folded"] == 1
    assert database.mark(plan["cursor_id"]) == 10


def write(held: Held, cursor: int, taken: dict[str, Any]) -> Any:
    """The event of what `held` has taken, as a fold writes it but for the hashes."""
    digest = b"\0" * 32
    marks = (taken["value_norm"], taken["mark"])
    event = (taken["generation"], "FORWARD", *marks, taken["los"], taken["his"], digest, "suite", "coverage", None)
    number = taken["head_sequence_no"] + 1
    (row,) = held.run("cursor.write", cursor, number, *event, digest, None, taken["tasks"], taken["batches"])
    return row["moved"]


def cover(held: Held, run: _core.Run) -> None:
    held.run("run.coverage", run.task_id, 1, run.run_id, run.lo, run.hi, 0)


def test_a_fold_inside_the_done_commit_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan = ledger.plan(request(0, 20))
    first, second = claim(ledger, plan)
    cursor = plan["cursor_id"]
    a, b = held(), held()
    cover(a, first)
    (taken,) = a.run("cursor.take", cursor)
    assert taken["tasks"] == [first.task_id]
    cover(b, second)
    assert b.run("cursor.take", cursor) == []  # skipped before its commit
    b.commit()
    assert write(a, cursor, taken) is True
    a.commit()
    # Both are done, nobody is left, and the second part is in no interval.
    assert database.intervals(cursor) == [(0, 10)]
    assert database.value(query("cursor.again"), cursor) is True


def test_a_waiting_fold_in_one_statement_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database, background: Background
) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    holder, folder = held(), held()
    holder.run("plan.lock", plan["cursor_id"])
    waiting = background(
        folder.text,
        "with c as materialized (select id from strandline.ing_cursor where id = $1::bigint for no key update)"
        " select v.lo, v.hi from c join strandline.ing_coverage v on v.cursor_id = c.id"
        " where v.event_sequence_no is null",
        plan["cursor_id"],
    )
    database.wait_until_blocked(folder.pid, by=holder.pid)
    finish(ledger, run)
    holder.commit()
    assert waiting.result() == []  # the lock is fresh, the coverage is from before it
    assert [row["los"] for row in folder.run("cursor.take", plan["cursor_id"])] == [[run.lo]]


# Rewind --------------------------------------------------------------------------------------------------------------

REWIND = (
    "update strandline.ing_cursor set generation = generation + 1, minimum_generation = generation + 1,"
    " value_norm = $2::bigint, value = to_json($2::bigint) where id = $1::bigint returning generation"
)
REWIND_COPY = (
    "insert into strandline.ing_interval (cursor_id, generation, lo, hi) select cursor_id, $2::bigint, lo,"
    " least(hi, $3::bigint) from strandline.ing_interval where cursor_id = $1::bigint and generation = 1"
    " and lo < $3::bigint"
)


def straggler_behind_unfolded(ledger: _core.Ledger, database: Database) -> tuple[int, _core.Run]:
    """[0, 50) is folded and [90, 100) only covered; the run of [50, 90) that comes back is not done."""
    parts = [ledger.plan(request(lo, hi, step=1000)) for lo, hi in [(0, 50), (50, 90), (90, 100)]]
    (first,), (straggler,), (last,) = (claim(ledger, plan) for plan in parts)
    cursor: int = parts[0]["cursor_id"]
    finish(ledger, first)
    ledger.fold(cursor)
    finish(ledger, last)
    assert database.mark(cursor) == 50
    return cursor, straggler


def test_after_a_rewind_older_coverage_never_moves_the_mark(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    cursor, straggler = straggler_behind_unfolded(ledger, database)
    rewind = held()
    rewind.run("plan.lock", cursor)
    (row,) = rewind.text(REWIND, cursor, 50)
    rewind.text(REWIND_COPY, cursor, row["generation"], 50)
    rewind.commit()
    assert ledger.fold(cursor) == 1
    finish(ledger, straggler)
    assert ledger.fold(cursor) == 1
    assert database.mark(cursor) == 50
    assert database.missing(cursor, 50, 100, generation=2) == [(50, 100)]
    directions = database.rows(
        "select direction_code, generation from strandline.ing_cursor_event where cursor_id = $1::bigint"
        " order by sequence_no desc limit 2",
        cursor,
    )
    assert [(row["direction_code"], row["generation"]) for row in directions] == [("IGNORED", 1)] * 2
    again = ledger.plan(request(50, 100))
    assert (again["generation"], again["missing"]) == (2, [(50, 100)])
    finish_all(ledger, again)
    assert database.mark(cursor) == 100


def test_a_rewind_that_only_cuts_the_intervals_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    cursor, straggler = straggler_behind_unfolded(ledger, database)
    rewind = held()
    rewind.run("plan.lock", cursor)
    rewind.text("delete from strandline.ing_interval where cursor_id = $1::bigint and lo >= 50", cursor)
    rewind.text(
        "update strandline.ing_interval set hi = least(hi, 50) where cursor_id = $1::bigint and generation = 1", cursor
    )
    rewind.commit()
    finish(ledger, straggler)
    ledger.fold(cursor)
    # What was read before the rewind moves the mark: the rewound window would never be read again.
    assert database.mark(cursor) == 100
    assert database.missing(cursor, 50, 100) == []
