"""P11, no session state: everything works through PgBouncer in transaction mode, where every transaction of a
connection may run on another server session, and leaves those sessions as it found them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fix_ledger import COLUMNS, TARGET, OpenLedger, claim, finish, request
from fix_server import Connect
from providers import Numbers

import strandline as sl
from strandline import _core

ROOT = Path(__file__).resolve().parents[2]


class Slow(Numbers):
    """Waits, at its second page, until the test lets it go; numbers that fail are in `bad`."""

    name = "slow"
    bad: ClassVar[set[int]] = set()
    reached: ClassVar[threading.Event] = threading.Event()
    go: ClassVar[threading.Event] = threading.Event()

    def before(self, context: sl.Context, first: int) -> None:
        if first in self.bad:
            raise sl.Fatal("a bad number")
        if first == 105:
            self.reached.set()
            assert self.go.wait(20)


@pytest.fixture
def slow() -> type[Slow]:
    Slow.bad.clear()
    Slow.reached.clear()
    Slow.go.clear()
    return Slow


def test_the_whole_surface(
    open_engine: Callable[..., sl.Engine],
    pgbouncer: str,
    connect_to: Connect,
    slow: type[Slow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every verb, two engines, four worker threads, renewals; then a look into the sessions that the pooler keeps."""
    monkeypatch.setenv("STRANDLINE_LEASE", "1 s")
    monkeypatch.setenv(
        "STRANDLINE_PAGE_RECORDS", "1500"
    )  # a merge of more than 1,000 rows goes through a temporary table
    engine, other = open_engine(pgbouncer), open_engine(pgbouncer)

    assert sl.migrate(pgbouncer) == []
    assert engine.plan(slow, window=(0, 100), dry_run=True).slices == 5
    slow.bad.add(65)
    report = engine.ingest(slow, window=(0, 100), workers=4, errors="report", trigger="one")
    assert (report.status, report.succeeded, report.failed) == ("PARTIAL", 4, 1)
    assert engine.ingest(slow, window=(0, 100), trigger="one", errors="report").plan == report.plan
    assert [row.status for row in engine.status("slow")] == ["PARTIAL"]
    assert other.status(f"task:{report.failures[0].task}").tasks[0].error == "a bad number"
    assert [window.bounds for window in engine.coverage("slow").failed] == [(60, 80)]
    slow.bad.clear()
    assert engine.retry("slow") == [report.failures[0].task]
    assert report.plan is not None
    assert other.work(report.plan).watermark == 100
    assert engine.cursor("slow").value == 100

    # A running plan, cancelled from elsewhere.
    plan = engine.plan(slow, window=(100, 140))
    working = threading.Thread(target=lambda: other.work(plan, workers=2, errors="report"))
    working.start()
    assert slow.reached.wait(20)
    cancelled = engine.cancel(plan, reason="because")
    slow.go.set()
    working.join()
    assert {row["task"] for row in cancelled} <= {task.task for task in engine.status(plan).tasks}
    assert engine.ingest(slow, window=(0, 140)).status == "SUCCEEDED"

    merged = [{"id": n, "v": "x"} for n in range(2000)]
    for rows in (merged, [*merged[:1500], {"id": 5000, "v": "y"}]):  # unnest, and a temporary table
        engine.ingest(rows, "merged", primary_key=("id",))
    assert engine.query("select count(*) from merged where v = $1", "x")[0] == (2000,)
    assert len(engine.table("slow")) == 140
    assert engine.trace("slow", {"id": 65}).plan["id"] == report.plan
    assert sl.drain(pgbouncer, pool="default").status == "SUCCEEDED"
    assert engine.verify().differences == []
    check_sessions(pgbouncer, connect_to)


def test_the_native_ledger(pgbouncer: str, open_ledger: OpenLedger, connect_to: Connect) -> None:
    """Verbs that Python calls only when something goes wrong."""
    ledger = open_ledger(pgbouncer)
    ledger.ensure_target(TARGET, COLUMNS)
    cause = {"origin": "provider", "kind": "transient", "message": "no", "where": None}
    plan = ledger.plan(request(0, 60))
    renewer = _core.Renewer(pgbouncer, "strandline", 500_000)
    try:
        one, two, three, four, five, six = claim(ledger, plan)
        for run in (one, two):
            renewer.add(run)
        ledger.register_worker("suite", "here", 1, "1", ["default"])
        ledger.heartbeat("suite")
        finish(ledger, one)
        assert ledger.give_back(two, "BUDGET") == "QUEUED"
        assert ledger.fail(three, cause, reason="PROVIDER_ERROR", retryable=True, backoff=[1]) == "QUEUED"
        ledger.restart_walk(four, TARGET, "CURSOR_EXPIRED")
        ledger.cancel({"task": five.task_id}, "suite")
        ledger.end_cancelled(five)
        assert ledger.retry({"task": five.task_id}, "suite") == [five.task_id]
        finish(ledger, six)
        assert ledger.reap(lease=500_000)["failed"] == 0
        assert ledger.fold_all() in (0, 1)
        assert ledger.close_plan(plan["plan_id"]) is None
        ledger.stop_worker("suite")
    finally:
        renewer.close()
    assert ledger.verify() == []
    check_sessions(pgbouncer, connect_to)


def test_the_command_line(pgbouncer: str) -> None:
    """Another process, with workers that are processes themselves."""
    environment = {
        **os.environ,
        "STRANDLINE_DSN": pgbouncer,
        "PYTHONPATH": str(ROOT / "tests"),
        "STRANDLINE_POLL": "20000 us",
    }

    def strandline(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "strandline", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    strandline("migrate", "--check")
    assert "SUCCEEDED" in strandline("ingest", "providers:Numbers", "--window", "0/100", "--json")
    assert "numbers" in strandline("status")
    strandline("verify")


SESSION_STATE = """
select 'a prepared statement: ' || statement as left_behind from pg_prepared_statements
union all select 'a setting: ' || name || ' = ' || setting from pg_settings where source = 'session'
  -- what the pooler itself carries over from client to client
  and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings',
    'IntervalStyle')
union all select 'a temporary table: ' || relname from pg_class
  where relpersistence = 't' and relnamespace = pg_my_temp_schema()
union all select 'a cursor: ' || name from pg_cursors where is_holdable
union all select 'a subscription: ' || c from pg_listening_channels() c
union all select 'an advisory lock' from pg_locks
  where locktype = 'advisory' and pid = pg_backend_pid()
"""


def check_sessions(pgbouncer: str, connect_to: Connect) -> None:
    """Holds every server session that the pooler has, and looks for what clients before have left in it."""
    seen: dict[int, list[Any]] = {}
    while True:
        connection = connect_to(pgbouncer, prepare_threshold=None)
        pid = connection.execute("select pg_backend_pid()").fetchone()[0]
        began = connection.execute(
            "select backend_start < (select min(xact_start) from pg_stat_activity where datname = current_database()"
            " and xact_start is not null) from pg_stat_activity where pid = pg_backend_pid()"
        ).fetchone()[0]
        seen[pid] = connection.execute(SESSION_STATE).fetchall()
        if not began or len(seen) > 15:
            break  # made for this look: there was no older one left
    assert len(seen) > 1
    assert {pid: left for pid, left in seen.items() if left} == {}


# What would live longer than a transaction. `begin` opens them all, and `set_config(.., true)` ends with them.
FORBIDDEN = {
    "set without local": r"^\s*set\s+(?!local\b|transaction\b)(session\s+)?[a-z_]+\s*(=|to\b)",
    "set_config for the session": r"set_config\([^()]*,\s*(?:false|null)\s*\)",
    "a session's advisory lock": r"pg_(?:try_)?advisory_(?!xact|lock_shared_xact)(?:lock|unlock)",
    "listen or notify": r"\b(?:un)?listen\s+[a-z\"*]|\bpg_notify\b|^\s*notify\b",
    "a prepared statement": r"^\s*(?:prepare|deallocate)\s+(?!transaction\b)[a-z_]",
    "a temporary table that stays": r"create\s+(?:local\s+)?temp(?:orary)?\s+table(?![^;]*on\s+commit\s+drop)",
    "a cursor that stays": r"with\s+hold",
    "discard": r"^\s*discard\b",
    "load": r"^\s*load\s+'",
    # That of a function is its own.
    "a search path": r"\bset\s+(?:local\s+|session\s+)?search_path\b(?!\s*=\s*pg_catalog)",
}


def statements(text: str) -> str:
    """SQL without its comments."""
    return re.sub(r"--[^\n]*", "", text).lower()


@pytest.mark.nodb
@pytest.mark.parametrize("path", sorted((ROOT / "sql").rglob("*.sql")), ids=lambda path: path.name)
def test_no_statement_outlives_its_transaction(path: Path) -> None:
    text = statements(path.read_text())
    found = [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text, re.MULTILINE)]
    assert found == []


@pytest.mark.nodb
@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("set without local", "set lock_timeout = '1s'"),
        ("set without local", "set session timezone to utc"),
        ("set_config for the session", "select set_config('lock_timeout', '1s', false)"),
        ("a session's advisory lock", "select pg_advisory_lock(1)"),
        ("a session's advisory lock", "select pg_try_advisory_lock(1)"),
        ("listen or notify", "listen strandline"),
        ("a prepared statement", "prepare x as select 1"),
        ("a temporary table that stays", "create temp table x (a int)"),
        ("a cursor that stays", "declare x cursor with hold for select 1"),
        ("discard", "discard all"),
        ("a search path", "set local search_path = strandline"),
    ],
)
def test_the_look_for_session_state_sees_it(name: str, statement: str) -> None:
    assert re.search(FORBIDDEN[name], statement, re.MULTILINE)


@pytest.mark.nodb
def test_the_look_for_session_state_lets_the_rest_pass() -> None:
    for statement in (
        "update x set a = 1",
        "set local lock_timeout = '1s'",
        "select set_config('lock_timeout', '1s', true)",
        "select pg_advisory_xact_lock(1)",
        "create temp table x (a int) on commit drop",
        "select 1 -- set x = 1",
    ):
        text = statements(statement)
        assert [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text, re.MULTILINE)] == []


@pytest.mark.nodb
def test_the_client_sends_no_named_statement_and_no_startup_option() -> None:
    for path in sorted((ROOT / "cpp" / "pg").glob("*.[ch]pp")):
        code = re.sub(r"//[^\n]*", "", path.read_text())
        for word in ("PQprepare", "PQsendPrepare", ".prepare(", "exec_prepared", '"options"', "options="):
            assert word not in code, f"{path.name} has {word}"
