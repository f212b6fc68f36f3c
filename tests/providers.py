"""Providers that worker processes import as well: `providers:Numbers`, with tests/ on PYTHONPATH."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any, ClassVar

import strandline as sl


class Numbers(sl.Provider):
    """Every id of its window once, `page` of them a page, each page with the token behind it but the last one."""

    name = "numbers"
    cursor_type = "id"
    origin = 0
    slice = 20
    backoff = ("1 us",)
    max_losses = 1000

    page: int = 5

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        lo, hi = bounds(context)
        first = lo if cursor is None else cursor["next"]
        self.before(context, first)
        stop = min(first + self.page, hi)
        rows = [{"id": each, "v": str(each)} for each in range(first, stop)]
        return sl.Page(rows, cursor={"next": stop} if stop < hi else None)

    def before(self, context: sl.Context, first: int) -> None:
        """For subclasses: called before the page that begins at `first` is made."""


class Mortal(Numbers):
    """Its process is killed once, in the middle of a slice: by whoever is first to make the file `params["fuse"]`."""

    def before(self, context: sl.Context, first: int) -> None:
        if first % 20 == 10:
            with contextlib.suppress(FileExistsError), open(context.params["fuse"], "x", encoding="ascii"):
                os.kill(os.getpid(), signal.SIGKILL)


class Poison(Numbers):
    """Tiny slices; the one that begins at 90 kills whoever reads it."""

    name = "poison"
    slice = 3
    max_losses = 10

    def before(self, context: sl.Context, first: int) -> None:
        if first == 90:
            os.kill(os.getpid(), signal.SIGKILL)


class Gated(Numbers):
    """Each page from the third on comes when somebody has written to the named pipe `params["gate"]`."""

    name = "gated"
    slice = 40

    def before(self, context: sl.Context, first: int) -> None:
        if first % 40 >= 10 and context.attempt == 1:
            with open(context.params["gate"], encoding="ascii") as gate:
                gate.read()


class Paced(Numbers):
    """Slices of one page, 25 of them a second over all workers."""

    name = "paced"
    slice = 5
    rate = "25/s"


class Hours(sl.Provider):
    """One row an hour; `event` is called once, while the first page is fetched."""

    name = "hours"
    slice = "1 hour"
    lag = "0 s"
    event: ClassVar[list[Callable[[], object]]] = []

    def next(self, context: sl.Context, cursor: Any) -> list[dict[str, Any]]:
        assert context.window is not None
        if self.event:
            self.event.pop()()
        return [{"at": context.window.start}]


def bounds(context: sl.Context) -> tuple[int, int]:
    """The window of a slice of ids."""
    assert context.window is not None
    lo, hi = context.window.bounds
    return lo, hi
