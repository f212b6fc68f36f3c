"""One run of pytest, with all its xdist workers: the directory they share, and the environment they test in."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from strandline import embedded, redaction
from strandline.embedded.lock import Lock

# Long enough for a loaded machine to renew, short enough that a test can wait for the end of one.
LEASE = "500000 us"

# Beneath /tmp, not in pytest's own directory: as root, the user that the server runs as must be able to enter it.
_PLACE = Path("/tmp")
_PREFIX = "strandline-tests-"
_DIRECTORY = pytest.StashKey[Path]()
_ALIVE = pytest.StashKey[Lock]()


def alone_before_libc() -> None:
    """Skips a test that puts a library before libc where the sanitizers' have to be the first (`make sanitize`)."""
    if Path(sys.executable).name == "python-asan":
        pytest.skip("a library before libc excludes those of the sanitizers")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.pop("STRANDLINE_DSN", None)  # the suite must not touch the database that its user works with
    os.environ.setdefault("STRANDLINE_LEASE", LEASE)
    if hasattr(config, "workerinput"):
        config.stash[_DIRECTORY] = Path(config.workerinput["strandline_directory"])
        return
    for leftover in _PLACE.glob(f"{_PREFIX}*"):
        _sweep(leftover)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PLACE))
    directory.chmod(0o755)
    alive = Lock(directory / "alive.lock")
    alive.acquire()
    config.stash[_DIRECTORY] = directory
    config.stash[_ALIVE] = alive


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the controller's directory is."""
    node.workerinput["strandline_directory"] = str(node.config.stash[_DIRECTORY])


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    alive = config.stash.get(_ALIVE, None)
    if alive is not None:
        _delete(config.stash[_DIRECTORY])
        alive.release()


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Hidden values are the process's: what one test's Secret handed out must not be masked for the next."""
    before = dict(redaction._hidden)
    yield
    redaction._hidden.clear()
    redaction._hidden.update(before)


@pytest.fixture(scope="session")
def session_directory(pytestconfig: pytest.Config) -> Path:
    """The directory of this run: all workers share it, the server's user can enter it, and it goes at the end."""
    return pytestconfig.stash[_DIRECTORY]


def missing(reason: str) -> NoReturn:
    """Skip a test whose program is not on this machine; in CI, where all of them are, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; in CI that is a failure", pytrace=False)
    pytest.skip(reason)


def server_directory(directory: Path) -> Path:
    """Where the run's embedded server lives."""
    return directory / "server"


def _sweep(leftover: Path) -> None:
    """Delete what a run left behind whose pytest was killed; its server is gone already."""
    with contextlib.suppress(FileNotFoundError):  # another run has just ended and taken its own directory away
        if leftover.stat().st_uid != os.getuid() or time.time() - leftover.stat().st_mtime < 60:
            return
        with Lock(leftover / "alive.lock") as lock:
            if lock.acquire():
                _delete(leftover)


def _delete(directory: Path) -> None:
    if server_directory(directory).exists():
        embedded.remove(server_directory(directory))
    shutil.rmtree(directory, ignore_errors=True)
