"""How a provider travels to other processes: `package.module:Class` and its configuration as JSON."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from strandline.errors import ConfigError

if TYPE_CHECKING:
    from strandline.provider import Provider

LOCAL = "local:"
"""Begins the reference of a class that only this process has."""


def reference_of(provider: type) -> str:
    """ "package.module:Class", or "local:module:Class" for a class that other processes cannot import.

    Local are classes of `__main__`, of a notebook, of a function, and those whose name in the module leads to another
    one.
    """
    name = f"{provider.__module__}:{provider.__qualname__}"
    return f"{LOCAL}{name}" if is_local(provider) else name


def is_local(provider: type) -> bool:
    """Whether only this process can work the provider's tasks."""
    module = sys.modules.get(provider.__module__)
    if module is None or provider.__module__ == "__main__" or "<locals>" in provider.__qualname__:
        return True
    if getattr(module, "__spec__", None) is None:  # made by a notebook or by exec(): there is no file to import
        return True
    return _member(module, provider.__qualname__) is not provider


def load(reference: str) -> type[Provider]:
    """The class behind "package.module:Class". Raises ConfigError that says which part of it is not there."""
    if reference.startswith(LOCAL):
        name = reference[len(LOCAL) :]
        raise ConfigError(
            f"{name} is known to the process that planned it only; move {name.rpartition(':')[2].rpartition('.')[2]}"
            " into a module that workers can import, and plan again"
        )
    place, colon, name = reference.partition(":")
    if not (place and colon and name):
        raise ConfigError(
            f"{reference!r} does not name a provider: write package.module:Class, such as shop.feeds:Orders"
        )
    module = _imported(place)
    found = _member(module, name)
    if found is None:
        raise ConfigError(f"the module {place} has no {name!r}; it has {_providers(module)}")
    if not _is_provider(found):
        raise ConfigError(
            f"{reference} is the {type(found).__name__} {found!r:.80}, not a provider class; it has"
            f" {_providers(module)}"
        )
    return cast("type[Provider]", found)


_reading = threading.Lock()


def source_digest(provider: type) -> bytes | None:
    """SHA-256 of the source text of the class; None where there is no text, as in an interactive session."""
    # A decorated function has become a class that stands nowhere; its own text is what counts.
    written = vars(provider).get("__strandline_function__", provider)
    if isinstance(written, staticmethod):
        written = written.__func__
    try:
        # One at a time: several threads inside ast.parse confuse CPython 3.11 (SystemError: recursion depth mismatch).
        with _reading:
            source = inspect.getsource(written)
        return hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
    except (OSError, TypeError):
        return None


def _imported(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise ConfigError(
                f"there is no module {error.name!r} in the current directory or the installed packages; check the"
                " spelling, install its package, or start the process where it lies"
            ) from error
        raise ConfigError(f"the module {place} cannot be imported: {error}; install what it needs") from error
    except Exception as error:
        raise ConfigError(f"the module {place} cannot be imported: {type(error).__name__}: {error}") from error


def _member(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_provider(found: object) -> bool:
    # The class itself lies above this module.
    return isinstance(found, type) and bool(getattr(found, "__strandline_provider__", False))


def _providers(module: ModuleType) -> str:
    own = [name for name, value in vars(module).items() if _is_provider(value) and value.__module__ == module.__name__]
    return f"the providers {', '.join(sorted(own))}" if own else "no provider"
