"""A server for measurements: durable, tuned alike for everybody who is measured on it, gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from strandline import embedded

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "autovacuum": "off"}


@dataclass(frozen=True)
class Bench:
    """Where to measure: `dsn` names a database of its own; `psql` runs Debian's psql on it."""

    dsn: str
    bindir: Path

    def psql(self, *commands: str) -> str:
        """Runs commands in one psql session and returns what it printed."""
        arguments = [str(self.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", self.dsn]
        for command in commands:
            arguments += ["-c", command]
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout

    def execute(self, sql: str) -> None:
        """One statement outside of a transaction."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql)

    def value(self, sql: str) -> Any:
        """The only column of the only row of a query."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(sql).fetchone()
            assert row is not None
            return row[0]

    def database(self, name: str, template: str | None = None) -> Bench:
        """A new database on the same server; a copy of `template`, to which nobody is connected, where one is named."""
        copied = "" if template is None else f" template {template} strategy file_copy"
        self.execute(f"create database {name}{copied}")
        return Bench(make_conninfo(self.dsn, dbname=name), self.bindir)


@contextmanager
def server() -> Iterator[Bench]:
    """Starts it in a temporary directory."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))
    bindir = found[-1].parent if found else embedded.locate()
    directory = Path(tempfile.mkdtemp(prefix="strandline-bench-"))
    try:
        with embedded.start(directory / "server", bindir=bindir, settings=SETTINGS) as started:
            yield Bench(started.dsn, bindir)
    finally:
        embedded.remove(directory / "server")
        shutil.rmtree(directory, ignore_errors=True)


def median(values: list[float]) -> float:
    """The middle one; of an even number, the lower middle."""
    return sorted(values)[(len(values) - 1) // 2]
