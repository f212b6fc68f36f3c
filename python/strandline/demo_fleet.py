"""The worker processes of the demo, watched through the ledger alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import progress
from .errors import Fatal
from .report import Report

if TYPE_CHECKING:
    from ._core import Ledger

_LOOK = 0.02
_PATIENCE = 120.0


@dataclass(frozen=True)
class Victim:
    """The worker that was killed, and what it held at that moment."""

    worker: str
    pid: int
    task: int
    page: int


class Fleet:
    """`strandline work --forever`, several times. Leaving the context ends those that still live."""

    def __init__(self, size: int, ledger: Ledger) -> None:
        self._size = size
        self._ledger = ledger
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the context
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._messages.close()

    def start(self) -> None:
        """Starts the processes; they find the database by STRANDLINE_DSN."""
        command = [sys.executable, "-m", "strandline", "work", "--workers", "1", "--forever", "--quiet"]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._messages)
            for _ in range(self._size)
        ]

    def kill_after_first_page(self, plans: list[int]) -> Victim:
        """Waits until some worker has committed just the first page of a slice, and kills it with SIGKILL."""
        ours = {process.pid for process in self._processes}
        found: list[Victim] = []

        def strike() -> bool:
            for row in self._ledger.fetch("demo.victim"):
                pid = int(row["worker"].split(":")[-2])
                # Stopped first: between the look and the signal it would go on, and might finish the slice.
                if pid in ours and self._stop_in_time(pid, row):
                    os.kill(pid, signal.SIGKILL)
                    found.append(Victim(row["worker"], pid, row["task_id"], row["batch_no"]))
                    return True
            return False

        self._until(strike, plans, show=False)
        return found[0]

    def _stop_in_time(self, pid: int, row: dict[str, Any]) -> bool:
        os.kill(pid, signal.SIGSTOP)
        held = self._ledger.fetch("demo.holder", row["worker"])
        if any(now["task_id"] == row["task_id"] and now["batch_no"] == row["batch_no"] for now in held):
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    def wait(self, plans: list[int]) -> None:
        """Until no task of these plans is queued or running, and what they brought is folded, with progress."""

        def over() -> bool:
            # A worker folds when nothing is left to claim: a moment after the last task has ended.
            return self._look(plans)["pending"] == 0 and not self._ledger.fetch("cursor.unfolded")

        self._until(over, plans, show=True)

    def attempts(self, task: int) -> list[dict[str, Any]]:
        """The runs of a task, each with the first and last page that it committed."""
        return self._ledger.fetch("demo.attempts", task)

    def _look(self, plans: list[int]) -> dict[str, Any]:
        return self._ledger.fetch("demo.progress", plans)[0]

    def _until(self, done: Callable[[], bool], plans: list[int], show: bool) -> None:
        began = time.monotonic()
        display = progress.display(True) if show else None
        while not done():
            if all(process.poll() is not None for process in self._processes):
                self._messages.seek(0)
                said = self._messages.read().decode(errors="replace").strip()
                raise Fatal(f"every worker of the demo has ended; they said:\n{said}")
            elapsed = time.monotonic() - began
            if elapsed > _PATIENCE:
                raise Fatal(f"the workers of the demo have not finished within {_PATIENCE:.0f} s; is the machine busy?")
            if display is not None:
                display(self._report(plans, elapsed))
            time.sleep(_LOOK)
        if display is not None:
            display.close(self._report(plans, time.monotonic() - began))

    def _report(self, plans: list[int], seconds: float) -> Report:
        row = self._look(plans)
        return Report(
            status="ACTIVE",
            slices=row["slices"],
            pending=row["pending"],
            succeeded=row["succeeded"],
            failed=row["failed"],
            rows=row["records"],
            seconds=seconds,
        )
