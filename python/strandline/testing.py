"""For the tests of projects that use strandline: a database of their own, and a check of providers. A pytest plugin."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from strandline.engine import Engine
    from strandline.provider import Provider

# Loaded by every pytest run on the machine: everything else is imported where it is used.

__all__ = ["check_provider", "strandline_engine"]

# A power cut is all that could lose something, and tests are repeated.
_SERVER_SETTINGS = {"fsync": "off", "synchronous_commit": "off"}


def check_provider(
    provider: Provider | type[Provider],
    window: Any = None,
    *,
    params: Mapping[str, Any] | None = None,
    client: Any = None,
) -> None:
    """Reads one slice of a provider several times, without a database. Raises AssertionError with every complaint.

    Looked for are: pages that differ when they are read twice, or when they are read on from the cursor of an earlier
    page; a window that is ignored, or whose halves do not add up to it; cursors that stand still, come back or are no
    JSON; rows without their key. window, params and client are as in `Provider.read`; of a long slice the first 100
    pages are read. A source that changes meanwhile is not fit for this: give a client that answers from a recording.
    """
    __tracebackhide__ = True
    from strandline.conformance import complaints

    found = complaints(provider() if isinstance(provider, type) else provider, window, params, client)
    if found:
        name = provider.__name__ if isinstance(provider, type) else type(provider).__name__
        raise AssertionError(f"{name}:\n" + "\n".join(f"  - {complaint}" for complaint in found))


class _Databases:
    """Databases of one test run on one server: a template with the schema, and a clone of it for each test."""

    def __init__(self, dsn: str, directory: Path) -> None:
        from strandline import embedded
        from strandline.dsn import with_database
        from strandline.engine import migrate

        self._dsn = dsn
        self._bindir = embedded.locate()
        self._service = directory / "pg_service.conf"
        self._template = f"strandline_{uuid.uuid4().hex[:12]}"
        self._with_database = with_database
        self._prepare()
        self._run("createdb", self._template)
        migrate(with_database(dsn, self._template))

    def create(self) -> tuple[str, str]:
        """(name, DSN) of a new database."""
        name = f"{self._template}_{uuid.uuid4().hex[:8]}"
        self._run("createdb", f"--template={self._template}", name)
        return name, self._with_database(self._dsn, name)

    def drop(self, name: str | None = None) -> None:
        """Removes a database, by default the template, whoever is still connected to it."""
        self._run("dropdb", "--if-exists", "--force", name or self._template)

    def _prepare(self) -> None:
        # A service file carries every option of the DSN, and no password stands in the arguments of a process.
        from strandline.dsn import options

        lines = [f"{name}={value}" for name, value in options(self._dsn).items()]
        self._service.touch(0o600)
        self._service.write_text("\n".join(["[strandline]", *lines, ""]), encoding="utf-8")

    def _run(self, program: str, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            [str(self._bindir / program), "--maintenance-db=service=strandline", *arguments],
            env={**environment, "PGSERVICEFILE": str(self._service)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{program} failed: {done.stderr.strip()}", pytrace=False)


@pytest.fixture(scope="session")  # type: ignore[untyped-decorator] # mypy does not look into pytest here
def _strandline_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Databases]:
    from strandline import embedded
    from strandline.dsn import resolve

    directory = tmp_path_factory.mktemp("strandline")
    given = os.environ.get("STRANDLINE_TEST_DSN")
    if given:
        with resolve(given) as found:
            databases = _Databases(found.text, directory)
            yield databases
            databases.drop()
        return
    try:
        with embedded.start(directory / "server", settings=_SERVER_SETTINGS) as server:
            yield _Databases(server.dsn, directory)
    finally:
        embedded.remove(directory / "server")


@pytest.fixture  # type: ignore[untyped-decorator] # mypy does not look into pytest here
def strandline_engine(_strandline_databases: _Databases) -> Iterator[Engine]:
    """An Engine on a database of this test alone, with the schema and nothing in it, which is dropped afterwards.

    The server is that of STRANDLINE_TEST_DSN, whose user must be allowed to create databases, else an embedded one;
    never that of STRANDLINE_DSN.
    """
    from strandline.engine import connect

    name, dsn = _strandline_databases.create()
    try:
        with connect(dsn) as engine:
            yield engine
    finally:
        _strandline_databases.drop(name)
