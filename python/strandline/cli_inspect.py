"""The verbs that ask: status, coverage, cursor, trace, verify."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .cli_console import Console, Exit
from .cli_database import connect, subject, task_named
from .cli_source import value_of
from .picture import picture
from .render import Column, days, duration, fields, moment, number, plural, span, table, wrap
from .report import plain

if TYPE_CHECKING:
    from .coverage import Coverage, CoverageRow
    from .status import PlanStatus, Status, TaskStatus, WorkerStatus
    from .trace import Trace
    from .why import Blocker

_LISTED = 20


def status(arguments: argparse.Namespace, console: Console) -> Exit:
    """Plans; of one plan or state also its tasks; who works."""
    of = subject(arguments.of) if arguments.why is None else task_named(arguments.why)
    with connect(arguments) as engine:
        found = engine.status(of, state=arguments.state, limit=arguments.limit)
        lease = engine.settings.lease / 1_000_000
    text = _status_text(found, lease, console) if arguments.why is None else _why_text(found.tasks[0], console)
    console.result(found.to_dict(), text)
    return Exit.DONE


def _status_text(found: Status, lease: float, console: Console) -> str:
    now = dt.datetime.now(dt.UTC)
    blocks = []
    if found.plans:
        blocks.append(_plans_text(found.plans, now, console))
    if len(found.plans) == 1:
        (plan,) = found.plans
        cut = _named(plan) not in blocks[0]  # the table may have shortened it
        if told := fields([("source", _named(plan) if cut else None), ("reason", plan.reason)], console.style):
            blocks.append(told)
    if found.tasks:
        blocks.append(_tasks_text(found.tasks, console))
    if found.workers:
        blocks.append(_workers_text(found.workers, now, lease, console))
    if not found.plans and not found.tasks:
        blocks.insert(0, "nothing is planned")
    return "\n\n".join(blocks)


def _plans_text(plans: list[PlanStatus], now: dt.datetime, console: Console) -> str:
    columns = [
        Column("plan", right=True),
        Column("source", shrink=True),
        Column("status", state=True),
        Column("window"),
        Column("slices", right=True),
        Column("running", right=True),
        Column("queued", right=True),
        Column("failed", right=True),
        Column("cancelled", right=True),
        Column("took", right=True),
    ]
    rows = [
        (
            str(plan.plan),
            _named(plan),
            plan.status,
            days(plan.window),
            f"{number(plan.succeeded)}/{number(plan.slices)}",
            plan.running or None,
            plan.queued or None,
            plan.failed or None,
            plan.cancelled or None,
            duration(((plan.finished_at or now) - plan.created_at).total_seconds()),
        )
        for plan in plans
    ]
    return table(columns, rows, console.style)


def _named(plan: PlanStatus) -> str:
    return plan.source if plan.target == f"public.{plan.source}" else f"{plan.source}>{plan.target}"


def _tasks_text(tasks: list[TaskStatus], console: Console) -> str:
    columns = [
        Column("task", right=True),
        Column("window"),
        Column("status", state=True),
        Column("attempt", right=True),
        Column("pages", right=True),
        Column("why", whole=True),
    ]
    rows = [(str(task.task), days(task.window), task.status, task.attempt, task.pages, task.why) for task in tasks]
    text = table(columns, rows, console.style)
    for task in tasks:
        told = _end_of(task, always=len(tasks) == 1)
        if told:
            text += f"\n\n{console.style.paint(f'task {task.task}', 'bold')}\n" + fields(told, console.style, indent=2)
    return text


def _why_text(task: TaskStatus, console: Console) -> str:
    """One task, what keeps it, each with what lies behind that indented below, and how its last run ended."""
    told: list[tuple[str, Any]] = [
        ("plan", f"{task.plan}, {task.source}"),
        ("window", span(task.window)),
        ("pool", f"{task.pool}, priority {task.priority}"),
        ("so far", f"attempt {task.attempt}, {plural(task.pages, 'page')} committed"),
    ]
    lines = [f"task {task.task}  {console.style.state(task.status)}", fields(told, console.style, indent=2)]
    lines += ["", console.style.paint("why", "bold")]
    lines += _tree(task.blockers, console.style.width, 2) or [f"  {task.why}"]
    if end := _end_of(task, always=True):
        lines += ["", console.style.paint("its last run", "bold"), fields(end, console.style, indent=2)]
    return "\n".join(lines)


def _tree(found: Sequence[Blocker], width: int, indent: int) -> list[str]:
    lines = []
    for each in found:
        first, *rest = wrap(each.message, width - indent - 2)
        lines += [" " * indent + first, *(" " * (indent + 2) + piece for piece in rest)]
        lines += _tree(each.because, width, min(indent + 2, 20))
    return lines


def _end_of(task: TaskStatus, *, always: bool) -> list[tuple[str, Any]]:
    """How the last run of a task ended, by whom and why. A success is told of only where it was asked for."""
    end = task.ended
    if end is None or (end.status == "SUCCEEDED" and not always):
        return [(task.kind or "error", task.error), ("at", task.where)] if task.error and end is None else []
    told: list[tuple[str, Any]] = [("ended", f"{end.status} ({end.reason}), attempt {end.attempt}, by {end.by}")]
    for cause in end.causes:
        told += [(cause.origin, f"{cause.kind}: {cause.message}" if cause.kind else cause.message), ("at", cause.where)]
    return told


def _workers_text(workers: list[WorkerStatus], now: dt.datetime, lease: float, console: Console) -> str:
    def state(row: WorkerStatus) -> str:
        # A worker that was killed could not say so; it gives a sign of life three times a lease.
        return "SILENT" if (now - row.heartbeat_at).total_seconds() > lease else row.status

    columns = [
        Column("worker", shrink=True),
        Column("status", state=True),
        Column("pools", shrink=True),
        Column("started", right=True),
        Column("seen", right=True),
    ]
    rows = [
        (row.worker, state(row), ", ".join(row.pools), _ago(row.started_at, now), _ago(row.heartbeat_at, now))
        for row in workers
    ]
    return table(columns, rows, console.style)


def _ago(then: dt.datetime, now: dt.datetime) -> str:
    return f"{duration(max((now - then).total_seconds(), 0))} ago"


def coverage(arguments: argparse.Namespace, console: Console) -> Exit:
    """The picture of a window, then what of it needs a look."""
    with connect(arguments) as engine:
        found = engine.coverage(subject(arguments.of), arguments.window, by=arguments.by)
    console.result({**found.to_dict(), "complete": found.complete}, _coverage_text(found, arguments.by, console))
    return Exit.FOUND if arguments.check and not found.complete else Exit.DONE


def _coverage_text(found: Coverage, by: str | None, console: Console) -> str:
    lines = [picture(found, console.style), "", fields(_coverage_fields(found), console.style)]
    rows = found.rows if by else [row for row in found.rows if row.state != "COVERED"]
    if rows:
        lines += ["", _rows_text(rows[:_LISTED] if not by else rows, console)]
        if not by and len(rows) > _LISTED:
            lines.append(f"and {number(len(rows) - _LISTED)} more; --json lists all")
    return "\n".join(lines)


def _coverage_fields(found: Coverage) -> list[tuple[str, Any]]:
    return [
        ("source", found.name),
        ("window", span(found.window)),
        ("watermark", shown(found.watermark)),
        ("complete", "yes, all of it is in the table" if found.complete else "no"),
    ]


def _rows_text(rows: list[CoverageRow], console: Console) -> str:
    columns = [
        Column("from"),
        Column("to"),
        Column("state", state=True),
        Column("task", right=True),
        Column("attempts", right=True),
        Column("worker", shrink=True),
        Column("error", shrink=True),
    ]
    cells = [
        (
            shown(row.window.start),
            shown(row.window.stop),
            row.state,
            str(row.task) if row.task is not None else None,
            row.attempts or None,
            row.worker,
            row.error,
        )
        for row in rows
    ]
    return table(columns, cells, console.style)


def cursor(arguments: argparse.Namespace, console: Console) -> Exit:
    """The watermark of a namespace."""
    with connect(arguments) as engine:
        found = engine.cursor(subject(arguments.of))
    document = {"value": plain(found.value), "type": found.type, "generation": found.generation}
    pairs = [("watermark", shown(found.value)), ("type", found.type), ("generation", str(found.generation))]
    console.result(document, fields(pairs, console.style))
    return Exit.DONE


def trace(arguments: argparse.Namespace, console: Console) -> Exit:
    """Where a row of a target came from."""
    named = [word.partition("=") for word in arguments.key]
    key: list[Any] = [value_of(word) for word in arguments.key]
    if all(equals for _, equals, _ in named):
        key = [{name: value_of(value) for name, _, value in named}]
    with connect(arguments) as engine:
        found = engine.trace(arguments.table, *key)
    console.result(found.to_dict(), _trace_text(found, console))
    return Exit.DONE


def _trace_text(found: Trace, console: Console) -> str:
    """One line a part; --json has every field of each."""
    page, run, task, part = found.batch, found.run, found.task, found.slice
    plan, trigger, config = found.plan, found.trigger, found.config
    settings = json.dumps(plain(config["config"]), ensure_ascii=False) if config.get("config") else ""
    pairs = [
        ("page", f"{page['page_no']} of walk {page['walk_no']}: {plural(page['records'], 'row')}, {_cursors(page)}"),
        ("", f"committed {shown(page['finished_at'])}, digest {_start(page['content_digest'])}"),
        ("run", f"{run['id']}, attempt {run['attempt']} by {run['worker']}: {run['status']}"),
        ("task", f"{task['id']}: {task['status']}, pool {task['pool']}, generation {task['generation']}"),
        ("", f"key {_start(task['key'])}"),
        ("slice", f"{part['slice_no']} of {plan['slices']}: {span(part.get('window')) or _json(part['spec'])}"),
        ("plan", f"{plan['id']}: {plan['operation']} {days(plan.get('window')) or ''}".rstrip()),
        ("", f"planned {shown(plan['planned_at'])}, cut by {_cut(plan)}"),
        ("trigger", f"{trigger['id']}: {trigger['scheduler']}, job {trigger['job']}, by {trigger['actor']}"),
        ("", f"{shown(trigger['triggered_at'])}, log {trigger['log']}"),
        ("source", f"{config['reference']} version {config['version']} {settings}".rstrip()),
    ]
    return fields(pairs, console.style)


def _cursors(page: Mapping[str, Any]) -> str:
    before, after = (None if page[side] is None else _json(page[side]) for side in ("before", "after"))
    return f"from {before or 'the start'} to {after or 'the end'}"


def _cut(plan: Mapping[str, Any]) -> str:
    spec = json.loads(plan["slice"]) if isinstance(plan["slice"], str) else plan["slice"]
    rest = [_json(value) for name, value in spec.items() if name != "strategy"]
    return " ".join([plan["strategy"], *rest])


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def _start(digest: Any) -> str:
    """The beginning of a digest: enough to tell two apart by eye."""
    return (digest if isinstance(digest, str) else bytes(digest).hex())[:16] if digest else "none"


def verify(arguments: argparse.Namespace, console: Console) -> Exit:
    """Refolds the ledger and lists every difference."""
    with connect(arguments) as engine:
        found = engine.verify(subject(arguments.of), anchor=arguments.anchor)
    document = {"clean": bool(found), "differences": plain(found.differences)}
    if found:
        console.result(document, "clean: the ledger folds to the cursors, chain, counts and references agree")
        return Exit.DONE
    columns = [Column("check"), Column("subject", shrink=True), Column("difference", shrink=True)]
    rows = [(row["check"], row["subject"], row["message"]) for row in document["differences"]]
    console.result(document, table(columns, rows, console.style))
    console.note(f"{plural(len(rows), 'difference')}; --json has them in full")
    return Exit.FOUND


def shown(value: Any) -> str | None:
    """A bound as text, in the zone of its window."""
    zone = value.tzinfo if isinstance(value, dt.datetime) else None
    return moment(value, zone) if zone is not None else str(value) if value is not None else None
