"""P5, idempotent verbs: repeating trigger, plan, complete, cancel, retry returns the first answer; the same identity
with different content is Conflict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from fix_ledger import Database, OpenLedger, claim, finish, request
from providers import Numbers

import strandline as sl
from strandline import _core

CAUSE = {"origin": "provider", "kind": "fatal", "message": "no", "where": None}
TWENTY = 20


def triggered(lo: int, hi: int, **changes: Any) -> dict[str, Any]:
    """A plan request with an identity: the run `tuesday` of the job `meter`."""
    return request(
        lo, hi, **{"trigger": {"scheduler": "CRON", "job": "meter", "log": "tuesday", "type": "SCHEDULE"}, **changes}
    )


def count(database: Database, *tables: str) -> list[int]:
    return [database.value(f"select count(*) from strandline.{table}") for table in tables]


CHAIN = ("ing_schedule_instance", "ing_plan", "ing_plan_slice", "ing_task")


def test_twenty_times_at_once(ledger: _core.Ledger, open_ledger: OpenLedger, database: Database) -> None:
    ledgers = [open_ledger() for _ in range(TWENTY)]
    with ThreadPoolExecutor(TWENTY) as pool:
        plans = list(pool.map(lambda own: own.plan(triggered(0, 100)), ledgers))
    assert len({(plan["schedule_instance_id"], plan["plan_id"], plan["plan_key"]) for plan in plans}) == 1
    assert [plan["repeated"] for plan in plans].count(False) == 1
    assert {plan["slices"] for plan in plans} == {10}
    assert count(database, *CHAIN) == [1, 1, 10, 10]


@pytest.mark.parametrize(
    "changes",
    [
        {"window": {"asked": [0, 101], "lo": 0, "hi": 101}},
        {"strategy": {"strategy": "ID", "step": 20}},
        {"params": {"site": 7}},
        {"expr": {"site": 7}},
        {"only": "all"},
        {"order": "newest"},
        {"operation": "BACKFILL"},
    ],
    ids=["window", "slice", "params", "expr", "only", "order", "operation"],
)
def test_the_same_trigger_with_another_content(
    changes: dict[str, Any], ledger: _core.Ledger, database: Database
) -> None:
    first = ledger.plan(triggered(0, 100))
    with pytest.raises(sl.Conflict, match="tuesday"):
        ledger.plan(triggered(0, 100, **changes))
    assert count(database, *CHAIN) == [1, 1, 10, 10]
    assert ledger.plan(triggered(0, 100))["plan_id"] == first["plan_id"]


def test_what_is_frozen_with_the_first_trigger_stays(ledger: _core.Ledger, database: Database) -> None:
    """A new version of the provider sends the same trigger again: it gets the old plan, with the old snapshot."""
    first = ledger.plan(triggered(0, 100))
    newer = {"code": "meter", "reference": "tests:Meter", "version": "2", "config": {}, "labels": {"team": "x"}}
    again = ledger.plan(triggered(0, 100, provenance=newer))
    assert (again["plan_id"], again["repeated"]) == (first["plan_id"], True)
    snapshot = database.value("select provenance_config_snapshot from strandline.ing_schedule_instance")
    assert snapshot["version"] == "1"
    with pytest.raises(sl.Conflict, match="tuesday"):  # another configuration is another source
        ledger.plan(triggered(0, 100, provenance={**newer, "config": {"url": "x"}}))
    assert database.value("select count(*) from strandline.ing_schedule_instance") == 1


def test_a_plan_that_is_over_is_returned_as_well(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(triggered(0, 10))
    finish(ledger, claim(ledger, plan)[0])
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    again = ledger.plan(triggered(0, 10))
    assert (again["plan_id"], again["status"], again["repeated"]) == (plan["plan_id"], "SUCCEEDED", True)
    assert count(database, *CHAIN) == [1, 1, 1, 1]


class Hours(sl.Provider):
    """One row an hour; counts how often it is asked."""

    name = "hours"
    slice = "1 hour"
    lag = "0 s"
    asked: ClassVar[list[sl.Window]] = []

    def next(self, context: sl.Context, cursor: Any) -> list[dict[str, Any]]:
        assert context.window is not None
        self.asked.append(context.window)
        return [{"at": context.window.start}]


def test_an_open_window_whose_end_has_moved(engine: sl.Engine, ledger: _core.Ledger) -> None:
    """The window ends now, and now is the first trigger's now, however late the repetition comes."""
    Hours.asked.clear()
    start = dt.datetime.fromtimestamp(ledger.now() / 1e6, dt.UTC) - dt.timedelta(hours=3)
    for window in ((start, None), "-3 hours/"):
        trigger = f"{window}"
        first = engine.plan(Hours, f"into{trigger[:1]}", window=window, trigger=trigger)
        again = engine.plan(Hours, f"into{trigger[:1]}", window=window, trigger=trigger)
        later = engine.plan(Hours, f"into{trigger[:1]}", window=window, trigger=trigger + " later", dry_run=True)
        assert first.window is not None
        assert later.window is not None
        assert (again.id, again.window, again.repeated) == (first.id, first.window, True)
        assert later.window.stop > first.window.stop


def test_an_ingest_sent_again_reads_nothing(engine: sl.Engine) -> None:
    Hours.asked.clear()
    window = "2013-05-01"
    first = engine.ingest(Hours, window=window, trigger="tuesday")
    again = engine.ingest(Hours, window=window, trigger="tuesday")
    assert len(Hours.asked) == 24
    assert (first.plan, first.status, first.rows) == (again.plan, again.status, again.rows)
    with pytest.raises(sl.Conflict, match="tuesday"):
        engine.ingest(Hours, window="2013-05-02", trigger="tuesday")


def test_twenty_users_send_one_trigger(open_engine: Callable[..., sl.Engine], database: Database) -> None:
    engines = [open_engine() for _ in range(TWENTY)]
    with ThreadPoolExecutor(TWENTY) as pool:
        found = list(pool.map(lambda own: own.plan(Numbers, window=(0, 100), trigger="tuesday"), engines))
    assert len({plan.id for plan in found}) == 1
    assert [plan.repeated for plan in found].count(False) == 1
    assert count(database, *CHAIN) == [1, 1, 5, 5]


def test_cancel_again(engine: sl.Engine, database: Database) -> None:
    plan = engine.plan(Numbers, window=(0, 60))
    assert [row["status"] for row in engine.cancel(plan, reason="once")] == ["CANCELLED"] * 3
    before = database.rows("select * from strandline.ing_task order by id")
    assert engine.cancel(plan, reason="twice") == []
    assert database.rows("select * from strandline.ing_task order by id") == before


def test_cancel_of_a_running_task_again(ledger: _core.Ledger, database: Database) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    first = ledger.cancel({"task": run.task_id}, "suite")
    asked = database.task(run.task_id)["cancel_requested_at"]
    assert ledger.cancel({"task": run.task_id}, "suite") in (first, [])
    assert database.task(run.task_id)["cancel_requested_at"] == asked


def test_retry_again(engine: sl.Engine, ledger: _core.Ledger, database: Database) -> None:
    plan = engine.plan(Numbers, window=(0, 60))
    engine.cancel(plan)
    queued = engine.retry(plan)
    assert len(queued) == 3
    before = database.rows("select * from strandline.ing_task order by id")
    assert engine.retry(plan) == []
    assert database.rows("select * from strandline.ing_task order by id") == before
    assert {row["attempt_no"] for row in before} == {2}
    assert engine.work(plan).rows == 60
    assert engine.retry(plan) == engine.cancel(plan) == []  # there is nothing to cancel or retry in what succeeded


def test_complete_again(ledger: _core.Ledger, database: Database) -> None:
    """Success, failure, a plan's close and a fold happen once; the second asker is told so and changes nothing."""
    plan = ledger.plan(request(0, 20))
    one, other = claim(ledger, plan)
    finish(ledger, one)
    ledger.fail(other, CAUSE, reason="PROVIDER_ERROR", retryable=False, backoff=[])
    for again in (lambda: finish(ledger, one), lambda: finish(ledger, other)):
        with pytest.raises(sl.LeaseLost):
            again()
    assert ledger.fail(other, CAUSE, reason="PROVIDER_ERROR", retryable=False, backoff=[]) == "FAILED"
    assert [ledger.fold(plan["cursor_id"]) for _ in range(2)] == [1, 0]
    assert [ledger.close_plan(plan["plan_id"]) for _ in range(2)] == ["PARTIAL", None]
    assert database.ids() == list(range(10))
    assert ledger.verify() == []


def test_migrate_again(ledger: _core.Ledger, database: Database) -> None:
    before = database.rows("select * from strandline.ing_schema_migration order by version")
    assert ledger.migrate() == []
    assert database.rows("select * from strandline.ing_schema_migration order by version") == before
