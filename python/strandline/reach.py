"""Waiting for a server that went away or is about to come: one loop for all who do, and one limit."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from strandline.errors import Error, Unreachable

log = logging.getLogger("strandline")

RECONNECT_FOR = 60.0
"""Seconds for which a server that does not answer is waited for."""
_FIRST, _LONGEST = 0.1, 2.0

Answer = TypeVar("Answer")


def unreachable(error: Error) -> bool:
    """Whether nothing of a call took effect because the server did not answer."""
    return isinstance(error, Unreachable)


def reach(
    call: Callable[[], Answer],
    wait: Callable[[float], object],
    *,
    heals: Callable[[Error], bool] = unreachable,
    seconds: float = RECONNECT_FOR,
) -> Answer:
    """Calls until it succeeds, for so many seconds, with a pause that doubles from 0.1 s to 2 s and a jitter between.

    Raises what it met when that `heals` not, when the time is over, and when `wait`, which is called for the seconds of
    a pause, returns something true: somebody wants this to end.
    """
    until = time.monotonic() + seconds
    pause = _FIRST
    while True:
        try:
            return call()
        except Error as error:
            left = until - time.monotonic()
            if left <= 0 or not heals(error):
                raise
            this = min(left, pause * random.uniform(0.8, 1.0))
            log.warning("the server does not do it now, next try in %.1f s: %s", this, error)
            if wait(this):
                raise
            pause = min(_LONGEST, 2 * pause)


def aside(call: Callable[[], Answer], late: Callable[[Answer], object]) -> Answer:
    """Calls on a thread of its own: Ctrl-C is heard while the native layer waits for a network.

    `late` gets an answer that comes after that.
    """
    found: Future[Answer] = Future()
    left = threading.Event()

    def run() -> None:
        try:
            answer = call()
        except BaseException as error:  # noqa: BLE001 # raised where it is waited for
            found.set_exception(error)
            return
        found.set_result(answer)
        if left.is_set():
            late(answer)

    threading.Thread(target=run, name="strandline connect", daemon=True).start()
    try:
        return found.result()
    except KeyboardInterrupt:
        left.set()
        if found.done() and found.exception() is None:
            late(found.result())
        raise
