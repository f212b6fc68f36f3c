"""Plan, work, report: the steps of an ingestion, on one engine's connection."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from strandline import _core, presence, request
from strandline.dependency import dependencies
from strandline.errors import ConfigError, Conflict, Error, Unreachable
from strandline.job import Jobs
from strandline.progress import display
from strandline.reach import Answer, reach
from strandline.reference import LOCAL, is_local
from strandline.report import Plan, Report
from strandline.reporting import plan_report, pool_report
from strandline.source import as_source, only_there
from strandline.status import window_of
from strandline.values import Stream, Value
from strandline.window import Window
from strandline.worker import Budget, Crew, Scope

if TYPE_CHECKING:
    from strandline._core import Ledger
    from strandline.provider import Provider
    from strandline.request import Ask
    from strandline.settings import Settings

log = logging.getLogger("strandline")

_PROGRESS_EVERY = 0.2


class Ingestion:
    """The steps, for one database and schema."""

    def __init__(self, ledger: Ledger, dsn: str, settings: Settings) -> None:
        self._ledger = ledger
        self._dsn = dsn
        self._schema = settings.schema
        self._settings = settings
        self._leave: Callable[[], None] | None = None

    def close(self) -> None:
        """Takes this process out of the ledger's workers, where it planned something that only it can work."""
        leave, self._leave = self._leave, None
        if leave is not None:
            with contextlib.suppress(Error):
                leave()

    def plan(self, source: Any, ask: Ask, *, dry_run: bool = False) -> Plan:
        """Plans what is missing. ConfigError before anything is written, Conflict for what does not fit."""
        found = as_source(source)
        place = request.Place(
            ledger_schema=self._schema,
            now=self._ledger.now(),
            local_pool=presence.local_pool(),
            max_slices=self._settings.max_slices,
            actor=request.actor(),
        )
        if isinstance(found, (Value, Stream)):
            wanted, target = request.of_value(found, ask, place)
            local = True
        else:
            wanted, target = request.of_provider(found, ask, place)
            local = is_local(type(found))
        self._check_target(wanted, target.to_dict())
        if not isinstance(found, (Value, Stream)):
            self._cut(found, wanted)
        if local and not dry_run:
            self._leave = self._leave or presence.announce(self._ledger, self._dsn, self._schema)
        wanted["dry_run"] = dry_run
        wanted["depends_on"] = dependencies(self._ledger, ask.depends_on)
        if not dry_run:
            # What a process that is gone had to itself would otherwise count as being in its hands.
            self._ledger.reap(lease=self._settings.lease)
        result = self._ledger.plan(wanted)
        if local and result["plan_id"] is not None:
            presence.keep_source(self._dsn, self._schema, result["plan_id"], found)
        plan = self._plan_of(wanted, result)
        self._warn_of_future(plan, wanted, place.now)
        if dry_run:
            plan = replace(plan, ddl=self._ddl(wanted, target.to_dict()))
        log.info(
            "%s: plan %s, %s slices, window %s (start: %s, stop: %s)%s",
            wanted["provenance"]["code"],
            plan.id,
            plan.slices,
            plan.window,
            plan.window_source.get("from"),
            plan.window_source.get("to"),
            f": {plan.reason}" if plan.reason else "",
        )
        return plan

    def ingest(
        self,
        source: Any,
        ask: Ask,
        *,
        workers: int | None = None,
        seconds: float | None = None,
        progress: Any = None,
    ) -> Report:
        """Plans, works until every slice of the window is over, reports."""
        began = time.monotonic()
        budget = Budget(seconds, None)
        self._threads(workers)  # before anything is written
        plan = self.plan(source, ask)
        report = self._work_plan(plan, began, budget, workers, progress)
        gone = any(failure.kind == "provider_gone" for failure in report.failures)
        if gone and plan.in_flight_plans and ask.trigger is None and not budget.over():
            # Slices were in the hands of another process, which went away meanwhile: they are free now.
            with contextlib.suppress(ConfigError):  # its deadline has passed meanwhile
                plan = self.plan(source, ask)
            report = self._work_plan(plan, began, budget, workers, progress)
        return report

    def work(
        self,
        plan: int | None,
        *,
        pool: str | None = None,
        workers: int | None = None,
        seconds: float | None = None,
        tasks: int | None = None,
        forever: bool = False,
        progress: Any = None,
    ) -> Report:
        """Works a plan, or everything in a pool, until nothing is left or the budget is used."""
        began = time.monotonic()
        budget = Budget(seconds, tasks)
        if plan is not None:
            found = _reach(lambda: self.find_plan(plan))
            _reach(lambda: self._refuse_foreign(plan))
            return self._work_plan(found, began, budget, workers, progress)
        pool = pool or self._settings.pool
        scope = Scope(pool=pool, forever=forever)
        jobs = Jobs(self._dsn, self._schema, self._settings)

        def now() -> Report:
            return pool_report(self._ledger, scope, jobs, time.monotonic() - began)

        self._run(Crew(self._dsn, self._schema, self._settings, jobs, scope, budget), workers, now, progress)
        return _reach(now)

    def find_plan(self, plan: int) -> Plan:
        """A stored plan. Raises ConfigError for one that is not there."""
        rows = self._ledger.fetch("status.plans", plan, None, None, None, 1)
        if not rows:
            raise ConfigError(f"there is no plan {plan}; `strandline status` lists those that there are")
        row = rows[0]
        schema, _, table = row["target"].partition(".")
        return Plan(
            id=plan,
            key="",
            status=row["status"],
            window=window_of(row, "window_from", "window_to"),
            missing=[],
            slices=row["slices"],
            reason=row["reason"],
            stream=row["stream"],
            table=(schema, table),
            cursor_id=row["cursor_id"],
            slice_windows=lambda: self._windows(plan, row["cursor_type_code"], row["time_zone"]),
        )

    def _work_plan(self, plan: Plan, began: float, budget: Budget, workers: int | None, progress: Any) -> Report:
        scope = _reach(lambda: self._scope(plan))
        jobs = Jobs(self._dsn, self._schema, self._settings)
        crew = Crew(self._dsn, self._schema, self._settings, jobs, scope, budget)

        def now() -> Report:
            used = budget.used()
            return plan_report(self._ledger, plan, scope, time.monotonic() - began, jobs.throttled, budget_used=used)

        try:
            if _reach(lambda: scope.live(self._ledger))["live"]:
                self._run(crew, workers, now, progress)
        except KeyboardInterrupt:
            log.warning(
                "interrupted; what is committed stays. Go on with the same call, or: strandline work --plan %s", plan.id
            )
            raise
        report = _reach(lambda: self._settled(plan, now))
        if report.status == "SUCCEEDED" and plan.id is not None:
            # What failed may be retried here, and by no other process.
            presence.forget_source(self._dsn, self._schema, plan.id)
        return report

    def _settled(self, plan: Plan, now: Callable[[], Report]) -> Report:
        """The report of a plan that was worked, with what is due at its end done: fold and close."""
        if plan.cursor_id is not None:
            self._ledger.fold(plan.cursor_id)
        if plan.id is not None:
            self._ledger.close_plan(plan.id)
        return now()

    def _run(self, crew: Crew, workers: int | None, now: Callable[[], Report], progress: Any) -> None:
        threads = self._threads(workers)
        show = display(progress)
        if show is None:
            crew.run(threads)
            return
        due = time.monotonic()

        def watch() -> None:
            nonlocal due
            began = time.monotonic()
            if began < due:
                return
            with contextlib.suppress(Unreachable):  # the workers wait for the server; so does the picture of them
                show(now())
            # A question that takes long is asked less often: it must not take the server's time from the pages.
            due = began + max(_PROGRESS_EVERY, 10 * (time.monotonic() - began))

        last: Report | None = None
        try:
            crew.run(threads, watch)
        finally:
            with contextlib.suppress(Unreachable):  # what ended the work is told, and not this
                last = now()
            show.close(last)

    def _threads(self, workers: int | None) -> int:
        asked: Any = self._settings.workers if workers is None else workers
        if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
            raise ConfigError(f"workers is {asked!r}; give the number of threads, at least 1")
        return asked

    def _scope(self, plan: Plan) -> Scope:
        """The plan and those with live tasks in its window, as far as they can be worked in this process."""
        assert plan.id is not None
        mine = [plan.id]
        others: list[int] = []
        # What it waits for is worked too: otherwise a call that nobody else helps would wait for ever.
        upstream = [row["plan"] for row in self._ledger.fetch("status.upstream", plan.id)]
        for other in dict.fromkeys((*plan.in_flight_plans, *upstream)):
            (mine if self._workable(other) else others).append(other)
        if others:
            log.warning(
                "%s can be worked by another process only; this call waits until that ends",
                " and ".join(f"plan {other}" for other in others),
            )
        window = None
        if plan.cursor_id is not None and (rows := self._ledger.fetch("plan.context", plan.id)):
            row = rows[0]
            window = (plan.cursor_id, row["generation"], row["window_from"], row["window_to"])
        return Scope(plans=tuple(mine), others=tuple(others), own=plan.id, window=window)

    def _workable(self, plan: int) -> bool:
        context = self._ledger.fetch("plan.context", plan)[0]
        reference = context["provenance_config_snapshot"]["reference"]
        if not reference.startswith(LOCAL):
            return True
        return presence.source_of(self._dsn, self._schema, plan) is not None

    def _refuse_foreign(self, plan: int) -> None:
        context = self._ledger.fetch("plan.context", plan)[0]
        reference = context["provenance_config_snapshot"]["reference"]
        if reference.startswith(LOCAL) and presence.source_of(self._dsn, self._schema, plan) is None:
            raise ConfigError(f"plan {plan} cannot be worked here: {only_there(reference)}")

    def _check_target(self, wanted: dict[str, Any], target: dict[str, Any]) -> None:
        """Says early what the first page would run into: a table whose columns or key do not fit what is declared."""
        columns = wanted["stream"]["columns"]
        if target["mode"] == "merge":
            self._check_key(target)
        if columns is not None:
            self._ledger.target_ddl(target, [tuple(column) for column in columns])

    def _warn_of_future(self, plan: Plan, wanted: dict[str, Any], now: int) -> None:
        """Says that a part of the window cannot be complete yet, and will count as covered all the same."""
        window = plan.window
        if wanted["cursor"] is None or wanted["cursor"]["type"] != "TIME" or window is None or not plan.slices:
            return
        stop = window.bounds[1]
        if stop > now:
            log.warning(
                "%s: the window ends in the future, at %s. What is read of it counts as covered to its end, so that"
                " rows which the source adds later are not asked for again; end the window now, such as 'START/'",
                wanted["provenance"]["code"],
                _core.rfc3339(stop),
            )

    def _check_key(self, target: dict[str, Any]) -> None:
        schema, table, key = target["schema"], target["table"], target["primary_key"]
        found = self._ledger.fetch("target.matches", schema, table, list(key))
        if found and not found[0]["known"]:
            columns = ", ".join(key)
            raise Conflict(
                f"{schema}.{table} has no unique index on the primary key ({columns}), by which rows are merged;"
                " give it one on just these columns, correct primary_key, or load into another table"
            )

    def _ddl(self, wanted: dict[str, Any], target: dict[str, Any]) -> list[str]:
        columns = wanted["stream"]["columns"]
        return [] if columns is None else self._ledger.target_ddl(target, [tuple(column) for column in columns])

    def _cut(self, provider: Provider, wanted: dict[str, Any]) -> None:
        """BUDGET and CUSTOM ask the provider where to cut what a dry run finds missing, outside any transaction."""
        spec = wanted["strategy"] or {}
        kind = spec.get("strategy")
        if kind not in ("BUDGET", "CUSTOM"):
            return
        cursor_type, zone = wanted["cursor"]["type"].lower(), wanted["cursor"]["time_zone"]
        missing = self._ledger.plan({**wanted, "dry_run": True})["missing"]
        cuts: list[int] = []
        for lo, hi in missing:
            if kind == "BUDGET":

                def estimate(a: int, b: int) -> int:
                    return int(provider.estimate(Window.from_bounds(a, b, cursor_type, zone)))

                points = _core.bisect(
                    lo, hi, spec["max_records"], estimate, cursor_type, spec.get("min_step"), None, wanted["order"]
                )
            else:
                parts = [part.bounds for part in provider.slices(Window.from_bounds(lo, hi, cursor_type, zone))]
                _core.check_slices(parts, lo, hi, cursor_type)
                points = [lo, *(stop for _, stop in parts)]
            cuts += points[1:-1]
        wanted["cuts"] = cuts

    def _plan_of(self, wanted: dict[str, Any], result: dict[str, Any]) -> Plan:
        cursor = wanted["cursor"]
        kind = cursor["type"] if cursor else None
        zone = cursor["time_zone"] if cursor else "UTC"
        identity = result["plan_id"]

        def shown(bounds: list[tuple[int, int]]) -> list[Window]:
            return [_window(lo, hi, kind, zone) for lo, hi in bounds] if kind in _WINDOWED else []

        def windows() -> list[Window]:
            if identity is None:
                return shown(result["slice_bounds"])
            return self._windows(identity, kind, zone)

        return Plan(
            id=identity,
            key=result["plan_key"],
            status=result["status"],
            window=shown([result["window"]])[0] if result["window"] and kind in _WINDOWED else None,
            missing=shown(result["missing"]),
            slices=result["slices"],
            reason=result["reason"],
            stream=wanted["stream"]["name"],
            table=(wanted["stream"]["schema"], wanted["stream"]["table"]),
            window_source={side: result["window_source"].get(side, "") for side in ("from", "to")},
            cursor_id=result["cursor_id"],
            in_flight_plans=tuple(other for other in result["in_flight_plans"] if other != identity),
            repeated=result["repeated"],
            slice_windows=windows,
        )

    def _windows(self, plan: int, kind: str | None, zone: str) -> list[Window]:
        if kind not in _WINDOWED:
            return []
        rows = self._ledger.fetch("status.plan_slices", plan, self._settings.max_slices)
        return [_window(row["lo"], row["hi"], kind, zone) for row in rows]


_WINDOWED = ("TIME", "ID")


def _reach(call: Callable[[], Answer]) -> Answer:
    """Calls until the server answers, for a while."""
    return reach(call, time.sleep, heals=lambda error: error.retryable)


def _window(lo: int, hi: int, kind: str | None, zone: str) -> Window:
    return Window.from_bounds(lo, hi, (kind or "ID").lower(), zone)
