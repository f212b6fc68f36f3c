"""A real PgBouncer in transaction mode, the pooler that most managed PostgreSQL puts before its servers.

Its settings are its defaults where they matter: `ignore_startup_parameters` is not set, so a client that sends one is
refused as it would be in production, and neither is `max_prepared_statements` (which 1.18 of Debian 12 lacks).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fix_server import SuiteServer
from fix_session import missing
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from strandline.embedded.account import Account, account

_PORT = 6432

# auth_query lets every role of the server in, so that tests can connect as roles they make. `trust` asks nobody for a
# password: only we and root can enter the directory of the socket.
_INI = """
[databases]
* = host={host} port={port} auth_user={user}

[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = {listen_port}
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users.txt
auth_query = select rolname, null::text from pg_roles where rolname = $1
admin_users = {user}
"""


def _program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        missing("pgbouncer is not installed (`make setup` installs it from apt)")
    return found


def _write(path: Path, text: str, who: Account) -> None:
    path.write_text(text)
    if who.uid is not None:
        path.chmod(0o644)  # it lies in a directory that only `who` and root can enter


@pytest.fixture
def pgbouncer(server: SuiteServer, dsn: str, session_directory: Path) -> Iterator[str]:
    """The DSN of this test's database (`dsn`) through PgBouncer in transaction mode."""
    program = _program()
    parts = conninfo_to_dict(dsn)
    who = account(server.data or session_directory)
    directory = Path(tempfile.mkdtemp(prefix="bouncer-", dir=session_directory))
    who.own(directory)
    ini = directory / "pgbouncer.ini"
    names = {name: parts.get(name) for name in ("host", "port", "user")}
    _write(ini, _INI.format(**{"port": 5432, **names}, directory=directory, listen_port=_PORT), who)
    _write(directory / "users.txt", f'"{parts["user"]}" "{parts.get("password", "")}"\n', who)
    process = subprocess.Popen([program, str(ini)], stderr=subprocess.PIPE, text=True, cwd="/", **who.popen())
    try:
        _await_up(process)
        yield make_conninfo(dsn, host=str(directory), port=_PORT)
    finally:
        process.kill()  # its sessions on the server end with it
        process.communicate()
        shutil.rmtree(directory)


def _await_up(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "process up" in line:
            return
    pytest.fail("pgbouncer did not start:\n" + "".join(said), pytrace=False)
