"""All verbs against each other, as fast as they go, on eight connections: nobody ever waits in a circle.

A deadlock is repaired where it happens (the transaction runs again), so that only PostgreSQL's own counter shows it.
Afterwards the queue must come to rest by itself: every task ends, and the ledger proves what is there.

A few seconds of it belong to every run; STRANDLINE_DEADLOCK_SECONDS=60 makes it the minute that `make chaos` asks for.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from fix_ledger import COLUMNS, Background, Database, Held, OpenLedger, page, request

from strandline import _core
from strandline.errors import Cancelled, Conflict, LeaseLost

SECONDS = float(os.environ.get("STRANDLINE_DEADLOCK_SECONDS", "4"))
CONNECTIONS = 8
PATIENCE = 60.0

LEASE = 50_000  # microseconds: runs are lost all the time
IDS = 400
TARGET: dict[str, Any] = {
    "schema": "public",
    "table": "readings",
    "mode": "merge",
    "primary_key": ["id"],
    "cursor_field": None,
}
SOURCES = ("meter", "valve", "pump")  # streams that write the same rows of one table
POOLS = ("default", "narrow")
CAUSE = {"origin": "source", "kind": "data", "message": "so it was decided", "where": None}


class Member:
    """One connection, and what it needs to act at random."""

    def __init__(self, ledger: _core.Ledger, number: int) -> None:
        self.ledger = ledger
        self.random = random.Random(number)
        self.name = f"suite:1:{number}"
        self.done: Counter[str] = Counter()

    def one(self, statement: str, *values: Any) -> int | None:
        """The id that a question answers, or None."""
        _, _, rows = self.ledger.select(statement, *values)
        return None if not rows else rows[0][0]

    def task(self, *states: str) -> int | None:
        """A task, most often one of the newest in the state."""
        return self.one(
            "select id from (select id from strandline.ing_task where status_code = any($1::text[])"
            " and kind_code = 'SLICE' order by id desc limit 40) t order by random() limit 1",
            list(states),
        )

    def plan(self) -> int | None:
        return self.one(
            "select id from (select id from strandline.ing_plan order by id desc limit 12) p order by random() limit 1"
        )

    def cursor(self) -> int | None:
        return self.one("select id from strandline.ing_cursor order by random() limit 1")

    def subject(self, *states: str) -> dict[str, int] | None:
        """A task, a plan or a cursor, as the verbs of control take it."""
        kind = self.random.choice(("task", "task", "plan", "cursor"))
        found = {"task": lambda: self.task(*states), "plan": self.plan, "cursor": self.cursor}[kind]()
        return None if found is None else {kind: found}

    def claim(self, limit: int) -> list[_core.Run]:
        if self.random.random() < 0.5:
            return self.ledger.claim(self.name, limit, LEASE, pool=self.random.choice(POOLS))
        plan = self.plan()
        return [] if plan is None else self.ledger.claim(self.name, limit, LEASE, plans=[plan])


def whole(run: _core.Run) -> dict[str, Any]:
    assert run.lo is not None
    assert run.hi is not None
    return page(range(run.lo, run.hi))


# The verbs ------------------------------------------------------------------------------------------------------------


def plan(member: Member) -> None:
    lo = 10 * member.random.randrange(IDS // 10)
    hi = min(IDS, lo + 10 * member.random.randrange(1, 20))
    changes: dict[str, Any] = stream(member.random.choice(SOURCES)) | {
        "only": member.random.choice(("missing", "all", "failed")),
        "pool": member.random.choice(POOLS),
        "priority": member.random.randrange(1, 10),
        "max_attempts": 3,
        "max_losses": 20,
    }
    if member.random.random() < 0.3:
        changes |= {"mutex_key": member.random.choice("ab"), "mutex_slots": 2}
    if member.random.random() < 0.3:
        changes["depends_on"] = depends_on(member)
    if member.random.random() < 0.1:
        changes["deadline"] = member.ledger.now() + 200_000
    member.ledger.plan(request(lo, hi, step=member.random.choice((10, 20, 50)), **changes))


def stream(code: str) -> dict[str, Any]:
    """What a request says about one of the sources."""
    return {
        "provenance": {"code": code, "reference": "tests:Meter", "version": "1", "config": {}, "labels": {}},
        "stream": {"name": "readings", **TARGET, "columns": None, "contract": {}},
    }


def depends_on(member: Member) -> list[dict[str, Any]]:
    found = member.subject("QUEUED", "RUNNING", "FAILED")
    return [] if found is None else [{**found, "resolved": member.random.random() < 0.5}]


def commit_one_by_one(member: Member) -> None:
    for run in member.claim(3):
        assert run.lo is not None
        assert run.hi is not None
        middle = run.lo + (run.hi - run.lo) // 2
        if run.batch_no % 2 == 0:
            first = page(range(run.lo, middle), after={"next": middle}) | {"upto": middle}
            member.ledger.commit(run, TARGET, [first], done=False, lease=LEASE)
        member.ledger.commit(run, TARGET, [page(range(middle, run.hi))], done=True, lease=LEASE)
        after(member, run)


def finish_many(member: Member) -> None:
    runs = member.claim(8)
    member.ledger.finish(runs, TARGET, [whole(run) for run in runs], lease=LEASE)
    for run in runs[:1]:
        after(member, run)


def after(member: Member, run: _core.Run) -> None:
    """What a worker owes to the others."""
    if run.cursor_id is not None:
        member.ledger.fold(run.cursor_id)
    member.ledger.close_plan(run.plan_id)


def begin_and_die(member: Member) -> None:
    for run in member.claim(2):
        assert run.lo is not None
        first = page([run.lo], after={"next": run.lo + 1}) | {"upto": run.lo + 1}
        member.ledger.commit(run, TARGET, [first], done=False, lease=LEASE)


def give_back(member: Member) -> None:
    for run in member.claim(2):
        member.ledger.give_back(run, "BUDGET", member.random.choice((0, 20_000)))


def fail(member: Member) -> None:
    for run in member.claim(2):
        cause = CAUSE | {"page": {"before": None, "after": '{"next":1}', "done": True, "size": 1}}
        retryable = member.random.random() < 0.5
        member.ledger.fail(run, cause, reason="DATA", retryable=retryable, backoff=[1_000, 10_000, 10_000])


def restart_walk(member: Member) -> None:
    for run in member.claim(1):
        member.ledger.restart_walk(run, TARGET, "CURSOR_EXPIRED")


def cancel(member: Member) -> None:
    if found := member.subject("QUEUED", "RUNNING"):
        member.ledger.cancel(found, "suite", "why not")


def retry(member: Member) -> None:
    if found := member.subject("FAILED", "CANCELLED"):
        member.ledger.retry(found, "suite")


def pause(member: Member) -> None:
    if found := member.subject("QUEUED", "RUNNING"):
        member.ledger.pause(found, "suite")


def resume(member: Member) -> None:
    if (cursor := member.cursor()) is not None:
        member.ledger.resume({"cursor": cursor}, "suite")
    if found := member.subject("QUEUED", "RUNNING"):
        member.ledger.resume(found, "suite")


def trigger(member: Member) -> None:
    if found := member.subject("QUEUED"):
        member.ledger.trigger(found, "suite")


def priority(member: Member) -> None:
    if found := member.subject("QUEUED", "RUNNING"):
        member.ledger.set_priority(found, member.random.randrange(1, 10), "suite")


def split(member: Member) -> None:
    if (task := member.task("QUEUED", "RUNNING")) is not None:
        member.ledger.split(task, '{"strategy":"ID","step":5}', "suite")


def skip(member: Member) -> None:
    if (task := member.task("QUEUED", "FAILED")) is not None:
        member.ledger.skip(task, "suite")


def limit_pool(member: Member) -> None:
    member.ledger.set_pool("narrow", member.random.choice((1, 3, 8, None)), "suite")


def wish(member: Member) -> None:
    name = f"suite:1:{member.random.randrange(CONNECTIONS)}"
    member.ledger.set_worker(name, member.random.choice(("QUARANTINED", "DRAINING", "ACTIVE", "ACTIVE")), "suite")
    member.ledger.heartbeat(member.name)


def take_a_call(member: Member) -> None:
    member.ledger.rate_take("api", 1, 10.0)
    if member.random.random() < 0.2:
        member.ledger.rate_push("api", 0.001)


def reap(member: Member) -> None:
    member.ledger.reap(100, LEASE)


def fold(member: Member) -> None:
    member.ledger.fold_all()


def close(member: Member) -> None:
    if (found := member.plan()) is not None:
        member.ledger.close_plan(found)


Verb = Callable[[Member], None]

VERBS: list[Verb] = [
    *(plan,) * 3,
    *(commit_one_by_one,) * 4,
    *(finish_many,) * 4,
    begin_and_die,
    give_back,
    fail,
    restart_walk,
    cancel,
    *(retry,) * 2,
    pause,
    *(resume,) * 2,
    trigger,
    priority,
    split,
    skip,
    limit_pool,
    wish,
    take_a_call,
    *(reap,) * 2,
    fold,
    close,
]
"""Each as often as it is drawn."""


def refused(error: Exception) -> bool:
    """What a verb may say to somebody who comes too late, or who asks for a circle."""
    return isinstance(error, (Conflict, LeaseLost, Cancelled)) or str(error).startswith("depends_on: ")


# The tests ------------------------------------------------------------------------------------------------------------


def test_all_verbs_against_each_other(
    open_ledger: OpenLedger, database: Database, background: Background, dsn: str
) -> None:
    ledger = prepared(open_ledger, database)
    members = [Member(open_ledger(), number) for number in range(CONNECTIONS)]
    for member in members:
        ledger.register_worker(member.name, "suite", 1, "0", list(POOLS))
    stop = threading.Event()
    futures = [background(act, member, stop) for member in members]
    with counted(dsn) as deadlocks:
        wait(futures, stop)
        for member in members:
            member.ledger.close()  # a backend that ends has told its numbers
        come_to_rest(ledger, database)
        assert deadlocks() == 0
    done: Counter[str] = sum((member.done for member in members), Counter())
    for verb in {each.__name__ for each in VERBS}:
        assert done[verb] > done[verb + " refused"], f"{verb} was never done: {dict(done)}"
    assert ledger.verify() == []


def prepared(open_ledger: OpenLedger, database: Database) -> _core.Ledger:
    ledger = open_ledger()
    ledger.ensure_target(TARGET, COLUMNS)
    ledger.rate_declare("api", 1000.0, 10.0)
    ledger.set_pool("narrow", 3, "suite")
    name = database.value("select current_database()")
    # A circle is looked for at once, not after a second.
    database.rows(f"alter database \"{name}\" set deadlock_timeout = '20ms'")
    return ledger


@contextmanager
def counted(dsn: str) -> Iterator[Callable[[], int]]:
    """The number of deadlocks since then, from a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def deadlocks() -> int:
            connection.execute("select pg_stat_clear_snapshot()")
            (count,) = connection.execute(
                "select deadlocks from pg_stat_database where datname = current_database()"
            ).fetchone() or (0,)
            return int(count)

        before = deadlocks()
        yield lambda: deadlocks() - before


def act(member: Member, stop: threading.Event) -> None:
    while not stop.is_set():
        verb = member.random.choice(VERBS)
        try:
            verb(member)
        except Exception as error:
            if not refused(error):
                stop.set()
                raise AssertionError(f"{verb.__name__} of {member.name}: {error!r}") from error
            member.done[verb.__name__ + " refused"] += 1
        member.done[verb.__name__] += 1


def wait(futures: list[Future[Any]], stop: threading.Event) -> None:
    stop.wait(SECONDS)
    stop.set()
    for future in futures:
        future.result(PATIENCE)


def come_to_rest(ledger: _core.Ledger, database: Database) -> None:
    """What was held goes on, what failed is asked for again, and workers work: until nothing lives."""
    for number in range(CONNECTIONS):
        ledger.set_worker(f"suite:1:{number}", "ACTIVE", "suite")
    for (cursor,) in ledger.select("select id from strandline.ing_cursor")[2]:
        ledger.resume({"cursor": cursor}, "suite")
    for (task,) in ledger.select("select id from strandline.ing_task where held and kind_code = 'SLICE'")[2]:
        ledger.resume({"task": task}, "suite")
    deadline = time.monotonic() + PATIENCE
    live = "select count(*) from strandline.ing_task where status_code in ('QUEUED', 'RUNNING')"
    while database.value(live):
        ledger.reap(100, LEASE)
        for pool in POOLS:
            while runs := ledger.claim("suite:1:0", 50, 10_000_000, pool=pool):
                finish_or_end(ledger, runs)
        ledger.fold_all()
        for code in SOURCES:  # those that wait for a stream wait until somebody loads what of it was given up
            ledger.plan(request(0, IDS, **stream(code)))
        left = database.rows(
            "select t.id, t.status_code, t.reason_code, t.mutex_waiting, t.held, t.unmet, p.id as parent, p.kind_code,"
            " p.status_code as its_status, p.params from strandline.ing_task t"
            " left join strandline.ing_task_dependency e on e.task_id = t.id and not e.satisfied"
            " left join strandline.ing_task p on p.id = e.requires_task_id"
            " where t.status_code in ('QUEUED', 'RUNNING') order by t.id limit 5"
        )
        assert time.monotonic() < deadline, f"stuck: {left}"
    ledger.reap(100, LEASE)
    ledger.fold_all()
    assert not database.value("select count(*) from strandline.ing_plan where status_code = 'ACTIVE'")
    assert not database.value("select count(*) from strandline.ing_pool_slot where task_id is not null")


def finish_or_end(ledger: _core.Ledger, runs: list[_core.Run]) -> None:
    for run in runs:
        try:
            ledger.commit(run, TARGET, [whole(run)], done=True, lease=10_000_000)
        except Cancelled:
            ledger.end_cancelled(run)


def test_the_reaper_takes_what_falls_in_the_order_of_ids(
    open_ledger: OpenLedger, database: Database, held: Callable[..., Held], background: Background, dsn: str
) -> None:
    """Two tasks fall, and the earlier one has the later child. Somebody holds one and asks for the other."""
    ledger = prepared(open_ledger, database)
    ledger.plan(request(0, 20, **stream("meter")))
    runs = ledger.claim("suite:1:0", 2, 1, pool="default")
    first, second = (run.task_id for run in runs)
    assert ledger.cancel({"task": first}, "suite", "so")
    assert ledger.cancel({"task": second}, "suite", "so")
    database.wait_until_lease_over(runs[1])
    children = []
    for source, parent in (("valve", second), ("pump", first)):
        made = ledger.plan(request(0, 10, **stream(source), depends_on=[{"task": parent, "resolved": False}]))
        children.append(database.value("select id from strandline.ing_task where plan_id = $1", made["plan_id"]))
    other = held()
    with counted(dsn) as deadlocks:
        other.run("task.lock", children[:1])
        reaping = background(ledger.reap, 100, LEASE)
        database.wait_until_blocked(ledger.backend_pid, other.pid)
        other.run("task.lock", children[1:])
        other.commit()
        reaping.result(PATIENCE)
        other.connection.close()
        ledger.close()
        assert deadlocks() == 0
    assert not database.value("select count(*) from strandline.ing_task where status_code in ('QUEUED', 'RUNNING')")


def test_the_counter_sees_a_deadlock(
    open_ledger: OpenLedger, database: Database, held: Callable[..., Held], background: Background, dsn: str
) -> None:
    """Two tasks locked in the wrong order by one of two."""
    ledger = prepared(open_ledger, database)
    made = ledger.plan(request(0, 20, **stream("meter")))
    low, high = (row["id"] for row in database.rows("select id from strandline.ing_task order by id"))
    assert made["slices"] == 2
    with counted(dsn) as deadlocks:
        a, b = held(), held()
        a.run("task.lock", [low])
        b.run("task.lock", [high])
        waiting = background(a.run, "task.lock", [high])
        database.wait_until_blocked(a.pid, b.pid)
        with pytest.raises(psycopg.errors.DeadlockDetected):
            ask_for_both(b, low, waiting)
        b.connection.close()
        a.connection.close()
        database.wait_until("select deadlocks > 0 from pg_stat_database where datname = current_database()")
        assert deadlocks() == 1


def ask_for_both(b: Held, task: int, waiting: Future[Any]) -> None:
    """Closes the circle. Either of the two is the one that is ended."""
    b.run("task.lock", [task])
    waiting.result(PATIENCE)
