"""From the schema of the release before to this one, with all that the release left in the middle of everything.

The data is the release's own (tests/data/make_release.py). Its ten days of readings are, one by one: loaded, loaded,
failed, retried after a failure, given up by a lost lease, in the hands of a worker, the same and asked to end, loaded
and not folded, cancelled, untouched. The workers are dead; days 3 to 7 have committed pages.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fix_ledger import Background, Database
from fix_server import Connect
from psycopg.pq import TransactionStatus
from released import DAYS, FRUIT, METER, NUTS, PRICES, Prices, Readings, all_hours
from schema_picture import contents, picture

import strandline as sl
from strandline import _core, cli, engine

PREVIOUS = 3
PENDING = ["0004"]
DATA = Path(__file__).resolve().parent / "data" / f"schema_{PREVIOUS:04d}.sql"

# The plans of the data, and the tasks of the days.
MERGED, TURNS, LOADED = 3, 4, 5
DAY = {number: f"task:{8 + number}" for number in range(1, 11)}


@pytest.fixture
def database(empty_dsn: str, connect_to: Connect) -> Database:
    """Looks at the database of the release before."""
    return Database(connect_to(empty_dsn, autocommit=True))


@pytest.fixture
def previous(empty_dsn: str, connect_to: Connect, monkeypatch: pytest.MonkeyPatch) -> str:
    """The DSN of a database as the release before left it."""
    monkeypatch.setenv("STRANDLINE_DSN", empty_dsn)
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv("STRANDLINE_LEASE", "5 s")
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "1")
    monkeypatch.setenv("STRANDLINE_PROGRESS", "false")
    with closing(_core.Ledger(empty_dsn, "strandline", "suite")) as ledger:
        scripts = [ledger.migration_sql(version) for version in range(1, PREVIOUS + 1)]
    with connect_to(empty_dsn, autocommit=True) as connection:
        for script in (*scripts, DATA.read_text(encoding="utf-8")):
            connection.execute(script)
    return empty_dsn


# The step ------------------------------------------------------------------------------------------------------------


def test_a_client_refuses_the_schema_and_names_the_command(previous: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sl.ConfigError, match=r"lacks version 4; run `strandline migrate --schema strandline`"):
        sl.connect(previous)
    assert cli.main(["status"]) == 2
    assert "strandline migrate" in capsys.readouterr().err


def test_migrate_says_what_is_missing_and_applies_it_once(
    previous: str, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["migrate", "--check"]) == 5
    assert capsys.readouterr().out == "pending: 0004; run: strandline migrate\n"
    assert cli.main(["migrate"]) == 0
    assert capsys.readouterr().out == "applied 0004\n"
    before = database.rows("select xmin::text, * from strandline.ing_schema_migration order by version")
    assert [row["version"] for row in before] == [1, 2, 3, 4]
    assert cli.main(["migrate", "--check"]) == 0
    assert cli.main(["migrate"]) == 0
    assert capsys.readouterr().out == "nothing is pending\nnothing to do\n"
    assert database.rows("select xmin::text, * from strandline.ing_schema_migration order by version") == before


@pytest.mark.parametrize("by", ["migrate", "its text"])
def test_the_schema_is_that_of_an_empty_database(by: str, previous: str, dsn: str, connect_to: Connect) -> None:
    """Also where an administrator runs what `migrate --sql` prints."""
    if by == "migrate":
        assert sl.migrate(previous) == PENDING
    else:
        connect_to(previous, autocommit=True).execute(engine.pending_sql(previous))
    came = picture(connect_to(previous, autocommit=True))
    fresh = picture(connect_to(dsn, autocommit=True))
    assert [line for line in came if line not in fresh] == []
    assert [line for line in fresh if line not in came] == []
    assert len(fresh) > 500
    assert sl.migrate(previous, check=True) == []


@pytest.mark.parametrize(
    "spoiled",
    [
        "delete from strandline.ing_task where id = 18",
        "create table strandline.ing_rate_limit ()",
        "create index ing_audit_event_subject on strandline.ing_audit_event (actor)",
    ],
    ids=["a slice without a task", "a table in its way", "an index in its way, near the end"],
)
def test_a_migration_that_fails_leaves_everything_as_it_was(spoiled: str, previous: str, connect_to: Connect) -> None:
    """Also in the hands of an administrator, whose client may send one statement after the other."""
    with connect_to(previous) as connection:
        connection.execute(spoiled)
    looking = connect_to(previous, autocommit=True)
    before = picture(looking), contents(looking)
    with pytest.raises(sl.Error):
        sl.migrate(previous)
    assert (picture(looking), contents(looking)) == before
    with pytest.raises(psycopg.Error):
        looking.execute(engine.pending_sql(previous))
    assert looking.info.transaction_status == TransactionStatus.INERROR
    looking.rollback()
    assert (picture(looking), contents(looking)) == before
    assert sl.migrate(previous, check=True) == PENDING


def test_a_migration_waits_before_it_works_and_has_all_the_time_it_needs(
    previous: str, database: Database, connect_to: Connect, background: Background
) -> None:
    """A worker is in the middle of a page: what the migration had done until then would be lost in a deadlock."""
    database.rows("create table public.seen (limits text)")
    database.rows(
        "create function public.see() returns event_trigger language plpgsql as $$ begin"
        " insert into public.seen values (current_setting('statement_timeout')); end $$"
    )
    database.rows("create event trigger seeing on ddl_command_end execute function public.see()")
    page = connect_to(previous)
    page.execute("update strandline.ing_task_run set heartbeat_at = clock_timestamp() where task_id = 14")
    with closing(_core.Ledger(previous, "strandline", "suite")) as ledger:
        migrating = background(ledger.migrate)
        database.wait_until_blocked(ledger.backend_pid, page.info.backend_pid)
        written = "select count(*) from pg_locks where pid = $1::int and mode = 'RowExclusiveLock'"
        assert database.value(written, ledger.backend_pid) == 0
        page.commit()
        assert migrating.result() == [4]
    assert database.rows("select distinct limits from public.seen") == [{"limits": "0"}]


# What the release began ----------------------------------------------------------------------------------------------


def states(database: Database, plan: int) -> list[tuple[str, int]]:
    """The state and the attempt of each task of a plan, in the order of the windows."""
    rows = database.rows(
        "select status_code, attempt_no from strandline.ing_task where plan_id = $1::bigint order by lo", plan
    )
    return [(row["status_code"], row["attempt_no"]) for row in rows]


def test_what_the_release_left_is_right_before_and_after(
    previous: str, database: Database, connect_to: Connect
) -> None:
    """Only what the migration adds is new: no row is gone, and no value of it has changed."""
    looking = connect_to(previous, autocommit=True)
    kept = {
        name: looking.execute(f"select array_agg(column_name::text) from information_schema.columns"
                              f" where format('%I.%I', table_schema, table_name) = '{name}'").fetchone()[0]
        for name in contents(looking)
    }  # fmt: skip
    new = ("ing_dict_type", "ing_dict_item", "ing_schema_migration")

    def rows() -> dict[str, Any]:
        return {
            name: sorted(map(str, looking.execute(f"select {', '.join(columns)} from {name}").fetchall()))
            for name, columns in kept.items()
            if not name.endswith(new)
        }

    before = rows()
    sl.migrate(previous)
    assert rows() == before
    assert states(database, LOADED) == [
        ("SUCCEEDED", 1), ("SUCCEEDED", 1), ("FAILED", 1), ("QUEUED", 2), ("QUEUED", 2),
        ("RUNNING", 1), ("RUNNING", 1), ("SUCCEEDED", 1), ("CANCELLED", 1), ("QUEUED", 1),
    ]  # fmt: skip
    # A plan whose only task went on in the next one has none to take its pool from.
    pools = database.rows("select id, regexp_replace(pool, ':.*', '') as pool from strandline.ing_plan order by id")
    assert [row["pool"] for row in pools] == ["local", None, "narrow", "default", "default", "local"]
    assert database.value(
        "select bool_and(s.task_key = t.idempotent_key) from strandline.ing_task t"
        " full join strandline.ing_plan_slice s on s.id = t.slice_id"
    )
    with sl.connect(previous) as opened:
        # What it finds is true of the release as well: the workers are dead, and nobody folded. Any worker mends that.
        found = {(row["check"], row["subject"]) for row in opened.verify().differences}
        assert found == {("late_runs", DAY[6]), ("late_runs", DAY[7]), ("unfolded", "cursor:3")}
        opened._ledger.reap()
        opened._ledger.fold_all()
        assert opened.verify().differences == []


def test_the_same_provider_goes_on_where_it_stopped(previous: str, database: Database) -> None:
    sl.migrate(previous)
    committed = database.rows("select task_id, batch_no, id from strandline.ing_task_run_batch")
    with sl.connect(previous) as opened:
        report = opened.work(LOADED, workers=2, errors="report")
        assert report.status == "PARTIAL"
        assert states(database, LOADED) == [
            ("SUCCEEDED", 1), ("SUCCEEDED", 1), ("FAILED", 1), ("SUCCEEDED", 2), ("SUCCEEDED", 2),
            ("SUCCEEDED", 2), ("CANCELLED", 1), ("SUCCEEDED", 1), ("CANCELLED", 1), ("SUCCEEDED", 1),
        ]  # fmt: skip
        covered = opened.coverage("readings", window=DAYS)
        assert len(covered.missing) + len(covered.failed) == 3
        assert opened.verify().differences == []

        # A retry takes up the failed day behind its page; a plan of the whole window the two that were cancelled.
        assert opened.retry(DAY[3]) == [11]
        assert opened.work(LOADED, errors="report").status == "PARTIAL"
        again = opened.ingest(Readings, window=DAYS)
        assert (again.status, again.slices) == ("SUCCEEDED", 2)
        assert opened.ingest(Readings, window=DAYS).rows == 0

        assert [row["at"] for row in database.rows("select at from public.readings order by at")] == all_hours()
        assert opened.cursor("readings").value == opened.coverage("readings", window=DAYS).window.stop
        assert opened.coverage("readings", window=DAYS).complete
        assert opened.verify().differences == []
    # No page was fetched twice: those of the release are there, and every page begins where the one before it ended.
    kept = database.rows("select task_id, batch_no, id from strandline.ing_task_run_batch")
    assert [row for row in committed if row not in kept] == []
    assert database.value(
        "select bool_and(before_token::text is not distinct from previous) from (select before_token,"
        " lag(after_token::text) over (partition by task_id order by batch_no) as previous"
        " from strandline.ing_task_run_batch) pages"
    )
    assert database.value("select max(walk_no) from strandline.ing_task") == 1
    lost = database.rows("select task_id from strandline.ing_task_run where status_code = 'LOST' order by task_id")
    assert [row["task_id"] for row in lost] == [13, 14, 15]


def test_merges_mutexes_pools_and_values_go_on(previous: str, database: Database) -> None:
    sl.migrate(previous)
    with sl.connect(previous) as opened:
        # First those that take turns: who does not use his for the length of a lease hands it on.
        assert opened.work(TURNS, workers=2).status == "SUCCEEDED"
        meter = database.rows("select id from public.meter order by id")
        assert [row["id"] for row in meter] == list(range(*METER))
        assert database.value("select admitted from strandline.ing_mutex where key = 'meter'") == 0

        assert opened.work(pool="narrow", workers=2).status == "SUCCEEDED"
        assert opened.report(MERGED).status == "SUCCEEDED"
        assert database.value("select count(*) from strandline.ing_pool_slot where pool = 'narrow'") == 1
        assert opened.ingest(Prices, window=PRICES).rows == 0
        prices = database.rows("select id, cents from public.prices order by id")
        assert prices == [{"id": each, "cents": 100 * each} for each in range(*PRICES)]
        assert opened.cursor("prices").value == PRICES[1]

        # One value is here already; the process that had the other one is gone, and its task goes on with this one.
        assert opened.ingest(FRUIT, "fruit").reason.startswith("already loaded by plan 1")
        assert opened.ingest(NUTS, "nuts").rows == len(NUTS)
        for table, rows in (("fruit", FRUIT), ("nuts", NUTS)):
            assert database.rows(f"select name, grams from public.{table} order by name") == rows
        assert states(database, LOADED)[5:7] == [("QUEUED", 2), ("CANCELLED", 1)]  # reaped by the way
        assert opened.verify().differences == []
