"""Bad input gets a message that says what, where and what to do, and leaves no row behind. One test each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import strandline as sl

TABLES = (
    "ing_provenance",
    "ing_connection",
    "ing_stream",
    "ing_schedule_instance",
    "ing_plan",
    "ing_plan_slice",
    "ing_task",
    "ing_task_run",
    "ing_cursor",
)


class Days(sl.Provider):
    """Answers with the rows it was made with."""

    name = "days"
    slice = "1 day"
    max_attempts = 1

    def next(self, context: sl.Context, cursor: Any) -> Any:
        assert context.window is not None
        return [{"id": 1, "at": context.window.start}]


@pytest.fixture
def engine(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sl.Engine]:
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv("STRANDLINE_LEASE", "5 s")
    with sl.connect(dsn) as opened:
        yield opened


def nothing_was_written(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for table in TABLES:
            assert connection.execute(f"select count(*) from strandline.{table}").fetchone() == (0,), table
        found = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert found == []


def no_row_arrived(dsn: str, table: str) -> None:
    with psycopg.connect(dsn) as connection:
        exists = connection.execute("select to_regclass(%s) is not null", (table,)).fetchone()
        if exists == (True,):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)
        assert connection.execute("select count(*) from strandline.ing_coverage").fetchone() == (0,)
        assert connection.execute("select count(*) from strandline.ing_task_run_batch").fetchone() == (0,)


def failure_of(engine: sl.Engine, source: Any, **asked: Any) -> Any:
    report = engine.ingest(source, window="2013-05-01/2013-05-02", errors="report", **asked)
    assert report.status == "FAILED"
    return report.failures[0]


def test_a_bad_attribute() -> None:
    with pytest.raises(sl.ConfigError, match=r"Bad\.cursor_type is 'tme'; the valid ones are .*did you mean 'time'"):

        class Bad(Days):
            name = "bad"
            cursor_type = "tme"


def test_an_unknown_strategy(engine: sl.Engine, dsn: str) -> None:
    with pytest.raises(sl.ConfigError, match=r"HOURLY.*TIME"):
        engine.ingest(Days, window="2013", slice={"strategy": "HOURLY"})
    nothing_was_written(dsn)


def test_a_reversed_window(engine: sl.Engine, dsn: str) -> None:
    for window in ("2014/2013", (dt.date(2014, 1, 1), dt.date(2013, 1, 1))):
        with pytest.raises(sl.ConfigError, match=r"2014-01-01T00:00:00Z.*2013"):
            engine.ingest(Days, window=window)
    nothing_was_written(dsn)


def test_a_naive_datetime(engine: sl.Engine, dsn: str) -> None:
    with pytest.raises(sl.ConfigError, match=r"start .*has no time zone.*Add one"):
        engine.ingest(Days, window=(dt.datetime(2013, 1, 1), None))  # noqa: DTZ001 # the point
    nothing_was_written(dsn)


def test_neither_origin_nor_window(engine: sl.Engine, dsn: str) -> None:
    with pytest.raises(sl.ConfigError, match=r"nothing to begin from.*origin"):
        engine.ingest(Days)
    nothing_was_written(dsn)


@pytest.mark.parametrize("into", ["x" * 64, "a\0b", "", "pg_catalog.t", "strandline.t"])
def test_an_identifier_that_cannot_be_held(engine: sl.Engine, dsn: str, into: str) -> None:
    with pytest.raises(sl.ConfigError, match="into"):
        engine.ingest(Days, into, window="2013-05-01/2013-05-02")
    nothing_was_written(dsn)


def test_a_hostile_identifier_is_only_a_name(engine: sl.Engine, dsn: str) -> None:
    hostile = 'x"; drop schema strandline cascade; --'
    assert engine.ingest(Days, hostile, window="2013-05-01/2013-05-02").rows == 1
    assert engine.table(("public", hostile)).to_dicts()[0]["id"] == 1
    assert engine.trace(("public", hostile), {"id": 1}).batch["records"] == 1
    assert engine.verify()


def test_a_wrong_row_type(engine: sl.Engine, dsn: str) -> None:
    class Wrong(Days):
        name = "wrong"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return [{"id": 1}, 17]

    failure = failure_of(engine, Wrong)
    assert failure.kind == "data"
    assert "page 1, row 1" in failure.message
    no_row_arrived(dsn, "wrong")


def test_a_value_that_its_column_cannot_hold(engine: sl.Engine, dsn: str) -> None:
    class Huge(Days):
        name = "huge"
        schema: Any = {"id": "integer"}

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return [{"id": 1}, {"id": 2**40}]

    failure = failure_of(engine, Huge)
    assert 'page 1, row 1, column "id"' in failure.message
    no_row_arrived(dsn, "huge")


def test_a_missing_key_column(engine: sl.Engine, dsn: str) -> None:
    failure = failure_of(engine, Days, primary_key=("code",))
    assert failure.kind == "data"
    assert '"code"' in failure.message
    assert "primary_key" in failure.message
    no_row_arrived(dsn, "days")


def test_a_missing_key_value(engine: sl.Engine, dsn: str) -> None:
    class Holes(Days):
        name = "holes"
        primary_key = ("id",)

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return [{"id": 1}, {"id": None}]

    failure = failure_of(engine, Holes)
    assert 'page 1, row 1, column "id"' in failure.message
    no_row_arrived(dsn, "holes")


def test_an_unreachable_server() -> None:
    with pytest.raises(sl.Unreachable) as caught:
        sl.connect("host=127.0.0.1 port=1 dbname=x user=x password=topsecret connect_timeout=2")
    assert "127.0.0.1" in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_no_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRANDLINE_DSN", raising=False)
    with pytest.raises(sl.ConfigError, match="STRANDLINE_DSN"):
        sl.connect()


def test_a_schema_that_was_never_migrated(empty_dsn: str) -> None:
    with pytest.raises(sl.ConfigError, match="strandline migrate"):
        sl.connect(empty_dsn)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("select to_regnamespace('strandline')").fetchone() == (None,)


def test_a_schema_of_a_newer_version(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "insert into strandline.ing_schema_migration (version, title, checksum, duration_ms)"
            " values (9999, 'later', 'x', 0)"
        )
    with pytest.raises(sl.ConfigError, match="9999"):
        sl.connect(dsn)


def test_a_token_that_does_not_advance(engine: sl.Engine, dsn: str) -> None:
    class Still(Days):
        name = "still"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return sl.Page([{"id": 1}], cursor="same")

    failure = failure_of(engine, Still)
    assert failure.kind == "data"
    assert "page 2 has rows and ends where page 1 ended" in failure.message
    # The first page was good and stays; its slice is not covered.
    assert engine.coverage("still").covered == []


def test_a_provider_that_raises(engine: sl.Engine, dsn: str) -> None:
    class Broken(Days):
        name = "broken"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            raise KeyError("no such member")

    failure = failure_of(engine, Broken)
    assert failure.kind == "transient"
    assert "no such member" in failure.message
    assert "test_bad_input.py" in failure.where
    no_row_arrived(dsn, "broken")


def test_a_provider_that_exits(engine: sl.Engine, dsn: str) -> None:
    class Exits(Days):
        name = "exits"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            raise SystemExit(3)

    assert "SystemExit" in failure_of(engine, Exits).message
    no_row_arrived(dsn, "exits")


def test_a_target_that_vanished(engine: sl.Engine, dsn: str) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-02")
    with psycopg.connect(dsn) as connection:
        connection.execute("drop table public.days")
    with pytest.raises(sl.Conflict, match=r'public.days is gone.*only="all"'):
        engine.ingest(Days, window="2013-05-01/2013-05-03")


def test_a_target_whose_key_no_longer_fits(engine: sl.Engine) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-02")
    with pytest.raises(sl.Conflict, match="primary key"):
        engine.ingest(Days, window="2013-05-01/2013-05-03", primary_key=("id",))


def test_a_target_whose_type_does_not_fit(engine: sl.Engine, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table public.days (id text)")
    with pytest.raises(sl.Conflict, match='"id"'):
        engine.ingest(Days, window="2013-05-01/2013-05-02", schema={"id": "bigint", "at": "timestamptz"})
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from strandline.ing_plan").fetchone() == (0,)


def test_workers_and_errors_are_checked(engine: sl.Engine, dsn: str) -> None:
    with pytest.raises(sl.ConfigError, match="errors is 'ignore'"):
        engine.ingest(Days, window="2013", errors="ignore")
    with pytest.raises(sl.ConfigError, match="workers is 0"):
        engine.ingest(Days, window="2013-05-01/2013-05-02", workers=0)
    nothing_was_written(dsn)
