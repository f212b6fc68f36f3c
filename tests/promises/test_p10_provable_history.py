"""P10, provable history: the event ledger folds to exactly the current cursors and its hash chain verifies, and every
target row leads to its batch, run, task, slice, plan, trigger and configuration."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import reference_canonical as reference
from fix_ledger import Database
from providers import Numbers, bounds

import strandline as sl

EVENTS = """
select e.*, array(select array[lower(r), upper(r)] from unnest(e.intervals) r) as added,
  c.provenance_code, c.operation_code, c.cursor_key, c.namespace_scope_code, c.namespace_key
from strandline.ing_cursor_event e join strandline.ing_cursor c on c.id = e.cursor_id order by cursor_id, sequence_no
"""
COVERAGE = """
select task_id, batch_no, generation, lo, hi, record_count from strandline.ing_coverage
where cursor_id = $1::bigint and event_sequence_no = $2::bigint order by task_id, batch_no
"""


class Uneven(Numbers):
    """Numbers whose slices end in an order of their own: the one that begins at 40 fails as long as `bad` says so."""

    name = "uneven"
    bad: ClassVar[list[bool]] = []
    site: str = "here"

    def before(self, context: sl.Context, first: int) -> None:
        if self.bad and bounds(context)[0] == 40:
            raise sl.Fatal("not today")


@pytest.fixture
def lived(engine: sl.Engine) -> sl.Engine:
    """An engine with a history: holes, repairs, two targets, merges, rows that moved on to later batches."""
    Uneven.bad[:] = [True]
    engine.ingest(Uneven, window=(0, 100), workers=3, errors="report")
    engine.ingest(Uneven, window=(140, 200), order="newest")
    Uneven.bad.clear()
    engine.ingest(Uneven(site="there"), window=(0, 220), workers=2)
    engine.ingest(Uneven, "merged", window=(0, 60), primary_key=("id",))
    engine.ingest(Uneven(page=7), "merged", window=(20, 40), primary_key=("id",), only="all")
    return engine


def test_the_events_fold_to_the_cursors(lived: sl.Engine, database: Database) -> None:
    """Refolded here, point by point, from nothing but the events."""
    for cursor in database.rows("select * from strandline.ing_cursor"):
        covered: dict[int, set[int]] = {}
        mark, previous = cursor["origin"], None
        rows = [row for row in database.rows(EVENTS) if row["cursor_id"] == cursor["id"]]
        for number, event in enumerate(rows, 1):
            assert (event["sequence_no"], event["prev_hash"], event["prev_value"]) == (number, previous, mark)
            for lo, hi in event["added"]:
                for generation in {event["generation"], cursor["minimum_generation"]}:
                    covered.setdefault(generation, set()).update(range(lo, hi))
            while mark in covered[cursor["minimum_generation"]]:
                mark += 1
            assert event["new_value"] == mark
            assert event["direction_code"] == ("FORWARD" if mark > event["prev_value"] else "BACKFILL")
            previous = event["event_hash"]
        assert (cursor["value_norm"], cursor["head_hash"]) == (mark, previous)
        assert cursor["head_sequence_no"] == len(rows) > 0
        for generation, points in covered.items():
            stored = database.intervals(cursor["id"], generation)
            assert [each for lo, hi in stored for each in range(lo, hi)] == sorted(points)


def test_the_chain_is_what_its_recipe_says(lived: sl.Engine, database: Database) -> None:
    """Every hash computed again by the plain-Python implementation of the recipes, down to the coverage rows."""
    events = database.rows(EVENTS)
    assert len(events) >= 4
    for event in events:
        parts = [list(row.values()) for row in database.rows(COVERAGE, event["cursor_id"], event["sequence_no"])]
        assert len(parts) == event["coverage_count"]
        digest = hashlib.sha256(reference.recipe("coverage", rows=parts)).digest()
        assert digest == event["coverage_digest"]
        names = ("provenance_code", "operation_code", "cursor_key", "namespace_scope_code", "namespace_key")
        members = ("actor", "reason", "prev_hash", "sequence_no", "generation", "prev_value", "new_value")
        text = reference.recipe(
            "event",
            namespace=reference.namespace(*(event[name] for name in names)),
            **{name: event[name] for name in members},
            direction_code=event["direction_code"],
            intervals=event["added"],
            count=event["coverage_count"],
            coverage_digest=digest,
        )
        assert hashlib.sha256(text).digest() == event["event_hash"]


@pytest.mark.parametrize("table", ["uneven", "merged"])
def test_every_row_leads_to_its_trigger(table: str, lived: sl.Engine, database: Database) -> None:
    rows = database.rows(f"select * from public.{table} order by id")
    assert [row["id"] for row in rows] == list(range(220 if table == "uneven" else 60))
    found: dict[int, sl.trace.Trace] = {}
    for row in rows:
        trace = found[row["id"]] = lived.trace(table, {"id": row["id"]})
        assert trace.batch["id"] == row["_sl_batch"]
        assert trace.task["status"] == trace.run["status"] == "SUCCEEDED"
        assert trace.task["generation"] == row["_sl_generation"]
        assert trace.config["name"] == "uneven"
        (task,) = database.rows("select lo, hi from strandline.ing_task where id = $1::bigint", trace.task["id"])
        assert task["lo"] <= row["id"] < task["hi"]
    batches = {trace.batch["id"]: trace.batch["inserted"] for trace in found.values()}
    if table == "uneven":
        assert sum(batches.values()) == len(rows)
        sites = {number: found[number].config["config"]["site"] for number in (0, 45, 99, 110, 150)}
        assert sites == {0: "here", 45: "there", 99: "here", 110: "there", 150: "here"}


def test_verify_is_content_with_a_lived_history(lived: sl.Engine) -> None:
    assert lived.verify().differences == []
    assert lived.verify("uneven>merged")


# What somebody with all rights might do to the history: each is seen, whatever else is mended to hide it.
TAMPERING = {
    "an event's mark": "update strandline.ing_cursor_event set new_value = new_value + 1 where sequence_no = 1",
    "an event's intervals": "update strandline.ing_cursor_event set intervals = '{[0,900)}' where sequence_no = 1",
    "an event's actor": "update strandline.ing_cursor_event set actor = 'nobody' where sequence_no = 2",
    "an event gone": "delete from strandline.ing_cursor_event where sequence_no = 1",
    "the last event gone": "delete from strandline.ing_cursor_event e where sequence_no = (select max(sequence_no)"
    " from strandline.ing_cursor_event where cursor_id = e.cursor_id)",
    "the mark": "update strandline.ing_cursor set value_norm = value_norm + 100",
    "the head": "update strandline.ing_cursor set head_hash = sha256('x')",
    "an interval longer": "update strandline.ing_interval set hi = hi + 1",
    "an interval gone": "delete from strandline.ing_interval where lo = (select max(lo) from strandline.ing_interval)",
    "coverage moved": "update strandline.ing_coverage set hi = hi - 1 where lo = 0",
    "coverage's count": "update strandline.ing_coverage set record_count = record_count + 1 where lo = 0",
    "coverage gone": "delete from strandline.ing_coverage where lo = 0",
    "coverage never folded": "update strandline.ing_coverage set event_sequence_no = null,"
    " created_at = clock_timestamp() - interval '1 hour' where lo = 0",
    "a batch gone": "delete from strandline.ing_task_run_batch where batch_no = 2",
    "a batch's count": "update strandline.ing_task_run_batch set record_count = record_count + 1 where batch_no = 1",
    "a row gone": "delete from public.uneven where id = 7",
    "a row doubled": "insert into public.uneven select * from public.uneven where id = 7",
    "a row of no batch": "update public.uneven set _sl_batch = 999999 where id = 7",
    "a task that did not succeed": "update strandline.ing_task set status_code = 'FAILED' where lo = 0",
    "a run gone": "delete from strandline.ing_task_run"
    " where task_id = (select min(task_id) from strandline.ing_task_run)",
    "a plan that did not fail": "update strandline.ing_plan set status_code = 'FAILED'"
    " where id = (select max(id) from strandline.ing_plan)",
}
PARTS = 4


@pytest.fixture
def forger(database: Database) -> Database:
    """A session past the guards of the tables, as only the owner of the server can have it."""
    database.rows("set session_replication_role = replica")
    return database


def restored(database: Database, statement: str) -> Iterator[None]:
    """Keeps the table that a statement changes, and puts it back."""
    (table,) = re.findall(r"(?:update|delete from|insert into) ((?:strandline|public)\.\w+)", statement)
    database.rows(f"create temp table kept as table {table}")
    yield
    database.rows(f"delete from {table}")
    database.rows(f"insert into {table} overriding system value table kept")
    database.rows("drop table kept")


@pytest.mark.parametrize("part", range(PARTS))
def test_verify_sees_every_forgery(part: int, lived: sl.Engine, forger: Database) -> None:
    """One after another, each undone before the next."""
    for name in list(TAMPERING)[part::PARTS]:
        with contextmanager(restored)(forger, TAMPERING[name]):
            forger.rows(TAMPERING[name])
            assert not lived.verify(), name
        assert lived.verify().differences == [], f"after {name}"


# The last event, and whatever it led to: what is left is a shorter history without a fault in it.
CUT_OFF = """
create temp table gone as select t.id as task_id, t.slice_id from strandline.ing_task t
  join strandline.ing_coverage v on v.task_id = t.id join strandline.ing_cursor c on c.id = v.cursor_id
  where c.id = {cursor} and v.event_sequence_no = c.head_sequence_no;
delete from public.uneven u using strandline.ing_task_run_batch b, gone g
  where u._sl_batch = b.id and b.task_id = g.task_id;
delete from strandline.ing_coverage where task_id in (select task_id from gone);
delete from strandline.ing_task_run_batch where task_id in (select task_id from gone);
delete from strandline.ing_task_run where task_id in (select task_id from gone);
delete from strandline.ing_task where id in (select task_id from gone);
delete from strandline.ing_plan_slice where id in (select slice_id from gone);
update strandline.ing_cursor c
  set value_norm = e.prev_value, head_hash = e.prev_hash, head_sequence_no = e.sequence_no - 1
  from strandline.ing_cursor_event e
  where c.id = {cursor} and e.cursor_id = c.id and e.sequence_no = c.head_sequence_no;
delete from strandline.ing_cursor_event e using strandline.ing_cursor c
  where c.id = {cursor} and e.cursor_id = c.id and e.sequence_no > c.head_sequence_no;
delete from strandline.ing_interval where cursor_id = {cursor};
insert into strandline.ing_interval (cursor_id, generation, lo, hi) select {cursor}, 1, lower(r), upper(r)
  from (select unnest(range_agg(p)) as r from strandline.ing_cursor_event e, unnest(e.intervals) p
    where e.cursor_id = {cursor}) x
"""


def test_an_anchor_kept_elsewhere_shows_that_the_end_was_cut_off(lived: sl.Engine, forger: Database) -> None:
    (cursor,) = forger.rows("select id, head_hash from strandline.ing_cursor where cursor_key = 'public.uneven'")
    anchor = cursor["head_hash"].hex()
    assert lived.verify("uneven>uneven", anchor=anchor)
    assert lived.verify(anchor=cursor["head_hash"])
    for statement in CUT_OFF.format(cursor=cursor["id"]).split(";"):
        forger.rows(statement)
    assert lived.verify().differences == []  # a chain alone cannot tell
    assert [row["check"] for row in lived.verify(anchor=anchor).differences] == ["anchor"]
    with pytest.raises(sl.ConfigError, match="no hash"):
        lived.verify(anchor="x")


def test_snapshots_carry_their_hashes(lived: sl.Engine, database: Database) -> None:
    for row in database.rows("select * from strandline.ing_schedule_instance"):
        snapshot: Any = row["provenance_config_snapshot"]
        assert hashlib.sha256(reference.canonical(snapshot)).digest() == row["provenance_config_hash"]
        assert snapshot["config"]["site"] in ("here", "there")
