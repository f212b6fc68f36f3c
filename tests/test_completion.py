"""Batched completion: tiny tasks are claimed by the dozen and ended together, and none of them touches another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from fix_ledger import Database
from fix_workers import Start
from providers import Poison, bounds

import strandline as sl
from strandline import _core, presence

TASKS = 60
STEP = 3

Event = Callable[[sl.Context], object]


class Tiny(sl.Provider):
    """Slices of one page with three rows. `events` are called by the slice's first id, `watch` before every page."""

    name = "tiny"
    cursor_type = "id"
    slice = STEP
    backoff = ("1 us",)
    events: ClassVar[dict[int, list[Event]]] = {}
    watch: ClassVar[list[Event]] = []
    rows_of: ClassVar[Callable[[int, int], Any]] = staticmethod(
        lambda lo, hi: [{"id": each, "v": str(each)} for each in range(lo, hi)]
    )

    def next(self, context: sl.Context, cursor: Any) -> Any:
        lo, hi = bounds(context)
        for watch in self.watch:
            watch(context)
        events = self.events.get(lo)
        answer = events.pop(0)(context) if events else None
        return self.rows_of(lo, hi) if answer is None else answer


class Merged(Tiny):
    """The same with a key."""

    name = "merged"
    primary_key = ("id",)


class Counting(_core.Ledger):
    """A ledger that counts what it is asked."""

    asked: ClassVar[Counter[str]] = Counter()
    most: ClassVar[int] = 0

    def claim(self, *arguments: Any, **options: Any) -> list[_core.Run]:
        runs = super().claim(*arguments, **options)
        self.asked["claims"] += 1
        type(self).most = max(self.most, len(runs))
        return runs

    def finish(self, *arguments: Any, **options: Any) -> list[str]:
        self.asked["finish"] += 1
        return super().finish(*arguments, **options)

    def commit(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        self.asked["commit"] += 1
        return super().commit(*arguments, **options)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Tiny]]:
    Tiny.events.clear()
    Tiny.watch.clear()
    monkeypatch.setattr(Counting, "asked", Counter())
    monkeypatch.setattr(Counting, "most", 0)
    monkeypatch.setattr(presence, "_core", type("Native", (), {"Ledger": Counting, "Renewer": _core.Renewer}))
    yield Tiny
    Tiny.events.clear()


@pytest.fixture
def engine(open_engine: Any, monkeypatch: pytest.MonkeyPatch) -> sl.Engine:
    """One whose groups are not closed by a single record."""
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "100000")
    made: sl.Engine = open_engine()
    return made


def ends(database: Database) -> Counter[tuple[str, str]]:
    rows = database.rows("select status_code, end_reason_code from strandline.ing_task_run")
    return Counter((row["status_code"], row["end_reason_code"]) for row in rows)


def ids(database: Database, table: str) -> list[int]:
    return [row["id"] for row in database.rows(f'select id from public."{table}" order by id')]


def load(engine: sl.Engine, provider: type[sl.Provider], tasks: int = TASKS, **options: Any) -> sl.Report:
    return engine.ingest(provider, window=(0, STEP * tasks), errors="report", **options)


@pytest.mark.parametrize("provider", [Tiny, Merged])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.usefixtures("tiny")
def test_tiny_tasks_are_ended_together(
    engine: sl.Engine, database: Database, provider: type[Tiny], workers: int
) -> None:
    report = load(engine, provider, workers=workers)
    assert (report.status, report.succeeded, report.rows) == ("SUCCEEDED", TASKS, STEP * TASKS)
    assert ids(database, provider.name) == list(range(STEP * TASKS))
    assert database.value("select count(*) from strandline.ing_task_run_batch") == TASKS
    assert engine.verify()
    assert Counting.asked["finish"] >= 1
    assert Counting.asked["claims"] < TASKS / 2 + 40 * workers  # those that found nothing count as well
    assert Counting.asked["commit"] <= 10 * workers


@pytest.mark.parametrize("provider", [Tiny, Merged])
@pytest.mark.usefixtures("tiny")
def test_what_was_stored_is_counted(engine: sl.Engine, database: Database, provider: type[Tiny]) -> None:
    engine.plan(provider, window=(0, STEP * TASKS))
    database.rows(f'create table public."{provider.name}" (id bigint primary key, v text)')
    report = engine.work(pool=_pool(database))
    assert (report.succeeded, report.batches, report.rows, report.inserted) == (TASKS, TASKS, 180, 180)
    if provider is Merged:
        again = engine.plan(provider, window=(0, STEP * TASKS), only="all")
        assert again.slices == TASKS
        report = engine.work(pool=_pool(database))
        assert (report.rows, report.inserted, report.unchanged) == (180, 0, 180)


def _pool(database: Database) -> str:
    pool: str = database.value("select min(pool) from strandline.ing_task")
    return pool


def raising(error: Exception) -> Event:
    def event(context: sl.Context) -> None:
        raise error

    return event


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (lambda context: [{"id": "no number"}], ("FAILED", "DATA")),
        (lambda context: [{"w": "a column that nobody else has, and no key"}], ("FAILED", "DATA")),
        (raising(sl.Fatal("gone")), ("FAILED", "FATAL")),
        (raising(NameError("a bug")), ("FAILED", "CONFIG")),
    ],
    ids=["a row", "a key", "the source", "a bug"],
)
@pytest.mark.usefixtures("tiny")
def test_one_that_fails_does_not_touch_the_others(
    engine: sl.Engine, database: Database, event: Event, end: tuple[str, str]
) -> None:
    database.rows("create table public.merged (id bigint primary key, v text)")
    Tiny.events[60] = [event]
    report = load(engine, Merged)
    assert (report.status, report.succeeded, report.failed) == ("PARTIAL", TASKS - 1, 1)
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS - 1, end: 1}
    assert ids(database, "merged") == [each for each in range(STEP * TASKS) if each // STEP != 20]
    assert [row["column_name"] for row in _columns(database, "merged")] == [
        "id",
        "v",
    ]  # and not the column of the bad one
    assert Counting.most > 1


def test_columns_of_one_that_fails_are_not_made_for_the_others(
    engine: sl.Engine, database: Database, tiny: type[Tiny]
) -> None:
    """Its page could be encoded, and was not to be stored: the slice has another number of records than announced."""
    tiny.events[60] = [lambda context: sl.Page([{"id": 60, "w": 1}], total=STEP)]
    assert load(engine, tiny).status == "SUCCEEDED"
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS, ("FAILED", "COUNT_MISMATCH"): 1}
    assert [row["column_name"] for row in _columns(database, "tiny")] == ["id", "v"]


def _columns(database: Database, table: str) -> list[dict[str, Any]]:
    return database.rows(
        "select column_name from information_schema.columns where table_name = $1::text and column_name !~ '^_sl_'"
        " order by ordinal_position",
        table,
    )


def test_one_that_the_target_refuses_is_alone_with_it(engine: sl.Engine, database: Database, tiny: type[Tiny]) -> None:
    database.rows("create table public.tiny (id bigint check (id <> 91), v text)")
    report = load(engine, tiny)
    assert (report.status, report.succeeded, report.failed) == ("PARTIAL", TASKS - 1, 1)
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS - 1, ("FAILED", "DATA"): 1}
    (row,) = database.rows(
        "select t.last_error, r.errors from strandline.ing_task t join strandline.ing_task_run r on r.task_id = t.id"
        " where t.status_code = 'FAILED'"
    )
    assert row["errors"][0]["origin"] == "destination"
    assert "tiny_id_check" in row["errors"][0]["message"]
    assert row["last_error"]["page"] == {"before": None, "after": None, "done": True, "size": STEP}
    assert engine.verify()


def once_one_waits(database: Database, action: Callable[[int], object]) -> Event:
    """An event that acts once: when a task whose page is fetched waits for this one. It is given that task."""
    acted = []

    def event(context: sl.Context) -> None:
        held = database.value(
            "select min(task_id) from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING')"
        )
        if not acted and held < (context.task_id or 0):
            acted.append(held)
            action(held)

    return event


def test_one_that_is_cancelled_while_it_waits(
    engine: sl.Engine, open_engine: Any, database: Database, tiny: type[Tiny]
) -> None:
    """Its page is fetched, and it waits for the others: its cancel still counts."""

    tiny.watch.append(once_one_waits(database, lambda held: open_engine().cancel(f"task:{held}", reason="enough")))
    report = load(engine, tiny)
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS - 1, ("CANCELLED", "CANCELLED"): 1}
    assert report.succeeded == TASKS - 1
    assert len(ids(database, "tiny")) == STEP * (TASKS - 1)


def test_one_that_was_lost_while_it_waited_is_done_by_another_run(
    engine: sl.Engine, database: Database, ledger: _core.Ledger, tiny: type[Tiny]
) -> None:
    def lose(held: int) -> None:
        database.rows(
            "update strandline.ing_task_run set leased_until = clock_timestamp() - interval '1 s' where task_id = $1",
            held,
        )
        assert ledger.reap()["lost"] == 1

    tiny.watch.append(once_one_waits(database, lose))
    assert load(engine, tiny).status == "SUCCEEDED"
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS, ("LOST", "LEASE_LOST"): 1}
    assert ids(database, "tiny") == list(range(STEP * TASKS))


def test_leases_of_those_that_wait_are_renewed(
    open_engine: Any, database: Database, tiny: type[Tiny], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page takes longer than two leases; what was claimed with it is neither lost nor late."""
    monkeypatch.setenv("STRANDLINE_LEASE", "600000 us")
    engine = open_engine()

    def slow(held: int) -> None:
        database.wait_until(
            "select bool_and(heartbeat_at > created_at + interval '1.3 s') from strandline.ing_task_run"
            " where status_code in ('PLANNED', 'RUNNING')"
        )

    tiny.watch.append(once_one_waits(database, slow))
    assert load(engine, tiny).status == "SUCCEEDED"
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS}


def test_those_that_are_complete_do_not_wait_for_a_long_one(
    engine: sl.Engine, database: Database, tiny: type[Tiny]
) -> None:
    class Mixed(sl.Provider):
        name = "mixed"
        cursor_type = "id"
        slice = STEP
        waiting: ClassVar[list[int]] = []

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            lo, hi = bounds(context)
            if lo != 90:
                return sl.Page([{"id": each} for each in range(lo, hi)])
            at = lo if cursor is None else cursor
            if cursor is not None:
                self.waiting.append(
                    database.value(
                        "select count(*) from strandline.ing_task t where status_code = 'RUNNING' and id < $1::bigint",
                        context.task_id,
                    )
                )
            return sl.Page([{"id": at}], cursor=at + 1 if at + 1 < hi else None)

    assert load(engine, Mixed).status == "SUCCEEDED"
    assert Mixed.waiting == [0, 0]
    assert ids(database, "mixed") == list(range(STEP * TASKS))


def test_one_that_hangs_leaves_the_others_to_another_thread(
    engine: sl.Engine, database: Database, tiny: type[Tiny], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    hung: list[threading.Thread] = []

    def hang(context: sl.Context) -> None:
        hung.append(threading.current_thread())
        release.wait(60)

    monkeypatch.setattr(Tiny, "page_timeout", "200000 us", raising=False)
    tiny.events[90] = [hang]
    try:
        assert load(engine, tiny).status == "SUCCEEDED"
    finally:
        release.set()
    hung[0].join(30)
    assert not hung[0].is_alive()
    assert ends(database) == {("SUCCEEDED", "DONE"): TASKS, ("FAILED", "STALLED"): 1}
    assert ids(database, "tiny") == list(range(STEP * TASKS))
    assert Counting.most > 1


def test_a_budget_gives_back_what_was_claimed_and_not_begun(
    engine: sl.Engine, database: Database, tiny: type[Tiny]
) -> None:
    plan = engine.plan(tiny, window=(0, STEP * TASKS))

    def slow(context: sl.Context) -> None:
        database.rows("select pg_sleep(1.2)")

    tiny.events[60] = [slow]
    report = engine.work(plan, seconds=1, errors="report")
    assert report.status == "ACTIVE"
    assert set(ends(database)) == {("SUCCEEDED", "DONE"), ("YIELDED", "BUDGET")}
    assert database.value("select count(*) from strandline.ing_task where status_code = 'RUNNING'") == 0
    assert engine.work(plan).status == "SUCCEEDED"
    assert ids(database, "tiny") == list(range(STEP * TASKS))


@pytest.mark.parametrize("tasks", [1, 7, 20])
def test_a_budget_of_tasks_is_kept(engine: sl.Engine, database: Database, tiny: type[Tiny], tasks: int) -> None:
    plan = engine.plan(tiny, window=(0, STEP * TASKS))
    engine.work(plan, tasks=tasks, errors="report")
    assert ends(database) == {("SUCCEEDED", "DONE"): tasks}


def test_who_may_not_lose_a_lease_is_claimed_alone(engine: sl.Engine, tiny: type[Tiny]) -> None:
    class Careful(Tiny):
        name = "careful"
        max_losses = 1

    assert load(engine, Careful).status == "SUCCEEDED"
    assert Counting.most == 1


@pytest.mark.slow
def test_a_page_that_kills_its_worker_does_not_take_the_others_along(
    engine: sl.Engine, database: Database, start: Start
) -> None:
    """Workers that claim by the dozen die of one task, ten times; every other one succeeds."""
    plan = engine.plan(Poison, window=(0, STEP * TASKS))
    for _ in range(40):
        if start(plan=plan.id).wait() == 0:
            break
    assert database.rows("select lo, reason_code from strandline.ing_task where status_code <> 'SUCCEEDED'") == [
        {"lo": 90, "reason_code": "LEASE_LOST"}
    ]
