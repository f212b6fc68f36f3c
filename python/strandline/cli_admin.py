"""The verbs around the database: up, migrate, doctor."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from .cli_console import Console, Exit
from .cli_database import named
from .errors import Error, Unreachable
from .render import Column, plural, table, wrap


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
        console.note(f"its data is in {server.directory}; it stays until: strandline up --stop {arguments.dir or ''}".rstrip())
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
    console.result({"sql": script}, script.rstrip() if script else "-- nothing is pending")
    return Exit.DONE


def doctor(arguments: argparse.Namespace, console: Console) -> Exit:
    """Looks at everything that commonly goes wrong outside the code."""
    from . import settings

    shown = settings.shown()
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


def _examine(arguments: argparse.Namespace) -> tuple[list[Any], bool]:
    from . import doctor as checks

    try:
        with _ledger(arguments) as ledger:
            return checks.examine(ledger), False
    except Unreachable as error:
        return [checks.Finding("fail", "server", str(error), "start the server, or name another one")], True
    except Error as error:
        return [checks.Finding("fail", "server", str(error))], False
