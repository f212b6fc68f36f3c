"""Rows of Python: how values become fields, which columns a stream has, and what is refused with which words."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import hashlib
import math
import struct
import types
import uuid
import zoneinfo
from decimal import Decimal
from typing import Any, NamedTuple

import pydantic
import pytest
from copy_binary import raw_rows, values

from strandline import _core
from strandline.errors import ConfigError, Conflict, DataError
from strandline.rows import RowEncoder, content_digest, value_schema
from strandline.schema import Schema

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
AWARE = dt.datetime(2013, 3, 10, 3, 0, 0, 1, tzinfo=NEW_YORK)
LOCAL = dt.datetime.fromisoformat("2013-01-01")
LAST = dt.datetime.fromisoformat("9999-12-31T23:59:59.999999")
KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")


def encoded(sql_type: str, value: Any, *, parse: bool = False) -> Any:
    page, unknown = _core.Encoder([("c", sql_type, False)], ["c"] if parse else ()).encode([(value,)])
    assert not unknown
    return values(page.copy_stream(1, 2), [sql_type])[0][0]


@pytest.mark.parametrize(
    ("sql_type", "value", "stored"),
    [
        ("boolean", True, True),
        ("smallint", -32768, -32768),
        ("integer", 2**31 - 1, 2**31 - 1),
        ("bigint", -(2**63), -(2**63)),
        ("real", 1.5, 1.5),
        ("double precision", 2**60, float(2**60)),
        ("double precision", 2**80, float(2**80)),
        ("double precision", -math.inf, -math.inf),
        ("numeric", 10**30, Decimal(10**30)),
        ("numeric", 0.1, Decimal("0.1")),
        ("numeric", math.inf, Decimal("Infinity")),
        ("numeric", Decimal("-0.00010"), Decimal("-0.00010")),
        ("numeric", Decimal("1E+5"), Decimal(100000)),
        ("numeric", Decimal("0.000"), Decimal("0.000")),
        ("numeric", Decimal("9999.9999"), Decimal("9999.9999")),
        ("text", "", ""),
        ("text", "ä\U0001f600", "ä\U0001f600"),
        ("bytea", bytearray(b"\0\xff"), b"\0\xff"),
        ("bytea", memoryview(b"ab"), b"ab"),
        ("date", dt.date(1, 1, 1), dt.date(1, 1, 1)),
        ("time without time zone", dt.time(23, 59, 59, 999999), dt.time(23, 59, 59, 999999)),
        ("timestamp without time zone", LAST, LAST),
        ("timestamp with time zone", AWARE, AWARE.astimezone(dt.UTC)),
        ("uuid", KEY, KEY),
        ("jsonb", {"a": [1, 2.5, None, True]}, {"a": [1, Decimal("2.5"), None, True]}),
        ("jsonb", [(), "x", Decimal("1.10")], [[], "x", Decimal("1.10")]),
        ("json", [], []),
        ("jsonb", "text", "text"),
        ("jsonb", {}, {}),
        ("jsonb", [AWARE, dt.date(2013, 1, 2)], ["2013-03-10T07:00:00.000001Z", "2013-01-02"]),
        ("jsonb", {"id": KEY, "at": LOCAL}, {"id": str(KEY), "at": "2013-01-01T00:00:00"}),
        ("bigint", None, None),
    ],
)  # fmt: skip
def test_values_become_fields(sql_type: str, value: Any, stored: Any) -> None:
    found = encoded(sql_type, value)
    assert found == stored
    assert type(found) is type(stored)
    if isinstance(stored, Decimal):
        assert str(found) == str(stored)


@pytest.mark.parametrize(
    ("sql_type", "text", "stored"),
    [
        ("timestamp with time zone", "2013-01-01T05:00:00Z", dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)),
        ("timestamp with time zone", "2013-01-01 00:00:00.5-05:00", dt.datetime(2013, 1, 1, 5, 0, 0, 500_000, dt.UTC)),
        ("timestamp with time zone", "2013-01-01t00:00+0530", dt.datetime(2012, 12, 31, 18, 30, tzinfo=dt.UTC)),
        ("timestamp with time zone", "2016-12-31T23:59:60.0000000z", dt.datetime(2017, 1, 1, tzinfo=dt.UTC)),
        ("timestamp without time zone", "2013-01-01T24:00", LOCAL + dt.timedelta(days=1)),
        ("date", "2012-02-29", dt.date(2012, 2, 29)),
        ("time without time zone", "05:06", dt.time(5, 6)),
        ("numeric", "-12.50", Decimal("-12.50")),
        ("numeric", "+1e-3", Decimal("0.001")),
        ("uuid", KEY.hex.upper(), KEY),
    ],
)  # fmt: skip
def test_declared_columns_read_text(sql_type: str, text: str, stored: Any) -> None:
    assert encoded(sql_type, text, parse=True) == stored
    with pytest.raises(DataError, match="declare"):
        encoded(sql_type, text)


@pytest.mark.parametrize(
    ("sql_type", "value", "advice"),
    [
        ("boolean", 1, "True or False"),
        ("bigint", True, "a bool does not fit bigint"),
        ("bigint", 1.0, "declare the column double precision"),
        ("bigint", "1", r"int\(\)"),
        ("bigint", 2**63, "declare the column numeric"),
        ("integer", 2**31, "declare the column bigint"),
        ("smallint", -(2**15) - 1, "declare the column bigint"),
        ("double precision", 2**53 + 1, "no exact double precision"),
        ("double precision", 2**1024, "no exact double precision"),
        ("double precision", Decimal(1), "declare the column numeric"),
        ("real", 1e39, "declare the column double precision"),
        ("real", 2**24 + 1, "no exact real"),
        ("numeric", True, "a bool does not fit numeric"),
        ("numeric", Decimal("1E-16384"), "more digits than numeric holds"),
        ("text", 1, r"str\(\)"),
        ("text", b"x", r"decode\(\)"),
        ("text", "a\0b", "NUL"),
        ("text", "\ud800", "lone surrogate"),
        ("varchar(2)", "äää", "3 characters, the column allows 2"),
        ("bytea", "x", r"encode\(\)"),
        ("bytea", memoryview(b"abcd")[::2], "not contiguous"),
        ("date", LOCAL, r"\.date\(\)"),
        ("time", dt.time(1, tzinfo=dt.UTC), "drop the tzinfo"),
        ("timestamp", AWARE, "declare the column timestamptz"),
        ("timestamptz", LOCAL, "without a zone"),
        ("timestamptz", dt.date(2013, 1, 1), "a date does not fit"),
        ("uuid", KEY.int, "an int does not fit uuid"),
        ("jsonb", {"a": math.nan}, "NaN"),
        ("jsonb", {"a": Decimal("NaN")}, "NaN"),
        ("jsonb", ["\0"], "NUL"),
        ("jsonb", {1: 2}, "keys are text"),
        ("jsonb", {"a": b"x"}, "base64"),
        ("jsonb", {"a": {1, 2}}, "set"),
    ],
)
def test_values_that_do_not_fit_say_what_to_do(sql_type: str, value: Any, advice: str) -> None:
    with pytest.raises(DataError, match=advice) as raised:
        encoded(sql_type, value)
    assert raised.value.context == {"page": 0, "row": 0, "column": "c"}


@pytest.mark.parametrize(
    ("sql_type", "text"),
    [
        ("timestamptz", "2013-01-01T05:00:00"),
        ("timestamptz", "2013-02-29T05:00:00Z"),
        ("timestamptz", "2013-01-01T24:00:01Z"),
        ("timestamptz", "2013-01-01T05:00:00.1234567Z"),
        ("timestamptz", "2013-01-01T05:00:00Z "),
        ("timestamptz", ""),
        ("timestamp", "2013-01-01T05:00:00Z"),
        ("date", "2013-1-1"),
        ("date", "2013-01-01T00:00:00"),
        ("time", "25:00"),
        ("numeric", "1,5"),
        ("numeric", "."),
        ("numeric", "1e"),
        ("numeric", "0x10"),
        ("uuid", "1234"),
        ("uuid", KEY.hex[:-1] + "g"),
        ("bigint", "1"),
        ("boolean", "true"),
    ],
)
def test_declared_columns_refuse_other_text(sql_type: str, text: str) -> None:
    with pytest.raises(DataError, match="row 0, column"):
        encoded(sql_type, text, parse=True)


def test_messages_never_hold_the_value() -> None:
    for sql_type in ("bigint", "timestamptz", "date", "numeric", "uuid", "boolean", "bytea", "varchar(3)"):
        with pytest.raises(DataError) as raised:
            encoded(sql_type, "s3cr3t", parse=True)
        assert "s3cr3t" not in str(raised.value)


def test_deep_and_broken_values_are_data_errors() -> None:
    deep: list[Any] = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(DataError, match="256 levels"):
        encoded("jsonb", deep)

    class Broken(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            raise ValueError("no such time")

    with pytest.raises(DataError, match="could not be read: ValueError"):
        encoded("timestamptz", dt.datetime(2013, 1, 1, tzinfo=Broken()))
    with pytest.raises(DataError, match="digits"):
        encoded("numeric", 10**5000)


class Named(NamedTuple):
    id: int
    name: str | None


@dataclasses.dataclass
class Data:
    id: int
    name: str | None
    total: dataclasses.InitVar[int] = 0


@dataclasses.dataclass(slots=True)
class Slotted:
    id: int
    name: str | None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    id: int
    name: str | None


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "name": "x"},
        {"name": "x", "id": 1},
        (1, "x"),
        [1, "x"],
        Named(1, "x"),
        Data(1, "x"),
        Slotted(1, "x"),
        Model(id=1, name="x"),
        types.MappingProxyType({"id": 1, "name": "x"}),
        collections.OrderedDict(id=1, name="x"),
        collections.UserDict(id=1, name="x"),
    ],
    ids=lambda row: type(row).__name__,
)
def test_every_kind_of_row_gives_the_same_bytes(row: Any) -> None:
    declared = Schema.declare({"id": "bigint", "name": "text"})
    page = RowEncoder(declared).encode([row, row])
    assert values(page.copy_stream(1, 2), ["bigint", "text"]) == [(1, "x")] * 2
    if not isinstance(row, (tuple, list)) or hasattr(row, "_fields"):
        assert RowEncoder().encode([row]).columns == list(row) if isinstance(row, dict) else ["id", "name"]


@pytest.mark.parametrize("row", [1, "text", None, object(), {1}, Named], ids=lambda value: type(value).__name__)
def test_what_is_no_row(row: Any) -> None:
    with pytest.raises(DataError, match=r"page 4, row 1: .* is no row"):
        RowEncoder().encode([{"a": 1}, row], 4)


@pytest.mark.parametrize("rows", [{"a": 1}, Named(1, "x"), Data(1, "x"), Model(id=1, name="x"), "text", b"x", {1}, 5])
def test_what_is_no_list_of_rows(rows: Any) -> None:
    with pytest.raises(DataError, match=r"list"):
        RowEncoder().encode(rows)


def test_rows_may_come_from_anything_iterable() -> None:
    encoder = RowEncoder()
    for rows in ([{"a": 1}], ({"a": 1},), iter([{"a": 1}]), collections.deque([{"a": 1}])):
        assert values(encoder.encode(rows).copy_stream(1, 1), ["bigint"]) == [(1,)]
    assert encoder.encode(None).record_count == 0
    assert encoder.version == 1


def test_positions_need_a_schema_and_its_length() -> None:
    with pytest.raises(DataError, match="has no column names"):
        RowEncoder().encode([(1, 2)])
    with pytest.raises(DataError, match="row 1: the row has 1 values, the schema 2 columns"):
        RowEncoder(Schema.declare({"a": "int", "b": "int"})).encode([(1, 2), (1,)])


def test_lineage_follows_every_row_and_columns_that_came_later_are_null() -> None:
    page = RowEncoder(Schema.declare({"a": "int"})).encode([(1,), (None,)])
    rows = raw_rows(page.copy_stream(7, 3, ["a", "b"]))
    tail = [None, struct.pack(">q", 7), struct.pack(">q", 3)]
    assert rows == [[struct.pack(">i", 1), *tail], [None, *tail]]
    assert page.digest == hashlib.sha256(page.fields).digest()
    assert len(page) == page.record_count == 2
    assert page.nbytes == len(page.fields)


def test_a_stream_is_cut_into_pieces_without_loss() -> None:
    page = RowEncoder(Schema.declare({"a": "text"})).encode([("x" * n,) for n in (300_000, 0, 262_100, 262_144, 5)])
    assert [len(a or "") for (a,) in values(page.copy_stream(1, 1), ["text"])] == [300_000, 0, 262_100, 262_144, 5]


def test_inference_from_types_alone() -> None:
    page = {
        "flag": True, "whole": 1, "big": 2**63, "real": 1.5, "exact": Decimal(1), "name": "2013-01-01", "data": b"x",
        "at": AWARE, "local": LOCAL, "day": dt.date(2013, 1, 1), "clock": dt.time(1), "key": KEY,
        "tags": [1], "nest": {}, "nothing": None, "mixed": 1, "money": 1,
    }  # fmt: skip
    second = {"mixed": 0.5, "money": Decimal("0.1"), "big": 1, "late": "x"}
    assert dict(_core.infer([page, second])) == {
        "flag": "boolean", "whole": "bigint", "big": "numeric", "real": "double precision", "exact": "numeric",
        "name": "text", "data": "bytea", "at": "timestamp with time zone", "local": "timestamp without time zone",
        "day": "date", "clock": "time without time zone", "key": "uuid", "tags": "jsonb", "nest": "jsonb",
        "mixed": "double precision", "money": "numeric", "late": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (1, "x", "int and str"),
        (True, 1, "bool and int"),
        (dt.date(2013, 1, 1), AWARE, "date and datetime with a zone"),
        ({}, "x", "nested value and str"),
        (1.5, 2**53 + 1, "declare it numeric"),
        (2**53 + 1, 1.5, "declare it numeric"),
        (1, object(), "no column type is known for object"),
    ],
)
def test_types_that_do_not_go_together(first: Any, second: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as raised:
        RowEncoder().encode([{"c": first}, {"c": second}], 2)
    assert raised.value.context == {"page": 2, "row": 1, "column": "c"}


def test_columns_grow_at_the_end_and_keep_their_types() -> None:
    encoder = RowEncoder(primary_key=("id",))
    assert encoder.encode([{"id": 1, "later": None}]).columns == ["id"]
    assert (encoder.version, encoder.columns) == (1, [("id", "bigint", True)])
    page = encoder.encode([{"later": 1.5, "id": 2}, {"id": 3}])
    assert values(page.copy_stream(1, 1), ["bigint", "double precision"]) == [(2, 1.5), (3, None)]
    assert encoder.version == 2
    assert values(encoder.encode([{"later": 2, "id": 2}]).copy_stream(1, 1), ["bigint", "double precision"]) == [
        (2, 2.0)
    ]
    assert encoder.version == 2
    with pytest.raises(DataError, match=r'page 9, row 1, column "later": a str does not fit double precision'):
        encoder.encode([{"id": 1}, {"id": 1, "later": "x"}], 9)


def test_a_new_column_beside_declared_ones() -> None:
    encoder = RowEncoder(Schema.declare({"id": "bigint"}))
    page = encoder.encode([{"new": "x", "id": 1}])
    assert values(page.copy_stream(1, 1), ["bigint", "text"]) == [(1, "x")]
    assert encoder.schema.names == ("id", "new")


def test_contracts() -> None:
    declared = Schema.declare({"id": "bigint"})
    discarding = RowEncoder(declared, contract={"columns": "discard_value"})
    assert discarding.encode([{"id": 1, "new": "x"}]).columns == ["id"]
    with pytest.raises(DataError, match=r'page 3: column "new" is not in the schema') as raised:
        RowEncoder(declared, contract="freeze").encode([{"id": 1, "new": "x"}], 3)
    assert raised.value.context == {"page": 3, "column": "new"}
    frozen = RowEncoder(contract="freeze")
    frozen.encode([{"id": 1}])
    with pytest.raises(DataError, match="freeze"):
        frozen.encode([{"id": 1, "new": 2}])
    inherited = RowEncoder(known=[("id", "bigint", True), ("old", "text", False)], contract="freeze")
    assert inherited.encode([{"id": 1, "old": "x"}]).columns == ["id", "old"]
    with pytest.raises(ConfigError, match="evolve, freeze, discard_value"):
        RowEncoder(contract="pause")


def test_an_explicit_contract_beats_the_models() -> None:
    class Closed(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        id: int

    with pytest.raises(DataError, match="freeze"):
        RowEncoder(Schema.declare(Closed)).encode([{"id": 1, "new": 2}])
    assert RowEncoder(Schema.declare(Closed), contract="evolve").encode([{"id": 1, "new": 2}]).columns == ["id", "new"]


def test_the_targets_types_are_what_is_written() -> None:
    known = [
        ("id", "integer", True),
        ("name", "character varying(3)", False),
        ("_sl_batch", "bigint", False),
        ("tsv", "tsvector", False),
    ]
    encoder = RowEncoder(known=known)
    assert values(encoder.encode([{"id": 1, "name": "abc"}]).copy_stream(1, 1), ["integer", "text"]) == [(1, "abc")]
    assert encoder.columns == [("id", "integer", False), ("name", "character varying(3)", False)]
    declared = RowEncoder(Schema.declare({"id": "bigint", "name": "text"}), known)
    assert declared.columns[0][1] == "integer"
    with pytest.raises(DataError, match="declare the column bigint"):
        declared.encode([(2**40, "x")])
    with pytest.raises(Conflict, match='"id" is declared text, and the target has integer'):
        RowEncoder(Schema.declare({"id": "text"}), known)
    with pytest.raises(ConfigError, match=r'"tsv".*tsvector'):
        encoder.encode([{"tsv": "x"}])


def test_key_columns_must_be_there() -> None:
    with pytest.raises(
        DataError, match=r'page 1, row 0, column "id": no row has a value .* the rows have a;'
    ) as raised:
        RowEncoder(primary_key=("id",)).encode([{"a": 1}], 1)
    assert raised.value.context == {"page": 1, "row": 0, "column": "id"}
    for bad in ({"id": None, "a": 1}, {"a": 1}):
        with pytest.raises(DataError, match=r'row 1, column "id"'):
            RowEncoder(primary_key=("id",)).encode([{"id": 1, "a": 1}, bad])
    with pytest.raises(ConfigError, match="'key' is not in the schema"):
        RowEncoder(Schema.declare({"id": "bigint"}), primary_key=("key",))
    assert RowEncoder(primary_key=("id",)).encode([]).record_count == 0


def test_the_cursor_of_a_time_provider_is_an_instant() -> None:
    encoder = RowEncoder(cursor_field="at", cursor_is_time=True)
    page = encoder.encode([{"at": "2013-01-01T00:00:00-05:00", "other": "2013-01-01T00:00:00Z"}])
    assert values(page.copy_stream(1, 1), ["timestamp with time zone", "text"]) == [
        (dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), "2013-01-01T00:00:00Z")
    ]
    known = [("at", "timestamp with time zone", False)]
    assert RowEncoder(known=known, cursor_field="at", cursor_is_time=True).encode([{"at": "2013-01-01T00:00:00Z"}])
    with pytest.raises(DataError, match="add the zone"):
        encoder.encode([{"at": "2013-01-01T00:00:00"}])
    assert RowEncoder(cursor_field="at").encode([{"at": "2013"}]).columns == ["at"]


@pytest.mark.parametrize("name", ["", "_sl_generation", "x" * 64, "a\0b"])
def test_names_in_rows_that_no_column_can_have(name: str) -> None:
    with pytest.raises(DataError, match="page 5: "):
        RowEncoder().encode([{name: 1}], 5)
    assert RowEncoder().encode([{name: None, "a": 1}]).columns == ["a"]
    with pytest.raises(DataError, match="column names are text"):
        RowEncoder().encode([{1: 1}])


def test_deleted_keys() -> None:
    encoder = RowEncoder(Schema.declare({"n": "text", "id": "bigint", "day": "date"}), primary_key=("day", "id"))
    page = encoder.encode_keys([(dt.date(2013, 1, 1), 1), {"id": 2, "day": "2013-01-02", "n": "x"}])
    assert page.columns == ["day", "id"]
    assert values(page.copy_stream(1, 1), ["date", "bigint"]) == [(dt.date(2013, 1, 1), 1), (dt.date(2013, 1, 2), 2)]
    untyped = RowEncoder(primary_key=("id",))
    assert values(untyped.encode_keys(["a", "b"]).copy_stream(1, 1), ["text"]) == [("a",), ("b",)]
    with pytest.raises(DataError, match="deleted row 0: the key has 1 values, primary_key has 2"):
        encoder.encode_keys([1])
    with pytest.raises(ConfigError, match="set primary_key"):
        RowEncoder().encode_keys([1])


def test_values_are_cut_into_pages() -> None:
    rows = [{"a": "x" * (n % 50)} for n in range(1000)]
    pages = list(RowEncoder().pages(rows, page_records=300))
    assert [page.record_count for page in pages] == [300, 300, 300, 100]
    small = list(RowEncoder().pages(iter(rows), page_records=300, page_bytes=1000))
    assert all(page.nbytes <= 1000 for page in small)
    assert b"".join(page.fields for page in small) == b"".join(page.fields for page in pages)
    with pytest.raises(DataError, match="page 3, row 9"):
        list(RowEncoder().pages([{"a": 1}] * 39 + [{"a": "x"}], page_records=10))


def test_the_digest_of_a_value_is_its_content() -> None:
    rows: list[Any] = [{"a": 1, "b": "x"}, {"a": 2}]
    digest = content_digest(rows)
    assert len(digest) == 32
    assert digest == content_digest(tuple(rows)) == content_digest([Named2(1, "x"), Named2(2, None)])
    assert value_schema([{"a": 1}, {"a": 0.5}]).specs == [("a", "double precision", False)]
    different = [
        [{"a": 1, "b": "x"}],
        [*rows, {}],
        [{"a": 1, "c": "x"}, {"a": 2}],
        [{"a": 1.0, "b": "x"}, {"a": 2}],
        [],
    ]
    assert len({digest, *map(content_digest, different)}) == 6
    declared = Schema.declare({"a": "bigint", "b": "text"})
    assert content_digest([(1, "x"), (2, None)], declared) == digest
    with pytest.raises(ConfigError, match="only once"):
        content_digest(iter(rows))
    with pytest.raises(DataError, match="no column names"):
        content_digest([(1, 2)])


class Named2(NamedTuple):
    a: int
    b: str | None


def test_missing_values_of_pandas_are_null() -> None:
    pandas = pytest.importorskip("pandas")
    numpy = pytest.importorskip("numpy")
    page = RowEncoder(Schema.declare({"at": "timestamptz", "n": "bigint", "f": "real", "b": "boolean"})).encode(
        [
            (pandas.NaT, pandas.NA, None, None),
            (pandas.Timestamp("2013-01-01", tz="UTC"), numpy.int32(4), numpy.float32(1.5), numpy.bool_(True)),
        ]
    )
    stored = values(page.copy_stream(1, 1), ["timestamp with time zone", "bigint", "real", "boolean"])
    assert stored == [(None,) * 4, (dt.datetime(2013, 1, 1, tzinfo=dt.UTC), 4, 1.5, True)]
    with pytest.raises(DataError, match="nanoseconds"):
        RowEncoder().encode([{"at": pandas.Timestamp(1, unit="ns")}])


def test_rows_that_change_while_they_are_read() -> None:
    rows: list[Any] = []

    class Hostile(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            rows.clear()
            return dt.timedelta(0)

    rows.extend([(dt.datetime(2013, 1, 1, tzinfo=Hostile()),) for _ in range(100)])
    assert _core.Encoder([("at", "timestamptz", False)]).encode(rows)[0].record_count == 1
