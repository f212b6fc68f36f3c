"""What the arguments of public functions may be: one table, looked at before a verb does anything.

Arguments that need more than a look at their type (`of`, `window`, `slice`, `into`, durations) are read, and refused,
where they are understood.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from strandline.errors import ConfigError

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Kind:
    """What an argument may be: in words, and as a test; `fault` says what others are."""

    wanted: str
    fits: Callable[[Any], bool]
    fault: str = ""

    def check(self, name: str, value: Any) -> None:
        """Raises ConfigError for a value that does not fit."""
        if not self.fits(value):
            raise ConfigError(f"{name} is {_shown(value, self.fault)}; give {self.wanted}")


def _text(value: Any) -> bool:
    """A text that PostgreSQL can hold."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _name(value: Any) -> bool:
    return _text(value) and bool(value.strip())


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


def _seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (tuple, list)) and all(isinstance(each, str) for each in value))


def _optional(kind: Kind, none: str = "") -> Kind:
    return Kind(f"{kind.wanted}, or None{none}", lambda value: value is None or kind.fits(value), kind.fault)


def _one_of(*valid: str) -> Kind:
    return Kind(f"one of {', '.join(valid)}", lambda value: isinstance(value, str) and value in valid)


TEXT = Kind("a text, without NUL and lone surrogates", _text)
HELD = Kind("a text without NUL and lone surrogates", lambda value: not isinstance(value, str) or _text(value))
"""What is read elsewhere: the texts among it must be ones that PostgreSQL can hold."""
NAME = Kind("a text that is not empty", _name, "which is no name")
SWITCH = Kind("True or False", lambda value: isinstance(value, bool))
WORKER = Kind("a name as `strandline status` lists it: host, host:pid or host:pid:n", _name, "which is no name")

TABLE: dict[str, Kind] = {
    "anchor": _optional(
        Kind("the hexadecimal digits of a head, or its bytes", lambda value: _text(value) or isinstance(value, bytes))
    ),
    "by": HELD,
    "check": SWITCH,
    "deadline": HELD,
    "delay": HELD,
    "dry_run": SWITCH,
    "errors": _one_of("raise", "report"),
    "forever": SWITCH,
    "mode": _optional(TEXT),
    "operation": NAME,
    "pool": _optional(NAME, " for the setting"),
    "primary_key": _optional(Kind('names of columns, such as ("id",)', _names)),
    "progress": _optional(
        Kind(
            "True, False, or a callable that takes a Report", lambda value: isinstance(value, bool) or callable(value)
        ),
        " for the setting",
    ),
    "reason": TEXT,
    "release": SWITCH,
    "schema": HELD,
    "seconds": _optional(Kind("a number of seconds from 0 on", _seconds), " for no limit"),
    "slice": HELD,
    "since": _optional(
        Kind('an aware datetime or a text such as "-7 days"', lambda value: _text(value) or isinstance(value, datetime))
    ),
    "sql": TEXT,
    "state": _optional(TEXT),
    "task": HELD,
    "tasks": _optional(Kind("a number of tasks from 0 on", lambda value: _whole(value, 0)), " for no limit"),
    "trigger": HELD,
    "worker": WORKER,
    "workers": _optional(Kind("the number of threads, at least 1", lambda value: _whole(value, 1)), " for the setting"),
    # Where a name means something else.
    "drain.worker": Kind("the caller's number, from 0 on", lambda value: _whole(value, 0)),
    "pool.limit": _optional(Kind("a number of tasks from 0 on", lambda value: _whole(value, 0)), " for no limit"),
    "pool.name": NAME,
    "status.limit": Kind("a number of rows, at least 1", lambda value: _whole(value, 1)),
}
"""Kinds by the name of the argument, or by function and argument."""


def checked(verb: _Verb) -> _Verb:
    """The function, which looks at its arguments first. Those that stand in no table it takes as they come."""
    names = tuple(inspect.signature(verb).parameters)
    kinds = {name: TABLE.get(f"{verb.__name__}.{name}", TABLE.get(name)) for name in names}

    @functools.wraps(verb)
    def call(*args: Any, **given: Any) -> Any:
        for name, value in (*zip(names, args, strict=False), *given.items()):
            kind = kinds.get(name)
            if kind is not None:
                kind.check(name, value)
        return verb(*args, **given)

    return call  # type: ignore[return-value] # the same call


def _shown(value: Any, fault: str) -> str:
    shown = f"{value!r:.100}"
    if not fault and not isinstance(value, str):
        fault = f"of type {type(value).__name__}"
    return f"{shown}, {fault}" if fault else shown
