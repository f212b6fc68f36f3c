"""What a chaos test breaks: a server of its own that may crash, a disk that fills up, connections that end, a clock."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from fix_ledger import Database
from fix_server import suite_bindir
from fix_session import alone_before_libc, missing
from fix_workers import Server
from psycopg import sql
from psycopg.conninfo import make_conninfo

import strandline as sl
from strandline import embedded
from strandline.embedded.account import account

_FAKETIME = Path("/usr/lib")
_PATIENCE = 30.0

# As for the suite's server: a crash of processes loses nothing, because the kernel has the pages.
_SETTINGS = {"fsync": "off", "max_connections": "100", "max_wal_size": "256MB", "shared_buffers": "32MB"}

# The connections of everybody else to this database, in an order that nobody knows.
_OTHERS: LiteralString = (
    "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    " and pid <> pg_backend_pid() and application_name <> 'chaos'"
)


Reach = Callable[[], Database]


class PrivateServer:
    """A PostgreSQL server that belongs to one test process, in `directory`; whoever crashes it starts it again."""

    def __init__(self, directory: Path, bindir: Path | None) -> None:
        self._directory = directory
        self._bindir = bindir
        self._numbers = iter(range(1_000_000))
        self._template = ""
        self._server = self._started()

    def _started(self) -> embedded.Server:
        return embedded.start(self._directory, bindir=self._bindir, settings=_SETTINGS)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self._server.data

    @property
    def said(self) -> str:
        """What it has logged; the log of a long life only since it was set aside."""
        return (self._directory / "server.log").read_text(errors="replace")

    def start(self) -> float:
        """Starts it after a crash, if need be. Returns the Unix time at which it took connections."""
        share, self._server = self._server, self._started()
        share.close()
        return time.time()

    def crash(self) -> float:
        """`pg_ctl stop -m immediate`: all processes end at once, the next start recovers. Returns the Unix time."""
        postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        at = time.time()
        os.kill(postmaster, signal.SIGQUIT)
        deadline = time.monotonic() + _PATIENCE
        while embedded.running(self._directory):
            assert time.monotonic() < deadline, "the server does not stop"
        return at

    def kill_backend(self, dsn: str, chance: random.Random) -> float:
        """kill -9 of a server process in this database, if there is one: the postmaster ends all others and recovers.

        Returns the Unix time, once the server goes down.
        """
        at = time.time()
        with self.connect(dsn) as connection, contextlib.suppress(psycopg.OperationalError):
            pids = [pid for (pid,) in connection.execute(_OTHERS).fetchall()]
            if pids:
                at = time.time()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(sorted(pids)), signal.SIGKILL)
                deadline = time.monotonic() + _PATIENCE
                while time.monotonic() < deadline:
                    connection.execute("select 1")  # until we are ended as well
        return at

    def connect(self, dsn: str = "") -> psycopg.Connection[Any]:
        """A connection, as soon as the server takes one."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return psycopg.connect(dsn or self._dsn("postgres"), autocommit=True, application_name="chaos")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server does not come back"

    def create_database(self) -> str:
        """The DSN of a new database with the schema."""
        name = f"chaos_{next(self._numbers)}"
        with self.connect() as connection:
            if not self._template:
                connection.execute("create database chaos_template")
                sl.migrate(self._dsn("chaos_template"))
                self._template = "chaos_template"
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(self._template))
            )
        return self._dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drops what create_database has made, whoever is connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        with self.connect() as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))

    def close(self) -> None:
        """Stops it and deletes everything."""
        self._server.close()
        embedded.remove(self._directory)

    def _dsn(self, database: str) -> str:
        return make_conninfo(self._server.dsn, dbname=database)


@pytest.fixture(scope="session")
def private_server(session_directory: Path) -> Iterator[PrivateServer]:
    """A server of this xdist worker: what happens to it happens to no other test."""
    server = PrivateServer(Path(tempfile.mkdtemp(prefix="private-", dir=session_directory)), suite_bindir())
    yield server
    server.close()


@pytest.fixture
def private_dsn(private_server: PrivateServer) -> Iterator[str]:
    """The DSN of a new database, with the schema, on the private server."""
    private_server.start()
    dsn = private_server.create_database()
    yield dsn
    private_server.start()
    private_server.drop_database(dsn)


@pytest.fixture
def reach(private_server: PrivateServer, private_dsn: str, opened: list[psycopg.Connection[Any]]) -> Reach:
    """`reach()`: the private database seen from outside, once its server takes connections; until its next crash."""

    def make() -> Database:
        opened.append(private_server.connect(private_dsn))
        return Database(opened[-1])

    return make


def terminate_one(database: Database, chance: random.Random) -> int:
    """Ends one of the others' connections, which to its client is a lost network. Returns how many: 0 or 1."""
    pids = [row["pid"] for row in database.rows(f"{_OTHERS} order by pid")]
    if pids:
        database.rows("select pg_terminate_backend($1::int)", chance.choice(pids))
    return min(1, len(pids))


def fill(database: Database, table: str) -> None:
    """Fills the disk that the table lies on, to the last page."""
    with contextlib.suppress(psycopg.errors.DiskFull):
        while True:
            database.rows(f"insert into {table} select repeat('x', 2000) from generate_series(1, 32)")


@pytest.fixture
def small_disk(private_server: PrivateServer, private_dsn: str) -> Iterator[str]:
    """The name of a tablespace on a disk of two megabytes (tmpfs), for the database of `private_dsn`."""
    directory = Path(tempfile.mkdtemp(prefix="sl-disk-", dir="/tmp"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        directory.rmdir()
        pytest.skip(f"a small disk is a tmpfs, and mounting is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        place = directory / "space"
        place.mkdir()
        account(private_server.data).own(place)
        with private_server.connect(private_dsn) as connection:
            connection.execute(sql.SQL("create tablespace small location {}").format(sql.Literal(str(place))))
        yield "small"
        with private_server.connect(private_dsn) as connection:
            for (table,) in connection.execute(
                "select c.oid::regclass::text from pg_class c join pg_tablespace s on s.oid = c.reltablespace"
                " where s.spcname = 'small' and c.relkind = 'r'"
            ).fetchall():
                connection.execute(sql.SQL("drop table {}").format(sql.SQL(table)))
            connection.execute("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


class MovedClock:
    """Worker processes whose clock of the day a test moves while they run; steady clocks are left alone, as in life."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.move(0)
        loaded = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
        self.server = Server(
            LD_PRELOAD=loaded,
            FAKETIME_TIMESTAMP_FILE=str(file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )

    def move(self, hours: float) -> None:
        """Now it is so many hours later, or earlier, than it is."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{hours * 3600:+.0f}\n")
        written.replace(self._file)


@pytest.fixture
def moved_clock(tmp_path: Path) -> Iterator[MovedClock]:
    """libfaketime around worker processes."""
    alone_before_libc()
    library = next(_FAKETIME.glob("**/faketime/libfaketime.so.1"), None) if shutil.which("faketime") else None
    if library is None:
        missing("libfaketime is not installed (`make setup` installs it from apt)")
    clock = MovedClock(library, tmp_path / "clock")
    yield clock
    clock.server.close()
