"""Reading `into`: what it may be, and which names are refused before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from strandline.errors import ConfigError
from strandline.target import check_columns, check_identifier, table_of


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        (None, ("public", "flights")),
        ("arrivals", ("public", "arrivals")),
        ("shop.arrivals", ("shop", "arrivals")),
        (("shop", "a.b"), ("shop", "a.b")),
        (["shop", "x"], ("shop", "x")),
        ("shop.{stream}", ("shop", "flights")),
        ("{stream}_raw", ("public", "flights_raw")),
        ({"flights": "shop.x"}, ("shop", "x")),
        ({"flights": ("shop", "x"), "other": "y"}, ("shop", "x")),
        ('x"; drop table y; --', ("public", 'x"; drop table y; --')),
    ],
)
def test_into_is_read(into: Any, expected: tuple[str, str]) -> None:
    assert table_of(into, "flights", ledger_schema="strandline") == expected


def test_the_name_of_a_stream_is_not_split() -> None:
    assert table_of(None, "eu.flights", ledger_schema="strandline") == ("public", "eu.flights")


@pytest.mark.parametrize(
    ("into", "message"),
    [
        ("a.b.c", "more than one dot"),
        ("", "empty"),
        (".b", "empty"),
        ("a.", "empty"),
        ("x" * 64, "64 bytes"),
        ("é" * 32, "64 bytes"),
        ("a\0b", "NUL"),
        ("a\ud800b", "surrogate"),
        ("pg_catalog.x", "belongs to PostgreSQL"),
        ("pg_mine.x", "belongs to PostgreSQL"),
        ("information_schema.x", "belongs to PostgreSQL"),
        ("strandline.x", "holds the ledger"),
        (("a", "b", "c"), "not understood"),
        (17, "not understood"),
        (("a", 3), "names are text"),
        ({"other": "x"}, "the stream is 'flights'"),
        ({"flights": {"a": "b"}}, "is a mapping"),
    ],
)
def test_into_is_refused(into: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        table_of(into, "flights", ledger_schema="strandline")


def test_an_identifier_of_63_bytes_is_held() -> None:
    assert check_identifier("x" * 63, "here") == "x" * 63


@pytest.mark.parametrize(
    ("names", "message"), [(["a", "_sl_batch"], "reserved"), (["a", "b", "a"], "twice"), ([""], "empty")]
)
def test_columns_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_columns(names, "the schema of flights")
