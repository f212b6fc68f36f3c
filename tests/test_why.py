"""`status --why`: the true blockers of a task, in words and as data, and how its last run ended."""

from __future__ import annotations

from typing import Any

import pytest
from fix_ledger import Database, claim, finish, request

import strandline as sl
from strandline import _core
from strandline.cli import main
from strandline.render import cells_wide
from strandline.why import Blocker

HOUR = 3_600_000_000
CAUSE = {"origin": "source", "kind": "fatal", "message": "the export is gone", "where": "shop.py:7 in next"}


def only(engine: sl.Engine, plan: dict[str, Any]) -> int:
    """The one task of a plan."""
    (task,) = engine.status(plan["plan_id"]).tasks
    return task.task


def why(engine: sl.Engine, task: int) -> tuple[Blocker, ...]:
    found = engine.status(f"task:{task}").tasks[0]
    assert found.why == "; ".join(each.message for each in found.blockers)
    return found.blockers


def the(engine: sl.Engine, task: int, kind: str) -> Blocker:
    """The only blocker, which is of this kind."""
    (found,) = why(engine, task)
    assert found.kind == kind, found
    return found


def fail(ledger: _core.Ledger, run: _core.Run, *, retryable: bool = False, backoff: int = 0, **more: Any) -> None:
    ledger.fail(run, {**CAUSE, **more}, reason="FATAL", retryable=retryable, backoff=[backoff])


@pytest.fixture
def worker(ledger: _core.Ledger) -> str:
    """A worker that serves the pool default."""
    ledger.register_worker("meadow:7:1", "meadow", 7, "1", ["default"])
    return "meadow:7:1"


# What keeps it --------------------------------------------------------------------------------------------------------


def test_nobody_works(ledger: _core.Ledger, engine: sl.Engine) -> None:
    task = only(engine, ledger.plan(request(0, 10, pool="night")))
    assert "no worker serves pool 'night'" in the(engine, task, "worker").message


def test_its_turn(ledger: _core.Ledger, engine: sl.Engine, worker: str) -> None:
    plan = ledger.plan(request(0, 30))
    assert "2 tasks are before it" in the(engine, engine.status(plan["plan_id"]).tasks[-1].task, "turn").message
    assert "before it" not in the(engine, engine.status(plan["plan_id"]).tasks[0].task, "turn").message


def test_workers_under_quarantine(ledger: _core.Ledger, engine: sl.Engine, worker: str) -> None:
    engine.quarantine("meadow")
    assert worker in the(engine, only(engine, ledger.plan(request(0, 10))), "worker").message


def test_its_time(ledger: _core.Ledger, engine: sl.Engine) -> None:
    assert "due in 3" in the(engine, only(engine, ledger.plan(request(0, 10, delay=HOUR))), "due").message


def test_a_back_off_says_after_which_error(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 10))
    fail(ledger, claim(ledger, plan)[0], retryable=True, backoff=HOUR)
    assert "fatal: the export is gone" in the(engine, only(engine, plan), "backing_off").message


def test_a_rate_limit(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 10))
    cause = {"origin": "source", "kind": "rate_limited", "message": "429, slow down", "where": None}
    ledger.give_back(claim(ledger, plan)[0], "RATE_LIMITED", HOUR, cause=cause)
    found = the(engine, only(engine, plan), "rate_limited").message
    assert found.startswith("RATE_LIMITED: due in")
    assert found.endswith("after rate_limited: 429, slow down")


def test_a_pause_says_who_and_why(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    engine.pause(plan["plan_id"], reason="the shop moves house")
    found = the(engine, only(engine, plan), "paused")
    actor = database.value("select actor from strandline.ing_audit_event where verb = 'pause'")
    assert f"with plan {plan['plan_id']} by {actor}" in found.message
    assert "the shop moves house" in found.message


def test_a_mutex_says_who_has_it(ledger: _core.Ledger, engine: sl.Engine) -> None:
    first = ledger.plan(request(0, 10, mutex_key="warehouse"))
    second = only(engine, ledger.plan(request(100, 110, mutex_key="warehouse")))
    holder = only(engine, first)
    found = the(engine, second, "mutex")
    assert (found.task, found.plan) == (holder, first["plan_id"])
    assert "about to be claimed" in found.message
    claim(ledger, first)
    assert f"task {holder} of plan {first['plan_id']} (suite)" in the(engine, second, "mutex").message


def test_a_full_pool_says_who_runs(ledger: _core.Ledger, engine: sl.Engine, worker: str) -> None:
    engine.pool("default", 1)
    plan = ledger.plan(request(0, 20))
    (run,) = ledger.claim(worker, 2, HOUR, pool="default")
    waiting = next(task.task for task in engine.status(plan["plan_id"]).tasks if task.task != run.task_id)
    found = the(engine, waiting, "pool")
    assert found.task == run.task_id
    assert f"task {run.task_id} of plan {plan['plan_id']} ({worker})" in found.message
    engine.pool("default", 0)
    assert "limit" in the(engine, waiting, "pool").message


def test_everything_at_once(ledger: _core.Ledger, engine: sl.Engine) -> None:
    parent = ledger.plan(request(0, 10))
    needs = [{"plan": parent["plan_id"], "resolved": False}]
    task = only(engine, ledger.plan(request(100, 110, delay=HOUR, depends_on=needs)))
    engine.pause(f"task:{task}")
    assert [each.kind for each in why(engine, task)] == ["paused", "dependency", "due"]


# Dependencies ---------------------------------------------------------------------------------------------------------


def chain(ledger: _core.Ledger, engine: sl.Engine) -> tuple[dict[str, Any], int, int]:
    """A plan of two tasks, a task that needs the plan, and one that needs that task."""
    parent = ledger.plan(request(0, 20))
    child = only(engine, ledger.plan(request(100, 110, depends_on=[{"plan": parent["plan_id"], "resolved": False}])))
    last = only(engine, ledger.plan(request(200, 210, depends_on=[{"task": child, "resolved": False}])))
    return parent, child, last


def test_a_dependency_leads_to_its_root(ledger: _core.Ledger, engine: sl.Engine) -> None:
    parent, child, last = chain(ledger, engine)
    runs = claim(ledger, parent)
    fail(ledger, runs[0], retryable=True, backoff=HOUR)
    found = the(engine, last, "dependency")
    assert found.task == child
    (on_plan,) = found.because
    assert (on_plan.kind, on_plan.plan) == ("dependency", parent["plan_id"])
    assert "0 of 2 slices are in, 1 running, 1 queued" in on_plan.message
    assert {root.kind for root in found.roots()} == {"running", "backing_off"}
    assert {root.task for root in found.roots()} == {run.task_id for run in runs}


def test_a_fallen_task_names_the_one_that_failed(ledger: _core.Ledger, engine: sl.Engine) -> None:
    parent, child, last = chain(ledger, engine)
    first, second = claim(ledger, parent)
    finish(ledger, second)
    fail(ledger, first)
    ledger.close_plan(parent["plan_id"])
    for fallen in (child, last):
        (root,) = the(engine, fallen, "failed").roots()
        assert (root.kind, root.task) == ("failed", first.task_id)
        assert "the export is gone" in root.message


def test_a_stream_says_how_far_it_is_and_what_holds_it(ledger: _core.Ledger, engine: sl.Engine) -> None:
    stream = ledger.plan(request(0, 20))
    needs = [{"cursor": stream["cursor_id"], "resolved": False}]
    other = {**request(0, 50)["stream"], "table": "copies"}
    task = only(engine, ledger.plan(request(0, 50, step=50, stream=other, depends_on=needs)))
    for run in claim(ledger, stream):
        assert "to be covered up to 50; it is up to 0" in the(engine, task, "dependency").message
        finish(ledger, run)
    ledger.fold(stream["cursor_id"])
    found = the(engine, task, "dependency")
    assert (
        "needs meter>public.readings to be covered up to 50; it is up to 20, and nothing is planned there"
        in found.message
    )
    assert found.because == ()


def test_a_gate_is_in_no_list(ledger: _core.Ledger, engine: sl.Engine) -> None:
    chain(ledger, engine)
    assert all(task.task > 0 for task in engine.status(state="QUEUED").tasks)
    assert [plan.plan for plan in engine.status().plans] == [3, 2, 1]


# How it ended ---------------------------------------------------------------------------------------------------------


def test_a_success(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 10))
    task = only(engine, plan)
    finish(ledger, claim(ledger, plan)[0])
    found = engine.status(f"task:{task}").tasks[0]
    assert found.blockers == ()
    assert found.ended is not None
    assert (found.ended.status, found.ended.reason, found.ended.by) == ("SUCCEEDED", "DONE", "suite")
    (cause,) = found.ended.causes
    assert (cause.origin, cause.kind) == ("engine", "done")
    assert cause.message == "It committed the last page of its task."


def test_a_failure(ledger: _core.Ledger, engine: sl.Engine) -> None:
    plan = ledger.plan(request(0, 10))
    fail(ledger, claim(ledger, plan)[0])
    found = engine.status(plan["plan_id"]).tasks[0].ended
    assert found is not None
    assert (found.attempt, found.status, found.reason, found.by) == (1, "FAILED", "FATAL", "suite")
    assert [(each.origin, each.kind, each.message, each.where) for each in found.causes] == [tuple(CAUSE.values())]


@pytest.mark.parametrize("verb", ["cancel", "pause", "split"])
def test_what_a_person_ended(verb: str, ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=HOUR)
    if verb == "split":
        engine.split(run.task_id, 5, reason="too large")
    else:
        getattr(engine, verb)(f"task:{run.task_id}", reason="too large")
        if verb == "cancel":
            ledger.end_cancelled(run)
        else:
            ledger.give_back(run, "PAUSED")
    actor = database.value("select actor from strandline.ing_audit_event where verb = $1", verb)
    found = engine.status(f"task:{run.task_id}").tasks[0]
    assert found.ended is not None
    assert found.ended.by == actor
    (cause,) = found.ended.causes
    assert (cause.origin, cause.kind) == ("operator", verb)
    assert "too large" in cause.message
    assert actor in found.why
    assert "too large" in found.why


def test_a_lost_lease(ledger: _core.Ledger, engine: sl.Engine, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan, lease=1)
    database.wait_until_lease_over(run)
    ledger.reap()
    found = engine.status(plan["plan_id"]).tasks[0].ended
    assert found is not None
    assert (found.status, found.reason, found.by) == ("LOST", "LEASE_LOST", "reaper")
    assert found.causes[0].origin == "engine"


def test_the_answer_is_plain_data(ledger: _core.Ledger, engine: sl.Engine) -> None:
    _, _, last = chain(ledger, engine)
    (document,) = engine.status(f"task:{last}").to_dict()["tasks"]
    (need,) = document["blockers"]
    assert need["because"][0]["because"][0]["kind"] == "worker"
    assert document["ended"] is None


def test_the_list_shows_every_word_of_it_in_80_columns(
    ledger: _core.Ledger, dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", dsn)
    first = ledger.plan(request(0, 10))
    message = "東京の倉庫 is closed for the stocktaking: " + " ".join(f"shelf-{each}" for each in range(20))
    ledger.fail(claim(ledger, first)[0], {**CAUSE, "message": message}, reason="FATAL", retryable=False, backoff=[0])
    long = "warehouse-" * 8
    ledger.plan(request(100, 110, mutex_key=long))
    for plan, words in ((first, message), (ledger.plan(request(200, 210, mutex_key=long)), long)):
        assert main(["status", str(plan["plan_id"])]) == 0
        shown = capsys.readouterr().out
        assert all(cells_wide(line) <= 80 for line in shown.splitlines())
        assert "".join(words.split()) in "".join(shown.split())
