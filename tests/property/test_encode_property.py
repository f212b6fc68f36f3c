"""What is encoded arrives: values made at random go through COPY BINARY into a real server and come back equal."""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from strandline.errors import DataError
from strandline.rows import RowEncoder, content_digest
from strandline.schema import Schema

INT8 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
ZONES = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(
    lambda offset: dt.timezone(dt.timedelta(seconds=round(offset.total_seconds() / 60) * 60))
)
# psycopg cannot show an instant that is outside the years 1 to 9999 in UTC.
INSTANTS = st.datetimes(
    dt.datetime.fromisoformat("0002-01-01"), dt.datetime.fromisoformat("9998-12-31"), timezones=ZONES
)
NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=True),
    st.builds(
        lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(-(10**60), 10**60), st.integers(-100, 100)
    ),
).filter(lambda number: not number.is_finite() or -16383 <= number.as_tuple().exponent <= 1000)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "flag": ("boolean", st.booleans()),
    "small": ("smallint", st.integers(-(2**15), 2**15 - 1)),
    "whole": ("integer", st.integers(-(2**31), 2**31 - 1)),
    "big": ("bigint", INT8),
    "narrow": ("real", st.floats(width=32)),
    "wide": ("double precision", st.floats()),
    "exact": ("numeric", NUMBERS),
    "name": ("text", TEXT),
    "data": ("bytea", st.binary(max_size=40)),
    "day": ("date", st.dates()),
    "clock": ("time", st.times()),
    "local": ("timestamp", st.datetimes()),
    "at": ("timestamptz", INSTANTS),
    "key": ("uuid", st.uuids()),
    "nest": ("jsonb", JSON),
    "document": ("json", JSON),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | strategy for name, (_, strategy) in COLUMNS.items()}), max_size=4
)
DECLARED = Schema.declare({name: sql_type for name, (sql_type, _) in COLUMNS.items()})

Load = Callable[[Any], list[tuple[Any, ...]]]


@pytest.fixture
def load(empty_dsn: str) -> Iterator[Callable[[RowEncoder, Any], list[tuple[Any, ...]]]]:
    """`load(encoder, rows)`: what a fresh table holds after the rows were copied into it, lineage columns aside."""
    with psycopg.connect(empty_dsn) as connection, connection.cursor(binary=True) as cursor:

        def through(encoder: RowEncoder, rows: Any) -> list[tuple[Any, ...]]:
            page = encoder.encode(rows)
            names = [*page.columns, "_sl_batch", "_sl_generation"]
            types = [sql_type for _, sql_type, _ in encoder.columns] + ["bigint", "bigint"]
            columns = [
                sql.SQL("{} " + sql_type).format(sql.Identifier(name))
                for name, sql_type in zip(names, types, strict=True)
            ]
            cursor.execute(sql.SQL("create temp table loaded ({})").format(sql.SQL(", ").join(columns)))
            listed = sql.SQL(", ").join(map(sql.Identifier, names))
            with cursor.copy(sql.SQL("copy loaded ({}) from stdin (format binary)").format(listed)) as copy:
                copy.write(page.copy_stream(7, 3))
            cursor.execute("set local timezone = 'UTC'")
            found = cursor.execute("select * from loaded").fetchall()
            connection.rollback()
            assert all(row[-2:] == (7, 3) for row in found)
            return [row[:-2] for row in found]

        yield through


def same(sent: Any, arrived: Any) -> bool:
    """Equality in which NaN is itself and the digits of a Decimal count, but not how jsonb spells a number."""
    if isinstance(sent, float) and isinstance(arrived, float):
        return struct.pack("d", sent) == struct.pack("d", arrived) or (math.isnan(sent) and math.isnan(arrived))
    if isinstance(sent, Decimal) and sent.is_finite():
        digits = -min(int(sent.as_tuple().exponent), 0)
        return bool(sent == arrived) and -int(arrived.as_tuple().exponent) == digits
    return bool(sent == arrived)


def same_json(sent: Any, arrived: Any) -> bool:
    if isinstance(sent, dict):
        return sent.keys() == arrived.keys() and all(same_json(value, arrived[key]) for key, value in sent.items())
    if isinstance(sent, list):
        return len(sent) == len(arrived) and all(map(same_json, sent, arrived))
    if isinstance(sent, float):  # the shortest text of a double above 2^53 is another integer than its exact value
        return sent == float(arrived)
    return bool(sent == arrived)


def refusal(encoder: RowEncoder, value: Any) -> DataError | None:
    try:
        encoder.encode([(value,)])
    except DataError as error:
        return error
    return None


EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EXAMPLES
@given(rows=ROWS)
def test_rows_arrive(load: Any, rows: list[dict[str, Any]]) -> None:
    arrived = load(RowEncoder(DECLARED), rows)
    assert len(arrived) == len(rows)
    for row, back in zip(rows, arrived, strict=True):
        for (name, (sql_type, _)), found in zip(COLUMNS.items(), back, strict=True):
            equal = same_json if sql_type.startswith("json") else same
            assert equal(row[name], found), (name, row[name], found)


@EXAMPLES
@given(rows=ROWS)
def test_every_form_of_row_gives_the_same_bytes(rows: list[dict[str, Any]]) -> None:
    encoder = RowEncoder(DECLARED)
    by_name = bytes(encoder.encode(rows).fields)
    assert bytes(encoder.encode([tuple(row[name] for name in COLUMNS) for row in rows]).fields) == by_name
    assert bytes(encoder.encode([dict(reversed(row.items())) for row in rows]).fields) == by_name
    assert bytes(encoder.encode([{k: v for k, v in row.items() if v is not None} for row in rows]).fields) == by_name


@EXAMPLES
@given(rows=ROWS, size=st.integers(1, 4))
def test_arrow_gives_the_same_bytes(rows: list[dict[str, Any]], size: int) -> None:
    types = {
        "flag": pa.bool_(), "small": pa.int16(), "whole": pa.int32(), "big": pa.int64(), "narrow": pa.float32(),
        "wide": pa.float64(), "name": pa.string_view(), "data": pa.large_binary(), "day": pa.date32(),
        "clock": pa.time64("us"), "local": pa.timestamp("us"), "at": pa.timestamp("us", "UTC"), "key": pa.uuid(),
    }  # fmt: skip
    declared = Schema([column for column in DECLARED if column.name in types])
    kept = [{name: row[name] for name in types} for row in rows]
    columns = {name: pa.array([row[name] for row in kept], kind) for name, kind in types.items() if name != "key"}
    keys = pa.array([None if row["key"] is None else row["key"].bytes for row in kept], pa.uuid())
    table = pa.table({name: columns.get(name, keys) for name in types})
    expected = RowEncoder(declared).encode(kept)
    assert bytes(RowEncoder(declared).encode(table).fields) == bytes(expected.fields)
    chunks = pa.concat_tables([table.slice(start, 1) for start in range(len(rows))] or [table])
    pages = list(RowEncoder(declared).pages(chunks, page_records=size))
    assert b"".join(page.fields for page in pages) == bytes(expected.fields)
    assert all(page.record_count == size for page in pages[:-1])
    assert content_digest(chunks) == content_digest(table)


@EXAMPLES
@given(rows=ROWS)
def test_what_is_inferred_holds_the_rows(load: Any, rows: list[dict[str, Any]]) -> None:
    kept = [{name: value for name, value in row.items() if name not in {"nest", "document"}} for row in rows]
    encoder = RowEncoder()
    page = encoder.encode(kept)
    arrived = load(encoder, kept)
    assert len(arrived) == len(rows) == page.record_count
    for row, back in zip(kept, arrived, strict=True):
        for name, found in zip(page.columns, back, strict=True):
            assert same(row[name], found)


@EXAMPLES
@given(
    value=st.one_of(INT8, st.floats(), NUMBERS, TEXT, JSON),
    sql_type=st.sampled_from([kind for kind, _ in COLUMNS.values()]),
)
def test_a_value_is_stored_or_refused_but_never_changed(load: Any, value: Any, sql_type: str) -> None:
    encoder = RowEncoder(Schema.declare({"c": sql_type}))
    refused = refusal(encoder, value)
    if refused is not None:
        assert refused.context == {"page": 0, "row": 0, "column": "c"}
        return
    ((found,),) = load(encoder, [(value,)])
    if sql_type.startswith("json"):
        assert same_json(float(value) if isinstance(value, Decimal) else value, found) or isinstance(value, Decimal)
    elif sql_type == "real" and isinstance(value, float) and math.isfinite(value):
        assert found == struct.unpack("f", struct.pack("f", value))[0]
    elif isinstance(value, float) and math.isnan(value):
        assert math.isnan(found)
    elif isinstance(value, float) and sql_type == "numeric":
        assert float(found) == value
    elif not isinstance(value, str):  # text that a declared column reads has its own tests
        assert found == value
