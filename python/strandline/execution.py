"""One run of one task: fetch a page, encode it, commit groups of pages, until the provider is done.

The provider is read on the worker's thread and groups are committed on another one, without the interpreter's lock, so
that the next page arrives while the last ones are stored. One group is ahead at most, and a group is handed over only
when the one before it is committed: a failure of page n never shows records of page n + 1.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.classify import classify
from strandline.errors import (
    Cancelled,
    CountMismatch,
    CursorExpired,
    Error,
    LeaseLost,
    RateLimited,
    Unreachable,
)
from strandline.page import json_text

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Job
    from strandline.page import Page
    from strandline.presence import Watch
    from strandline.rows import RowEncoder
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_RECONNECT_FOR = 60.0
"""Seconds for which a run waits for a server that went away before it gives the run up."""


@dataclass(slots=True)
class Group:
    """Pages that are committed together, each with a batch row of its own."""

    pages: list[dict[str, Any]] = field(default_factory=list)
    records: int = 0
    bytes: int = 0
    begun: float = field(default_factory=time.monotonic)

    def add(self, page: dict[str, Any], size: int) -> None:
        """Takes an encoded page; `size` is its length in bytes."""
        self.pages.append(page)
        self.records += page["size"]
        self.bytes += size

    def full(self, settings: Settings) -> bool:
        """True when it is time to commit: many records, many bytes, or the first page is old."""
        return (
            self.records >= settings.page_records
            or self.bytes >= settings.page_bytes
            or time.monotonic() - self.begun >= settings.page_seconds
        )


class Interrupted(Exception):
    """The worker was told to stop: pages in hand are committed and the run is given back. `reason` goes with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Execution:
    """Works one claimed run to its end. Made for one run, used by one thread.

    `stop` tells when to give the run back early and `why` names the reason for it.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        job: Job,
        *,
        settings: Settings,
        watch: Watch,
        committer: ThreadPoolExecutor,
        stop: threading.Event,
        why: Callable[[], str],
        clock: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._job = job
        self._settings = settings
        self._watch = watch
        self._committer = committer
        self._stop = stop
        self._why = why
        self._clock = clock
        self._target = job.target.to_dict()
        self._encoder: RowEncoder
        self._shaped: object = None  # the encoder's schema version that the target has
        self._group = Group()
        self._pending: Future[None] | None = None
        self._refused = False  # a group could not be stored; nothing after it may be
        self._total: int | None = None
        self.stored: Counter[str] = Counter()
        """What this run committed: batches, records, inserted, updated, unchanged, deleted."""

    def __call__(self) -> str:
        """Returns the status in which it left the task: SUCCEEDED, QUEUED, FAILED, CANCELLED, or LOST."""
        run = self._run
        try:
            with self._watch.holding(run):
                return self._end(self._work())
        except LeaseLost as error:
            log.warning("task %s, attempt %s: lease lost, the run is dropped: %s", run.task_id, run.attempt_no, error)
            return "LOST"
        except Cancelled:
            # The commit that met it has ended the run already; a provider that asked alive() has not.
            with contextlib.suppress(LeaseLost):
                self._ledger.end_cancelled(run)
            log.info("task %s is cancelled; its committed pages stay", run.task_id)
            return "CANCELLED"

    def _work(self) -> BaseException | None:
        """Fetches and commits. Returns what ended the walk early; None for done."""
        run = self._run
        pages: Iterator[Page] = iter(())
        try:
            token = self._start()
            if token is _RESTART:
                return _Restart("RESTART")
            self._encoder = self._job.encoder(self._ledger)
            pages = self._job.pages(self._job.context(run, self._watch), token, self._encoder)
            before = run.checkpoint if run.checkpoint is not None or token is None else json_text(token)
            self._fetch(pages, before)
            self._check_total()
            self._hand_over(done=True)
            self._wait()
        except (LeaseLost, Cancelled):
            with contextlib.suppress(Error):
                self._wait()
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 # whatever the provider raises is classified
            self._settle()
            walks_left = run.walk_no < self._job.max_attempts
            if isinstance(error, CursorExpired) and run.checkpoint is not None and walks_left:
                return _Restart("CURSOR_EXPIRED")
            return error
        finally:
            close = getattr(pages, "close", None)
            if close is not None:
                close()
        return None

    def _start(self) -> Any:
        """The token to go on from: a Python value, None for the beginning, _RESTART for a walk that must begin anew."""
        run = self._run
        if run.checkpoint is not None:
            if self._miscounted():
                # Going on would count the same pages again, or none where the total came with the first page.
                return _RESTART
            return json.loads(run.checkpoint)
        if run.batch_no > 0 and self._ledger.walk_records(run) > 0:
            # Pages without tokens were committed in this walk and nothing says where they ended.
            return _RESTART
        if self._job.cursor_type == "token":
            return json.loads(run.slice_spec).get("token")
        return None

    def _miscounted(self) -> bool:
        """Whether the walk that this run would go on with has ended in another number of records than announced."""
        run = self._run
        if run.attempt_no == 1:
            return False
        rows = self._ledger.fetch("status.tasks", run.task_id, None, None, 1)
        error = rows[0]["last_error"] if rows else None
        return error is not None and error.get("miscounted_walk") == run.walk_no

    def _fetch(self, pages: Iterator[Page], before: str | None) -> None:
        """Fetches until the walk is over. The last group stays in hand, for the commit that says done."""
        number = 0
        while True:
            self._look()
            started = self._clock()
            self._watch.begin(self._run, self._job.page_timeout)
            try:
                page = next(pages, None)
            finally:
                self._watch.end(self._run)
            if page is None:
                break
            number += 1
            self._group.add(*self._encoded(page, number, before, started))
            before = page.cursor_text
            if page.total is not None:
                self._total = page.total
            if page.done:
                break
            if self._group.full(self._settings):
                self._hand_over(done=False)
        if not self._group.pages:
            # The provider said done after its last rows were committed, or had none: an empty page carries the word.
            self._group.add(
                {"rows": None, "deleted": None, "before": before, "after": before, "size": 0, "started": self._clock()},
                0,
            )

    def _encoded(self, page: Page, number: int, before: str | None, started: int) -> tuple[dict[str, Any], int]:
        """A page as the ledger takes it, and its length in bytes."""
        encoded = isinstance(page.rows, _core.EncodedPage)  # a value comes encoded
        rows = page.rows if encoded else self._encoder.encode(page.rows, number)
        deleted = self._encoder.encode_keys(page.deleted, number) if page.deleted else None
        _ = rows.digest  # computed here, while the group before is being stored, and not inside the commit
        stored = {
            "rows": rows,
            "deleted": deleted,
            "before": before,
            "after": page.cursor_text,
            "size": rows.record_count,
            "started": started,
        }
        return stored, rows.nbytes

    def _look(self) -> None:
        """Before each page: may this run go on?"""
        _core.failpoint("page.before")
        state = self._watch.state(self._run)
        if state == "cancelled":
            self._wait()
            raise Cancelled(f"task {self._run.task_id} was cancelled; its committed pages stay")
        if state == "lost":
            self._wait()
            raise LeaseLost(
                f"the lease of task {self._run.task_id}, attempt {self._run.attempt_no}, passed to another run"
            )
        if self._stop.is_set():
            raise Interrupted(self._why())

    def _hand_over(self, *, done: bool) -> None:
        """Gives the group in hand to the committer, once the one before it is stored."""
        self._wait()
        group, self._group = self._group, Group()
        columns, version = self._encoder.columns, self._encoder.version
        self._pending = self._committer.submit(self._commit, group, columns, version, done)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except BaseException:
                self._refused = True
                raise

    def _commit(self, group: Group, columns: list[tuple[str, str, bool]], version: object, done: bool) -> None:
        deadline = time.monotonic() + _RECONNECT_FOR
        while True:
            try:
                if columns and self._shaped != version:
                    for statement in self._ledger.ensure_target(self._target, columns):
                        log.info("%s: %s", self._job.target.name, statement)
                    self._shaped = version
                counts = self._ledger.commit(
                    self._run, self._target, group.pages, done=done, lease=self._settings.lease
                )
                self.stored.update(counts, batches=len(group.pages))
                return
            except Unreachable:
                # Nothing of the group is stored: an answer that got lost inside COMMIT is InDoubt, not this.
                if time.monotonic() > deadline or self._stop.wait(0.5):
                    raise

    def _settle(self) -> None:
        """Commits what was fetched before an error, as far as a later run can go on from it."""
        resumable = self._group
        while resumable.pages and resumable.pages[-1]["after"] is None:
            # Without a token behind it a page would be read, and appended, again.
            resumable.pages.pop()
        try:
            if resumable.pages and not self._refused:
                self._hand_over(done=False)
            self._wait()
        except (LeaseLost, Cancelled):
            raise
        except Error as other:
            log.warning("task %s: the pages before the error could not be stored: %s", self._run.task_id, other)

    def _check_total(self) -> None:
        if self._total is None:
            return
        self._wait()
        in_hand = self._group.records
        found = self._ledger.walk_records(self._run) + in_hand
        if found != self._total:
            raise CountMismatch(
                f"the source says that this slice has {self._total} records, and {found} came; check the paging of"
                f" {self._job.name}, or whether the source changed while it was read",
                context={"task": self._run.task_id, "expected": self._total, "found": found},
            )

    def _end(self, ended_by: BaseException | None) -> str:
        """Ends the run in the ledger as `ended_by` asks for."""
        ledger, run = self._ledger, self._run
        if ended_by is None:
            return "SUCCEEDED"
        if isinstance(ended_by, _Restart):
            log.info("task %s starts its walk again: %s", run.task_id, ended_by.reason)
            ledger.restart_walk(run, self._target, ended_by.reason)
            return "QUEUED"
        if isinstance(ended_by, Interrupted):
            return ledger.give_back(run, ended_by.reason)
        error = classify(ended_by, self._job.source)
        if isinstance(error, RateLimited):
            return ledger.give_back(run, "RATE_LIMITED", int(error.pause * 1_000_000))
        return self._fail(error, ended_by)

    def _fail(self, error: Error, cause: BaseException) -> str:
        run = self._run
        # A walk that begins anew each time would go on for ever: what it stores before it fails looks like progress.
        miscounted = isinstance(error, CountMismatch)
        spent = (run.checkpoint is None or miscounted) and run.walk_no >= self._job.max_attempts
        description: dict[str, Any] = {
            "origin": "provider" if not isinstance(cause, Error) else "strandline",
            "kind": error.kind,
            "message": str(error),
            "where": place(cause),
        }
        if miscounted:
            description["miscounted_walk"] = run.walk_no
        status = self._ledger.fail(
            run,
            description,
            reason="COUNT_MISMATCH" if miscounted else error.kind.upper(),
            retryable=error.retryable and not spent,
            backoff=self._job.backoff,
            by=run.worker,
        )
        level = logging.WARNING if status == "QUEUED" else logging.ERROR
        log.log(level, "task %s, attempt %s: %s: %s", run.task_id, run.attempt_no, error.kind, error)
        return status


class _Restart(Exception):
    """The walk must begin anew; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_RESTART = object()

# Files of this package, and of the thread pool that commits: no place in them helps whoever wrote the provider.
_OURS = (f"{Path(__file__).parent}/", f"{Path(futures.__file__).parent}/")


def place(error: BaseException) -> str | None:
    """file:line of the innermost frame of the provider's code in which an error was raised."""
    trace = error.__traceback__
    found = None
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not path.startswith(_OURS) or path.endswith("/demo.py"):
            found = f"{path}:{trace.tb_lineno} in {trace.tb_frame.f_code.co_name}"
        trace = trace.tb_next
    return found
