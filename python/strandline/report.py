"""What planning and working return: a Plan before, a Report after."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from strandline.errors import IngestError
from strandline.render import plural

if TYPE_CHECKING:
    from strandline.window import Window

MOST_FAILURES = 20
"""How many failures a report names; the rest is in `status(of, state="FAILED")`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A slice that was given up: which task, which part of the window, after how many attempts, and why.

    `attempts` is 0 for one that ended before it began.
    """

    task: int
    window: Window | None
    attempts: int
    kind: str
    message: str
    where: str | None = None


def how_far(failure: Failure) -> str:
    """How far it came: 'after 3 attempts', 'before it began'."""
    return f"after {plural(failure.attempts, 'attempt')}" if failure.attempts else "before it began"


@dataclass(frozen=True, slots=True)
class Report:
    """What an ingestion did. `status` is SUCCEEDED, PARTIAL, FAILED, CANCELLED, HELD, or ACTIVE while `pending` > 0.

    The counts are those of the plan itself, so that the reports of several calls add up to what is in the target.
    `status` and `failures` also speak of slices of the same window that other plans hold. `seconds` is the time this
    call took; `throttled_seconds` what its threads, added up, spent waiting for rate limits.
    """

    status: str
    reason: str | None = None
    plan: int | None = None
    window: Window | None = None
    watermark: Any = None
    slices: int = 0
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    batches: int = 0
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    throttled_seconds: float = 0.0
    tables: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold: windows as [start, stop] texts, times as RFC 3339."""
        out: dict[str, Any] = {item.name: plain(getattr(self, item.name)) for item in fields(self)}
        out["failures"] = [
            {item.name: plain(getattr(failure, item.name)) for item in fields(failure)} for failure in self.failures
        ]
        return out

    def raise_for_status(self) -> Report:
        """Raises IngestError with this report for FAILED, PARTIAL and CANCELLED; returns the report otherwise."""
        if self.status in ("FAILED", "PARTIAL", "CANCELLED"):
            raise IngestError(self._complaint(), report=self)
        return self

    def _complaint(self) -> str:
        text = f"plan {self.plan} is {self.status}: {self.succeeded} of {plural(self.slices, 'slice')} succeeded"
        if self.failures:
            first = self.failures[0]
            place = f" {first.window}" if first.window is not None else ""
            text += f"; task {first.task}{place} failed {how_far(first)}: {first.kind}: {first.message}"
            if first.where:
                text += f" ({first.where})"
        elif self.reason:
            text += f"; {self.reason}"
        return text + "; mend the cause and ingest the same window again: only what is missing is read"

    def __repr__(self) -> str:
        parts = [f"{self.status}", f"plan {self.plan}" if self.plan is not None else "no plan"]
        parts.append(f"{self.succeeded}/{plural(self.slices, 'slice')}")
        parts.append(f"{plural(self.rows, 'row')} in {plural(self.batches, 'page')}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.pending:
            parts.append(f"{self.pending} pending")
        parts.append(f"{self.seconds:.2f} s")
        if self.reason:
            parts.append(self.reason)
        return f"<Report {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        names = ("status", "reason", "plan", "window", "watermark", "slices", "succeeded", "failed", "pending", "rows")
        cells = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{html.escape(str(getattr(self, name)))}</td></tr>"
            for name in names
            if getattr(self, name) is not None
        )
        return f"<table>{cells}</table>"


@dataclass(frozen=True, slots=True)
class Plan:
    """A window and the slices that it was cut into. A dry run has no id; nothing of it is stored.

    `missing` is what of the window was neither covered nor in flight when it was planned; `slices` how many slices were
    cut or reopened for it; `ddl` the statements that the first page would run at the target, where that is known.
    """

    id: int | None
    key: str
    status: str
    window: Window | None
    missing: list[Window]
    slices: int
    reason: str | None = None
    ddl: list[str] = field(default_factory=list)
    stream: str = ""
    table: tuple[str, str] = ("", "")
    window_source: Mapping[str, str] = field(default_factory=dict)
    cursor_id: int | None = None
    in_flight_plans: tuple[int, ...] = ()
    repeated: bool = False
    slice_windows: Callable[[], list[Window]] = field(default=list, repr=False, compare=False)

    def windows(self) -> list[Window]:
        """The windows of its slices in ascending order; of a dry run the first 1,000."""
        return self.slice_windows()

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values that JSON can hold."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self) if item.name != "slice_windows"}

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self))}</code>"


def plain(value: Any) -> Any:
    """A result's value as JSON can hold it: a window as [start, stop], times as RFC 3339, tuples as lists."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if hasattr(value, "start") and hasattr(value, "stop"):
        return [plain(value.start), plain(value.stop)]
    return str(value)
