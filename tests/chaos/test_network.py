"""The network to the server is cut, slow, or gone without a word; a pooler stands in it; the clocks are wrong."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import pytest
from fix_chaos import MovedClock, terminate_one
from fix_ledger import Database
from fix_proxy import Fault, Proxy
from fix_workers import KILLED, Start, check_whole
from providers import Numbers

import strandline as sl

STOP = 200  # 10 slices of 4 pages
TABLE = "create table public.numbers (id bigint, v text)"
RUNS = ("SUCCEEDED", "LOST", "YIELDED")


@pytest.fixture
def plan(engine: sl.Engine, database: Database) -> int:
    """A plan of ten slices; their table exists, so that its first page is a page like any other."""
    database.rows(TABLE)
    return engine.plan(Numbers, window=(0, STOP)).id


@pytest.mark.parametrize("size", [0, 1, 4, 12], ids=["before it", "its kind", "half its length", "half its text"])
def test_a_commit_is_cut_at_a_byte(
    size: int, plan: int, engine: sl.Engine, database: Database, proxy: Proxy, start: Start
) -> None:
    page = proxy.stop_at("run.batches")
    worker = start(plan=plan, way=proxy.dsn)
    page.then("tx.commit").cut_before(size)
    assert worker.wait() == 0
    check_whole(engine, database, {"numbers": STOP}, runs=("SUCCEEDED",))


def test_a_commit_does_not_arrive(plan: int, engine: sl.Engine, database: Database, proxy: Proxy, start: Start) -> None:
    """It stands in the network until the server has ended the idle transaction: the page is sent again, by whomever."""
    page = proxy.stop_at("run.batches")
    late = start(plan=plan, way=proxy.dsn)
    commit = page.then("tx.commit")
    assert start(plan=plan).wait() == 0
    assert engine.report(plan).status == "SUCCEEDED"
    commit.forward()
    assert late.wait() == 0
    check_whole(engine, database, {"numbers": STOP})


@pytest.mark.parametrize("arrives", [False, True], ids=["before the commit", "before its answer"])
def test_the_network_becomes_a_black_hole(
    arrives: bool, plan: int, engine: sl.Engine, database: Database, proxy: Proxy, start: Start
) -> None:
    """Nobody tells the worker that it is alone; others do its work, and when it hears again it finds that out."""
    page = proxy.stop_at("run.batches")
    late = start(plan=plan, way=proxy.dsn)
    page.then("tx.commit").black_hole(arrives=arrives)
    proxy.black_hole()
    assert start(plan=plan).wait() == 0
    assert engine.report(plan).status == "SUCCEEDED"
    proxy.heal()
    assert late.wait() == 0
    assert "lease lost, the run is dropped" in late.said
    check_whole(engine, database, {"numbers": STOP})


def test_one_connection_becomes_a_black_hole(
    plan: int, engine: sl.Engine, database: Database, proxy: Proxy, start: Start
) -> None:
    """The one that commits: the worker's other connections live, and renew the lease of a run that stands still."""
    page = proxy.stop_at("run.batches")
    late = start(plan=plan, way=proxy.dsn, answer_within=1)
    page.then("tx.commit").black_hole(arrives=True)
    assert start(plan=plan).wait() == 0
    assert engine.report(plan).status == "SUCCEEDED"
    proxy.heal()
    assert late.wait() == 0
    check_whole(engine, database, {"numbers": STOP})


def everywhere(chance: random.Random) -> Iterator[Fault]:
    """A fault for every connection, at any byte of what a worker says and hears while it works a few slices."""
    while True:
        toward = chance.choice(("server", "client"))
        yield Fault(chance.choice(("cut", "cut", "delay", "black hole")), toward, chance.randrange(20_000), 0.8)


@pytest.mark.slow
def test_every_connection_breaks_at_some_byte(
    plan: int, engine: sl.Engine, database: Database, proxy: Proxy, start: Start
) -> None:
    proxy.disturb(everywhere(random.Random(4)))
    stop = STOP
    workers = [start(pool="default", way=proxy.dsn) for _ in range(3)]
    while proxy.met.total() < 30:
        if database.value("select count(*) from strandline.ing_task where status_code = 'QUEUED'") < 4:
            stop += STOP
            engine.plan(Numbers, window=(0, stop))
        if sum(not worker.ended for worker in workers) < 3:
            workers.append(start(pool="default", way=proxy.dsn))
    proxy.heal()
    assert start(pool="default").wait() == 0
    for worker in workers:
        worker.wait()  # one that could not even begin said so with its exit code
    assert min(proxy.met[act] for act in ("cut", "delay", "black hole")) > 0
    check_whole(engine, database, {"numbers": stop}, runs=RUNS)


def test_through_a_pooler(plan: int, engine: sl.Engine, database: Database, pgbouncer: str, start: Start) -> None:
    """PgBouncer in transaction mode: workers are killed in front of it and server connections behind it."""
    chance = random.Random(4)
    for point in ("copy.during", "copy.after", "commit.before", "commit.after"):
        assert start(f"{point}:3", plan=plan, way=pgbouncer).wait() == KILLED
    workers = [start(plan=plan, way=pgbouncer) for _ in range(3)]
    for number in range(10):
        database.wait_until("(select count(*) from public.numbers) >= $1::bigint", 40 + 10 * number)
        terminate_one(database, chance)
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    check_whole(engine, database, {"numbers": STOP}, runs=RUNS)


EVERY_TIME = """
select format('%I.%I', table_name, column_name) as "column", format('select count(*) as n from strandline.%I
 where %I not between clock_timestamp() - interval ''1 hour'' and clock_timestamp() + interval ''1 hour''',
 table_name, column_name) as "question"
from information_schema.columns join information_schema.tables using (table_schema, table_name)
where table_schema = 'strandline' and data_type = 'timestamp with time zone' and table_type = 'BASE TABLE'
"""


def test_the_clocks_of_the_workers_jump(
    plan: int, engine: sl.Engine, database: Database, moved_clock: MovedClock, start: Start
) -> None:
    """By hours, in both directions, while they work: no lease passes by it, and every time is the server's."""
    moved_clock.move(-7)
    workers = [start(plan=plan, server=moved_clock.server) for _ in range(2)]
    for number, hours in enumerate((5, -30, 0, 9)):
        database.wait_until("(select count(*) from public.numbers) >= $1::bigint", 20 + 40 * number)
        moved_clock.move(hours)
    assert [worker.wait() for worker in workers] == [0, 0]
    # What they logged says which time they saw; one of them has added our columns to the table.
    logged = [int(at) for worker in workers for at in re.findall(r"^(\d{9,}) \d+ INFO", worker.said, re.MULTILINE)]
    assert max(abs(at - time.time()) for at in logged) > 3600
    columns = database.rows(EVERY_TIME)
    assert len(columns) > 20
    assert [row["column"] for row in columns if database.value(row["question"])] == []
    check_whole(engine, database, {"numbers": STOP}, runs=("SUCCEEDED",))
