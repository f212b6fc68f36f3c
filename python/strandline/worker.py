"""The threads of this process that claim tasks and work them until nothing is left, or a budget is used."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline import presence
from strandline.errors import Error, LeaseLost, Unreachable
from strandline.execution import Execution

if TYPE_CHECKING:
    from strandline._core import Ledger
    from strandline.job import Jobs
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_PATIENCE = 30.0
"""Seconds for which a worker tries to reach a server that went away."""
_REAP_EVERY = 1 / 3
"""Leases between two looks for lost runs, per process."""
_TICK = 0.05
"""Seconds between two looks of the waiting thread at clock, progress and Ctrl-C, which ends a wait within 100 ms."""


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


class Budget:
    """How long and how much: seconds of wall time and a number of tasks; None is no limit."""

    def __init__(self, seconds: float | None, tasks: int | None) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds
        self._tasks = tasks
        self._lock = threading.Lock()

    def over(self) -> bool:
        """True once the time is used."""
        return self._until is not None and time.monotonic() >= self._until

    def take(self) -> bool:
        """Takes one task; False when none is left, or no time."""
        if self.over():
            return False
        with self._lock:
            if self._tasks is not None:
                if self._tasks <= 0:
                    return False
                self._tasks -= 1
            return True

    def put_back(self) -> None:
        """Gives back a task that was not there to be claimed."""
        with self._lock:
            if self._tasks is not None:
                self._tasks += 1


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
        self._stop = threading.Event()
        self._why = "BUDGET"
        self._finished = threading.Event()
        self._wake = threading.Condition()
        self._idle = threading.Lock()
        self._reaped = time.monotonic()
        self._error: BaseException | None = None

    def run(self, workers: int, watchman: Callable[[], None] = lambda: None) -> None:
        """Works. Raises Unreachable when the server stays away, and KeyboardInterrupt after giving runs back."""
        with presence.renewing(self._dsn, self._schema, self._settings.lease) as renewer:
            self._run(workers, watchman, presence.Watch(renewer))
        if self._error is not None:
            raise self._error

    def _run(self, workers: int, watchman: Callable[[], None], watch: presence.Watch) -> None:
        names = [presence.thread_name() for _ in range(max(1, workers))]
        clock = presence.open_ledger(self._dsn, self._schema)
        host, pid, _ = names[0].rsplit(":", 2)
        served = [self._scope.pool] if self._scope.pool is not None else []
        for name in names:
            clock.register_worker(name, host, int(pid), presence.version(), served)
        # The server's clock, carried on by a steady one: this machine's clock may be wrong, and put right meanwhile.
        offset = clock.now() - time.monotonic_ns() // 1000
        pulse = presence.Pulse(clock, [*names, presence.process_name()], watch, self._settings.lease)
        threads = [
            threading.Thread(target=self._thread, args=(name, watch, offset), name=f"strandline {name}", daemon=True)
            for name in names
        ]
        try:
            for thread in threads:
                thread.start()
            self._oversee(threads, watchman)
        finally:
            self._halt("INTERRUPTED")
            for thread in threads:
                thread.join()
            pulse.close(names)

    def _oversee(self, threads: list[threading.Thread], watchman: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in threads) and not self._stop.is_set():
            if self._finished.wait(_TICK):
                self._halt("DONE")
            elif self._budget.over():
                self._halt("BUDGET")
            watchman()
        for thread in threads:
            # A page in hand is finished. Joining in steps lets a second Ctrl-C through.
            while thread.is_alive():
                thread.join(_TICK)
                watchman()

    def _halt(self, why: str) -> None:
        if not self._stop.is_set():
            self._why = why
            self._stop.set()
        with self._wake:
            self._wake.notify_all()

    def _thread(self, name: str, watch: presence.Watch, offset: int) -> None:
        try:
            ledger = self._reach(lambda: presence.open_ledger(self._dsn, self._schema))
            try:
                # The committer is joined before the connection that it uses is closed.
                with ThreadPoolExecutor(1, thread_name_prefix=f"strandline commit {name}") as committer:
                    self._loop(name, ledger, watch, committer, lambda: offset + time.monotonic_ns() // 1000)
            finally:
                ledger.close()
        except BaseException as error:  # noqa: BLE001 # told to the thread that waits
            if self._error is None:
                self._error = error
            self._halt("FAILED")

    def _loop(
        self,
        name: str,
        ledger: Ledger,
        watch: presence.Watch,
        committer: ThreadPoolExecutor,
        clock: Callable[[], int],
    ) -> None:
        scope = self._scope
        target: dict[str, Any] = {"pool": scope.pool} if scope.pool is not None else {"plans": list(scope.plans)}
        while not self._stop.is_set():
            if not self._budget.take():
                return
            runs = []
            if scope.pool is not None or scope.plans:
                runs = self._reach(lambda: ledger.claim(name, 1, self._settings.lease, **target))
            if not runs:
                self._budget.put_back()
                if self._rest(ledger):
                    return
                continue
            for run in runs:
                self._execute(run, ledger, watch, committer, clock)
            self._reap_now_and_then(ledger)
            with self._wake:
                self._wake.notify_all()

    def _execute(
        self, run: Any, ledger: Ledger, watch: presence.Watch, committer: ThreadPoolExecutor, clock: Callable[[], int]
    ) -> None:
        try:
            job = self._jobs.get(ledger, run.plan_id)
        except Error as error:
            log.error("plan %s cannot be worked here: %s", run.plan_id, error)
            cause = {"origin": "worker", "kind": error.kind, "message": str(error), "where": None}
            ledger.fail(run, cause, retryable=False, backoff=[], by=run.worker)
            return
        execution = Execution(
            ledger,
            run,
            job,
            settings=self._settings,
            watch=watch,
            committer=committer,
            stop=self._stop,
            why=lambda: self._why,
            clock=clock,
        )
        try:
            self._jobs.ended(execution(), execution.stored)
            # Whoever ends the last task ends the plan; workers of a pool have no other moment to see it.
            ledger.close_plan(run.plan_id)
        except Unreachable as error:
            # What was committed stays; the rest of the run is for whoever claims it next.
            log.warning("task %s: the server went away: %s", run.task_id, error)
            self._reach(ledger.now)
            with contextlib.suppress(LeaseLost):
                ledger.give_back(run, "UNREACHABLE")

    def _rest(self, ledger: Ledger) -> bool:
        """Nothing can be claimed: fold, reap, close; then wait. Returns True when everything in scope is over."""
        wait = self._settings.poll / 1_000_000
        if self._idle.acquire(blocking=False):
            try:
                live = self._reach(lambda: self._tidy(ledger))
            finally:
                self._idle.release()
            if live is None:
                self._finished.set()
                return True
            if live["due"] is not None:
                wait = min(wait, max(0.01, live["due"] / 1_000_000))
        with self._wake:
            if not self._stop.is_set() and not self._finished.is_set():
                self._wake.wait(wait * random.uniform(0.8, 1.0))
        return self._finished.is_set()

    def _tidy(self, ledger: Ledger) -> dict[str, Any] | None:
        """What a claimer without work owes the others. Returns what is left, or None when nothing is."""
        ledger.fold_all()
        self._reap_now_and_then(ledger)
        live = self._scope.live(ledger)
        over = live["live"] == 0 or (live["live"] == live["held"] and live["running"] == 0)
        for plan in self._scope.plans if over else ():
            ledger.close_plan(plan)
        return None if over and not self._scope.forever else live

    def _reap_now_and_then(self, ledger: Ledger) -> None:
        now = time.monotonic()
        if now - self._reaped < self._settings.lease / 1_000_000 * _REAP_EVERY:
            return
        self._reaped = now
        found = ledger.reap(lease=self._settings.lease)
        if any(found.values()):
            log.info("reaped: %s", ", ".join(f"{count} {what}" for what, count in found.items() if count))

    def _reach(self, call: Callable[[], Any]) -> Any:
        """Calls until the server answers, for a while. Raises Unreachable after that, or when told to stop."""
        deadline = time.monotonic() + _PATIENCE
        pause = 0.1
        while True:
            try:
                return call()
            except Unreachable as error:
                if time.monotonic() > deadline or self._stop.is_set():
                    raise
                log.warning("the server does not answer, next try in %.1f s: %s", pause, error)
                self._stop.wait(pause * random.uniform(0.8, 1.0))
                pause = min(2.0, pause * 2)
