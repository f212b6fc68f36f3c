"""Makes the Report of a plan or a pool from what the ledger says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strandline.render import number, plural
from strandline.report import MOST_FAILURES, Failure, Plan, Report
from strandline.status import window_of
from strandline.why import summary
from strandline.window import Window
from strandline.worker import Scope

if TYPE_CHECKING:
    from strandline._core import Ledger
    from strandline.job import Jobs


_WORDS = {
    "DEADLINE": "its deadline passed before a worker had claimed it; `retry` lifts it",
}
"""What a task without an error of its own ended for."""
_OVER = ("SUCCEEDED", "PARTIAL", "FAILED", "CANCELLED")
"""The states of a plan that say how it ended."""
_NAMED = 3
"""How many of those that a slice waits for are named."""


def plan_report(
    ledger: Ledger,
    plan: Plan,
    scope: Scope | None = None,
    seconds: float = 0.0,
    throttled: float = 0.0,
    *,
    budget_used: bool = False,
) -> Report:
    """What a plan did so far. Slices that other plans hold in the scope's window count in `status` and `failures`.

    `seconds` is how long the call took, `throttled` how long its threads together waited for rates, `budget_used`
    whether it had a budget and has used it.
    """
    assert plan.id is not None
    scope = scope or Scope(plans=(plan.id,), own=plan.id)
    stored = ledger.fetch("status.plans", plan.id, None, None, None, 1)[0]
    tasks = ledger.fetch("status.plan_tasks", plan.id)[0]
    pages = ledger.fetch("status.plan_pages", plan.id)[0]
    live = scope.live(ledger)
    window = scope.window or (None, None, None, None)
    failures = ledger.fetch("status.failures", plan.id, [*scope.plans, *scope.others], *window, MOST_FAILURES)
    counts: dict[str, Any] = {name: pages[name] for name in ("inserted", "updated", "unchanged", "deleted", "rejected")}
    return Report(
        status=_status(tasks, live["live"], failures, stored),
        reason=_others(ledger, scope) or stored["reason"] or _reason(ledger, plan.id, tasks, live, budget_used),
        plan=plan.id,
        window=plan.window,
        watermark=None if plan.cursor_id is None else watermark_of(ledger.fetch("status.cursor", plan.cursor_id)[0]),
        slices=tasks["slices"],
        succeeded=tasks["succeeded"],
        failed=tasks["failed"],
        pending=live["live"],
        batches=pages["batches"],
        rows=pages["rows"],
        **counts,
        seconds=seconds,
        throttled_seconds=throttled,
        tables={plan.stream: {"rows": pages["rows"], **counts}},
        failures=tuple(_failure(row, stored) for row in failures),
    )


def pool_report(ledger: Ledger, scope: Scope, jobs: Jobs, seconds: float) -> Report:
    """What this process did in a pool, and what is left there."""
    live = scope.live(ledger)["live"]
    stored, outcomes = jobs.stored, jobs.outcomes
    failed, succeeded = outcomes["FAILED"], outcomes["SUCCEEDED"]
    ended = "SUCCEEDED" if not failed else "PARTIAL" if succeeded else "FAILED"
    counts: dict[str, Any] = {name: stored[name] for name in ("inserted", "updated", "unchanged", "deleted")}
    return Report(
        status="ACTIVE" if live else ended,
        reason=f"{plural(outcomes.total(), 'run')} of pool {scope.pool} ended here",
        slices=succeeded + failed,
        succeeded=succeeded,
        failed=failed,
        pending=live,
        batches=stored["batches"],
        rows=stored["records"],
        **counts,
        seconds=seconds,
        throttled_seconds=jobs.throttled,
    )


def watermark_of(row: dict[str, Any]) -> Any:
    """The watermark of a cursor's row: a datetime in its zone, an id, or the token to go on from."""
    kind = row["cursor_type_code"]
    if kind == "TOKEN":
        return row["value"]
    return Window.from_bounds(row["value_norm"], row["value_norm"], kind.lower(), row["time_zone"]).start


def _others(ledger: Ledger, scope: Scope) -> str | None:
    """What became of the slices of the window that other plans held when this one was made."""
    others = [plan for plan in (*scope.plans, *scope.others) if plan != scope.own]
    if not others or scope.window is None:
        return None
    found = ledger.fetch("status.others", others, *scope.window)[0]
    if not found["slices"]:
        return None
    names = " and ".join(f"plan {plan}" for plan in others)
    succeeded, rows = found["succeeded"], plural(found["rows"], "row")
    if found["slices"] == 1:
        return f"1 slice of the window is of {names}: it is {'' if succeeded else 'not '}in, with {rows}"
    slices = plural(found["slices"], "slice")
    return f"{slices} of the window are of {names}: {number(succeeded)} of them are in, with {rows}"


def _status(tasks: dict[str, Any], live: int, failures: list[dict[str, Any]], stored: dict[str, Any]) -> str:
    status: str = stored["status"]
    if live:
        return "ACTIVE"
    if status in _OVER:
        # Its own tasks are in that; with a success, others may have loaded what was cancelled here.
        failures = [row for row in failures if row["plan_id"] != stored["plan"]] if status == "SUCCEEDED" else []
    if not failures:
        return status if status != "ACTIVE" else "SUCCEEDED"
    if tasks["succeeded"]:
        return "PARTIAL"
    return "FAILED" if any(row["status_code"] == "FAILED" for row in failures) else "CANCELLED"


def _reason(ledger: Ledger, plan: int, tasks: dict[str, Any], live: dict[str, Any], budget_used: bool) -> str | None:
    if live["held"] and live["held"] == live["live"]:
        return f"{plural(live['held'], 'slice')} paused by an operator"
    if live["live"]:
        return "the budget is used; the rest waits for a worker" if budget_used else _left(ledger, plan, live)
    if tasks["failed"] or tasks["cancelled"]:
        return f"{plural(tasks['failed'], 'slice')} failed, {number(tasks['cancelled'])} cancelled"
    return None


def _left(ledger: Ledger, plan: int, live: dict[str, Any]) -> str:
    """How many slices run and wait, and what the first of the plan's own that waits is waiting for."""
    running = live["running"]
    waiting = live["live"] - running
    parts = [f"{plural(running, 'slice')} running"] if running else []
    if waiting:
        parts.append(f"{plural(waiting, 'slice')} waiting")
    text = ", ".join(parts)
    rows = ledger.fetch("status.tasks", None, plan, "QUEUED", 1) if waiting else []
    return f"{text}; task {rows[0]['task']}: {_wait(ledger, rows[0])}" if rows else text


def _wait(ledger: Ledger, row: dict[str, Any]) -> str:
    if row["held"] or not row["unmet"]:
        return summary(row)
    # A gate stands for a plan or a stream.
    needs = [
        f"task {need['parent']}" if not need["gate"] else f"plan {need['plan']}" if need["plan"] else "a stream"
        for need in ledger.fetch("status.needs", row["task"], _NAMED)
    ]
    more = f" and {row['unmet'] - _NAMED} more" if row["unmet"] > _NAMED else ""
    return f"waits for {', '.join(needs)}{more}" if needs else summary(row)


def _failure(row: dict[str, Any], plan: dict[str, Any]) -> Failure:
    error = row["last_error"] or {}
    described = {**row, "cursor_type_code": plan["cursor_type_code"], "time_zone": plan["time_zone"]}
    return Failure(
        task=row["task_id"],
        window=window_of(described, "lo", "hi"),
        attempts=row["attempts"],
        kind=error.get("kind") or (row["reason_code"] or row["status_code"]).lower(),
        message=error.get("message")
        or _WORDS.get(row["reason_code"])
        or f"the task ended {row['status_code']} ({row['reason_code']})",
        where=error.get("where"),
    )
