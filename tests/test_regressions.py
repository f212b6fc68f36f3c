"""What an attack on the whole found once, and must not come back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest

import strandline as sl
from strandline.cause import place

pytestmark = pytest.mark.usefixtures("engine")


class Announced(sl.Provider):
    """Three records on two pages; the first page alone says how many there are."""

    name = "announced"
    cursor_type = "id"
    slice = 10
    max_attempts = 2
    backoff = ("1 us",)
    total: int = 3

    def next(self, context: sl.Context, cursor: Any) -> sl.Page:
        if cursor is None:
            return sl.Page([{"id": 1}, {"id": 2}], cursor=1, total=self.total)
        return sl.Page([{"id": 3}])


def test_a_total_of_the_first_page_is_not_forgotten_by_a_retry(engine: sl.Engine) -> None:
    """The retry went on behind the page that told the total, and succeeded with the wrong number."""
    for _ in range(2):
        report = engine.ingest(Announced(total=5), window=(0, 10), errors="report")
        assert report.status == "FAILED"
        assert "has 5 records, and 3 came" in report.failures[0].message
    assert engine.ingest(Announced(total=3), window=(0, 10)).status == "SUCCEEDED"
    assert [row[0] for row in engine.query("select id from announced order by id")] == [1, 2, 3]
    assert engine.verify()


class Broken(sl.Provider):
    """Local to this process, and fails until it is mended."""

    name = "broken"
    cursor_type = "id"
    slice = 10
    mended: ClassVar[list[bool]] = []

    def next(self, context: sl.Context, cursor: Any) -> Any:
        if not self.mended:
            raise sl.DataError("not yet")
        return [{"id": context.run_id}]


def test_a_local_plan_is_retried_in_its_process(engine: sl.Engine) -> None:
    """The source was forgotten with the failed plan: work refused it, and the next ingest waited for ever."""

    class Here(Broken):
        name = "here"

    plan = engine.ingest(Here, window=(0, 20), errors="report").plan
    assert plan is not None
    Broken.mended[:] = [True]
    try:
        assert len(engine.retry(plan)) == 2
        assert engine.work(plan).status == "SUCCEEDED"
    finally:
        Broken.mended.clear()
    assert engine.verify()


def test_append_into_a_table_that_was_merged_into_verifies(engine: sl.Engine) -> None:
    """The rows that a merge had moved to a later page were taken for lost."""
    engine.ingest([{"id": 1, "a": 1}, {"id": 2, "a": 1}], into="mixed", primary_key=("id",))
    engine.ingest([{"id": 1, "a": 2}], into="mixed", primary_key=("id",))
    engine.ingest([{"id": 3, "a": 3}], into="mixed", mode="append")
    assert engine.verify().differences == []


def test_merging_by_another_key_is_a_conflict_before_anything_is_written(engine: sl.Engine) -> None:
    engine.ingest([{"id": 1, "a": 1}], into="keyed", primary_key=("id",))
    with pytest.raises(sl.Conflict, match=r"no unique index on the primary key \(a\)"):
        engine.ingest([{"id": 2, "a": 2}], into="keyed", primary_key=("a",))


def test_the_place_of_an_error_does_not_depend_on_the_directory(tmp_path: Any) -> None:
    """A project that lies in a directory named strandline was taken for this package."""
    home = tmp_path / "strandline"
    home.mkdir()
    (home / "feed.py").write_text("def fail():\n    raise ValueError\n")
    names: dict[str, Any] = {}
    exec(compile((home / "feed.py").read_text(), str(home / "feed.py"), "exec"), names)
    with pytest.raises(ValueError) as caught:
        names["fail"]()
    assert place(caught.value) == f"{home}/feed.py:2 in fail"


def test_a_window_that_ends_in_the_future_is_named(engine: sl.Engine, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as covered to its end, and what comes later would never be asked for."""

    class Days(sl.Provider):
        name = "days"

        def next(self, context: sl.Context, cursor: Any) -> Any:
            return []

    engine.ingest(Days, window="2020")
    assert "the window ends in the future" not in caplog.text
    engine.ingest(Days, window="2998")
    assert "the window ends in the future" in caplog.text


_INTERRUPTED = """
import sys, strandline as sl
class Main(sl.Provider):
    name = "main"
    cursor_type = "id"
    slice = 10
    def next(self, context, cursor):
        if len(sys.argv) > 2 and context.window.start > 0:
            raise KeyboardInterrupt
        return [{"id": context.window.start}]
with sl.connect(sys.argv[1]) as engine:
    print(engine.ingest(Main, window=(0, 40)).status)
"""


def test_a_script_that_was_interrupted_goes_on_when_it_is_run_again(engine: sl.Engine, dsn: str) -> None:
    """The second run found the slices in the hands of the first, and ended CANCELLED."""
    call = [sys.executable, "-c", _INTERRUPTED, dsn]
    assert subprocess.run([*call, "stop"], check=False, capture_output=True, timeout=60).returncode != 0
    done = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "SUCCEEDED", done.stderr
    assert [row[0] for row in engine.query("select id from main order by id")] == [0, 10, 20, 30]
    assert engine.verify()
