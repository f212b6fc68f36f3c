"""One run of one task: fetch a page, encode it, store groups of pages, until the provider is done.

The provider is read on the worker's thread, and groups are committed on another one (group.py). A page that does not
come within page_timeout is not waited for: another thread takes the run over and ends it, and the one that hangs finds
on its return that nothing here belongs to it any more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.cause import place_now
from strandline.ending import Ending, Interrupted, Late, Stalled, begun_anew, expired
from strandline.errors import (
    Cancelled,
    ConfigError,
    CountMismatch,
    CursorExpired,
    DataError,
    Error,
    LeaseLost,
)
from strandline.group import Committer, Group, bad_page
from strandline.page import json_text
from strandline.reach import reach

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Job
    from strandline.page import Page
    from strandline.presence import Watch
    from strandline.rate import Rates
    from strandline.rows import RowEncoder
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_WISHES = {"paused": "PAUSED", "quarantined": "QUARANTINED", "draining": "DRAINING"}
_TICK = 0.1
"""Seconds at most until a run that waits for a rate sees that it is to stop."""


HELD = "HELD"
"""The status of a run whose only page is here and not stored: the caller completes it together with others."""
_HELD = Exception(HELD)


class Abandoned(BaseException):
    """Raised on a thread whose page came too late: the run, its ledger and its committer belong to another one."""


class Execution:
    """Works one claimed run to its end. Made for one run, used by one thread at a time.

    stop tells when to give the run back early, and why says for what reason. clock: the server's time in
    microseconds. hung is called, on another thread, when a page does not come: whoever takes the run over calls
    `give_up`. The lease is held by the caller.

    several is given where the caller completes many small runs together: a run with one page is then HELD, with the
    page in `group`, encoded by the caller's `encoder`; several is called as soon as it turns out to have more.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        job: Job,
        *,
        settings: Settings,
        watch: Watch,
        rates: Rates,
        executor: ThreadPoolExecutor,
        stop: threading.Event,
        why: Callable[[], Interrupted],
        clock: Callable[[], int],
        hung: Callable[[Execution], None],
        encoder: RowEncoder | None = None,
        several: Callable[[], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._job = job
        self._settings = settings
        self._watch = watch
        self._rates = rates
        self._stop = stop
        self._why = why
        self._clock = clock
        self._hung = hung
        self._committer = Committer(ledger, run, job.target, settings=settings, executor=executor, stop=stop)
        self._ending = Ending(ledger, run, job, rates)
        self._shared = encoder
        self._several = several
        self._encoder: RowEncoder
        self.group = Group()
        """The pages in hand."""
        self._total: int | None = None
        self._reached = 0  # what the pages of an ordered provider have reached
        self._stated: tuple[int, int] | None = None  # the last upto, and the page that said it
        self._origin = "engine"  # whose fault an error would be that is raised now
        self._bad: dict[str, Any] | None = None
        self._thread = 0
        self.throttled = 0.0
        """Seconds for which it waited for a rate."""

    @property
    def stored(self) -> Counter[str]:
        """What this run committed: batches, records, inserted, updated, unchanged, deleted."""
        return self._committer.stored

    @property
    def reason(self) -> str:
        """The reason code with which the run ended."""
        return self._ending.reason

    def __call__(self) -> str:
        """Returns the status in which it left the task: SUCCEEDED, QUEUED, FAILED, CANCELLED, or LOST; or HELD.

        Raises Abandoned on a thread that hung, once its page is there.
        """
        self._thread = threading.get_ident()
        return self._ended(self._work)

    def finish(self) -> str:
        """Ends a run that was HELD, by itself: what its page meets, it meets alone."""
        return self._ended(self._store_last)

    def give_up(self) -> str:
        """Ends a run whose provider hangs, on the thread that took it over. Returns what `__call__` would have."""
        where = place_now(sys._current_frames().get(self._thread))
        return self._ended(lambda: self._settle() or self._stalled(where))

    def _ended(self, work: Callable[[], BaseException | None]) -> str:
        run = self._run
        try:
            met = work()
            if met is _HELD:
                return HELD
            page = self._committer.bad if self._committer.refused else self._bad
            return self._ending(met, self._origin, page)
        except LeaseLost as error:
            self._ending.reason = "LEASE_LOST"
            log.warning("task %s, attempt %s: lease lost, the run is dropped: %s", run.task_id, run.attempt_no, error)
            return "LOST"
        except Cancelled:
            self._ending.reason = "CANCELLED"
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
            anew = self._must_restart()
            if anew is not None:
                return begun_anew(self._job.name, anew)
            token = self._token()
            self._encoder = self._shared or self._job.encoder(self._ledger)
            context = self._job.context(run, alive=self._alive, rate_limit=self._rate_limit)
            pages = self._job.pages(context, token, self._encoder)
            before = run.checkpoint if run.checkpoint is not None or token is None else json_text(token)
            self._fetch(pages, before)
            self._check_total()
            if self._several is not None and len(self.group.pages) == 1 and self._committer.untouched:
                return _HELD
            self._hand_over(done=True)
            self._wait()
        except (LeaseLost, Cancelled):
            with contextlib.suppress(Error):
                self._wait()
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 # whatever the provider raises is classified
            return self._met(error)
        finally:
            self._close(pages)
        return None

    def _store_last(self) -> BaseException | None:
        try:
            self._hand_over(done=True)
            self._wait()
        except (LeaseLost, Cancelled):
            raise
        except Exception as error:  # noqa: BLE001 # classified, as in _work
            return self._met(error)
        return None

    def _met(self, error: BaseException) -> BaseException:
        """Stores what was fetched before an error. Returns what ends the run."""
        origin = self._origin
        other = self._settle()
        if other is not None:
            return other  # it came first
        self._origin = origin
        walks_left = self._run.walk_no < self._job.max_attempts
        if isinstance(error, CursorExpired) and self._run.checkpoint is not None and walks_left:
            return expired(error)
        return error

    def _close(self, pages: Iterator[Page]) -> None:
        """Leaves the provider's around()."""
        close = getattr(pages, "close", None)
        if close is None:
            return
        try:
            close()
        except Exception as error:  # noqa: BLE001 # the pages are what counts, and they are in or known to be missing
            log.warning("%s: leaving around() failed: %s: %s", self._job.name, type(error).__name__, error)

    def _must_restart(self) -> str | None:
        """Why the walk cannot go on from what is committed; None where it can."""
        run = self._run
        if run.checkpoint is not None:
            # Going on would count the same pages again, or none where the total came with the first page.
            return "its walk ended in another number of records than announced" if self._miscounted() else None
        if run.batch_no > 0 and self._ledger.walk_records(run) > 0:
            return "its committed pages have no cursor to go on from"
        return None

    def _token(self) -> Any:
        """The token to go on from, as a Python value; None for the beginning."""
        run = self._run
        if run.checkpoint is not None:
            return json.loads(run.checkpoint)
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

    # Fetching -------------------------------------------------------------------------------------------------------

    def _fetch(self, pages: Iterator[Page], before: str | None) -> None:
        """Fetches until the walk is over. The last group stays in hand, for the commit that says done."""
        number = 0
        run = self._run
        self._reached = run.reached if run.reached is not None else run.lo or 0
        self._stated = None if run.reached is None else (run.reached, 0)
        while True:
            _core.failpoint("page.before")
            self._look()
            self._take_turn()
            started = self._clock()
            page = self._next(pages)
            if page is None:
                break
            number += 1
            self.group.add(*self._encoded(page, number, before, started))
            before = page.cursor_text
            if page.total is not None:
                self._total = page.total
            if page.done:
                break
            if self._several is not None:
                # Those that are complete must not wait for a long one.
                several, self._several, self._origin = self._several, None, "engine"
                several()
            if self.group.full(self._settings):
                self._hand_over(done=False)
        if not self.group.pages:
            # The provider said done after its last rows were committed, or had none: an empty page carries the word.
            self.group.add(
                {
                    "rows": None,
                    "deleted": None,
                    "before": before,
                    "after": before,
                    "size": 0,
                    "started": self._clock(),
                    "upto": None,
                },
                0,
            )

    def _next(self, pages: Iterator[Page]) -> Page | None:
        self._origin = "source"
        self._begin()
        try:
            return next(pages, None)
        finally:
            self._finish()

    def _begin(self) -> None:
        if not self._watch.begin(self._run, self._job.page_timeout, lambda: self._hung(self)):
            raise Abandoned

    def _finish(self) -> None:
        if not self._watch.end(self._run):
            raise Abandoned

    def _encoded(self, page: Page, number: int, before: str | None, started: int) -> tuple[dict[str, Any], int]:
        """A page as the ledger takes it, and its length in bytes."""
        stored: dict[str, Any] = {"before": before, "after": page.cursor_text, "size": page.size or 0}
        try:
            encoded = isinstance(page.rows, _core.EncodedPage)  # a value comes encoded
            rows = page.rows if encoded else self._encoder.encode(page.rows, number)
            deleted = self._encoder.encode_keys(page.deleted, number) if page.deleted else None
            if self._stated is not None:
                self._job.check_order(rows, number, self._stated)
            upto = self._job.bound(page.upto, number, self._reached, self._run)
        except DataError:
            self._bad = bad_page(stored, bool(page.done))
            raise
        if upto is not None:
            self._reached = upto
            self._stated = (upto, number)
        _ = rows.digest  # computed here, while the group before is being stored, and not inside the commit
        stored |= {"rows": rows, "deleted": deleted, "size": rows.record_count, "started": started, "upto": upto}
        return stored, rows.nbytes

    def _look(self) -> None:
        """Before each page, and while it waits for one: may this run go on?"""
        run = self._run
        state = self._watch.state(run)
        if state == "cancelled":
            self._wait()
            raise Cancelled(f"task {run.task_id} was cancelled; its committed pages stay")
        if state == "lost":
            self._wait()
            raise LeaseLost(f"the lease of task {run.task_id}, attempt {run.attempt_no}, passed to another run")
        wish = self._committer.wish or _WISHES.get(state)
        if wish is not None:
            raise Interrupted(wish)
        if self._stop.is_set():
            raise self._why()
        if run.deadline is not None and self._clock() >= run.deadline:
            raise Late(f"the deadline of task {run.task_id} passed while it was read; its committed pages stay")

    # Rates and signs of life ----------------------------------------------------------------------------------------

    def _take_turn(self) -> None:
        """Waits until the next page may be fetched."""
        job = self._job
        if job.rate_key is None:
            return
        self._origin = "engine"
        key = job.rate_key
        if job.shared:
            reach(lambda: self._rates.turn(key, job.rate, 1, self._pause, job.name), self._pause)
        else:
            reach(lambda: self._rates.free(key, self._pause), self._pause)

    def _pause(self, seconds: float) -> None:
        """Waits for a rate. Pages in hand are stored meanwhile, and whatever ends the run ends the wait."""
        began = time.monotonic()
        if self.group.pages and began + seconds >= self.group.begun + self._settings.page_seconds:
            self._hand_over(done=False)
        try:
            while (left := began + seconds - time.monotonic()) > 0:
                self._stop.wait(min(left, _TICK))
                self._look()
        finally:
            self.throttled += time.monotonic() - began

    def _alive(self) -> None:
        """context.alive()"""
        self._begin()
        state = self._watch.state(self._run)
        if state == "cancelled":
            raise Cancelled(f"task {self._run.task_id} was cancelled; its committed pages stay")
        if state == "lost":
            raise LeaseLost(f"the lease of task {self._run.task_id} passed to another run")

    def _rate_limit(self, cost: int, key: str | None) -> None:
        """context.rate_limit()"""
        job = self._job
        calls: Any = cost
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise ConfigError(f"rate_limit(cost={cost!r}): give a whole number of calls from 1 on")
        if key is None and not job.shared:
            raise ConfigError(
                f'{job.name} calls rate_limit() and has no rate; set rate = "10/s" in the class, or name a key'
            )
        asked = job.rate_key if key is None else key
        assert asked is not None
        rate = job.rate if asked == job.rate_key else None
        self._finish()
        self._origin = "engine"
        reach(lambda: self._rates.turn(asked, rate, cost, self._pause), self._pause)
        self._origin = "source"
        self._begin()

    # Storing --------------------------------------------------------------------------------------------------------

    def _hand_over(self, *, done: bool) -> None:
        """Gives the group in hand to the committer, once the one before it is stored."""
        self._wait()
        group, self.group = self.group, Group()
        self._committer.hand_over(group, self._encoder, done=done)

    def _wait(self) -> None:
        origin, self._origin = self._origin, "destination"
        self._committer.wait()
        self._origin = origin

    def _settle(self) -> Error | None:
        """Stores what was fetched before an error, as far as a later run can go on from it. Returns what hinders it."""
        pages = self.group.pages
        while pages and pages[-1]["after"] is None:
            # Without a token behind it a page would be read, and appended, again.
            pages.pop()
        try:
            if pages and not self._committer.refused:
                self._hand_over(done=False)
            self._wait()
        except (LeaseLost, Cancelled):
            raise
        except Error as other:
            return other
        return None

    def _stalled(self, where: str | None) -> Stalled:
        run, job = self._run, self._job
        if run.batch_no == 0:
            last = "no page was committed before it"
        elif run.checkpoint is None:
            last = f"the last committed page is page {run.batch_no}, which has no cursor"
        else:
            last = f"the last committed page is page {run.batch_no}, which ends at the cursor {run.checkpoint:.200}"
        return Stalled(
            f"{job.name}: page {run.batch_no + 1} did not come within page_timeout, {job.page_timeout:g} s; {last}",
            where,
        )

    def _check_total(self) -> None:
        if self._total is None:
            return
        self._wait()
        found = self._ledger.walk_records(self._run) + self.group.records
        if found != self._total:
            raise CountMismatch(
                f"the source says that this slice has {self._total} records, and {found} came; check the paging of"
                f" {self._job.name}, or whether the source changed while it was read",
                context={"task": self._run.task_id, "expected": self._total, "found": found},
            )
