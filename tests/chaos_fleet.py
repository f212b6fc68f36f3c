"""Workers under kills and crashes, with planners, cancellers, folders and reapers beside them; and what is there then.

Used by chaos/run.py for many kills and by chaos/test_fleet.py for a few.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from chaos_actors import AGAIN, LEAST, QUEUED, TOP, deeds, patiently, plan_ahead, plan_merged
from fix_chaos import PrivateServer
from fix_workers import SETTINGS, Server, Worker
from providers import Numbers

import strandline as sl

PATIENCE = 120.0
ASLEEP = 1.5  # seconds for which a worker is stopped: three leases
ROLES = ("planner", "planner", "canceller", "folder", "folder", "reaper")

# What stands in the traceback of a worker that had not begun yet: it opens its connections, and writes down its name.
BEGINS = ("in connect\n", "self._run(workers")

# What becomes visible with a page, with the end of a slice, and with a fold.
PAGES = "select coalesce(max(id), 0) from strandline.ing_task_run_batch"
MOMENTS = (
    PAGES,
    "select count(*) from strandline.ing_task where status_code = 'RUNNING'",
    "select coalesce(sum(head_sequence_no), 0) from strandline.ing_cursor",
)

# The ids whose rows the ledger says are in public.numbers: all of a slice, or the pages of one that was cancelled.
TOLD = """
select n.id from strandline.ing_task t join strandline.ing_cursor c on c.id = t.cursor_id
 cross join lateral generate_series(t.lo,
   case t.status_code when 'SUCCEEDED' then t.hi else least(t.hi, t.lo + {page} * t.batch_no) end - 1) n(id)
where c.cursor_key = 'public.numbers' and t.status_code in ('SUCCEEDED', 'CANCELLED')
"""
# Cancelled, and nobody has planned its window again since, or loaded it by reading everything again.
CANCELLED = """
select t.id from strandline.ing_task t join strandline.ing_plan_slice s on s.id = t.slice_id
where t.status_code = 'CANCELLED' and not s.superseded and not exists (select from strandline.ing_task o
  where o.cursor_id = t.cursor_id and o.generation > t.generation and o.status_code = 'SUCCEEDED'
  and t.generation = 1 and o.lo = t.lo and o.hi = t.hi)
order by t.id
"""
STUCK = """
select (select count(*) from strandline.ing_task where status_code not in ('SUCCEEDED', 'CANCELLED'))
 + (select count(*) from strandline.ing_plan where status_code = 'ACTIVE')
 + (select count(*) from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING'))
 + (select count(*) from strandline.ing_coverage where event_sequence_no is null)
"""


class Blow(NamedTuple):
    """One kill or crash: what, at which Unix time, and the process id of the worker where it was one."""

    what: str
    at: float
    pid: int | None = None


class Actor(NamedTuple):
    """One process beside the workers."""

    role: str
    process: Worker


@dataclass
class Outcome:
    """What is there; all but the first three are to be nought."""

    tasks: int
    pages: int
    rows: int
    lost: int
    doubled: int
    stray: int  # rows of ids that nobody was to load, or whose loading was cancelled
    stuck: int
    differences: int

    @property
    def whole(self) -> bool:
        return not (self.lost or self.doubled or self.stray or self.stuck or self.differences)


@dataclass
class Fleet:
    """The workers, who acts beside them, and what has happened to them."""

    server: PrivateServer
    dsn: str
    size: int
    chance: random.Random
    place: Path
    forks: Server = field(default_factory=Server)
    workers: list[Worker] = field(default_factory=list)
    asleep: dict[Worker, float] = field(default_factory=dict)  # stopped, and when they wake up
    actors: list[Actor] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)  # by the actors that are no more
    blows: list[Blow] = field(default_factory=list)
    started: int = 0  # processes
    turned_away: int = 0  # workers that began while the server was away
    failed: list[str] = field(default_factory=list)  # what those said last who ended by an error, or as actors at all

    def __post_init__(self) -> None:
        self.engine = sl.connect(self.dsn)
        self.connection = self.server.connect(self.dsn)
        self.connection.execute("create table public.numbers (id bigint, v text)")

    def value(self, question: str) -> Any:
        """The answer to a question, from a server that may be crashing."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                (found,) = self.connection.execute(question).fetchone() or (None,)
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server does not come back"
                self.connection.close()
                self.connection = self.server.connect(self.dsn)
            else:
                return found

    # Processes ------------------------------------------------------------------------------------------------------

    def man(self) -> None:
        """Keeps enough work, enough workers, and one actor for each role."""
        if self.value(QUEUED) < LEAST:
            top = self.value(TOP)
            patiently(lambda: plan_ahead(self.engine, top))
        for worker in [worker for worker in self.workers if worker.ended]:
            self.bury(worker)
        while len(self.workers) < self.size:
            self.workers.append(self.start(pool="default"))
        for actor in [actor for actor in self.actors if actor.process.ended]:
            self.failed.append(actor.process.said)
            self.dismiss(actor)
        for role in ROLES:
            if sum(actor.role == role for actor in self.actors) < ROLES.count(role):
                self.actors.append(Actor(role, self.start(role=role, seed=self.chance.randrange(2**32))))

    def start(self, **work: Any) -> Worker:
        """One more process."""
        self.started += 1
        log = self.place / f"{self.started}.log"
        return Worker(self.forks, {"dsn": self.dsn, **work}, SETTINGS, log)

    def bury(self, worker: Worker) -> None:
        """A worker has ended by itself, or was killed."""
        if worker.wait() not in (0, -signal.SIGKILL):
            # One that does not find the server when it begins says so with its exit code, and others begin.
            if any(call in worker.said for call in BEGINS):
                self.turned_away += 1
            else:
                self.failed.append(worker.said)
        self.workers.remove(worker)
        self.asleep.pop(worker, None)

    def dismiss(self, actor: Actor) -> None:
        """Kills an actor, whatever it does, and counts what it has done."""
        actor.process.kill()
        self.actors.remove(actor)
        self.done += deeds(actor.process.said)

    def has_done(self, what: tuple[str, ...]) -> bool:
        """Whether the actors, those that are no more included, have done each of these."""
        done = sum((deeds(actor.process.said) for actor in self.actors), self.done)
        return all(done[each] for each in what)

    # Blows ----------------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL of one of the workers, while it works; now and then an actor is killed too, or a worker stopped."""
        victim = self.chance.choice(self.workers)
        if self.chance.random() < 0.5:
            moment = self.chance.choice(MOMENTS)
            deadline = time.monotonic() + 1.0
            seen = self.value(moment)
            while self.value(moment) == seen and time.monotonic() < deadline:
                pass
        else:
            # Whenever: so many pages from now.
            pages = self.value(PAGES) + self.chance.randrange(12)
            deadline = time.monotonic() + self.chance.random()
            while self.value(PAGES) < pages and time.monotonic() < deadline:
                pass
        if not victim.ended:
            self.blows.append(Blow("kill", time.time(), victim.pid))
            victim.kill()
            self.bury(victim)
        if self.chance.random() < 0.1:
            self.done["actors killed"] += 1
            self.dismiss(self.chance.choice(self.actors))
        self.doze()

    def doze(self) -> None:
        """Stops a worker for longer than its lease, and wakes those that were stopped for that long."""
        now = time.monotonic()
        self.wake(now)
        awake = [worker for worker in self.workers if worker not in self.asleep and not worker.ended]
        if awake and not self.asleep and self.chance.random() < 0.1:
            victim = self.chance.choice(awake)
            victim.signal(signal.SIGSTOP)
            self.asleep[victim] = now + ASLEEP
            self.done["stopped"] += 1

    def wake(self, now: float) -> None:
        """Lets those go on that have slept until `now`."""
        for worker in [worker for worker, until in self.asleep.items() if until <= now]:
            worker.signal(signal.SIGCONT)
            del self.asleep[worker]

    def crash(self) -> None:
        """An immediate stop and a new start, or the death of one server process, which ends all the others."""
        pages = self.value(PAGES) + self.chance.randrange(20)
        deadline = time.monotonic() + 2.0
        while self.value(PAGES) < pages and time.monotonic() < deadline:
            pass
        if self.chance.random() < 0.5:
            at = self.server.crash()
            self.server.start()
        else:
            at = self.server.kill_backend(self.dsn, self.chance)
        self.blows.append(Blow("crash", at))

    # The end --------------------------------------------------------------------------------------------------------

    def settle(self) -> Outcome:
        """Nobody acts or kills any more, and workers do what is queued: what the ledger tells is there, and no more."""
        for actor in list(self.actors):
            self.dismiss(actor)
        self.drain()
        return self.outcome(TOLD.format(page=Numbers.page))

    def complete(self) -> Outcome:
        """What was cancelled is queued again, half by retries and half by a plan: all of the source is there once."""
        for number, task in enumerate(self.cancelled()):
            if number % 2:
                self.engine.retry(f"task:{task}")
        self.engine.plan(Numbers, window=(0, self.value(TOP)))
        plan_merged(self.engine)
        # Each reread has a generation of its own, which no later plan looks at.
        for task in self.cancelled():
            self.engine.retry(f"task:{task}")
        self.drain()
        found = self.outcome(f"select id from generate_series(0, {self.value(TOP)} - 1) n(id)")
        found.lost += AGAIN - self.value("select count(*) from public.merged")
        found.stuck += len(self.cancelled())
        return found

    def cancelled(self) -> list[int]:
        """The tasks that stand cancelled while nobody has taken up their windows."""
        return [task for (task,) in self.connection.execute(CANCELLED).fetchall()]

    def drain(self) -> None:
        """Lets whoever is there, and one more, do what is left."""
        self.wake(float("inf"))
        self.workers.append(self.start(pool="default"))
        deadline = time.monotonic() + PATIENCE
        while not all(worker.ended for worker in self.workers) and time.monotonic() < deadline:
            self.value("select pg_sleep(0.05)")
        for worker in [worker for worker in self.workers if worker.ended]:
            self.bury(worker)
        self.close()  # who has not ended is stuck, and what it holds will be in the table

    def end(self) -> None:
        """Ends everything but the server."""
        self.close()
        self.forks.close()
        self.engine.close()
        self.connection.close()

    def close(self) -> None:
        """Ends every worker and actor."""
        for process in [*self.workers, *(actor.process for actor in self.actors)]:
            process.kill()
        self.workers.clear()
        self.actors.clear()
        self.asleep.clear()

    def outcome(self, expected: str) -> Outcome:
        """Counts what is in the table, against a query of the ids that should be, and in the ledger."""
        self.engine.close()
        self.engine = sl.connect(self.dsn)
        return Outcome(
            tasks=self.value("select count(*) from strandline.ing_task"),
            pages=self.value("select count(*) from strandline.ing_task_run_batch"),
            rows=self.value("select count(*) from public.numbers"),
            lost=self.value(f"select count(*) from ({expected} except select id from public.numbers) missing"),
            doubled=self.value("select count(*) - count(distinct id) from public.numbers"),
            stray=self.value(f"select count(*) from (select id from public.numbers except ({expected})) stray"),
            stuck=self.value(STUCK),
            differences=len(self.engine.verify().differences),
        )

    @property
    def deadlocks(self) -> int:
        """How many circles of locks the server has broken."""
        return self.server.said.count("deadlock detected")

    # Times ----------------------------------------------------------------------------------------------------------

    def next_pages(self, what: str) -> list[float]:
        """Seconds from each blow of this kind to the next page that anybody committed."""
        times = [
            self.value(
                f"select (extract(epoch from min(finished_at)) - {blow.at!r})::float8"
                f" from strandline.ing_task_run_batch where finished_at > to_timestamp({blow.at!r})"
            )
            for blow in self.blows
            if blow.what == what
        ]
        return [seconds for seconds in times if seconds is not None]

    def freed(self) -> list[float]:
        """Seconds from each kill that left a slice behind to the moment in which others could take that slice."""
        times = [
            self.value(
                f"select (extract(epoch from min(finished_at)) - {blow.at!r})::float8 from strandline.ing_task_run"
                f" where status_code = 'LOST' and split_part(worker, ':', 2) = '{blow.pid}'"
                f" and {blow.at!r} between extract(epoch from created_at) and extract(epoch from finished_at)"
            )
            for blow in self.blows
            if blow.pid is not None
        ]
        return [seconds for seconds in times if seconds is not None]
