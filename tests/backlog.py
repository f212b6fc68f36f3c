"""A ledger with a long history, for tests of plans and of speed: a million tasks, dead rows in front, a snapshot held.

It is what a busy database looks like on a bad day: 200,000 tasks were cancelled or finished since somebody's report
began to read, so that no vacuum may remove what they were, and autovacuum is late anyway. Every index entry of theirs
lies in front of the tasks that can be claimed.

The history is written by statements of its own, a set at a time: what the verbs would have left, in seconds instead of
minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from fix_ledger import COLUMNS, TARGET, request

from strandline import _core

STEP = 10
"""Ids of a slice: slice number n is [10 n, 10 n + 10)."""

DEAD = 200_000
"""Tasks that ended since the snapshot began, the first ones: three were cancelled, and the fourth is finished."""
RUNNING = 1_000
"""Tasks behind them that are held by workers; the lease of every tenth has passed."""
UNFOLDED = 500
"""Tasks behind those that are finished and not folded."""
LEFT = 1_500
"""Tasks behind those that are still queued. With them the old plan ends."""
OLD = DEAD + RUNNING + UNFOLDED + LEFT

TASKS = 1_000_000
"""Of both plans. The new one was due ten minutes after the old one. At its end:"""
RESTING = 20_000
"""Tasks of priority 3 that are not due for an hour, the last ones of the new plan."""
WAITING = 20_000
"""Tasks before those that wait before the gate `busy`; half of them are due."""
CHILDREN = 10_000
"""Tasks before those that wait for tasks which run: a hundred for each of the last hundred runs."""
LATE = 1_000
"""Tasks before those whose deadline is an hour away or an hour ago."""
NARROW = 2_000
"""Tasks before those in the pool `narrow`, which lets 50 of them run at once."""

_TABLES = ("ing_task", "ing_plan_slice", "ing_interval", "ing_cursor_event", "ing_pool_slot", "ing_mutex")
_PARTED = ("ing_task_run", "ing_task_run_batch", "ing_coverage")

_FINISHED = f"(n >= {DEAD + RUNNING} or n < {DEAD} and n % 4 = 3)"

# $1 is the first task's id everywhere; n counts from it.
_RUNS = f"""
insert into strandline.ing_task_run (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no,
  started_at)
select $1::bigint + n, 1, 'worker:1:' || n % 8, 'PLANNED', clock_timestamp()
  + case when n >= {DEAD} and n % 10 = 0 then interval '-1 hour' else interval '1 hour' end, 1, 0, clock_timestamp()
from generate_series(0, {DEAD + RUNNING + UNFOLDED - 1}) n
where n % 4 = 3 or n >= {DEAD}
"""
_BATCHES = f"""
insert into strandline.ing_task_run_batch (task_id, batch_no, run_id, slice_id, plan_id, walk_no, page_no, page_size,
  idempotent_key, record_count, inserted_count, updated_count, unchanged_count, deleted_count, byte_count,
  content_digest, status_code, started_at)
select t.id, 1, r.id, t.slice_id, t.plan_id, 1, 1, 100, t.idempotent_key, 10, 10, 0, 0, 0, 100, t.idempotent_key,
  'SUCCEEDED', clock_timestamp()
from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id,
  lateral (select r.task_id - $1::bigint as n) x
where {_FINISHED}
"""
# What another stream has loaded: without it, coverage would be so small that to read all of it were the best plan.
_OTHERS = """
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count,
  event_sequence_no)
select $1::bigint + 300000 + n, 1, 999, 1, n, n + 1, n, n, 1, 1 from generate_series(1, 300000) n
"""
_END_RUNS = f"""
update strandline.ing_task_run r set status_code = 'SUCCEEDED', batch_no = 1, record_count = 10,
  end_reason_code = 'DONE', finished_at = clock_timestamp()
from (select $1::bigint + n as id from generate_series(0, {DEAD + RUNNING + UNFOLDED - 1}) n
  where {_FINISHED}) x where r.task_id = x.id and r.attempt_no = 1
"""
_COVERAGE = f"""
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
select t.id, 1, t.cursor_id, t.generation, t.lo, t.hi, t.slice_id, r.id, 10
from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id,
  lateral (select r.task_id - $1::bigint as n) x
where {_FINISHED} and n {{part}}
"""


@dataclass(frozen=True)
class Backlog:
    """Where it is, and what is in it: task number n, over both plans, is `first` + n."""

    dsn: str
    old: int
    plan: int
    cursor: int
    first: int

    def task(self, number: int) -> int:
        """The id of task `number`, from 0."""
        return self.first + number


@contextmanager
def backlog(dsn: str) -> Iterator[Backlog]:
    """Fills the empty ledger at `dsn`. While the context lasts, a connection holds a snapshot from before the history.

    Statistics are as a plan of this size leaves them: none. Takes about half a minute.
    """
    ledger = _core.Ledger(dsn)
    # With nothing to pay for at a commit, and no vacuum that comes in time.
    with psycopg.connect(dsn, autocommit=True) as work, psycopg.connect(dsn) as report:
        for table in _TABLES:
            work.execute(f"alter table strandline.{table} set (autovacuum_enabled = off)")  # type: ignore[call-overload]
        try:
            ledger.ensure_target(TARGET, COLUMNS)
            old = ledger.plan(request(0, STEP * OLD, step=STEP, delay=-600_000_000))
            made = ledger.plan(request(STEP * OLD, STEP * TASKS, step=STEP))
            (first,) = work.execute("select min(id) from strandline.ing_task").fetchone() or (0,)
            found = Backlog(dsn, old["plan_id"], made["plan_id"], made["cursor_id"], first)
            _partitions(work)
            runs = psycopg.RawCursor(work)
            runs.execute(_RUNS, (first,))
            runs.execute(_OTHERS, (first,))
            _hold_back(psycopg.RawCursor(work), found)
            report.execute("set transaction isolation level repeatable read")
            report.execute("select count(*) from strandline.ing_plan")
            _history(psycopg.RawCursor(work), ledger, found)
        finally:
            ledger.close()
        yield found


def _partitions(work: psycopg.Connection[tuple[object, ...]]) -> None:
    for table in _PARTED:
        for (part,) in work.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", (f"strandline.{table}",)
        ).fetchall():
            work.execute(f"alter table {part} set (autovacuum_enabled = off)")  # type: ignore[call-overload]


def _hold_back(cursor: psycopg.RawCursor[tuple[object, ...]], found: Backlog) -> None:
    """What is not to be claimed now, at the end of the plan."""
    resting = found.task(TASKS - RESTING)
    cursor.execute(
        "update strandline.ing_task set priority = 3, scheduled_at = clock_timestamp() + interval '1 hour'"
        " where id >= $1",
        (resting,),
    )
    waiting = resting - WAITING
    cursor.execute("insert into strandline.ing_mutex (key, slots) values ('busy', 1)")
    cursor.execute("insert into strandline.ing_rate_limit (key, per_second) values ('busy', 10)")
    cursor.execute(
        "insert into strandline.ing_worker (worker, host, pid, version, pools)"
        " select 'worker:1:' || n, 'worker', 1, '1', '{}' from generate_series(0, 7) n"
    )
    cursor.execute(
        "update strandline.ing_task set mutex_key = 'busy', mutex_waiting = true,"
        " scheduled_at = scheduled_at + case when id % 2 = 0 then interval '1 hour' else interval '0' end"
        " where id >= $1 and id < $2",
        (waiting, resting),
    )
    children = waiting - CHILDREN
    cursor.execute(
        "insert into strandline.ing_task_dependency (task_id, requires_task_id)"
        " select id, $3::bigint + id % 100 from strandline.ing_task where id >= $1 and id < $2",
        (children, waiting, found.task(DEAD + RUNNING - 100)),
    )
    cursor.execute("update strandline.ing_task set unmet = 1 where id >= $1 and id < $2", (children, waiting))
    cursor.execute(
        "update strandline.ing_task set deadline_at = clock_timestamp() + case when id % 2 = 0 then interval '1 hour'"
        " else interval '-1 hour' end where id >= $1 and id < $2",
        (children - LATE, children),
    )
    narrow = children - LATE
    cursor.execute("insert into strandline.ing_pool (pool, slots) values ('narrow', 50)")
    cursor.execute(
        "insert into strandline.ing_pool_slot (pool, slot_no) select 'narrow', n from generate_series(1, 50) n"
    )
    cursor.execute(
        "update strandline.ing_task set pool = 'narrow' where id >= $1 and id < $2", (narrow - NARROW, narrow)
    )


def _history(cursor: psycopg.RawCursor[tuple[object, ...]], ledger: _core.Ledger, found: Backlog) -> None:
    """Since the snapshot began: the dead rows. The fold of 50,000 scattered slices is the ledger's own."""
    dead, running = found.task(DEAD), found.task(DEAD + RUNNING)
    last = running + UNFOLDED
    cursor.execute(
        "update strandline.ing_task set status_code = 'CANCELLED', reason_code = 'CANCELLED',"
        " finished_at = clock_timestamp() where id < $1 and (id - $2::bigint) % 4 <> 3",
        (dead, found.first),
    )
    cursor.execute(
        "update strandline.ing_task set status_code = 'RUNNING', started_at = clock_timestamp()"
        " where id < $1 and (id >= $3 or (id - $2::bigint) % 4 = 3)",
        (last, found.first, dead),
    )
    cursor.execute(_BATCHES, (found.first,))
    cursor.execute(_END_RUNS, (found.first,))
    cursor.execute(
        "update strandline.ing_task set status_code = 'SUCCEEDED', reason_code = 'DONE', batch_no = 1,"
        " finished_at = clock_timestamp() where status_code = 'RUNNING' and id < $1 and (id < $2 or id >= $3)",
        (last, dead, running),
    )
    cursor.execute(_COVERAGE.format(part=f"< {DEAD}"), (found.first,))
    ledger.fold(found.cursor)
    cursor.execute(_COVERAGE.format(part=f">= {DEAD}"), (found.first,))
