"""The operating system user that a server runs as."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strandline.errors import ConfigError

# Debian's `postgres` comes with its server packages; `nobody` exists everywhere.
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user to drop to; `uid` None means: stay who we are."""

    uid: int | None = None
    gid: int | None = None
    name: str = ""

    def popen(self) -> dict[str, Any]:
        """Arguments for `subprocess` that start a program as this user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make this user the owner of `path`, with access for nobody else."""
        path.chmod(0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def enters(self, directory: Path) -> bool:
        """Whether this user can enter `directory`; asked of the kernel, because modes, groups and ACLs all count."""
        # A shell, not Python: the interpreter itself may lie where this user cannot go.
        done = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)],
            cwd="/",
            capture_output=True,
            check=False,
            **self.popen(),
        )
        return done.returncode == 0


def account(data: Path) -> Account:
    """Who runs the server of the data directory `data`: ourselves, or as root its owner or a plain user."""
    if os.geteuid() != 0:
        return Account()
    entry = None
    if data.exists() and data.stat().st_uid != 0:
        status = data.stat()
        return Account(status.st_uid, status.st_gid, str(status.st_uid))
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise ConfigError(
        "the embedded server cannot run: PostgreSQL refuses to run as root, and this machine has neither a user"
        " 'postgres' nor 'nobody'; create one (useradd --system postgres), or run as an ordinary user",
        {"tried": list(_CANDIDATES)},
    )
