"""The process that owns one embedded server: starts it, and stops it when its last client is gone.

Run as a script by its path (`python -I -S supervisor.py JSON`), with the standard library only, so that it starts in
10 ms and neither a rebuild of the package nor a broken environment can touch it. It detaches itself, and lives for as
long as the server does. Its output goes to the server's log.

Files, all in the embedded directory:
  supervisor.lock  held exclusively while a supervisor lives; its content is the supervisor's process id
  clients.lock     held shared by every client; the supervisor takes it exclusively to find out that none is left
  keep             while it exists, the server stays without clients
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any

# How soon a server without clients stops. Polled: a lock, a process and a file cannot be awaited together.
_POLL_SECONDS = 0.2

# Starters take turns, so nobody but someone who asks whether a supervisor lives can hold its lock, for a moment.
_LOCK_SECONDS = 2.0

# After this a server that does not follow a fast shutdown is stopped at once; the next start recovers from its log.
_STOP_SECONDS = 60.0

# A server whose predecessor was killed may start before the predecessor's last processes are gone. PostgreSQL says so,
# and only time helps.
_PREDECESSOR_SECONDS = 15.0
_PREDECESSOR_SIGNS = (b"pre-existing shared memory block", b'lock file "postmaster.pid" already exists')


def say(text: str) -> None:
    """Write a line to the server's log."""
    sys.stderr.write(f"supervisor {os.getpid()}: {text}\n")
    sys.stderr.flush()


class Postmaster:
    """A running server: our own child, or one that a supervisor before us left behind."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child

    def running(self) -> bool:
        """Whether it still lives; of a child that has ended this is the last we hear."""
        if self._child is not None:
            return self._child.poll() is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> None:
        """Fast shutdown: sessions end, everything committed is on disk, no recovery at the next start."""
        if not self.running():
            return
        for name, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + seconds
            try:
                os.kill(self.pid, name)
            except ProcessLookupError:
                return
            while time.monotonic() < deadline:
                if not self.running():
                    return
                time.sleep(0.01)
            say(f"server {self.pid} did not follow {name.name} within {seconds:.0f} s")


def recorded_pid(data: str) -> int | None:
    """The process id in postmaster.pid, whose file may be left from a server that was killed."""
    try:
        with open(os.path.join(data, "postmaster.pid")) as file:
            return int(file.readline())
    except (FileNotFoundError, ValueError):
        return None


def adopt(order: dict[str, Any]) -> Postmaster | None:
    """The server that already runs on our data, if the supervisor before us died without it."""
    pid = recorded_pid(order["data"])
    if pid is None:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(order["socket"])
        except OSError:
            forget_stranger(order["data"], pid)
            return None
    say(f"adopts the running server {pid}")
    return Postmaster(pid)


def forget_stranger(data: str, pid: int) -> None:
    """Remove postmaster.pid when its process id has gone to another program, as happens after a reboot.

    PostgreSQL would refuse to start, because the id is in use. A server's working directory is its data directory, so
    a process somewhere else is a stranger. Where /proc cannot tell, PostgreSQL decides.
    """
    try:
        place = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return
    if os.path.realpath(data) != place:
        say(f"removes a stale postmaster.pid: process {pid} is another program")
        os.unlink(os.path.join(data, "postmaster.pid"))


def launch(order: dict[str, Any]) -> Postmaster:
    """Start the server as the user that the order names."""
    child = subprocess.Popen(order["command"], stdin=subprocess.DEVNULL, cwd="/", umask=0o077, **order["user"])
    return Postmaster(child.pid, child)


def taken(lock: int, seconds: float = 0.0) -> bool:
    """Take the exclusive lock on an open file, waiting for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def predecessor_in_the_way(log: str, offset: int) -> bool:
    """Whether the server ended because processes of the one before it are still there."""
    with open(log, "rb") as file:
        file.seek(offset)
        text = file.read()
    return any(sign in text for sign in _PREDECESSOR_SIGNS)


def supervise(order: dict[str, Any], stopping: threading.Event) -> None:
    """Run the server until it ends or should, whichever comes first."""
    clients = os.open(order["clients"], os.O_RDWR | os.O_CREAT, 0o600)
    begun = time.monotonic()
    server = adopt(order)
    while True:
        offset = os.path.getsize(order["log"])
        server = server or launch(order)
        try:
            watch(order, server, clients, stopping)
        finally:
            server.stop()
        in_time = time.monotonic() - begun < _PREDECESSOR_SECONDS
        if stopping.is_set() or not in_time or not predecessor_in_the_way(order["log"], offset):
            return
        server = None
        time.sleep(_POLL_SECONDS)


def watch(order: dict[str, Any], server: Postmaster, clients: int, stopping: threading.Event) -> None:
    """Return when the server should stop, or has."""
    while server.running():
        if stopping.is_set():
            say("was told to stop")
            return
        if not os.path.exists(order["keep"]) and taken(clients):
            say("no client is left")
            stopping.set()
            return
        stopping.wait(_POLL_SECONDS)


def main() -> None:
    """Detach and supervise, unless another supervisor is in charge."""
    order = json.loads(sys.argv[1])
    lock = os.open(order["lock"], os.O_RDWR | os.O_CREAT, 0o600)
    if not taken(lock, _LOCK_SECONDS):
        return  # another one is in charge already
    os.ftruncate(lock, 0)  # the id of a supervisor that was killed
    # The lock belongs to the open file, so it passes to the child. The parent ends at once: whoever started us has
    # nothing to wait for, and the child belongs to init.
    if os.fork():
        os._exit(0)
    os.write(lock, str(os.getpid()).encode())
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, stop)
    try:
        supervise(order, stopping)
    finally:
        os.ftruncate(lock, 0)


if __name__ == "__main__":
    main()
