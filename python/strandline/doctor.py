"""What `strandline doctor` looks at, one finding a line: ok, warn or fail, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import render
from .errors import Error

if TYPE_CHECKING:
    from ._core import Ledger

OLDEST_SERVER = 150000
"""The oldest server_version_num that the suite runs on."""
_CLOCK_WARN = 5.0
_PATIENCE = 60.0


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, warn or fail; `advice` says what to do about the last two."""

    level: str
    subject: str
    message: str
    advice: str = ""


def examine(ledger: Ledger) -> list[Finding]:
    """Every check in turn. One that cannot be made is a finding, and the others go on."""
    findings = list(_attempt("server", _server, ledger))
    pending = _attempt("schema", _schema, ledger)
    findings += pending
    if any(finding.level == "fail" for finding in pending):
        return findings  # the other checks would ask tables that are not there
    for subject, check in (
        ("roles", _roles),
        ("leases", _late_runs),
        ("watermark", _unfolded),
        ("queue", _queued),
    ):
        findings += _attempt(subject, check, ledger)
    return findings


def _attempt(subject: str, check: Callable[[Any], Iterator[Finding]], ledger: Ledger) -> list[Finding]:
    try:
        return list(check(ledger))
    except Error as error:
        return [Finding("fail", subject, str(error))]


def _server(ledger: Ledger) -> Iterator[Finding]:
    before = time.time()
    row = ledger.fetch("doctor.server")[0]
    after = time.time()
    version = f"PostgreSQL {row['version'].split()[0]}, database {row['database']}"
    if row["number"] < OLDEST_SERVER:
        yield Finding("warn", "server", version, "strandline is tested on PostgreSQL 15 and newer: upgrade the server")
    else:
        yield Finding("ok", "server", version)
    if row["read_only"]:
        yield Finding("fail", "server", "it is read-only or a standby", "name the primary server in the DSN")
    if row["encoding"] != "UTF8":
        yield Finding("warn", "encoding", f"the database is {row['encoding']}", "make the database with encoding UTF8")
    if not row["fsync"]:
        yield Finding("warn", "durability", "fsync is off: a crash of the machine loses the database", "set fsync = on")
    elif row["synchronous_commit"] == "off":
        advice = "set synchronous_commit = on, or accept that a crash takes back the last pages (rows and ledger alike)"
        yield Finding("warn", "durability", "synchronous_commit is off", advice)
    # The answer was made somewhere between the two readings of our clock: only what lies outside is a difference.
    server = row["now"] / 1_000_000
    difference = server - after if server > after else min(server - before, 0.0)
    if abs(difference) > _CLOCK_WARN:
        ahead = "ahead of" if difference > 0 else "behind"
        message = f"the server's is {render.duration(abs(difference))} {ahead} this machine's"
        advice = "leases and watermarks use the server's clock alone; run NTP so that logs and open windows agree"
        yield Finding("warn", "clock", message, advice)
    else:
        yield Finding("ok", "clock", f"server and client agree within {render.duration(max(abs(difference), 0.001))}")


def _schema(ledger: Ledger) -> Iterator[Finding]:
    pending = ledger.pending()
    if pending:
        versions = ", ".join(str(version) for version in pending)
        message = f"{ledger.schema}: migration {versions} is pending"
        yield Finding("fail", "schema", message, f"run: strandline migrate --schema {ledger.schema}")
    else:
        yield Finding("ok", "schema", f"{ledger.schema} is up to date")


def _roles(ledger: Ledger) -> Iterator[Finding]:
    row = ledger.fetch("doctor.roles", ledger.schema)[0]
    user = row["user"]
    runner = f"grant {ledger.schema}_runner to {user}"
    if not row["reads"]:
        yield Finding("fail", "roles", f"{user} may not read the ledger", f"as its owner {row['owner']}: {runner}")
    elif not row["works"]:
        message = f"{user} may read the ledger, not work"
        yield Finding("warn", "roles", message, f"enough for status and coverage; for workers: {runner}")
    elif row["superuser"]:
        message = f"{user} is a superuser; in production let a member of {ledger.schema}_runner work"
        yield Finding("ok", "roles", message)
    else:
        yield Finding("ok", "roles", f"{user} may {'own and ' if row['owns'] else ''}work the ledger")
    if row["missing_roles"]:
        names = " and ".join(row["missing_roles"])
        advice = f"as a role that may: create role {row['missing_roles'][0]} nologin; then grant as in migration 1"
        yield Finding("warn", "roles", f"{names} do not exist: rights cannot be granted by role", advice)


def _late_runs(ledger: Ledger) -> Iterator[Finding]:
    row = ledger.fetch("doctor.late_runs", _PATIENCE)[0]
    if row["runs"]:
        message = f"{render.plural(row['runs'], 'run')} lost the lease up to {render.duration(row['seconds'])} ago"
        yield Finding("warn", "leases", message, "no worker takes them over; start one: strandline work")
    else:
        yield Finding("ok", "leases", "no run is late")


def _unfolded(ledger: Ledger) -> Iterator[Finding]:
    row = ledger.fetch("doctor.unfolded", _PATIENCE)[0]
    if row["parts"]:
        message = (
            f"{render.plural(row['parts'], 'finished part')} of {render.plural(row['cursors'], 'cursor')} not folded"
            f" for up to {render.duration(row['seconds'])}"
        )
        yield Finding("warn", "watermark", message, "any worker folds them: strandline work --seconds 1")
    else:
        yield Finding("ok", "watermark", "all finished parts are folded")


def _queued(ledger: Ledger) -> Iterator[Finding]:
    waiting = ledger.fetch("doctor.queued", _PATIENCE)
    for row in waiting:
        if not row["workers"]:
            message = f"{render.plural(row['tasks'], 'task')} wait in pool {row['pool']}, and no worker is there"
            yield Finding("warn", "queue", message, f"start one: strandline work --pool {row['pool']}")
    if not any(not row["workers"] for row in waiting):
        yield Finding("ok", "queue", "no task waits without a worker")
