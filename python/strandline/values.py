"""Values and iterators as sources: a list, a table, a frame, a generator.

A value is known by its content, so that loading it twice stores it once. An iterator cannot be recognised and cannot be
read again: it needs a primary key or an explicit mode, and a retry goes on with the pages that were not yet stored.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from strandline.errors import ConfigError, Fatal

if TYPE_CHECKING:
    from strandline.page import Page
    from strandline.rows import RowEncoder
    from strandline.schema import Schema
    from strandline.settings import Settings

_KEPT_PAGES = 4
"""Pages of an iterator that are kept for a retry: one in the making, one in hand, one being committed, one to spare."""


class Value:
    """Rows that the caller holds, and can be read from any row on. Its token is the number of rows that came before."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def schema(self) -> Schema:
        """Its columns, typed over all rows: a page of integers before a page of floats is a column of floats."""
        from strandline.rows import value_schema

        return value_schema(self.rows)

    def digest(self, declared: Schema | None = None) -> str:
        """SHA-256 over the encoded rows, their column names and their types, in hex: what the value is known by."""
        from strandline.rows import content_digest

        return content_digest(self.rows, declared).hex()

    def pages(self, encoder: RowEncoder, token: Any, settings: Settings) -> Iterator[Page]:
        """Encoded pages within the limits of a commit group, from row `token` on. The last one says done."""
        from strandline.page import Page

        first = 0 if token is None else _row_number(token)
        cut = encoder.pages(
            _behind(self.rows, first), page_records=settings.page_records, page_bytes=settings.page_bytes
        )
        held = next(cut, None)
        while held is not None:
            first += held.record_count
            following = next(cut, None)
            done = following is None
            yield Page(held, cursor=None if done else {"row": first}, done=done)
            held = following


class Stream:
    """Rows that come once. Its token is the number of rows that came before."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter(rows)
        self._kept: deque[tuple[int, Any]] = deque(maxlen=_KEPT_PAGES)
        self._taken = 0
        self._broken: str | None = None

    def pages(self, encoder: RowEncoder, token: Any, settings: Settings) -> Iterator[Page]:
        """Pages of at most `settings.page_records` rows from row `token` on.

        Raises Fatal where rows before the point that is asked for have been let go of, because they cannot come again.
        """
        from strandline.page import Page

        first = 0 if token is None else _row_number(token)
        again = [(start, rows) for start, rows in self._kept if start >= first]
        expected = again[0][0] if again else self._taken
        if expected != first:
            raise Fatal(
                f"the iterator is at row {self._taken} and row {first} is needed again; give a list or a provider,"
                " which can be read from any place, or call again with a fresh iterator"
            )
        for start, rows in again:
            yield Page(rows, cursor={"row": start + len(rows)}, done=False)
        while (rows := self._next(settings.page_records)) is not None:
            self._kept.append((self._taken, rows))
            self._taken += len(rows)
            yield Page(rows, cursor={"row": self._taken}, done=False)

    def _next(self, page_records: int) -> Any:
        """The next rows: a batch of a reader of Arrow batches as it is, else as many rows as a page takes."""
        if self._broken is not None:
            # A generator that has raised looks like one that has ended; its rows would be missing without a word.
            raise Fatal(self._broken)
        try:
            for first in self._rows:
                if hasattr(first, "__arrow_c_array__"):
                    return first
                return [first, *itertools.islice(self._rows, page_records - 1)]
        except Exception as error:
            self._broken = (
                f"the iterator raised {type(error).__name__}: {error}; its rows from number {self._taken} on cannot be"
                " read again: mend it and call again with a fresh one, or give a list or a provider"
            )
            raise Fatal(self._broken) from error
        return None


def as_value(source: Any) -> Value | Stream | None:
    """The source as a value or a stream of rows; None where it is neither and should be a provider.

    Raises ConfigError for things that look like rows and are none: a text, a mapping, a set.
    """
    if isinstance(source, (list, tuple)) or hasattr(source, "__arrow_c_array__"):
        return Value(source)
    if hasattr(source, "__arrow_c_stream__") and not isinstance(source, type):
        # A reader of batches has no length and is spent when it has been read.
        return Value(source) if hasattr(source, "__len__") else Stream(source)
    if isinstance(source, (str, bytes, bytearray, Mapping, set, frozenset)):
        raise ConfigError(
            f"a {type(source).__name__} is no source of rows; give a list of rows, an iterator, a table or a Provider"
            + (" (one mapping is one row: put it into a list)" if isinstance(source, Mapping) else "")
        )
    if isinstance(source, type):
        return None
    if isinstance(source, Iterable):
        return Stream(source)
    return None


def _row_number(token: Any) -> int:
    if isinstance(token, dict) and isinstance(token.get("row"), int):
        return int(token["row"])
    raise Fatal(f"the checkpoint {token!r} is not one of a value; it was written by another version of strandline")


def _behind(rows: Any, first: int) -> Any:
    """The rows from number `first` on."""
    if first == 0:
        return rows
    if isinstance(rows, (list, tuple)):
        return rows[first:]
    if hasattr(rows, "iloc"):
        return rows.iloc[first:]
    if callable(getattr(rows, "slice", None)):
        return rows.slice(first)
    raise Fatal(f"a {type(rows).__name__} cannot be read from row {first} on; give a list or an Arrow table instead")
