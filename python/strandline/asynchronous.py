"""The engine for asyncio: the same verbs, awaited. Each call runs on a thread, because the native layer blocks."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from strandline.engine import Engine

_VERBS = (
    "cancel",
    "close",
    "coverage",
    "cursor",
    "ingest",
    "pause",
    "plan",
    "pool",
    "priority",
    "quarantine",
    "query",
    "report",
    "resume",
    "retry",
    "skip",
    "split",
    "status",
    "stop",
    "table",
    "trace",
    "trigger",
    "verify",
    "work",
)


class AsyncEngine:
    """Every method of Engine under its own name, to be awaited. Closed by `async with` or `close()`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._engine.close)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in _VERBS:
            raise AttributeError(f"AsyncEngine has no {name!r}; it has {', '.join(_VERBS)}")
        return functools.partial(asyncio.to_thread, getattr(self._engine, name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_VERBS})


async def aconnect(dsn: str | None = None, *, schema: str | None = None) -> AsyncEngine:
    """`connect`, awaited."""
    from strandline.engine import connect

    return AsyncEngine(await asyncio.to_thread(functools.partial(connect, dsn, schema=schema)))
