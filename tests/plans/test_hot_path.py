"""Every statement of the hot path on a bad day: a million tasks, 200,000 dead rows in front, a snapshot that is held.

What a statement costs must not depend on what lies before or behind its rows. So each one runs as production runs it
(unnamed, with parameters, as text) under EXPLAIN ANALYZE, in a transaction that is rolled back, twice: while the server
has no statistics of the tables, as a plan of this size leaves them, and after ANALYZE. The indexes that it must use are
named, no big table may be read as a whole, and what it reads and throws away, and the pages that it touches, have
bounds. A bound is about twice what PostgreSQL 15 needed for it; the wrong forms at the end pass theirs by far.

It is one test, because filling the database takes most of its time, and each worker of pytest-xdist would do it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import generate
import psycopg
import pytest
from backlog import DEAD, LEFT, OLD, RUNNING, STEP, Backlog, backlog
from fix_ledger import query, wrong
from fix_server import SuiteServer

SMALL = {
    "ing_pool",
    "ing_pool_slot",
    "ing_mutex",
    "ing_worker",
    "ing_rate_limit",
    "ing_cursor",
    "ing_plan",
    "ing_dict_item",
}
"""A row for each pool, place, key, worker, stream, plan or code: the server may read them whole if it likes."""

GROUP = 100
"""Runs, tasks or bounds that are given to a statement over many."""
LEASE = 60_000_000
DIGEST = "\\x00"
OURS = DEAD + 1
"""Number of a task that runs and holds its lease; nobody waits for it."""
PARENT = DEAD + RUNNING - 1
"""Number of a running task for which a hundred others wait."""


@dataclass(frozen=True)
class Case:
    """A statement, its parameters, and how much it may touch.

    `uses` are indexes without their `ing_`; `buffers` pages of 8 kB; `removed` rows that were read for nothing.
    """

    name: str
    values: tuple[Any, ...]
    uses: str
    buffers: int
    removed: int = 0
    note: str = ""
    known: str = ""
    """Why it passes its bounds, and is known to. Once it does not, this has to go."""
    statement: str = ""

    @property
    def text(self) -> str:
        return self.statement or query(self.name)


@dataclass(frozen=True)
class Low:
    """What a worker keeps of its last claim: the due time and the id of its first task."""

    due: str = "-infinity"
    task: int = 0


def claim(
    most: int, low: Low, uses: str, buffers: int, removed: int, note: str = "", *, pool: str = "default", plan: Any = ()
) -> Case:
    values = (most, [low.due] * 9, "worker:1:0", LEASE, pool, list(plan), [low.task] * 9)
    return Case("task.claim", values, uses, buffers, removed, note)


# What a statement may touch -------------------------------------------------------------------------------------------
# A row by its key is 3 or 4 pages of the index and one of the table; a row written costs as much in each index of its
# table, and a row of runs, batches or coverage may be looked for in three partitions. So one row read is about 10
# pages, one run or task written about 40, and GROUP of them GROUP times that. What else there is stands beside it.


def cases(ledger: Backlog, new: Low, old: Low) -> Iterator[Case]:
    """`new` and `old` are what a worker keeps of its last claims from the two plans."""
    ours, cursor, plan = ledger.task(OURS), ledger.cursor, ledger.plan
    worker = "worker:1:0"
    held = [ledger.task(DEAD + number) for number in range(RUNNING) if number % 10][:GROUP]
    late = [ledger.task(DEAD + number) for number in range(0, RUNNING, 10)]
    first = [1] * GROUP
    beside = [STEP * (4 * number + 2) for number in range(GROUP)]  # slices between covered ones
    window = (STEP * (OLD + 1000), STEP * (OLD + 2000))
    aside = 150  # rows of small tables: workers by their names, pools, places
    for most, pages in ((1, 300), (GROUP, 9_000)):
        yield claim(most, new, "task_claim task_pkey", pages, aside)
        yield claim(most, new, "task_claim_plan task_pkey", pages, aside, plan=[plan])
    yield claim(1, old, "task_claim_plan", 300, aside, "behind the dead ones of its own plan", plan=[ledger.old])
    note = "50 tasks are joined with 50 places"
    yield claim(GROUP, Low(), "task_claim task_pkey", 5_000, 5_000, note, pool="narrow")
    yield claim(GROUP, new, "task_claim", 80, aside, "nothing to claim", pool="empty")

    yield Case("run.look", (ours, 1, 1), "task_pkey task_run", 60, 10)
    yield Case("run.fence", (ours, 1, 0, 1, LEASE, '{"next":1}', 10, False, None), "task_run", 90)
    batch = [[value] for value in (10**12, None, None, 1, 1, 1, 1, 1, 1, DIGEST, DIGEST, 1)]
    yield Case("run.batches", (ours, 0, 1, 1, *batch, 0, [1]), "task_pkey", 120)
    yield Case("run.coverage", (ours, 1, 1, 0, 10, 10), "task_pkey", 150)
    many = [
        held, first, first, first, range(10**12, 10**12 + GROUP), *repeat([None] * GROUP, 2), *repeat(first, 6),
        *repeat([DIGEST] * GROUP, 2), first, first, [STEP * (task - ledger.first) for task in held],
        [STEP * (task - ledger.first + 1) for task in held], first, plan, cursor, 1,
    ]  # fmt: skip
    yield Case("run.finish", tuple(many), "task_pkey task_run", 4_000, aside, "places of pools")
    yield Case("run.end", (ours, 1, "YIELDED", "BUDGET", worker, None), "task_run", 90, 150, "codes of a dictionary")
    yield Case("run.states", (held, first), "task_run", 1_200)
    yield Case("run.doubt_lock", (ours, 1), "task_run", 20)
    yield Case("run.doubt_look", (ledger.task(3), 1), "task_run_batch_pkey", 20)
    yield Case("run.group", (ledger.task(3), 1, 1), "task_run_batch_pkey", 20)
    yield Case("run.walk_records", (ledger.task(3), 1), "task_run_batch_pkey", 20)
    yield Case("run.walk_start", (ledger.task(3), 1), "task_run_batch_pkey", 20)
    yield Case(
        "run.renew", (held, first, LEASE), "task_pkey task_run", 6_000, 8 * GROUP, "names of workers are compared"
    )
    yield Case("run.cancel_copy", (held,), "task_run", 4_500)
    yield Case("run.reap", (late, first), "task_run", 4_500)
    yield Case(
        "run.reap_lock", (GROUP,), "task_pkey task_run_live", 8_000, RUNNING,
        "looks at every live run, and at the dead ones that a snapshot keeps in that index; three times in a lease",
    )  # fmt: skip

    yield Case("task.lock", (held,), "task_pkey task_dependency_children", 2_000)
    yield Case("task.lock_below", (held,), "task_pkey task_dependency_children", 2_500)
    yield Case("task.leave", (held, "SUCCEEDED", "DONE", 0, 0, 0), "task_pkey task_run", 2_500, 3 * GROUP)
    parent = ([ledger.task(PARENT)], "SUCCEEDED", "DONE", 0, 0, 0)
    yield Case("task.leave", parent, "task_dependency_children task_pkey", 9_000, 300, "frees a hundred children")
    yield Case(
        "task.doomed", ([ledger.task(PARENT)],), "task_pkey task_dependency_children", 2_500, 0, "a hundred children"
    )
    yield Case("task.admit", (["busy"],), "task_mutex task_pkey", 60)
    yield Case("task.mutex_idle", (), "task_mutex", 60)
    yield Case("task.deadline_due", (GROUP,), "task_deadline", 600)
    yield Case("task.orphans", (GROUP, LEASE), "", 60, 40)

    yield Case("plan.lock", (cursor,), "", 20, 9)
    sets = "interval_pkey coverage_unfolded task_window"
    yield Case("plan.missing", (cursor, 1, *window), sets, 4_000, 1_000, "and the coverage that awaits its fold")
    yield Case("plan.in_flight", (cursor, 1, *window, 0), "task_window", 100, 9)
    behind = (STEP * (DEAD - 1), STEP * DEAD)
    among_closed = (
        "reads as much as closed_cuts where a thousand closed tasks lie before the window: once for each plan"
    )
    yield Case("plan.missing", (cursor, 1, *behind), sets, 4_000, 100, known=among_closed)
    yield Case("plan.in_flight", (cursor, 1, *behind, 0), "task_window", 4_000, 100, known=among_closed)
    per_plan = "reads all open and cancelled tasks of the stream before the window, dead or not: once for each plan"
    yield Case("plan.closed_cuts", (cursor, 1, *window), "task_window", 4_000, known=per_plan)
    yield Case("plan.close_look", (plan, 1), "task_claim_plan", 4_000, 9, "at the far end, what rests or waits by now")
    yield Case("plan.close_lock", (plan,), "", 20, 9)
    yield Case("plan.close_look", (None, GROUP), "task_claim_plan", 4_000, 9, "by the reaper")
    yield Case("plan.pools", ([plan],), "", 20, 9)
    idle = "the dead entries in front of what is due; once in each poll of a worker without work"
    yield Case("status.plans_left", ([plan], [], None, None, None, None), "task_claim_plan", 16_000, 8 * GROUP, idle)
    yield Case("status.pool_left", ("default",), "task_run_live task_claim", 16_000, 8 * GROUP, idle)

    # The plans of a function's statements are not shown: what they touch bounds them.
    unfolded = 15_000  # the dead entries of what was folded under the snapshot; a fold comes once in 100 ms
    yield Case("cursor.take", (cursor,), "", 2 * unfolded, note="500 slices are merged")
    yield Case("cursor.again", (cursor,), "", unfolded)
    yield Case("cursor.unfolded", (), "coverage_unfolded", unfolded)
    merge = "select strandline.fold_merge($1, $2, 0, $3, $4)"
    yield Case("cursor.take", (cursor, 1, [0], [STEP]), "", 60, statement=merge, note="one slice")
    yield Case("cursor.take", (cursor, 1, beside[:1], [beside[0] + STEP]), "", 60, statement=merge, note="one between")
    many = (cursor, 1, beside, [lo + STEP for lo in beside])
    yield Case("cursor.take", many, "", 3_000, statement=merge, note="a hundred between")
    folded = [ledger.task(DEAD + RUNNING + number) for number in range(GROUP)]
    number = DEAD // 4 // 10_000 + 1  # behind the events of the backlog, of 10,000 slices each
    event = (number, 1, "BACKFILL", 0, 0, [0], [10], DIGEST, "suite", "", DIGEST, DIGEST, None)
    yield Case("cursor.write", (cursor, *event, folded[:1], [1]), "", 120)
    yield Case("cursor.write", (cursor, *event, folded, first), "", 3_000, note="a hundred are stamped")

    yield Case("gate.due", (cursor,), "task_gate", 20, 9)
    yield Case("gate.of_plan", (plan,), "task_key", 20)
    yield Case("pool.orphans", (), "", 20, 200)
    yield Case("pool.limited", (), "", 20, 200)
    yield Case("rate.take", ("busy", 1, 60.0), "", 20, 9)
    yield Case("rate.wait", ("busy",), "", 20, 9)
    yield Case("worker.beat", (worker,), "", 60, 20)


def wrong_forms(ledger: Backlog, new: Low, old: Low) -> Iterator[Case]:
    """Forms that look right, with the bounds of the right one. Each passes one of them, with statistics or without."""
    right = {case.name: case for case in reversed(list(cases(ledger, new, old)))}

    def form(name: str, *replaced: tuple[str, str], **changes: Any) -> Case:
        return replace(right[name], statement=wrong(name, *replaced), known="", **changes)

    unmarked = claim(1, Low(), "", 0, 0).values
    yield replace(right["task.claim"], values=unmarked, note="no low-water mark")
    by_row = re.search(r"\(t.scheduled_at, t.id\) >= \(.*?\)\[lane.priority\]\)", query("task.claim"))
    assert by_row is not None
    by_time = "t.scheduled_at >= ($2::timestamptz[])[lane.priority] and $7::bigint[] is not null"
    behind = claim(1, old, "", 0, 0, plan=[ledger.old]).values
    yield form("task.claim", (by_row[0], by_time), values=behind, uses="", note="all of a plan is due at one time")
    now = ("t.scheduled_at <= statement_timestamp()", "t.scheduled_at <= clock_timestamp()")
    yield form("task.claim", now, note="a volatile clock is a filter: what rests is read")
    yield form(
        "task.deadline_due", ("order by t.deadline_at", "order by t.id"), note="walks the primary key for its order"
    )
    yield form(
        "task.doomed", (" and not satisfied", ""), (" and not e.satisfied", ""), note="no index has the satisfied"
    )
    far = re.search(r"\(select true .*? is null and ", query("plan.close_look"), re.DOTALL)
    assert far is not None
    yield form("plan.close_look", (far[0], ""), values=(ledger.old, 1), uses="", note="the dead ones come first")
    for name in ("plan.missing", "plan.in_flight"):
        since = re.search(r" and lo >= coalesce\(\(select j.lo from .*?'::bigint\)", query(name), re.DOTALL)
        assert since is not None
        yield form(name, (since[0], ""), note="reads every open task before the window")
    from_below = (
        "select hi from strandline.ing_interval"
        " where cursor_id = $1 and generation = 1 and lo <= $2 and hi >= $2 limit 1"
    )
    values = (ledger.cursor, STEP * DEAD)
    yield Case("cursor.take", values, "", 60, statement=from_below, note="looks for the mark from the wrong end")


# The test -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_statement_touches_what_it_needs(server: SuiteServer, template: str) -> None:
    name = server.create_database(template=template)
    try:
        with backlog(server.dsn_of(name)) as ledger, psycopg.connect(ledger.dsn) as connection:
            low = low_water(connection, ledger.task(OLD)), low_water(connection, ledger.task(OLD - LEFT))
            known, right = partition(list(cases(ledger, *low)))
            forms = list(wrong_forms(ledger, *low))
            complaints = [each for case in right for each in exceeded(connection, case, "without statistics")]
            found = {id(case): exceeded(connection, case, "without statistics") for case in [*known, *forms]}
            connection.autocommit = True
            connection.execute("analyze")
            connection.autocommit = False
            complaints += [each for case in right for each in exceeded(connection, case, "analysed")]
            for case in [*known, *forms]:
                found[id(case)] += exceeded(connection, case, "analysed")
    finally:
        server.drop_database(name)
    assert not complaints, "\n".join(complaints)
    for case in known:
        assert found[id(case)], f"{case.name} is bounded now ({case.known}): take `known` away"
    for case in forms:
        assert found[id(case)], f"{case.name}, {case.note}: the wrong form stays within the bounds, which prove nothing"


COLD = {
    "cursor.token": "walks by token, whose coverage is a row for each plan",
    "run.own_batches": "a walk that begins anew",
    "task.error": "a failure: one row by its key",
    "task.walk_next": "a walk that begins anew",
}


@pytest.mark.nodb
def test_every_statement_of_the_hot_path_is_here() -> None:
    """What claims, commits, renewals and folds send is a case above, or has a reason why not."""
    anywhere = Backlog("", 1, 2, 1, 1)
    here = {case.name for case in cases(anywhere, Low(), Low())} | {"run.batch_ids"}
    for file in ("commit", "finish", "run", "renewer", "cursor"):
        source = (generate.ROOT.parent / "cpp" / "pg" / f"{file}.cpp").read_text(encoding="utf-8")
        sent_there = set(re.findall(r'\brun\("((?:run|task|plan|cursor|gate|pool|rate)\.\w+)"', source))
        assert sent_there, file
        assert sent_there - COLD.keys() <= here, f"cpp/pg/{file}.cpp sends more than this page bounds"


def partition(all_cases: list[Case]) -> tuple[list[Case], list[Case]]:
    return [case for case in all_cases if case.known], [case for case in all_cases if not case.known]


def low_water(connection: psycopg.Connection[Any], task: int) -> Low:
    """The marks of a worker whose last claim began with this task."""
    (due,) = connection.execute(
        "select scheduled_at::text from strandline.ing_task where id = %s", (task,)
    ).fetchone() or ("",)
    connection.rollback()
    return Low(due, task)


@dataclass
class Touched:
    """What an execution did, added up over its plan; partitions and their indexes count as what they are parts of."""

    buffers: int
    removed: int = 0
    indexes: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)


def exceeded(connection: psycopg.Connection[Any], case: Case, when: str) -> list[str]:
    """What is wrong with the plan of a statement: one line each."""
    touched = explain(connection, case)
    where = f"{case.name} {short(case.values)}, {when}{', ' + case.note if case.note else ''}: "
    out = []
    if touched.buffers > case.buffers:
        out.append(f"{where}{touched.buffers} pages; the bound is {case.buffers}")
    if touched.removed > case.removed:
        out.append(f"{where}{touched.removed} rows read for nothing; the bound is {case.removed}")
    if touched.scanned - SMALL:
        out.append(f"{where}reads all of {', '.join(sorted(touched.scanned - SMALL))}")
    used = ", ".join(sorted(touched.indexes)) or "no index"
    unused = [f"ing_{each}" for each in case.uses.split() if f"ing_{each}" not in used]
    return out + [f"{where}uses {used}, not {each}" for each in unused]


def explain(connection: psycopg.Connection[Any], case: Case) -> Touched:
    """Runs a statement and takes it back."""
    cursor = psycopg.RawCursor(connection)
    limits = query("tx.limits").format(idle="'60s'", lock="'60s'", statement="'60s'")
    try:
        cursor.execute(limits)  # as every transaction of strandline begins
        cursor.execute(f"explain (analyze, buffers, format json) {case.text}", [sent(each) for each in case.values])
        (answer,) = cursor.fetchone() or ("",)
    finally:
        connection.rollback()
    assert "JIT" not in answer[0], f"{case.name} is compiled, which takes longer than it does"
    plan = answer[0]["Plan"]
    touched = Touched(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    for node in nodes(plan):
        loops = node["Actual Loops"]
        rows = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
        touched.removed += round(rows * loops)
        if not loops:
            continue
        if "Index Name" in node:
            touched.indexes.add(whole(connection, node["Index Name"]))
        if node["Node Type"] == "Seq Scan" and rows * loops + node["Actual Rows"] * loops > GROUP:
            touched.scanned.add(whole(connection, node["Relation Name"]))
    return touched


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def whole(connection: psycopg.Connection[Any], name: str) -> str:
    """The table or index of which this one is a partition, or itself."""
    rows = connection.execute(
        "select inhparent::regclass::text from pg_inherits where inhrelid = to_regclass(%s)", (f"strandline.{name}",)
    ).fetchall()
    connection.rollback()
    return rows[0][0].rpartition(".")[2] if rows else name


def sent(value: Any) -> str | None:
    """A parameter as the native module sends it: text of no type, arrays as literals."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, range)):
        return "{" + ",".join("NULL" if each is None else json.dumps(str(each)) for each in value) + "}"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def short(values: tuple[Any, ...]) -> str:
    """The parameters as a line can show them."""
    many = (list, range)
    texts = (f"{len(v)} of {v[0]!r} .." if isinstance(v, many) and len(v) > 2 else repr(v) for v in values)
    return f"({', '.join(texts)})"
