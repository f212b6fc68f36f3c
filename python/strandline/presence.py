"""What one process is to the ledger: its name, its renewer of leases, its signs of life, the sources that it alone has.

All of it is made when first needed and forgotten after a fork, because a child shares neither threads nor connections.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import os
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.errors import Error

if TYPE_CHECKING:
    from strandline._core import Ledger, Renewer, Run

log = logging.getLogger("strandline")

_lock = threading.Lock()
_renewers: dict[tuple[str, str, int], tuple[Renewer, int]] = {}
_sources: dict[tuple[str, str, int], Any] = {}
_announced: Counter[tuple[str, str]] = Counter()
_natives: weakref.WeakSet[Any] = weakref.WeakSet()
_numbers = itertools.count(1)

_BEAT_EVERY = 5.0
"""Seconds at most between two signs of life, and until a worker hears what is wished of it."""
_LOOK_EVERY = 0.25
"""Seconds between two looks for pages that do not come."""


def version() -> str:
    """The version of the installed package, as workers tell it to the ledger."""
    return importlib.metadata.version("strandline")


def process_name() -> str:
    """The name of this process as a worker, host:pid:0. Tasks of local providers lie in the pool local:<this name>."""
    return f"{socket.gethostname()}:{os.getpid()}:0"


def thread_name() -> str:
    """A fresh worker name, host:pid:n."""
    with _lock:
        return f"{socket.gethostname()}:{os.getpid()}:{next(_numbers)}"


def local_pool() -> str:
    """The pool that only this process claims from."""
    return f"local:{process_name()}"


def keep_source(dsn: str, schema: str, plan: int, source: Any) -> None:
    """Remembers the provider or value of a local plan, so that the threads of this process can work it."""
    with _lock:
        _sources[dsn, schema, plan] = source


def source_of(dsn: str, schema: str, plan: int) -> Any | None:
    """The provider or value of a local plan of this process; None for every other plan."""
    with _lock:
        return _sources.get((dsn, schema, plan))


def forget_source(dsn: str, schema: str, plan: int) -> None:
    """Lets go of a local source whose plan is over."""
    with _lock:
        _sources.pop((dsn, schema, plan), None)


def announce(ledger: Ledger, dsn: str, schema: str) -> Callable[[], None]:
    """Makes this process known as the worker of its local pool, before tasks lie there: else a reaper ends them.

    Returns what takes it back; with the last of several, the process is no longer at work there.
    """
    name = process_name()
    host, pid, _ = name.rsplit(":", 2)
    ledger.register_worker(name, host, int(pid), version(), [local_pool()])
    with _lock:
        _announced[dsn, schema] += 1

    def leave() -> None:
        with _lock:
            _announced[dsn, schema] -= 1
            last = not _announced[dsn, schema]
            if last:
                for key in [key for key in _sources if key[:2] == (dsn, schema)]:
                    del _sources[key]
        if last:
            ledger.stop_worker(name)

    return leave


@contextmanager
def renewing(dsn: str, schema: str, lease: int) -> Iterator[Renewer]:
    """The native thread that renews the leases of this process (`lease` in microseconds), shared by all who work.

    It is made by the first and closed by the last.
    """
    key = (dsn, schema, lease)
    with _lock:
        shared, users = _renewers.get(key) or (_core.Renewer(dsn, schema, lease), 0)
        _natives.add(shared)
        _renewers[key] = (shared, users + 1)
    try:
        yield shared
    finally:
        with _lock:
            shared, users = _renewers[key]
            if users > 1:
                _renewers[key] = (shared, users - 1)
            else:
                del _renewers[key]
        if users == 1:
            shared.close()


def open_ledger(dsn: str, schema: str) -> Ledger:
    """A connection of this process to a ledger. Raises Unreachable."""
    ledger = _core.Ledger(dsn, schema, process_name())
    keep_from_children(ledger)
    return ledger


class Watch:
    """The leases that are renewed, and the pages that are being fetched: one that takes too long is given up."""

    def __init__(self, renewer: Renewer) -> None:
        self._renewer = renewer
        self._lock = threading.Lock()
        self._fetches: dict[int, tuple[float, Callable[[], None]]] = {}
        self._given_up: set[int] = set()

    def state(self, run: Run) -> str:
        """held, cancelled, lost, paused, quarantined or draining, as of the last renewal."""
        return self._renewer.state(run)

    def hold(self, run: Run) -> None:
        """Renews the lease of `run` from now on."""
        self._renewer.add(run)

    def let_go(self, run: Run) -> None:
        """Renews the lease of `run` no longer."""
        with self._lock:
            self._fetches.pop(run.run_id, None)
        self._renewer.remove(run)

    def begin(self, run: Run, timeout: float, hung: Callable[[], None]) -> bool:
        """A page of `run` is being fetched, and must be there in `timeout` seconds from now; else `hung` is called.

        False: the run has been given up already.
        """
        with self._lock:
            if run.run_id in self._given_up:
                return False
            self._fetches[run.run_id] = (time.monotonic() + timeout, hung)
            return True

    def end(self, run: Run) -> bool:
        """The page is there. False: too late, the run has been given up and belongs to another thread."""
        with self._lock:
            self._fetches.pop(run.run_id, None)
            return run.run_id not in self._given_up

    def give_up_hung(self, now: float) -> None:
        """Gives up the runs whose page is overdue at `now` (time.monotonic)."""
        with self._lock:
            hung = [(run, call) for run, (until, call) in self._fetches.items() if until < now]
            for run, _ in hung:
                del self._fetches[run]
                self._given_up.add(run)
        for _, call in hung:
            call()


class Pulse:
    """A thread that says several times a lease that the workers of this process live, and looks for hung pages.

    It has a connection of its own: a long question on the caller's must not make a living worker look dead. `wishes` is
    what operators want of each worker: ACTIVE, QUARANTINED or DRAINING.
    """

    def __init__(self, ledger: Ledger, names: list[str], watch: Watch, lease: int) -> None:
        self._ledger = ledger
        self._names = names
        self._watch = watch
        self._interval = max(0.05, min(_BEAT_EVERY, lease / 3_000_000))
        self._stop = threading.Event()
        self.wishes = dict.fromkeys(names, "ACTIVE")
        self._thread = threading.Thread(target=self._run, name="strandline pulse", daemon=True)
        self._thread.start()

    def close(self, ended: list[str]) -> None:
        """Ends the thread and its connection; says that the workers `ended` stopped by themselves."""
        self._stop.set()
        self._thread.join()
        try:
            for name in ended:
                self._ledger.stop_worker(name)
        except Error as error:
            log.warning("the end of %s could not be written: %s", ", ".join(ended), error)
        self._ledger.close()

    def _run(self) -> None:
        due = time.monotonic() + self._interval
        while not self._stop.wait(min(self._interval, _LOOK_EVERY)):
            now = time.monotonic()
            self._watch.give_up_hung(now)
            if now < due:
                continue
            due = now + self._interval
            for name in self._names:
                try:
                    self.wishes[name] = self._ledger.heartbeat(name)
                except Error as error:
                    log.warning("no heartbeat for %s: %s", name, error)


def keep_from_children(native: Any) -> None:
    """A forked child must never end `native` (a Ledger, a Renewer): its connection and thread belong to the parent."""
    with _lock:
        _natives.add(native)


def _forget() -> None:
    global _lock, _numbers  # noqa: PLW0603 # a lock that another thread held at the fork stays locked in the child
    _lock = threading.Lock()
    _numbers = itertools.count(1)
    if _natives:
        import ctypes

        # One reference more than can be dropped: no destructor runs in the child, which would say goodbye to the server
        # on the parent's connection, or join a thread that is not there.
        for native in list(_natives):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))
    _natives.clear()
    _renewers.clear()
    _sources.clear()
    _announced.clear()


os.register_at_fork(after_in_child=_forget)
