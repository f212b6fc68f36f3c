"""What is covered, in flight, failed and missing, and how it is shown."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import strandline as sl
from strandline.coverage import Part, step_rows

DAY = 86_400_000_000


class Days(sl.Provider):
    """One row a day; fails on the days in `bad`."""

    name = "days"
    slice = "1 day"
    bad: ClassVar[set[str]] = set()

    def next(self, context: sl.Context, cursor: Any) -> list[dict[str, Any]]:
        assert context.window is not None
        if str(context.window)[:10] in self.bad:
            raise sl.Fatal("a bad day")
        return [{"at": context.window.start}]


@pytest.fixture
def engine(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sl.Engine]:
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv("STRANDLINE_LEASE", "5 s")
    Days.bad.clear()
    with sl.connect(dsn) as opened:
        yield opened


def shown(windows: list[sl.Window]) -> list[str]:
    return [f"{window.start:%m-%d} to {window.stop:%m-%d}" for window in windows]


def test_the_four_states_make_up_the_window(engine: sl.Engine) -> None:
    Days.bad.add("2013-05-03")
    engine.ingest(Days, window="2013-05-01/2013-05-05", errors="report")
    plan = engine.plan(Days, window="2013-05-06/2013-05-08")
    assert plan.id is not None
    coverage = engine.coverage("days", window="2013-05-01/2013-05-10")
    assert shown(coverage.covered) == ["05-01 to 05-03", "05-04 to 05-05"]
    assert shown(coverage.failed) == ["05-03 to 05-04"]
    assert shown(coverage.in_flight) == ["05-06 to 05-08"]
    assert shown(coverage.missing) == ["05-05 to 05-06", "05-08 to 05-10"]
    assert not coverage.complete
    assert coverage.watermark == dt.datetime(2013, 5, 3, tzinfo=dt.UTC)
    assert [(row.state, row.attempts) for row in coverage.rows] == [
        ("COVERED", 1),
        ("COVERED", 1),
        ("FAILED", 1),
        ("COVERED", 1),
        ("MISSING", 0),
        ("QUEUED", 0),
        ("QUEUED", 0),
        ("MISSING", 0),
    ]
    failed = coverage.rows[2]
    assert failed.error == "a bad day"
    assert failed.task is not None
    engine.cancel(plan)
    cancelled = engine.coverage("days", window="2013-05-06/2013-05-08")
    assert [row.state for row in cancelled.rows] == ["CANCELLED", "CANCELLED"]
    assert shown(cancelled.missing) == ["05-06 to 05-08"]


def test_without_a_window_everything_planned_is_shown(engine: sl.Engine) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-03")
    coverage = engine.coverage("days>public.days")
    assert coverage.complete
    assert shown(coverage.covered) == ["05-01 to 05-03"]
    assert engine.coverage("days>days").name == "days>public.days"


def test_steps_show_what_needs_a_look(engine: sl.Engine) -> None:
    Days.bad.add("2013-05-03")
    engine.ingest(Days, window="2013-05-01/2013-05-15", errors="report")
    coverage = engine.coverage("days", window="2013-05-01/2013-05-22", by="1 week")
    assert [(shown([row.window])[0], row.state) for row in coverage.rows] == [
        ("05-01 to 05-06", "FAILED"),
        ("05-06 to 05-13", "COVERED"),
        ("05-13 to 05-20", "MISSING"),
        ("05-20 to 05-22", "MISSING"),
    ]


def test_a_reread_leaves_what_is_covered(engine: sl.Engine) -> None:
    engine.ingest(Days, window="2013-05-01/2013-05-03")
    with pytest.raises(sl.ConfigError, match="only="):
        engine.plan(Days, window="2013-05-01/2013-05-03", only="all")
    assert engine.coverage("days").complete


def test_of_names_one_cursor(engine: sl.Engine) -> None:
    report = engine.ingest(Days, window="2013-05-01/2013-05-03")
    engine.ingest(Days, into="other", window="2013-05-01/2013-05-02")
    with pytest.raises(sl.ConfigError, match=r"'days>public.days', 'days>public.other'"):
        engine.coverage("days")
    assert engine.cursor("days>other").target == "public.other"
    assert report.plan is not None
    assert shown(engine.coverage(report.plan).covered) == ["05-01 to 05-03"]
    task = engine.coverage(report.plan).rows[0].task
    assert engine.cursor(f"task:{task}").id == engine.cursor(report.plan).id
    for of, message in (
        ("nobody", "nothing was planned"),
        (99, "no plan 99"),
        ("task:99", "no task 99"),
        ("task:x", "no task"),
    ):
        with pytest.raises(sl.ConfigError, match=message):
            engine.coverage(of)


def test_pictures(engine: sl.Engine) -> None:
    Days.bad.add("2013-05-03")
    engine.ingest(Days, window="2013-05-01/2013-05-05", errors="report")
    coverage = engine.coverage("days", window="2013-05-01/2013-05-10")
    root = ET.fromstring(coverage.svg())
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["coverage of days>public.days", "covered", "failed", "covered", "missing"]
    text = coverage.text(80)
    assert "x" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert coverage._repr_html_() == coverage.svg()
    assert coverage.to_dict()["failed"] == [["2013-05-03T00:00:00Z", "2013-05-04T00:00:00Z"]]


def test_a_cursor_that_nobody_planned_for_is_shown_empty(engine: sl.Engine) -> None:
    engine.plan(Days, window="2013-05-01/2013-05-01")
    coverage = engine.coverage("days")
    assert coverage.parts == ()
    assert "nothing planned yet" in coverage.text()
    ET.fromstring(coverage.svg())


def test_the_loudest_state_of_a_step_wins() -> None:
    parts = [Part(0, 5, "COVERED"), Part(5, 6, "QUEUED"), Part(6, 10, "COVERED")]
    rows = step_rows([(0, 5), (5, 10)], parts, sl.Window)
    assert [row.state for row in rows] == ["COVERED", "QUEUED"]
