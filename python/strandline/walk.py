"""Driving a provider through one slice: from a token to the last page, all calls on the caller's thread."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from strandline.errors import ConfigError, DataError
from strandline.page import Page, json_text

if TYPE_CHECKING:
    import asyncio

    from strandline.context import Context
    from strandline.provider import Provider


def walk(provider: Provider, context: Context, cursor: Any) -> Iterator[Page]:
    """The pages behind `cursor` (None: from the beginning), each with `done` told, fetched when they are asked for.

    `around` is entered before the first page and left when the walk ends, fails or is closed; what it yields is
    context.client, unless the caller has set one. Whatever the provider raises passes through. Raises DataError for
    pages that cannot be gone on from, for a token that does not advance on a page with rows, and for one that comes
    back.
    """
    with _Loop() as loop, _client(provider, context, loop):
        road = _Road(provider.name, cursor)
        for result, from_pages in _results(provider, context, cursor, loop, road):
            page = road.page(result, from_pages)
            yield page
            if page.done:
                return


def _results(
    provider: Provider, context: Context, cursor: Any, loop: _Loop, road: _Road
) -> Iterator[tuple[object, bool]]:
    """What next() returned or pages() yielded, and which of the two it was."""
    if hasattr(provider, "pages"):
        yield from ((result, True) for result in _pages(provider, context, cursor, loop))
        return
    while True:
        try:
            result = loop.settled(provider.next(context, road.cursor))
        except StopIteration as error:
            # It would leave this generator as a RuntimeError that says nothing about its place.
            raise ConfigError(
                f"{provider.name}.next() raised StopIteration; return None, or a page without a cursor"
            ) from error
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise ConfigError(f"{provider.name}.next() is a generator; name it pages(), or return one page from it")
        yield result, False


def _pages(provider: Provider, context: Context, cursor: Any, loop: _Loop) -> Iterator[object]:
    found = provider.pages(context, cursor)
    if inspect.isawaitable(found):
        found = loop.settled(found)
    if isinstance(found, AsyncIterator):
        try:
            while (result := loop.following(found)) is not _END:
                yield result
        finally:
            close = getattr(found, "aclose", None)
            if close is not None:
                loop.settled(close())
    elif isinstance(found, Iterator):
        try:
            yield from found
        finally:
            close = getattr(found, "close", None)
            if close is not None:
                close()
    else:
        raise ConfigError(
            f"{provider.name}.pages() returned {type(found).__name__}; make it a generator that yields pages, or"
            " name it next() if it returns one"
        )


class _Road:
    """Where a walk has come from: turns results into pages and sees tokens that stand still or come back.

    A token that comes back is found by Brent's method: one earlier token is kept, and replaced by the current one after
    1, 2, 4, 8 ... pages. A circle is seen within three times its length, and memory does not grow with the walk.
    """

    def __init__(self, name: str, cursor: Any) -> None:
        self.cursor = cursor
        self._name = name
        self._number = 0
        self._token = None if cursor is None else json_text(cursor)
        self._kept, self._kept_number = self._token, 0
        self._power, self._steps = 1, 0

    def page(self, result: object, from_pages: bool) -> Page:
        """The next page. Raises DataError that names it."""
        self._number += 1
        try:
            page = Page.of(result, from_pages)
        except DataError as error:
            raise DataError(f"{self._name}: page {self._number}: {error}", {"page": self._number}) from error
        # Only a walk that goes on can go in a circle; the last page may repeat its token.
        if page.cursor_text is not None and not page.done:
            self._look(page)
        if page.cursor_text is not None:
            self.cursor, self._token = page.cursor, page.cursor_text
        return page

    def _look(self, page: Page) -> None:
        token = page.cursor_text
        if token == self._token:
            if page.size == 0:
                return  # the source had nothing new, and is asked again
            before = self._number - 1
            self._refuse(before, f"has rows and ends where {_place(before)} ended, at the cursor {token:.200}")
        if token == self._kept:
            self._refuse(
                self._kept_number,
                f"ends at the cursor {token:.200}, where {_place(self._kept_number)} ended: the source goes in a"
                " circle",
            )
        self._steps += 1
        if self._steps == self._power:
            self._kept, self._kept_number = token, self._number
            self._power, self._steps = self._power * 2, 0

    def _refuse(self, before: int, complaint: str) -> None:
        raise DataError(
            f"{self._name}: page {self._number} {complaint}; the same rows would come for ever. Give the cursor"
            " *behind* each page, and none on the last one",
            {"page": self._number, "before": before},
        )


def _place(number: int) -> str:
    return f"page {number}" if number else "the walk's start"


_END = object()


class _Loop:
    """An event loop for the coroutines of one walk, made when the first one comes."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def settled(self, value: Any) -> Any:
        """The value, awaited if it is awaitable."""
        return self._run(value) if inspect.isawaitable(value) else value

    def following(self, source: AsyncIterator[Any]) -> Any:
        """The next item, or _END."""
        return self._run(_following(source))

    def _run(self, value: Awaitable[Any]) -> Any:
        import asyncio  # here: it costs more than the rest of the package together, and few providers are async

        if self._runner is None:
            if asyncio._get_running_loop() is not None:
                _drop(value)
                raise ConfigError(
                    "this provider is async and an event loop runs on this thread already (as in a notebook); read"
                    " it on another one: await asyncio.to_thread(list, provider.read(...))"
                )
            self._runner = asyncio.Runner()
        return self._runner.run(_awaited(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            self._runner.close()


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _following(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)


def _drop(value: Awaitable[Any]) -> None:
    """A coroutine that nobody awaits would complain when it is collected."""
    close = getattr(value, "close", None)
    if close is not None:
        close()


@contextlib.contextmanager
def _client(provider: Provider, context: Context, loop: _Loop) -> Iterator[None]:
    """Sets context.client to what `around` gives, for as long as the block runs."""
    if context.client is not None or not hasattr(provider, "around"):
        yield
        return
    with _around(provider, context, loop) as client:
        context.client = client
        try:
            yield
        finally:
            context.client = None


def _around(provider: Provider, context: Context, loop: _Loop) -> contextlib.AbstractContextManager[Any]:
    made = provider.around(context)
    if inspect.isgenerator(made):
        return contextlib.contextmanager(lambda: made)()
    if inspect.isasyncgen(made):
        return _Entered(contextlib.asynccontextmanager(lambda: made)(), loop)
    if hasattr(made, "__enter__") and hasattr(made, "__exit__"):
        return made  # type: ignore[no-any-return] # looked at above
    if hasattr(made, "__aenter__") and hasattr(made, "__aexit__"):
        return _Entered(made, loop)
    if inspect.iscoroutine(made):
        made.close()
    raise ConfigError(
        f"{provider.name}.around() returned {type(made).__name__}; make it a generator that yields the client once,"
        " or return a context manager"
    )


class _Entered:
    """An asynchronous context manager as a plain one."""

    def __init__(self, manager: Any, loop: _Loop) -> None:
        self._manager = manager
        self._loop = loop

    def __enter__(self) -> Any:
        return self._loop.settled(self._manager.__aenter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is GeneratorExit:
            # The walk was closed early. An event loop cannot carry GeneratorExit; to the client it is an ordinary end.
            kind, error, trace = None, None, None
        answer: bool | None = self._loop.settled(self._manager.__aexit__(kind, error, trace))
        return answer
