"""File locks that die with their process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

# flock has no timeout of its own; a waiting starter looks 50 times a second, which costs nothing beside starting a
# server.
_POLL_SECONDS = 0.02


class Lock:
    """One hold on the lock file `path`: exclusive, or shared with other shared holds.

    The descriptor is closed on exec, so no program started from here keeps the lock. A fork does share it: whoever
    forks with a lock in hand closes it in the child (`forget`).
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._descriptor: int | None = None

    def acquire(self, seconds: float = 0.0) -> bool:
        """Take the lock, waiting for at most `seconds`; False when others still hold it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, self._mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(_POLL_SECONDS)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                self._descriptor = descriptor
                return True

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            # Unlock, not only close: a child that was just forked may still share the open file.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def forget(self) -> None:
        """Close this process's copy after a fork, and leave the parent's hold alone."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def held(path: Path) -> bool:
    """Whether a process holds the lock file `path` exclusively."""
    if not path.exists():
        return False
    # Asked with a shared hold, so that two who ask at once do not take each other for the holder.
    with Lock(path, shared=True) as lock:
        return not lock.acquire()
