"""What an exception of a provider means for the run: wait, give up, or start over.

A table says so, by class; `register` adds to it. The classes of HTTP clients are recognised by what they carry, so that
none of them has to be installed or imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from strandline.errors import ConfigError, Error, RateLimited, Transient

log = logging.getLogger("strandline")

_CONFIG_STATUS = {
    400: "the source does not understand the request: look at what the provider sends",
    401: "the source does not know these credentials: renew them",
    403: "the source does not allow this: ask for the right, or for other credentials",
    404: "the source has nothing there: look at the address",
}
# A bug does not heal by waiting.
_BUGS = (TypeError, AttributeError, NameError, ImportError)

Meaning: TypeAlias = type[Error] | Callable[[Any], Error | None]
_table: dict[type[BaseException], Meaning] = {}


def register(exception: type[BaseException], meaning: Meaning) -> None:
    """Says what an exception class and its subclasses mean, for every provider of this process.

    `meaning` is a class of strandline.errors (Transient, RateLimited, ConfigError, DataError, CursorExpired, Fatal), or
    a function that is given the exception and returns one of their instances, or None where the other rules hold. Of
    several entries the one for the nearest class counts, and it goes before the rules for HTTP statuses. Call it in the
    module of the provider: workers in other processes import that.
    """
    given: Any = exception
    if not (isinstance(given, type) and issubclass(given, BaseException)):
        raise ConfigError(f"register({exception!r}): give an exception class")
    said: Any = meaning
    if not callable(said) or (isinstance(said, type) and not issubclass(said, Error)):
        raise ConfigError(
            f"register({exception.__name__}, {meaning!r}): give a class of strandline.errors, or a function that"
            " returns one of their instances, or None"
        )
    _table[exception] = meaning


def classify(exception: BaseException, provider: object = None) -> Error:
    """The Error that `exception` stands for, with it as the cause; errors of strandline are returned as they are.

    `provider.classify(exception)` is asked first and may return None, then what `register` was told. Status codes are
    those of errors of urllib, requests, httpx and aiohttp: 429, and 503 with Retry-After, are RateLimited; 408 and
    other 5xx Transient; 400, 401, 403 and 404 ConfigError. TypeError, AttributeError, NameError and ImportError are
    ConfigError; everything else (OSError, TimeoutError ...) is Transient.
    """
    if isinstance(exception, Error):
        return exception
    while isinstance(exception, BaseExceptionGroup) and len(exception.exceptions) == 1:
        exception = exception.exceptions[0]  # a task group wraps even a single failure
    if isinstance(exception, Error):
        return exception
    error = _asked(exception, getattr(provider, "classify", None), "classify() of the provider")
    error = error or _registered(exception) or _known(exception)
    if error.__cause__ is None and error is not exception:
        error.__cause__ = exception
    return error


def _asked(exception: BaseException, ask: Callable[[Any], object] | None, name: str) -> Error | None:
    if ask is None:
        return None
    try:
        answer = ask(exception)
    except Exception as failure:  # noqa: BLE001 # a bug in the hook must not hide what happened
        log.warning("%s failed on %s: %s", name, _said(exception), _said(failure))
        return None
    if answer is None or isinstance(answer, Error):
        return answer
    log.warning("%s returned %s; it returns a strandline.Error or None", name, type(answer).__name__)
    return None


def _registered(exception: BaseException) -> Error | None:
    for kind in type(exception).__mro__:
        meaning = _table.get(kind)
        if meaning is None:
            continue
        if isinstance(meaning, type):
            found: Error | None = meaning(_said(exception))
            return found
        found = _asked(exception, meaning, f"the function registered for {kind.__name__}")
        if found is not None:
            return found
    return None


def _known(exception: BaseException) -> Error:
    status, headers = _response(exception)
    context = {} if status is None else {"status": status}
    said = _said(exception) if status is None or str(status) in str(exception) else f"HTTP {status}: {_said(exception)}"
    retry_after = headers.get("Retry-After") or headers.get("retry-after")
    if status == 429 or (status == 503 and retry_after):
        return RateLimited(said, context, retry_after=retry_after)
    if status in _CONFIG_STATUS:
        return ConfigError(f"{said}; {_CONFIG_STATUS[status]}", context)
    if status is not None and (status == 408 or status >= 500):
        return Transient(said, context)
    if isinstance(exception, _BUGS):
        return ConfigError(said)
    return Transient(said, context)


def _response(exception: BaseException) -> tuple[int | None, Mapping[str, Any]]:
    """Status and headers of the answer that an HTTP client's error is about; (None, {}) for other errors."""
    answer = _attribute(exception, "response")  # requests, httpx
    for holder, name in ((answer, "status_code"), (exception, "status"), (exception, "code")):  # ..., aiohttp, urllib
        if holder is not answer and not hasattr(holder, "headers"):
            # Without headers `status` and `code` may be anything: an exit code, a code of the operating system.
            continue
        status = _attribute(holder, name)
        if isinstance(status, int) and 100 <= status <= 599:
            headers = _attribute(holder, "headers")
            return status, headers if hasattr(headers, "get") else {}
    return None, {}


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 # a property may refuse to answer, and is not what this is about
        return None


def _said(exception: BaseException) -> str:
    text = str(exception)
    return f"{type(exception).__name__}: {text}" if text else type(exception).__name__
