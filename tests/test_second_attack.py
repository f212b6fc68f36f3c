"""What the second attack on the queue found: each was lost, stuck or silent before."""

from __future__ import annotations

import time

import pytest
from fix_dependency import asked, fail, on, plan_status
from fix_ledger import LEASE, Database, claim, finish, finish_all, request

from strandline import _core
from strandline.errors import ConfigError
from strandline.redaction import redact


@pytest.mark.parametrize("all_of_it", [False, True], ids=["a part", "all of it"])
def test_who_waits_goes_on_when_a_later_plan_has_loaded_what_failed(
    all_of_it: bool, ledger: _core.Ledger, database: Database
) -> None:
    """The parent's window is ingested again, as a scheduler does it, and not retried."""
    parent = ledger.plan(request(0, 20))
    child = ledger.plan(asked("gauge", 0, 10, on(plan=parent["plan_id"])))
    one, two = claim(ledger, parent)
    fail(ledger, one)
    if all_of_it:
        fail(ledger, two)
    else:
        finish(ledger, two)
    ledger.close_plan(parent["plan_id"])
    assert plan_status(database, child) == "FAILED"
    again = ledger.plan(request(0, 20))
    finish_all(ledger, again)
    assert ledger.close_plan(again["plan_id"]) == "SUCCEEDED"
    assert plan_status(database, parent) == "SUCCEEDED"
    assert plan_status(database, child) == "ACTIVE"
    assert len(claim(ledger, child)) == 1
    assert ledger.verify() == []


def test_a_retry_drops_a_deadline_that_has_passed(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10, deadline=ledger.now() - 1))
    ledger.reap(lease=LEASE)
    assert plan_status(database, plan) == "FAILED"
    ledger.retry({"plan": plan["plan_id"]}, "suite")
    ledger.reap(lease=LEASE)
    assert len(claim(ledger, plan)) == 1


def test_a_stop_is_for_the_workers_that_are_there(ledger: _core.Ledger) -> None:
    ledger.register_worker("vm:7:1", "vm", 7, "1", ["default"])
    assert ledger.set_worker("vm", "DRAINING", "suite")
    assert not ledger.set_worker("vm", "DRAINING", "suite")
    assert ledger.heartbeat("vm:7:1") == "DRAINING"
    ledger.register_worker("vm:8:1", "vm", 8, "1", ["default"])
    assert ledger.heartbeat("vm:8:1") == "ACTIVE"


def test_a_split_leaves_no_part_to_nobody(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10_001, step=10_001))
    (run,) = claim(ledger, plan)
    with pytest.raises(ConfigError, match="more than 10000 parts"):
        ledger.split(run.task_id, '{"strategy": "ID", "step": 1}', "suite")
    assert database.task(run.task_id)["status_code"] == "RUNNING"


def test_a_name_with_a_nul_is_not_another_name(ledger: _core.Ledger, database: Database) -> None:
    with pytest.raises(ConfigError, match="NUL"):
        ledger.set_pool("default\0x", 0, "suite")
    assert database.value("select slots from strandline.ing_pool where pool = 'default'") is None


def test_a_faster_rate_holds_at_once(ledger: _core.Ledger) -> None:
    ledger.rate_declare("slow", 1 / 3600, 1.0)
    ledger.rate_take("slow", 1, 0.0)
    ledger.rate_declare("slow", 100.0, 1.0)
    wait = ledger.rate_take("slow", 1, 1.0)
    assert wait is not None
    assert wait <= 0.02


def test_a_long_word_is_redacted_in_no_time() -> None:
    began = time.process_time()
    redact("ab12" * 100_000)
    assert time.process_time() - began < 2
