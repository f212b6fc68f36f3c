"""How runs end in the native ledger: many at once, each with reason and cause, and what is read again then."""

from __future__ import annotations

from typing import Any

import generate
import pytest
import states as machines
from fix_dependency import fail
from fix_ledger import LEASE, TARGET, Database, claim, finish, finish_all, page, request

from strandline import _core
from strandline.errors import ConfigError

BY = "suite"


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
    assert ledger.verify() == []


def test_one_that_is_lost_does_not_take_the_others_down(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 40))
    runs = claim(ledger, plan)
    ledger.cancel({"task": runs[1].task_id}, BY)
    ledger.give_back(runs[2], "BUDGET")
    pages = [page([run.lo]) for run in runs]
    assert ledger.finish(runs, TARGET, pages, lease=LEASE) == ["SUCCEEDED", "CANCELLED", "LOST", "SUCCEEDED"]
    assert database.ids() == [0, 30]
    assert ledger.verify() == []


def test_a_wish_that_only_the_task_knows_of_is_seen(ledger: _core.Ledger, database: Database) -> None:
    """A cancel passes by a run that is being renewed at that moment."""
    runs = claim(ledger, ledger.plan(request(0, 20)))
    database.rows(
        "update strandline.ing_task set cancel_requested_at = clock_timestamp() where id = $1::bigint", runs[0].task_id
    )
    assert ledger.finish(runs, TARGET, [page([run.lo]) for run in runs], lease=LEASE) == ["CANCELLED", "SUCCEEDED"]
    assert database.ids() == [10]


def test_one_that_the_target_refuses_does_not_take_the_others_down(ledger: _core.Ledger, database: Database) -> None:
    database.rows("alter table public.readings add check (id <> 10)")
    plan = ledger.plan(request(0, 30))
    runs = claim(ledger, plan)
    answers = ledger.finish(runs, TARGET, [page([run.lo]) for run in runs], lease=LEASE)
    assert [answer.partition(":")[0] for answer in answers] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert database.ids() == [0, 20]
    assert database.run(runs[1])["status_code"] == "PLANNED"


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
    assert ledger.verify() == []


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
