"""The verb that works: `strandline work`, alone or as several processes."""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from .cli_console import Console, Exit
from .cli_database import connect_patiently
from .cli_ingest import display, exit_of, report_text
from .errors import Unreachable
from .processes import Processes, end_with_parent
from .render import plural

if TYPE_CHECKING:
    from .engine import Engine

# Of several processes the one that most needs a look decides.
_WORST = (Exit.UNREACHABLE, Exit.USAGE, Exit.FAILED, Exit.INTERRUPTED, Exit.WORK_LEFT, Exit.DONE)


def work(arguments: argparse.Namespace, console: Console) -> Exit:
    """Does planned tasks until nothing is left, the budget is used, or somebody stops it."""
    end_with_parent()
    # A service manager stops its services with SIGTERM: like Ctrl-C it lets the page in hand finish.
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with connect_patiently(arguments, arguments.seconds) as engine:
        if arguments.seconds is not None:
            arguments.seconds = max(0.0, arguments.seconds - (time.monotonic() - began))
        workers = arguments.workers or engine.settings.workers
        pool = arguments.pool or engine.settings.pool
        if workers > 1:
            return _processes(arguments, console, engine, workers, pool)
        report = engine.work(
            arguments.plan,
            pool=pool,
            seconds=arguments.seconds,
            tasks=arguments.tasks,
            forever=arguments.forever,
            errors="report",
            progress=display(console),
        )
    console.result(report.to_dict(), report_text(report, console))
    return exit_of(report)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _processes(arguments: argparse.Namespace, console: Console, engine: Engine, workers: int, pool: str) -> Exit:
    """`workers` children with one thread each; this process only watches."""
    shares = _shares(arguments.tasks, workers)
    where = ["--plan", str(arguments.plan)] if arguments.plan is not None else ["--pool", pool]
    options = ["--quiet", *where]
    for option, value in (("--dsn-ref", arguments.dsn_ref), ("--schema", arguments.schema)):
        options += [option, value] if value is not None else []
    if arguments.seconds is not None:
        options += ["--seconds", str(arguments.seconds)]
    if arguments.forever:
        options.append("--forever")
    show = display(console) if arguments.plan is not None else False

    def watch() -> None:
        if callable(show):
            with contextlib.suppress(Unreachable):  # the children wait for the server
                show(engine.report(arguments.plan))

    with Processes([[*options, *share] for share in shares]) as children:
        codes = children.wait(watch)
    if arguments.plan is not None:
        report = engine.report(arguments.plan)
        if callable(show):
            show.close(report)
        console.result(report.to_dict(), report_text(report, console))
        return _worst([exit_of(report), *(code for code in codes if code in (Exit.USAGE, Exit.UNREACHABLE))])
    killed = [-code for code in codes if code < 0]
    console.result(
        {"processes": len(codes), "exit_codes": codes},
        f"{plural(len(codes), 'process', 'processes')} of pool {pool} ended"
        + (f", {len(killed)} of them by signal {', '.join(map(str, sorted(set(killed))))}" if killed else ""),
    )
    return _worst([code if code >= 0 else Exit.FAILED for code in codes])


def _shares(tasks: int | None, workers: int) -> list[list[str]]:
    """A budget of tasks in parts, one a process; a process without a part is not started."""
    if tasks is None:
        return [[] for _ in range(workers)]
    parts = [tasks // workers + (i < tasks % workers) for i in range(workers)]
    return [["--tasks", str(part)] for part in parts if part]


def _worst(codes: list[int]) -> Exit:
    return next((code for code in _WORST if code in codes), Exit.FAILED)
