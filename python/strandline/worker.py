"""The threads of this process that claim tasks and work them until nothing is left, or a budget is used."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline import presence
from strandline.cause import cause
from strandline.ending import Interrupted
from strandline.execution import Abandoned, Execution
from strandline.rate import Rates
from strandline.reach import reach
from strandline.seat import Seat, Shared

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Jobs
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_REAP_EVERY = 1 / 3
"""Leases between two looks for lost runs, per process."""
_TICK = 0.05
"""Seconds between two looks of the waiting thread at clock, progress and Ctrl-C, which ends a wait within 100 ms."""
_SHORTEST = 0.01
"""Seconds of the shortest wait for work."""


@dataclass(slots=True)
class Scope:
    """What is worked: plans, or a pool. `others` may be waited for but not claimed; `window` is where they count.

    `window` is (cursor, generation, lo, hi).
    """

    plans: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    own: int | None = None
    pool: str | None = None
    window: tuple[int, int, int, int] | None = None
    forever: bool = False

    def live(self, ledger: Ledger) -> dict[str, Any]:
        """live, running, held: how many tasks are not over; due: microseconds until the next queued one, or None."""
        if self.pool is not None:
            return ledger.fetch("status.pool_live", self.pool)[0]
        cursor, generation, lo, hi = self.window or (None, None, None, None)
        return ledger.fetch("status.live", self.own, [*self.plans, *self.others], cursor, generation, lo, hi)[0]

    def left(self, ledger: Ledger) -> dict[str, Any]:
        """What a worker without work has to know, at the price of a few look-ups, however long the queue is.

        running: whether anything is at work; queued: whether anything waits that nobody holds; due: microseconds until
        the next task that can be claimed, or None.
        """
        if self.pool is not None:
            return ledger.fetch("status.pool_left", self.pool)[0]
        own = [] if self.own is None else [self.own]
        cursor, generation, lo, hi = self.window or (None, None, None, None)
        others = [*self.plans, *self.others]
        return ledger.fetch("status.plans_left", own, others, cursor, generation, lo, hi)[0]


class Budget:
    """How long and how much: seconds of wall time and a number of tasks; None is no limit."""

    def __init__(self, seconds: float | None, tasks: int | None) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds
        self._tasks = tasks
        self._lock = threading.Lock()

    def over(self) -> bool:
        """True once the time is used."""
        return self._until is not None and time.monotonic() >= self._until

    def used(self) -> bool:
        """True once the time is used, or the number of tasks."""
        return self.over() or self._tasks == 0

    def take(self, most: int) -> int:
        """Takes up to `most` tasks and returns how many; 0 when none is left, or no time."""
        if self.over():
            return 0
        with self._lock:
            if self._tasks is None:
                return most
            taken = min(most, self._tasks)
            self._tasks -= taken
            return taken

    def put_back(self, count: int) -> None:
        """Gives back tasks that were not there to be claimed."""
        with self._lock:
            if self._tasks is not None:
                self._tasks += count


class Crew:
    """`workers` threads, each with a connection and a committer of its own.

    `run` blocks until everything in scope is over, the budget is used, or KeyboardInterrupt; `watchman` is called about
    twenty times a second meanwhile, on the caller's thread.
    """

    def __init__(self, dsn: str, schema: str, settings: Settings, jobs: Jobs, scope: Scope, budget: Budget) -> None:
        self._dsn = dsn
        self._schema = schema
        self._settings = settings
        self._jobs = jobs
        self._scope = scope
        self._budget = budget
        self._pulse: presence.Pulse
        self._stop = threading.Event()
        self._why = Interrupted("BUDGET")
        self._finished = threading.Event()
        self._wake = threading.Condition()
        self._seating = threading.Lock()
        self._idle = threading.Lock()
        self._reaped = time.monotonic()
        self._error: BaseException | None = None

    def run(self, workers: int, watchman: Callable[[], None] = lambda: None) -> None:
        """Works. Raises Unreachable when the server stays away, and KeyboardInterrupt after giving runs back."""
        with presence.renewing(self._dsn, self._schema, self._settings.lease) as renewer:
            self._run(workers, presence.Watch(renewer), watchman)
        if self._error is not None:
            raise self._error

    def _run(self, workers: int, watch: presence.Watch, watchman: Callable[[], None]) -> None:
        names = [presence.thread_name() for _ in range(max(1, workers))]
        ledger = self._reach(self._connect)
        try:
            offset = self._reach(lambda: self._sign_on(ledger, names))
        except BaseException:
            ledger.close()
            raise
        self._pulse = presence.Pulse(ledger, [*names, presence.process_name()], watch, self._settings.lease)
        rates = Rates(self._connect)
        shared = Shared(
            settings=self._settings,
            jobs=self._jobs,
            watch=watch,
            rates=rates,
            stop=self._stop,
            why=lambda: self._why,
            clock=lambda: offset + time.monotonic_ns() // 1000,
            reach=self._reach,
        )
        seats = [Seat(name, shared, self._replace) for name in names]
        try:
            for seat in seats:
                self._take(seat, self._sit)
            self._oversee(seats, watchman)
        finally:
            self._halt("INTERRUPTED")
            while any(self._taken(seat) for seat in seats):
                for seat in seats:
                    seat.thread.join(_TICK)
            self._pulse.close(names)
            rates.close()

    def _sign_on(self, ledger: Ledger, names: list[str]) -> int:
        """Makes the workers known. Returns how far the server's clock is ahead of the steady one, in microseconds."""
        host, pid, _ = names[0].rsplit(":", 2)
        served = [self._scope.pool] if self._scope.pool is not None else []
        for name in names:
            ledger.register_worker(name, host, int(pid), presence.version(), served)
        # The server's clock, carried on by a steady one: this machine's clock may be wrong, and put right meanwhile.
        return ledger.now() - time.monotonic_ns() // 1000

    def _oversee(self, seats: list[Seat], watchman: Callable[[], None]) -> None:
        while any(self._taken(seat) for seat in seats) and not self._stop.is_set():
            if self._finished.wait(_TICK):
                self._halt("DONE")
            elif self._budget.over():
                self._halt("BUDGET")
            watchman()
        # A page in hand is finished. Joining in steps lets a second Ctrl-C through.
        while any(self._taken(seat) for seat in seats):
            for seat in seats:
                seat.thread.join(_TICK)
            watchman()

    def _halt(self, reason: str, why: dict[str, Any] | None = None) -> None:
        if not self._stop.is_set():
            self._why = Interrupted(reason, why)
            self._stop.set()
        with self._wake:
            self._wake.notify_all()

    def _connect(self) -> Ledger:
        return presence.open_ledger(self._dsn, self._schema)

    # Seats ----------------------------------------------------------------------------------------------------------

    def _take(self, seat: Seat, work: Callable[[Seat], None]) -> None:
        """A new thread takes a seat. It is not waited for at the end of the process, should it hang."""
        thread = threading.Thread(target=self._seated, args=(seat, work), name=f"strandline {seat.name}", daemon=True)
        with self._seating:
            thread.start()
            seat.thread = thread

    def _taken(self, seat: Seat) -> bool:
        with self._seating:
            return seat.thread.is_alive()

    def _seated(self, seat: Seat, work: Callable[[Seat], None]) -> None:
        try:
            work(seat)
        except Abandoned:
            log.info("%s: a page came after it was given up; another thread has taken over", seat.name)
        except BaseException as error:  # noqa: BLE001 # told to the thread that waits
            if self._error is None:
                self._error = error
            failed = cause("engine", "failed", f"another thread of the worker failed: {type(error).__name__}: {error}")
            self._halt("INTERRUPTED", failed)

    def _sit(self, seat: Seat) -> None:
        seat.open(lambda: self._reach(self._connect))
        self._loop(seat)

    def _loop(self, seat: Seat) -> None:
        try:
            self._work(seat)
        except Abandoned:
            raise  # what the seat has is another thread's
        except BaseException:
            seat.close()
            raise
        seat.close()

    def _replace(self, seat: Seat, run: Run, execution: Execution) -> None:
        """The thread of a seat hangs in a provider: another one ends its run and goes on in its place."""
        log.warning("task %s: a page took longer than page_timeout; the run ends as STALLED", run.task_id)

        def go_on(seat: Seat) -> None:
            seat.give_up(run, execution)
            self._loop(seat)

        self._take(seat, go_on)

    # Working --------------------------------------------------------------------------------------------------------

    def _work(self, seat: Seat) -> None:
        scope = self._scope
        target: dict[str, Any] = {"pool": scope.pool} if scope.pool is not None else {"plans": list(scope.plans)}
        seat.work_off()
        while not self._stop.is_set():
            if seat.draining or self._pulse.wishes[seat.name] == "DRAINING":
                log.info("%s stops: an operator asked for it", seat.name)
                return
            many = self._budget.take(seat.many)
            if not many:
                return
            runs: list[Run] = []
            if scope.pool is not None or scope.plans:
                lease = self._settings.lease
                runs = self._reach(lambda: seat.ledger.claim(seat.name, many, lease, **target))  # noqa: B023 # called at once
            self._budget.put_back(many - len(runs))
            if not runs:
                if self._rest(seat):
                    return
                continue
            seat.wait = 0.0
            seat.work(runs)
            self._reach(lambda: self._reap_now_and_then(seat.ledger))
            with self._wake:
                self._wake.notify_all()
            if seat.limited:
                # No churning through the whole backlog, of which each task would have to wait as well.
                self._stop.wait(self._settings.poll / 1_000_000 * random.uniform(0.8, 1.0))

    def _rest(self, seat: Seat) -> bool:
        """Nothing can be claimed: fold, reap, close; then wait. Returns True when everything in scope is over."""
        wait = self._settings.poll / 1_000_000
        if self._idle.acquire(blocking=False):
            try:
                live = self._reach(lambda: self._tidy(seat.ledger))
            finally:
                self._idle.release()
            if live is None:
                self._finished.set()
                return True
            if live["due"] is not None:
                wait = self._until(seat, live["due"] / 1_000_000, wait)
        with self._wake:
            if not self._stop.is_set() and not self._finished.is_set():
                self._wake.wait(wait * random.uniform(0.8, 1.0))
        return self._finished.is_set()

    def _until(self, seat: Seat, due: float, wait: float) -> float:
        """Seconds to wait, `wait` at most, when the next task is due in `due` seconds."""
        if due > 0:
            return min(wait, max(_SHORTEST, due))
        # It became due since it was asked for, or it is blocked and nobody knows for how long: twice as long each time.
        seat.wait = min(wait, max(_SHORTEST, 2 * seat.wait))
        return seat.wait

    def _tidy(self, ledger: Ledger) -> dict[str, Any] | None:
        """What a claimer without work owes the others. Returns what is left, or None when nothing is."""
        ledger.fold_all()
        self._reap_now_and_then(ledger)
        left = self._scope.left(ledger)
        if left["queued"] and ledger.fetch("status.overdue")[0]["overdue"]:
            # Nobody may claim them any more; to wait for the next reaper would only take time.
            self._reap(ledger)
            left = self._scope.left(ledger)
        over = not left["running"] and not left["queued"]
        for plan in self._scope.plans if over else ():
            ledger.close_plan(plan)
        return None if over and not self._scope.forever else left

    def _reap_now_and_then(self, ledger: Ledger) -> None:
        now = time.monotonic()
        if now - self._reaped < self._settings.lease / 1_000_000 * _REAP_EVERY:
            return
        self._reap(ledger)

    def _reap(self, ledger: Ledger) -> None:
        self._reaped = time.monotonic()
        found = ledger.reap(lease=self._settings.lease)
        if any(found.values()):
            log.info("reaped: %s", ", ".join(f"{count} {what}" for what, count in found.items() if count))

    def _reach(self, call: Callable[[], Any]) -> Any:
        """Calls until the server does it, for a while: a server that is away, full or busy may come round."""
        return reach(call, self._stop.wait, heals=lambda error: error.retryable)
