"""P12, one clock: the database's. A client whose clock is wrong, or is put right in the middle, changes nothing."""

from __future__ import annotations

import ast
import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fix_ledger import LEASE, TARGET, Database, claim, page, request
from fix_session import alone_before_libc
from providers import Hours

import strandline as sl
from strandline import _core

ROOT = Path(__file__).resolve().parents[2]
YEAR = 365 * 86_400
SKEWS = pytest.mark.parametrize("skew", [-YEAR, YEAR], ids=["a year behind", "a year ahead"])

# Interposed before libc by LD_PRELOAD: the clock of the day is moved, the steady ones are not.
SHIM = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long moved(void) { const char *text = getenv("CLOCK_SKEW"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t which, struct timespec *out) {
  int code = (int)syscall(SYS_clock_gettime, which, out);
  if (code == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) out->tv_sec += moved();
  return code;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
"""

# Every moment in the ledger that work writes, except those that say when something is due or ends.
COLUMNS = """
select table_name as "table", column_name as "column" from information_schema.columns
where table_schema = 'strandline' and data_type = 'timestamp with time zone'
  and column_name not in ('leased_until', 'scheduled_at', 'deadline_at') and table_name !~ '^ing_(dict|schema|instance)'
  and table_name not in ('ing_pool', 'ing_pool_slot')
"""


def moments(database: Database) -> dict[str, tuple[dt.datetime, dt.datetime]]:
    """The first and the last of the moments in each column, where there is any."""
    found = {}
    for row in database.rows(COLUMNS):
        (span,) = database.rows(
            f'select min("{row["column"]}") as a, max("{row["column"]}") as b from strandline."{row["table"]}"'
        )
        if span["a"] is not None:
            found[f"{row['table']}.{row['column']}"] = (span["a"], span["b"])
    return found


def now(database: Database) -> dt.datetime:
    found: dt.datetime = database.value("select clock_timestamp()")
    return found


def check(database: Database, since: dt.datetime) -> None:
    """Everything that was stored since then happened between then and now, in its order."""
    until = now(database)
    found = moments(database)
    assert {"ing_task_run_batch.started_at", "ing_task_run.heartbeat_at", "ing_worker.heartbeat_at"} <= set(found)
    assert {name: span for name, span in found.items() if not since <= span[0] <= span[1] <= until} == {}
    assert database.value("select bool_and(started_at <= finished_at) from strandline.ing_task_run_batch")
    assert database.value(
        "select bool_and(leased_until between $1::timestamptz and clock_timestamp() + interval '5 s')"
        " from strandline.ing_task_run",
        since,
    )
    assert database.value("select bool_and(scheduled_at <= clock_timestamp()) from strandline.ing_task")


@SKEWS
def test_a_clock_that_is_wrong(
    skew: int, open_engine: Callable[..., sl.Engine], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open window ends at the database's now, and a window in words begins there."""
    since = now(database)
    honest, honest_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: honest() + skew)
    monkeypatch.setattr(time, "time_ns", lambda: honest_ns() + skew * 1_000_000_000)
    engine = open_engine()
    report = engine.ingest(Hours, window="-3 hours/", workers=2, deadline="1 hour")
    monkeypatch.undo()
    assert report.status == "SUCCEEDED"
    assert report.window is not None
    assert since <= report.window.stop <= now(database)
    assert report.window.stop - report.window.start == dt.timedelta(hours=3)
    ends = database.value("select max(deadline_at) from strandline.ing_task")
    assert since + dt.timedelta(hours=1) <= ends <= now(database) + dt.timedelta(hours=1)
    check(database, since)
    assert engine.verify()


@SKEWS
def test_a_clock_that_is_put_right_in_the_middle(
    skew: int, open_engine: Callable[..., sl.Engine], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = now(database)
    honest, honest_ns = time.time, time.time_ns

    def jump() -> None:
        monkeypatch.setattr(time, "time", lambda: honest() + skew)
        monkeypatch.setattr(time, "time_ns", lambda: honest_ns() + skew * 1_000_000_000)

    Hours.event[:] = [jump]
    engine = open_engine()
    report = engine.ingest(Hours, window="2013-05-01", workers=2)
    monkeypatch.undo()
    assert (report.status, report.rows) == ("SUCCEEDED", 24)
    check(database, since)
    assert engine.verify()


@SKEWS
def test_a_machine_whose_clock_is_wrong(skew: int, dsn: str, database: Database, tmp_path: Path) -> None:
    """Also for native code: the clock of the whole process is moved, below Python."""
    alone_before_libc()
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the package was built here, so there is a compiler"
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(library)))),
        "CLOCK_SKEW": str(skew),
        "PYTHONPATH": str(ROOT / "tests"),
        "STRANDLINE_DSN": dsn,
        "STRANDLINE_LEASE": "2 s",
        "STRANDLINE_POLL": "20000 us",
    }
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(int(time.time()))"], env=environment, capture_output=True, check=True
    )
    assert abs(int(told.stdout) - time.time() - skew) < 60
    since = now(database)
    done = subprocess.run(
        [sys.executable, "-m", "strandline", "ingest", "providers:Hours", "--window", "-3 hours/"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    check(database, since)
    assert database.value("select count(*) from public.hours") in (3, 4)  # slices begin at whole hours
    assert database.value(
        "select to_timestamp(window_to / 1000000.0) between $1::timestamptz and clock_timestamp()"
        " from strandline.ing_plan",
        since,
    )


def test_a_lease_is_measured_by_the_database(ledger: _core.Ledger, database: Database) -> None:
    """It begins at the moment of the statement, not of the transaction or of the client."""
    before = now(database)
    (run,) = claim(ledger, ledger.plan(request(0, 10)))
    lease = dt.timedelta(microseconds=LEASE)
    assert before + lease <= database.run(run)["leased_until"] <= now(database) + lease
    before = now(database)
    ledger.commit(run, TARGET, [page(range(5), after=5)], done=False, lease=LEASE)
    assert before + lease <= database.run(run)["leased_until"] <= now(database) + lease
    assert abs(dt.datetime.fromtimestamp(ledger.now() / 1e6, dt.UTC) - now(database)) < dt.timedelta(seconds=30)


# Who in Python may look at the clock of the day, and why.
MAY_LOOK = {
    "attributes.py": "checks the form of an origin in words; the planner reads it against the database's clock",
    "cli_inspect.py": "shows how long ago something was",
    "doctor.py": "compares the two clocks",
    "errors.py": "an HTTP date in Retry-After is told by the source's clock; what is stored is a length of time",
    "provider.py": "read() works without a database",
}
CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today")}


@pytest.mark.nodb
def test_who_looks_at_the_clock_of_the_client() -> None:
    lookers = set()
    for path in sorted((ROOT / "python" / "strandline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if (owner, node.attr) in CLOCKS or (owner, node.attr) == ("date", "today"):
                    lookers.add(path.name)
    assert lookers == set(MAY_LOOK)


@pytest.mark.nodb
def test_native_code_has_no_clock_of_the_day() -> None:
    for path in sorted((ROOT / "cpp").rglob("*.[ch]pp")):
        code = re.sub(r"//[^\n]*", "", path.read_text())
        found = re.findall(
            r"system_clock|high_resolution_clock|\bgettimeofday\b|\bstd::time\b|\bCLOCK_REALTIME\b", code
        )
        assert found == [], path.name


@pytest.mark.nodb
@pytest.mark.parametrize("path", sorted((ROOT / "sql" / "queries").glob("*.sql")), ids=lambda path: path.name)
def test_queries_ask_the_clock_of_the_moment(path: Path) -> None:
    """now() is when the transaction began: with it a lease would end early, and a page wait in vain for its turn."""
    text = re.sub(r"--[^\n]*", "", path.read_text()).lower()
    assert (
        re.findall(r"(?<![\w.])(?:now\(\)|current_timestamp|transaction_timestamp|localtimestamp|current_date)", text)
        == []
    )
