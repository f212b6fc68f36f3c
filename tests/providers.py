"""Providers that worker processes import as well: `providers:Numbers`, with tests/ on PYTHONPATH."""

from __future__ import annotations

from typing import Any

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


def bounds(context: sl.Context) -> tuple[int, int]:
    """The window of a slice of ids."""
    assert context.window is not None
    lo, hi = context.window.bounds
    return lo, hi
