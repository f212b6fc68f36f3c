"""Claims: exactly as many tasks as asked for, nobody's twice, and none that cannot be found."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from fix_ledger import LEASE, Background, Database, Held, OpenLedger, claim, finish, query, request, wrong
from fix_proxy import Proxy

from strandline import _core

EVERYTHING = ["-infinity"] * 9
FIRST = [0] * 9
LANE = (
    "select id from strandline.ing_task where status_code = 'QUEUED' and plan_id = $1::bigint limit 100"
    " for no key update skip locked"
)


@pytest.fixture
def unanalysed(ledger: _core.Ledger, database: Database) -> dict[str, object]:
    """A plan of 500 tasks in a table of which the server knows nothing."""
    database.rows("alter table strandline.ing_task set (autovacuum_enabled = false)")
    return ledger.plan(request(0, 5000))


def running(database: Database) -> int:
    found: int = database.value("select count(*) from strandline.ing_task where status_code = 'RUNNING'")
    return found


def test_a_claim_takes_exactly_its_limit(
    unanalysed: dict[str, object], ledger: _core.Ledger, database: Database
) -> None:
    assert len(claim(ledger, unanalysed, 100)) == 100
    assert running(database) == 100
    taken = ledger.claim("suite", 100, LEASE, pool="default")
    assert len(taken) == 100
    assert running(database) == 200


@pytest.mark.parametrize(
    "claiming",
    [
        f"from ({LANE}) s where s.id = t.id and t.status_code = 'QUEUED' and t.plan_id = $1::bigint",
        f"where t.status_code = 'QUEUED' and t.plan_id = $1::bigint and t.id in ({LANE})",
    ],
    ids=["from", "in"],
)
def test_a_locking_operand_wrong_form_breaks(
    claiming: str, unanalysed: dict[str, object], held: Callable[..., Held], database: Database
) -> None:
    """A server that expects few rows scans the operand again for each outer row, and each scan locks the next 100."""
    worker = held()
    worker.text("set local enable_hashjoin = off")
    worker.text("set local enable_mergejoin = off")
    worker.text("set local enable_material = off")
    worker.text("set local enable_hashagg = off")
    worker.text("set local enable_sort = off")
    worker.text(f"update strandline.ing_task t set status_code = 'RUNNING' {claiming}", unanalysed["plan_id"])
    worker.commit()
    assert running(database) > 100


def test_a_claim_beside_a_held_one_takes_others(
    ledger: _core.Ledger, open_ledger: OpenLedger, proxy: Proxy, background: Background
) -> None:
    plan = ledger.plan(request(0, 100))
    other = open_ledger(proxy.dsn)
    held = proxy.stop_at("tx.commit")
    a = background(claim, other, plan, 6)
    held.wait()
    b = claim(ledger, plan, 6)  # at once
    held.forward()
    assert [run.lo for run in a.result()] == [0, 10, 20, 30, 40, 50]
    assert [run.lo for run in b] == [60, 70, 80, 90]


def test_a_claim_that_waits_wrong_form_breaks(ledger: _core.Ledger, held: Callable[..., Held]) -> None:
    plan = ledger.plan(request(0, 100))
    a, b = held(), held()
    assert len(a.run("task.claim", 6, EVERYTHING, "a", LEASE, "default", [plan["plan_id"]], FIRST)) == 6
    b.text("set local lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        b.text(
            wrong("task.claim", (" skip locked", "")), 6, EVERYTHING, "b", LEASE, "default", [plan["plan_id"]], FIRST
        )


def parent_and_child(ledger: _core.Ledger, database: Database) -> tuple[dict[str, object], _core.Run, int]:
    """A running parent, and a child that waits for it and was due an hour ago."""
    plan = ledger.plan(request(0, 20))
    (parent,) = claim(ledger, plan, 1)
    child: int = database.value(
        "update strandline.ing_task set unmet = 1, scheduled_at = clock_timestamp() - interval '1 hour'"
        " where id <> $1::bigint returning id",
        parent.task_id,
    )
    database.rows(
        "insert into strandline.ing_task_dependency (task_id, requires_task_id) values ($1::bigint, $2::bigint)",
        child,
        parent.task_id,
    )
    return plan, parent, child


def claim_above_the_low_water(held: Held, plan: dict[str, object]) -> list[int]:
    (row,) = held.text("select (clock_timestamp() - interval '1 minute')::text as low")
    rows = held.run("task.claim", 10, [row["low"]] * 9, "suite", LEASE, "default", [plan["plan_id"]], FIRST)
    return [each["task_id"] for each in rows]


def test_a_child_freed_with_an_old_time_is_found(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan, parent, child = parent_and_child(ledger, database)
    assert claim(ledger, plan) == []
    finish(ledger, parent)
    assert database.task(child)["unmet"] == 0
    assert claim_above_the_low_water(held(), plan) == [child]


def test_a_child_freed_with_its_old_time_wrong_form_breaks(
    ledger: _core.Ledger, held: Callable[..., Held], database: Database
) -> None:
    plan, parent, child = parent_and_child(ledger, database)
    worker = held()
    worker.run("task.lock", [parent.task_id])
    worker.text(
        wrong("task.leave", (", scheduled_at = greatest(c.scheduled_at, clock_timestamp()) from l", " from l")),
        [parent.task_id],
        "SUCCEEDED",
        "DONE",
        0,
        0,
        0,
    )
    worker.commit()
    assert database.task(child)["unmet"] == 0
    assert claim_above_the_low_water(held(), plan) == []


def test_the_claim_has_no_locking_operand() -> None:
    """The forms that the two tests above refuse: what feeds the UPDATE stands inside array(..)."""
    assert "where t.id = any(array(select x.id from" in query("task.claim")
