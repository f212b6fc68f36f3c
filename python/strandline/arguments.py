"""What the arguments of public functions may be: one table, looked at before a verb does anything.

Arguments that need more than a look at their type (`of`, `window`, `slice`, `into`, durations) are read, and refused,
where they are understood.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from strandline.errors import ConfigError

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Kind:
    """What an argument may be: in words, and as a test; `fault` says what others are.

    `read` makes Python's own of other libraries' numbers before, and leaves alone what it does not know.
    """

    wanted: str
    fits: Callable[[Any], bool]
    fault: str = ""
    read: Callable[[Any], Any] = lambda value: value

    def check(self, name: str, value: Any) -> Any:
        """The value as it is passed on. Raises ConfigError for one that does not fit."""
        value = self.read(value)
        if not self.fits(value):
            raise ConfigError(f"{name} is {_shown(value, self.fault)}; give {self.wanted}")
        return value


def _index(value: Any) -> Any:
    """An int of whatever is one, such as numpy.int64; a bool is none."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def _float(value: Any) -> Any:
    """A float of any real number; a bool is none, and what is too large stays as it is."""
    try:
        return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value
    except OverflowError:
        return value


def _bool(value: Any) -> Any:
    """numpy.bool_ (its name is bool from numpy 2 on) as a bool."""
    kind = type(value)
    return bool(value) if kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_") else value


def _text(value: Any) -> bool:
    """A text that PostgreSQL can hold."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _name(value: Any) -> bool:
    return _text(value) and bool(value.strip())


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


def _seconds(value: Any) -> bool:
    return isinstance(value, float) and value >= 0


def _names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (tuple, list)) and all(isinstance(each, str) for each in value))


def _optional(kind: Kind, none: str = "") -> Kind:
    return Kind(f"{kind.wanted}, or None{none}", lambda value: value is None or kind.fits(value), kind.fault, kind.read)


def _one_of(*valid: str) -> Kind:
    return Kind(f"one of {', '.join(valid)}", lambda value: isinstance(value, str) and value in valid)


TEXT = Kind("a text, without NUL and lone surrogates", _text)
HELD = Kind("a text without NUL and lone surrogates", lambda value: not isinstance(value, str) or _text(value))
"""What is read elsewhere: the texts among it must be ones that PostgreSQL can hold."""
NAME = Kind("a text that is not empty", _name, "which is no name")
SWITCH = Kind("True or False", lambda value: isinstance(value, bool), read=_bool)
NUMBER = Kind("a whole number", lambda value: True, read=_index)
"""What is looked at elsewhere, as an int where it is one."""
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
    "n": NUMBER,
    "of": NUMBER,
    "operation": NAME,
    "plan": NUMBER,
    "pool": _optional(NAME, " for the setting"),
    "priority": NUMBER,
    "primary_key": _optional(Kind('names of columns, such as ("id",)', _names)),
    "progress": _optional(
        Kind(
            "True, False, or a callable that takes a Report",
            lambda value: isinstance(value, bool) or callable(value),
            read=_bool,
        ),
        " for the setting",
    ),
    "reason": TEXT,
    "release": SWITCH,
    "schema": HELD,
    "seconds": _optional(Kind("a number of seconds from 0 on", _seconds, read=_float), " for no limit"),
    "slice": HELD,
    "since": _optional(
        Kind('an aware datetime or a text such as "-7 days"', lambda value: _text(value) or isinstance(value, datetime))
    ),
    "sql": TEXT,
    "state": _optional(TEXT),
    "task": replace(HELD, read=_index),
    "tasks": _optional(
        Kind("a number of tasks from 0 on", lambda value: _whole(value, 0), read=_index), " for no limit"
    ),
    "trigger": HELD,
    "worker": WORKER,
    "workers": _optional(
        Kind("the number of threads, at least 1", lambda value: _whole(value, 1), read=_index), " for the setting"
    ),
    # Where a name means something else.
    "drain.worker": Kind("the caller's number, from 0 on", lambda value: _whole(value, 0), read=_index),
    "pool.limit": _optional(
        Kind("a number of tasks from 0 on", lambda value: _whole(value, 0), read=_index), " for no limit"
    ),
    "pool.name": NAME,
    "status.limit": Kind("a number of rows, at least 1", lambda value: _whole(value, 1), read=_index),
}
"""Kinds by the name of the argument, or by function and argument."""


def checked(verb: _Verb) -> _Verb:
    """The function, which looks at its arguments first, and is given them as they are read.

    Those that stand in no table it takes as they come.
    """
    names = tuple(inspect.signature(verb).parameters)
    kinds = {name: TABLE.get(f"{verb.__name__}.{name}", TABLE.get(name)) for name in names}

    @functools.wraps(verb)
    def call(*args: Any, **given: Any) -> Any:
        def read(name: str, value: Any) -> Any:
            kind = kinds.get(name)
            return value if kind is None else kind.check(name, value)

        first = [read(name, value) for name, value in zip(names, args, strict=False)]
        return verb(*first, *args[len(names) :], **{name: read(name, value) for name, value in given.items()})

    return call  # type: ignore[return-value] # the same call


def _shown(value: Any, fault: str) -> str:
    shown = f"{value!r:.100}"
    if not fault and not isinstance(value, str):
        fault = f"of type {type(value).__name__}"
    return f"{shown}, {fault}" if fault else shown
