"""Worker processes: `strandline work`, several times, from one parent.

The database is told to the children as the parent was told: by their environment, or by a reference without a
password, because everybody on the machine can read their arguments. A child of a parent that was killed ends by itself:
the kernel tells it where it can (Linux), and it looks for its parent while it waits for work everywhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

PARENT = "STRANDLINE_PARENT_PID"
"""Set for a child: the process without which it must not live on."""

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.5
_GRACE = 30.0


class Processes:
    """One child for each list of arguments.

    Leaving the context asks those that still live to end (SIGINT: pages in hand are finished), then kills them.
    """

    def __init__(self, arguments: Sequence[Sequence[str]]) -> None:
        # One worker each, said aloud: the setting `workers` of the parent would make a child a parent, and so on.
        self._commands = [[sys.executable, "-m", "strandline", "work", "--workers", "1", *words] for words in arguments]
        self._environment = {**os.environ, PARENT: str(os.getpid())}
        self.children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for command in self._commands:
            # What they did is in the ledger; the parent's stdout is for the parent's result.
            self.children.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self._environment)
            )
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE
        for child in self.children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def wait(self, watchman: Callable[[], None] = lambda: None) -> list[int]:
        """Waits until all have ended; returns their exit codes, a signal's number negative."""
        while any(child.poll() is None for child in self.children):
            watchman()
            for child in self.children:
                try:
                    child.wait(0.05)
                    continue
                except subprocess.TimeoutExpired:
                    break
        return [int(child.returncode) for child in self.children]


def end_with_parent() -> None:
    """Called by a child when it starts: from now on it gets SIGTERM, or ends itself, when its parent is gone."""
    wanted = os.environ.pop(PARENT, "")
    if not wanted.isdecimal():
        return
    parent = int(wanted)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    threading.Thread(target=_look_for, args=(parent,), name="strandline parent", daemon=True).start()


def _look_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    # Pages are transactions: the one in hand is rolled back by the server, and the lease passes.
    os.kill(os.getpid(), signal.SIGTERM)
