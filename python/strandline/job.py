"""What the runs of one plan have in common: the source, its target, how its pages are read and encoded."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strandline import _core, presence
from strandline.attributes import BACKOFF, microseconds
from strandline.errors import ConfigError, DataError
from strandline.rate import Rate
from strandline.rate import parse as parse_rate
from strandline.reference import LOCAL, load
from strandline.rows import RowEncoder
from strandline.source import only_there
from strandline.target import Target
from strandline.values import Stream, Value
from strandline.window import Window, resolve

if TYPE_CHECKING:
    from strandline._core import EncodedPage, Ledger, Run
    from strandline.context import Context
    from strandline.page import Page
    from strandline.provider import Provider
    from strandline.schema import Schema
    from strandline.settings import Settings

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_VALUE_PAGE_TIMEOUT = 900.0


@dataclass(slots=True)
class Job:
    """A plan as its workers see it. `backoff` is in microseconds, `page_timeout` in seconds.

    rate_key: the key that its pages count under; None for values. rate: its own rate, if it has one. shared: whether it
    keeps to a rate at all, its own or that of others under its key.
    """

    plan: int
    name: str
    stream: str
    source: Provider | Value | Stream
    target: Target
    cursor_type: str
    time_zone: str
    columns: list[tuple[str, str, bool]] | None
    contract: dict[str, Any]
    settings: Settings
    max_attempts: int = 5
    page_timeout: float = _VALUE_PAGE_TIMEOUT
    backoff: list[int] = field(default_factory=list)
    rate_key: str | None = None
    rate: Rate | None = None
    shared: bool = False
    ordered: bool = False

    def encoder(self, ledger: Ledger) -> RowEncoder:
        """An encoder that knows the declared columns and those that the target has."""
        columns: Schema | list[tuple[str, str, bool]] | None = self.columns
        if columns is None and isinstance(self.source, Value):
            columns = self.source.schema()
        return RowEncoder(
            columns,
            ledger.describe_target(self.target.schema, self.target.table),
            primary_key=self.target.primary_key,
            cursor_field=self.target.cursor_field,
            cursor_is_time=self.cursor_type == "time",
            contract=self.contract or None,
            stream=self.name,
        )

    def pages(self, context: Context | None, token: Any, encoder: RowEncoder) -> Iterator[Page]:
        """The pages from `token` on, each fetched when it is asked for."""
        if context is None:
            assert isinstance(self.source, (Value, Stream))
            return self.source.pages(encoder, token, self.settings)
        from strandline.walk import walk

        assert not isinstance(self.source, (Value, Stream))
        return walk(self.source, context, token)

    def context(
        self, run: Run, *, alive: Callable[[], None], rate_limit: Callable[[int, str | None], None]
    ) -> Context | None:
        """What a provider's methods are given for a run, and what they may call; None for values."""
        if isinstance(self.source, (Value, Stream)):
            return None
        from strandline.context import Context

        window = None
        if self.cursor_type in ("time", "id") and run.lo is not None and run.hi is not None:
            window = Window.from_bounds(run.lo, run.hi, self.cursor_type, self.time_zone)
        return Context(
            window=window,
            params=self.source.checked_params(json.loads(run.params) if run.params else None),
            expr=json.loads(run.expr) if run.expr else None,
            log=logging.getLogger(f"strandline.provider.{self.name}"),
            attempt=run.attempt_no,
            walk=run.walk_no,
            generation=run.generation,
            deadline=None if run.deadline is None else _EPOCH + dt.timedelta(microseconds=run.deadline),
            plan_id=run.plan_id,
            task_id=run.task_id,
            run_id=run.run_id,
            on_alive=alive,
            on_rate_limit=rate_limit,
        )

    def bound(self, upto: Any, number: int, lowest: int, run: Run) -> int | None:
        """Page(upto=) as the cursor's bound: microseconds since 1970-01-01T00:00Z, or an id; None for None.

        `lowest` is what the pages before have reached. Raises ConfigError where the provider is not ordered, DataError
        for a bound that goes back, leaves the window, or is none.
        """
        if upto is None:
            return None
        if not self.ordered:
            raise ConfigError(
                f"{self.name}: page {number} says upto={upto!r}, and the provider is not ordered; set ordered = True,"
                " if its pages come in the order of the window, or leave upto out"
            )
        assert run.lo is not None
        assert run.hi is not None
        context = {"page": number}
        try:
            bound, _ = resolve((upto, None), cursor_type=self.cursor_type, time_zone=self.time_zone, now=0)
        except ConfigError as error:
            raise DataError(f"{self.name}: page {number}: upto: {error}", context) from error
        assert bound is not None
        if not run.lo <= bound <= run.hi:
            window = Window.from_bounds(run.lo, run.hi, self.cursor_type, self.time_zone)
            raise DataError(
                f"{self.name}: page {number} says upto={upto!r}, which lies outside of its window {window}", context
            )
        if bound < lowest:
            raise DataError(
                f"{self.name}: page {number} says upto={upto!r}, which lies before what an earlier page has reached;"
                " the pages of an ordered provider come in the order of the window",
                context,
            )
        return bound

    def check_order(self, rows: EncodedPage, number: int, stated: tuple[int, int]) -> None:
        """Raises DataError for a row that lies below what an earlier page has stated: a split would lose it.

        stated: the bound of Page(upto=), and the page that said it; 0 for one of an earlier run.
        """
        bound, earlier = stated
        column = self.target.cursor_field
        lowest = None if column is None else rows.lowest(column)
        if lowest is None or lowest >= bound:
            return
        row, said = (_core.rfc3339(each) if self.cursor_type == "time" else each for each in (lowest, bound))
        who = f"page {earlier}" if earlier else "a page of an earlier run"
        raise DataError(
            f"{self.name}: page {number} has a row at {row} by {column!r}, and {who} said upto={said}: that all rows"
            " below are in. Give the bound up to which the rows of a page are complete, or leave upto out",
            {"page": number, "earlier": earlier, "column": column},
        )


class Jobs:
    """The jobs of this worker, each loaded once. `outcomes` counts the runs by how they left their task."""

    def __init__(self, dsn: str, schema: str, settings: Settings) -> None:
        self._dsn = dsn
        self._schema = schema
        self._settings = settings
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self.outcomes: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.throttled = 0.0
        """Seconds for which the runs waited for rate limits, added up over the threads."""

    def get(self, ledger: Ledger, plan: int) -> Job:
        """The job of a plan. Raises ConfigError where its provider cannot be had in this process."""
        with self._lock:
            if plan not in self._jobs:
                self._jobs[plan] = self._load(ledger, plan)
            return self._jobs[plan]

    def ended(self, status: str, stored: Mapping[str, int], throttled: float = 0.0) -> None:
        """Counts a run that left its task in this status, what it stored, and the seconds that it waited for a rate."""
        with self._lock:
            self.outcomes[status] += 1
            self.stored.update(stored)
            self.throttled += throttled

    def _load(self, ledger: Ledger, plan: int) -> Job:
        row = ledger.fetch("plan.context", plan)[0]
        snapshot = row["provenance_config_snapshot"]
        source: Provider | Value | Stream | None = presence.source_of(self._dsn, self._schema, plan)
        if source is None:
            reference = snapshot["reference"]
            if reference.startswith(LOCAL):
                raise ConfigError(f"plan {plan} cannot be worked here: {only_there(reference)}")
            source = load(reference)(**snapshot["config"])
        job = Job(
            plan=plan,
            name=row["provenance_code"],
            stream=row["stream"],
            source=source,
            target=Target(
                row["target_schema"],
                row["target_table"],
                row["write_mode"],
                tuple(row["primary_key"]),
                row["cursor_field"],
            ),
            cursor_type=(row["cursor_type_code"] or "value").lower(),
            time_zone=row["time_zone"],
            columns=None if row["columns"] is None else [(name, kind, must) for name, kind, must in row["columns"]],
            contract=dict(row["contract"] or {}),
            settings=self._settings,
        )
        backoff = BACKOFF
        if not isinstance(source, (Value, Stream)):
            backoff = source.backoff
            job.max_attempts = source.max_attempts
            job.page_timeout = microseconds(source.page_timeout, f"{source.name}.page_timeout") / 1_000_000
            job.rate = parse_rate(source.rate, f"{source.name}.rate")
            job.rate_key = source.rate_key or source.name
            job.shared = job.rate is not None or source.rate_key is not None
            job.ordered = source.ordered
        job.backoff = [microseconds(step, f"{job.name}.backoff") for step in backoff]
        return job
