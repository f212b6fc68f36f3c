"""Windows: half-open stretches of time or of ids, as providers receive them and as users ask for them.

Bounds are exact: between ``datetime`` and the core's microseconds only integers are computed, never a float timestamp.
"""

from __future__ import annotations

import datetime as dt
import json
import operator
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from strandline import _core
from strandline.arguments import HELD
from strandline.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Bound: TypeAlias = dt.datetime | dt.date | dt.timedelta | int | str | None
Slice: TypeAlias = str | int | dt.timedelta | Mapping[str, Any] | None

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class Window:
    """A half-open stretch ``[start, stop)``.

    ``start`` and ``stop`` are aware datetimes in ``time_zone``, or ints for sources that count ids. A Window never
    changes, can be hashed and pickled, and equals another with the same bounds and zone. ``str()`` gives the text
    ``start/stop`` that ``window=`` reads back. Raises ConfigError for naive datetimes, other types and reversed bounds.
    """

    __slots__ = ("_hi", "_lo", "_zone")

    _lo: int
    _hi: int
    _zone: str | None  # None: the bounds are ids

    def __init__(self, start: dt.datetime | int, stop: dt.datetime | int, *, time_zone: str = "UTC") -> None:
        if isinstance(start, dt.datetime) and isinstance(stop, dt.datetime):
            zone: str | None = _core.zone(time_zone)
            lo, hi = _microseconds(start, "start"), _microseconds(stop, "stop")
        elif _is_id(start) and _is_id(stop):
            zone = None
            lo, hi = operator.index(start), operator.index(stop)  # type: ignore[arg-type] # _is_id has looked
        else:
            raise ConfigError(
                f"Window({start!r}, {stop!r}): start and stop are two aware datetimes, or two ints for ids. "
                "Windows with open sides, dates and texts are for window=, which resolves them."
            )
        self._set(lo, hi, zone)

    def _set(self, lo: int, hi: int, zone: str | None) -> None:
        object.__setattr__(self, "_lo", lo)
        object.__setattr__(self, "_hi", hi)
        object.__setattr__(self, "_zone", zone)
        _check_order(lo, hi, "time" if zone else "id", "the window")

    @classmethod
    def from_bounds(cls, lo: int, hi: int, cursor_type: str = "time", time_zone: str = "UTC") -> Window:
        """A window of the core's bounds: microseconds since 1970-01-01T00:00Z for time, else ids or ordinals."""
        window = cls.__new__(cls)
        if cursor_type.lower() == "time":
            window._set(_in_years(lo, "start"), _in_years(hi, "stop"), _core.zone(time_zone))
        else:
            window._set(lo, hi, None)
        return window

    @property
    def start(self) -> dt.datetime | int:
        """The first instant, or the first id."""
        return self._value(self._lo)

    @property
    def stop(self) -> dt.datetime | int:
        """The first instant behind the window, or the first id behind it."""
        return self._value(self._hi)

    @property
    def time_zone(self) -> str:
        """The zone of ``start`` and ``stop``; "UTC" for ids."""
        return self._zone or "UTC"

    @property
    def cursor_type(self) -> str:
        """``"time"`` or ``"id"``."""
        return "time" if self._zone else "id"

    @property
    def bounds(self) -> tuple[int, int]:
        """(lo, hi) as the ledger stores them: microseconds since 1970-01-01T00:00Z, or ids."""
        return self._lo, self._hi

    def between(self, start: str, stop: str) -> dict[str, Any]:
        """Query parameters ``{start: ..., stop: ...}``: inclusive start, exclusive stop, in RFC 3339 (ints for ids)."""
        if self._zone is None:
            return {start: self._lo, stop: self._hi}
        return {start: _core.rfc3339(self._lo), stop: _core.rfc3339(self._hi)}

    def last(self, step: str | int | dt.timedelta) -> dt.datetime | int:
        """The inclusive end, for sources whose ranges include both ends: ``stop`` minus a step, never before ``start``.

        ``step`` is the source's resolution: ``"1 day"``, ``"1 s"`` or a timedelta, an int for ids.
        """
        if self._zone is None:
            if not _is_id(step) or operator.index(step) <= 0:  # type: ignore[arg-type] # _is_id has looked
                raise ConfigError(f"last({step!r}): a window of ids ends one number of ids earlier, such as last(1).")
            return max(self._lo, self._hi - operator.index(step))  # type: ignore[arg-type] # _is_id has looked
        if isinstance(step, dt.timedelta) and step > dt.timedelta(0):
            return self._value(max(self._lo, self._hi - step // _MICROSECOND))
        duration = _core.parse_duration(step) if isinstance(step, str) else None
        if duration is None or duration["count"] <= 0:
            raise ConfigError(f'last({step!r}): a window of time ends one duration earlier, such as last("1 day").')
        return self._value(max(self._lo, _core.shift(self._hi, f"-{duration['text']}", self._zone)))

    def split(self, slice: Slice) -> list[Window]:
        """The slices that a plan of this window would have, e.g. ``split("1 week")``; ascending, together the window.

        Strategies that ask a provider (BUDGET, CUSTOM) are a ConfigError here.
        """
        spec = strategy(slice)
        _core.check_strategy(spec, self.cursor_type)
        if (code := json.loads(spec)["strategy"]) in ("BUDGET", "CUSTOM"):
            raise ConfigError(f"split({slice!r}): {code} asks the provider where to cut. Plan the window instead.")
        lo, hi = _core.frame(spec, self.time_zone, self._lo, self._hi)
        points = _core.cut(spec, self.time_zone, lo, hi)
        return [self._with(*pair) for pair in pairwise(points)]

    def _with(self, lo: int, hi: int) -> Window:
        window = type(self).__new__(type(self))
        window._set(lo, hi, self._zone)
        return window

    def _value(self, bound: int) -> dt.datetime | int:
        return bound if self._zone is None else _datetime(bound, self._zone)

    def __contains__(self, item: object) -> bool:
        """Whether an instant, an id, or a whole other window lies inside."""
        if isinstance(item, Window):
            if (item._zone is None) != (self._zone is None):
                return False
            return item._lo == item._hi or (self._lo <= item._lo and item._hi <= self._hi)
        if self._zone is not None and isinstance(item, dt.datetime):
            return self._lo <= _microseconds(item, "the datetime") < self._hi
        if self._zone is None and _is_id(item):
            return self._lo <= operator.index(item) < self._hi  # type: ignore[arg-type] # _is_id has looked
        wanted = "ids" if self._zone is None else "aware datetimes"
        raise ConfigError(f"{item!r} in {self!r}: this window holds {wanted}.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        return (self._lo, self._hi, self._zone) == (other._lo, other._hi, other._zone)

    def __hash__(self) -> int:
        return hash((self._lo, self._hi, self._zone))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Window never changes; make another instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Window never changes; {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Window.from_bounds, (self._lo, self._hi, self.cursor_type, self.time_zone)

    def __str__(self) -> str:
        if self._zone is None:
            return f"{self._lo}/{self._hi}"
        return f"{_core.rfc3339(self._lo)}/{_core.rfc3339(self._hi)}"

    def __repr__(self) -> str:
        if self._zone is None:
            return f"<Window {self._lo} to {self._hi}>"
        start, stop = _datetime(self._lo, self._zone), _datetime(self._hi, self._zone)
        if start.time() == stop.time() == dt.time():
            return f"<Window {start.date()} to {stop.date()} {self._zone}>"
        return f"<Window {start.isoformat()} to {stop.isoformat()} {self._zone}>"


def resolve(window: object, *, cursor_type: str, time_zone: str, now: int) -> tuple[int | None, int | None]:
    """What a user gave as ``window=`` as bounds (lo, hi); None is an open side.

    ``window`` is None, a Window, ``(start, stop)`` with either side open, a text ("2013-Q2", "2013-05-01/2013-06-01",
    "-7 days/"), a date (that day) or a negative timedelta (from then on). ``now`` is in microseconds since
    1970-01-01T00:00Z; dates and texts without an offset are in ``time_zone``. Raises ConfigError for everything else.
    """
    if window is None:
        return None, None
    if cursor_type not in ("time", "id"):
        _core.parse_window("/", time_zone, now, cursor_type)  # raises: such a cursor has no window
    HELD.check("the window", window)
    if isinstance(window, str):
        return _core.parse_window(window, time_zone, now, cursor_type)
    if isinstance(window, Window):
        if window.cursor_type != cursor_type:
            raise ConfigError(
                f"{window!r} is a window of {window.cursor_type}, the provider's cursor_type is {cursor_type!r}."
            )
        return window.bounds
    if isinstance(window, (tuple, list)):
        if len(window) != 2:
            raise ConfigError(
                f"the window {window!r} has {len(window)} parts. Give (start, stop); None is an open side."
            )
        lo = _bound(window[0], "start", cursor_type, time_zone, now)
        hi = _bound(window[1], "stop", cursor_type, time_zone, now)
        if lo is not None and hi is not None:
            _check_order(lo, hi, cursor_type, f"the window {window!r}")
        return lo, hi
    if cursor_type == "time" and isinstance(window, dt.date) and not isinstance(window, dt.datetime):
        return _core.parse_window(window.isoformat(), time_zone, now, cursor_type)
    if cursor_type == "time" and isinstance(window, dt.timedelta) and window <= dt.timedelta(0):
        return now + window // _MICROSECOND, None
    raise ConfigError(
        f'the window {window!r} is not understood. Give (start, stop), where None is an open side, or "start/stop"'
        + (
            ', or "2013", "2013-Q2", "2013-05-01", a date, "-7 days/".'
            if cursor_type == "time"
            else "; bounds are ints."
        )
    )


def strategy(slice: Slice) -> str:
    """The canonical JSON text of what a user gave as ``slice=``; None is one slice. ConfigError for everything else."""
    if slice is None or isinstance(slice, str):
        return _core.strategy(slice)  # a text may be JSON too: what is stored, or an option of the command line
    if isinstance(slice, dt.timedelta):
        slice = {"strategy": "TIME", "step": slice}
    try:
        return _core.strategy(json.dumps(dict(slice) if isinstance(slice, Mapping) else slice, default=_step))
    except (TypeError, ValueError):
        raise ConfigError(
            f'the slice {slice!r} is no strategy. Give a duration ("1 week"), a timedelta, a number of ids, '
            'or a mapping such as {"strategy": "BUDGET", "max_records": 50000}.'
        ) from None


def _step(value: object) -> str:
    # A timedelta has no calendar: its length, counted from 1970 in UTC, is what "us" means to the core.
    if isinstance(value, dt.timedelta):
        return f"{value // _MICROSECOND} us"
    raise TypeError


def _is_id(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _check_order(lo: int, hi: int, cursor_type: str, where: str) -> None:
    if lo > hi:
        start, stop = (_core.rfc3339(lo), _core.rfc3339(hi)) if cursor_type == "time" else (lo, hi)
        raise ConfigError(
            f"{where} is reversed: it starts at {start} and stops before, at {stop}. Write the earlier bound first."
        )


def _bound(value: object, side: str, cursor_type: str, time_zone: str, now: int) -> int | None:
    if value is None:
        return None
    HELD.check(f"the window's {side}", value)
    if isinstance(value, str):
        return _core.parse_bound(value, time_zone, now, cursor_type)
    if cursor_type == "id":
        if _is_id(value):
            return _in_64_bits(operator.index(value), side)  # type: ignore[arg-type] # _is_id has looked
        raise ConfigError(f"the window's {side} {value!r} is no int, and the provider's cursor_type is \"id\".")
    if isinstance(value, dt.datetime):
        return _microseconds(value, f"the window's {side}")
    if isinstance(value, dt.date):
        return _core.parse_bound(value.isoformat(), time_zone, now, cursor_type)
    if isinstance(value, dt.timedelta):
        return _in_years(now + value // _MICROSECOND, side)
    raise ConfigError(
        f"the window's {side} {value!r} is a {type(value).__name__}. Give an aware datetime, a date, a text, a "
        "timedelta from now, or None for an open side" + ('; ints are for cursor_type "id".' if _is_id(value) else ".")
    )


def _microseconds(value: dt.datetime, where: str) -> int:
    if value.utcoffset() is None:
        raise ConfigError(
            f"{where} {value!r} has no time zone, so the instant is not known. Add one, e.g. "
            'value.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), or give the text, which is read in time_zone.'
        )
    return _in_years((value - _EPOCH) // _MICROSECOND, where)


def _in_years(bound: int, where: str) -> int:
    _core.rfc3339(_in_64_bits(bound, where))  # raises outside of the years 1 to 9999
    return bound


def _in_64_bits(bound: int, where: str) -> int:
    if not -(2**63) <= bound < 2**63:
        raise ConfigError(f"the {where} {bound} of the window does not fit into 64 bits.")
    return bound


def _datetime(bound: int, zone: str) -> dt.datetime:
    instant = _EPOCH + dt.timedelta(microseconds=bound)
    try:
        return instant.astimezone(_zone_info(zone))
    except OverflowError:  # the wall clock shows year 0 or 10000, which datetime has not
        return instant


def _zone_info(zone: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo  # here: it costs a tenth of `import strandline`, and caches its zones itself

    return ZoneInfo(zone)
