"""How fast rows become COPY fields: client CPU per row, without a server."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from strandline import _core
from strandline.rows import RowEncoder, content_digest
from strandline.schema import Schema

PAGE = 10_000
ROUNDS = 5
COLUMNS = {
    "id": "bigint",
    "at": "timestamptz",
    "a": "float8",
    "b": "float8",
    "c": "float8",
    "d": "float8",
    "name": "text",
    "count": "int",
}
ARROW_TYPES = [pa.int64(), pa.timestamp("us", "UTC"), *[pa.float64()] * 4, pa.string(), pa.int32()]


def _rows(count: int) -> list[tuple[Any, ...]]:
    start = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    return [
        (n, start + dt.timedelta(seconds=n), n * 0.5, n * 0.25, 1.5, -n / 3, f"{n:012d}", None if n % 3 else n)
        for n in range(count)
    ]


def _seconds(work: Callable[[], Any]) -> float:
    """CPU time of the best of some rounds: other processes and first touches only ever add."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def _hash_only(table: pa.Table, schema: Schema) -> float:
    pages = list(RowEncoder(schema).pages(table, page_records=PAGE))
    return _seconds(lambda: [hashlib.sha256(page.fields).digest() for page in pages])


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Encode `scale` x 500,000 rows of eight columns from each kind of input; rows of {name, value, unit}."""
    count = max(PAGE, int(500_000 * scale))
    tuples = _rows(count)
    dicts = [dict(zip(COLUMNS, row, strict=True)) for row in tuples]
    columns = zip(*tuples, strict=True)
    table = pa.table(
        {name: pa.array(values, kind) for name, values, kind in zip(COLUMNS, columns, ARROW_TYPES, strict=True)}
    )
    schema = Schema.declare(COLUMNS)

    def pages(value: Any) -> Callable[[], list[int]]:
        return lambda: [page.record_count for page in RowEncoder(schema).pages(value, page_records=PAGE)]

    def streams() -> None:
        for page in RowEncoder(schema).pages(table, page_records=PAGE):
            page.copy_stream(1, 1)

    arms = {
        "encode, from Arrow": pages(table),
        "encode, from tuples": pages(tuples),
        "encode, from dicts": pages(dicts),
        "encode and write the COPY stream, from Arrow": streams,
        "infer column types, from dicts": lambda: _core.infer(dicts),
        "digest of a value, Arrow": lambda: content_digest(table),
    }
    found = [(name, _seconds(work)) for name, work in arms.items()]
    found.append(("SHA-256 of the encoded fields alone", _hash_only(table, schema)))
    return [
        {"name": name, "value": round(seconds / count * 1e6, 4), "unit": "us CPU per row"} for name, seconds in found
    ]


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:50} {row['value']:8.3f} {row['unit']}")
