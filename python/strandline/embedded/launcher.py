"""Start an embedded server or attach to the one that runs, and stop it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from strandline.embedded import binaries, cluster, probe
from strandline.embedded.account import Account, account
from strandline.embedded.directory import Directory
from strandline.embedded.lock import Lock, held
from strandline.errors import ConfigError

# How long a server may show no sign of life. One that recovers from a crash does show it, and may take its time.
_SILENT_SECONDS = 60.0
_POLL_SECONDS = 0.01
_LOG_BYTES = 10_000_000


class Server:
    """This process's share in a running server: it stays at least until `close`, or until the process ends."""

    def __init__(self, dsn: str, directory: Path, data: Path, share: Lock) -> None:
        self.dsn = dsn
        self.directory = directory
        self.data = data
        self._share = share
        _shares.add(share)

    def close(self) -> None:
        """Give the share back; the last client's is followed by a fast shutdown within half a second."""
        _shares.discard(self._share)
        self._share.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server(directory={str(self.directory)!r}, dsn={self.dsn!r})"


_shares: set[Lock] = set()


def _forget_shares() -> None:
    """A forked child is no client: an orphan would keep the server for ever, and closing would take the parent's."""
    for share in _shares:
        share.forget()
    _shares.clear()


os.register_at_fork(after_in_child=_forget_shares)


def start(
    directory: str | os.PathLike[str] | None = None,
    *,
    bindir: str | os.PathLike[str] | None = None,
    keep: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Server:
    """Start the server of `directory`, making it if it is new, or attach to it if it runs already.

    `bindir` is where PostgreSQL's programs lie (see `locate`); `keep=True` lets the server stay without clients until
    `stop`; `settings` are server settings that win over postgresql.conf, used when this call is the one that starts it.
    Raises ConfigError with the last lines of the server's log when it does not come up.
    """
    place = Directory(directory)
    try:
        place.make()
        with Lock(place.start_lock) as turn:
            if not turn.acquire(_SILENT_SECONDS):
                raise ConfigError(
                    f"another process has been starting the server in {place.path} for {_SILENT_SECONDS:.0f} s"
                )
            return _start(place, bindir, keep, settings or {})
    except OSError as error:
        raise ConfigError(
            f"the embedded server cannot use the directory {place.path}: {error}; name another one (embedded:DIR)",
            {"directory": str(place.path)},
        ) from error


def _start(place: Directory, named: str | os.PathLike[str] | None, keep: bool, settings: Mapping[str, str]) -> Server:
    who = account(place.data)
    share = Lock(place.clients_lock, shared=True)
    # The wait is for a supervisor that is just stopping the server after its last client.
    if not share.acquire(_SILENT_SECONDS):
        raise ConfigError(
            f"the server in {place.path} has been shutting down for {_SILENT_SECONDS:.0f} s; see {place.log}"
        )
    try:
        socket = place.socket(who)
        if held(place.supervisor_lock):
            _await(place, socket, 0)
        if not held(place.supervisor_lock):
            bindir, major = binaries.usable(binaries.locate(named), who)
            cluster.make(place, who, bindir, major, settings)
            offset = _rotated(place.log)
            _supervise(place, who, bindir, socket, settings, offset)
            if not _await(place, socket, offset):
                raise _failure(place, offset)
        if probe.ask(socket, user=cluster.USER, database=cluster.DATABASE) == probe.NO_DATABASE:
            bindir, _ = binaries.usable(binaries.locate(named), who)
            cluster.run(
                [str(bindir / "createdb"), f"--host={socket}", f"--username={cluster.USER}", cluster.DATABASE], who
            )
        if keep:
            place.keep.touch(0o600)
    except BaseException:
        share.release()
        raise
    dsn = f"host={socket} port={probe.PORT} dbname={cluster.DATABASE} user={cluster.USER}"
    return Server(dsn, place.path, place.data, share)


def _await(place: Directory, socket: Path, offset: int) -> bool:
    """Wait until the server takes connections; False when its supervisor ended instead."""
    deadline = time.monotonic() + _SILENT_SECONDS
    while True:
        answer = probe.ask(socket, user=cluster.USER, database=cluster.DATABASE)
        if answer == probe.STARTING:
            deadline = time.monotonic() + _SILENT_SECONDS
        elif answer is not None:
            return True
        if not held(place.supervisor_lock):
            return False
        if time.monotonic() > deadline:
            raise _failure(place, offset)
        time.sleep(_POLL_SECONDS)


def _supervise(
    place: Directory, who: Account, bindir: Path, socket: Path, settings: Mapping[str, str], offset: int
) -> None:
    fixed = {
        "listen_addresses": "",
        "port": str(probe.PORT),
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
    }
    command = [str(bindir / "postgres"), "-D", str(place.data)]
    for name, value in {**settings, **fixed}.items():
        command += ["-c", f"{name}={value}"]
    order = {
        "command": command,
        "user": who.popen(),
        "data": str(place.data),
        "socket": str(probe.socket_file(socket)),
        "lock": str(place.supervisor_lock),
        "clients": str(place.clients_lock),
        "keep": str(place.keep),
        "log": str(place.log),
    }
    script = Path(__file__).with_name("supervisor.py")
    with open(place.log, "ab") as log:
        # Its own session: neither Ctrl-C in the client's terminal nor the end of that terminal reaches the server.
        done = subprocess.run(
            [sys.executable or "python3", "-I", "-S", str(script), json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=cluster.environment(),
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        raise _failure(place, offset)


def _rotated(log: Path) -> int:
    """Set a long log aside, and say where in the file the coming lines begin."""
    if not log.exists():
        log.touch(0o600)
    elif log.stat().st_size > _LOG_BYTES:
        log.rename(log.with_suffix(".log.1"))
        log.touch(0o600)
    return log.stat().st_size


def _failure(place: Directory, offset: int) -> ConfigError:
    with open(place.log, "rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").strip().splitlines()
    said = "\n".join(lines[-cluster.LOG_LINES :]) or "(the log is empty)"
    return ConfigError(
        f"the embedded server in {place.path} did not start; the end of {place.log}:\n{said}",
        {"directory": str(place.path)},
    )


def running(directory: str | os.PathLike[str] | None = None) -> bool:
    """Whether a server of `directory` runs, for whomever."""
    return held(Directory(directory).supervisor_lock)


def stop(directory: str | os.PathLike[str] | None = None) -> bool:
    """Stop the server of `directory` for all its clients, also one that was started to stay; False if none ran."""
    place = Directory(directory)
    if not place.path.is_dir():
        return False
    place.keep.unlink(missing_ok=True)
    deadline = time.monotonic() + 2 * _SILENT_SECONDS  # longer than a supervisor waits before it kills the server
    told = ""
    while held(place.supervisor_lock):
        # While the lock is held, the id in it belongs to a living supervisor, unless it has not written it yet.
        written = place.supervisor_lock.read_text()
        if told and written and written != told:
            return True  # that one is gone; somebody has started the server anew
        if written and not told:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(int(written), signal.SIGTERM)
            told = written
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the server in {place.path} does not stop; see {place.log}", {"directory": str(place.path)}
            )
        time.sleep(_POLL_SECONDS)
    return bool(told)


def remove(directory: str | os.PathLike[str] | None = None) -> None:
    """Stop the server of `directory` and delete it with everything in it."""
    place = Directory(directory)
    stop(place.path)
    if place.path.is_dir():
        place.delete()
