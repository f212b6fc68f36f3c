"""Values and iterators as sources: known by content, resumed from the stored row, never doubled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import strandline as sl
from strandline.errors import Fatal
from strandline.settings import load
from strandline.values import Stream, Value, as_value

pyarrow = pytest.importorskip("pyarrow")
try:
    import pandas
except ImportError:  # not among the suite's requirements; where it is there, it is tried
    pandas = None
polars = pytest.importorskip("polars")

ROWS = [{"id": i, "name": f"n{i}", "at": dt.datetime(2013, 1, 1, tzinfo=dt.UTC)} for i in range(25)]


@pytest.fixture
def engine(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sl.Engine]:
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "10")
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv("STRANDLINE_LEASE", "5 s")
    with sl.connect(dsn) as opened:
        yield opened


def stored(engine: sl.Engine, table: str = "t") -> list[int]:
    return sorted(row["id"] for row in engine.table(table).to_dicts())


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(ROWS, id="list"),
        pytest.param(tuple(ROWS), id="tuple"),
        pytest.param(pyarrow.Table.from_pylist(ROWS), id="arrow"),
        pytest.param(None, id="pandas", marks=pytest.mark.skipif(pandas is None, reason="pandas is not installed")),
        pytest.param(polars.DataFrame(ROWS), id="polars"),
    ],
)
def test_a_value_is_loaded_once(engine: sl.Engine, rows: Any) -> None:
    rows = pandas.DataFrame(ROWS) if rows is None else rows
    report = engine.ingest(rows, into="t")
    assert (report.status, report.rows, report.batches, report.window) == ("SUCCEEDED", 25, 3, None)
    again = engine.ingest(rows, into="t")
    assert (again.status, again.rows) == ("SUCCEEDED", 0)
    assert again.reason == f'already loaded by plan {report.plan}; only="all" loads it again'
    assert stored(engine) == list(range(25))
    engine.ingest(rows, into="t", only="all")
    assert len(stored(engine)) == 50
    assert engine.verify()


def test_another_value_or_another_table_is_another_load(engine: sl.Engine) -> None:
    engine.ingest(ROWS, into="t")
    assert engine.ingest(ROWS[:5], into="t").rows == 5
    assert engine.ingest(ROWS, into="u").rows == 25


def test_a_key_merges(engine: sl.Engine) -> None:
    engine.ingest(ROWS, into="t", primary_key=("id",))
    changed = [{**row, "name": "new"} for row in ROWS[:3]]
    report = engine.ingest(changed + ROWS[3:], into="t", primary_key=("id",))
    assert (report.inserted, report.updated, report.unchanged) == (0, 3, 22)


def test_an_iterator_is_loaded_each_time(engine: sl.Engine) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS

    with pytest.raises(sl.ConfigError, match="cannot be recognised"):
        engine.ingest(rows(), into="t")
    for loaded in (25, 50):
        report = engine.ingest(rows(), into="t", mode="append")
        assert (report.status, report.rows) == ("SUCCEEDED", 25)
        assert len(stored(engine)) == loaded
    assert engine.ingest(rows(), into="k", primary_key=("id",)).inserted == 25
    assert engine.ingest(rows(), into="k", primary_key=("id",)).unchanged == 25


def test_a_reader_of_batches_is_an_iterator(engine: sl.Engine) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    reader = pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=7))
    assert engine.ingest(reader, into="t", mode="append").rows == 25
    assert stored(engine) == list(range(25))


def test_an_iterator_that_breaks_fails_and_keeps_what_came(engine: sl.Engine) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS[:15]
        raise ValueError("the file ends in the middle")

    report = engine.ingest(rows(), into="t", mode="append", errors="report")
    assert report.status == "FAILED"
    assert "the file ends in the middle" in report.failures[0].message
    assert stored(engine) == list(range(10))  # whole pages only


def test_a_value_without_rows_loads_nothing(engine: sl.Engine) -> None:
    report = engine.ingest([], into="t")
    assert (report.status, report.rows) == ("SUCCEEDED", 0)


@pytest.mark.parametrize("rows", [{"a": 1}, "text", b"bytes", {1, 2}])
def test_what_looks_like_rows_and_is_none_is_refused(engine: sl.Engine, rows: Any) -> None:
    with pytest.raises(sl.ConfigError, match="is no source of rows"):
        engine.ingest(rows, into="t")


@pytest.mark.parametrize("source", [17, object(), int, len])
def test_what_is_no_source_is_refused(engine: sl.Engine, source: Any) -> None:
    with pytest.raises(sl.ConfigError, match="is no source"):
        engine.ingest(source, into="t")


def _encoder() -> Any:
    from strandline.rows import RowEncoder

    return RowEncoder()


def test_a_value_is_read_from_any_row_on() -> None:
    settings = load(page_records=10)
    for value in (Value(ROWS), Value(pyarrow.Table.from_pylist(ROWS)), Value(polars.DataFrame(ROWS))):
        pages = list(value.pages(_encoder(), {"row": 20}, settings))
        assert [(page.rows.record_count, page.cursor, page.done) for page in pages] == [(5, None, True)]


def test_an_iterator_gives_its_last_pages_again() -> None:
    settings = load(page_records=10)
    stream = Stream(iter(ROWS))
    first = stream.pages(_encoder(), None, settings)
    assert [next(first).cursor, next(first).cursor] == [{"row": 10}, {"row": 20}]
    again = list(stream.pages(_encoder(), {"row": 10}, settings))
    assert [page.cursor for page in again] == [{"row": 20}, {"row": 25}]
    assert [row["id"] for page in again for row in page.rows] == list(range(10, 25))
    with pytest.raises(Fatal, match="row 3 is needed again"):
        list(stream.pages(_encoder(), {"row": 3}, settings))


def test_sources_are_told_apart() -> None:
    assert isinstance(as_value(ROWS), Value)
    assert isinstance(as_value(iter(ROWS)), Stream)
    assert as_value(int) is None


def test_a_value_is_typed_over_all_of_its_rows(engine: sl.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers on the first page do not make a column of integers when a later page has fractions."""
    rows = [{"id": number, "share": number if number < 4 else number / 8} for number in range(8)]
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "2")
    assert engine.ingest(rows, "shares", progress=False).rows == 8
    assert engine.query("select sum(share) from shares").fetchall() == [(8.75,)]


def test_a_value_whose_table_is_gone(engine: sl.Engine, dsn: str) -> None:
    engine.ingest([{"id": 1}], "gone", progress=False)
    with psycopg.connect(dsn) as connection:
        connection.execute("drop table public.gone")
    with pytest.raises(sl.Conflict, match=r"public.gone is gone.*only=.all."):
        engine.ingest([{"id": 1}], "gone", progress=False)
    assert engine.ingest([{"id": 1}], "gone", only="all", progress=False).rows == 1
