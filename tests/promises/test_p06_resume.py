"""P6, resume: after kill -9 of any process, a server crash or a lost network, work continues after the last committed
page, without an operator; nothing is lost, doubled or stuck."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import ClassVar

import pytest
from fix_chaos import PrivateServer, Reach
from fix_engine import OpenEngine
from fix_ledger import Database
from fix_proxy import Proxy
from fix_workers import HERE, KILLED, Start, check_whole
from providers import Numbers, bounds

import strandline as sl

POINTS = ("page.before", "copy.during", "copy.after", "commit.before", "commit.after", "fold.during")
TABLES = ("first", "second", "third")  # three cursors: a worker without work folds three times


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_is_killed_at(point: str, engine: sl.Engine, database: Database, start: Start) -> None:
    """The first, the second and the third time it comes there; the ones after it do what it left, and what is new."""
    for number in (1, 2, 3):
        for table in TABLES:
            engine.plan(Numbers, table, window=(0, 40 * number))
        assert start(f"{point}:{number}", pool="default").wait() == KILLED
    after = [start(pool="default") for _ in range(2)]
    assert [worker.wait() for worker in after] == [0, 0]
    check_whole(engine, database, dict.fromkeys(TABLES, 120))
    lost = database.value("select count(*) from strandline.ing_task_run where status_code = 'LOST'")
    assert (lost > 0) == (point != "fold.during")


def test_all_are_killed_at_once(engine: sl.Engine, database: Database, start: Start) -> None:
    """Four workers, each at another point of its second page; nobody is left, and the next one finds everything."""
    plan = engine.plan(Numbers, "first", window=(0, 160))
    fallen = [
        start(f"{point}:2", plan=plan.id) for point in ("page.before", "copy.after", "commit.before", "commit.after")
    ]
    assert [worker.wait() for worker in fallen] == [KILLED] * 4
    assert engine.coverage("numbers>first").covered == []
    assert start(plan=plan.id).wait() == 0
    check_whole(engine, database, {"first": 160})


def test_a_process_of_the_command_line_is_killed(engine: sl.Engine, dsn: str, database: Database, start: Start) -> None:
    """The failpoints stand in every build; a whole `strandline work` dies of one like anything else."""
    plan = engine.plan(Numbers, "first", window=(0, 60))
    environment = {**os.environ, "STRANDLINE_DSN": dsn, "PYTHONPATH": str(HERE), "STRANDLINE_LEASE": "500000 us"}
    done = subprocess.run(
        [sys.executable, "-m", "strandline", "work", "--plan", str(plan.id)],
        env={**environment, "STRANDLINE_FAILPOINT": "commit.after:2"},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == KILLED
    assert start(plan=plan.id).wait() == 0
    check_whole(engine, database, {"first": 60})


class Asked(Numbers):
    """Remembers what was asked of it; `event` is called once, before the page that begins at 10."""

    name = "asked"
    event: ClassVar[list[Callable[[], object]]] = []
    asked: ClassVar[list[tuple[int, int]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        self.asked.append((context.attempt, first))
        if first - bounds(context)[0] == 10 and self.event:
            self.event.pop()()


@pytest.fixture
def asked() -> type[Asked]:
    Asked.event.clear()
    Asked.asked.clear()
    return Asked


def test_no_committed_page_is_fetched_again(engine: sl.Engine, database: Database, asked: type[Asked]) -> None:
    def breaks() -> None:
        raise OSError("the source is away")

    asked.event[:] = [breaks]
    assert engine.ingest(asked, window=(0, 20)).rows == 20
    assert asked.asked == [(1, 0), (1, 5), (1, 10), (2, 10), (2, 15)]


def test_every_connection_is_lost(engine: sl.Engine, database: Database, asked: type[Asked]) -> None:
    """A server process that is terminated ends its connection: to the client that is a lost network."""
    others = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    asked.event[:] = [lambda: database.value(others)] * 2
    report = engine.ingest(asked, window=(0, 60), workers=2)
    assert (report.status, report.rows) == ("SUCCEEDED", 60)
    assert asked.event == []
    assert [row["id"] for row in database.rows("select id from public.asked order by id")] == list(range(60))
    assert engine.cursor("asked").value == 60
    assert engine.verify().differences == []


def test_the_server_crashes(
    private_server: PrivateServer, private_dsn: str, open_engine: OpenEngine, reach: Reach, asked: type[Asked]
) -> None:
    """An immediate stop while a page is fetched: what was committed is there, and nothing is asked for twice."""

    def crashes() -> None:
        private_server.crash()
        private_server.start()

    asked.event[:] = [crashes] * 2
    engine = open_engine(private_dsn)
    report = engine.ingest(asked, window=(0, 60))
    assert (report.status, report.rows) == ("SUCCEEDED", 60)
    assert asked.event == []
    assert asked.asked == [(1, first) for first in range(0, 60, 5)]
    assert [row["id"] for row in reach().rows("select id from public.asked order by id")] == list(range(60))
    assert engine.cursor("asked").value == 60
    assert engine.verify().differences == []


def test_the_network_is_lost(database: Database, proxy: Proxy, open_engine: OpenEngine, asked: type[Asked]) -> None:
    """Every connection is cut, and none can be made for a while."""
    asked.event[:] = [lambda: proxy.lose(6)] * 3
    engine = open_engine(proxy.dsn)
    report = engine.ingest(asked, window=(0, 60), workers=2)
    assert (report.status, report.rows) == ("SUCCEEDED", 60)
    assert asked.event == []
    assert sorted(asked.asked) == [(1, first) for first in range(0, 60, 5)]
    assert [row["id"] for row in database.rows("select id from public.asked order by id")] == list(range(60))
    assert engine.cursor("asked").value == 60
    assert engine.verify().differences == []


def test_a_budget_that_is_used_is_a_stop_like_any_other(
    engine: sl.Engine, database: Database, asked: type[Asked]
) -> None:
    first = engine.plan(asked, window=(0, 100))
    for done in range(1, 6):
        report = engine.work(first, tasks=1)
        assert (report.status, report.rows) == ("ACTIVE" if done < 5 else "SUCCEEDED", 20 * done)
    assert [attempt for attempt, _ in asked.asked] == [1] * 20
    assert engine.verify()
