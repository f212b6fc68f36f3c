"""How a run ends in the ledger: which verb, which reason code, which cause."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from strandline.cause import cause, of_yield, place
from strandline.classify import classify
from strandline.errors import (
    Conflict,
    CountMismatch,
    CursorExpired,
    DataError,
    InDoubt,
    RateLimited,
    Unreachable,
)
from strandline.rate import Throttled

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Job
    from strandline.rate import Rates

log = logging.getLogger("strandline")


class Interrupted(Exception):
    """The run is to be given back after the page in hand. `reason` is the code that goes with it, `why` the cause."""

    def __init__(self, reason: str, why: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.why = of_yield(reason) if why is None else why


class Restart(Exception):
    """The walk must begin anew. `reason` is the code, `why` the cause."""

    def __init__(self, reason: str, why: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.why = why


class Late(Exception):
    """The deadline of the task has passed."""


class Stalled(Exception):
    """A page did not come within page_timeout. The message names both pages, `where` is where the provider stands."""

    def __init__(self, message: str, where: str | None) -> None:
        super().__init__(message)
        self.where = where


class Ending:
    """The ends of one run. Each returns the status in which it leaves the task; LeaseLost where it has left already."""

    def __init__(self, ledger: Ledger, run: Run, job: Job, rates: Rates) -> None:
        self._ledger = ledger
        self._run = run
        self._job = job
        self._rates = rates
        self.reason = "DONE"
        """The reason code of the end."""

    def __call__(self, met: BaseException | None, origin: str, page: dict[str, Any] | None) -> str:
        """Ends the run as what it met asks for; None is done. `page` is the one that cannot be stored, for a skip."""
        run = self._run
        if met is None:
            return "SUCCEEDED"
        if isinstance(met, Restart):
            self.reason = met.reason
            log.info("task %s starts its walk again: %s", run.task_id, met.why["message"])
            self._ledger.restart_walk(run, self._job.target.to_dict(), met.reason, cause=met.why)
            return "QUEUED"
        if isinstance(met, Interrupted):
            return self.give_back(met.reason, met.why)
        if isinstance(met, Throttled):
            why = cause("engine", "rate_limited", str(met))
            return self.give_back("RATE_LIMITED", why, met.pause)
        if isinstance(met, Late):
            return self._fail(cause("engine", "deadline", str(met)), "DEADLINE", retryable=False)
        if isinstance(met, Stalled):
            return self._fail(cause("source", "stalled", str(met), met.where), "STALLED", retryable=True)
        if origin != "source" and isinstance(met, (Unreachable, InDoubt)):
            return self.give_back("UNREACHABLE", cause("engine", "unreachable", str(met)))
        return self._failed(met, origin, page)

    def give_back(self, reason: str, why: dict[str, Any] | None, pause: float = 0.0) -> str:
        """The task waits for `pause` seconds and then for anybody; that is no failure."""
        self.reason = reason
        return self._ledger.give_back(self._run, reason, int(pause * 1_000_000), cause=why)

    def _failed(self, met: BaseException, origin: str, page: dict[str, Any] | None) -> str:
        run, job = self._run, self._job
        error = classify(met, job.source)
        where = place(met)
        if isinstance(error, RateLimited):
            assert job.rate_key is not None
            try:
                self._rates.push(job.rate_key, error.pause)
            except Unreachable as failure:
                log.warning("the others could not be told to wait for %s: %s", job.rate_key, failure)
            return self.give_back("RATE_LIMITED", cause(origin, error.kind, str(error), where), error.pause)
        if origin == "destination" and not isinstance(error, (DataError, Conflict)):
            origin = "engine"
        # A walk that begins anew each time would go on for ever: what it stores before it fails looks like progress.
        miscounted = isinstance(error, CountMismatch)
        spent = (run.checkpoint is None or miscounted) and run.walk_no >= job.max_attempts
        why = cause(origin, error.kind, str(error), where)
        if page is not None:
            why["page"] = page
        if miscounted:
            why["miscounted_walk"] = run.walk_no
        reason = "COUNT_MISMATCH" if miscounted else error.kind.upper()
        return self._fail(why, reason, retryable=error.retryable and not spent)

    def _fail(self, why: dict[str, Any], reason: str, *, retryable: bool) -> str:
        run = self._run
        self.reason = reason
        status = self._ledger.fail(
            run, why, reason=reason, retryable=retryable, backoff=self._job.backoff, by=run.worker
        )
        level = logging.WARNING if status == "QUEUED" else logging.ERROR
        log.log(level, "task %s, attempt %s: %s: %s", run.task_id, run.attempt_no, why["kind"], why["message"])
        return status


def expired(error: CursorExpired) -> Restart:
    """The end of a run whose token the source does not know any more."""
    return Restart("CURSOR_EXPIRED", cause("source", error.kind, str(error), place(error)))


def begun_anew(name: str, why: str) -> Restart:
    """The end of a run that cannot go on from what is committed."""
    return Restart(
        "RESTART", cause("engine", "restart", f"{name}: {why}, so that the slice is read from its beginning")
    )
