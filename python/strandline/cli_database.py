"""Opening the database that a command names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from .engine import Engine


def named(arguments: argparse.Namespace) -> dict[str, Any]:
    """`dsn` and `schema` as keyword arguments; what was not given is left to the settings."""
    given = {"dsn": arguments.dsn_ref, "schema": arguments.schema}
    return {name: value for name, value in given.items() if value is not None}


def connect(arguments: argparse.Namespace) -> Engine:
    """The engine of --dsn-ref and --schema, else of the settings."""
    from . import engine

    return engine.connect(**named(arguments))


def connect_patiently(arguments: argparse.Namespace, seconds: float | None) -> Engine:
    """The same for a worker: it waits for a server that does not answer yet, no longer than `seconds`."""
    from . import engine

    return engine.connect_patiently(arguments.dsn_ref, arguments.schema, seconds)


def subject(text: str | None) -> str | int | None:
    """OF as the engine takes it: a number is a plan, anything else a name or task:NUMBER."""
    return int(text) if text is not None and text.isdigit() else text


def task_named(text: str) -> str:
    """TASK as the engine takes it: a number is a task here."""
    if text.isdigit():
        return f"task:{text}"
    if not text.startswith("task:"):
        raise ConfigError(f"TASK is {text!r}; give its number, or task:NUMBER; `strandline status PLAN` lists them")
    return text
