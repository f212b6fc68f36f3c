"""From the words of a command to a provider and the arguments of an ingestion."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import reference
from .cli_database import subject
from .errors import ConfigError

if TYPE_CHECKING:
    from .provider import Provider


def provider(arguments: argparse.Namespace) -> Provider:
    """The provider that REF, --config and --set name."""
    kind = reference.load(arguments.ref)
    config = _document(arguments.config, "--config") if arguments.config else {}
    if not isinstance(config, dict):
        raise ConfigError(f"--config must be a JSON object of the provider's fields, not {_kind(config)}")
    return kind(**{**config, **pairs(arguments.set, "--set")})


def pairs(words: Sequence[str], option: str) -> dict[str, Any]:
    """`k=v` words as a mapping; a value that is JSON is read as JSON, anything else is text."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option} {word!r}: write {option} name=value")
        if key in found:
            raise ConfigError(f"{option} names {key!r} twice")
        found[key] = value_of(value)
    return found


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself: `5` is a number, `eu` and `"5"` are texts."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def request(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of Engine.plan and Engine.ingest that the options stand for; only those that were given."""
    given = {
        "into": arguments.into,
        "window": arguments.window,
        "slice": slice_of(arguments.slice, "--slice"),
        "params": pairs(arguments.param, "--param") or None,
        "expr": _document(arguments.expr, "--expr") if arguments.expr else None,
        "mode": arguments.mode,
        "only": arguments.only,
        "order": arguments.order,
        "operation": arguments.operation,
        "priority": arguments.priority,
        "delay": arguments.delay,
        "deadline": arguments.deadline,
        "depends_on": [subject(each) for each in arguments.depends_on] or None,
        "trigger": _trigger(arguments.trigger),
    }
    return {name: value for name, value in given.items() if value is not None}


def slice_of(text: str | None, option: str) -> Any:
    """A slice as the engine takes it: a number of ids, JSON, or the text, a duration."""
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        return _document(text, option)
    return int(text) if text.strip().isdigit() else text


def _trigger(text: str | None) -> Any:
    return _document(text, "--trigger") if text is not None and text.lstrip().startswith("{") else text


def _document(text: str, option: str) -> Any:
    where = option
    if text.startswith("@"):
        path = Path(text[1:])
        where = f"{option} {path}"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{option} names a file that cannot be read: {error}") from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not JSON: {error}") from error


def _kind(value: Any) -> str:
    return f"the {type(value).__name__} {value!r}"[:80]
