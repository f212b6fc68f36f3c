"""Builders for tests of dependencies: sources that each have a cursor, what they wait for, and where they stand."""

from __future__ import annotations

from typing import Any

from fix_ledger import TARGET, Database, Held, request

from strandline import _core

CAUSE = {"origin": "source", "kind": "fatal", "message": "no", "where": None}
Plan = dict[str, Any]

# What a planner writes of a dependency, beside the task: $1 child, $2 parent.
EDGE = "insert into strandline.ing_task_dependency (task_id, requires_task_id) values ($1::bigint, $2::bigint)"
WAITS = "update strandline.ing_task set unmet = unmet + 1 where id = $1::bigint"


def asked(code: str, lo: int, hi: int, *needs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A plan request of source `code`, each with a cursor of its own, that waits for `needs`."""
    return request(
        lo,
        hi,
        provenance={"code": code, "reference": "tests:Meter", "version": "1", "config": {}, "labels": {}},
        stream={"name": "readings", **TARGET, "columns": None, "contract": {}},
        depends_on=list(needs),
        **changes,
    )


def on(resolved: bool = False, **of: int) -> dict[str, Any]:
    """`on(task=1)`, `on(plan=1)`, `on(cursor=1)`: needed, in any end of it if `resolved`."""
    return {**of, "resolved": resolved}


def fail(ledger: _core.Ledger, run: _core.Run, **error: Any) -> str:
    """Fails a run for good, as its worker would; `error` is added to the cause."""
    return ledger.fail(run, {**CAUSE, **error}, reason="FATAL", retryable=False, backoff=[], by=run.worker)


def resolve(held: Held, task: int, status: str) -> None:
    """Ends a task as its worker would, in a transaction that stays open."""
    held.run("task.lock", [task])
    held.run("task.leave", [task], status, "DONE", 0, 0, 0)


def only_task(database: Database, plan: Plan) -> int:
    found: int = database.value("select id from strandline.ing_task where plan_id = $1::bigint", plan["plan_id"])
    return found


def state(database: Database, plan: Plan) -> tuple[str, str | None, int]:
    """Status, reason and number of things waited for, which are the same for all tasks of a plan."""
    (row,) = database.rows(
        "select distinct status_code, reason_code, unmet from strandline.ing_task where plan_id = $1::bigint",
        plan["plan_id"],
    )
    return row["status_code"], row["reason_code"], row["unmet"]


def states(database: Database, plan: Plan) -> list[tuple[str, str | None]]:
    """Status and reason of each task of a plan, in the order of their ids."""
    rows = database.rows(
        "select status_code, reason_code from strandline.ing_task where plan_id = $1::bigint order by id",
        plan["plan_id"],
    )
    return [(row["status_code"], row["reason_code"]) for row in rows]


def plan_status(database: Database, plan: Plan) -> str:
    found: str = database.value("select status_code from strandline.ing_plan where id = $1::bigint", plan["plan_id"])
    return found


def gates(database: Database) -> list[str]:
    rows = database.rows("select status_code from strandline.ing_task where kind_code = 'GATE' order by id desc")
    return [row["status_code"] for row in rows]
