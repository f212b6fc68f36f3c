"""What a provider must keep to, so that its pages can be committed one by one and gone on from: tried, not believed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from strandline.errors import ConfigError, Error
from strandline.provider import Page, Provider
from strandline.window import Window, resolve

MOST_PAGES = 100
"""Pages that are read of a longer slice."""
_RESUMED = 3
"""Cursors that are gone on from: the first, one in the middle, the last."""
_LISTED = 3
"""Rows that a complaint shows."""


def complaints(provider: Provider, window: Any, params: Mapping[str, Any] | None, client: Any) -> list[str]:
    """What is wrong with the pages of one slice, one sentence each; empty when nothing is."""
    return list(_Trial(provider, window, params, client).complaints())


class _Trial:
    def __init__(self, provider: Provider, window: Any, params: Mapping[str, Any] | None, client: Any) -> None:
        self._provider = provider
        self._params = params
        self._client = client
        self._window = _asked(provider, window)

    def complaints(self) -> Iterator[str]:
        first = self._pages(self._window)
        if isinstance(first, str):
            yield first
            return
        yield from self._keys(first)
        yield from self._bounds(first)
        yield from self._order(first)
        again = self._pages(self._window)
        if isinstance(again, str):
            yield f"the second reading fails, the first did not: {again}"
            return
        if _flat(again) != _flat(first):
            difference = _difference(_flat(first), _flat(again))
            yield f"two readings differ: {difference}; the same slice must give the same rows"
            return  # every other comparison would only say so again
        yield from self._resumes(first)
        if len(first) < MOST_PAGES:
            yield from self._halves(_flat(first))

    def _pages(self, window: Any, cursor: Any = None, most: int = MOST_PAGES) -> list[_Read] | str:
        """The pages, or what went wrong."""
        found: list[_Read] = []
        try:
            pages = self._provider.read(window, cursor=cursor, params=self._params, client=self._client)
            found.extend(_Read(page) for page in itertools.islice(pages, most))
        except Error as error:
            return f"page {len(found) + 1}: {error}"
        except Exception as error:  # noqa: BLE001 # whatever it raises is the finding
            return f"page {len(found) + 1} raises {type(error).__name__}: {error}"
        return found

    def _keys(self, pages: list[_Read]) -> Iterator[str]:
        for column in self._provider.primary_key:
            for number, page in enumerate(pages, 1):
                without = [row for row in page.rows if isinstance(row, dict) and row.get(column) is None]
                if without:
                    yield (
                        f"page {number} has {len(without)} rows without the key column {column!r}, such as"
                        f" {without[0]!r:.200}"
                    )
                    break

    def _bounds(self, pages: list[_Read]) -> Iterator[str]:
        """Rows outside of the window, where cursor_field says where a row lies."""
        column, window = self._provider.cursor_field, self._window
        if column is None or window is None:
            return
        rows = [row for row in _flat(pages) if isinstance(row, dict) and column in row]
        outside = [row for row in rows if (at := _place(row[column], window)) is not None and at not in window]
        if outside:
            yield f"{len(outside)} rows lie outside of {window!r} by {column!r}, such as {outside[0]!r:.200}"

    def _order(self, pages: list[_Read]) -> Iterator[str]:
        """Rows below what an earlier page has said to be complete: a split of the slice would lose them."""
        column, window = self._provider.cursor_field, self._window
        if column is None or window is None:
            return
        stated: tuple[int, int, Any] | None = None
        for number, page in enumerate(pages, 1):
            for row in page.rows:
                at = _place(row[column], window) if isinstance(row, dict) and column in row else None
                if stated is not None and at is not None and _bound(at, window) < stated[0]:
                    yield (
                        f"page {number} has a row at {row[column]!r} by {column!r}, and page {stated[1]} said"
                        f" upto={stated[2]!r}: that all rows below are in; a split would lose {row!r:.200}"
                    )
                    return
            if page.upto is not None:
                try:
                    stated = (_bound(page.upto, window), number, page.upto)
                except ConfigError as error:
                    yield f"page {number} says upto={page.upto!r}: {error}"
                    return

    def _resumes(self, pages: list[_Read]) -> Iterator[str]:
        """A new run goes on at the cursor of any committed page, and must see what the first one would have seen."""
        ends = [number for number, page in enumerate(pages[:-1], 1) if page.cursor is not None]
        for number in sorted({*ends[:1], *ends[len(ends) // 2 :][:1], *ends[-1:]})[:_RESUMED]:
            cursor = pages[number - 1].cursor
            expected = pages[number:]
            rest = self._pages(self._window, cursor, len(expected))
            if isinstance(rest, str):
                yield f"reading on from the cursor of page {number}, {cursor!r:.100}, fails: {rest}"
            elif _flat(rest) != _flat(expected):
                difference = _difference(_flat(expected), _flat(rest))
                yield f"reading on from the cursor of page {number}, {cursor!r:.100}, gives other rows: {difference}"

    def _halves(self, whole: list[Any]) -> Iterator[str]:
        """Two halves of a window have together what the whole has, and no row twice."""
        window = self._window
        if window is None or not whole:
            return
        lo, hi = window.bounds
        if hi - lo < 2:
            return
        middle = (lo + hi) // 2
        parts = []
        for bounds in ((lo, middle), (middle, hi)):
            half = Window.from_bounds(*bounds, window.cursor_type, window.time_zone)
            pages = self._pages(half)
            if isinstance(pages, str):
                yield f"reading {half!r} fails: {pages}"
                return
            parts.append(_flat(pages))
        if parts[0] == whole and parts[1] == whole:
            yield f"the window is ignored: both halves of {window!r} have all of its rows; use context.window"
        elif len(parts[0]) + len(parts[1]) != len(whole):
            yield (
                f"the halves of {window!r} have {len(parts[0])} and {len(parts[1])} rows, the whole has"
                f" {len(whole)}; a window includes its start and excludes its stop (context.window.last(step) is the"
                " inclusive end)"
            )


class _Read:
    """A page that was read: its rows as comparable values."""

    def __init__(self, page: Page) -> None:
        self.cursor = page.cursor
        self.upto = page.upto
        self.rows = [_plain(row) for row in _listed(page.rows)]


def _asked(provider: Provider, window: Any) -> Window | None:
    """The window as read() will use it, resolved once: "to now" must not move between two readings."""
    return provider.read_window(window)


def _listed(rows: Any) -> list[Any]:
    for method in ("to_pylist", "to_dicts"):
        if hasattr(rows, method):
            return list(getattr(rows, method)())
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        try:
            import pyarrow
        except ImportError as error:
            raise ConfigError("pages of Arrow data are compared with pyarrow; install it for this check") from error
        if hasattr(rows, "__arrow_c_stream__"):
            return list(pyarrow.table(rows).to_pylist())
        return list(pyarrow.record_batch(rows).to_pylist())
    return list(rows)


def _plain(row: Any) -> Any:
    """A row as a dict where it has names, else as it is."""
    if isinstance(row, Mapping):
        return dict(row)
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    for method in ("model_dump", "_asdict"):
        if hasattr(row, method):
            return getattr(row, method)()
    return row


def _place(value: Any, window: Window) -> Any:
    """Where a row lies: an instant or an id; None where that cannot be told."""
    if window.cursor_type == "id":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, dt.datetime) and value.utcoffset() is not None else None


def _bound(at: Any, window: Window) -> int:
    """An instant or an id as the cursor counts. Raises ConfigError for what is neither."""
    bound, _ = resolve((at, None), cursor_type=window.cursor_type, time_zone=window.time_zone, now=0)
    assert bound is not None
    return bound


def _flat(pages: list[_Read]) -> list[Any]:
    return [row for page in pages for row in page.rows]


def _difference(expected: list[Any], found: list[Any]) -> str:
    if len(expected) != len(found):
        return f"{len(expected)} rows and then {len(found)}"
    at = [number for number, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1]]
    shown = "; ".join(
        f"row {number}: {expected[number]!r:.100} and then {found[number]!r:.100}" for number in at[:_LISTED]
    )
    return f"{len(at)} of {len(expected)} rows, {shown}"
