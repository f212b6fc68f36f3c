"""Text for people: widths, numbers, tables and pictures, without a terminal or a server."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline import progress, render
from strandline.coverage import Coverage, Part
from strandline.picture import picture
from strandline.report import Report
from strandline.window import Window

NEW_YORK = ZoneInfo("America/New_York")
PLAIN = render.Style()


def micros(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(dt.datetime(year, month, day, hour, tzinfo=NEW_YORK).timestamp()) * 1_000_000


def year_with_hole(lo: int = micros(2013, 1, 1), hi: int = micros(2014, 1, 1)) -> Coverage:
    hole = (micros(2013, 4, 1), micros(2013, 5, 1))
    window = Window(
        dt.datetime(2013, 1, 1, tzinfo=NEW_YORK), dt.datetime(2014, 1, 1, tzinfo=NEW_YORK), time_zone="America/New_York"
    )
    parts = (Part(lo, hole[0], "COVERED"), Part(*hole, "MISSING"), Part(hole[1], hi, "COVERED"))
    return Coverage(window=window, watermark=None, at=dt.datetime.now(dt.UTC), parts=parts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (0.9996, "1.0 s"),
        (1.24, "1.2 s"),
        (48.3, "48 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (-200, "-3 min 20 s"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert render.duration(seconds) == text


def test_numbers_have_separators_and_words_agree() -> None:
    assert render.number(336_776) == "336,776"
    assert render.plural(1, "slice") == "1 slice"
    assert render.plural(54, "slice") == "54 slices"


COLUMNS = [render.Column("task", right=True), render.Column("state", state=True), render.Column("error", shrink=True)]
CELLS = st.one_of(st.none(), st.integers(), st.text(max_size=200), st.booleans())


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), st.integers(40, 120), st.booleans())
def test_no_line_of_a_table_is_wider_than_the_terminal(rows: list[Any], width: int, unicode: bool) -> None:
    text = render.table(COLUMNS, rows, render.Style(unicode=unicode, width=width))
    assert text.count("\n") == len(rows)
    assert max(render.cells_wide(line) for line in text.splitlines()) <= width


def test_the_columns_that_may_shrink_give_way_first() -> None:
    text = render.table(COLUMNS, [(336_776, "FAILED", "x" * 200)], PLAIN)
    assert text.splitlines()[1].startswith("336,776  FAILED  xxxx")
    assert text.splitlines()[1].endswith("x…")


def test_a_column_without_a_value_is_left_out() -> None:
    text = render.table(COLUMNS, [(1, "FAILED", None), (2, "RUNNING", None)], PLAIN)
    assert text == "task  state\n   1  FAILED\n   2  RUNNING"


def test_control_characters_of_data_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in render.table(COLUMNS, [(1, "FAILED", "\x1b[2Jgone\nnext")], PLAIN)


def test_long_values_of_fields_are_wrapped_under_themselves() -> None:
    text = render.fields([("reason", "word " * 40), ("nothing", None)], PLAIN)
    assert all(render.cells_wide(line) <= 80 for line in text.splitlines())
    assert all(line.startswith(("reason  ", "        ")) for line in text.splitlines())


def test_colours_need_a_terminal_and_bow_to_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert render.Style.of(Terminal()).colour
    assert not render.Style.of(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not render.Style.of(Terminal()).colour


def test_a_year_shows_its_hole_as_the_month_that_it_is() -> None:
    lines = picture(year_with_hole()).splitlines()
    assert lines[0] == "Jan 2013    " + "█" * 31
    assert lines[2] == "Mar 2013    " + "█" * 31  # the clock change makes no hole
    assert lines[3] == "Apr 2013    " + "·" * 30
    assert lines[4] == "May 2013    " + "█" * 31
    assert lines[13].strip() == "█ covered 91.8%   · missing 8.2%   one cell is a day"


def test_a_cell_shows_what_needs_a_look() -> None:
    day = micros(2013, 1, 2)
    coverage = year_with_hole()
    parts = (Part(micros(2013, 1, 1), day, "COVERED"), Part(day, day + 3_600_000_000, "FAILED"))
    parts += (Part(day + 3_600_000_000, micros(2013, 1, 20), "COVERED"),)
    shown = picture(Coverage(window=coverage.window, watermark=None, at=coverage.at, parts=parts))
    assert shown.splitlines()[0] == "Jan 2013    █x" + "█" * 17


@pytest.mark.parametrize("days", [1, 13, 40, 400, 2000, 20_000])
@pytest.mark.parametrize("unicode", [True, False])
def test_pictures_fit_the_width(days: int, unicode: bool) -> None:
    lo = micros(2013, 1, 1)
    coverage = year_with_hole()
    hi = lo + days * 86_400_000_000
    parts = (Part(lo, (lo + hi) // 2, "COVERED"), Part((lo + hi) // 2, hi, "QUEUED"))
    shown = picture(
        Coverage(window=coverage.window, watermark=None, at=coverage.at, parts=parts), render.Style(unicode=unicode)
    )
    assert all(render.cells_wide(line) <= 80 for line in shown.splitlines())
    assert unicode or shown.isascii()


def report(**values: Any) -> Report:
    known = {"status": "ACTIVE", "plan": 1, "slices": 54, "succeeded": 31, "pending": 23, "seconds": 12.0}
    given = {**known, **values}
    return Report(**{**given, "succeeded": given["slices"] - given["pending"] - given.get("failed", 0)})


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("failed", [0, 3])
def test_the_line_of_progress_fits(width: int, failed: int) -> None:
    text = progress.line(report(rows=201_334, failed=failed), 41_002.4, render.Style(width=width))
    assert len(text) < width
    assert "31/54 slices  201,334 rows" in text


def test_a_callable_is_called_five_times_a_second_at_most_and_with_the_last_report() -> None:
    now = 0.0
    seen: list[int] = []
    show = progress.Limited(lambda given: seen.append(given.rows), clock=lambda: now)
    for rows in range(100):
        now = rows / 100
        show(report(rows=rows))
    show.close()
    assert len(seen) <= 6
    assert seen[-1] == 99


def test_plain_lines_are_whole_lines() -> None:
    stream = io.StringIO()
    show = progress.plain(stream, interval=0.0)
    show(report(rows=1000, failed=1))
    show.close(report(rows=3000, pending=0))
    assert stream.getvalue().splitlines() == [
        "31 of 54 slices, 1,000 rows, 83 rows/s, 12 s, 1 failed",
        "54 of 54 slices, 3,000 rows, 250 rows/s, 12 s",
    ]


def test_a_library_does_not_write_where_nobody_looks() -> None:
    assert progress.display(False) is None
    assert progress.display(None) is None


def test_wide_characters_are_broken_by_the_columns_that_they_take() -> None:
    assert render.wrap("東" * 20, 16) == ["東" * 8, "東" * 8, "東" * 4]


def test_a_column_that_is_never_cut_goes_below_its_rows_where_it_does_not_fit() -> None:
    columns = [render.Column("task", right=True), render.Column("why", whole=True)]
    assert render.table(columns, [("1", "short")]).splitlines() == ["task  why", "   1  short"]
    assert render.table(columns, [("1", "word " * 20), ("2", None)], render.Style(width=40)).splitlines() == [
        "task",
        "   1",
        *["      " + "word word word word word word word"] * 2,
        "      word word word word word word",
        "   2",
    ]
