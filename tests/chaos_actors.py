"""Who acts beside the workers in a chaos run: planners, cancellers, folders and reapers, each a process of its own.

Each goes on until it is killed. What it did stands in its log, a line an act, written when the act is done: a kill
loses the last line at most.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from providers import Numbers

import strandline as sl
from strandline import presence

WINDOW = 2_000  # ids that are planned at a time: 100 slices of 4 pages
AGAIN = 200  # ids of the table that is read again and again
LEAST = 20  # queued tasks below which more is planned
SLICES = (5, 20, 20, 20, 35, 50)  # how windows are cut: mostly as everybody does, so that cuts are the same ones
REST = 0.1  # seconds between two acts, at most: a pace, for which nobody waits

LIVE = "('QUEUED', 'RUNNING')"
CLOSED = "('FAILED', 'CANCELLED')"
QUEUED = "select count(*) from strandline.ing_task where status_code = 'QUEUED'"
OF_NUMBERS = "join strandline.ing_cursor c on c.id = t.cursor_id and c.cursor_key = 'public.numbers'"
TOP = f"select coalesce(max(t.hi), 0) from strandline.ing_task t {OF_NUMBERS}"


class Actor:
    """One process: its engine, its connection, its dice."""

    def __init__(self, dsn: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.engine = patiently(lambda: sl.connect(dsn))
        self.ledger = patiently(lambda: presence.open_ledger(dsn, self.engine.schema))
        self.lease = self.engine.settings.lease

    def ask(self, question: str) -> Any:
        """The first column of the first row of an answer; None without a row."""
        rows = self.ledger.select(question)[2]
        return rows[0][0] if rows else None


def told(what: str, count: int = 1) -> None:
    """Says in the log what was done."""
    if count:
        print(f"did {what} {count}", flush=True)


def deeds(said: str) -> Counter[str]:
    """What the log of an actor tells."""
    found: Counter[str] = Counter()
    for what, count in re.findall(r"^did (\w+) (\d+)$", said, re.MULTILINE):
        found[what] += int(count)
    return found


def patiently(call: Callable[[], Any]) -> Any:
    """Calls until the server answers, as whoever wrote a script around us would."""
    while True:
        try:
            return call()
        except sl.Error as error:
            if not error.retryable:
                raise
            time.sleep(REST)


def plan_ahead(engine: sl.Engine, top: int) -> int:
    """Plans the next window behind `top`. Everybody who sees the same `top` plans the same one."""
    stop = (top // WINDOW + 1) * WINDOW
    engine.plan(Numbers, window=(0, stop))
    return stop


def plan_merged(engine: sl.Engine, only: str = "missing") -> sl.Plan:
    """Plans the table whose rows have a key, so that they may be read again."""
    return engine.plan(Numbers, "merged", window=(0, AGAIN), mode="merge", primary_key=("id",), only=only)


def plan(actor: Actor) -> None:
    """Windows that others plan as well: the next one, all, a part in other slices, what failed, or all of it again."""
    top = actor.ask(TOP)
    if actor.ask(QUEUED) < LEAST:
        patiently(lambda: plan_ahead(actor.engine, top))
        told("ahead")
    if top == 0:
        return
    lo = actor.chance.randrange(max(0, top - 2 * WINDOW), top)
    hi = min(top, lo + actor.chance.randrange(1, WINDOW))
    way = actor.chance.choice(("all", "part", "part", "failed", "reread", "refused"))
    if way == "refused":  # in mode append it would store twice
        try:
            patiently(lambda: actor.engine.plan(Numbers, window=(lo, hi), only="all"))
        except sl.ConfigError:
            told("denied")
        return
    if way == "reread":
        # Every one has a generation of its own: as many as can be worked.
        if actor.ask(QUEUED) < 4 * LEAST:
            only = actor.chance.choice(("all", "failed", "missing"))
            made = patiently(lambda: plan_merged(actor.engine, only))
            told("reread", made.slices)
        return
    window = (0, top) if way == "all" else (lo, hi)
    slice = 20 if way != "part" else actor.chance.choice(SLICES)
    only = "failed" if way == "failed" else "missing"
    made = patiently(lambda: actor.engine.plan(Numbers, window=window, slice=slice, only=only))
    told("planned", made.slices)


def cancel(actor: Actor) -> None:
    """Cancels a task, or now and then a whole plan; queues others again, that it or somebody else had cancelled."""
    back = actor.chance.random() < 0.5
    whole = actor.chance.random() < 0.1
    found = actor.ask(
        f"select {'plan_id' if whole else 'id'} from strandline.ing_task where kind_code = 'SLICE'"
        f" and status_code in {CLOSED if back else LIVE} order by random() limit 1"
    )
    if found is None:
        return
    of = found if whole else f"task:{found}"
    if not back:
        told("cancelled", len(patiently(lambda: actor.engine.cancel(of, reason="chaos"))))
        return
    try:
        told("retried", len(patiently(lambda: actor.engine.retry(of, reason="chaos"))))
    except sl.Conflict:  # planned again in other slices, or loaded: its window is somebody else's
        told("refused")


def fold(actor: Actor) -> None:
    """Folds whatever is there, as claimers without work do."""
    folded = patiently(actor.ledger.fold_all)
    told("folds")
    told("folded", folded)


def reap(actor: Actor) -> None:
    """Ends the runs whose lease is over, as workers do three times a lease."""
    found = patiently(lambda: actor.ledger.reap(lease=actor.lease))
    told("reaps")
    told("lost", found["lost"])
    told("ended", found["cancelled"])


ACTS: dict[str, Callable[[Actor], None]] = {"planner": plan, "canceller": cancel, "folder": fold, "reaper": reap}


def act(role: str, dsn: str, seed: int) -> None:
    """One actor, for as long as it lives."""
    actor = Actor(dsn, seed)
    while True:
        patiently(lambda: ACTS[role](actor))
        time.sleep(REST * actor.chance.random())
