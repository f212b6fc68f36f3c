"""The native verbs of the queue, one by one: what each changes, what it refuses, what asking again does."""

from __future__ import annotations

from typing import Any

import generate
import pytest
import states as machines
from fix_ledger import LEASE, TARGET, Database, OpenLedger, claim, finish, finish_all, page, request

from strandline import _core
from strandline.errors import ConfigError, Conflict, LeaseLost

BY = "suite"
LONG = 60_000_000


def other_request(lo: int, hi: int, **changes: Any) -> dict[str, Any]:
    """A plan of another source into another table."""
    return request(
        lo,
        hi,
        provenance={"code": "gauge", "reference": "tests:Gauge", "version": "1", "config": {}, "labels": {}},
        stream={"name": "gauges", **TARGET, "table": "gauges", "columns": None, "contract": {}},
        trigger={"scheduler": "MANUAL", "job": "gauge", "log": None, "type": "MANUAL"},
        **changes,
    )


def status(database: Database, plan: dict[str, Any]) -> str:
    found: str = database.value("select status_code from strandline.ing_plan where id = $1::bigint", plan["plan_id"])
    return found


def states(database: Database, plan: dict[str, Any]) -> list[tuple[str, str | None]]:
    rows = database.rows(
        "select status_code, reason_code from strandline.ing_task where plan_id = $1::bigint order by id",
        plan["plan_id"],
    )
    return [(row["status_code"], row["reason_code"]) for row in rows]


def fail(ledger: _core.Ledger, run: _core.Run, **error: Any) -> str:
    cause = {"origin": "source", "kind": "fatal", "message": "it broke", "where": None, **error}
    return ledger.fail(run, cause, reason="FATAL", retryable=False, backoff=[], by=run.worker)


def clean(ledger: _core.Ledger) -> bool:
    return ledger.verify() == []


# Pools ----------------------------------------------------------------------------------------------------------------


def test_a_limited_pool_gives_its_places_and_no_more(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 100))
    assert ledger.set_pool("default", 3, BY, "the source is slow")
    assert not ledger.set_pool("default", 3, BY)
    runs = ledger.claim(BY, 100, LEASE, pool="default")
    assert len(runs) == 3
    assert ledger.claim(BY, 100, LEASE, pool="default") == []
    assert claim(ledger, plan) == []
    finish(ledger, runs[0])
    assert len(claim(ledger, plan)) == 1
    assert clean(ledger)


def test_a_limit_below_what_runs_lets_it_end(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 100))
    runs = claim(ledger, plan, 5, lease=LONG)
    ledger.set_pool("default", 2, BY)
    assert claim(ledger, plan, lease=LONG) == []
    assert clean(ledger)
    for run in runs[:3]:
        finish(ledger, run)
    assert claim(ledger, plan, lease=LONG) == []
    finish(ledger, runs[3])
    ledger.reap(lease=LONG)
    assert len(claim(ledger, plan, lease=LONG)) == 1
    ledger.set_pool("default", None, BY)
    assert len(claim(ledger, plan, lease=LONG)) == 4
    assert clean(ledger)


def test_a_pool_without_places(ledger: _core.Ledger) -> None:
    ledger.plan(request(0, 20))
    ledger.set_pool("default", 0, BY)
    assert ledger.claim(BY, 100, LEASE, pool="default") == []
    with pytest.raises(ConfigError, match="a limit of -1 for pool default"):
        ledger.set_pool("default", -1, BY)


# Mutexes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2])
def test_a_mutex_lets_as_many_through_as_it_has_slots(ledger: _core.Ledger, slots: int) -> None:
    plan = ledger.plan(request(0, 50, mutex_key="api", mutex_slots=slots))
    seen = 0
    while runs := claim(ledger, plan):
        assert len(runs) == min(slots, 5 - seen)
        assert claim(ledger, plan) == []
        for run in runs:
            finish(ledger, run)
        seen += len(runs)
    assert seen == 5
    assert clean(ledger)


def test_a_yield_hands_the_mutex_on(ledger: _core.Ledger) -> None:
    plan = ledger.plan(request(0, 20, mutex_key="api"))
    (first,) = claim(ledger, plan)
    assert ledger.give_back(first, "BUDGET", 0) == "QUEUED"
    (second,) = claim(ledger, plan)
    assert second.task_id != first.task_id
    assert clean(ledger)


def test_a_mutex_passes_by_a_pool_that_nobody_works(ledger: _core.Ledger, database: Database) -> None:
    """What nobody claims gives its place to who waits, and gets it again later, whatever its priority."""
    idle = ledger.plan(request(0, 10, mutex_key="api", pool="nobody", priority=1))
    busy = ledger.plan(other_request(0, 10, mutex_key="api"))
    assert ledger.claim(BY, 9, LONG, pool="default") == []
    database.wait_until(
        "(select bool_and(scheduled_at < clock_timestamp() - interval '500 ms') from strandline.ing_task)"
    )
    ledger.reap(lease=LEASE)
    (run,) = ledger.claim(BY, 9, LONG, pool="default")
    assert run.plan_id == busy["plan_id"]
    assert clean(ledger)
    finish(ledger, run)
    database.wait_until("(select bool_and(scheduled_at <= clock_timestamp()) from strandline.ing_task)")
    ledger.reap(lease=LONG)
    (run,) = ledger.claim(BY, 9, LONG, pool="nobody")
    assert run.plan_id == idle["plan_id"]
    assert clean(ledger)


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
    assert clean(ledger)


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
    assert status(database, plan) == "FAILED"


# Workers --------------------------------------------------------------------------------------------------------------


def test_a_quarantined_worker_claims_nothing(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 30))
    for name in ("alpha:7:1", "beta:8:1"):
        host, pid, _ = name.split(":")
        ledger.register_worker(name, host, int(pid), "1", ["default"])
    (run,) = ledger.claim("alpha:7:1", 1, LEASE, plans=[plan["plan_id"]])
    assert ledger.set_worker("alpha", "QUARANTINED", BY, "bad disk")
    assert not ledger.set_worker("alpha", "QUARANTINED", BY)
    assert ledger.claim("alpha:7:1", 1, LEASE, plans=[plan["plan_id"]]) == []
    assert ledger.heartbeat("alpha:7:1") == "QUARANTINED"
    assert ledger.heartbeat("beta:8:1") == "ACTIVE"
    ledger.register_worker("alpha:9:1", "alpha", 9, "1", ["default"])  # it was started again
    assert ledger.claim("alpha:9:1", 1, LEASE, plans=[plan["plan_id"]]) == []
    assert ledger.commit(run, TARGET, [page([0], after=0)], done=False, lease=LEASE)["wish"] == "QUARANTINED"
    ledger.give_back(run, "QUARANTINED")
    assert "bad disk" in database.run(run)["errors"][0]["message"]
    assert len(ledger.claim("beta:8:1", 1, LEASE, plans=[plan["plan_id"]])) == 1
    assert ledger.set_worker("alpha", "ACTIVE", BY)
    assert len(ledger.claim("alpha:7:1", 1, LEASE, plans=[plan["plan_id"]])) == 1
    with pytest.raises(ConfigError, match='no worker "gamma" is known'):
        ledger.set_worker("gamma", "DRAINING", BY)


# Rates ----------------------------------------------------------------------------------------------------------------


def test_a_rate_is_shared(ledger: _core.Ledger, open_ledger: OpenLedger) -> None:
    ledger.rate_declare("api", 10.0, 1.0)
    other = open_ledger()
    waits = [each.rate_take("api", 1, 60.0) for each in (ledger, other, ledger, other)]
    assert waits[0] == 0
    for number, wait in enumerate(waits):
        assert wait is not None
        assert number * 0.1 - 0.09 <= wait <= number * 0.1
    assert ledger.rate_take("api", 1, 0.0) is None
    ledger.rate_push("api", 30.0)
    assert other.rate_take("api", 1, 10.0) is None
    assert 29 < other.rate_wait("api") <= 30
    assert other.rate_wait("unknown") == 0
    ledger.rate_push("plain", 5.0)
    assert 4 < other.rate_wait("plain") <= 5


# Batched completion ---------------------------------------------------------------------------------------------------


def empty() -> dict[str, Any]:
    return {"rows": None, "deleted": None, "before": None, "after": None, "size": 0, "started": 0}


def test_many_runs_end_in_one_transaction(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 100))
    runs = claim(ledger, plan)
    pages = [page([run.lo]) if number % 2 else empty() for number, run in enumerate(runs)]
    assert ledger.finish(runs, TARGET, pages, lease=LEASE) == ["SUCCEEDED"] * 10
    assert {run.batch_no for run in runs} == {1}
    assert database.ids() == [10, 30, 50, 70, 90]
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    ledger.fold(plan["cursor_id"])
    assert database.mark(plan["cursor_id"]) == 100
    assert database.value("select count(distinct xmin::text) from strandline.ing_task_run_batch") == 1
    assert clean(ledger)


def test_one_that_is_lost_does_not_take_the_others_down(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 40))
    runs = claim(ledger, plan)
    ledger.cancel({"task": runs[1].task_id}, BY)
    ledger.give_back(runs[2], "BUDGET")
    pages = [page([run.lo]) for run in runs]
    assert ledger.finish(runs, TARGET, pages, lease=LEASE) == ["SUCCEEDED", "CANCELLED", "LOST", "SUCCEEDED"]
    assert database.ids() == [0, 30]
    assert clean(ledger)


def test_one_that_the_target_refuses_does_not_take_the_others_down(ledger: _core.Ledger, database: Database) -> None:
    database.rows("alter table public.readings add check (id <> 10)")
    plan = ledger.plan(request(0, 30))
    runs = claim(ledger, plan)
    answers = ledger.finish(runs, TARGET, [page([run.lo]) for run in runs], lease=LEASE)
    assert [answer.partition(":")[0] for answer in answers] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert database.ids() == [0, 20]
    assert database.run(runs[1])["status_code"] == "PLANNED"


# Dependencies ---------------------------------------------------------------------------------------------------------


def test_a_plan_waits_for_a_plan(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    child = ledger.plan(other_request(0, 20, depends_on=[{"plan": parent["plan_id"], "resolved": False}]))
    assert claim(ledger, child) == []
    assert states(database, child) == [("QUEUED", "DEPENDENCY")] * 2
    assert clean(ledger)
    finish_all(ledger, parent)
    assert ledger.close_plan(parent["plan_id"]) == "SUCCEEDED"
    assert len(claim(ledger, child)) == 2
    assert clean(ledger)


def test_a_plan_that_has_succeeded_is_not_waited_for(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    finish_all(ledger, parent)
    ledger.close_plan(parent["plan_id"])
    child = ledger.plan(other_request(0, 20, depends_on=[{"plan": parent["plan_id"], "resolved": False}]))
    assert len(claim(ledger, child)) == 2
    assert database.value("select count(*) from strandline.ing_task where kind_code = 'GATE'") == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_plan_takes_its_children_down_and_a_retry_revives_them(
    when: str, ledger: _core.Ledger, database: Database
) -> None:
    parent = ledger.plan(request(0, 20))

    def plan_child() -> tuple[dict[str, Any], dict[str, Any]]:
        child = ledger.plan(other_request(0, 20, depends_on=[{"plan": parent["plan_id"], "resolved": False}]))
        grandchild = ledger.plan(
            request(
                0,
                20,
                provenance={"code": "third", "reference": "tests:Third", "version": "1", "config": {}, "labels": {}},
                stream={"name": "thirds", **TARGET, "table": "thirds", "columns": None, "contract": {}},
                trigger={"scheduler": "MANUAL", "job": "third", "log": None, "type": "MANUAL"},
                depends_on=[{"plan": child["plan_id"], "resolved": False}],
            )
        )
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
        assert status(database, plan) == "FAILED"
    assert clean(ledger)

    assert set(ledger.retry({"plan": parent["plan_id"]}, BY)) >= {bad.task_id}
    for plan in (parent, child, grandchild):
        assert status(database, plan) == "ACTIVE"
    assert clean(ledger)
    for plan in (parent, child, grandchild):
        finish_all(ledger, plan)
        assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    assert clean(ledger)


def test_any_end_will_do(ledger: _core.Ledger) -> None:
    parent = ledger.plan(request(0, 10))
    child = ledger.plan(other_request(0, 10, depends_on=[{"plan": parent["plan_id"], "resolved": True}]))
    (run,) = claim(ledger, parent)
    assert claim(ledger, child) == []
    fail(ledger, run)
    assert ledger.close_plan(parent["plan_id"]) == "FAILED"
    assert len(claim(ledger, child)) == 1
    assert clean(ledger)


def test_a_task_waits_for_a_task(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 20))
    runs = claim(ledger, parent)
    child = ledger.plan(other_request(0, 10, depends_on=[{"task": runs[0].task_id, "resolved": False}]))
    finish(ledger, runs[1])
    assert claim(ledger, child) == []
    finish(ledger, runs[0])
    assert len(claim(ledger, child)) == 1


def test_a_plan_waits_until_a_stream_is_covered(ledger: _core.Ledger, database: Database) -> None:
    parent = ledger.plan(request(0, 30))
    of = [{"cursor": parent["cursor_id"], "resolved": False}]
    child = ledger.plan(other_request(0, 20, depends_on=of))
    again = ledger.plan(other_request(20, 25, step=1, depends_on=of))
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
    late = ledger.plan(other_request(25, 30, depends_on=of))
    assert len(claim(ledger, late)) == 1
    assert clean(ledger)


def test_cycles_are_refused(ledger: _core.Ledger) -> None:
    one = ledger.plan(request(0, 10))
    two = ledger.plan(other_request(0, 10, depends_on=[{"cursor": one["cursor_id"], "resolved": False}]))
    with pytest.raises(ConfigError, match="would wait for itself"):
        ledger.plan(request(10, 20, depends_on=[{"cursor": one["cursor_id"], "resolved": False}]))
    ledger.plan(other_request(10, 20, depends_on=[{"cursor": one["cursor_id"], "resolved": False}]))
    with pytest.raises(ConfigError, match="neither could ever begin"):
        ledger.plan(request(10, 20, depends_on=[{"cursor": two["cursor_id"], "resolved": False}]))
    # Behind one another is no circle: the second half of one waits for the first half of the other.
    ledger.plan(request(20, 30))
    for unknown in ({"plan": 999}, {"task": 999}, {"cursor": 999}):
        with pytest.raises(ConfigError, match="depends_on"):
            ledger.plan(other_request(40, 50, depends_on=[{**unknown, "resolved": False}]))


def test_a_cut_that_is_planned_again_waits_for_what_its_new_plan_says(ledger: _core.Ledger, database: Database) -> None:
    first = ledger.plan(request(0, 10))
    child = ledger.plan(other_request(0, 10, depends_on=[{"plan": first["plan_id"], "resolved": False}]))
    ledger.cancel({"plan": child["plan_id"]}, BY)
    second = ledger.plan(request(10, 20))
    again = ledger.plan(other_request(0, 10, depends_on=[{"plan": second["plan_id"], "resolved": False}]))
    finish_all(ledger, first)
    ledger.close_plan(first["plan_id"])
    assert claim(ledger, again) == []
    finish_all(ledger, second)
    ledger.close_plan(second["plan_id"])
    assert len(claim(ledger, again)) == 1
    assert clean(ledger)


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
    assert clean(ledger)


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
    assert clean(ledger)


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
    ledger.plan(other_request(0, 10, depends_on=[{"task": one.task_id, "resolved": False}]))
    with pytest.raises(Conflict, match="is needed by another task"):
        ledger.split(one.task_id, BY_TWO, BY)


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
    assert status(database, plan) == "ACTIVE"
    (go_on,) = claim(ledger, plan)
    assert (go_on.checkpoint, go_on.batch_no) == ("2", 2)
    finish(ledger, go_on)
    ledger.fold(plan["cursor_id"])
    assert ledger.close_plan(plan["plan_id"]) == "SUCCEEDED"
    row = database.rows("select * from strandline.ing_task_run_batch where status_code = 'SKIPPED'")[0]
    assert (row["batch_no"], row["rejected_count"], row["record_count"]) == (2, 7, 0)
    assert clean(ledger)


def test_skip_the_last_page(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    fail(ledger, run, page={"before": None, "after": None, "done": True, "size": 1})
    ledger.close_plan(plan["plan_id"])
    assert ledger.skip(run.task_id, BY) == {"batch_no": 1, "status": "SUCCEEDED"}
    assert status(database, plan) == "SUCCEEDED"
    assert database.mark(plan["cursor_id"]) == 10
    assert clean(ledger)


# Ends -----------------------------------------------------------------------------------------------------------------


def test_every_end_has_a_reason_an_actor_and_a_cause(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 50))
    done, failed, given, cancelled, lost = claim(ledger, plan)
    finish(ledger, done)
    fail(ledger, failed)
    ledger.give_back(given, "BUDGET")
    ledger.cancel({"task": cancelled.task_id}, "ann", "not today")
    ledger.end_cancelled(cancelled)
    database.wait_until_lease_over(lost)
    ledger.reap(lease=LEASE)
    rows = {run.task_id: database.run(run) for run in (done, failed, given, cancelled, lost)}
    told = [
        (rows[run.task_id]["end_reason_code"], rows[run.task_id]["ended_by"])
        for run in (done, failed, given, cancelled, lost)
    ]
    assert told == [("DONE", BY), ("FATAL", BY), ("BUDGET", BY), ("CANCELLED", "ann"), ("LEASE_LOST", "reaper")]
    for run in (failed, given, cancelled, lost):
        (cause,) = rows[run.task_id]["errors"]
        assert cause["origin"] in ("source", "engine", "destination", "operator")
        assert cause["kind"]
        assert cause["message"]
    assert "not today" in rows[cancelled.task_id]["errors"][0]["message"]
    assert clean(ledger)


def test_the_dictionary_of_reasons_is_that_of_the_state_machines(database: Database) -> None:
    known = {reason.code: reason.description for reason in machines.load(generate.ROOT / "states.json").reasons}
    rows = database.rows("select item_code, description from strandline.ing_dict_item where type_code = 'reason'")
    assert {row["item_code"]: row["description"] for row in rows} == known


# Rereading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["queued", "running", "not folded", "folded", "cancelled with pages"])
def test_append_never_reads_again_what_is_stored_or_will_be(state: str, ledger: _core.Ledger) -> None:
    plan = ledger.plan(request(0, 20))
    if state != "queued":
        run, *_ = claim(ledger, plan)
        if state.endswith("folded"):
            finish(ledger, run)
        if state == "folded":
            ledger.fold(plan["cursor_id"])
        if state == "cancelled with pages":
            ledger.commit(run, TARGET, [page([0], after=1)], done=False, lease=LEASE)
            ledger.cancel({"plan": plan["plan_id"]}, BY)
            ledger.end_cancelled(run)
    with pytest.raises(ConfigError, match="mode append would store twice"):
        ledger.plan(request(0, 20, only="all"))


def test_all_of_what_was_never_begun_is_the_first_reading(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 20, only="all"))
    assert (plan["generation"], plan["slices"]) == (1, 2)
    assert ledger.plan(request(0, 20))["slices"] == 0
    finish_all(ledger, plan)
    assert database.ids() == list(range(20))


def test_the_same_trigger_with_another_dependency_is_a_conflict(ledger: _core.Ledger) -> None:
    parent = ledger.plan(request(0, 10))
    trigger = {"scheduler": "MANUAL", "job": "gauge", "log": "today", "type": "MANUAL"}
    on = [{"plan": parent["plan_id"], "resolved": False}]
    first = ledger.plan({**other_request(0, 10, depends_on=on), "trigger": trigger})
    again = ledger.plan({**other_request(0, 10, depends_on=on), "trigger": trigger})
    assert (again["plan_id"], again["repeated"]) == (first["plan_id"], True)
    with pytest.raises(Conflict, match="asked for something else"):
        ledger.plan({**other_request(0, 10, depends_on=[]), "trigger": trigger})


def test_a_page_that_does_not_say_how_far_it_reaches_takes_the_knowledge_away(ledger: _core.Ledger) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    ledger.commit(run, TARGET, [{**page([0], after=1), "upto": 1}], done=False, lease=LONG)
    ledger.commit(run, TARGET, [page([1, 2], after=3)], done=False, lease=LONG)
    with pytest.raises(Conflict, match="does not say how far they reach"):
        ledger.split(run.task_id, BY_TWO, BY)
    ledger.commit(run, TARGET, [{**page([3], after=4), "upto": 4}], done=False, lease=LONG)
    assert ledger.split(run.task_id, BY_TWO, BY)["covered"] == (0, 4)
