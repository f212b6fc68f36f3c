"""Reading a provider without a database: windows, walks, clients, and pages that go nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

import strandline as sl
from strandline.provider import Provider

pytestmark = pytest.mark.nodb

Rows = list[dict[str, Any]]


def reading(function: Any, **body: Any) -> Provider:
    """A provider of ids whose next() is `function(context, cursor)`."""
    namespace = {"name": "numbers", "cursor_type": "id", "next": lambda self, *given: function(*given), **body}
    kind: type[Provider] = type(
        "Numbers", (Provider,), {key: value for key, value in namespace.items() if value is not None}
    )
    return kind()


def rows_of(pages: Iterator[sl.Page]) -> list[Any]:
    return [row for page in pages for row in page.rows]


def three_pages(context: sl.Context, cursor: int | None) -> sl.Page:
    number = (cursor or 0) + 1
    return sl.Page([{"id": number}], cursor=number if number < 3 else None)


def test_next_is_called_until_there_is_no_cursor() -> None:
    pages = list(reading(three_pages).read((0, 10)))
    assert [(page.rows[0]["id"], page.cursor, page.done) for page in pages] == [
        (1, 1, False),
        (2, 2, False),
        (3, None, True),
    ]


def test_pages_are_fetched_when_they_are_asked_for() -> None:
    seen: list[Any] = []

    def watched(context: sl.Context, cursor: Any) -> sl.Page:
        seen.append(cursor)
        return three_pages(context, cursor)

    pages = reading(watched).read((0, 10))
    assert seen == []
    next(pages)
    assert seen == [None]


def test_going_on_at_a_cursor() -> None:
    assert rows_of(reading(three_pages).read((0, 10), cursor=1)) == [{"id": 2}, {"id": 3}]

    def shown(context: sl.Context, cursor: Any) -> Any:
        return [cursor]

    assert rows_of(reading(shown).read((0, 10), cursor=(1, (2,)))) == [[1, [2]]]
    with pytest.raises(sl.ConfigError, match="no JSON"):
        reading(shown).read((0, 10), cursor=object())


# Windows -------------------------------------------------------------------------------------------------------------


class Hours(Provider):
    """Shows its window."""

    name = "hours"
    time_zone = "America/New_York"
    origin = "2013-01-01"
    lag = "1 h"

    def next(self, context: sl.Context, cursor: Any) -> Any:
        return [context.window]


def test_a_window_in_the_time_zone_of_the_provider() -> None:
    (window,) = rows_of(Hours().read("2013-02"))
    assert window.start == dt.datetime(2013, 2, 1, 5, tzinfo=dt.UTC)
    assert window.time_zone == "America/New_York"


def test_open_sides_are_the_origin_and_now_without_the_lag() -> None:
    (window,) = rows_of(Hours().read())
    behind = dt.datetime.now(dt.UTC) - window.stop
    assert window.start == dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
    assert dt.timedelta(hours=1) <= behind < dt.timedelta(hours=1, minutes=1)


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        (None, "has no start"),
        ((0, None), "has no end"),
        ((5, 1), "reversed"),
        ("2013-02", "the window"),
        (7, "not understood"),
    ],
)
def test_windows_that_cannot_be(window: Any, complaint: str) -> None:
    with pytest.raises(sl.ConfigError, match=complaint):
        reading(three_pages).read(window)


def test_naive_datetimes_are_refused() -> None:
    with pytest.raises(sl.ConfigError, match="no time zone"):
        Hours().read((dt.datetime(2013, 1, 1), None))  # noqa: DTZ001 # that is the point


def test_tokens_have_no_window() -> None:
    tokens = reading(lambda context, cursor: [context.window], cursor_type="token")
    assert rows_of(tokens.read()) == [None]
    with pytest.raises(sl.ConfigError, match="has no window"):
        tokens.read((0, 1))


# Params --------------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """Params of a provider."""

    region: str = "eu"


def test_params() -> None:
    def shown(context: sl.Context, cursor: Any) -> Any:
        return [context.params]

    assert rows_of(reading(shown).read((0, 1), params={"a": 1})) == [{"a": 1}]
    assert rows_of(reading(shown, Params=Asked).read((0, 1))) == [Asked()]
    with pytest.raises(sl.ConfigError, match=r"does not take these params: .*colour"):
        reading(shown, Params=Asked).read((0, 1), params={"colour": "red"})
    with pytest.raises(sl.ConfigError, match="give a mapping"):
        reading(shown).read((0, 1), params=["a"])  # type: ignore[arg-type] # that is the point


# The client ----------------------------------------------------------------------------------------------------------


class Opened:
    """A client that counts, plain and async."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __enter__(self) -> Self:
        self.events.append("open")
        return self

    def __exit__(self, *_: object) -> None:
        self.events.append("close")

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self.__exit__()


def generator(opened: Opened) -> Any:
    def around(self: Any, context: sl.Context) -> Iterator[Opened]:
        with opened:
            yield opened

    return around


def manager(opened: Opened) -> Any:
    @contextlib.contextmanager
    def around(self: Any, context: sl.Context) -> Iterator[Opened]:
        with opened:
            yield opened

    return around


def async_generator(opened: Opened) -> Any:
    async def around(self: Any, context: sl.Context) -> AsyncIterator[Opened]:
        async with opened:
            yield opened

    return around


class AsyncOnly:
    """An async context manager and nothing else."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    async def __aenter__(self) -> Opened:
        return await self.opened.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self.opened.__aexit__()


def async_manager(opened: Opened) -> Any:
    return lambda self, context: AsyncOnly(opened)


AROUNDS = [generator, manager, async_generator, async_manager, lambda opened: lambda self, context: opened]


def using(context: sl.Context, cursor: Any) -> sl.Page:
    context.client.events.append("page")
    return three_pages(context, cursor)


@pytest.mark.parametrize("around", AROUNDS)
def test_the_client_lives_as_long_as_the_walk(around: Any) -> None:
    opened = Opened()
    assert len(list(reading(using, around=around(opened)).read((0, 1)))) == 3
    assert opened.events == ["open", "page", "page", "page", "close"]


@pytest.mark.parametrize("around", AROUNDS)
def test_the_client_is_closed_when_the_walk_is(around: Any) -> None:
    opened = Opened()
    pages = reading(using, around=around(opened)).read((0, 1))
    next(pages)
    pages.close()  # type: ignore[attr-defined] # it is a generator
    assert opened.events == ["open", "page", "close"]


@pytest.mark.parametrize("around", AROUNDS)
def test_the_client_is_closed_after_an_error_which_passes(around: Any) -> None:
    def fails(context: sl.Context, cursor: Any) -> Any:
        raise KeyError("items")

    opened = Opened()
    with pytest.raises(KeyError, match="items"):
        list(reading(fails, around=around(opened)).read((0, 1)))
    assert opened.events == ["open", "close"]


def test_a_client_of_the_caller_takes_its_place() -> None:
    opened, given = Opened(), Opened()
    list(reading(using, around=generator(opened)).read((0, 1), client=given))
    assert (opened.events, given.events) == ([], ["page"] * 3)


def test_around_that_is_neither() -> None:
    with pytest.raises(sl.ConfigError, match=r"around\(\) returned int; make it a generator"):
        list(reading(three_pages, around=lambda self, context: 5).read((0, 1)))


# pages() and async ---------------------------------------------------------------------------------------------------


def with_pages(pages: Any) -> Provider:
    return reading(None, next=None, pages=pages)


def test_pages_end_with_the_generator_or_a_page_that_says_so() -> None:
    closed: list[str] = []

    def pages(self: Any, context: sl.Context, cursor: Any) -> Any:
        try:
            yield [{"id": 1}]
            yield None
            yield sl.Page([{"id": 2}], cursor=1, done=True)
            yield [{"id": 3}]
        finally:
            closed.append("closed")

    read = list(with_pages(pages).read((0, 1)))
    assert [(len(page.rows), page.done) for page in read] == [(1, False), (0, False), (1, True)]
    assert closed == ["closed"]


@pytest.mark.parametrize(("result", "shown"), [(None, "NoneType"), ([1], "list"), (sl.Page(), "Page")])
def test_pages_that_is_no_generator(result: Any, shown: str) -> None:
    with pytest.raises(sl.ConfigError, match=rf"pages\(\) returned {shown}"):
        list(with_pages(lambda self, context, cursor: result).read((0, 1)))


def test_async_providers_run_on_one_loop_and_one_thread() -> None:
    seen: set[tuple[int, int]] = set()

    async def look() -> None:
        await asyncio.sleep(0)
        seen.add((id(asyncio.get_running_loop()), threading.get_ident()))

    async def next_(self: Any, context: sl.Context, cursor: Any) -> sl.Page:
        await look()
        return three_pages(context, cursor)

    async def pages(self: Any, context: sl.Context, cursor: Any) -> Any:
        for number in (1, 2):
            await look()
            yield [{"id": number}]

    assert len(list(reading(None, next=next_).read((0, 1)))) == 3
    assert len(seen) == 1
    seen.clear()
    assert rows_of(with_pages(pages).read((0, 1))) == [{"id": 1}, {"id": 2}]
    assert len(seen) == 1


def test_async_providers_inside_a_running_loop() -> None:
    async def next_(self: Any, context: sl.Context, cursor: Any) -> Rows:
        return [{"id": 1}]

    made = reading(None, next=next_)

    async def cell() -> Rows:
        with pytest.raises(sl.ConfigError, match=r"asyncio\.to_thread"):
            list(made.read((0, 1)))
        return [row for page in await asyncio.to_thread(list, made.read((0, 1))) for row in page.rows]

    assert asyncio.run(cell()) == [{"id": 1}]


# Pages that go nowhere -----------------------------------------------------------------------------------------------


def following(tokens: dict[Any, Any], rows: Any = ({"id": 1},)) -> Provider:
    """A source whose page behind token t ends at tokens[t]."""
    return reading(lambda context, cursor: sl.Page(rows, cursor=tokens[cursor]))


def test_a_token_that_does_not_advance() -> None:
    with pytest.raises(
        sl.DataError, match=r"page 3 has rows and ends where page 2 ended, at the cursor 2;.*\*behind\*"
    ) as caught:
        list(following({None: 1, 1: 2, 2: 2}).read((0, 1)))
    assert caught.value.context == {"page": 3, "before": 2}
    assert not caught.value.retryable


def test_a_token_that_does_not_advance_from_the_start() -> None:
    with pytest.raises(sl.DataError, match="page 1 has rows and ends where the walk's start ended"):
        list(following({7: 7}).read((0, 1), cursor=7))


def test_an_empty_page_may_stand_still() -> None:
    answers = iter([sl.Page(cursor=1), sl.Page(cursor=1), sl.Page([{"id": 1}], cursor=2), sl.Page()])
    assert len(list(reading(lambda context, cursor: next(answers)).read((0, 1)))) == 4


@pytest.mark.parametrize(("tail", "circle"), [(0, 2), (1, 2), (5, 3), (3, 40), (100, 7)])
@pytest.mark.parametrize("rows", [({"id": 1},), ()])
def test_a_token_that_comes_back(tail: int, circle: int, rows: Any) -> None:
    tokens: dict[Any, Any] = {None: 0, **{number: number + 1 for number in range(tail + circle)}}
    tokens[tail + circle - 1] = tail
    with pytest.raises(
        sl.DataError, match=r"page \d+ ends at the cursor \d+, where page \d+ ended: .* circle"
    ) as caught:
        list(following(tokens, rows).read((0, 1)))
    page, before = caught.value.context["page"], caught.value.context["before"]
    assert (page - before) % circle == 0
    assert page <= 3 * (tail + circle) + 3


def test_the_last_page_may_repeat_its_token() -> None:
    pages = [sl.Page([{"id": 1}], cursor=1), sl.Page([{"id": 2}], cursor=1, done=True)]
    answers = iter(pages)
    assert len(list(reading(lambda context, cursor: next(answers)).read((0, 1)))) == 2


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        ({"id": 1}, "numbers: page 1: the provider returned one dict"),
        (7, "numbers: page 1: the provider returned 7"),
        (sl.Page([{"id": 1}], done=False), "numbers: page 1: the page says done=False and has no cursor"),
    ],
)
def test_results_that_are_no_page(result: Any, complaint: str) -> None:
    with pytest.raises(sl.DataError, match=complaint):
        list(reading(lambda context, cursor: result).read((0, 1)))


def test_stop_iteration_does_not_end_the_walk_in_silence() -> None:
    def exhausted(context: sl.Context, cursor: Any) -> Any:
        return next(iter(()))

    with pytest.raises(sl.ConfigError, match=r"next\(\) raised StopIteration"):
        list(reading(exhausted).read((0, 1)))


def test_a_lambda_that_returns_a_generator() -> None:
    with pytest.raises(sl.ConfigError, match=r"next\(\) is a generator"):
        list(reading(lambda context, cursor: (row for row in [1])).read((0, 1)))


def test_what_a_context_is_outside_a_run() -> None:
    context = sl.Context()
    context.alive()
    assert (context.attempt, context.walk, context.generation, context.plan_id) == (1, 1, 1, None)
