"""Pages: what a provider may return, and what is refused with advice."""

from __future__ import annotations

from typing import Any

import pytest

from strandline.errors import ConfigError, DataError
from strandline.page import Page, json_text, read_token

pytestmark = pytest.mark.nodb


@pytest.mark.parametrize(
    ("result", "rows"),
    [(None, []), ([], []), ([{"id": 1}], [{"id": 1}]), (({"id": 1},), [{"id": 1}]), (iter([{"id": 1}]), [{"id": 1}])],
)
def test_bare_rows_are_a_last_page_of_next_and_any_page_of_pages(result: Any, rows: list[Any]) -> None:
    page = Page.of(result, from_pages=False)
    assert (list(page.rows), page.done, page.cursor, page.cursor_text) == (rows, True, None, None)
    assert Page.of([], from_pages=True).done is False


@pytest.mark.parametrize(
    ("page", "from_pages", "done"),
    [
        (Page(), False, True),
        (Page(cursor=1), False, False),
        (Page(cursor=1, done=True), False, True),
        (Page(cursor=False), False, False),
        (Page(), True, False),
        (Page(done=True), True, True),
        (Page(done=False), True, False),
    ],
)
def test_done(page: Page, from_pages: bool, done: bool) -> None:
    assert Page.of(page, from_pages).done is done


def test_next_cannot_go_on_without_a_cursor() -> None:
    with pytest.raises(DataError, match=r"done=False and has no cursor.*give the cursor behind"):
        Page.of(Page([{"id": 1}], done=False), from_pages=False)


@pytest.mark.parametrize(
    ("cursor", "text"),
    [
        (0, "0"),
        ("", '""'),
        (False, "false"),
        ({"b": 1, "a": [1.5, None]}, '{"b":1,"a":[1.5,null]}'),
        ((1, 2), "[1,2]"),
        ("ü", '"ü"'),
        (2**70, str(2**70)),
    ],
)
def test_the_cursor_is_kept_as_it_is(cursor: Any, text: str) -> None:
    assert Page(cursor=cursor).cursor_text == text == json_text(cursor)


@pytest.mark.parametrize("cursor", [object(), {1, 2}, float("nan"), b"x", {"a": float("inf")}, "\ud800"])
def test_a_cursor_that_json_cannot_hold(cursor: Any) -> None:
    with pytest.raises(DataError, match=r"any JSON value but null"):
        Page(cursor=cursor)


def test_a_cursor_that_holds_itself() -> None:
    cursor: list[Any] = []
    cursor.append(cursor)
    with pytest.raises(DataError, match="no JSON"):
        Page(cursor=cursor)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"rows": {"id": 1}}, "one dict.*list"),
        ({"rows": "text"}, "one str"),
        ({"rows": Page()}, "return the page itself"),
        ({"done": 1}, "done is 1"),
        ({"total": -1}, "total is -1"),
        ({"total": True}, "total is True"),
        ({"total": "3"}, "total is '3'"),
        ({"deleted": "id"}, "list of primary keys"),
        ({"deleted": 7}, "list of primary keys"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Page(**arguments)


@pytest.mark.parametrize(
    ("result", "complaint"), [({"id": 1}, "one dict"), ("x", "one str"), (7, "7, a int"), (True, "bool")]
)
def test_wrong_results(result: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Page.of(result, from_pages=False)


def test_a_cursor_is_given_by_keyword() -> None:
    with pytest.raises(TypeError):
        Page([], 7)  # type: ignore[misc] # that is the point


def test_deleted_is_kept_as_a_tuple_and_rows_none_is_no_rows() -> None:
    page = Page(None, deleted=iter([1, 2]))
    assert (page.rows, page.deleted) == ((), (1, 2))


@pytest.mark.parametrize(("rows", "size"), [([1, 2], 2), ((), 0), (iter([1]), None)])
def test_size(rows: Any, size: int | None) -> None:
    assert Page(rows).size == size


def test_size_of_arrow() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert Page(pyarrow.table({"a": [1, 2, 3]})).size == 3


def test_a_token_that_a_user_gives() -> None:
    assert read_token(None) is None
    assert read_token((1, {"a": (2,)})) == [1, {"a": [2]}]
    with pytest.raises(ConfigError, match="no JSON"):
        read_token(object())
