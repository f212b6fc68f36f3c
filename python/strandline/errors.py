"""The errors of strandline.

    Error                     the root: code, kind, retryable, in_doubt, context
    ├── ConfigError           what was asked for cannot be done; change it
    ├── DataError             what the source sent, or the target holds, does not fit
    │   └── CountMismatch     fewer or more records than the source had announced
    ├── Conflict              the same identity with different content
    ├── LeaseLost             another run holds the task; nothing of this one can be committed any more
    ├── InDoubt               the connection broke inside COMMIT, and it could not be found out how it ended
    ├── Unreachable           the database does not answer
    ├── IngestError           an ingestion ended FAILED, PARTIAL or CANCELLED; `report` says the rest
    ├── Transient             the source failed in a way that waiting may heal
    ├── RateLimited           the source asks to wait `pause` seconds; never a failure
    ├── CursorExpired         the source no longer knows the token; the walk starts over
    ├── Fatal                 nothing that this provider does can succeed
    └── Cancelled             the task was cancelled; its committed pages stay

Providers raise ConfigError, DataError, Transient, RateLimited, CursorExpired and Fatal. Whatever else they raise is
classified (`strandline.classify`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar

from strandline.redaction import redact

if TYPE_CHECKING:
    from strandline.report import Report

KINDS = ("transient", "rate_limited", "config", "data", "cursor_expired", "fatal")
"""Every `kind`: how a failure is dealt with."""


class Error(Exception):
    """The root. The message says what is wrong, where, and what to do; secrets in it are masked.

    code: a stable name for programs, one per class unless given. kind: one of `KINDS`. retryable: whether the same call
    may succeed later with nothing changed. in_doubt: whether it is unknown if the effect took place. context: the parts
    of the message as JSON values (task, sqlstate, page ...). Class attributes are the defaults. Can be pickled.
    """

    code: str = "ERROR"
    kind: str = "fatal"
    retryable: bool = False
    in_doubt: bool = False
    context: Mapping[str, Any]

    def __init__(
        self,
        message: str = "",
        context: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
        kind: str | None = None,
        retryable: bool | None = None,
        in_doubt: bool | None = None,
    ) -> None:
        super().__init__(redact(str(message)))
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; the valid ones are {', '.join(KINDS)}")
        self.context = dict(context or {})
        # Set only where they differ, so that an instance shows what its class says.
        if code is not None:
            self.code = code
        if kind is not None:
            self.kind = kind
        if retryable is not None:
            self.retryable = retryable
        if in_doubt is not None:
            self.in_doubt = in_doubt

    def __str__(self) -> str:
        # Again, because a value may have become known as a secret since, and args may have been changed.
        return redact(super().__str__())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ConfigError(Error):
    """What was asked for cannot be done as it is: an argument, an attribute, a setting, an unknown name. Change it."""

    code = "CONFIG_ERROR"
    kind = "config"


class DataError(Error):
    """What the source sent does not fit: `context` names page, row and column where they are known.

    Not retried, because the same pages would fail again; a provider that knows better passes `retryable=True`.
    """

    code = "DATA_ERROR"
    kind = "data"


class CountMismatch(DataError):
    """The slice has fewer or more records than the source announced. Retried: it may have changed while it was read."""

    code = "COUNT_MISMATCH"
    retryable = True


class Conflict(Error):
    """The same identity was used with different content, or what is there does not allow the change."""

    code = "CONFLICT"
    kind = "config"


class LeaseLost(Error):
    """The run has been superseded. Its transaction was rolled back; whoever holds the task now goes on."""

    code = "LEASE_LOST"
    kind = "transient"


class InDoubt(Error):
    """A commit was sent and its answer never came, nor could the outcome be found out afterwards.

    Doing the same again is safe: what was committed is found and not repeated.
    """

    code = "IN_DOUBT"
    kind = "transient"
    retryable = True
    in_doubt = True


class Unreachable(Error):
    """The database does not answer. Nothing of the call took effect; it is safe to repeat."""

    code = "UNREACHABLE"
    kind = "transient"
    retryable = True


class IngestError(Error):
    """An ingestion ended FAILED, PARTIAL or CANCELLED. `report` is the whole Report."""

    code = "INGEST_ERROR"

    def __init__(
        self, message: str = "", context: Mapping[str, Any] | None = None, *, report: Report | None = None
    ) -> None:
        super().__init__(message, context)
        self.report = report


class Transient(Error):
    """The source failed in a way that waiting may heal; the slice is tried again with backoff."""

    code = "TRANSIENT"
    kind = "transient"
    retryable = True


class RateLimited(Error):
    """The source asks to wait. The run is given back for `pause` seconds; that is no failure and uses up no attempt.

    retry_after: seconds, the text of a Retry-After header (seconds or an HTTP date), an aware datetime, or None where
    the source does not say; unreadable header texts count as None. ConfigError for other types and for naive datetimes.
    """

    code = "RATE_LIMITED"
    kind = "rate_limited"
    retryable = True

    DEFAULT_PAUSE: ClassVar[float] = 10.0
    """Seconds, where the source does not say."""
    LONGEST_PAUSE: ClassVar[float] = 30 * 86400.0
    """Seconds; a header that asks for more is taken for a mistake."""

    def __init__(
        self,
        message: str = "",
        context: Mapping[str, Any] | None = None,
        *,
        retry_after: float | str | dt.datetime | dt.timedelta | None = None,
        code: str | None = None,
        in_doubt: bool | None = None,
    ) -> None:
        asked = _seconds(retry_after)
        self.pause = self.DEFAULT_PAUSE if asked is None else min(max(0.0, asked), self.LONGEST_PAUSE)
        super().__init__(
            message or f"the source limits the rate; the next try is in {self.pause:g} s",
            context,
            code=code,
            in_doubt=in_doubt,
        )


class CursorExpired(Error):
    """The source does not know the token any more. The walk of the slice starts over from its beginning."""

    code = "CURSOR_EXPIRED"
    kind = "cursor_expired"
    retryable = True


class Fatal(Error):
    """Nothing that this provider does can succeed; the slice fails at once."""

    code = "FATAL"


class Cancelled(Error):
    """The task was cancelled while it was worked. Its committed pages stay."""

    code = "CANCELLED"


_SECONDS = re.compile(r"\s*\d{1,12}(\.\d+)?\s*")


def _seconds(retry_after: object) -> float | None:
    """What a source asks for, in seconds from now; None where that cannot be told."""
    if retry_after is None:
        return None
    if isinstance(retry_after, bytes):
        retry_after = retry_after.decode("latin-1")
    if isinstance(retry_after, str):
        if _SECONDS.fullmatch(retry_after):
            return float(retry_after)
        try:
            retry_after = parsedate_to_datetime(retry_after)
        except (ValueError, IndexError, OverflowError):
            return None
        if retry_after.tzinfo is None:  # "-0000": a date in UTC of which the sender's zone is not known
            retry_after = retry_after.replace(tzinfo=dt.UTC)
    if isinstance(retry_after, dt.timedelta):
        return retry_after.total_seconds()
    if isinstance(retry_after, dt.datetime):
        if retry_after.utcoffset() is None:
            raise ConfigError(f"retry_after is {retry_after!r}, which has no time zone; add one, or give seconds")
        return (retry_after - dt.datetime.now(dt.UTC)).total_seconds()
    if isinstance(retry_after, (int, float)) and not isinstance(retry_after, bool) and math.isfinite(retry_after):
        return float(retry_after)
    raise ConfigError(
        f"retry_after is {retry_after!r}, a {type(retry_after).__name__}; give seconds, the text of the header or a"
        " datetime"
    )
