"""The data directory of an embedded server: made once, by initdb."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from strandline.embedded.account import Account
from strandline.embedded.directory import Directory
from strandline.errors import ConfigError

USER = DATABASE = "strandline"

# How many lines of a log an error shows.
LOG_LINES = 15

# Written into postgresql.conf of a new server, for its owner to change. Everything else is PostgreSQL's default; in
# particular fsync and synchronous_commit are on: what is committed survives.
_CONFIGURATION = """
# Set by strandline when it made this server; yours to change.
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] %q%a '
"""

# A server started by one client serves all: it must not depend on that client's PGDATA, PGOPTIONS or LD_PRELOAD.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


def make(place: Directory, who: Account, bindir: Path, major: int, settings: Mapping[str, str]) -> None:
    """Create the data directory, or check that these programs can read the one that exists."""
    data = place.data
    if data.is_dir():
        made_by = (data / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise ConfigError(
                f"{place.path} was made by PostgreSQL {made_by}, but {bindir} is PostgreSQL {major}: set"
                f" STRANDLINE_PG_BINDIR to the bin directory of a PostgreSQL {made_by}, or use another directory",
                {"directory": str(place.path), "made_by": made_by, "binaries": major},
            )
        return
    data = place.place_data(who)
    for leftover in data.parent.glob("initdb-*"):  # of a process that was killed in the middle
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="initdb-", dir=data.parent))
    who.own(work)
    command = [
        str(bindir / "initdb"), f"--pgdata={work}", f"--username={USER}", "--auth=trust", "--encoding=UTF8",
        "--locale=C", "--data-checksums", "--no-instructions",
    ]  # fmt: skip
    if settings.get("fsync") == "off":
        command.append("--no-sync")
    elif major >= 17 and sys.platform == "linux":
        command.append("--sync-method=syncfs")  # one call for the file system instead of a thousand for its files
    try:
        run(command, who)
        with open(work / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(_CONFIGURATION)
        work.rename(data)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def environment() -> dict[str, str]:
    """What PostgreSQL's programs get of our environment."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


def run(command: list[str], who: Account) -> None:
    """Run one of PostgreSQL's programs as `who`; ConfigError with its last words when it fails."""
    done = subprocess.run(
        command,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **who.popen(),
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LOG_LINES:])
        raise ConfigError(f"{command[0]} failed with exit code {done.returncode}:\n{said}", {"command": command})
