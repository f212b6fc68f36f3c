"""Ingesting from providers, on a real server: windows, slices, retries, resumption, budgets, cancelling, drains."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import psycopg
import pytest

import strandline as sl

UTC = dt.UTC


def rows_of(day: dt.datetime, first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": int(day.timestamp()) + i, "at": day + dt.timedelta(seconds=i)} for i in range(first, first + count)]


class Days(sl.Provider):
    """Each slice has 30 rows in three pages of 10."""

    name = "days"
    slice = "1 day"
    cursor_field = "at"
    backoff = ("1 us",)
    lag = "1 hour"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        first = cursor["row"] if cursor else 0
        assert context.window is not None
        assert isinstance(context.window.start, dt.datetime)
        self.before(context, first)
        more = {"row": first + 10} if first < 20 else None
        return sl.Page(rows_of(context.window.start, first, 10), cursor=more)

    def before(self, context: sl.Context, first: int) -> None:
        """For subclasses: what goes wrong."""


class Merged(Days):
    """The same with a key."""

    name = "merged"
    primary_key = ("id",)


def counted(dsn: str, table: str = "days") -> tuple[int, int]:
    """(rows, distinct ids) of a table."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f'select count(*), count(distinct id) from "{table}"').fetchone()
    assert found is not None
    return found[0], found[1]


@pytest.fixture
def engine(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sl.Engine]:
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv("STRANDLINE_LEASE", "5 s")
    with sl.connect(dsn) as opened:
        yield opened


@pytest.mark.parametrize("workers", [1, 4])
def test_a_window_arrives_once(engine: sl.Engine, dsn: str, workers: int) -> None:
    report = engine.ingest(Days, window="2013-05", workers=workers)
    assert (report.status, report.slices, report.succeeded, report.rows) == ("SUCCEEDED", 31, 31, 930)
    assert report.batches == 93
    assert counted(dsn) == (930, 930)
    assert report.watermark == dt.datetime(2013, 6, 1, tzinfo=UTC)
    assert engine.verify()
    again = engine.ingest(Days, window="2013-05")
    assert (again.status, again.slices, again.rows) == ("SUCCEEDED", 0, 0)
    assert again.reason is not None
    assert 'only="all"' in again.reason


def test_only_what_is_missing_is_planned(engine: sl.Engine, dsn: str) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-03")
    engine.ingest(Days, window="2013-05-05/2013-05-08")
    plan = engine.plan(Days, window="2013-05-01/2013-05-08")
    assert [str(window) for window in plan.missing] == ["2013-05-03T00:00:00Z/2013-05-05T00:00:00Z"]
    assert len(plan.windows()) == 2
    assert engine.work(plan).succeeded == 2
    assert counted(dsn) == (210, 210)


def test_a_dry_run_stores_nothing(engine: sl.Engine, dsn: str) -> None:
    plan = engine.plan(
        Merged, window="2013-05-01/2013-05-03", dry_run=True, schema={"id": "bigint", "at": "timestamptz"}
    )
    assert plan.id is None
    assert plan.slices == 2
    assert len(plan.windows()) == 2
    assert "create table" in plan.ddl[0]
    with psycopg.connect(dsn) as connection:
        for table in ("ing_plan", "ing_task", "ing_provenance", "ing_cursor"):
            assert connection.execute(f"select count(*) from strandline.{table}").fetchone() == (0,)
    with pytest.raises(sl.ConfigError, match="dry run"):
        engine.work(plan)


def test_a_watermark_gives_the_next_start(engine: sl.Engine) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-03")
    plan = engine.plan(Days, window=(None, "2013-05-04"), dry_run=True)
    assert plan.window_source == {"from": "watermark", "to": "argument"}
    assert plan.window is not None
    assert plan.window.start == dt.datetime(2013, 5, 3, tzinfo=UTC)


class Fails(Days):
    """Fails on the second page of the 2nd of May, as often as `times` says."""

    name = "fails"
    lock: ClassVar[threading.Lock] = threading.Lock()
    left: ClassVar[list[Exception]] = []
    asked: ClassVar[list[tuple[str, int, int]]] = []

    def before(self, context: sl.Context, first: int) -> None:
        with self.lock:
            self.asked.append((str(context.window)[:10], first, context.attempt))
            if str(context.window).startswith("2013-05-02") and first == 10 and self.left:
                raise self.left.pop()


@pytest.fixture
def fails() -> type[Fails]:
    Fails.left.clear()
    Fails.asked.clear()
    return Fails


@pytest.mark.parametrize("times", [1, 3])
def test_a_failure_is_retried_from_the_committed_page(
    engine: sl.Engine, dsn: str, fails: type[Fails], times: int
) -> None:
    fails.left.extend(sl.Transient("the source hiccups") for _ in range(times))
    report = engine.ingest(fails, window="2013-05-01/2013-05-04")
    assert (report.status, report.rows) == ("SUCCEEDED", 90)
    assert counted(dsn, "fails") == (90, 90)
    second = [(first, attempt) for day, first, attempt in fails.asked if day == "2013-05-02"]
    assert second == [(0, 1), *((10, attempt + 1) for attempt in range(times + 1)), (20, times + 1)]
    assert engine.verify()


def test_a_bug_fails_its_slice_and_the_fixed_call_loads_it(engine: sl.Engine, dsn: str, fails: type[Fails]) -> None:
    fails.left.append(TypeError("no such field"))
    with pytest.raises(sl.IngestError) as caught:
        engine.ingest(fails, window="2013-05-01/2013-05-04")
    report = caught.value.report
    assert report is not None
    assert (report.status, report.succeeded, report.failed, report.pending) == ("PARTIAL", 2, 1, 0)
    failure = report.failures[0]
    assert failure.kind == "config"
    assert "no such field" in failure.message
    assert failure.where is not None
    assert "test_ingest.py" in failure.where
    assert str(failure.window).startswith("2013-05-02")
    assert counted(dsn, "fails") == (70, 70)

    fixed = engine.ingest(fails, window="2013-05-01/2013-05-04")
    assert (fixed.status, fixed.slices) == ("SUCCEEDED", 1)
    assert counted(dsn, "fails") == (90, 90)
    assert engine.verify()


def test_errors_can_be_reported(engine: sl.Engine, fails: type[Fails]) -> None:
    fails.left.append(sl.Fatal("gone for good"))
    report = engine.ingest(fails, window="2013-05-02/2013-05-03", errors="report")
    assert report.status == "FAILED"
    with pytest.raises(sl.IngestError, match="gone for good"):
        report.raise_for_status()
    assert report.to_dict()["failures"][0]["message"] == "gone for good"


def test_a_rate_limit_is_no_failure(engine: sl.Engine, dsn: str, fails: type[Fails]) -> None:
    fails.left.extend(sl.RateLimited(retry_after=0.01) for _ in range(8))
    report = engine.ingest(fails, window="2013-05-02/2013-05-03")
    assert report.status == "SUCCEEDED"
    assert counted(dsn, "fails") == (30, 30)


@pytest.mark.parametrize("key", [(), ("id",)])
def test_an_expired_cursor_starts_the_walk_again(
    engine: sl.Engine, dsn: str, fails: type[Fails], key: tuple[str, ...]
) -> None:
    fails.left.append(sl.CursorExpired("the token is too old"))
    report = engine.ingest(fails, window="2013-05-02/2013-05-03", primary_key=key)
    assert report.status == "SUCCEEDED"
    assert counted(dsn, "fails") == (30, 30)
    assert [first for _, first, _ in fails.asked] == [0, 10, 0, 10, 20]
    assert engine.verify()


class Pages(sl.Provider):
    """Pages without tokens; the third one fails as often as `left` says."""

    name = "pages"
    slice = "1 day"
    backoff = ("1 us",)
    left: ClassVar[list[Exception]] = []

    def pages(self, context: sl.Context, cursor: Any) -> Iterator[list[dict[str, Any]]]:
        assert cursor is None
        assert context.window is not None
        assert isinstance(context.window.start, dt.datetime)
        for first in range(0, 50, 10):
            if first == 20 and self.left:
                raise self.left.pop()
            yield rows_of(context.window.start, first, 10)


@pytest.mark.parametrize("key", [(), ("id",)])
def test_pages_without_tokens_restart_their_slice(
    engine: sl.Engine, dsn: str, key: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "10")  # every page is committed before the failure
    Pages.left[:] = [OSError("broken pipe")] * 2
    with sl.connect(dsn) as own:
        report = own.ingest(Pages, window="2013-05-01/2013-05-03", primary_key=key)
        assert report.status == "SUCCEEDED"
        assert counted(dsn, "pages") == (100, 100)
        assert own.verify()


def test_pages_without_tokens_give_up_at_last(engine: sl.Engine, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "10")
    Pages.left[:] = [OSError("broken pipe")] * 100
    with sl.connect(dsn) as own:
        report = own.ingest(Pages, window="2013-05-01/2013-05-02", errors="report")
        assert report.status == "FAILED"
    Pages.left.clear()


class Counted(Days):
    """Says how many records a slice has, and is wrong."""

    name = "counted"
    max_attempts = 2

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        page = super().next(context, cursor)
        return sl.Page(page.rows, cursor=page.cursor, total=31)


def test_success_is_earned(engine: sl.Engine) -> None:
    report = engine.ingest(Counted, window="2013-05-01/2013-05-02", errors="report")
    assert report.status == "FAILED"
    assert report.failures[0].message.startswith("the source says that this slice has 31 records, and 30 came")
    assert engine.coverage("counted").covered == []


class Empty(sl.Provider):
    """Has nothing."""

    name = "empty"
    primary_key = ("id",)

    def next(self, context: sl.Context, cursor: Any) -> None:
        return None


def test_an_empty_window_is_a_success_and_can_be_followed(engine: sl.Engine) -> None:
    assert engine.ingest(Empty, window="2013-05-01/2013-05-02").status == "SUCCEEDED"
    assert engine.ingest(Empty, window="2013-05-01/2013-05-03").succeeded == 1
    assert engine.coverage("empty").complete


class Tokens(sl.Provider):
    """A source that is walked by token and grows."""

    name = "tokens"
    cursor_type = "token"
    grown: ClassVar[list[int]] = [0]

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        assert context.window is None
        first = cursor or 0
        after = min(first + 10, self.grown[0])
        rows = [{"id": i} for i in range(first, after)]
        return sl.Page(rows, cursor=after, done=after >= self.grown[0])


def test_tokens_go_on_where_they_ended(engine: sl.Engine, dsn: str) -> None:
    for size in (25, 25, 60):
        Tokens.grown[0] = size
        report = engine.ingest(Tokens)
        assert report.status == "SUCCEEDED"
        assert counted(dsn, "tokens") == (size, size)
    assert engine.cursor("tokens").value == 60
    assert engine.verify()


class Ids(sl.Provider):
    """Counts by ids."""

    name = "ids"
    cursor_type = "id"
    slice = 100

    def next(self, context: sl.Context, cursor: Any) -> list[dict[str, Any]]:
        assert context.window is not None
        assert isinstance(context.window.start, int)
        assert isinstance(context.window.stop, int)
        return [{"id": i, "even": i % 2 == 0} for i in range(context.window.start, context.window.stop)]

    def estimate(self, window: sl.Window) -> int:
        assert isinstance(window.start, int)
        assert isinstance(window.stop, int)
        return window.stop - window.start

    def slices(self, window: sl.Window) -> list[sl.Window]:
        assert isinstance(window.start, int)
        assert isinstance(window.stop, int)
        middle = (window.start + window.stop) // 2
        return [sl.Window(window.start, middle), sl.Window(middle, window.stop)]


@pytest.mark.parametrize(
    ("slice", "slices"),
    [(100, 10), ({"strategy": "BUDGET", "max_records": 300}, 4), ({"strategy": "CUSTOM"}, 2), (None, 10)],
)
def test_ids_are_cut_as_asked(engine: sl.Engine, dsn: str, slice: Any, slices: int) -> None:
    report = engine.ingest(Ids, window=(0, 1000), slice=slice)
    assert report.status == "SUCCEEDED"
    assert report.slices >= slices
    assert counted(dsn, "ids") == (1000, 1000)
    assert engine.cursor("ids").value == 1000


def test_a_trigger_returns_its_first_plan(engine: sl.Engine, dsn: str) -> None:
    first = engine.plan(Days, window="2013-05-01/2013-05-03", trigger="run-1")
    again = engine.plan(Days, window="2013-05-01/2013-05-03", trigger="run-1")
    assert again.id == first.id
    assert again.repeated
    with pytest.raises(sl.Conflict, match="asked for something else"):
        engine.plan(Days, window="2013-05-01/2013-05-04", trigger="run-1")
    report = engine.ingest(Days, window="2013-05-01/2013-05-03", trigger="run-1")
    assert (report.plan, report.rows) == (first.id, 60)


def test_budgets_end_early_and_are_no_error(engine: sl.Engine, dsn: str) -> None:
    plan = engine.plan(Days, window="2013-05")
    report = engine.work(plan, tasks=3)
    assert (report.status, report.succeeded, report.pending) == ("ACTIVE", 3, 28)
    assert engine.work(plan, seconds=0.0).pending >= 28 - 1
    drained = sl.drain(dsn, plan.id)
    assert (drained.status, drained.pending) == ("SUCCEEDED", 0)
    assert counted(dsn) == (930, 930)


def test_a_pool_is_drained(engine: sl.Engine, dsn: str) -> None:
    engine.plan(Days, window="2013-05-01/2013-05-03")
    engine.plan(Merged, window="2013-05-01/2013-05-03")
    report = sl.drain(dsn)
    assert (report.status, report.succeeded, report.rows, report.batches) == ("SUCCEEDED", 4, 120, 12)
    assert counted(dsn) == (60, 60)
    assert counted(dsn, "merged") == (60, 60)


def test_a_cancelled_plan_is_reopened_by_the_same_call(engine: sl.Engine, dsn: str) -> None:
    plan = engine.plan(Days, window="2013-05-01/2013-05-04")
    assert plan.id is not None
    assert [row["status"] for row in engine.cancel(plan, reason="a mistake")] == ["CANCELLED"] * 3
    with pytest.raises(sl.IngestError, match="CANCELLED"):
        engine.work(plan)
    report = engine.ingest(Days, window="2013-05-01/2013-05-04")
    assert (report.status, report.rows) == ("SUCCEEDED", 90)
    assert counted(dsn) == (90, 90)


def test_retry_queues_what_failed(engine: sl.Engine, dsn: str, fails: type[Fails]) -> None:
    fails.left.append(sl.Fatal("once"))
    report = engine.ingest(fails, window="2013-05-02/2013-05-03", errors="report")
    assert report.plan is not None
    assert len(engine.retry(report.plan, reason="mended")) == 1
    assert engine.work(report.plan).status == "SUCCEEDED"
    assert counted(dsn, "fails") == (30, 30)


def test_a_running_task_is_cancelled_at_its_next_page(engine: sl.Engine, dsn: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    class Slow(Days):
        name = "slow"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 10:
                reached.set()
                assert go_on.wait(30)

    def cancel() -> None:
        assert reached.wait(30)
        with sl.connect(dsn) as other:
            other.cancel("slow", reason="enough")
        go_on.set()

    helper = threading.Thread(target=cancel)
    helper.start()
    report = engine.ingest(Slow, window="2013-05-01/2013-05-02", errors="report")
    helper.join()
    assert report.status == "CANCELLED"
    assert engine.verify()


def test_what_others_have_in_flight_is_helped_with(engine: sl.Engine, dsn: str) -> None:
    first = engine.plan(Days, window="2013-05-01/2013-05-04")
    report = engine.ingest(Days, window="2013-05-02/2013-05-06")
    assert (report.slices, report.rows, report.status) == (2, 60, "SUCCEEDED")
    assert report.reason == f"2 slices of the window are of plan {first.id}: 2 of them are in, with 60 rows"
    assert engine.coverage("days", window="2013-05-02/2013-05-06").complete
    assert first.id is not None
    assert engine.work(first).status == "SUCCEEDED"
    assert counted(dsn) == (150, 150)


def test_local_providers_are_refused_elsewhere(engine: sl.Engine, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Days):
        name = "mine"

    plan = engine.plan(Mine, window="2013-05-01/2013-05-02")
    with monkeypatch.context() as patch:
        patch.setattr("strandline.presence._sources", {})
        with pytest.raises(sl.ConfigError, match="move Mine into a module"):
            sl.drain(dsn, plan.id)
    assert engine.work(plan).status == "SUCCEEDED"


def test_progress_is_told(engine: sl.Engine) -> None:
    seen: list[sl.Report] = []
    report = engine.ingest(Days, window="2013-05", progress=seen.append)
    assert seen
    assert seen[-1].succeeded == report.succeeded == 31


def test_columns_grow_while_pages_arrive(engine: sl.Engine, dsn: str) -> None:
    class Grows(sl.Provider):
        name = "grows"
        primary_key = ("id",)

        def next(self, context: sl.Context, cursor: Any) -> sl.Page:
            number = cursor or 0
            row = {"id": number, f"extra_{number}": number * 1.5}
            return sl.Page([row], cursor=number + 1 if number < 4 else None)

    assert engine.ingest(Grows, window="2013").rows == 5
    assert {f"extra_{i}" for i in range(5)} <= set(engine.table("grows").columns)


def test_status_and_trace_tell_what_happened(engine: sl.Engine) -> None:
    report = engine.ingest(Merged, window="2013-05-01/2013-05-02")
    status = engine.status(report.plan)
    assert [row.status for row in status.plans] == ["SUCCEEDED"]
    assert [row.why for row in status.tasks] == ["every page is committed"]
    assert len(engine.status(state="SUCCEEDED")) == 1
    assert len(engine.status("merged", since="-1 day")) == 1
    row = engine.table("merged").to_dicts()[12]
    found = engine.trace("merged", row["id"])
    assert found.batch["id"] == row["_sl_batch"]
    assert found.plan["id"] == report.plan
    assert found.config["reference"].endswith("test_ingest:Merged")
    assert found.to_dict()["slice"]["window"] == ["2013-05-01T00:00:00Z", "2013-05-02T00:00:00Z"]
    assert engine.trace("merged", {"id": row["id"]}).task == found.task
    with pytest.raises(sl.DataError, match="there is no row"):
        engine.trace("merged", 1)
    with pytest.raises(sl.ConfigError, match="its key is \\(id\\)"):
        engine.trace("merged", 1, 2)


def test_results_become_arrow(engine: sl.Engine) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    engine.ingest(Merged, window="2013-05-01/2013-05-02")
    result = engine.query("select id, at, 1.5::float8 as x, null::text as t from merged where id > $1 order by id", 0)
    assert result.arrow().num_rows == 30
    assert pyarrow.table(result).column_names == ["id", "at", "x", "t"]
    assert polars.from_arrow(result.arrow()).height == result.polars().height == 30
    for text in ("delete from merged", "commit; delete from merged", "end; drop table merged"):
        with pytest.raises(sl.Error, match=r"read-only|multiple commands"):
            engine.query(text)
    assert engine.query("select count(*) from merged").fetchall() == [(30,)]


def test_the_engine_can_be_awaited(dsn: str) -> None:
    import asyncio

    async def main() -> sl.Report:
        async with await sl.aconnect(dsn) as engine:
            report = await engine.ingest(Days, window="2013-05-01/2013-05-03")
            assert isinstance(report, sl.Report)
            return report

    assert asyncio.run(main()).rows == 60


def test_a_repeated_trigger_may_be_worked_otherwise(engine: sl.Engine) -> None:
    first = engine.plan(Days, window="2013-05-01/2013-05-03", trigger="run-1", deadline="1 day", priority=3)
    again = engine.plan(Days, window="2013-05-01/2013-05-03", trigger="run-1", deadline="2 days", priority=7)
    assert (again.id, again.repeated) == (first.id, True)


def test_ctrl_c_gives_the_run_back(engine: sl.Engine, dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    reached = threading.Event()

    class Long(Days):
        name = "long"

        def before(self, context: sl.Context, first: int) -> None:
            if first == 10 and not reached.is_set():
                reached.set()
                # What the terminal does: the main thread is interrupted while this page is being fetched.
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                interrupted.wait(0.2)

    interrupted = threading.Event()  # never set: the page takes its time
    with pytest.raises(KeyboardInterrupt):
        engine.ingest(Long, window="2013-05-01/2013-05-02")
    assert "strandline work --plan" in caplog.text
    task = engine.status("task:1").tasks[0]
    assert (task.status, task.reason) == ("QUEUED", "INTERRUPTED")
    report = engine.ingest(Long, window="2013-05-01/2013-05-02")
    assert report.status == "SUCCEEDED"
    assert counted(dsn, "long") == (30, 30)
    assert engine.verify()


def test_a_fork_shares_nothing(engine: sl.Engine, dsn: str) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-02")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with sl.connect(dsn) as own:
                code = 0 if own.ingest(Days, window="2013-05-01/2013-05-03").rows == 30 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert engine.ingest(Days, window="2013-05-01/2013-05-04").rows == 30
    assert counted(dsn) == (90, 90)


def test_importing_is_fast_and_opens_nothing() -> None:
    program = (
        "import sys, time; began = time.perf_counter(); import strandline; took = time.perf_counter() - began;"
        " import threading; assert threading.active_count() == 1; assert 'strandline._core' not in sys.modules;"
        " assert strandline.__all__ == sorted(strandline.__all__); print(took)"
    )
    took = min(float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(3))
    assert took < 0.3  # 0.05 s alone; other tests have the machine too


def test_every_exported_name_is_there() -> None:
    for name in sl.__all__:
        assert getattr(sl, name) is not None

    assert callable(sl.drain)
    assert callable(sl.provider)


def test_what_failed_in_a_reread_is_found_by_failed(engine: sl.Engine, fails: type[Fails]) -> None:
    """The failed slice lies in the reread's generation, where everything else counts as covered."""

    class Merges(fails):  # type: ignore[misc, valid-type]
        name = "merges"
        primary_key = ("id",)

    engine.ingest(Merges, window="2013-05-01/2013-05-03")
    fails.left.append(sl.Fatal("once"))
    assert engine.ingest(Merges, window="2013-05-01/2013-05-03", only="all", errors="report").failed == 1
    report = engine.ingest(Merges, window="2013-05-01/2013-05-03", only="failed")
    assert (report.status, report.slices) == ("SUCCEEDED", 1)
    assert engine.verify()
