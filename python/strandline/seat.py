"""A worker: what one thread after another works with, and how it works off the runs that were claimed for it."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline.cause import cause
from strandline.completion import Completion
from strandline.ending import Interrupted
from strandline.errors import Error, LeaseLost, Unreachable
from strandline.execution import HELD, Execution

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Job, Jobs
    from strandline.presence import Watch
    from strandline.rate import Rates
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_MOST = 100
"""Tasks that are claimed at once at most."""
_CLAIM_FOR = 0.25
"""Seconds of work that are claimed at once at most, where tasks are that small."""


@dataclass(slots=True)
class Shared:
    """What the workers of a crew have in common. reach calls until the server answers, or raises Unreachable."""

    settings: Settings
    jobs: Jobs
    watch: Watch
    rates: Rates
    stop: threading.Event
    why: Callable[[], Interrupted]
    clock: Callable[[], int]
    reach: Callable[[Callable[[], Any]], Any]


class Seat:
    """One worker of a crew: its name, its connection, its committer and the runs that it holds.

    When the thread that sits here hangs in a provider, another one takes the seat; the first finds on its return that
    it stands. `hung` is called for that, on a third thread.
    """

    def __init__(self, name: str, shared: Shared, hung: Callable[[Seat, Run, Execution], None]) -> None:
        self.name = name
        self.thread: threading.Thread
        self.ledger: Ledger
        self.many = 1
        """How many tasks to claim: more than one while they are tiny."""
        self.limited = False
        """Whether a run had to be given back for a rate: the next one of its source would have to wait as well."""
        self.draining = False
        """Whether a run heard that this worker is to stop."""
        self.wait = 0.0
        """Seconds of the last wait for something that is due and cannot be claimed."""
        self._shared = shared
        self._hung = hung
        self._executor: ThreadPoolExecutor
        self._runs: deque[Run] = deque()
        self._several = False
        self._completion: Completion | None = None

    def open(self, connect: Callable[[], Ledger]) -> None:
        """A connection, and a thread that commits on it."""
        self.ledger = connect()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"strandline commit {self.name}")

    def close(self) -> None:
        """Lets go of what is left. The committer is joined before the connection that it uses is closed."""
        held = [run for run, _ in self._completion.held] if self._completion is not None else []
        for run in (*self._runs, *held):
            self._shared.watch.let_go(run)
        self._executor.shutdown()
        self.ledger.close()

    def work(self, runs: Sequence[Run]) -> None:
        """Works runs that were just claimed, one after another; those with a single page are completed together."""
        for run in runs:
            self._shared.watch.hold(run)
        # A task that has lost its worker may be what killed it. It comes last and in a random order, and the next ones
        # are claimed one by one: whoever was claimed beside it must not be lost with it, time after time.
        lost = [run for run in runs if run.losses]
        random.shuffle(lost)
        self._runs.extend(run for run in runs if not run.losses)
        self._runs.extend(lost)
        self._several = len(runs) > 1
        self.limited = False
        began = time.monotonic()
        many, self.many = self.many, min(2 * self.many, _MOST)
        self.work_off()
        if lost:
            self.many = 1
        if runs and self.many > 1:
            each = (time.monotonic() - began) / len(runs)
            self.many = max(1, min(2 * many, _MOST, int(_CLAIM_FOR / each)))

    def work_off(self) -> None:
        """Works what is left of the runs, which a thread that hung may have left behind."""
        while self._runs:
            self._execute(self._runs.popleft())
        self._complete()

    def give_up(self, run: Run, execution: Execution) -> None:
        """Ends a run whose provider hangs, on the thread that has taken the seat."""
        self._end(run, execution, execution.give_up)

    def _execute(self, run: Run) -> None:
        shared = self._shared
        job = self._job(run)
        if job is None:
            return
        completion = None
        if not Completion.suits(job):
            self.many = 1
        elif self._several and not run.losses:
            completion = self._completion_of(job)
        if completion is None:
            self._complete()  # those that are complete must not wait for this one
        execution = Execution(
            self.ledger,
            run,
            job,
            settings=shared.settings,
            watch=shared.watch,
            rates=shared.rates,
            executor=self._executor,
            stop=shared.stop,
            why=shared.why,
            clock=shared.clock,
            hung=lambda execution: self._hung(self, run, execution),
            encoder=None if completion is None else completion.encoder,
            several=None if completion is None else self._complete,
        )
        self._end(run, execution, execution)

    def _job(self, run: Run) -> Job | None:
        """The job of a run; None where its provider cannot be had here, which ends the run."""
        shared = self._shared
        try:
            found: Job = shared.reach(lambda: shared.jobs.get(self.ledger, run.plan_id))
            return found
        except Unreachable:
            raise
        except Error as error:
            log.error("plan %s cannot be worked here: %s", run.plan_id, error)
            why = cause("engine", error.kind, str(error))
            with contextlib.suppress(LeaseLost):
                self.ledger.fail(run, why, reason=error.kind.upper(), retryable=False, backoff=[], by=run.worker)
            self.many = 1
            shared.watch.let_go(run)
            return None

    def _end(self, run: Run, execution: Execution, work: Callable[[], str]) -> None:
        """Has a run worked to its end, and does what follows from that end."""
        shared = self._shared
        try:
            status = work()
            if status == HELD:
                self._hold(run, execution)
                return
            # One page that was all: the next task may be as small.
            if status != "SUCCEEDED" or execution.stored["batches"] != 1 or run.batch_no != 1:
                self.many = 1
                self._complete()  # what an error left in the encoder is nobody else's
            shared.jobs.ended(status, execution.stored, execution.throttled)
            # Whoever ends the last task ends the plan; workers of a pool have no other moment to see it.
            self.ledger.close_plan(run.plan_id)
        except Unreachable as error:
            self._give_back(run, error)
        except Error as error:
            # Its lease passes, and the reaper ends it.
            log.error("task %s: the end of its run could not be written: %s", run.task_id, error)
        shared.watch.let_go(run)
        self.limited = self.limited or execution.reason == "RATE_LIMITED"
        self.draining = self.draining or execution.reason == "DRAINING"

    def _give_back(self, run: Run, error: Error) -> None:
        """The server went away, or is in no state to work: the rest of the run is for whoever claims it next."""
        log.warning("task %s: the server failed: %s", run.task_id, error)
        why = cause("engine", "unreachable", str(error))
        with contextlib.suppress(LeaseLost):
            self._shared.reach(lambda: self.ledger.give_back(run, "UNREACHABLE", cause=why))

    # Completing together --------------------------------------------------------------------------------------------

    def _completion_of(self, job: Job) -> Completion | None:
        """Where runs of a job wait for each other; None where even the first of them meets an error."""
        if self._completion is not None and self._completion.job is not job:
            self._complete()
        if self._completion is None:
            shared = self._shared
            try:
                self._completion = shared.reach(lambda: Completion(self.ledger, job, shared.settings, shared.stop))
            except Unreachable:
                raise
            except Error:
                return None
        return self._completion

    def _hold(self, run: Run, execution: Execution) -> None:
        assert self._completion is not None
        self._completion.add(run, execution)
        if self._completion.full:
            self._complete()

    def _complete(self) -> None:
        """Ends the runs that wait, in one transaction."""
        completion, self._completion = self._completion, None
        if completion is None or not completion.held:
            return
        shared = self._shared
        try:
            found = completion()
            for (run, execution), status in zip(completion.held, found, strict=True):
                if status == "FAILED":
                    self._end(run, execution, execution.finish)
                    continue
                stored = completion.stored(run, execution) if status == "SUCCEEDED" else execution.stored
                shared.jobs.ended(status, stored, execution.throttled)
                shared.watch.let_go(run)
            self.ledger.close_plan(completion.job.plan)
        except Error as error:
            if not error.retryable:
                raise
            for run, _ in completion.held:
                self._give_back(run, error)
                shared.watch.let_go(run)
