"""strandline: exactly-once incremental ingestion into PostgreSQL.

Importing the package opens nothing and starts no thread; every name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strandline.asynchronous import AsyncEngine, aconnect
    from strandline.context import Context
    from strandline.coverage import Coverage
    from strandline.dependency import After
    from strandline.drain import drain
    from strandline.engine import Engine, connect, ingest, migrate
    from strandline.errors import (
        Cancelled,
        ConfigError,
        Conflict,
        CountMismatch,
        CursorExpired,
        DataError,
        Error,
        Fatal,
        InDoubt,
        IngestError,
        LeaseLost,
        RateLimited,
        Transient,
        Unreachable,
    )
    from strandline.page import Page
    from strandline.provider import Provider, Secret, provider
    from strandline.report import Plan, Report
    from strandline.window import Window

    __version__: str

__all__ = [
    "After",
    "AsyncEngine",
    "Cancelled",
    "ConfigError",
    "Conflict",
    "Context",
    "CountMismatch",
    "Coverage",
    "CursorExpired",
    "DataError",
    "Engine",
    "Error",
    "Fatal",
    "InDoubt",
    "IngestError",
    "LeaseLost",
    "Page",
    "Plan",
    "Provider",
    "RateLimited",
    "Report",
    "Secret",
    "Transient",
    "Unreachable",
    "Window",
    "__version__",
    "aconnect",
    "connect",
    "drain",
    "ingest",
    "migrate",
    "provider",
]

_MODULES = {
    "asynchronous": ("AsyncEngine", "aconnect"),
    "context": ("Context",),
    "coverage": ("Coverage",),
    "dependency": ("After",),
    "drain": ("drain",),
    "engine": ("Engine", "connect", "ingest", "migrate"),
    "errors": (
        "Cancelled",
        "ConfigError",
        "Conflict",
        "CountMismatch",
        "CursorExpired",
        "DataError",
        "Error",
        "Fatal",
        "InDoubt",
        "IngestError",
        "LeaseLost",
        "RateLimited",
        "Transient",
        "Unreachable",
    ),
    "page": ("Page",),
    "provider": ("Provider", "Secret", "provider"),
    "report": ("Plan", "Report"),
    "window": ("Window",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("strandline")
    elif name in _HOME:
        value = getattr(importlib.import_module(f"strandline.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'strandline' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(types.ModuleType):
    """The package: a submodule never takes the place of the function that has its name (drain, provider)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, types.ModuleType) and name in _HOME):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
logging.getLogger("strandline").addHandler(logging.NullHandler())
