"""What is loaded: telling providers, values and iterators apart."""

from __future__ import annotations

from typing import Any

from strandline.errors import ConfigError
from strandline.provider import Provider
from strandline.reference import LOCAL
from strandline.values import Stream, Value, as_value

VALUE_REFERENCE = f"{LOCAL}value"
"""Stands where a plan of a value names its provider."""


def as_source(source: Any) -> Provider | Value | Stream:
    """The source as a provider, a value or an iterator. A provider class without required fields is made here.

    Raises ConfigError for anything else.
    """
    if isinstance(source, type) and issubclass(source, Provider):
        return source()
    if isinstance(source, Provider):
        return source
    found = as_value(source)
    if found is None:
        shown = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
        raise ConfigError(
            f"{shown} is no source: give a Provider, a list of rows, an iterator, or an Arrow or DataFrame object"
            + (" (decorate a function with @strandline.provider)" if callable(source) else "")
        )
    return found


def only_there(reference: str) -> str:
    """Why another process cannot work a local plan, and what to do about it."""
    name = reference.removeprefix(LOCAL)
    if reference == VALUE_REFERENCE:
        return "its rows are a value that only the process that planned it holds; call ingest there again"
    short = name.rpartition(":")[2].rpartition(".")[2]
    return f"{name} is known to the process that planned it only; move {short} into a module, and plan again"
