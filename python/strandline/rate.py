"""Shared rates: how long a page must wait, so that all workers of a key together keep to its rate.

The rate lies in one row of the ledger per key. `rate_take` reserves a place there and says how long to wait for it.
Places are reserved for about a second only: whoever would wait longer asks again, and so hears of a pause that another
worker was told by the source meanwhile.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.errors import ConfigError, RateLimited

if TYPE_CHECKING:
    from strandline._core import Ledger

LONGEST = 30.0
"""Seconds that a run waits in place; for longer waits it is given back."""
_LONGEST_PAUSE = 3600.0
"""Seconds for which one answer of a source may close its key to all workers."""
_AHEAD = 1.0
_LOOK_EVERY = 1.0
_PER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls per second. They are spread evenly: two never start together after a pause."""

    per_second: float
    BURST = 1.0

    @property
    def interval(self) -> float:
        """Seconds between two calls."""
        return 1 / self.per_second


def parse(given: Any, where: str) -> Rate | None:
    """ "10/s", "600/min", "1000/h", "5/10 s" as a Rate; None for None. Raises ConfigError for everything else."""
    if given is None:
        return None
    match = _PER.fullmatch(given) if isinstance(given, str) else None
    count = float(match[1]) if match else 0.0
    if match is None or count <= 0:
        raise ConfigError(f'{where} is {given!r}; give calls per time, such as "10/s", "600/min" or "1000/h"')
    per = match[2] if match[2][0].isdigit() else f"1 {match[2]}"
    try:
        length = _core.duration_us(per)
    except ConfigError as error:
        raise ConfigError(f"{where} is {given!r}: {error}") from None
    if length <= 0:
        raise ConfigError(f"{where} is {given!r}; the time is longer than zero")
    return Rate(count * 1_000_000 / length)


class Throttled(RateLimited):
    """The shared rate of `key` leaves no place for longer than a run waits. The ledger knows that already."""

    def __init__(self, key: str, wait: float) -> None:
        super().__init__(f"the shared rate {key!r} leaves no place for {wait:.1f} s", retry_after=wait)
        self.key = key


class Rates:
    """The shared rates as one process sees them. Threads share it; its connection is opened when first needed."""

    def __init__(self, connect: Callable[[], Ledger]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._declared: dict[str, float] = {}
        self._said: dict[tuple[str, str], float | None] = {}  # what each source was heard to say of a key
        self._paused: dict[str, tuple[float, float]] = {}  # key: (when it was asked, until when it is paused)

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

    def push(self, key: str, seconds: float) -> None:
        """The source asked to wait: nobody calls it under this key for so long, an hour at most.

        The run that heard it rests for all of it; everybody else looks again after the hour, because a source that
        names a day too many must not close its key to other plans until somebody repairs the ledger.
        """
        seconds = min(seconds, _LONGEST_PAUSE)
        with self._lock:
            now = time.monotonic()
            self._paused[key] = (now, max(now + seconds, self._paused.get(key, (0.0, 0.0))[1]))
        self._opened().rate_push(key, seconds)

    def turn(
        self, key: str, rate: Rate | None, cost: int, wait: Callable[[float], None], source: str | None = None
    ) -> None:
        """Returns when `cost` calls under `key` may be made: at `rate`, or where that is None at what others declared.

        source: whose key it is. A rate that it had declared, and has no more, is taken back first.

        `wait` is called for the seconds to wait, and raises what ends the run. Raises Throttled when it would take
        longer than LONGEST.
        """
        if source is not None:
            self._say(key, source, rate)
        left = LONGEST
        while True:
            reserved, pause = self._reserve(key, rate, cost)
            if reserved:
                if pause > 0:
                    wait(pause)
                return
            if pause > left:
                raise Throttled(key, pause)
            step = max(0.05, pause - _AHEAD)  # the last second is waited for in line
            wait(step)
            left -= step

    def free(self, key: str, wait: Callable[[float], None]) -> None:
        """Returns when nobody has paused the key; for calls that keep to no rate. `wait` and Throttled as in `turn`."""
        left = LONGEST
        while (pause := self._look(key)) > 0:
            if pause > left:
                raise Throttled(key, pause)
            step = pause * random.uniform(1.0, 1.05)  # without a line, many must not come back in one moment
            wait(step)
            left -= step

    def _say(self, key: str, source: str, rate: Rate | None) -> None:
        """Tells the ledger once which rate a source gives its key."""
        per_second = None if rate is None else rate.per_second
        with self._lock:
            known = (key, source) in self._said and self._said[key, source] == per_second
        if not known:
            self._opened().fetch("rate.say", key, source, per_second)
            with self._lock:
                self._said[key, source] = per_second

    def _reserve(self, key: str, rate: Rate | None, cost: int) -> tuple[bool, float]:
        """Whether a place was reserved, and the seconds to wait for it, or before asking again."""
        ledger = self._opened()
        interval = 0.0
        if rate is not None:
            interval = rate.interval
            with self._lock:
                known = self._declared.get(key) == rate.per_second
            if not known:
                ledger.rate_declare(key, rate.per_second, Rate.BURST)
                with self._lock:
                    self._declared[key] = rate.per_second
        own = (cost - 1) * interval
        if own > LONGEST:
            raise ConfigError(f"{cost} calls at once take {own:.0f} s at the rate of {key!r}; ask for fewer at a time")
        wait = ledger.rate_take(key, cost, _AHEAD + own)
        if wait is not None:
            return True, wait
        pause = ledger.rate_wait(key)
        if pause <= 0 and rate is None:
            return True, 0.0  # nobody has given this key a rate
        if pause <= 0:
            with self._lock:
                self._declared.pop(key, None)  # another version of the source may have taken it back: say it again
        return False, max(pause, _AHEAD)

    def _look(self, key: str) -> float:
        """For how many seconds the key is paused. The ledger is asked once a second at most."""
        now = time.monotonic()
        with self._lock:
            asked, until = self._paused.get(key, (now - _LOOK_EVERY, 0.0))
        if until <= now and now - asked >= _LOOK_EVERY:
            until = now + self._opened().rate_wait(key)
            with self._lock:
                self._paused[key] = (now, until)
        return max(0.0, until - now)

    def _opened(self) -> Ledger:
        with self._lock:
            if self._ledger is None:
                self._ledger = self._connect()
            return self._ledger
