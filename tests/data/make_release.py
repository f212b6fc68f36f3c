"""Makes schema_NNNN.sql: what the code of a release leaves in its database in the middle of everything.

    git worktree add --detach /tmp/released TAG && make -C /tmp/released build
    createdb release && cd tests
    PYTHONPATH=. /tmp/released/.venv/bin/python data/make_release.py postgresql:///release > data/schema_NNNN.sql

It needs pg_dump on PATH, and a database with nothing in it. Times are moved to the beginning of 2025, so that every
lease has passed and every task is due whenever a test looks; the name of the machine becomes "released".
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import subprocess
import sys
import time

import psycopg
from released import DAYS, FRUIT, METER, NUTS, PRICES, Meter, Prices, Readings

import strandline as sl

LEASE = 0.5
MOMENT = re.compile(r"'(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\+00'")
BEGIN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
# Made by the migrations themselves, and the same in every database.
CONSTANT = ("ing_dict_type", "ing_dict_item", "ing_dict_alias")
# Rows that the migrations write, and that are different everywhere.
FILLED = ("ing_instance", "ing_pool", "ing_pool_slot", "ing_schema_migration")


def work(dsn: str, *arguments: str, dies: str = "", broken: str = "", lease: str = "1 h") -> None:
    """One `strandline work`, which may be killed at a failpoint or meet a source that is broken somewhere."""
    environment = {
        **os.environ,
        "STRANDLINE_DSN": dsn,
        "STRANDLINE_LEASE": lease,
        "STRANDLINE_PAGE_RECORDS": "1",
        "STRANDLINE_PROGRESS": "false",
        "STRANDLINE_FAILPOINT": dies,
        "RELEASED_BROKEN": broken,
    }
    command = [sys.executable, "-m", "strandline", "work", "--workers", "1", *arguments]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode == -9) == bool(dies), (done.returncode, done.stderr)


def turns(engine: sl.Engine) -> int:
    """A plan of three slices with a mutex key, which providers of version 3 could not ask for yet."""
    lo, hi = METER
    target = {"schema": "public", "table": "meter", "mode": "append", "primary_key": [], "cursor_field": None}
    made = engine._ledger.plan(
        {
            "provenance": {"code": "meter", "reference": "released:Meter", "version": "1", "config": {}, "labels": {}},
            "stream": {"name": "meter", **target, "columns": None, "contract": {}},
            "operation": "HARVEST",
            "trigger": {"scheduler": "MANUAL", "job": "meter", "log": None, "type": "MANUAL"},
            "actor": "maker",
            "cursor": {"type": "ID", "time_zone": "UTC", "origin": 0},
            "window": {"asked": [lo, hi], "lo": lo, "hi": hi},
            "strategy": {"strategy": "ID", "step": Meter.slice},
            "mutex_key": "meter",
        }
    )
    return int(made["plan_id"])


def leave(dsn: str) -> None:
    """Loads a part of everything, and ends in the middle of the rest."""
    with sl.connect(dsn) as engine, psycopg.connect(dsn, autocommit=True) as database:
        # A value that is in its target.
        engine.ingest(FRUIT, "fruit", workers=1, progress=False)

        # Merged by id, in a limited pool. The first plan's only task failed and went on in the second plan.
        database.execute("insert into strandline.ing_pool (pool, slots) values ('narrow', 1)")
        first = engine.plan(Prices, window=(0, 10))
        work(dsn, "--plan", str(first.id), broken="0")
        second = engine.plan(Prices, window=PRICES)
        work(dsn, "--plan", str(second.id), "--tasks", "2")

        # Of three that take turns the first is through.
        work(dsn, "--plan", str(turns(engine)), "--tasks", "1")

        # Ten days: 1 and 2 succeed, 3 fails, 4 fails and is retried, 5 loses its lease; these three behind a page.
        days = engine.plan(Readings, window=DAYS)
        plan = ("--plan", str(days.id))
        tasks = [f"task:{number}" for (number,) in database.execute(
            "select id from strandline.ing_task where plan_id = %s order by lo", [days.id]).fetchall()]  # fmt: skip
        work(dsn, *plan, "--tasks", "2")
        work(dsn, *plan, "--tasks", "2", broken="2024-03-30 2024-03-31")
        work(dsn, *plan, "--tasks", "1", dies="commit.after:1", lease=f"{int(LEASE * 1e6)} us")
        engine.retry(tasks[3], reason="the archive was mended")
        time.sleep(2 * LEASE)
        # A value that nobody loads: the process that holds it is gone. To plan is also to reap.
        engine.plan(NUTS, "nuts")
        # 9 is cancelled before anybody came. 6 and 7 are being worked, 7 is asked to end; 8 is done and not folded.
        engine.cancel(tasks[8], reason="not wanted")
        work(dsn, *plan, "--tasks", "1", dies="commit.after:2")
        work(dsn, *plan, "--tasks", "1", dies="commit.after:1")
        engine.cancel(tasks[6], reason="not wanted either")
        work(dsn, *plan, "--tasks", "1", dies="commit.after:3")


def dumped(dsn: str, *options: str) -> str:
    """What pg_dump writes, without what depends on its version."""
    command = ["pg_dump", dsn, "--no-owner", "--no-privileges", "--column-inserts", "--rows-per-insert=50", *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PGTZ": "UTC"}).stdout
    lines = [
        line
        for line in text.splitlines()
        if line and not re.match(r"--|SET |\\|CREATE SCHEMA|SELECT pg_catalog.set_config", line)
    ]
    return "\n".join(lines) + "\n"


def moved(text: str, by: dt.timedelta, since: dt.datetime) -> str:
    """The text with every time of the ledger moved; those of the rows lie before `since`."""

    def move(found: re.Match[str]) -> str:
        at = dt.datetime.fromisoformat(found[1]).replace(tzinfo=dt.UTC)
        return found[0] if at < since else f"'{at + by:%Y-%m-%d %H:%M:%S.%f}+00'"

    return MOMENT.sub(move, text)


def main(dsn: str) -> None:
    """Leaves a ledger in `dsn`, and prints it."""
    began = dt.datetime.now(dt.UTC)
    sl.migrate(dsn)
    leave(dsn)
    ledger = dumped(dsn, "--data-only", "--load-via-partition-root", "--schema=strandline",
                    *(f"--exclude-table=strandline.{name}" for name in CONSTANT))  # fmt: skip
    targets = dumped(dsn, "--schema=public")
    text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "released", moved(ledger + targets, BEGIN - began, began))
    print("-- Made by tests/data/make_release.py with the code of the release; its docstring says how. Never edited.")
    print(
        "-- A ledger in the middle of everything, with its targets, for a database that the migrations of the release"
    )
    print("-- have made. Triggers are off: rows enter as they stood.")
    print("set session_replication_role = replica;")
    print(f"truncate {', '.join(f'strandline.{name}' for name in FILLED)};")
    print(text, end="")
    print("set session_replication_role = origin;")


if __name__ == "__main__":
    main(sys.argv[1])
