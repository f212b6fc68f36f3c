"""The attributes of a provider: their defaults, what they may be, and which ones this version does not act on yet."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from strandline import _core
from strandline.arguments import HELD
from strandline.errors import ConfigError
from strandline.rate import parse as parse_rate
from strandline.schema import LINEAGE_PREFIX
from strandline.window import resolve, strategy

BACKOFF = ("1 s", "5 s", "30 s", "2 min", "10 min")
CURSOR_TYPES = ("time", "id", "token")
MODES = ("append", "merge")
CONTRACTS = ("evolve", "freeze")

DEFAULTS: dict[str, Any] = {
    "version": "1",
    "schema": None,
    "primary_key": (),
    "cursor_field": None,
    "cursor_type": "time",
    "mode": None,
    "contract": "evolve",
    "streams": None,
    "origin": None,
    "time_zone": "UTC",
    "slice": None,
    "lag": "0 s",
    "lookback": "0 s",
    "ordered": False,
    "rate": None,
    "rate_key": None,
    "pool": "default",
    "page_timeout": "15 min",
    "max_attempts": 5,
    "max_losses": 10,
    "mutex_key": None,
    "deadline": None,
    "backoff": BACKOFF,
    "burst_length": "5 min",
    "burst_interval": "5 s",
    "rest_length": "1 day",
    "guard": None,
    "labels": {},
    "Params": None,
}
NAMES = frozenset(("name", *DEFAULTS))

# Refused rather than ignored: a guard that nobody asks is worse than none.
NOT_YET = {
    "streams": "a provider has one stream; write one provider for each",
    "burst_length": "there are no snapshot cycles",
    "burst_interval": "there are no snapshot cycles",
    "rest_length": "there are no snapshot cycles",
    "guard": "removals are not held back: only rows that a page names in deleted are removed, and at once",
}
HOOKS_NOT_YET = {"on_event": "events from outside are not received"}

_NAME = re.compile(r"[^\W\d][\w.-]*")
_LONGEST = 63
_MICROSECOND = dt.timedelta(microseconds=1)


def check(kind: type) -> None:
    """Checks the attributes of a provider class, and makes its key and backoff tuples. ConfigError names it."""
    where = kind.__name__
    value = {name: getattr(kind, name, default) for name, default in DEFAULTS.items()}
    for name, reason in NOT_YET.items():
        if value[name] != DEFAULTS[name]:
            raise ConfigError(
                f"{where}.{name} is set, and this version of strandline does not act on it: {reason}. Remove it"
            )
    for name in DEFAULTS:
        HELD.check(f"{where}.{name}", value[name])
    _check_name(kind, where)
    _choice(
        where,
        "cursor_type",
        value,
        CURSOR_TYPES,
        {"snapshot": "snapshot providers are not in this version of strandline"},
    )
    _choice(where, "mode", value, (None, *MODES), {})
    _choice(where, "contract", value, CONTRACTS, {})
    for name in ("version", "time_zone", "pool"):
        _text(where, name, value[name])
    if value["cursor_field"] is not None:
        _text(where, "cursor_field", value["cursor_field"])
        _no_lineage(where, "cursor_field", value["cursor_field"])
    for name in ("max_attempts", "max_losses"):
        if isinstance(value[name], bool) or not isinstance(value[name], int) or not 1 <= value[name] < 2**31:
            raise ConfigError(f"{where}.{name} is {value[name]!r}; give a whole number from 1 on, below 2**31")
    kind.primary_key = _primary_key(where, value["primary_key"])  # type: ignore[attr-defined] # it is a Provider
    for name in ("lag", "lookback", "page_timeout"):
        microseconds(value[name], f"{where}.{name}")
    kind.backoff = _backoff(where, value["backoff"])  # type: ignore[attr-defined] # it is a Provider
    parse_rate(value["rate"], f"{where}.rate")
    if value["rate_key"] is not None:
        _text(where, "rate_key", value["rate_key"])
    kind.mutex_key = _mutex(where, value["mutex_key"])  # type: ignore[attr-defined] # it is a Provider
    _check_ordered(where, value)
    _check_lookback(kind, where, value)
    _check_deadline(where, value["deadline"])
    _check_labels(where, value["labels"])
    if value["Params"] is not None and not isinstance(value["Params"], type):
        raise ConfigError(f"{where}.Params is {value['Params']!r}; give a class, such as a dataclass or a TypedDict")
    _check_zone_and_origin(where, value)
    _check_slice(kind, where, value)


def microseconds(duration: Any, where: str) -> int:
    """A duration, a text or a timedelta, in microseconds. Raises ConfigError for negative ones and for other values."""
    if isinstance(duration, dt.timedelta):
        length = duration // _MICROSECOND
    elif isinstance(duration, str):
        try:
            length = _core.duration_us(duration)
        except ConfigError as error:
            raise ConfigError(f"{where} is {duration!r}: {error}") from None
    else:
        raise ConfigError(f'{where} is {duration!r}; give a duration with its unit, such as "10 min", or a timedelta')
    if length < 0:
        raise ConfigError(f"{where} is {duration!r}; a duration is not negative")
    return length


def time_left(deadline: Any, where: str) -> int:
    """A deadline that is a duration, in microseconds. Raises ConfigError for one that leaves no time."""
    length = microseconds(deadline, where)
    if length == 0:
        raise ConfigError(
            f"{where} is {deadline!r}, and has passed before anything can begin; give a longer one, or none at all"
        )
    return length


def check_unknown(names: Mapping[str, Any], where: str, *, strict: bool = False) -> None:
    """Raises ConfigError for names that look like misspelt attributes; `strict`: for all that are no attribute."""
    for name in names:
        if name in NAMES or (name.startswith("_") and not strict):
            continue
        close = difflib.get_close_matches(name.lower(), NAMES, 1, 0.5 if strict else 0.85)
        if close or strict:
            advice = f"did you mean {close[0]!r}?" if close else f"they are {', '.join(sorted(NAMES))}"
            if not strict:
                advice += " A constant of your own needs a name less alike, or an upper-case one"
            raise ConfigError(f"{where} sets {name!r}, which is no attribute of a provider; {advice}")


def _check_name(kind: type, where: str) -> None:
    name = getattr(kind, "name", None)
    if name is None:
        raise ConfigError(
            f'{where} has no name: set name = "..." in the class. It names the source in the ledger, and its table.'
            " (A base class for other providers: class Base(strandline.Provider, abstract=True))"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST:
        raise ConfigError(
            f"{where}.name is {name!r}; a name begins with a letter and goes on with letters, digits, '_', '-' and"
            f" '.', at most {_LONGEST} bytes"
        )


def _choice(where: str, name: str, value: Mapping[str, Any], valid: tuple[Any, ...], later: Mapping[str, str]) -> None:
    given = value[name]
    if isinstance(given, str) and given in later:
        raise ConfigError(f"{where}.{name} is {given!r}: {later[given]}")
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"{where}.{name} is {given!r}; in this version the valid ones are {_listed(valid)}")
    if given not in valid:
        close = difflib.get_close_matches(str(given), [choice for choice in valid if choice], 1)
        advice = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{where}.{name} is {given!r}; the valid ones are {_listed(valid)}{advice}")


def _listed(valid: tuple[Any, ...]) -> str:
    return ", ".join(repr(choice) for choice in valid)


def _text(where: str, name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}.{name} is {value!r}; give a text that is not empty")


def _primary_key(where: str, key: Any) -> tuple[str, ...]:
    if isinstance(key, str):
        raise ConfigError(f"{where}.primary_key is the text {key!r}; give a tuple of columns: ({key!r},)")
    if not isinstance(key, (tuple, list)) or not all(isinstance(column, str) and column for column in key):
        raise ConfigError(f'{where}.primary_key is {key!r}; give a tuple of column names, such as ("id",)')
    if len(set(key)) != len(key):
        raise ConfigError(f"{where}.primary_key is {key!r}, which names a column twice; name it once")
    for column in key:
        _no_lineage(where, "primary_key", column)
    return tuple(key)


def _no_lineage(where: str, name: str, column: str) -> None:
    if column.startswith(LINEAGE_PREFIX):
        raise ConfigError(
            f"{where}.{name} names the column {column!r}; names that begin with {LINEAGE_PREFIX!r} are those of"
            " strandline's own columns; give a column of the rows"
        )


def _backoff(where: str, backoff: Any) -> tuple[Any, ...]:
    if isinstance(backoff, (str, dt.timedelta)) or not isinstance(backoff, (tuple, list)) or not backoff:
        raise ConfigError(
            f'{where}.backoff is {backoff!r}; give a tuple of durations, such as ("1 s", "1 min"): the last one repeats'
        )
    for number, step in enumerate(backoff):
        microseconds(step, f"{where}.backoff[{number}]")
    return tuple(backoff)


def _mutex(where: str, mutex: Any) -> str | tuple[str, int] | None:
    if mutex is None:
        return None
    pair = isinstance(mutex, (tuple, list)) and len(mutex) == 2
    key, slots = mutex if pair else (mutex, 1)
    if not isinstance(key, str) or not key.strip():
        raise ConfigError(
            f'{where}.mutex_key is {mutex!r}; give a text, such as "warehouse", or a text and how many tasks may'
            ' have it at once: ("warehouse", 3)'
        )
    if isinstance(slots, bool) or not isinstance(slots, int) or not 1 <= slots < 2**31:
        raise ConfigError(f"{where}.mutex_key has {slots!r} slots; give a whole number from 1 on")
    return (key, slots) if pair else key


def _check_ordered(where: str, value: Mapping[str, Any]) -> None:
    ordered = value["ordered"]
    if not isinstance(ordered, bool):
        raise ConfigError(f"{where}.ordered is {ordered!r}; give True or False")
    if ordered and value["cursor_type"] not in ("time", "id"):
        raise ConfigError(
            f"{where}.ordered says that pages come in the order of the window, and a provider of"
            f" {value['cursor_type']}s has none; remove it"
        )


def _check_lookback(kind: type, where: str, value: Mapping[str, Any]) -> None:
    if microseconds(value["lookback"], f"{where}.lookback") == 0:
        return
    if value["cursor_type"] != "time":
        raise ConfigError(
            f"{where}.lookback reads the end of the window again; cursor_type {value['cursor_type']!r} has none"
        )
    if value["mode"] == "append" or not kind.primary_key:  # type: ignore[attr-defined] # it is a Provider
        raise ConfigError(
            f"{where}.lookback reads rows again, and append would store them twice; give a primary_key, with mode merge"
        )


def _check_deadline(where: str, deadline: Any) -> None:
    if isinstance(deadline, dt.datetime):
        if deadline.utcoffset() is None:
            raise ConfigError(f"{where}.deadline is {deadline!r}, which has no time zone; add one, or give a duration")
    elif deadline is not None:
        time_left(deadline, f"{where}.deadline")


def _check_labels(where: str, labels: Any) -> None:
    if not isinstance(labels, Mapping) or not all(isinstance(key, str) for key in labels):
        raise ConfigError(f"{where}.labels is {labels!r}; give a dict with text keys")
    try:
        json.dumps(dict(labels), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.labels is no JSON: {error}") from error


def _check_zone_and_origin(where: str, value: Mapping[str, Any]) -> None:
    try:
        _core.zone(value["time_zone"])
    except ConfigError as error:
        raise ConfigError(f"{where}.time_zone: {error}") from None
    if value["origin"] is None:
        return
    if value["cursor_type"] == "token":
        raise ConfigError(
            f"{where}.origin is the start of the first window, and a provider of tokens has no window; remove it"
        )
    try:
        resolve(
            (value["origin"], None),
            cursor_type=value["cursor_type"],
            time_zone=value["time_zone"],
            now=time.time_ns() // 1000,
        )
    except ConfigError as error:
        raise ConfigError(f"{where}.origin: {error}") from None


def _check_slice(kind: type, where: str, value: Mapping[str, Any]) -> None:
    if value["slice"] is None:
        return
    try:
        spec = strategy(value["slice"])
        _core.check_strategy(spec, value["cursor_type"])
    except ConfigError as error:
        raise ConfigError(f"{where}.slice: {error}") from None
    needs = {"BUDGET": "estimate", "CUSTOM": "slices"}.get(json.loads(spec)["strategy"])
    if needs is not None and not callable(getattr(kind, needs, None)):
        raise ConfigError(f"{where}.slice asks the provider where to cut; define {needs}(self, window)")
