"""The server crashes, ends connections, has no room or refuses: work goes on by itself, and every row is there once."""

from __future__ import annotations

import random

import pytest
from fix_chaos import PrivateServer, Reach, fill, terminate_one
from fix_engine import OpenEngine
from fix_ledger import Database
from fix_server import Connect
from fix_workers import Start, check_whole
from providers import Numbers

import strandline as sl

STOP = 400  # 20 slices of 4 pages
TABLE = "create table public.numbers (id bigint, v text)"
PAGES = "select count(*) from strandline.ing_task_run_batch"

# A run may also give its task back while the server is away.
RUNS = ("SUCCEEDED", "LOST", "YIELDED")


@pytest.mark.slow
def test_the_server_crashes(
    private_server: PrivateServer, private_dsn: str, open_engine: OpenEngine, reach: Reach, start: Start
) -> None:
    """Three immediate stops and three killed server processes, among three workers; all of them live on."""
    chance = random.Random(4)
    engine = open_engine(private_dsn)
    database = reach()
    database.rows(TABLE)
    plan = engine.plan(Numbers, window=(0, STOP))
    workers = [start(plan=plan.id, way=private_dsn) for _ in range(3)]
    database.wait_until("(select count(*) from strandline.ing_worker) >= 3")
    for number in range(6):
        database.wait_until("(select count(*) from public.numbers) >= $1::bigint", 60 * number + 20)
        if number % 2:
            private_server.crash()
            private_server.start()
        else:
            private_server.kill_backend(private_dsn, chance)
        database = reach()
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    check_whole(engine, database, {"numbers": STOP}, runs=RUNS)


def test_connections_are_terminated(engine: sl.Engine, database: Database, start: Start) -> None:
    """Fifty of them, whichever: those that commit, those that renew leases, those that give signs of life."""
    chance = random.Random(4)
    database.rows(TABLE)
    stop = terminated = 0
    workers = [start(pool="default")]
    while terminated < 50:
        if database.value("select count(*) from strandline.ing_task where status_code = 'QUEUED'") < 8:
            stop += STOP
            engine.plan(Numbers, window=(0, stop))
        workers += [start(pool="default") for _ in range(3 - sum(not worker.ended for worker in workers))]
        pages = database.value(PAGES)
        terminated += terminate_one(database, chance)
        database.wait_until(f"({PAGES}) > $1::bigint", pages)
    workers.append(start(pool="default"))
    # One that lost its first connection before it had begun says so with its exit code.
    assert {worker.wait() for worker in workers if "in connect" not in worker.said} == {0}
    check_whole(engine, database, {"numbers": stop}, runs=RUNS)


@pytest.mark.slow
def test_the_disk_is_full(
    private_dsn: str, small_disk: str, open_engine: OpenEngine, reach: Reach, start: Start
) -> None:
    """Pages are refused while the target's disk is full; when there is room, the same workers go on."""
    engine = open_engine(private_dsn)
    database = reach()
    # Wide rows: every page of the source needs new pages on the disk.
    database.rows(
        "create table public.numbers (id bigint, v text, room text not null default repeat('x', 2000))"
        f" tablespace {small_disk}"
    )
    database.rows("alter table public.numbers alter room set storage plain")
    database.rows(f"create table public.filler (room text) tablespace {small_disk}")
    plan = engine.plan(Numbers, window=(0, STOP))
    workers = [start(plan=plan.id, way=private_dsn) for _ in range(2)]
    database.wait_until("(select count(*) from public.numbers) >= 40")
    fill(database, "public.filler")
    stored = database.value("select count(*) from public.numbers")
    database.rows("drop table public.filler")
    assert [worker.wait() for worker in workers] == [0, 0]
    assert database.value("select count(*) from public.numbers") > stored
    check_whole(engine, database, {"numbers": STOP}, runs=RUNS)


# PL/pgSQL, and a sequence because it counts on when its transaction is rolled back.
REFUSES = """
create sequence public.refused;
create function public.refuse() returns trigger language plpgsql as $$
begin
  if nextval('public.refused') <= tg_argv[1]::bigint then
    raise exception using errcode = tg_argv[0], message = 'injected';
  end if;
  return null;
end $$;
"""


@pytest.mark.parametrize("state", ["40001", "40P01"], ids=["serialization failure", "deadlock"])
@pytest.mark.parametrize(
    ("table", "times"),
    # Twice is repeated at once; seven times is more than that, and a failure of the slice that is tried again.
    [("public.numbers", 7), ("strandline.ing_task_run_batch", 2), ("strandline.ing_task", 7)],
)
def test_a_transaction_is_refused(
    state: str, table: str, times: int, engine: sl.Engine, connect: Connect, database: Database, start: Start
) -> None:
    """By a trigger on the target or the ledger: twice, and more often than one transaction is repeated."""
    database.rows(TABLE)
    plan = engine.plan(Numbers, window=(0, 60))
    connection = connect(autocommit=True)
    connection.execute(REFUSES)
    connection.execute(
        f"create trigger refuse after insert or update on {table} for each statement"
        f" execute function public.refuse('{state}', {times})"
    )
    workers = [start(plan=plan.id) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert database.value("select last_value from public.refused") > times
    check_whole(engine, database, {"numbers": 60}, runs=(*RUNS, "FAILED"))
