"""Plans and tasks that wait for others, in the native ledger: who begins when, and what falls and rises with whom."""

from __future__ import annotations

import pytest
from fix_dependency import Plan, asked, fail, on, plan_status, states
from fix_ledger import Database, claim, finish, finish_all, request

from strandline import _core
from strandline.errors import ConfigError, Conflict

BY = "suite"


def test_a_plan_waits_for_a_plan(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    child = ledger.plan(asked("gauge", 0, 20, on(plan=parent["plan_id"])))
    assert claim(ledger, child) == []
    assert states(database, child) == [("QUEUED", "DEPENDENCY")] * 2
    assert ledger.verify() == []
    finish_all(ledger, parent)
    assert ledger.close_plan(parent["plan_id"]) == "SUCCEEDED"
    assert len(claim(ledger, child)) == 2
    assert ledger.verify() == []


def test_a_plan_that_has_succeeded_is_not_waited_for(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    finish_all(ledger, parent)
    ledger.close_plan(parent["plan_id"])
    child = ledger.plan(asked("gauge", 0, 20, on(plan=parent["plan_id"])))
    assert len(claim(ledger, child)) == 2
    assert database.value("select count(*) from strandline.ing_task where kind_code = 'GATE'") == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_plan_takes_its_children_down_and_a_retry_revives_them(
    when: str, ledger: _core.Ledger, database: Database
) -> None:
    parent = ledger.plan(request(0, 20))

    def plan_child() -> tuple[Plan, Plan]:
        child = ledger.plan(asked("gauge", 0, 20, on(plan=parent["plan_id"])))
        grandchild = ledger.plan(asked("third", 0, 20, on(plan=child["plan_id"])))
        return child, grandchild

    if when == "before":
        child, grandchild = plan_child()
    bad, good = claim(ledger, parent)
    fail(ledger, bad)
    finish(ledger, good)
    assert ledger.close_plan(parent["plan_id"]) == "PARTIAL"
    if when == "after":
        child, grandchild = plan_child()
    for plan in (child, grandchild):
        assert states(database, plan) == [("FAILED", "UPSTREAM_FAILED")] * 2
        assert plan_status(database, plan) == "FAILED"
    assert ledger.verify() == []

    assert set(ledger.retry({"plan": parent["plan_id"]}, BY)) >= {bad.task_id}
    for plan in (parent, child, grandchild):
        assert plan_status(database, plan) == "ACTIVE"
    assert ledger.verify() == []
    for plan in (parent, child, grandchild):
        finish_all(ledger, plan)
        assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert ledger.verify() == []


def test_any_end_will_do(ledger: _core.Ledger) -> None:
    parent = ledger.plan(request(0, 10))
    child = ledger.plan(asked("gauge", 0, 10, on(resolved=True, plan=parent["plan_id"])))
    (run,) = claim(ledger, parent)
    assert claim(ledger, child) == []
    fail(ledger, run)
    assert ledger.close_plan(parent["plan_id"]) == "FAILED"
    assert len(claim(ledger, child)) == 1
    assert ledger.verify() == []


def test_a_task_waits_for_a_task(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    runs = claim(ledger, parent)
    child = ledger.plan(asked("gauge", 0, 10, on(task=runs[0].task_id)))
    finish(ledger, runs[1])
    assert claim(ledger, child) == []
    finish(ledger, runs[0])
    assert len(claim(ledger, child)) == 1


def test_a_plan_waits_until_a_stream_is_covered(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 30))
    of = on(cursor=parent["cursor_id"])
    child = ledger.plan(asked("gauge", 0, 20, of))
    again = ledger.plan(asked("gauge", 20, 25, of, step=1))
    first, second, third = claim(ledger, parent)
    finish(ledger, first)
    finish(ledger, third)
    ledger.fold(parent["cursor_id"])
    assert claim(ledger, child) == []
    finish(ledger, second)
    assert claim(ledger, child) == []
    ledger.fold(parent["cursor_id"])
    assert len(claim(ledger, child)) == 2
    assert len(claim(ledger, again)) == 5
    late = ledger.plan(asked("gauge", 25, 30, of))
    assert len(claim(ledger, late)) == 1
    assert ledger.verify() == []


def test_circles_are_refused(ledger: _core.Ledger) -> None:
    one = ledger.plan(request(0, 10))
    two = ledger.plan(asked("gauge", 0, 10, on(cursor=one["cursor_id"])))
    with pytest.raises(ConfigError, match="would wait for itself"):
        ledger.plan(request(10, 20, depends_on=[on(cursor=one["cursor_id"])]))
    ledger.plan(asked("gauge", 10, 20, on(cursor=one["cursor_id"])))
    with pytest.raises(ConfigError, match="neither could ever begin"):
        ledger.plan(request(10, 20, depends_on=[on(cursor=two["cursor_id"])]))
    # Behind one another is no circle: the second half of one waits for the first half of the other.
    ledger.plan(request(20, 30))
    for unknown in ({"plan": 999}, {"task": 999}, {"cursor": 999}):
        with pytest.raises(ConfigError, match="depends_on"):
            ledger.plan(asked("gauge", 40, 50, on(**unknown)))


def test_a_cut_that_is_planned_again_waits_for_what_its_new_plan_says(ledger: _core.Ledger, database: Database) -> None:
    first = ledger.plan(request(0, 10))
    child = ledger.plan(asked("gauge", 0, 10, on(plan=first["plan_id"])))
    ledger.cancel({"plan": child["plan_id"]}, BY)
    second = ledger.plan(request(10, 20))
    again = ledger.plan(asked("gauge", 0, 10, on(plan=second["plan_id"])))
    finish_all(ledger, first)
    ledger.close_plan(first["plan_id"])
    assert claim(ledger, again) == []
    finish_all(ledger, second)
    ledger.close_plan(second["plan_id"])
    assert len(claim(ledger, again)) == 1
    assert ledger.verify() == []


def test_the_same_trigger_with_another_dependency_is_a_conflict(ledger: _core.Ledger) -> None:
    parent = ledger.plan(request(0, 10))
    trigger = {"scheduler": "MANUAL", "job": "gauge", "log": "today", "type": "MANUAL"}
    of = on(plan=parent["plan_id"])
    first = ledger.plan(asked("gauge", 0, 10, of, trigger=trigger))
    again = ledger.plan(asked("gauge", 0, 10, of, trigger=trigger))
    assert (again["plan_id"], again["repeated"]) == (first["plan_id"], True)
    with pytest.raises(Conflict, match="asked for something else"):
        ledger.plan(asked("gauge", 0, 10, trigger=trigger))
