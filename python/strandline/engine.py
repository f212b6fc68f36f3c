"""The engine: one connection to a ledger, and the verbs of strandline on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from strandline import _core, presence, trace
from strandline.arguments import checked
from strandline.coverage import Coverage
from strandline.coverage_reading import read_coverage
from strandline.dsn import ResolvedDsn, resolve
from strandline.errors import ConfigError, Conflict, Error
from strandline.ingestion import Ingestion
from strandline.reach import RECONNECT_FOR, aside, reach, unreachable
from strandline.report import Plan, Report
from strandline.reporting import plan_report, watermark_of
from strandline.request import Ask, actor, check_priority
from strandline.status import Status
from strandline.status import read as read_status
from strandline.subject import Subject, key_of, plan_of, subject_of, task_of
from strandline.table import Result
from strandline.target import table_of
from strandline.window import strategy

if TYPE_CHECKING:
    from strandline.settings import Settings
    from strandline.target import Into

Of = Plan | int | str | None

_NAMED = 3
"""How many tasks a message names."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A watermark: `value` is the end of the covered prefix (a datetime, an id, a token), `type` what it counts."""

    value: Any
    type: str
    generation: int
    source: str
    target: str
    id: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The differences that `verify` found, each {check, subject, message}. True when there are none."""

    differences: list[dict[str, Any]]

    def __bool__(self) -> bool:
        return not self.differences


class Engine:
    """A connection to one ledger. Made by `connect`; closed by `with` or `close()`. Threads may share it.

    `of` names what is meant: a Plan, a plan's id, "task:ID", a provider's name, or "name>table" where one provider
    feeds several tables.
    """

    def __init__(self, address: ResolvedDsn, settings: Settings) -> None:
        self.schema = settings.schema
        self.settings = settings
        self._address = address
        self._ledger = presence.open_ledger(address.text, settings.schema)
        try:
            if address.embedded:
                self._ledger.migrate()
            else:
                self._ledger.check_schema()
        except BaseException:
            self._ledger.close()
            raise
        self._ingestion = Ingestion(self._ledger, address.text, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, and lets go of an embedded server. May be called twice."""
        self._ingestion.close()
        self._ledger.close()
        self._address.close()

    # Bringing rows --------------------------------------------------------------------------------------------------

    @checked
    def ingest(
        self,
        source: Any,
        into: Into = None,
        *,
        window: Any = None,
        slice: Any = None,
        params: Mapping[str, Any] | None = None,
        expr: Mapping[str, Any] | None = None,
        mode: str | None = None,
        primary_key: tuple[str, ...] | None = None,
        schema: Any = None,
        only: str = "missing",
        order: str = "oldest",
        operation: str = "HARVEST",
        priority: int = 5,
        delay: Any = None,
        deadline: Any = None,
        trigger: str | Mapping[str, Any] | None = None,
        depends_on: Any = (),
        workers: int | None = None,
        seconds: float | None = None,
        errors: str = "raise",
        progress: Any = None,
    ) -> Report:
        """Loads what of the window is missing, and returns when all of it is in, failed or cancelled, whoever holds it.

        `workers` threads of this process work; `seconds` is a budget: stopping there is no error, and the report is
        ACTIVE. `errors="raise"` raises IngestError, with `.report`, after everything else is done; "report" returns the
        report. `progress` is None (a terminal or a notebook shows it), False, or a callable given a Report.
        """
        ask = Ask(
            into, window, slice, params, expr, mode, primary_key, schema, only, order, operation, priority, delay,
            deadline, trigger, depends_on,
        )  # fmt: skip
        report = self._ingestion.ingest(source, ask, workers=workers, seconds=seconds, progress=progress)
        return report.raise_for_status() if errors == "raise" else report

    @checked
    def plan(
        self,
        source: Any,
        into: Into = None,
        *,
        window: Any = None,
        slice: Any = None,
        params: Mapping[str, Any] | None = None,
        expr: Mapping[str, Any] | None = None,
        mode: str | None = None,
        primary_key: tuple[str, ...] | None = None,
        schema: Any = None,
        only: str = "missing",
        order: str = "oldest",
        operation: str = "HARVEST",
        priority: int = 5,
        delay: Any = None,
        deadline: Any = None,
        trigger: str | Mapping[str, Any] | None = None,
        depends_on: Any = (),
        dry_run: bool = False,
    ) -> Plan:
        """Plans what of the window is missing and returns; workers anywhere do it. A dry run stores nothing."""
        ask = Ask(
            into, window, slice, params, expr, mode, primary_key, schema, only, order, operation, priority, delay,
            deadline, trigger, depends_on,
        )  # fmt: skip
        return self._ingestion.plan(source, ask, dry_run=dry_run)

    @checked
    def work(
        self,
        plan: Plan | int | None = None,
        *,
        pool: str | None = None,
        workers: int | None = None,
        seconds: float | None = None,
        tasks: int | None = None,
        forever: bool = False,
        errors: str = "raise",
        progress: Any = None,
    ) -> Report:
        """Works the tasks of a plan, and of those that it waits for, or of a pool, until none or no budget is left.

        With `forever` it waits for more when nothing is left. A pool's report counts what this call worked.
        """
        report = self._ingestion.work(
            None if plan is None else plan_of(plan),
            pool=pool,
            workers=workers,
            seconds=seconds,
            tasks=tasks,
            forever=forever,
            progress=progress,
        )
        return report.raise_for_status() if errors == "raise" else report

    @checked
    def report(self, plan: Plan | int) -> Report:
        """What a plan did so far."""
        return plan_report(self._ledger, self._ingestion.find_plan(plan_of(plan)))

    # Asking ---------------------------------------------------------------------------------------------------------

    @checked
    def coverage(self, of: Of, window: Any = None, *, by: Any = None) -> Coverage:
        """What of a window (None: all that was ever planned) is covered, in flight, failed, missing.

        `rows` has one entry per slice and gap, or per step of `by` ("1 day", a number of ids).
        """
        return read_coverage(self._ledger, self._cursor_row(of), window, by)

    @checked
    def status(
        self, of: Of = None, *, state: str | None = None, since: datetime | str | None = None, limit: int = 50
    ) -> Status:
        """Plans, tasks and workers. `since` is an aware datetime or a text such as "-7 days"; `limit` counts rows."""
        named = Subject() if of is None else subject_of(self._ledger, of, cursor=False)
        moment = self._moment(since)
        return read_status(
            self._ledger, plan=named.plan, task=named.task, source=named.source, state=state, since=moment, limit=limit
        )

    @checked
    def cursor(self, of: Of) -> Cursor:
        """The watermark of a namespace."""
        row = self._cursor_row(of)
        return Cursor(
            value=watermark_of(row),
            type=row["cursor_type_code"].lower(),
            generation=row["minimum_generation"],
            source=row["provenance_code"],
            target=row["cursor_key"],
            id=row["id"],
        )

    @checked
    def trace(self, table: str | tuple[str, str], *key: Any) -> trace.Trace:
        """From a row of a target to its page, run, task, slice, plan, trigger and configuration.

        `key` is the row's primary key, value by value, or one mapping {column: value}.
        """
        schema, name = table_of(table, "", ledger_schema="")
        return trace.find(self._ledger, schema, name, key)

    @checked
    def verify(self, of: Of = None, *, anchor: str | bytes | None = None) -> Verification:
        """Refolds the ledger and checks chain, counts and references. `anchor` is a head hash kept elsewhere."""
        cursor = None if of is None else self._cursor_row(of)["id"]
        if isinstance(anchor, str):
            try:
                anchor = bytes.fromhex(anchor)
            except ValueError as error:
                raise ConfigError(f"anchor {anchor!r} is no hash: give the hexadecimal digits of a head") from error
        return Verification(self._ledger.verify(cursor, anchor))

    @checked
    def table(self, name: str | tuple[str, str]) -> Result:
        """All rows of a table."""
        schema, table = table_of(name, "", ledger_schema="")
        if self._ledger.describe_target(schema, table) is None:
            raise ConfigError(f"there is no table {schema}.{table}; name it as it was given to into=")
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
        return self.query(f"table {quoted}")

    @checked
    def query(self, sql: str, *args: Any) -> Result:
        """The rows of your own statement, read only. Parameters are $1, $2 ..."""
        try:
            return Result(*self._ledger.select(sql, *args))
        except (TypeError, RuntimeError) as error:  # the native layer cannot convert it
            raise ConfigError(
                f"a parameter of the query has no form in SQL, {args!r:.200}: give texts, numbers, bytes, times, True,"
                " False, None, or a list of texts or of whole numbers"
            ) from error

    # Acting ---------------------------------------------------------------------------------------------------------

    @checked
    def cancel(self, of: Of, *, reason: str = "") -> list[dict[str, Any]]:
        """Ends queued tasks now and asks running ones to end at their next page. Returns [{task, status}]."""
        return _moved(self._ledger.cancel(key_of(self._ledger, of), actor(), reason))

    @checked
    def retry(self, of: Of, *, reason: str = "") -> list[int]:
        """Queues failed and cancelled tasks again, committed pages kept. Returns their ids.

        A task whose window was loaded by others since is left out. Raises Conflict where it is what `of` names, and
        where all that could be retried was cancelled and runs still, up to its next page.
        """
        key = key_of(self._ledger, of)
        queued = self._ledger.retry(key, actor(), reason)
        ending = self._ledger.fetch("status.ending", key.get("task"), key.get("plan"), key.get("cursor"), _NAMED)
        if ending:
            named = "task " + ", ".join(str(row["task"]) for row in ending)
            said = f"{named} was cancelled and runs up to its next page: retry it when it has ended"
            if not queued:
                raise Conflict(said, {"task": ending[0]["task"]})
            presence.log.warning("%s", said)
        return queued

    @checked
    def pause(self, of: Of, *, reason: str = "") -> list[dict[str, Any]]:
        """Holds queued tasks now and running ones at their next page, until they are resumed. Returns [{task, status}].

        Of a provider it also holds what is planned for it later.
        """
        return _moved(self._ledger.pause(key_of(self._ledger, of), actor(), reason))

    @checked
    def resume(self, of: Of, *, reason: str = "") -> list[dict[str, Any]]:
        """Lets paused tasks go on behind their last committed page. Returns [{task, status}]."""
        return _moved(self._ledger.resume(key_of(self._ledger, of), actor(), reason))

    @checked
    def trigger(self, of: Of, *, reason: str = "") -> list[dict[str, Any]]:
        """Makes queued tasks due now: ends a delay, a back-off, a wait for a rate. Returns [{task, status}].

        What a task waits for otherwise (a dependency, a mutex, a pool's limit, a pause) it goes on waiting for.
        """
        return _moved(self._ledger.trigger(key_of(self._ledger, of), actor(), reason))

    @checked
    def priority(self, of: Of, n: int, *, reason: str = "") -> list[dict[str, Any]]:
        """Sets the priority of tasks that are not over, 1 first to 9 last. Returns [{task, status}].

        A running task keeps running; the new priority counts when it is queued again.
        """
        check_priority(n)
        return _moved(self._ledger.set_priority(key_of(self._ledger, of), n, actor(), reason))

    @checked
    def split(self, task: int | str, slice: Any, *, reason: str = "") -> dict[str, Any]:
        """Cuts the rest of a task's slice anew: `slice` is a duration, a number of ids, or a TIME, DATE or ID strategy.

        What is committed stays and counts as covered. A running task ends; an ordered provider's goes on behind its
        last page (`Page(upto=)`), of any other only a task without committed pages can be split. Returns {slices,
        covered: a (from, to) of bounds or None, tasks: the new ids}, no slices where it was split before. Raises
        Conflict with the reason where it cannot be done.
        """
        identity = task_of(self._ledger, task)
        spec = strategy(slice)
        row = self._ledger.fetch("status.tasks", identity, None, None, 1)[0]
        if row["cursor_type_code"] not in ("TIME", "ID"):
            raise ConfigError(f"task {identity} has no window that could be cut: it loads a value or follows tokens")
        _core.check_strategy(spec, row["cursor_type_code"].lower())
        if json.loads(spec)["strategy"] not in ("TIME", "DATE", "ID"):
            raise ConfigError(f"split takes a duration or a number of ids, and no {json.loads(spec)['strategy']}")
        if row["reason"] == "SPLIT":
            return {"slices": 0, "covered": None, "tasks": []}
        return self._ledger.split(identity, spec, actor(), reason)

    @checked
    def skip(self, task: int | str, *, reason: str = "") -> dict[str, Any]:
        """Passes over the page at which a task failed: its rows are never stored, which the ledger keeps as SKIPPED.

        The task goes on behind that page. Returns {batch_no, status: QUEUED, or SUCCEEDED after a last page, changed:
        False where that page was passed over before}. Raises Conflict with the reason where it cannot be done.
        """
        identity = task_of(self._ledger, task)
        error = self._ledger.fetch("status.tasks", identity, None, None, 1)[0]["last_error"] or {}
        # A page that was passed over is no longer the task's last error; asked again, the ledger tells of it.
        return {**self._ledger.skip(identity, actor(), reason), "changed": error.get("page") is not None}

    @checked
    def quarantine(self, worker: str, *, release: bool = False, reason: str = "") -> bool:
        """A worker gives its tasks back at their next page and claims nothing until it is released. False: it was so.

        `worker` is host:pid:n, host:pid for a process, or host for a machine, whose later processes count too.
        """
        status = "ACTIVE" if release else "QUARANTINED"
        return self._ledger.set_worker(worker, status, actor(), reason)

    @checked
    def stop(self, worker: str, *, reason: str = "") -> bool:
        """A worker ends after the page in hand and gives its tasks back. False: it was asked to already.

        `worker` as in quarantine.
        """
        return self._ledger.set_worker(worker, "DRAINING", actor(), reason)

    @checked
    def pool(self, name: str, limit: int | None, *, reason: str = "") -> bool:
        """At most `limit` tasks of a pool run at once, over all workers; None: any number, 0: none. False: it was so.

        What runs above a lowered limit runs to its end.
        """
        return self._ledger.set_pool(name, limit, actor(), reason)

    # ----------------------------------------------------------------------------------------------------------------

    def _cursor_row(self, of: Of) -> dict[str, Any]:
        if of is None:
            raise ConfigError("of is missing: name a plan, a provider, or 'name>table'")
        found = subject_of(self._ledger, of, cursor=True)
        return self._ledger.fetch("status.cursor", found.cursor)[0]

    def _moment(self, since: datetime | str | None) -> datetime | None:
        if since is None or isinstance(since, datetime):
            if since is not None and since.utcoffset() is None:
                raise ConfigError(f"since {since!r} has no time zone; add one")
            return since
        from strandline.window import Window

        bound = _core.parse_bound(since, "UTC", self._ledger.now(), "time")
        moment = Window.from_bounds(bound, bound).start
        assert isinstance(moment, datetime)
        return moment


def _moved(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"task": row["task_id"], "status": row["status"]} for row in rows]


@checked
def connect(dsn: str | None = None, *, schema: str | None = None) -> Engine:
    """Opens the ledger of a database. None means the setting (STRANDLINE_DSN, STRANDLINE_SCHEMA).

    `dsn` is a libpq DSN or URI, or env:NAME, file:PATH, embedded, embedded:DIR. An embedded server migrates itself; for
    any other, a pending migration is a ConfigError that names the command. Raises Unreachable when nothing answers.
    """
    settings, address = _named(dsn, schema)
    try:
        return Engine(address, settings)
    except BaseException:
        address.close()
        raise


def connect_patiently(dsn: str | None, schema: str | None, seconds: float | None) -> Engine:
    """`connect` for who has come to work: a server that does not answer, starts or stops is waited for.

    For RECONNECT_FOR seconds at most, and no longer than `seconds`, where that is given. Raises Unreachable after
    that, and at once what waiting does not heal: a wrong password, a database that is not there. Ctrl-C is heard.
    """
    settings, address = _named(dsn, schema)
    refused = False

    def heals(error: Error) -> bool:
        nonlocal refused
        if not unreachable(error):
            return False
        # A server that refuses us and is there may have come up in this moment: the second time it means it.
        before, refused = refused, not aside(lambda: _core.away(address.text), lambda _: None)
        return not (before and refused)

    def pause(seconds: float) -> None:
        time.sleep(0 if refused else seconds)

    try:
        return reach(
            lambda: aside(lambda: Engine(address, settings), Engine.close),
            pause,
            heals=heals,
            seconds=RECONNECT_FOR if seconds is None else min(seconds, RECONNECT_FOR),
        )
    except BaseException:
        address.close()
        raise


@checked
def ingest(source: Any, into: Into = None, *, dsn: str | None = None, **options: Any) -> Report:
    """Connects, ingests, closes. `options` are those of Engine.ingest."""
    with connect(dsn) as engine:
        return engine.ingest(source, into, **options)


@checked
def migrate(dsn: str | None = None, *, schema: str | None = None, check: bool = False) -> list[str]:
    """Applies the migrations that are pending and returns their versions; with `check` only says which they are."""
    with _opened(dsn, schema) as ledger:
        return [f"{version:04d}" for version in (ledger.pending() if check else ledger.migrate())]


def pending_sql(dsn: str | None = None, *, schema: str | None = None) -> str:
    """The text of the migrations that are pending, for an administrator to run; empty when nothing is."""
    with _opened(dsn, schema) as ledger:
        return "\n".join(ledger.migration_sql(version) for version in ledger.pending())


def _named(dsn: str | None, schema: str | None) -> tuple[Settings, ResolvedDsn]:
    from strandline.settings import load

    return load(dsn=dsn, schema=schema), resolve(dsn)


@contextmanager
def _opened(dsn: str | None, schema: str | None) -> Iterator[_core.Ledger]:
    """A bare ledger, whatever state its schema is in."""
    settings, address = _named(dsn, schema)
    try:
        ledger = presence.open_ledger(address.text, settings.schema)
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        address.close()
