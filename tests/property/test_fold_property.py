"""Merging covered parts: the rows of ing_interval and the mark equal a multirange, whatever arrives in which order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import psycopg
import pytest
from fix_ledger import Database, Held, query, request

from strandline import _core

MERGES = 2_500
SPACE = 3_000  # bounds of the random parts: dense enough that they overlap, touch, enclose and lie apart
MERGE = "select strandline.fold_merge($1, $2, $3, $4, $5) as mark"
CURSOR = 1_000_000_000  # of no plan: the statements ask for nothing but rows

Parts = list[tuple[int, int]]


class Model:
    """Covered units one by one: too simple to be wrong."""

    def __init__(self) -> None:
        self.covered = bytearray(SPACE + 200)

    def add(self, lo: int, hi: int) -> None:
        self.covered[lo:hi] = b"\1" * (hi - lo)

    def intervals(self) -> Parts:
        out: Parts = []
        at = self.covered.find(1)
        while at >= 0:
            end = self.covered.find(0, at)
            out.append((at, end))
            at = self.covered.find(1, end)
        return out

    def mark(self, origin: int) -> int:
        return next((hi for lo, hi in self.intervals() if lo <= origin < hi), origin)


def part(chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(SPACE)
    return start, start + chance.choice((1, 1, 2, 5, 30, 150))


def stored(held: Held, generation: int) -> Parts:
    rows = held.text(
        "select lo, hi from strandline.ing_interval where cursor_id = $1 and generation = $2 order by lo",
        CURSOR,
        generation,
    )
    return [(row["lo"], row["hi"]) for row in rows]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_merge_equals_a_multirange(seed: int, held: Callable[..., Held]) -> None:
    chance = random.Random(seed)
    worker = held()
    model, generation = Model(), 0
    for number in range(MERGES // 2):
        if number % 250 == 0:  # before everything is covered and nothing more can go wrong
            model, generation = Model(), generation + 1
        parts = [part(chance) for _ in range(1 if chance.random() < 0.7 else chance.randrange(2, 20))]
        for lo, hi in parts:
            model.add(lo, hi)
        origin = chance.randrange(SPACE)
        mark = worker.text(MERGE, CURSOR, generation, origin, [lo for lo, _ in parts], [hi for _, hi in parts])
        assert stored(worker, generation) == model.intervals(), (number, parts)
        assert mark == [{"mark": model.mark(origin)}]
        if number % 50 == 49:
            (row,) = worker.text(
                "select coalesce(range_agg(int8range(lo, hi)), '{}')::text as ours from strandline.ing_interval"
                " where cursor_id = $1 and generation = $2",
                CURSOR,
                generation,
            )
            multirange = "{" + ",".join(f"[{lo},{hi})" for lo, hi in model.intervals()) + "}"
            assert row["ours"] == multirange
    worker.rollback()


FORGETFUL = (
    # Of many parts at a time: only intervals that begin inside a new part are joined.
    (
        (
            "coalesce((select max(k.lo) from strandline.ing_interval k\n"
            "         where k.cursor_id = cursor_in and k.generation = generation_in and k.lo <= lower(n.r)),"
            " lower(n.r))"
        ),
        "lower(n.r)",
    ),
    # Of one part: what reaches into it from the left counts as apart.
    ("left_hi < los_in[1]", "left_lo < los_in[1]"),
    # And what lies to its right as the one that it goes on from.
    ("left_lo <= los_in[1]", "left_lo <= his_in[1]"),
)


@pytest.mark.parametrize("replaced", FORGETFUL, ids=("many", "left", "right"))
def test_a_merge_that_forgets_a_neighbour_wrong_form_breaks(
    replaced: tuple[str, str], held: Callable[..., Held]
) -> None:
    worker = held()
    (row,) = worker.text("select pg_get_functiondef(oid) as text from pg_proc where proname = 'fold_merge'")
    assert replaced[0] in row["text"]
    worker.text(row["text"].replace(*replaced))
    chance, model = random.Random(3), Model()
    for _ in range(100):
        parts = [part(chance) for _ in range(chance.choice((1, 1, 2)))]
        for lo, hi in parts:
            model.add(lo, hi)
        try:
            worker.text(MERGE, CURSOR, 1, 0, [lo for lo, _ in parts], [hi for _, hi in parts])
        except psycopg.errors.UniqueViolation:
            return
        if stored(worker, 1) != model.intervals():
            return
    pytest.fail("the wrong form held")


def test_a_plan_made_while_the_tables_were_empty_goes_on_to_look_by_place(held: Callable[..., Held]) -> None:
    """A session keeps the plans of its first fold, and nobody analyses a table for a session's sake."""
    worker = held()
    for lo in ([40], [20, 30]):  # one part, and many: ways of their own
        worker.text(MERGE, CURSOR, 1, 0, lo, [each + 1 for each in lo])
    worker.text(
        "insert into strandline.ing_interval (cursor_id, generation, lo, hi)"
        " select $1::bigint, 1, 4 * n, 4 * n + 1 from generate_series(11, 50000) n",
        CURSOR,
    )
    for lo in ([100_002], [100_006, 20_002]):
        values = (CURSOR, 1, 0, lo, [each + 1 for each in lo])
        (row,) = worker.text(f"explain (analyze, buffers, format json) {MERGE}", *values)
        plan = row["QUERY PLAN"][0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 60, lo


def cover(database: Database, cursor: int, parts: Parts, first: int) -> None:
    """Coverage as finished tasks leave it, of tasks that nobody has planned: the fold asks for nothing else."""
    database.rows(
        "insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id,"
        " record_count) select $2::bigint + n, 1, $1::bigint, 1, lo, hi, 0, 0, 0"
        " from unnest($3::bigint[], $4::bigint[]) with ordinality x(lo, hi, n)",
        cursor,
        first,
        [lo for lo, _ in parts],
        [hi for _, hi in parts],
    )


def tiles(chance: random.Random) -> Parts:
    """The whole space in disjoint parts, in random order; the first ones early, so that the mark moves often."""
    cuts = [0]
    while cuts[-1] < SPACE:
        cuts.append(min(SPACE, cuts[-1] + chance.choice((1, 2, 3, 8))))
    parts = list(itertools.pairwise(cuts))
    chance.shuffle(parts)
    parts.sort(key=lambda tile: tile[0] < 200)
    return parts


def check_fold(ledger: _core.Ledger, database: Database, chance: random.Random, parts: Parts, source: int) -> None:
    """Folds `parts`, from the last to the first, in portions of one and many, into a cursor of its own."""
    cursor: int = ledger.plan(request(0, 0, params={"source": source}))["cursor_id"]
    model, events, first = Model(), 0, source * 1_000
    while parts:
        portion = [parts.pop() for _ in range(min(len(parts), chance.choice((1, 1, 1, 4, 25))))]
        cover(database, cursor, portion, first)
        first += len(portion)
        for lo, hi in portion:
            model.add(lo, hi)
        assert ledger.fold(cursor) == 1
        events += 1
        assert database.intervals(cursor) == model.intervals()
        assert database.mark(cursor) == model.mark(0)
    head = database.rows("select head_sequence_no, value_norm from strandline.ing_cursor where id = $1::bigint", cursor)
    assert head == [{"head_sequence_no": events, "value_norm": model.mark(0)}]


def test_the_fold_of_disjoint_parts_equals_a_multirange(ledger: _core.Ledger, database: Database) -> None:
    chance = random.Random(4)
    check_fold(ledger, database, chance, tiles(chance), 1)
    check_ledger(database)


def test_the_fold_of_any_parts_equals_a_multirange(ledger: _core.Ledger, database: Database) -> None:
    chance = random.Random(5)
    for source in range(1, 6):
        check_fold(ledger, database, chance, [part(chance) for _ in range(500)], source)
    check_ledger(database)


def check_ledger(database: Database) -> None:
    """The chain holds and refolds to the intervals. Not the whole of verify: no task stands behind the parts."""
    for name in (
        "verify.check_chain",
        "verify.check_head",
        "verify.check_intervals",
        "verify.check_mark",
        "verify.check_refold",
    ):
        assert database.rows(query(name), None) == [], name
