"""The verbs that change what is going on: cancel, retry."""

from __future__ import annotations

import argparse
import sys

from .cli_console import Console, Exit
from .cli_database import connect, subject
from .render import plural
from .report import plain


def cancel(arguments: argparse.Namespace, console: Console) -> Exit:
    """Ends queued tasks now and asks running ones to end at their next page."""
    if not _agreed(f"cancel {arguments.of}?", arguments):
        console.note("nothing was changed")
        return Exit.USAGE
    with connect(arguments) as engine:
        done = engine.cancel(subject(arguments.of), reason=arguments.reason)
    ended = sum(1 for task in done if task["status"] == "CANCELLED")
    asked = len(done) - ended
    text = f"cancelled {plural(ended, 'task')}"
    if asked:
        text += f"; {plural(asked, 'running task')} will end at the next page"
    console.result({"tasks": plain(done)}, text if done else "nothing to cancel: no task is queued or running")
    return Exit.DONE


def retry(arguments: argparse.Namespace, console: Console) -> Exit:
    """Queues failed and cancelled tasks again; committed pages are kept."""
    with connect(arguments) as engine:
        tasks = engine.retry(subject(arguments.of), reason=arguments.reason)
    nothing = "nothing to retry: no task failed or was cancelled"
    text = f"queued {plural(len(tasks), 'task')} again" if tasks else nothing
    console.result({"tasks": plain(tasks)}, text)
    if tasks:
        console.note("they wait for a worker: strandline work")
    return Exit.DONE


def _agreed(question: str, arguments: argparse.Namespace) -> bool:
    # Only a person is asked. A script has decided already, and a question would hang it.
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
