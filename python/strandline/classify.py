"""What an exception of a provider means for the run: wait, give up, or start over.

The classes of HTTP clients are recognised by what they carry, so that none of them has to be installed or imported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

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


def classify(exception: BaseException, provider: object = None) -> Error:
    """The Error that `exception` stands for, with it as the cause; errors of strandline are returned as they are.

    `provider.classify(exception)` is asked first and may return None. Status codes are those of errors of urllib,
    requests, httpx and aiohttp: 429, and 503 with Retry-After, are RateLimited; 408 and other 5xx Transient; 400, 401,
    403 and 404 ConfigError. OSError and TimeoutError are Transient; TypeError, AttributeError, NameError and
    ImportError are ConfigError; everything else is Transient.
    """
    if isinstance(exception, Error):
        return exception
    while isinstance(exception, BaseExceptionGroup) and len(exception.exceptions) == 1:
        exception = exception.exceptions[0]  # a task group wraps even a single failure
    if isinstance(exception, Error):
        return exception
    error = _asked(exception, provider) or _known(exception)
    if error.__cause__ is None and error is not exception:
        error.__cause__ = exception
    return error


def _asked(exception: BaseException, provider: object) -> Error | None:
    ask = getattr(provider, "classify", None)
    if ask is None:
        return None
    try:
        answer = ask(exception)
    except Exception as failure:  # noqa: BLE001 # a bug in the hook must not hide what happened
        log.warning("classify() of the provider failed on %s: %s", _said(exception), _said(failure))
        return None
    if answer is None or isinstance(answer, Error):
        return answer
    log.warning("classify() of the provider returned %s; it returns a strandline.Error or None", type(answer).__name__)
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
    answer = getattr(exception, "response", None)  # requests, httpx
    for holder, name in ((answer, "status_code"), (exception, "status"), (exception, "code")):  # ..., aiohttp, urllib
        status = getattr(holder, name, None)
        headers = getattr(holder, "headers", None)
        # Without headers `status` and `code` may be anything: an exit code, a code of the operating system.
        if isinstance(status, int) and 100 <= status <= 599 and (holder is answer or headers is not None):
            found: Mapping[str, Any] = headers if headers is not None and hasattr(headers, "get") else {}
            return status, found
    return None, {}


def _said(exception: BaseException) -> str:
    text = str(exception)
    return f"{type(exception).__name__}: {text}" if text else type(exception).__name__
