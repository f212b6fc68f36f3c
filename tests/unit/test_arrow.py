"""Arrow: what comes in through the C data interface, from every library, whole, sliced, chunked and cut into pages."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from copy_binary import values

from strandline import _core
from strandline.errors import ConfigError, DataError
from strandline.rows import RowEncoder, content_digest
from strandline.schema import Schema

NOON = dt.datetime(2013, 6, 1, 12, 0, 0, 123456, dt.UTC)
NUMBERED = pa.map_(pa.int8(), pa.int8())
KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")


def stored(array: pa.Array, sql_type: str, *, declared: bool = False) -> list[Any]:
    """The column as it arrives: whole, and as a slice with an offset, which must be the same."""
    types = [("c", sql_type, False)]
    found = []
    for table in (pa.table({"c": array}), pa.table({"c": pa.concat_arrays([array.slice(0, 1), array]).slice(1)})):
        encoder = RowEncoder(Schema.of(types) if declared else None, None if declared else types)
        found.append([value for (value,) in values(encoder.encode(table).copy_stream(1, 1), [sql_type])])
    assert repr(found[0]) == repr(found[1])
    return found[0]


SCALARS = [
    (pa.array([True, None, False] * 5), "boolean"),
    (pa.array([-128, None, 127], pa.int8()), "smallint"),
    (pa.array([255, None, 0], pa.uint8()), "smallint"),
    (pa.array([-(2**15), None, 1], pa.int16()), "smallint"),
    (pa.array([2**16 - 1, None], pa.uint16()), "integer"),
    (pa.array([-(2**31), None], pa.int32()), "integer"),
    (pa.array([2**32 - 1, None], pa.uint32()), "bigint"),
    (pa.array([-(2**63), None, 2**63 - 1], pa.int64()), "bigint"),
    (pa.array([1.5, None, -math.inf], pa.float32()), "real"),
    (pa.array([0.1, None, 1e300], pa.float64()), "double precision"),
    (pa.array(["", None, "ä", "x" * 40], pa.string()), "text"),
    (pa.array(["", None, "ä", "x" * 40], pa.large_string()), "text"),
    (pa.array(["", None, "twelve bytes", "thirteen byte", "x" * 40], pa.string_view()), "text"),
    (pa.array([b"", None, b"\0\xff"], pa.binary()), "bytea"),
    (pa.array([b"", None, b"\0\xff"], pa.large_binary()), "bytea"),
    (pa.array([b"", None, b"x" * 99], pa.binary_view()), "bytea"),
    (pa.array([b"abc", None], pa.binary(3)), "bytea"),
    (pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)], pa.date32()), "date"),
    (pa.array([dt.date(1969, 12, 31), None], pa.date64()), "date"),
    (pa.array([dt.time(23, 59, 59), None], pa.time32("s")), "time without time zone"),
    (pa.array([dt.time(1, 2, 3, 4000), None], pa.time32("ms")), "time without time zone"),
    (pa.array([dt.time(1, 2, 3, 4), None], pa.time64("us")), "time without time zone"),
    (pa.array([dt.time(1, 2, 3, 4), None], pa.time64("ns")), "time without time zone"),
    (pa.array([NOON, None], pa.timestamp("us", "America/New_York")), "timestamp with time zone"),
    (pa.array([NOON.replace(tzinfo=None), None], pa.timestamp("us")), "timestamp without time zone"),
    (pa.array([Decimal("-1.50"), None, Decimal("0.00")], pa.decimal128(5, 2)), "numeric"),
    (pa.array([Decimal(10**37), None, -Decimal(10**37)], pa.decimal128(38)), "numeric"),
    (pa.array([Decimal("-1.50"), None], pa.decimal256(76, 2)), "numeric"),
    (pa.array([Decimal("1.5"), None], pa.decimal32(5, 1)), "numeric"),
    (pa.array([Decimal("-0.001"), None], pa.decimal64(5, 3)), "numeric"),
]


@pytest.mark.parametrize(("array", "sql_type"), SCALARS, ids=lambda value: str(getattr(value, "type", "")))
def test_scalars(array: pa.Array, sql_type: str) -> None:
    assert _core.arrow_schema(pa.schema([("c", array.type)])) == [("c", sql_type, True)]
    expected = [
        value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value
        for value in array.to_pylist()
    ]
    assert stored(array, sql_type) == expected
    texts = [None if value is None else str(value) for value in stored(array, sql_type)]
    if sql_type == "numeric":  # equality ignores trailing zeros
        assert texts == [None if value is None else str(value) for value in expected]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_units_of_timestamps(unit: str) -> None:
    before = dt.datetime(1900, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
    assert stored(pa.array([before, None], pa.timestamp(unit, "UTC")), "timestamp with time zone") == [before, None]


def test_conversions_that_keep_the_value() -> None:
    assert stored(pa.array([1, None], pa.int64()), "smallint") == [1, None]
    assert stored(pa.array([1, None], pa.int8()), "bigint") == [1, None]
    assert stored(pa.array([2**64 - 1, 0], pa.uint64()), "numeric") == [Decimal(2**64 - 1), Decimal(0)]
    assert stored(pa.array([2**63 - 1], pa.uint64()), "bigint") == [2**63 - 1]
    assert stored(pa.array([7], pa.int32()), "double precision") == [7.0]
    assert stored(pa.array([0.1, math.inf], pa.float64()), "numeric") == [Decimal("0.1"), Decimal("Infinity")]
    halves = pa.array([1.5, -0.0, 6e-8, 65504.0, math.inf, math.nan], pa.float32()).cast(pa.float16())
    assert [str(value) for value in stored(halves, "double precision")] == [
        "1.5", "-0.0", "5.960464477539063e-08", "65504.0", "inf", "nan",
    ]  # fmt: skip
    assert stored(pa.array([KEY.bytes, None], pa.binary(16)), "uuid") == [KEY, None]
    assert stored(pa.array([None, None], pa.null()), "bigint", declared=True) == [None, None]
    assert RowEncoder().encode(pa.table({"a": [1], "nothing": pa.array([None], pa.null())})).columns == ["a"]


def test_dictionaries() -> None:
    words = pa.array(["b", None, "a", "b"]).dictionary_encode()
    assert stored(words, "text") == ["b", None, "a", "b"]
    nullable = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.uint8()), pa.array([None, 5], pa.int16()))
    assert stored(nullable, "integer") == [None, 5, None]
    assert stored(words, "jsonb") == ["b", None, "a", "b"]


def test_extension_types() -> None:
    keys = pa.array([KEY.bytes, None], pa.uuid())
    assert _core.arrow_schema(pa.schema([("c", keys.type)]))[0][1] == "uuid"
    assert stored(keys, "uuid") == [KEY, None]
    assert stored(keys, "jsonb") == [str(KEY), None]
    texts = pa.array(['{"a":1}', None], pa.json_())
    assert _core.arrow_schema(pa.schema([("c", texts.type)]))[0][1] == "jsonb"
    assert stored(texts, "jsonb") == [{"a": 1}, None]
    with pytest.raises(DataError, match="no JSON"):
        stored(pa.array(["{"], pa.json_()), "jsonb")


NESTED = [
    pa.array([[1, None], None, []], pa.list_(pa.int32())),
    pa.array([["x"], None, []], pa.large_list(pa.string())),
    pa.array([[1, 2], None, [3, None]], pa.list_(pa.int8(), 2)),
    pa.array([{"a": 1, "b": {"c": ["x", None]}}, None, {"a": None, "b": None}]),
    pa.array([[("k", 1), ("l", None)], None, []], pa.map_(pa.string(), pa.int64())),
    pa.array([[{"a": True}], None, [{"a": False}, None]]),
]


@pytest.mark.parametrize("array", NESTED, ids=lambda array: str(array.type))
def test_nested_values_are_json(array: pa.Array) -> None:
    expected = [dict(v) if pa.types.is_map(array.type) and v is not None else v for v in array.to_pylist()]
    assert stored(array, "jsonb") == expected
    assert stored(array, "json") == expected


def test_scalars_inside_nested_values() -> None:
    cases = [
        (pa.uint64(), [2**64 - 1, None], [2**64 - 1, None]),
        (pa.timestamp("us", "UTC"), [NOON], ["2013-06-01T12:00:00.123456Z"]),
        (pa.timestamp("s"), [dt.datetime.fromisoformat("1969-12-31T23:59:59")], ["1969-12-31T23:59:59"]),
        (pa.date32(), [dt.date(2012, 2, 29), dt.date(1, 1, 1)], ["2012-02-29", "0001-01-01"]),
        (pa.time64("us"), [dt.time(1, 2, 3, 500000)], ["01:02:03.5"]),
        (pa.decimal128(3, 2), [Decimal("1.10")], [Decimal("1.10")]),
    ]
    for item, sent, arrived in cases:
        assert stored(pa.array([sent], pa.list_(item)), "jsonb") == [arrived]
    for item, refused in ((pa.float64(), math.nan), (pa.string(), "\0"), (pa.binary(), b"x"), (NUMBERED, [(1, 2)])):
        with pytest.raises(DataError, match=r"nested value|map's keys"):
            stored(pa.array([[refused]], pa.list_(item)), "jsonb")


@pytest.mark.parametrize(
    ("array", "sql_type", "advice"),
    [
        (pa.array([2**40]), "integer", "declare the column bigint"),
        (pa.array([2**63], pa.uint64()), "bigint", "declare the column numeric"),
        (pa.array([2**53 + 1]), "double precision", "no exact double"),
        (pa.array([1], pa.timestamp("ns", "UTC")), "timestamp with time zone", "nanoseconds"),
        (pa.array([2**62], pa.timestamp("s", "UTC")), "timestamp with time zone", "outside PostgreSQL's range"),
        (pa.array([-(2**62)], pa.timestamp("us", "UTC")), "timestamp with time zone", "4713 BC"),
        (pa.array([1], pa.int64()).cast(pa.timestamp("us")), "timestamp with time zone", "does not fit"),
        (pa.array([1.5]), "bigint", "does not fit bigint"),
        (pa.array(["1"]), "bigint", "does not fit bigint"),
        (pa.array(["a\0"]), "text", "NUL"),
        (pa.array([True]), "integer", "does not fit integer"),
        (pa.array(["2013-01-01"]), "date", "declare the column's type"),
    ],
)
def test_values_that_do_not_fit(array: pa.Array, sql_type: str, advice: str) -> None:
    with pytest.raises(DataError, match=advice) as raised:
        stored(array, sql_type)
    assert raised.value.context["column"] == "c"


def test_declared_columns_read_text() -> None:
    assert stored(pa.array(["2013-01-01", None]), "date", declared=True) == [dt.date(2013, 1, 1), None]
    assert stored(pa.array([str(KEY)], pa.large_string()), "uuid", declared=True) == [KEY]
    encoder = RowEncoder(cursor_field="at", cursor_is_time=True)
    page = encoder.encode(pa.table({"at": ["2013-01-01T00:00:00Z"]}))
    assert values(page.copy_stream(1, 1), ["timestamp with time zone"]) == [(dt.datetime(2013, 1, 1, tzinfo=dt.UTC),)]


def test_errors_name_page_row_and_column() -> None:
    with pytest.raises(DataError, match='page 7, row 2, column "b"') as raised:
        RowEncoder(Schema.declare({"a": "int", "b": "smallint"})).encode(pa.table({"b": [1, 2, 2**20]}), 7)
    assert raised.value.context == {"page": 7, "row": 2, "column": "b"}
    with pytest.raises(DataError, match='row 1, column "b": NULL in a required column'):
        RowEncoder(primary_key=("b",)).encode(pa.table({"b": [1, None]}))
    with pytest.raises(DataError, match='column "k": no row has a value for this primary key'):
        RowEncoder(primary_key=("k",)).encode(pa.table({"b": [1]}))


def test_columns_are_found_by_name_and_may_be_missing() -> None:
    encoder = RowEncoder(Schema.declare({"a": "int", "b": "text"}))
    page = encoder.encode(pa.table({"c": [1.5], "a": pa.array([1], pa.int32())}))
    assert page.columns == ["a", "b", "c"]
    assert values(page.copy_stream(1, 1), ["integer", "text", "double precision"]) == [(1, None, 1.5)]
    discarding = RowEncoder(Schema.declare({"a": "int"}), contract="discard_value")
    assert discarding.encode(pa.table({"c": [1.5], "a": [1]})).columns == ["a"]
    with pytest.raises(DataError, match='"c" is not in the schema'):
        RowEncoder(Schema.declare({"a": "int"}), contract="freeze").encode(pa.table({"c": [1.5], "a": [1]}))


def test_the_same_bytes_as_python_rows() -> None:
    rows = [{"i": 1, "f": 0.5, "t": "x", "at": NOON}, {"i": None, "f": None, "t": None, "at": None}]
    table = pa.Table.from_pylist(rows)
    declared = Schema.declare({"i": "bigint", "f": "float8", "t": "text", "at": "timestamptz"})
    assert RowEncoder(declared).encode(table).digest == RowEncoder(declared).encode(rows).digest
    assert content_digest(table) == content_digest(rows)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 1)])
    assert content_digest(chunked) == content_digest(table)
    assert content_digest(table.rename_columns(["i", "f", "t", "when"])) != content_digest(table)


def test_pages_join_small_batches_and_cut_large_ones() -> None:
    batches = [pa.record_batch({"n": pa.array(range(size), pa.int64())}) for size in (3, 0, 1, 10, 2)]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    pages = list(RowEncoder().pages(reader, page_records=4))
    assert [page.record_count for page in pages] == [4, 4, 4, 4]
    numbers = [n for page in pages for (n,) in values(page.copy_stream(1, 1), ["bigint"])]
    assert numbers == [*range(3), 0, *range(10), 0, 1]
    by_bytes = list(RowEncoder().pages(pa.table({"n": list(range(10))}), page_bytes=25))
    assert [page.record_count for page in by_bytes] == [3, 3, 3, 1]
    assert [page.record_count for page in RowEncoder().pages(pa.table({"n": [1, 2]}), page_bytes=1)] == [1, 1]


def test_a_stream_is_read_once() -> None:
    with pytest.raises(ConfigError, match="only once"):
        content_digest(pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int8())]), []))
    capsule = pa.table({"n": [1]}).__arrow_c_stream__()

    class Spent:
        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            return capsule

    assert RowEncoder().encode(Spent()).record_count == 1
    with pytest.raises(DataError, match="read before"):
        RowEncoder().encode(Spent())


def test_a_batch_that_is_not_of_the_streams_schema() -> None:
    class Lying:
        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            schema, _ = pa.record_batch({"a": ["x"], "b": [1]}).__arrow_c_array__()
            return schema, pa.record_batch({"a": [1]}).__arrow_c_array__()[1]

    with pytest.raises(DataError, match="does not have the shape"):
        RowEncoder().encode(Lying())


def test_a_stream_that_fails_says_why() -> None:
    def batches() -> Any:
        yield pa.record_batch({"n": [1]})
        raise ValueError("the source is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    pages = RowEncoder().pages(reader, page_records=1)
    assert next(pages).record_count == 1
    with pytest.raises(DataError, match="the source is gone"):
        next(pages)


def test_record_batches_and_struct_arrays() -> None:
    batch = pa.record_batch({"a": [1, 2, 3], "b": ["x", None, "z"]})
    assert values(RowEncoder().encode(batch.slice(1)).copy_stream(1, 1), ["bigint", "text"]) == [(2, None), (3, "z")]
    struct = pa.array([{"a": 1}, None, {"a": 3}]).slice(1)
    assert values(RowEncoder().encode(struct).copy_stream(1, 1), ["bigint"]) == [(None,), (3,)]
    with pytest.raises(ConfigError, match="single array"):
        RowEncoder().encode(pa.array([1]))
    assert RowEncoder().encode(pa.table({"a": pa.array([], pa.int8())})).record_count == 0


def test_polars_and_pandas() -> None:
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    rows = {"n": [1, None], "t": ["x", "a text of more than twelve bytes"], "at": [NOON, None], "l": [[1], []]}
    page = RowEncoder().encode(polars.DataFrame(rows))
    types = ["bigint", "text", "timestamp with time zone", "jsonb"]
    assert values(page.copy_stream(1, 1), types) == list(zip(*rows.values(), strict=True))
    categories = polars.DataFrame({"c": polars.Series(["a", "b", "a"], dtype=polars.Categorical)})
    assert values(RowEncoder().encode(categories).copy_stream(1, 1), ["text"]) == [("a",), ("b",), ("a",)]
    frame = pandas.DataFrame({"n": [1, 2], "t": ["x", None]}).iloc[1:]
    assert values(RowEncoder().encode(frame).copy_stream(1, 1), ["bigint", "text"]) == [(2, None)]
