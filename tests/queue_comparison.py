"""The ledger beside the model of the queue (queue_model): all that a step can change, read at once and compared."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from fix_ledger import COLUMNS, TARGET, Database
from queue_model import Model, Run, Task, parts

from strandline import _core

# source, table, whether it is merged, whether its pages say how far they reach
SOURCES = (("meter", "readings", False, True), ("gauge", "gauges", False, False), ("third", "thirds", True, True))

SNAPSHOT = """select json_build_object(
 'tasks', (select json_agg(json_build_array(t.id, t.plan_id, t.cursor_id, t.lo, t.hi, t.generation, t.status_code,
     t.reason_code, t.attempt_no, t.failures, t.losses, t.held, t.priority, t.pool, t.mutex_key, t.mutex_waiting,
     t.unmet, t.batch_no, t.walk_no, t.cancel_requested_at is not null, coalesce(s.superseded, false),
     t.scheduled_at <= clock_timestamp(), t.deadline_at <= clock_timestamp(),
     (extract(epoch from t.scheduled_at) * 1000000)::bigint) order by t.id)
   from strandline.ing_task t left join strandline.ing_plan_slice s on s.id = t.slice_id),
 'runs', (select json_agg(json_build_array(task_id, attempt_no, worker,
     case when status_code in ('PLANNED', 'RUNNING') then 'LIVE' else status_code end, batch_no, checkpoint,
     case when status_code <> 'SUCCEEDED' then reached end, end_reason_code, ended_by,
     finished_at is null and leased_until < clock_timestamp(),
     coalesce(status_code = 'SUCCEEDED' or jsonb_array_length(errors) > 0, false)) order by task_id, attempt_no)
   from strandline.ing_task_run),
 'edges', (select json_agg(json_build_array(task_id, requires_task_id, kind_code, satisfied))
   from strandline.ing_task_dependency),
 'plans', (select json_object_agg(id, status_code) from strandline.ing_plan),
 'cursors', (select json_agg(json_build_array(id, generation, held, head_sequence_no, value_norm) order by id)
   from strandline.ing_cursor),
 'intervals', (select json_agg(json_build_array(cursor_id, generation, lo, hi) order by cursor_id, generation, lo)
   from strandline.ing_interval),
 'loose', (select json_agg(json_build_array(cursor_id, generation, lo, hi)) from strandline.ing_coverage
   where event_sequence_no is null),
 'mutexes', (select json_object_agg(key, json_build_array(slots, admitted)) from strandline.ing_mutex),
 'pools', (select json_object_agg(pool, slots) from strandline.ing_pool),
 'slots', (select json_agg(json_build_array(pool, task_id, attempt_no)) from strandline.ing_pool_slot
   where task_id is not null),
 'readings', (select json_agg(id order by id) from public.readings),
 'gauges', (select json_agg(id order by id) from public.gauges),
 'thirds', (select json_agg(id order by id) from public.thirds))"""
STATUS, WAITING, UNMET, BATCH_NO, WALK_NO, CANCEL, SUPERSEDED, DUE, LATE, TIME = 6, 15, 16, 17, 18, 19, 20, 21, 22, 23


def target_of(table: str) -> dict[str, Any]:
    merge = next(merge for _, name, merge, _ in SOURCES if name == table)
    shape = {"mode": "merge", "primary_key": ["id"]} if merge else {}
    return {**TARGET, "table": table, **shape}


class Bench:
    """A database that is empty before every example. Its ids go on: a number names one thing for ever."""

    def __init__(self, dsn: str, database: Database) -> None:
        self.dsn, self.database = dsn, database
        ledger = _core.Ledger(dsn)
        for _, table, _, _ in SOURCES:
            ledger.ensure_target(target_of(table), COLUMNS)
        ledger.close()
        database.rows("create unique index on public.thirds (id)")
        kept = ["ing_dict_type", "ing_dict_item", "ing_dict_alias", "ing_instance", "ing_pool", "ing_migration"]
        rows = database.rows(
            "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname in ('strandline', 'public') and c.relkind in ('r', 'p') and not c.relispartition"
            " and c.relname <> all($1::text[])",
            kept,
        )
        # Deleted, not truncated: new files for every table and index take longer than these few rows.
        self._clean = (
            "do $clean$ begin set local session_replication_role = replica; "
            + " ".join(f"delete from {row['name']};" for row in rows)
            + " delete from strandline.ing_pool where pool <> 'default';"
            " update strandline.ing_pool set slots = null where pool = 'default'; end $clean$"
        )
        self._vacuum = "vacuum " + ", ".join(row["name"] for row in rows)
        self._cleaned = 0

    def clean(self) -> None:
        self.database.rows(self._clean)
        self._cleaned += 1
        if self._cleaned % 20 == 0:
            self.database.rows(self._vacuum)


class Comparison:
    """Asserts that the database is what the model says. `times`: scheduled_at of tasks as the last step left it."""

    def __init__(self, database: Database, model: Model) -> None:
        self.database, self.model = database, model
        self.times: dict[int, int] = {}

    def check(self) -> None:
        found = self.database.value(SNAPSHOT)
        tasks = {row[0]: row for row in found["tasks"] or []}
        self.admit(tasks)
        model = self.model
        assert sorted(tasks) == [task.id for task in model.everything()]
        for task in model.everything():
            self.check_task(task, tasks[task.id])
        runs = [run for task in sorted(model.tasks.values(), key=lambda task: task.id) for run in task.runs]
        assert (found["runs"] or []) == [self.run_row(run) for run in runs]
        assert {(c, p): (kind, done) for c, p, kind, done in found["edges"] or []} == model.edges
        plans = {str(plan.id): plan.status for plan in model.plans.values()}
        assert found["plans"] == plans
        cursors = [[c.id, c.generation, c.held, c.events, c.mark] for c in model.cursors.values()]
        assert found["cursors"] == cursors
        self.check_coverage(found)
        mutexes = {key: [slots, model.admitted(key)] for key, slots in model.mutexes.items()}
        assert (found["mutexes"] or {}) == mutexes
        assert found["pools"] == model.pools
        self.check_places(found["slots"] or [])
        self.check_rows(found)
        self.times = {number: row[TIME] for number, row in tasks.items()}

    def admit(self, tasks: dict[int, list[Any]]) -> None:
        """Takes over whom the database has let through a mutex, and asks whether it should have."""
        model = self.model
        for key, slots in model.mutexes.items():
            able = model.eligible(key)
            free = min(len(able), max(0, slots - model.admitted(key)))
            through = [task for task in able if task.id in tasks and not tasks[task.id][WAITING]]
            assert len(through) <= free, f"{key}: {len(through)} of {len(able)} admitted to {free} places"
            # Places that no exit has freed and no task has asked for are given away by the reaper.
            assert key not in model.admitting or len(through) == free, (
                f"{key}: {len(through)} admitted to {free} places"
            )
            for task in through:
                task.waiting = False
            for task in through:
                earliest = task.priority, self.times.get(task.id, math.inf)  # its own time is overwritten
                for other in able:
                    if other.waiting and self.times.get(other.id) == tasks[other.id][TIME]:
                        passed = (other.priority, self.times[other.id]) < earliest
                        assert not passed, f"{key}: task {other.id} was passed by task {task.id}"
        model.admitting.clear()

    def check_task(self, task: Task, row: list[Any]) -> None:
        expected: list[Any] = [task.id, task.plan, task.cursor.id if task.cursor else None]
        expected += [None, None] if task.gate and not task.cursor else [task.lo, task.hi]
        expected += [task.generation, task.status, task.reason, task.attempt, task.failures, task.losses, task.held]
        expected += [task.priority, task.pool, task.key]
        assert row[:WAITING] == expected
        assert (row[BATCH_NO], row[WALK_NO], row[SUPERSEDED]) == (task.batch_no, task.walk, task.superseded)
        if task.live:
            assert row[WAITING] == (task.waiting and task.key is not None)
            assert (row[UNMET], row[CANCEL]) == (self.model.unmet(task), task.cancel)
            assert bool(row[LATE]) == task.late
        if task.status == "QUEUED" and not task.gate:
            assert row[DUE] == task.due

    def run_row(self, run: Run) -> list[Any]:
        row: list[Any] = [run.task.id, run.attempt, run.worker, run.status, run.batch_no, run.checkpoint]
        row += [None if run.status == "SUCCEEDED" else run.reached, run.reason, run.by]
        return [*row, run.expired, run.status != "LIVE"]  # every end has a cause

    def check_coverage(self, found: dict[str, Any]) -> None:
        cursors = self.model.cursors.values()
        folded = [
            [cursor.id, generation, lo, hi]
            for cursor in cursors
            for generation, units in sorted(cursor.folded.items())
            for lo, hi in parts(units)
        ]
        assert (found["intervals"] or []) == folded
        loose: dict[tuple[int, int], set[int]] = {}
        for cursor_id, generation, lo, hi in found["loose"] or []:
            units = loose.setdefault((cursor_id, generation), set())
            assert not units & set(range(lo, hi)), "two parts of coverage overlap"
            units |= set(range(lo, hi))
        taken: dict[tuple[int, int], set[int]] = {}
        for task in self.model.tasks.values():
            if task.live and task.cursor:
                units = taken.setdefault((task.cursor.id, task.generation), set())
                assert not units & task.window, "two live tasks overlap: plan.missing looks back no further than to one"
                units |= task.window
        assert loose == {(c.id, generation): units for c in cursors for generation, units in c.loose.items() if units}

    def check_places(self, taken: list[list[Any]]) -> None:
        for pool, slots in self.model.pools.items():
            running = sorted([task.id, task.attempt] for task in self.model.running(pool))
            places = sorted(place[1:] for place in taken if place[0] == pool)
            if slots is not None:
                assert places == running
            assert all(place in running for place in places)

    def check_rows(self, found: dict[str, Any]) -> None:
        """The targets hold what was committed, nothing twice, and of what counts as covered nothing is lost."""
        for cursor in self.model.cursors.values():
            rows = +self.model.rows.get(cursor.table, Counter())
            assert (found[cursor.table] or []) == sorted(rows.elements())
            assert max(rows.values(), default=1) == 1, f"{cursor.table} holds an id twice"
            for units in (*cursor.folded.values(), *cursor.loose.values()):
                lost = units - set(rows) - self.model.skipped[cursor.table]
                assert not lost, f"{cursor.table} counts as covered and lacks {lost}"
