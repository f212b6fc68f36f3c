"""A second reading of COPY BINARY, independent of the encoder: what a stream holds, as Python values."""

from __future__ import annotations

import datetime as dt
import json
import struct
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
EPOCH = dt.datetime.fromisoformat("2000-01-01")


def raw_rows(stream: bytes) -> list[list[bytes | None]]:
    """The fields of every row, NULL as None; AssertionError for a stream that is no COPY BINARY."""
    assert stream.startswith(HEADER)
    at = len(HEADER)
    rows = []
    while (count := struct.unpack_from(">h", stream, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", stream, at)
            at += 4
            row.append(None if size == -1 else stream[at : at + size])
            at += max(size, 0)
        rows.append(row)
    assert at + 2 == len(stream), "bytes behind the trailer"
    return rows


def _numeric(data: bytes) -> Decimal:
    digits, weight, sign, scale = struct.unpack_from(">HhHH", data)
    if sign in {0xC000, 0xD000, 0xF000}:
        return {0xC000: Decimal("NaN"), 0xD000: Decimal("Infinity"), 0xF000: Decimal("-Infinity")}[sign]
    groups = struct.unpack_from(f">{digits}H", data, 8)
    assert len(data) == 8 + 2 * digits
    assert all(group < 10000 for group in groups)
    with localcontext(prec=200_000, Emin=-200_000, Emax=200_000):
        value = sum((Decimal(group).scaleb(4 * (weight - i)) for i, group in enumerate(groups)), Decimal(0))
        shown = value.quantize(Decimal(1).scaleb(-scale))
        return -shown if sign == 0x4000 else shown


def _jsonb(data: bytes) -> Any:
    assert data[:1] == b"\1"
    return json.loads(data[1:], parse_float=Decimal)


READERS: dict[str, Callable[[bytes], Any]] = {
    "boolean": lambda data: {b"\0": False, b"\1": True}[data],
    "smallint": lambda data: struct.unpack(">h", data)[0],
    "integer": lambda data: struct.unpack(">i", data)[0],
    "bigint": lambda data: struct.unpack(">q", data)[0],
    "real": lambda data: struct.unpack(">f", data)[0],
    "double precision": lambda data: struct.unpack(">d", data)[0],
    "numeric": _numeric,
    "text": lambda data: data.decode(),
    "bytea": bytes,
    "date": lambda data: EPOCH.date() + dt.timedelta(days=struct.unpack(">i", data)[0]),
    "time without time zone": lambda data: (EPOCH + dt.timedelta(microseconds=struct.unpack(">q", data)[0])).time(),
    "timestamp without time zone": lambda data: EPOCH + dt.timedelta(microseconds=struct.unpack(">q", data)[0]),
    "timestamp with time zone": lambda data: (
        EPOCH.replace(tzinfo=dt.UTC) + dt.timedelta(microseconds=struct.unpack(">q", data)[0])
    ),
    "uuid": lambda data: uuid.UUID(bytes=data),
    "json": lambda data: json.loads(data, parse_float=Decimal),
    "jsonb": _jsonb,
}


def values(stream: bytes, sql_types: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a stream as Python values, without the two lineage columns."""
    readers = [READERS[sql_type] for sql_type in sql_types]
    return [
        tuple(None if field is None else read(field) for read, field in zip(readers, row[:-2], strict=True))
        for row in raw_rows(stream)
    ]
