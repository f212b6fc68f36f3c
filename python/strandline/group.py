"""Groups of pages: what is fetched, and stored together, while the next page arrives.

Groups are committed on a thread of their own, without the interpreter's lock. One is ahead at most, and a group is
handed over only when the one before it is committed: a failure of page n never shows records of page n + 1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strandline.errors import DataError
from strandline.reach import reach

if TYPE_CHECKING:
    from strandline._core import Ledger, Run
    from strandline.rows import RowEncoder
    from strandline.settings import Settings
    from strandline.target import Target

log = logging.getLogger("strandline")


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


class Committer:
    """Stores the groups of one run, in order, on the executor's only thread.

    stored: what was committed: batches, records, inserted, updated, unchanged, deleted. wish: the reason code with
    which the run should be given back, as of the last commit. refused: True once a group could not be stored; nothing
    after it may be. bad: the page that the target refused, as a `skip` needs it.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        target: Target,
        *,
        settings: Settings,
        executor: ThreadPoolExecutor,
        stop: threading.Event,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._target = target
        self._into = target.to_dict()
        self._settings = settings
        self._executor = executor
        self._stop = stop
        self._shaped: object = None  # the encoder's schema version that the target has
        self._pending: Future[None] | None = None
        self.stored: Counter[str] = Counter()
        self.wish: str | None = None
        self.refused = False
        self.bad: dict[str, Any] | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing was handed over yet."""
        return self._pending is None and not self.stored and not self.refused

    def hand_over(self, group: Group, encoder: RowEncoder, *, done: bool) -> None:
        """Stores a group once the one before it is stored. Raises what that one met."""
        self.wait()
        columns, version = encoder.columns, encoder.version
        self._pending = self._executor.submit(self._commit, group.pages, columns, version, done)

    def wait(self) -> None:
        """Returns when what was handed over is stored. Raises what it met."""
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except BaseException:
                self.refused = True
                raise

    def _commit(
        self, pages: list[dict[str, Any]], columns: list[tuple[str, str, bool]], version: object, done: bool
    ) -> None:
        try:
            self._store(pages, columns, version, done)
        except DataError:
            if len(pages) == 1:
                self.bad = bad_page(pages[0], done)
                raise
            # The pages before the one that is refused stay, and that one is known.
            for page in pages:
                last = done and page is pages[-1]
                try:
                    self._store([page], columns, version, last)
                except DataError:
                    self.bad = bad_page(page, last)
                    raise

    def _store(
        self, pages: list[dict[str, Any]], columns: list[tuple[str, str, bool]], version: object, done: bool
    ) -> None:
        def store() -> dict[str, Any]:
            if columns and self._shaped != version:
                for statement in self._ledger.ensure_target(self._into, columns):
                    log.info("%s: %s", self._target.name, statement)
                self._shaped = version
            return self._ledger.commit(self._run, self._into, pages, done=done, lease=self._settings.lease)

        # Unreachable: nothing of the group is stored. An answer that got lost inside COMMIT is InDoubt, not this.
        counts = reach(store, self._stop.wait)
        self.wish = counts.pop("wish", None)
        self.stored.update(counts, batches=len(pages))


def bad_page(page: dict[str, Any], done: bool) -> dict[str, Any]:
    """What `skip` needs of a page that cannot be stored: the tokens around it, whether it is the last, its records."""
    return {"before": page["before"], "after": page["after"], "done": done, "size": page["size"]}
