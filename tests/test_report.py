"""What a report says: only what is true, in the singular where there is one."""

from __future__ import annotations

from typing import Any

import pytest
from fix_ledger import Database

import strandline as sl


class Source(sl.Provider):
    """Every id of its window once."""

    name = "source"
    cursor_type = "id"
    slice = 40
    primary_key = ("id",)

    def next(self, context: sl.Context, cursor: Any) -> Any:
        assert context.window is not None
        lo, hi = context.window.bounds
        return [{"id": each} for each in range(lo, hi)]


class Later(Source):
    """Another one, that waits."""

    name = "later"


class Broken(Source):
    """Answers with an error."""

    name = "broken"
    max_attempts = 1

    def next(self, context: sl.Context, cursor: Any) -> Any:
        raise ValueError("no")


def test_a_plan_that_nobody_worked_has_used_no_budget(engine: sl.Engine) -> None:
    first = engine.plan(Source, window=(0, 80))
    reason = engine.report(first).reason or ""
    assert reason.startswith("2 slices waiting; task ")
    assert "waits for a worker of pool" in reason or "waits for the process" in reason
    after = engine.plan(Later, window=(0, 40), depends_on=first)
    waits = engine.report(after)
    assert (waits.status, waits.pending) == ("ACTIVE", 1)
    assert str(waits.reason).startswith("1 slice waiting; task ")
    assert str(waits.reason).endswith(f": waits for plan {first.id}")
    engine.pause(after)
    assert engine.report(after).reason == "1 slice paused by an operator"


def test_a_budget_that_was_given_is_used(engine: sl.Engine) -> None:
    plan = engine.plan(Source, window=(0, 80))
    assert engine.work(plan, tasks=1).reason == "the budget is used; the rest waits for a worker"
    assert str(engine.report(plan).reason).startswith("1 slice waiting; task ")


def test_what_never_began_did_not_fail_after_an_attempt(engine: sl.Engine, database: Database) -> None:
    plan = engine.plan(Source, window=(0, 40), deadline="1 us")
    database.wait_until("select bool_and(deadline_at < clock_timestamp()) from strandline.ing_task")
    with pytest.raises(sl.IngestError, match=r"0 of 1 slice succeeded; task \d+ .*failed before it began: deadline"):
        engine.work(plan)
    assert engine.report(plan).failures[0].attempts == 0

    first = engine.plan(Broken, window=(0, 40))
    after = engine.plan(Later, window=(0, 40), depends_on=first)
    with pytest.raises(sl.IngestError, match=r"failed after 1 attempt: "):
        engine.work(first)
    with pytest.raises(sl.IngestError, match=r"failed before it began: upstream_failed"):
        engine.report(after).raise_for_status()

    gone = engine.plan(Source, "other", window=(0, 40))
    engine.cancel(gone)
    with pytest.raises(sl.IngestError, match=r"failed before it began: cancelled"):
        engine.report(gone).raise_for_status()


def test_a_plan_that_is_over_has_the_status_of_its_row(engine: sl.Engine) -> None:
    plan = engine.plan(Source, window=(0, 40))
    engine.cancel(plan)
    assert engine.report(plan).status == engine.status(plan).plans[0].status == "CANCELLED"
    engine.ingest(Source, window=(0, 40), slice=20)
    engine.retry(plan)
    assert engine.report(plan).status == engine.status(plan).plans[0].status == "SUCCEEDED"
    assert engine.work(plan).status == "SUCCEEDED"


def test_slices_of_other_plans_that_failed_still_count(engine: sl.Engine) -> None:
    held = engine.plan(Broken, window=(0, 40))
    report = engine.ingest(Broken, window=(0, 40), errors="report")
    assert (report.status, [each.attempts for each in report.failures]) == ("FAILED", [1])
    assert report.reason == f"1 slice of the window is of plan {held.id}: it is not in, with 0 rows"
