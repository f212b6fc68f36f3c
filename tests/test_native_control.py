"""The native verbs of an operator: what each changes, what it refuses, what asking again does."""

from __future__ import annotations

import pytest
from fix_dependency import asked, fail, on, plan_status, states
from fix_ledger import LEASE, TARGET, Database, claim, finish, finish_all, page, request

from strandline import _core
from strandline.errors import ConfigError, Conflict, LeaseLost

BY = "suite"
LONG = 60_000_000


# Pause, resume, trigger, priority -------------------------------------------------------------------------------------


def test_pause_and_resume_a_plan(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 30))
    (run,) = claim(ledger, plan, 1)
    of = {"plan": plan["plan_id"]}
    assert len(ledger.pause(of, BY, "maintenance")) == 3
    assert ledger.pause(of, BY) == []
    assert claim(ledger, plan) == []
    committed = ledger.commit(run, TARGET, [page([0], after=0)], done=False, lease=LEASE)
    assert committed["wish"] == "PAUSED"
    assert ledger.give_back(run, "PAUSED") == "QUEUED"
    row = database.run(run)
    assert (row["end_reason_code"], row["ended_by"]) == ("PAUSED", BY)
    assert row["errors"][0]["origin"] == "operator"
    assert "maintenance" in row["errors"][0]["message"]
    assert states(database, plan) == [("QUEUED", "PAUSED")] * 3
    assert len(ledger.resume(of, BY)) == 3
    assert ledger.resume(of, BY) == []
    assert len(claim(ledger, plan)) == 3
    assert database.value("select count(*) from strandline.ing_audit_event where verb in ('pause', 'resume')") == 2
    assert ledger.verify() == []


def test_a_paused_cursor_holds_what_is_planned_later(ledger: _core.Ledger) -> None:
    first = ledger.plan(request(0, 10))
    of = {"cursor": first["cursor_id"]}
    ledger.pause(of, BY)
    second = ledger.plan(request(10, 20))
    assert claim(ledger, second) == []
    ledger.resume(of, BY)
    assert len(claim(ledger, second)) == 1


def test_trigger_ends_a_delay(ledger: _core.Ledger) -> None:
    plan = ledger.plan(request(0, 20, delay=3_600_000_000))
    assert claim(ledger, plan) == []
    assert len(ledger.trigger({"plan": plan["plan_id"]}, BY)) == 2
    assert ledger.trigger({"plan": plan["plan_id"]}, BY) == []
    assert len(claim(ledger, plan)) == 2


def test_priority_is_kept_and_found_by_low_water_claims(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 100))
    claim(ledger, plan, 1)
    last = database.value("select max(id) from strandline.ing_task")
    assert len(ledger.set_priority({"task": last}, 1, BY)) == 1
    assert ledger.set_priority({"task": last}, 1, BY) == []
    (run,) = claim(ledger, plan, 1)
    assert run.task_id == last
    ledger.give_back(run, "BUDGET")
    assert database.task(last)["priority"] == 1
    with pytest.raises(ConfigError, match="priority is 0"):
        ledger.set_priority({"task": last}, 0, BY)


def test_a_task_past_its_deadline_is_never_claimed(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 20, deadline=ledger.now() - 1))
    assert claim(ledger, plan) == []
    assert ledger.reap(lease=LEASE)["failed"] == 2
    assert states(database, plan) == [("FAILED", "DEADLINE")] * 2
    assert plan_status(database, plan) == "FAILED"


# Split ----------------------------------------------------------------------------------------------------------------

BY_TWO = '{"strategy": "ID", "step": 2}'


def test_split_a_queued_slice(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 20))
    task = database.value("select min(id) from strandline.ing_task where plan_id = $1::bigint", plan["plan_id"])
    done = ledger.split(task, BY_TWO, BY, "too long")
    assert (done["slices"], done["covered"]) == (5, None)
    finish_all(ledger, plan)
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert database.ids() == list(range(20))
    assert ledger.verify() == []


def test_split_a_running_slice_keeps_what_is_committed(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    ledger.commit(run, TARGET, [{**page([0, 1, 2], after=3), "upto": 3}], done=False, lease=LEASE)
    done = ledger.split(run.task_id, BY_TWO, BY)
    assert (done["slices"], done["covered"]) == (4, (0, 3))
    with pytest.raises(LeaseLost):
        ledger.commit(run, TARGET, [{**page([3], after=4), "upto": 4}], done=False, lease=LEASE)
    row = database.run(run)
    assert (row["status_code"], row["end_reason_code"], row["ended_by"]) == ("CANCELLED", "SPLIT", BY)
    finish_all(ledger, plan)
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert database.ids() == list(range(10))
    assert database.mark(plan["cursor_id"]) == 10
    assert ledger.verify() == []


def test_what_split_refuses(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 30))
    one, two, three = claim(ledger, plan)
    ledger.commit(one, TARGET, [page([0], after=1)], done=False, lease=LEASE)
    with pytest.raises(Conflict, match="does not say how far they reach"):
        ledger.split(one.task_id, BY_TWO, BY)
    assert database.task(one.task_id)["status_code"] == "RUNNING"
    finish(ledger, two)
    with pytest.raises(Conflict, match="has succeeded"):
        ledger.split(two.task_id, BY_TWO, BY)
    fail(ledger, three)
    with pytest.raises(Conflict, match="is FAILED; retry it first"):
        ledger.split(three.task_id, BY_TWO, BY)
    with pytest.raises(Conflict, match="is not known"):
        ledger.split(999, BY_TWO, BY)
    ledger.plan(asked("gauge", 0, 10, on(task=one.task_id)))
    with pytest.raises(Conflict, match="is needed by another task"):
        ledger.split(one.task_id, BY_TWO, BY)


def test_a_page_that_does_not_say_how_far_it_reaches_takes_the_knowledge_away(ledger: _core.Ledger) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    ledger.commit(run, TARGET, [{**page([0], after=1), "upto": 1}], done=False, lease=LONG)
    ledger.commit(run, TARGET, [page([1, 2], after=3)], done=False, lease=LONG)
    with pytest.raises(Conflict, match="does not say how far they reach"):
        ledger.split(run.task_id, BY_TWO, BY)
    ledger.commit(run, TARGET, [{**page([3], after=4), "upto": 4}], done=False, lease=LONG)
    assert ledger.split(run.task_id, BY_TWO, BY)["covered"] == (0, 4)


# Skip -----------------------------------------------------------------------------------------------------------------


def test_skip_a_page_that_can_never_be_stored(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    ledger.commit(run, TARGET, [page([0], after=1)], done=False, lease=LEASE)
    with pytest.raises(Conflict, match="has no page to pass over"):
        ledger.skip(run.task_id, BY)
    bad = {"before": "1", "after": "2", "done": False, "size": 7}
    assert fail(ledger, run, page=bad) == "FAILED"
    ledger.close_plan(plan["plan_id"])
    assert ledger.skip(run.task_id, BY, "the source has a broken row") == {"batch_no": 2, "status": "QUEUED"}
    assert ledger.skip(run.task_id, BY) == {"batch_no": 2, "status": "QUEUED"}
    assert plan_status(database, plan) == "ACTIVE"
    (go_on,) = claim(ledger, plan)
    assert (go_on.checkpoint, go_on.batch_no) == ("2", 2)
    finish(ledger, go_on)
    ledger.fold(plan["cursor_id"])
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    row = database.rows("select * from strandline.ing_task_run_batch where status_code = 'SKIPPED'")[0]
    assert (row["batch_no"], row["rejected_count"], row["record_count"]) == (2, 7, 0)
    assert ledger.verify() == []


def test_skip_the_last_page(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    fail(ledger, run, page={"before": None, "after": None, "done": True, "size": 1})
    ledger.close_plan(plan["plan_id"])
    assert ledger.skip(run.task_id, BY) == {"batch_no": 1, "status": "SUCCEEDED"}
    assert plan_status(database, plan) == "SUCCEEDED"
    assert database.mark(plan["cursor_id"]) == 10
    assert ledger.verify() == []
