"""Batched completion: runs of one plan that have a single small page each are ended in one transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from strandline.errors import Error, Unreachable
from strandline.execution import Execution
from strandline.group import Group
from strandline.reach import reach
from strandline.values import Stream, Value

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.job import Job
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_LOSSES = 3


class Completion:
    """Runs that wait to be ended together. Their pages are encoded by one encoder, so that one statement takes them."""

    def __init__(self, ledger: Ledger, job: Job, settings: Settings, stop: threading.Event) -> None:
        self._ledger = ledger
        self._settings = settings
        self._stop = stop
        self._group = Group()
        self._columns: list[tuple[str, str, bool]] = []
        self.job = job
        self.encoder = job.encoder(ledger)
        self.held: list[tuple[Run, Execution]] = []

    @staticmethod
    def suits(job: Job) -> bool:
        """Whether runs of a job may be claimed by the dozen: not those of a shared rate, which wait, nor values.

        Nor where a single lost lease is too much: a worker that is killed loses all that it has claimed.
        """
        return not job.shared and not isinstance(job.source, (Value, Stream)) and job.source.max_losses >= _LOSSES

    @property
    def full(self) -> bool:
        """True when it is time: many records, many bytes, or the first page is old."""
        return self._group.full(self._settings)

    def add(self, run: Run, execution: Execution) -> None:
        """Takes a run that is HELD."""
        if not self.held:
            self._group.begun = time.monotonic()
        self.held.append((run, execution))
        self._group.add(execution.group.pages[0], execution.group.bytes)
        # Not at the end: a page that cannot be encoded may leave columns behind that nobody else has.
        self._columns = self.encoder.columns

    def __call__(self) -> list[str]:
        """Ends them. Returns SUCCEEDED, LOST, CANCELLED or FAILED for each: a FAILED one has yet to end by itself.

        Raises Unreachable when the server stays away.
        """
        into = self.job.target.to_dict()
        runs = [run for run, _ in self.held]

        def finish() -> list[str]:
            if self._columns:
                for statement in self._ledger.ensure_target(into, self._columns):
                    log.info("%s: %s", self.job.target.name, statement)
            return self._ledger.finish(runs, into, self._group.pages, lease=self._settings.lease)

        try:
            found = reach(finish, self._stop.wait)  # doing it again is safe: what is stored is found
        except Unreachable:
            raise
        except Error as error:
            log.info("%s: the pages are stored one by one: %s", self.job.name, error)
            return ["FAILED"] * len(runs)
        return [status.partition(":")[0] for status in found]

    def stored(self, run: Run, execution: Execution) -> Counter[str]:
        """What a run that SUCCEEDED here has stored."""
        page = execution.group.pages[0]
        if self.job.target.mode == "append" and page["deleted"] is None:
            return Counter(batches=1, records=page["size"], inserted=page["size"])
        (counts,) = self._ledger.fetch("run.group", run.task_id, 1, 1)
        return Counter(batches=1, **counts)
