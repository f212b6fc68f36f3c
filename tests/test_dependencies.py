"""depends_on, deadlines and delays as users see them: who begins when, what falls with whom, and what a report says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fix_engine import OpenEngine
from fix_ledger import Database
from providers import Numbers

import strandline as sl


class Failing(Numbers):
    """Fails at its first page, for good."""

    name = "failing"

    def before(self, context: sl.Context, first: int) -> None:
        raise sl.Fatal("the export is gone")


class Mended(Numbers):
    """As Failing, until somebody mends it."""

    name = "mended"
    whole = False

    def before(self, context: sl.Context, first: int) -> None:
        if not Mended.whole:
            raise sl.Fatal("the export is gone")


@pytest.fixture(autouse=True)
def broken() -> None:
    Mended.whole = False


def count(database: Database, table: str) -> int:
    if database.value("select to_regclass($1) is null", f"public.{table}"):
        return 0
    found: int = database.value(f"select count(*) from public.{table}")
    return found


def began_after(database: Database, child: sl.Plan, parent: sl.Plan) -> bool:
    """Whether no run of the child began before the last one of the parent had ended."""
    runs = (
        "select %s from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id"
        " where t.plan_id = $1::bigint"
    )
    first = database.value(runs % "min(r.created_at)", child.id)
    last = database.value(runs % "max(r.finished_at)", parent.id)
    return bool(first > last)


# What is waited for ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["plan", "id", "task", "stream", "name", "after", "several"])
def test_a_plan_begins_when_what_it_needs_is_there(how: str, engine: sl.Engine, database: Database) -> None:
    parent = engine.plan(Numbers, "a", window=(0, 20))
    task = f"task:{engine.status(parent).tasks[0].task}"
    needs: Any = {
        "plan": parent,
        "id": parent.id,
        "task": task,
        "stream": "numbers>public.a",
        "name": "numbers",
        "after": sl.After(parent),
        "several": [parent, task, "numbers>public.a"],
    }[how]
    child = engine.plan(Mended, "b", window=(0, 20), depends_on=needs)
    Mended.whole = True
    (waiting,) = engine.status(child).tasks
    assert (waiting.status, waiting.reason) == ("QUEUED", "DEPENDENCY")
    assert engine.work(pool="default").status == "SUCCEEDED"
    assert (count(database, "a"), count(database, "b")) == (20, 20)
    assert began_after(database, child, parent)
    assert engine.verify().differences == []


def test_ingest_works_what_it_waits_for(engine: sl.Engine, database: Database) -> None:
    first = engine.plan(Numbers, "a", window=(0, 40))
    second = engine.plan(Numbers, "b", window=(0, 40), depends_on=first)
    report = engine.ingest(Numbers, "c", window=(0, 40), depends_on="numbers>public.b")
    assert (report.status, report.rows) == ("SUCCEEDED", 40)
    assert [count(database, table) for table in "abc"] == [40, 40, 40]
    assert engine.report(second).status == engine.report(first).status == "SUCCEEDED"


def test_a_stream_may_be_covered_by_anybody_in_any_steps(engine: sl.Engine, database: Database) -> None:
    engine.ingest(Numbers, "a", window=(0, 20))
    child = engine.plan(Numbers, "b", window=(0, 60), depends_on="numbers>public.a")
    for stop in (40, 60):
        assert count(database, "b") == 0
        assert {task.status for task in engine.status(child).tasks} == {"QUEUED"}
        engine.ingest(Numbers, "a", window=(0, stop))
    assert engine.work(child).rows == 60


def test_what_is_there_already_is_not_waited_for(engine: sl.Engine) -> None:
    done = engine.ingest(Numbers, "a", window=(0, 40))
    needs = [done.plan, "task:1", "numbers>public.a"]
    child = engine.plan(Numbers, "b", window=(0, 40), depends_on=needs)
    assert {task.reason for task in engine.status(child).tasks} != {"DEPENDENCY"}
    assert engine.work(child).status == "SUCCEEDED"


# What fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["plan", "task"])
def test_a_failure_takes_down_what_needs_it_and_a_retry_brings_all_back(
    of: str, engine: sl.Engine, database: Database
) -> None:
    parent = engine.plan(Mended, "a", window=(0, 20))
    needed: Any = parent if of == "plan" else f"task:{engine.status(parent).tasks[0].task}"
    child = engine.plan(Numbers, "b", window=(0, 40), depends_on=needed)
    grandchild = engine.plan(Numbers, "c", window=(0, 20), depends_on=child)
    assert engine.work(parent, errors="report").status == "FAILED"
    for plan in (child, grandchild):
        report = engine.report(plan)
        assert report.status == "FAILED"
        assert {failure.kind for failure in report.failures} == {"upstream_failed"}
        assert {task.reason for task in engine.status(plan).tasks} == {"UPSTREAM_FAILED"}
    assert database.value("select count(*) from strandline.ing_task_run") == 1, "nothing of the others was begun"
    Mended.whole = True
    assert len(engine.retry(parent)) >= 4
    assert engine.work(pool="default").status == "SUCCEEDED"
    assert [count(database, table) for table in "abc"] == [20, 40, 20]
    assert [engine.report(plan).status for plan in (parent, child, grandchild)] == ["SUCCEEDED"] * 3
    assert engine.verify().differences == []


def test_any_end_will_do_where_that_is_asked_for(engine: sl.Engine, database: Database) -> None:
    parent = engine.plan(Failing, "a", window=(0, 20))
    task = f"task:{engine.status(parent).tasks[0].task}"
    children = [
        engine.plan(Numbers, table, window=(0, 20), depends_on=sl.After(needed, resolved=True))
        for table, needed in (("b", parent), ("c", task))
    ]
    engine.work(parent, errors="report")
    assert [engine.work(child).status for child in children] == ["SUCCEEDED", "SUCCEEDED"]
    assert (count(database, "b"), count(database, "c")) == (20, 20)


def test_a_cancelled_parent_counts_as_failed(engine: sl.Engine) -> None:
    parent = engine.plan(Numbers, "a", window=(0, 20))
    child = engine.plan(Numbers, "b", window=(0, 20), depends_on=parent)
    engine.cancel(parent)
    (task,) = engine.status(child).tasks
    assert (task.status, task.reason) == ("FAILED", "UPSTREAM_FAILED")
    with pytest.raises(sl.IngestError, match="upstream_failed"):
        engine.report(child).raise_for_status()


def test_what_needs_something_that_failed_fails_when_it_is_planned(engine: sl.Engine, database: Database) -> None:
    failed = engine.ingest(Failing, "a", window=(0, 20), errors="report")
    report = engine.ingest(Numbers, "b", window=(0, 20), depends_on=failed.plan, errors="report")
    assert report.status == "FAILED"
    assert count(database, "b") == 0


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_circle_is_refused(engine: sl.Engine) -> None:
    for table in "ab":
        engine.ingest(Numbers, table, window=(0, 20))
    engine.plan(Numbers, "a", window=(0, 40), depends_on="numbers>public.b")
    with pytest.raises(sl.ConfigError, match="neither could ever begin"):
        engine.plan(Numbers, "b", window=(0, 40), depends_on="numbers>public.a")
    with pytest.raises(sl.ConfigError, match="wait for itself"):
        engine.plan(Numbers, "b", window=(0, 40), depends_on="numbers>public.b")
    assert engine.ingest(Numbers, "b", window=(0, 40)).status == "SUCCEEDED"
    assert engine.ingest(Numbers, "a", window=(0, 40)).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (4711, "no plan 4711"),
        ("task:4711", "no task 4711"),
        ("nobody", "nothing was planned for 'nobody'"),
        (3.5, "depends_on is 3.5"),
        ([None], "of is missing"),
        (sl.After("task:x"), "names no task"),
    ],
)
def test_what_is_not_there_cannot_be_waited_for(needs: Any, words: str, engine: sl.Engine) -> None:
    with pytest.raises(sl.ConfigError, match=words):
        engine.plan(Numbers, "b", window=(0, 20), depends_on=needs)
    assert engine.status().plans == []


def test_a_dry_run_is_no_plan_to_wait_for(engine: sl.Engine) -> None:
    dry = engine.plan(Numbers, "a", window=(0, 20), dry_run=True)
    with pytest.raises(sl.ConfigError, match="dry run"):
        engine.plan(Numbers, "b", window=(0, 20), depends_on=dry)


# Time -----------------------------------------------------------------------------------------------------------------


def test_what_nobody_began_before_its_deadline_fails(engine: sl.Engine, database: Database) -> None:
    plan = engine.plan(Numbers, "a", window=(0, 20), deadline="1 us")
    database.wait_until("select bool_and(deadline_at < clock_timestamp()) from strandline.ing_task")
    report = engine.work(plan, errors="report")  # no claim takes it; the worker's reaper ends it
    assert (report.status, report.failures[0].kind) == ("FAILED", "deadline")
    assert database.value("select count(*) from strandline.ing_task_run") == 0


def test_a_deadline_that_has_passed_is_seen_at_once(
    dsn: str, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the next reaper comes, which is a third of a lease away."""
    monkeypatch.setenv("STRANDLINE_LEASE", "10 h")
    report = open_engine(dsn).ingest(Numbers, "a", window=(0, 40), deadline="1 us", errors="report")
    assert [failure.kind for failure in report.failures] == ["deadline"] * 2
    assert "its deadline passed before a worker had claimed it" in report.failures[0].message


@pytest.mark.parametrize("deadline", ["0 s", dt.timedelta(0), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)])
def test_a_deadline_without_time_is_refused(engine: sl.Engine, deadline: Any) -> None:
    with pytest.raises(sl.ConfigError, match="has passed before anything can begin"):
        engine.plan(Numbers, "a", window=(0, 40), deadline=deadline)
    if isinstance(deadline, dt.datetime):
        return
    with pytest.raises(sl.ConfigError, match=r"Hasty\.deadline is .* has passed before anything can begin"):
        type("Hasty", (Numbers,), {"deadline": deadline})


def test_a_deadline_does_not_end_what_runs(engine: sl.Engine) -> None:
    assert engine.ingest(Numbers, "a", window=(0, 40), deadline="1 h").status == "SUCCEEDED"


def test_a_delay_is_waited_for_and_a_trigger_ends_it(engine: sl.Engine, database: Database) -> None:
    plan = engine.plan(Numbers, "a", window=(0, 40), delay="1 h")
    assert engine.work(plan, seconds=0.1, errors="report").status == "ACTIVE"
    assert count(database, "a") == 0
    assert len(engine.trigger(plan)) == 2
    assert engine.work(plan).rows == 40
