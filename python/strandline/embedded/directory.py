"""The directory of one embedded server, and where its parts lie.

data             PostgreSQL's data, or a link to it
socket           the directory of the unix socket, or a link to it
server.log       what the server and its supervisor say
start.lock       held by whoever starts the server
clients.lock, supervisor.lock, keep    see supervisor.py
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from strandline.embedded import binaries, probe
from strandline.embedded.account import Account

# sockaddr_un holds 108 bytes with the closing zero on Linux, 104 elsewhere.
_SOCKET_BYTES = 103

# PostgreSQL and libpq both read a comma as "another one", and a DSN would have to quote the rest.
_PLAIN = re.compile(r"[A-Za-z0-9_/.@+:=-]+")


def default() -> Path:
    """$XDG_DATA_HOME/strandline/default; as root without it, where the server's user can enter."""
    home = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(home):
        return Path(home) / "strandline" / "default"
    if os.geteuid() == 0:
        return binaries.SHARED / "default"
    return Path.home() / ".local" / "share" / "strandline" / "default"


class Directory:
    """Names the parts of an embedded directory, and makes those that are missing."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = Path(path).expanduser().resolve() if path is not None else default().resolve()
        self.start_lock = self.path / "start.lock"
        self.clients_lock = self.path / "clients.lock"
        self.supervisor_lock = self.path / "supervisor.lock"
        self.keep = self.path / "keep"
        self.log = self.path / "server.log"
        self._data = self.path / "data"
        self._socket = self.path / "socket"

    def make(self) -> None:
        """Create the directory. As root others may pass through it to `data`, which is the server user's alone."""
        if self.path.is_dir():
            return
        if os.geteuid() == 0:
            binaries.make_open(self.path)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory, as the server is told it; it need not exist yet."""
        return self._data.resolve()

    def place_data(self, account: Account) -> Path:
        """`data`, moved to where `account` can enter if it cannot enter here; for a server that has no data yet."""
        if not self._data.is_symlink() and not account.enters(self.path):
            binaries.make_open(binaries.SHARED)
            # A random name, not one made from our path: a directory deleted and made again must not find old data.
            home = Path(tempfile.mkdtemp(prefix="data-", dir=binaries.SHARED))
            home.chmod(0o755)
            self._data.symlink_to(home / "data")
        return self.data

    def socket(self, account: Account) -> Path:
        """The socket's directory, made if need be: only the server's user and root can enter it."""
        here = self._socket
        if not here.is_symlink() and _fits(here) and account.enters(self.path):
            here.mkdir(exist_ok=True)
            account.own(here)
            return here
        if here.is_symlink():
            there = Path(os.readlink(here))
            if _private(there, account):
                return there
            here.unlink()  # /tmp was cleaned; whatever bears that name now is not ours
        elif here.is_dir():
            shutil.rmtree(here)
        # Made by mkdtemp, so nobody can have put a directory of theirs in its place. Not $TMPDIR: that may be long.
        there = Path(tempfile.mkdtemp(prefix="strandline-", dir="/tmp"))
        account.own(there)
        here.symlink_to(there)
        return there

    def delete(self) -> None:
        """Remove the directory with its data and socket, wherever they were placed."""
        if self._socket.is_symlink():
            shutil.rmtree(os.readlink(self._socket), ignore_errors=True)
        if self._data.is_symlink():
            shutil.rmtree(Path(os.readlink(self._data)).parent, ignore_errors=True)
        shutil.rmtree(self.path)


def _fits(directory: Path) -> bool:
    name = str(probe.socket_file(directory))
    return len(os.fsencode(name)) <= _SOCKET_BYTES and _PLAIN.fullmatch(name) is not None


def _private(directory: Path, account: Account) -> bool:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return False
    owner = os.geteuid() if account.uid is None else account.uid
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and stat.S_IMODE(status.st_mode) == 0o700
