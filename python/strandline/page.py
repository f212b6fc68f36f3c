"""A page: what a provider returns at once, and the unit of commit, of resume and of proof."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from strandline.errors import ConfigError, DataError

_ADVICE = (
    "a cursor is any JSON value but null: text, number, true, list or mapping with text keys; turn it into one of these"
)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Records of a source, and where it stands behind them.

    rows: a list, tuple or iterator of rows (mappings, tuples, dataclasses ...), or anything with `__arrow_c_stream__`
    or `__arrow_c_array__`. cursor: the token behind this page, any JSON value but null; None is "no token". done:
    whether it was the last page; None from next() means "it is if there is no cursor". deleted: primary keys that are
    gone at the source. upto: for ordered providers, everything below it is in. total: how many records the slice must
    have.

    Raises DataError, which is the provider's fault, for a cursor that JSON cannot hold and for values of other types.
    """

    rows: Any = ()
    cursor: Any = field(default=None, kw_only=True)
    done: bool | None = field(default=None, kw_only=True)
    deleted: Sequence[Any] = field(default=(), kw_only=True)
    upto: Any = field(default=None, kw_only=True)
    total: int | None = field(default=None, kw_only=True)
    cursor_text: str | None = field(default=None, init=False, repr=False)
    """The cursor as JSON text, as it is stored; None without a cursor."""

    def __post_init__(self) -> None:
        if isinstance(self.rows, Page):
            raise DataError("rows is a Page; return the page itself")
        if isinstance(self.rows, (str, bytes, bytearray)) or _is_one_row(self.rows):
            kind = type(self.rows).__name__
            raise DataError(f"rows is one {kind}; a page has a list of rows: put it into a list")
        if self.rows is None:
            object.__setattr__(self, "rows", ())
        if self.done is not None and not isinstance(self.done, bool):
            raise DataError(f"done is {self.done!r}, a {type(self.done).__name__}; give True, False or None")
        if self.total is not None and not _is_count(self.total):
            raise DataError(
                f"total is {self.total!r}; it counts the records of the slice: give an int from 0 on, or None"
            )
        if isinstance(self.deleted, (str, bytes, Mapping)) or not isinstance(self.deleted, Iterable):
            raise DataError(f"deleted is {self.deleted!r}; give a list of primary keys")
        object.__setattr__(self, "deleted", tuple(self.deleted))
        object.__setattr__(self, "cursor_text", None if self.cursor is None else json_text(self.cursor))

    @property
    def size(self) -> int | None:
        """How many rows it has; None for an iterator or a stream, which only encoding can count."""
        rows = self.rows
        count = getattr(rows, "num_rows", None)
        if isinstance(count, int):
            return count
        return len(rows) if hasattr(rows, "__len__") else None

    @classmethod
    def of(cls, result: object, from_pages: bool) -> Page:
        """What next() returned or pages() yielded, as a Page with `done` told.

        Bare rows and None from next() are a last page, and so is a page without a cursor; from pages() a page is the
        last one only when it says so. Raises DataError for a page of next() that has neither a cursor nor an end.
        """
        page = result if isinstance(result, Page) else cls(_rows(result))
        if page.done is None:
            return replace(page, done=not from_pages and page.cursor is None)
        if not page.done and page.cursor is None and not from_pages:
            raise DataError(
                "the page says done=False and has no cursor, so next() cannot go on from it; give the cursor behind the"
                " page, or leave done out if it was the last one"
            )
        return page


def json_text(cursor: Any) -> str:
    """A token as JSON text. Raises DataError with the type that JSON does not have."""
    try:
        # sort_keys stays off: the token is kept as the source gave it.
        text = json.dumps(cursor, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the cursor holds a lone surrogate, which is no text; {_ADVICE}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the cursor {cursor!r:.200} is no JSON ({error}); {_ADVICE}") from error
    return text


def read_token(cursor: Any) -> Any:
    """A token that a user gave, as JSON gives it back: tuples are lists. ConfigError for what JSON cannot hold."""
    if cursor is None:
        return None
    try:
        return json.loads(json_text(cursor))
    except DataError as error:
        raise ConfigError(str(error)) from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_one_row(value: object) -> bool:
    # {stream: rows} is for providers with several streams, which are not in this version.
    return isinstance(value, Mapping)


def _rows(result: object) -> Any:
    if result is None:
        return ()
    if isinstance(result, (str, bytes, bytearray)) or _is_one_row(result):
        raise DataError(
            f"the provider returned one {type(result).__name__}; return a Page, a list of rows, or None for no rows"
        )
    if isinstance(result, Iterable) or hasattr(result, "__arrow_c_stream__") or hasattr(result, "__arrow_c_array__"):
        return result
    raise DataError(
        f"the provider returned {result!r:.200}, a {type(result).__name__}; return a Page, a list of rows, or None"
        " for no rows"
    )
