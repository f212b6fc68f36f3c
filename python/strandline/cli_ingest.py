"""The verbs that bring rows: ingest, plan, preview."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from . import progress
from .cli_console import Console, Exit
from .cli_database import connect
from .cli_source import pairs, provider, request
from .render import Column, cell, cells_wide, days, duration, fields, number, plural, span, table
from .report import how_far, plain

if TYPE_CHECKING:
    from .report import Plan, Report

_LISTED = 20


def ingest(arguments: argparse.Namespace, console: Console) -> Exit:
    """Loads what is missing of the window, then tells what happened."""
    source = provider(arguments)
    budget = {"seconds": arguments.seconds} if arguments.seconds is not None else {}
    if arguments.workers is not None:
        budget["workers"] = arguments.workers
    with connect(arguments) as engine:
        report = engine.ingest(source, **request(arguments), **budget, errors="report", progress=display(console))
    console.result(report.to_dict(), report_text(report, console))
    return exit_of(report)


def plan(arguments: argparse.Namespace, console: Console) -> Exit:
    """Plans the window, or with --dry-run only shows the plan."""
    source = provider(arguments)
    with connect(arguments) as engine:
        made = engine.plan(source, **request(arguments), dry_run=arguments.dry_run)
        windows = made.windows()
    console.result(
        {**made.to_dict(), "windows": [plain(window) for window in windows]}, _plan_text(made, windows, console)
    )
    if made.id is not None and made.slices and not console.json:
        console.note(f"its tasks wait for a worker: strandline work --plan {made.id}")
    return Exit.DONE


def preview(arguments: argparse.Namespace, console: Console) -> Exit:
    """Reads the first rows of a provider without a database."""
    source = provider(arguments)
    rows: list[Any] = []
    pages = 0
    more = False
    for page in source.read(arguments.window, params=pairs(arguments.param, "--param") or None):
        pages += 1
        rows += list(page.rows)
        if len(rows) >= arguments.rows:
            more = len(rows) > arguments.rows or page.cursor is not None
            break
    shown = [_record(row) for row in rows[: arguments.rows]]
    console.result({"rows": [plain(row) for row in shown], "pages": pages, "more": more}, _preview_text(shown, console))
    console.note(f"{plural(len(shown), 'row')} of {plural(pages, 'page')}" + ("; there are more" if more else ""))
    return Exit.DONE


def display(console: Console) -> progress.Display | bool:
    """Progress for a command: a live line on a terminal, plain lines elsewhere, nothing with --quiet."""
    return False if console.quiet else progress.display(True) or False


def exit_of(report: Report) -> Exit:
    """What a report means for a script."""
    if report.status == "HELD":
        return Exit.HELD
    if report.status in ("FAILED", "PARTIAL", "CANCELLED"):
        return Exit.FAILED
    return Exit.WORK_LEFT if report.pending else Exit.DONE


def report_text(report: Report, console: Console) -> str:
    """A report as a few lines, then the slices that were given up."""
    style = console.style
    parts = [style.state(report.status)]
    if report.plan is not None:
        parts.append(f"plan {report.plan}")
    if report.slices:
        parts.append(f"{number(report.succeeded)} of {plural(report.slices, 'slice')}")
    if report.plan is not None:
        pages = f" in {plural(report.batches, 'page')}" if report.batches else ""
        parts.append(plural(report.rows, "row") + pages)
    head = "  ".join(parts)
    merged = report.updated or report.unchanged or report.deleted
    pairs_: list[tuple[str, Any]] = [
        ("reason", report.reason),
        ("window", span(report.window)),
        ("watermark", report.watermark),
        ("rows", _changes(report) if merged else None),
        ("pending", plural(report.pending, "slice") if report.pending else None),
        ("rejected", report.rejected or None),
        ("throttled", duration(report.throttled_seconds) if report.throttled_seconds >= 0.1 else None),
        ("took", duration(report.seconds)),
    ]
    lines = [head, fields(pairs_, style)]
    if report.failures:
        lines += ["", *(_failure(failure, console) for failure in report.failures)]
        if report.failed > len(report.failures):
            lines.append(f"and {number(report.failed - len(report.failures))} more: strandline status {report.plan}")
    return "\n".join(lines)


def _changes(report: Report) -> str:
    names = ("inserted", "updated", "unchanged", "deleted")
    return ", ".join(f"{number(getattr(report, name))} {name}" for name in names if getattr(report, name))


def _failure(failure: Any, console: Console) -> str:
    title = f"task {failure.task} failed {how_far(failure)}"
    where = [("window", span(failure.window)), (failure.kind, failure.message), ("at", failure.where)]
    return console.style.paint(title, "red") + "\n" + fields(where, console.style, indent=2)


def _plan_text(made: Plan, windows: list[Any], console: Console) -> str:
    style = console.style
    title = "dry run: nothing is stored" if made.id is None else f"plan {made.id}"
    source = ", ".join(f"{bound}: {origin}" for bound, origin in made.window_source.items() if origin)
    pairs_ = [
        ("status", made.status if made.id is not None else None),
        ("target", ".".join(part for part in made.table if part)),
        ("window", span(made.window)),
        ("bounds", source or None),
        ("slices", number(made.slices)),
        ("reason", made.reason),
    ]
    lines = [title, fields(pairs_, style, indent=2)]
    if made.missing:
        lines += ["", "missing", *(f"  {days(window)}" for window in made.missing[:_LISTED])]
        lines += _rest(len(made.missing))
    if windows:
        lines += ["", "slices", *(f"  {days(window)}" for window in windows[:_LISTED]), *_rest(made.slices)]
    if made.ddl:
        lines += ["", "SQL at the target", *(f"  {line}" for text in made.ddl for line in _code(text, style.width - 2))]
    return "\n".join(lines)


def _rest(count: int) -> list[str]:
    return [f"  and {number(count - _LISTED)} more"] if count > _LISTED else []


def _code(text: str, width: int) -> list[str]:
    from .render import wrap

    return [piece for line in text.splitlines() for piece in wrap(line, width)]


def _record(row: Any) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    named: Any = getattr(row, "__dict__", None) or getattr(row, "_asdict", None)
    if callable(named):
        named = named()
    if isinstance(named, dict):
        return dict(named)
    return {str(i): value for i, value in enumerate(row)} if isinstance(row, (list, tuple)) else {"value": row}


def _preview_text(rows: list[dict[str, Any]], console: Console) -> str:
    """As many columns as fit, side by side; the others are named."""
    if not rows:
        return "no rows in this window"
    names = list(dict.fromkeys(name for row in rows for name in row))
    kept: list[str] = []
    room = console.style.width
    for name in names:
        wide = min(max(cells_wide(name), *(cells_wide(_value(row.get(name))) for row in rows)), 32)
        if room < wide:
            break
        room -= wide + 2
        kept.append(name)
    kept = kept or names[:1]
    columns = [
        Column(name, right=all(isinstance(row.get(name), (int, float, type(None))) for row in rows), shrink=True)
        for name in kept
    ]
    text = table(columns, [[_value(row.get(name)) for name in kept] for row in rows], console.style)
    hidden = names[len(kept) :]
    if hidden:
        text += "\n\n" + fields([("also", ", ".join(hidden))], console.style)
    return text


def _value(value: Any) -> str:
    # Data is shown as it is: 2013 is a year, not 2,013; an empty cell is a null.
    return cell(str(value)) if isinstance(value, int) and not isinstance(value, bool) else cell(value)
