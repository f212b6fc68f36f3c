"""The verbs around the database: up, migrate, doctor."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .cli_console import Console, Exit
from .cli_database import named
from .errors import Error, Unreachable
from .render import Column, plural, table, wrap

if TYPE_CHECKING:
    from ._core import Ledger
    from .doctor import Finding
    from .settings import Shown


def up(arguments: argparse.Namespace, console: Console) -> Exit:
    """Starts the embedded server so that it stays, or stops it."""
    from . import embedded

    if arguments.stop:
        stopped = embedded.stop(arguments.dir)
        console.result({"stopped": stopped}, "stopped" if stopped else "no server runs there")
        return Exit.DONE
    if not embedded.running(arguments.dir):
        console.note("starting PostgreSQL ...")
    with embedded.start(arguments.dir, keep=True) as server:
        from . import engine

        options = {"schema": arguments.schema} if arguments.schema else {}
        engine.migrate(server.dsn, **options)
        console.result({"dsn": server.dsn, "directory": str(server.directory)}, server.dsn)
        stop = f"strandline up {shlex.quote(arguments.dir)} --stop" if arguments.dir else "strandline up --stop"
        console.note(f"its data is in {server.directory}; it stays until: {stop}")
    return Exit.DONE


def migrate(arguments: argparse.Namespace, console: Console) -> Exit:
    """Applies what is pending, or shows it."""
    from . import engine

    if arguments.sql:
        return _sql(arguments, console)
    versions = engine.migrate(**named(arguments), check=arguments.check)
    if arguments.check:
        text = f"pending: {', '.join(versions)}; run: strandline migrate" if versions else "nothing is pending"
        console.result({"pending": versions}, text)
        return Exit.FOUND if versions else Exit.DONE
    console.result({"applied": versions}, f"applied {', '.join(versions)}" if versions else "nothing to do")
    return Exit.DONE


def _sql(arguments: argparse.Namespace, console: Console) -> Exit:
    from . import engine

    script = engine.pending_sql(**named(arguments))
    console.result({"sql": script}, script.rstrip() or "-- nothing is pending")
    return Exit.DONE


@contextlib.contextmanager
def _ledger(arguments: argparse.Namespace) -> Iterator[Ledger]:
    """A connection to the ledger whatever its schema is: to look at one that is old or not there."""
    from . import _core, dsn, settings

    chosen = settings.load(schema=arguments.schema)
    with dsn.resolve(arguments.dsn_ref) as place:
        ledger = _core.Ledger(place.text, chosen.schema)
        try:
            yield ledger
        finally:
            ledger.close()


def doctor(arguments: argparse.Namespace, console: Console) -> Exit:
    """Looks at everything that commonly goes wrong outside the code."""
    from . import settings

    shown = settings.shown(dsn=arguments.dsn_ref, schema=arguments.schema)
    if arguments.settings:
        console.result({"settings": [dataclasses.asdict(item) for item in shown]}, _settings_text(shown, console))
        return Exit.DONE
    findings, unreachable = _examine(arguments)
    found = any(finding.level != "ok" for finding in findings)
    document = {
        "ok": not found,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "settings": [dataclasses.asdict(item) for item in shown],
    }
    console.result(document, _findings_text(findings, console) + "\n\n" + _settings_text(shown, console))
    return Exit.UNREACHABLE if unreachable else Exit.FOUND if found else Exit.DONE


def _examine(arguments: argparse.Namespace) -> tuple[list[Finding], bool]:
    from .doctor import Finding, examine

    try:
        with _ledger(arguments) as ledger:
            return [*_embedded(arguments), *examine(ledger)], False
    except Unreachable as error:
        return [Finding("fail", "server", str(error), "start the server, or name another one")], True
    except Error as error:
        return [Finding("fail", "server", str(error), "see: strandline doctor --help")], False


def _embedded(arguments: argparse.Namespace) -> list[Finding]:
    """One line about the embedded server where that is the one that is meant."""
    from . import settings
    from .doctor import Finding
    from .embedded.directory import default

    named = settings.load(dsn=arguments.dsn_ref).dsn or ""
    if not named.startswith("embedded"):
        return []
    directory = named.partition(":")[2] or None
    return [Finding("ok", "embedded", f"runs in {directory or default()}, for as long as a client lives")]


def _findings_text(findings: list[Finding], console: Console) -> str:
    lines = []
    left = max(len(finding.subject) for finding in findings)
    for finding in findings:
        told = [finding.message] if not finding.advice else [finding.message, f"-> {finding.advice}"]
        pieces = [piece for text in told for piece in wrap(text, console.style.width - left - 8)]
        head = console.style.state(f"{finding.level:<4}")
        lines.append(f"{head}  {finding.subject:<{left}}  {pieces[0]}")
        lines += [" " * (left + 8) + piece for piece in pieces[1:]]
    found = sum(1 for finding in findings if finding.level != "ok")
    lines += ["", f"{plural(found, 'finding')}" if found else "all is well"]
    return "\n".join(lines)


def _settings_text(shown: list[Shown], console: Console) -> str:
    columns = [Column("setting"), Column("value", shrink=True), Column("from", shrink=True), Column("default")]
    rows = [(item.name, item.value or "-", item.origin, item.default or "-") for item in shown]
    return table(columns, rows, console.style)
