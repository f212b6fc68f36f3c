"""From what a user asks for, and what the provider says, to the request that the native planner takes.

What needs a look at the ledger is not done here: `depends_on` is left empty for whoever has one.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline import _core
from strandline.arguments import TEXT
from strandline.attributes import microseconds, time_left
from strandline.errors import ConfigError
from strandline.reference import is_local, reference_of, source_digest
from strandline.report import plain
from strandline.source import VALUE_REFERENCE
from strandline.target import Into, Target, check_columns, table_of
from strandline.values import Stream, Value
from strandline.window import Window, resolve, strategy

if TYPE_CHECKING:
    from strandline.provider import Provider
    from strandline.schema import Schema

_ONLY = ("missing", "failed", "all")
_ORDER = ("oldest", "newest")
_MODES = ("append", "merge")
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Ask:
    """The arguments of `plan` and `ingest` that say what is wanted. None means the provider's attribute."""

    into: Into = None
    window: Any = None
    slice: Any = None
    params: Mapping[str, Any] | None = None
    expr: Mapping[str, Any] | None = None
    mode: str | None = None
    primary_key: tuple[str, ...] | str | None = None
    schema: Any = None
    only: str = "missing"
    order: str = "oldest"
    operation: str = "HARVEST"
    priority: int = 5
    delay: Any = None
    deadline: Any = None
    trigger: str | Mapping[str, Any] | None = None
    depends_on: Any = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request is made: the ledger's schema, its clock (microseconds), the pool of local sources, the limits."""

    ledger_schema: str
    now: int
    local_pool: str
    max_slices: int
    actor: str


def of_provider(provider: Provider, ask: Ask, place: Place) -> tuple[dict[str, Any], Target]:
    """The plan request for a provider, and its target. Raises ConfigError for what cannot be planned."""
    kind = type(provider)
    _check(ask)
    provider.checked_params(ask.params)
    schema = provider.schema if ask.schema is None else ask.schema
    declared = None if schema is None else _declared(schema)
    target = _target(ask, place, provider.name, provider.primary_key, provider.cursor_field, provider.mode)
    zone = _core.zone(provider.time_zone)
    digest = source_digest(kind)
    deadline = provider.deadline if ask.deadline is None else ask.deadline
    return {
        **_common(ask, place),
        "provenance": {
            "code": provider.name,
            "reference": reference_of(kind),
            "version": provider.version,
            "source_digest": None if digest is None else digest.hex(),
            "config": provider.config,
            "labels": dict(provider.labels),
        },
        "stream": _stream(provider.name, target, declared, provider.contract),
        "trigger": _trigger(ask.trigger, provider.name),
        "cursor": {
            "type": provider.cursor_type.upper(),
            "time_zone": zone,
            "origin": _origin(provider.origin, provider.cursor_type, zone, place.now),
        },
        "value": None,
        "window": _window(ask.window, provider.cursor_type, zone, place.now),
        "lag": microseconds(provider.lag, f"{provider.name}.lag"),
        "lookback": microseconds(provider.lookback, f"{provider.name}.lookback"),
        "strategy": _strategy(provider.slice if ask.slice is None else ask.slice, provider.cursor_type),
        "pool": place.local_pool if is_local(kind) else provider.pool,
        **_mutex(provider.mutex_key),
        "max_attempts": provider.max_attempts,
        "max_losses": provider.max_losses,
        "deadline": _deadline(deadline, place.now, ask.trigger),
    }, target


def of_value(source: Value | Stream, ask: Ask, place: Place) -> tuple[dict[str, Any], Target]:
    """The plan request for a value or an iterator, and its target."""
    _check(ask)
    for name in ("window", "slice", "params", "expr"):
        if getattr(ask, name) is not None:
            raise ConfigError(f"{name}= is for providers: a value is loaded whole, as it is")
    if ask.into is None:
        raise ConfigError('a value has no name of its own: say where it goes, as in ingest(rows, into="schema.table")')
    key = _key(ask.primary_key) or ()
    if isinstance(source, Stream) and not key and ask.mode is None:
        raise ConfigError(
            "an iterator cannot be recognised when it is loaded again: give primary_key=, so that rows are matched,"
            ' or mode="append" to say that each call adds its rows'
        )
    target = _target(ask, place, "value", key, None, None)
    declared = None if ask.schema is None else _declared(ask.schema)
    if isinstance(source, Stream):
        value: dict[str, Any] = {"digest": None, "iterator": True}
    else:
        value = {"digest": source.digest(declared), "iterator": False}
    return {
        **_common(ask, place),
        "provenance": {
            "code": f"value:{target.name}",
            "reference": VALUE_REFERENCE,
            "version": "1",
            "source_digest": None,
            "config": {},
            "labels": {},
        },
        "stream": _stream("value", target, declared, {}),
        "trigger": _trigger(ask.trigger, target.name),
        "cursor": None,
        "value": value,
        "window": {"asked": None, "text": None, "lo": None, "hi": None},
        "lag": 0,
        "lookback": 0,
        "strategy": None,
        "pool": place.local_pool,
        **_mutex(None),
        "max_attempts": 5,
        "max_losses": 10,
        "deadline": _deadline(ask.deadline, place.now, ask.trigger),
    }, target


def _check(ask: Ask) -> None:
    for name, valid in (("only", _ONLY), ("order", _ORDER)):
        if getattr(ask, name) not in valid:
            raise ConfigError(f"{name} is {getattr(ask, name)!r}; the valid ones are {', '.join(valid)}")
    if ask.mode is not None and ask.mode not in _MODES:
        raise ConfigError(f"mode is {ask.mode!r}; the valid ones are {', '.join(_MODES)}")
    check_priority(ask.priority)


def check_priority(priority: Any) -> None:
    """Raises ConfigError for what is no priority."""
    if isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority <= 9:
        raise ConfigError(f"priority is {priority!r}; it goes from 1 (first) to 9 (last)")


def _common(ask: Ask, place: Place) -> dict[str, Any]:
    delay = 0 if ask.delay is None else microseconds(ask.delay, "delay")
    return {
        "operation": ask.operation,
        "actor": place.actor,
        "params": _json_mapping(ask.params, "params"),
        "params_defaults": None,
        "expr": _json_mapping(ask.expr, "expr"),
        "only": ask.only,
        "order": ask.order,
        "priority": ask.priority,
        "delay": delay,
        "labels": {},
        "credential": None,
        "cuts": None,
        "max_slices": place.max_slices,
        "depends_on": [],
        "dry_run": False,
    }


def _target(
    ask: Ask, place: Place, stream: str, key: tuple[str, ...], cursor_field: str | None, mode: str | None
) -> Target:
    schema, table = table_of(ask.into, stream, ledger_schema=place.ledger_schema)
    asked = _key(ask.primary_key)
    key = key if asked is None else asked
    check_columns(key, "primary_key")
    chosen = ask.mode or mode or ("merge" if key else "append")
    if chosen not in _MODES:
        raise ConfigError(f"mode is {chosen!r}; the valid ones are {', '.join(_MODES)}")
    if chosen == "merge" and not key:
        raise ConfigError(
            'mode="merge" matches rows by primary_key, and none is given; name its columns, or use append'
        )
    return Target(schema, table, chosen, key, cursor_field)


def _key(given: tuple[str, ...] | str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(given)


def _declared(schema: Any) -> Schema:
    from strandline.schema import Schema

    return schema if isinstance(schema, Schema) else Schema.declare(schema)


def _stream(name: str, target: Target, declared: Schema | None, contract: Any) -> dict[str, Any]:
    contract = {"columns": contract} if isinstance(contract, str) else dict(contract or {})
    columns = None
    if declared is not None:
        columns = [list(spec) for spec in declared.with_key(target.primary_key).specs]
        if declared.extra is not None:
            contract.setdefault("columns", declared.extra)
    return {"name": name, **target.to_dict(), "columns": columns, "contract": contract}


def _trigger(trigger: str | Mapping[str, Any] | None, job: str) -> dict[str, Any]:
    if trigger is None:
        return {"scheduler": "MANUAL", "job": job, "log": None, "type": "MANUAL"}
    if isinstance(trigger, str):
        if not trigger:
            raise ConfigError("trigger is empty; give the id of the run that triggers, or leave it out")
        return {"scheduler": "MANUAL", "job": job, "log": trigger, "type": "MANUAL"}
    if not isinstance(trigger, Mapping):
        raise ConfigError(f"trigger is {trigger!r}; give a text, or a mapping with scheduler, job and log")
    unknown = set(trigger) - {"scheduler", "job", "log", "type"}
    if unknown or "log" not in trigger:
        raise ConfigError(f"trigger is {dict(trigger)!r}; it has scheduler, job, log (required) and type")
    for name, value in trigger.items():
        if value is None or value == "":
            out = "trigger= out, for one of its own" if name == "log" else "it out"
            raise ConfigError(f"trigger[{name!r}] is {value!r}, which names nothing; give a text, or leave {out}")
        TEXT.check(f"trigger[{name!r}]", str(value))
    return {
        "scheduler": str(trigger.get("scheduler", "MANUAL")),
        "job": str(trigger.get("job", job)),
        "log": str(trigger["log"]),
        "type": str(trigger.get("type", "MANUAL")),
    }


def _origin(origin: Any, cursor_type: str, zone: str, now: int) -> int | None:
    if origin is None or cursor_type == "token":
        return None
    try:
        return resolve((origin, None), cursor_type=cursor_type, time_zone=zone, now=now)[0]
    except ConfigError as error:
        raise ConfigError(f"origin: {error}") from None


def _window(window: Any, cursor_type: str, zone: str, now: int) -> dict[str, Any]:
    if cursor_type == "token":
        if window is not None:
            raise ConfigError(
                'window= is given, and a provider of cursor_type "token" has none: it goes on at the last token'
            )
        return {"asked": None, "text": None, "lo": None, "hi": None}
    lo, hi = resolve(window, cursor_type=cursor_type, time_zone=zone, now=now)
    asked = list(window) if isinstance(window, tuple) else window
    if isinstance(window, Window):
        asked = str(window)
    return {
        "asked": _asked(asked),
        # A text is read again by the planner, against the moment of the trigger.
        "text": window if isinstance(window, str) else None,
        "lo": None if isinstance(window, str) else lo,
        "hi": None if isinstance(window, str) else hi,
    }


def _asked(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return f"{value // _MICROSECOND} us"
    if isinstance(value, list):
        return [_asked(item) for item in value]
    return plain(value)


def _strategy(slice: Any, cursor_type: str) -> Any:
    if cursor_type == "token" and slice is None:
        slice = {"strategy": "CURSOR"}
    text = strategy(slice)
    _core.check_strategy(text, cursor_type)
    return json.loads(text)


def _mutex(mutex_key: Any) -> dict[str, Any]:
    """ "key", which one task at a time may hold, or ("key", slots)."""
    key, slots = mutex_key if isinstance(mutex_key, (tuple, list)) else (mutex_key, None)
    return {"mutex_key": key, "mutex_slots": slots}


def _deadline(deadline: Any, now: int, trigger: Any) -> int | None:
    """The moment in microseconds. One that has passed is refused, unless a trigger may find its first plan again."""
    if deadline is None:
        return None
    if isinstance(deadline, dt.datetime):
        if deadline.utcoffset() is None:
            raise ConfigError(f"deadline {deadline!r} has no time zone; add one, or give a duration such as '2 hours'")
        moment = (deadline - _EPOCH) // _MICROSECOND
        if moment <= now and trigger is None:
            raise ConfigError(f"deadline is {deadline}, and has passed before anything can begin; give a later one")
        return moment
    return now + time_left(deadline, "deadline")


def _json_mapping(value: Mapping[str, Any] | None, where: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}, a {type(value).__name__}; give a mapping")
    try:
        # Through the canonical form: what has no JSON form is refused with its path, and dates become text.
        found: dict[str, Any] = json.loads(_core.canonical(dict(value)))
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{where} has no JSON form: {error}") from error
    return found


def actor() -> str:
    """Who asks, for the audit trail: the name of the operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user of that number
        return f"uid:{os.getuid()}"
