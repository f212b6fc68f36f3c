"""P2, fenced: a run that lost its lease, was cancelled or superseded can commit nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from fix_ledger import LEASE, TARGET, Database, claim, finish, page, request
from providers import Numbers

import strandline as sl
from strandline import _core

CAUSE = {"origin": "provider", "kind": "transient", "message": "no", "where": None}

ENDS: dict[str, Callable[[_core.Ledger, _core.Run], object]] = {
    "given back": lambda ledger, run: ledger.give_back(run, "BUDGET"),
    "failed": lambda ledger, run: ledger.fail(run, CAUSE, reason="PROVIDER_ERROR", retryable=True, backoff=[]),
    "given up": lambda ledger, run: ledger.fail(run, CAUSE, reason="PROVIDER_ERROR", retryable=False, backoff=[]),
    "walking anew": lambda ledger, run: ledger.restart_walk(run, TARGET, "CURSOR_EXPIRED"),
    "finished": finish,
}


def lose(ledger: _core.Ledger, database: Database, task_id: int) -> None:
    """Ends the lease of a task's run as if its time were over, however often its process renews it meanwhile."""
    while True:
        database.rows(
            "update strandline.ing_task_run set leased_until = clock_timestamp() - interval '1 minute'"
            " where task_id = $1::bigint and status_code in ('PLANNED', 'RUNNING')",
            task_id,
        )
        if ledger.reap(lease=LEASE)["lost"]:
            return


@pytest.mark.parametrize("done", [False, True], ids=["page", "last"])
@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_has_ended_commits_nothing(end: str, done: bool, ledger: _core.Ledger, database: Database) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    ENDS[end](ledger, run)
    before = database.ids()
    with pytest.raises(sl.LeaseLost):
        ledger.commit(run, TARGET, [page([99], after=99)], done=done, lease=LEASE)
    assert database.ids() == before
    assert database.value("select count(*) from strandline.ing_task_run_batch") == (1 if end == "finished" else 0)


@pytest.mark.parametrize("done", [False, True], ids=["page", "last"])
def test_a_reaped_run_commits_nothing_and_its_successor_everything(
    done: bool, ledger: _core.Ledger, database: Database
) -> None:
    plan = ledger.plan(request(0, 10))
    (old,) = claim(ledger, plan)
    ledger.commit(old, TARGET, [page(range(5), after=5)], done=False, lease=LEASE)
    lose(ledger, database, old.task_id)
    database.rows("update strandline.ing_task set scheduled_at = clock_timestamp()")
    with pytest.raises(sl.LeaseLost):
        ledger.commit(old, TARGET, [page(range(5, 10), after=10)], done=done, lease=LEASE)
    (new,) = claim(ledger, plan)
    assert (new.attempt_no, new.batch_no, new.checkpoint) == (2, 1, "5")
    with pytest.raises(sl.LeaseLost):  # now there is a live run of the task, and it is not this one
        ledger.commit(old, TARGET, [page(range(5, 10), after=10)], done=done, lease=LEASE)
    ledger.commit(new, TARGET, [page(range(5, 10))], done=True, lease=LEASE)
    with pytest.raises(sl.LeaseLost):  # now its batch number is taken
        ledger.commit(old, TARGET, [page(range(5, 10), after=10)], done=done, lease=LEASE)
    assert database.ids() == list(range(10))


def test_the_verbs_of_a_lost_run_are_fenced_too(ledger: _core.Ledger, database: Database) -> None:
    plan = ledger.plan(request(0, 10))
    (run,) = claim(ledger, plan)
    lose(ledger, database, run.task_id)
    before = database.task(run.task_id)
    verbs = [ENDS[name] for name in ("given back", "failed", "given up", "walking anew")]
    for verb in [*verbs, lambda ledger, run: ledger.end_cancelled(run)]:
        with pytest.raises(sl.LeaseLost):
            verb(ledger, run)
    assert database.task(run.task_id) == before


def test_a_cancelled_run_commits_nothing(ledger: _core.Ledger, database: Database) -> None:
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    ledger.commit(run, TARGET, [page(range(5), after=5)], done=False, lease=LEASE)
    ledger.cancel({"task": run.task_id}, "suite")
    with pytest.raises(sl.Cancelled):
        ledger.commit(run, TARGET, [page(range(5, 10))], done=True, lease=LEASE)
    with pytest.raises(sl.LeaseLost):
        ledger.commit(run, TARGET, [page(range(5, 10))], done=True, lease=LEASE)
    assert database.ids() == [0, 1, 2, 3, 4]
    assert database.task(run.task_id)["status_code"] == "CANCELLED"


class Disturbed(Numbers):
    """Calls `event` once, while the page that begins at 10 is being fetched."""

    name = "disturbed"
    event: ClassVar[list[Callable[[sl.Context], object]]] = []
    asked: ClassVar[list[tuple[int, int]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        self.asked.append((context.attempt, first))
        if first == 10 and self.event:
            self.event.pop()(context)


@pytest.fixture
def disturbed() -> type[Disturbed]:
    Disturbed.event.clear()
    Disturbed.asked.clear()
    return Disturbed


def runs(database: Database) -> list[dict[str, Any]]:
    return database.rows(
        "select attempt_no, status_code, record_count::int as records from strandline.ing_task_run order by attempt_no"
    )


def await_two_pages(database: Database) -> None:
    """Pages are fetched one ahead: the one before may still be on its way."""
    database.wait_until("(select count(*) from public.disturbed) = 10")


def test_a_worker_that_slept_too_long(
    engine: sl.Engine, ledger: _core.Ledger, database: Database, disturbed: type[Disturbed]
) -> None:
    """Its lease passes while it fetches; what it brings is dropped, and the page is fetched again by its successor."""

    def sleeps(context: sl.Context) -> None:
        assert context.task_id is not None
        await_two_pages(database)
        lose(ledger, database, context.task_id)
        # Lost runs wait before the next attempt; a test does not.
        database.rows("update strandline.ing_task set scheduled_at = clock_timestamp() where status_code = 'QUEUED'")

    disturbed.event.append(sleeps)
    report = engine.ingest(disturbed, window=(0, 20))
    assert (report.status, report.rows) == ("SUCCEEDED", 20)
    assert [row["id"] for row in database.rows("select id from public.disturbed order by id")] == list(range(20))
    assert runs(database) == [
        {"attempt_no": 1, "status_code": "LOST", "records": 10},
        {"attempt_no": 2, "status_code": "SUCCEEDED", "records": 10},
    ]
    assert disturbed.asked.count((1, 10)) == disturbed.asked.count((2, 10)) == 1
    assert engine.verify()


def test_a_plan_cancelled_while_a_page_is_fetched(
    engine: sl.Engine, open_engine: Callable[..., sl.Engine], database: Database, disturbed: type[Disturbed]
) -> None:
    other = open_engine()

    def cancels(context: sl.Context) -> None:
        await_two_pages(database)
        other.cancel(context.plan_id)

    disturbed.event.append(cancels)
    report = engine.ingest(disturbed, window=(0, 40), errors="report")
    assert (report.status, report.rows, report.pending) == ("CANCELLED", 10, 0)
    assert [row["id"] for row in database.rows("select id from public.disturbed order by id")] == list(range(10))
    again = engine.ingest(disturbed, window=(0, 40))
    assert again.status == "SUCCEEDED"
    assert [row["id"] for row in database.rows("select id from public.disturbed order by id")] == list(range(40))
    assert engine.verify()
