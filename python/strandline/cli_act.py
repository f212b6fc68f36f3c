"""The verbs that change what is going on: cancel, retry, pause, resume, trigger, priority, split, skip, worker, pool.

Asked again, each says that there is nothing to do, and ends with 0.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .cli_console import Console, Exit
from .cli_database import connect, subject, task_named
from .cli_source import slice_of
from .render import plural
from .report import plain


def cancel(arguments: argparse.Namespace, console: Console) -> Exit:
    """Ends queued tasks now and asks running ones to end at their next page."""
    if not _agreed(f"cancel {_named(arguments.of)}?", arguments):
        return _declined(console)
    with connect(arguments) as engine:
        done = engine.cancel(subject(arguments.of), reason=arguments.reason)
    ended = sum(1 for task in done if task["status"] == "CANCELLED")
    asked = len(done) - ended
    text = f"cancelled {plural(ended, 'task')}"
    if asked:
        text += f"; {plural(asked, 'running task')} will end at the next page"
    return _tasks(done, text, "no task is queued or running", console)


def retry(arguments: argparse.Namespace, console: Console) -> Exit:
    """Queues failed and cancelled tasks again; committed pages are kept."""
    with connect(arguments) as engine:
        tasks = engine.retry(subject(arguments.of), reason=arguments.reason)
    _tasks(tasks, f"queued {plural(len(tasks), 'task')} again", "no task failed or was cancelled", console)
    if tasks:
        console.note("they wait for a worker: strandline work")
    return Exit.DONE


def pause(arguments: argparse.Namespace, console: Console) -> Exit:
    """Holds tasks until they are resumed."""
    with connect(arguments) as engine:
        done = engine.pause(subject(arguments.of), reason=arguments.reason)
    running = sum(1 for task in done if task["status"] == "RUNNING")
    text = f"paused {plural(len(done), 'task')}"
    if running:
        text += f"; {running} of them {'runs' if running == 1 else 'run'} up to the next page"
    nothing = "no task waits or runs that is not paused"
    if not arguments.of.isdigit() and not arguments.of.startswith("task:"):
        later = f"; what is planned for {arguments.of} later is held too"
        text, nothing = text + later, nothing + later
    return _tasks(done, text, nothing, console)


def resume(arguments: argparse.Namespace, console: Console) -> Exit:
    """Lets paused tasks go on."""
    with connect(arguments) as engine:
        done = engine.resume(subject(arguments.of), reason=arguments.reason)
    return _tasks(done, f"resumed {plural(len(done), 'task')}", "no task is paused", console)


def trigger(arguments: argparse.Namespace, console: Console) -> Exit:
    """Makes waiting tasks due now."""
    with connect(arguments) as engine:
        done = engine.trigger(subject(arguments.of), reason=arguments.reason)
    return _tasks(done, f"made {plural(len(done), 'task')} due now", "no task waits for its time", console)


def priority(arguments: argparse.Namespace, console: Console) -> Exit:
    """Changes who is first among waiting tasks."""
    with connect(arguments) as engine:
        done = engine.priority(subject(arguments.of), arguments.n, reason=arguments.reason)
    text = f"gave {plural(len(done), 'task')} priority {arguments.n}"
    return _tasks(done, text, f"no task that is not over has another priority than {arguments.n}", console)


def split(arguments: argparse.Namespace, console: Console) -> Exit:
    """Cuts the rest of a task's slice anew."""
    with connect(arguments) as engine:
        made = engine.split(task_named(arguments.task), slice_of(arguments.slice, "SLICE"), reason=arguments.reason)
    kept = "; what is committed stays" if made["covered"] else ""
    named = _named(arguments.task, "task")
    text = (
        f"cut the rest of {named} into {_new(made)}{kept}"
        if made["slices"]
        else _nothing(f"{named} was cut anew before")
    )
    console.result(plain(made), text)
    return Exit.DONE


def skip(arguments: argparse.Namespace, console: Console) -> Exit:
    """Passes over the page at which a task failed."""
    if not _agreed(f"pass over a page of {_named(arguments.task, 'task')}? its rows are never stored", arguments):
        return _declined(console)
    with connect(arguments) as engine:
        done = engine.skip(task_named(arguments.task), reason=arguments.reason)
    goes_on = "that was its last one" if done["status"] == "SUCCEEDED" else "it goes on with the next"
    named, page = _named(arguments.task, "task"), f"page {done['batch_no']}"
    already = _nothing(f"{page} of {named} was passed over before")
    console.result(plain(done), f"passed over {page} of {named}; {goes_on}" if done["changed"] else already)
    return Exit.DONE


def worker(arguments: argparse.Namespace, console: Console) -> Exit:
    """Puts a worker under quarantine, releases it, or ends it."""
    name, reason = arguments.name, arguments.reason
    with connect(arguments) as engine:
        if arguments.action == "stop":
            changed, status = engine.stop(name, reason=reason), "DRAINING"
            text, already = f"{name} ends after the page in hand", f"{name} is to end already"
        elif arguments.action == "release":
            changed, status = engine.quarantine(name, release=True, reason=reason), "ACTIVE"
            text, already = f"{name} may claim again", f"{name} may claim"
        else:
            changed, status = engine.quarantine(name, reason=reason), "QUARANTINED"
            text, already = f"{name} claims nothing until it is released", f"{name} is under quarantine already"
    document = {"worker": name, "status": status, "changed": changed}
    console.result(document, text if changed else _nothing(already))
    return Exit.DONE


def pool(arguments: argparse.Namespace, console: Console) -> Exit:
    """Limits how many tasks of a pool run at once."""
    name, limit = arguments.name, arguments.limit
    with connect(arguments) as engine:
        changed = engine.pool(name, limit, reason=arguments.reason)
    has = "no limit" if limit is None else f"the limit of {plural(limit, 'task')} at a time"
    text = f"pool {name} has {has}" if changed else _nothing(f"pool {name} has {has}")
    console.result({"pool": name, "limit": limit, "changed": changed}, text)
    return Exit.DONE


def _tasks(done: list[Any], text: str, nothing: str, console: Console) -> Exit:
    console.result({"tasks": plain(done)}, text if done else _nothing(nothing))
    return Exit.DONE


def _nothing(why: str) -> str:
    return f"nothing to do: {why}"


def _new(made: dict[str, Any]) -> str:
    tasks = made["tasks"]
    if not tasks:
        return "nothing: all of it is committed"
    return plural(len(tasks), "task") + f", {tasks[0]}" + (f" to {tasks[-1]}" if len(tasks) > 1 else "")


def _named(text: str, number: str = "plan") -> str:
    """OF for people: a bare number says what it numbers."""
    return f"{number} {text}" if text.isdigit() else text


def _agreed(question: str, arguments: argparse.Namespace) -> bool:
    # Only a person is asked. A script has decided already, and a question would hang it; so would one that nobody sees.
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _declined(console: Console) -> Exit:
    console.note("nothing was changed")
    return Exit.INTERRUPTED
