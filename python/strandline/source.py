"""What is loaded: telling providers, values and iterators apart, and reading what a provider says about itself."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strandline.errors import ConfigError
from strandline.provider import Provider
from strandline.values import Stream, Value, as_value

CURSOR_TYPES = ("time", "id", "token")


@dataclass(frozen=True, slots=True)
class About:
    """A provider's attributes, its only stream's over its own, and where its class can be found."""

    name: str
    version: str
    reference: str
    local: bool
    source_digest: str | None
    config: dict[str, Any]
    labels: Mapping[str, str]
    stream: str
    schema: Any
    primary_key: tuple[str, ...]
    cursor_field: str | None
    cursor_type: str
    mode: str | None
    contract: Any
    origin: Any
    time_zone: str
    slice: Any
    lag: Any
    lookback: Any
    pool: str
    mutex_key: str | None
    max_attempts: int
    max_losses: int
    deadline: Any


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
        shown = source.__name__ if isinstance(source, type) else f"a {type(source).__name__}"
        raise ConfigError(
            f"{shown} is no source: give a Provider, a list of rows, an iterator, or an Arrow or DataFrame object"
            + (" (decorate a function with @strandline.provider)" if callable(source) else "")
        )
    return found


def about(provider: Provider) -> About:
    """Reads a provider. Raises ConfigError for what this version cannot do."""
    stream, over = _stream_of(provider)
    kind = str(provider.cursor_type).lower()
    if kind not in CURSOR_TYPES:
        raise ConfigError(
            f"{provider.name}.cursor_type is {provider.cursor_type!r}; the valid ones in this version are"
            f" {', '.join(CURSOR_TYPES)}"
        )

    def attribute(name: str) -> Any:
        value = getattr(over, name, None)
        return value if value not in (None, ()) else getattr(provider, name)

    key = attribute("primary_key")
    reference, local = reference_of(type(provider))
    return About(
        name=provider.name,
        version=str(provider.version),
        reference=reference,
        local=local,
        source_digest=_digest(type(provider)),
        config=provider.config,
        labels=provider.labels,
        stream=stream,
        schema=attribute("schema"),
        primary_key=(key,) if isinstance(key, str) else tuple(key or ()),
        cursor_field=attribute("cursor_field"),
        cursor_type=kind,
        mode=attribute("mode"),
        contract=attribute("contract"),
        origin=provider.origin,
        time_zone=provider.time_zone,
        slice=provider.slice,
        lag=provider.lag,
        lookback=provider.lookback,
        pool=provider.pool,
        mutex_key=provider.mutex_key,
        max_attempts=provider.max_attempts,
        max_losses=provider.max_losses,
        deadline=provider.deadline,
    )


def reference_of(kind: type) -> tuple[str, bool]:
    """("package.module:Class", False), or ("local:...", True) for a class that other processes cannot import."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__ or module is None:
        return f"local:{name}", True
    found: Any = module
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    # A module of a notebook or of exec() has no file; a name that leads elsewhere was replaced, as by a decorator.
    if found is not kind or getattr(module, "__spec__", None) is None:
        return f"local:{name}", True
    return name, False


def load(reference: str, config: Mapping[str, Any]) -> Provider:
    """The provider of a stored plan. Raises ConfigError that says what to do where its class cannot be imported here."""
    if reference.startswith("local:"):
        raise ConfigError(f"{reference[6:]} is known to the process that planned it only; {advice(reference)}")
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{reference} cannot be imported here: {error}; install its package where the worker runs, or start the"
            " worker in its directory"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise ConfigError(f"{reference} is no Provider any more; plan again with the class that took its place")
    return found(**config)


def advice(reference: str) -> str:
    """What to do about a local source in another process."""
    name = reference.rpartition(":")[2].rpartition(".")[2]
    if reference == "local:value":
        return "values are loaded by the process that holds them: call ingest there again"
    return f"move {name} into a module"


def _stream_of(provider: Provider) -> tuple[str, Any]:
    streams = provider.streams
    if not streams:
        return provider.name, None
    if len(streams) > 1:
        raise ConfigError(
            f"{provider.name} has the streams {', '.join(streams)}; this version loads one stream a provider:"
            " write one provider for each"
        )
    name, stream = next(iter(streams.items()))
    return name, stream


def _digest(kind: type) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError):
        return None
