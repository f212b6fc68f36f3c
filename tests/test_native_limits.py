"""The native verbs of what bounds the queue: pools, mutexes, workers in quarantine, rates."""

from __future__ import annotations

import pytest
from fix_dependency import asked
from fix_ledger import LEASE, TARGET, Database, OpenLedger, claim, finish, page, request

from strandline import _core
from strandline.errors import ConfigError

BY = "suite"
LONG = 60_000_000


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
    assert ledger.verify() == []


def test_a_limit_below_what_runs_lets_it_end(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 100))
    runs = claim(ledger, plan, 5, lease=LONG)
    ledger.set_pool("default", 2, BY)
    assert claim(ledger, plan, lease=LONG) == []
    assert ledger.verify() == []
    for run in runs[:3]:
        finish(ledger, run)
    assert claim(ledger, plan, lease=LONG) == []
    finish(ledger, runs[3])
    ledger.reap(lease=LONG)
    assert len(claim(ledger, plan, lease=LONG)) == 1
    ledger.set_pool("default", None, BY)
    assert len(claim(ledger, plan, lease=LONG)) == 4
    assert ledger.verify() == []


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
    assert ledger.verify() == []


def test_a_yield_hands_the_mutex_on(ledger: _core.Ledger) -> None:
    plan = ledger.plan(request(0, 20, mutex_key="api"))
    (first,) = claim(ledger, plan)
    assert ledger.give_back(first, "BUDGET", 0) == "QUEUED"
    (second,) = claim(ledger, plan)
    assert second.task_id != first.task_id
    assert ledger.verify() == []


def test_a_mutex_passes_by_a_pool_that_nobody_works(ledger: _core.Ledger, database: Database) -> None:
    """What nobody claims gives its place to who waits, and gets it again later, whatever its priority."""
    idle = ledger.plan(request(0, 10, mutex_key="api", pool="nobody", priority=1))
    busy = ledger.plan(asked("gauge", 0, 10, mutex_key="api"))
    assert ledger.claim(BY, 9, LONG, pool="default") == []
    database.wait_until(
        "(select bool_and(scheduled_at < clock_timestamp() - interval '500 ms') from strandline.ing_task)"
    )
    ledger.reap(lease=LEASE)
    (run,) = ledger.claim(BY, 9, LONG, pool="default")
    assert run.plan_id == busy["plan_id"]
    assert ledger.verify() == []
    finish(ledger, run)
    database.wait_until("(select bool_and(scheduled_at <= clock_timestamp()) from strandline.ing_task)")
    ledger.reap(lease=LONG)
    (run,) = ledger.claim(BY, 9, LONG, pool="nobody")
    assert run.plan_id == idle["plan_id"]
    assert ledger.verify() == []


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
