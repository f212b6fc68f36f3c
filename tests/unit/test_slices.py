"""Slices: the strategies as JSON, the grids they cut on (across every kind of clock change), BUDGET and CUSTOM."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from strandline import _core
from strandline.errors import ConfigError, DataError

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NEW_YORK = "America/New_York"


def at(*parts: int, zone: str = "UTC", fold: int = 0) -> int:
    moment = dt.datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)  # type: ignore[misc,arg-type] # year, month, ...
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def lengths(points: list[int], unit: int = HOUR) -> list[float]:
    return [(hi - lo) / unit for lo, hi in pairwise(points)]


def time(step: str, **more: Any) -> str:
    return json.dumps({"strategy": "TIME", "step": step, **more})


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        (NEW_YORK, (2013, 3, 10), 23),
        (NEW_YORK, (2013, 11, 3), 25),
        ("Europe/Berlin", (2024, 3, 31), 23),
        ("Europe/Berlin", (2024, 10, 27), 25),
        ("Australia/Lord_Howe", (2013, 10, 6), 23.5),
        ("Australia/Lord_Howe", (2013, 4, 7), 24.5),
        ("Asia/Kathmandu", (2013, 4, 7), 24),
        ("America/Sao_Paulo", (2017, 10, 15), 23),
        ("America/Sao_Paulo", (2018, 2, 17), 25),
        ("Pacific/Apia", (2011, 12, 29), 24),
        ("Asia/Kathmandu", (1985, 12, 31), 24),
        ("Asia/Kathmandu", (1986, 1, 1), 23.75),
    ],
)
def test_a_day_is_as_long_as_its_clock_changes_make_it(zone: str, date: tuple[int, int, int], hours: float) -> None:
    noon = at(*date, 12, zone=zone)
    points = _core.cut("1 day", zone, noon - 40 * HOUR, noon + 40 * HOUR)
    (day,) = [pair for pair in pairwise(points) if pair[0] <= noon < pair[1]]
    assert (day[1] - day[0]) / HOUR == hours
    # The hours of that day: elapsed time from its midnight, the last one may be shorter.
    inside = lengths(_core.cut("1 hour", zone, *day))
    assert inside[:-1] == [1.0] * (len(inside) - 1)
    assert sum(inside) == hours


def test_midnight_that_does_not_exist_is_the_first_instant_after() -> None:
    points = _core.cut("1 day", "America/Sao_Paulo", at(2017, 10, 14, 12), at(2017, 10, 16, 12))
    assert [_core.rfc3339(point) for point in points[1:-1]] == ["2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z"]


def test_midnight_that_happens_twice_is_the_first() -> None:
    # In St. John's the clocks went back at 00:01, so that the last hour of the day before came again behind midnight.
    points = _core.cut("1 day", "America/St_Johns", at(2000, 10, 28, 12), at(2000, 10, 30, 12))
    assert [_core.rfc3339(point) for point in points[1:-1]] == ["2000-10-29T02:30:00Z", "2000-10-30T03:30:00Z"]


def test_a_day_that_was_skipped_is_no_slice() -> None:
    points = _core.cut("1 day", "Pacific/Apia", at(2011, 12, 29, 10), at(2012, 1, 1, 10))
    assert [_core.rfc3339(point) for point in points] == [
        "2011-12-29T10:00:00Z",
        "2011-12-30T10:00:00Z",  # the end of the 29th, and the beginning of the 31st
        "2011-12-31T10:00:00Z",
        "2012-01-01T10:00:00Z",
    ]
    week = _core.cut("1 week", "Pacific/Apia", at(2011, 12, 26, 10), at(2012, 1, 1, 10))
    assert lengths(week, DAY) == [6]


def test_leap_days() -> None:
    assert lengths(_core.cut("1 month", "UTC", at(2012, 1, 1), at(2012, 4, 1)), DAY) == [31, 29, 31]
    assert lengths(_core.cut("1 year", "UTC", at(2011, 1, 1), at(2014, 1, 1)), DAY) == [365, 366, 365]
    assert lengths(_core.cut("1 quarter", "UTC", at(1900, 1, 1), at(1900, 7, 1)), DAY) == [90, 91]
    assert lengths(_core.cut("1 day", "UTC", at(2012, 2, 28), at(2012, 3, 1)), DAY) == [1, 1]


@pytest.mark.parametrize(
    ("step", "inside"),
    [
        ("1 week", "2013-05-06T00:00:00Z"),  # a Monday
        ("2 weeks", "2013-05-13T00:00:00Z"),  # an even number of weeks after 1970-01-05
        ("1 month", "2013-06-01T00:00:00Z"),
        ("5 months", "2013-10-01T00:00:00Z"),  # May 2013 is 24,160 months after year 0, and begins a block
        ("1 quarter", "2013-07-01T00:00:00Z"),
        ("2 quarters", "2013-07-01T00:00:00Z"),
        ("1 year", "2014-01-01T00:00:00Z"),
        ("10 years", "2020-01-01T00:00:00Z"),
        ("10 days", "2013-05-05T00:00:00Z"),  # 15,830 days after 1970-01-01
        ("6 hours", "2013-05-02T18:00:00Z"),
        ("24 hours", "2013-05-03T00:00:00Z"),
        ("7 hours", "2013-05-02T14:00:00Z"),  # does not divide a day: counted from 1970
        ("15 min", "2013-05-02T12:45:00Z"),
        ("1 s", "2013-05-02T12:34:57Z"),
        ("5400000000 us", "2013-05-02T13:30:00Z"),
    ],
)
def test_the_first_boundary_after_an_instant(step: str, inside: str) -> None:
    lo = at(2013, 5, 2, 12, 34, 56, 5)
    points = _core.cut(step, "UTC", lo, at(2023, 5, 2), 1)
    assert points[0] == lo
    assert _core.rfc3339(points[1]) == inside


def test_a_timedelta_is_counted_in_utc_whatever_the_zone() -> None:
    spec = time("3600000000 us")
    points = _core.cut(spec, "Asia/Kathmandu", at(2013, 5, 1, 0, 30), at(2013, 5, 1, 2, 30))
    assert points == [at(2013, 5, 1, 0, 30), at(2013, 5, 1, 1), at(2013, 5, 1, 2), at(2013, 5, 1, 2, 30)]
    local = _core.cut("1 hour", "Asia/Kathmandu", at(2013, 5, 1, 0, 30), at(2013, 5, 1, 2, 30))
    assert local == [at(2013, 5, 1, 0, 30), at(2013, 5, 1, 1, 15), at(2013, 5, 1, 2, 15), at(2013, 5, 1, 2, 30)]


def test_cuts_do_not_depend_on_where_the_interval_begins() -> None:
    year = _core.cut("1 week", NEW_YORK, at(2013, 1, 1, zone=NEW_YORK), at(2014, 1, 1, zone=NEW_YORK))
    assert len(year) == 54
    april = _core.cut("1 week", NEW_YORK, at(2013, 4, 3, 7), at(2013, 4, 25, 1))
    assert april[1:-1] == [point for point in year if april[0] < point < april[-1]]


def test_empty_and_one_unit() -> None:
    assert _core.cut("1 day", "UTC", 5, 5) == []
    assert _core.cut("1 day", "UTC", 6, 5) == []
    assert _core.cut("1 day", "UTC", 5, 6) == [5, 6]
    assert _core.cut("1 day", "UTC", 0, DAY) == [0, DAY]
    assert _core.cut("1 us", "UTC", -2, 1) == [-2, -1, 0, 1]
    assert _core.cut(None, "UTC", 0, DAY) == [0, DAY]


def test_limit_and_order() -> None:
    assert _core.cut("1 day", "UTC", 1, 10 * DAY, 3) == [1, DAY, 2 * DAY, 3 * DAY]
    assert _core.cut("1 day", "UTC", 1, 10 * DAY - 1, 3, "newest") == [7 * DAY, 8 * DAY, 9 * DAY, 10 * DAY - 1]
    assert _core.cut("1 day", "UTC", 1, 10 * DAY, 0) == []
    assert _core.cut("7", "UTC", 1, 30, 2, "newest") == [21, 28, 30]
    with pytest.raises(ConfigError, match='"oldest" or "newest"'):
        _core.cut("1 day", "UTC", 1, 10, None, "random")


def test_the_limits_of_time() -> None:
    first, last = at(1, 1, 1), at(9999, 12, 31, 23, 59, 59, 999_999)
    for zone in ("UTC", NEW_YORK, "Pacific/Apia", "Asia/Kathmandu"):
        for step in ("9 weeks", "1 quarter", "1 year", "9999 years", "100000 months"):
            oldest = _core.cut(step, zone, first, last)
            assert oldest == sorted(set(oldest))
            assert (oldest[0], oldest[-1]) == (first, last)
            assert oldest == _core.cut(step, zone, first, last, None, "newest")


def test_a_million_slices_are_exact() -> None:
    points = _core.cut("1 minute", NEW_YORK, at(2013, 1, 1), at(2013, 1, 1) + 1_000_000 * 60 * SECOND)
    assert len(points) == 1_000_001
    assert set(lengths(points, 60 * SECOND)) == {1.0}


def test_ids() -> None:
    assert _core.cut("1000", "UTC", 5, 2500) == [5, 1000, 2000, 2500]
    assert _core.cut("10", "UTC", -15, 5) == [-15, -10, 0, 5]
    top = 2**63 - 1
    assert _core.cut("10", "UTC", top - 5, top) == [top - 5, top]
    assert _core.cut("10", "UTC", top - 15, top) == [top - 15, top - 7, top]
    assert _core.cut(str(top), "UTC", -(2**63), top) == [-(2**63), -top, 0, top]
    assert _core.cut(str(top), "UTC", -(2**63), top, None, "newest") == [-(2**63), -top, 0, top]


def test_cut_at() -> None:
    assert _core.cut_at([7, 3, 3, -1, 0, 10, 12], 0, 10) == [0, 3, 7, 10]
    assert _core.cut_at([], 0, 10) == [0, 10]
    assert _core.cut_at([1], 5, 5) == []


# Whole units ----------------------------------------------------------------------------------------------------------


def test_frame() -> None:
    lo, hi = at(2013, 5, 1, 10), at(2013, 5, 4, 10)
    assert _core.frame("1 day", "UTC", lo, hi) == (lo, hi)
    assert _core.frame(time("1 day", whole=True), "UTC", lo, hi) == (lo, at(2013, 5, 4))
    assert _core.frame(time("1 day", whole=True), NEW_YORK, lo, hi) == (lo, at(2013, 5, 4, 4))
    dates = '{"strategy": "DATE", "step": "1 day"}'
    assert _core.frame(dates, "UTC", lo, hi) == (at(2013, 5, 1), at(2013, 5, 4))
    assert _core.frame(dates, "UTC", lo, at(2013, 5, 1, 23)) == (lo, lo)
    assert _core.frame(time("1 month", whole=True), "UTC", lo, hi) == (lo, lo)
    assert _core.frame(dates, "UTC", lo, lo) == (lo, lo)


# Strategies as JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [
        ("null", '{"strategy":"SINGLE"}'),
        ('{"strategy": "single"}', '{"strategy":"SINGLE"}'),
        ("7 d", '{"step":"7 days","strategy":"TIME"}'),
        ('"7 d"', '{"step":"7 days","strategy":"TIME"}'),
        (time("1 day", whole=True), '{"step":"1 day","strategy":"TIME","whole":true}'),
        (time("1 day", whole=False), '{"step":"1 day","strategy":"TIME"}'),
        ('{"strategy":"DATE","step":"1 mo"}', '{"step":"1 month","strategy":"DATE"}'),
        ('{"strategy":"ID","step":1000}', '{"step":1000,"strategy":"ID"}'),
        ('{"strategy":"CURSOR"}', '{"strategy":"CURSOR"}'),
        ('{"strategy":"BUDGET","max_records":50000}', '{"max_records":50000,"strategy":"BUDGET"}'),
        (
            '{"strategy":"BUDGET","max_records":5,"min_step":"1 min"}',
            '{"max_records":5,"min_step":"1 minute","strategy":"BUDGET"}',
        ),
        (
            '{"strategy":"BUDGET","min_step":10,"max_records":5}',
            '{"max_records":5,"min_step":10,"strategy":"BUDGET"}',
        ),
        ('{"strategy":"CUSTOM"}', '{"strategy":"CUSTOM"}'),
    ],
)
def test_canonical(spec: str, canonical: str) -> None:
    assert _core.strategy(spec) == canonical
    assert _core.strategy(canonical) == canonical
    assert json.dumps(json.loads(canonical), sort_keys=True, separators=(",", ":")) == canonical


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ('{"strategy":"WEEKLY"}', 'unknown strategy "WEEKLY"'),
        ('{"strategy":5}', "not a name"),
        ('{"step":"1 day"}', 'no "strategy"'),
        ('{"strategy":"TIME"}', 'TIME has no "step"'),
        ('{"strategy":"TIME","step":5}', "not a duration"),
        ('{"strategy":"TIME","step":"1 day","hole":true}', 'unknown field "hole"'),
        ('{"strategy":"TIME","step":"1 day","whole":1}', "not true or false"),
        ('{"strategy":"TIME","step":"1 day","":1}', "unknown field"),
        ('{"strategy":"DATE","step":"1 hour"}', "no whole days"),
        ('{"strategy":"ID","step":"1 day"}', "positive whole number"),
        ('{"strategy":"BUDGET"}', 'no "max_records"'),
        ('{"strategy":"BUDGET","max_records":0}', "positive whole number"),
        ('{"strategy":"BUDGET","max_records":1.5}', "positive whole number"),
        ('{"strategy":"BUDGET","max_records":18446744073709551615}', "positive whole number"),
        ("0", "positive whole number"),
        ("-5", "positive whole number"),
        ("0 days", "not positive"),
        ("-1 day", "not positive"),
        ("true", "the slice is true"),
        ('["1 week"]', "the slice is"),
    ],
)
def test_refused_with_the_strategies(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _core.strategy(spec)
    message = str(caught.value)
    assert problem in message
    for code in ("SINGLE", "TIME", "DATE", "ID", "CURSOR", "BUDGET", "CUSTOM"):
        assert f'"strategy":"{code}"' in message


def test_refused_durations_list_the_units() -> None:
    for spec in (
        "1 fortnight",
        "",
        time("1 fortnight"),
        '{"strategy":"BUDGET","max_records":5,"min_step":"1 fortnight"}',
    ):
        with pytest.raises(ConfigError, match=r"The units are microsecond \(us\)"):
            _core.strategy(spec)
    with pytest.raises(ConfigError, match="depends on the calendar"):
        _core.strategy('{"strategy":"BUDGET","max_records":5,"min_step":"1 month"}')
    with pytest.raises(ConfigError, match="comes later"):
        _core.strategy('{"strategy":"HYBRID","buckets":4}')


def test_each_cursor_has_its_strategies() -> None:
    fitting = {
        "time": {"null", "1 day", '{"strategy":"DATE","step":"1 day"}', '{"strategy":"CUSTOM"}'},
        "id": {"null", "1000", '{"strategy":"CUSTOM"}'},
        "token": {"null", '{"strategy":"CURSOR"}'},
        "snapshot": {"null"},
    }
    budgets = {
        '{"strategy":"BUDGET","max_records":5}': {"time", "id"},
        '{"strategy":"BUDGET","max_records":5,"min_step":"1 s"}': {"time"},
        '{"strategy":"BUDGET","max_records":5,"min_step":10}': {"id"},
    }
    for spec in {spec for specs in fitting.values() for spec in specs} | set(budgets):
        for cursor_type, specs in fitting.items():
            if spec in specs or cursor_type in budgets.get(spec, set()):
                _core.check_strategy(spec, cursor_type)
            else:
                with pytest.raises(ConfigError, match=f'does not fit cursor_type "{cursor_type}"'):
                    _core.check_strategy(spec, cursor_type)


def test_slice_specs() -> None:
    lo, hi = at(2013, 5, 1, 4), at(2013, 5, 2, 4, 0, 0, 500_000)
    assert _core.slice_spec("time", lo, hi) == '{"from":"2013-05-01T04:00:00Z","to":"2013-05-02T04:00:00.5Z"}'
    assert _core.slice_spec("id", -5, 2**63 - 1) == '{"from":-5,"to":9223372036854775807}'
    assert _core.slice_spec("token", 17, 2**63 - 1) == '{"after":17}'
    assert _core.slice_spec("snapshot", 0, 0) == "{}"


# BUDGET and CUSTOM ----------------------------------------------------------------------------------------------------


def test_bisect_until_it_fits() -> None:
    asked: list[tuple[int, int]] = []

    def estimate(lo: int, hi: int) -> int:
        asked.append((lo, hi))
        return hi - lo

    assert _core.bisect(0, 1024, 256, estimate, "id") == [0, 256, 512, 768, 1024]
    assert asked[0] == (0, 1024)
    assert len(asked) == 7
    assert _core.bisect(0, 1024, 2000, estimate, "id") == [0, 1024]
    assert _core.bisect(5, 5, 10, estimate, "id") == []


def test_bisect_cuts_at_round_places_wherever_it_begins() -> None:
    def estimate(lo: int, hi: int) -> int:
        return hi - lo

    wide = set(_core.bisect(0, 100_000, 64, estimate, "id"))
    assert wide >= set(_core.bisect(12_345, 54_321, 64, estimate, "id")[2:-2])


def test_bisect_stops_at_the_unit() -> None:
    instant = at(2013, 5, 1) + 1_500_000  # where all records lie

    def estimate(lo: int, hi: int) -> int:
        return 1000 if lo <= instant < hi else 0

    points = _core.bisect(at(2013, 5, 1), at(2013, 5, 2), 10, estimate, "time")
    assert {instant, instant + 1} <= set(points)
    assert all(point % SECOND == 0 for point in points if abs(point - instant) > SECOND)
    seconds = _core.bisect(at(2013, 5, 1), at(2013, 5, 2), 10, estimate, "time", "1 s")
    assert min(lengths(seconds, SECOND)) == 1
    hundreds = _core.bisect(0, 1000, 1, lambda lo, hi: hi - lo, "id", 100)
    assert hundreds == list(range(0, 1001, 100))


def test_bisect_limit_and_order() -> None:
    assert _core.bisect(0, 1024, 256, lambda lo, hi: hi - lo, "id", None, 2) == [0, 256, 512]
    assert _core.bisect(0, 1024, 256, lambda lo, hi: hi - lo, "id", None, 2, "newest") == [512, 768, 1024]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (-1, "-1 records"),
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        (2**63, "64 bits"),
        (10**6, "no less for either half"),
    ],
)
def test_bisect_refuses_what_is_no_estimate(answer: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        _core.bisect(at(2013, 1, 1), at(2014, 1, 1), 10, lambda _lo, _hi: answer, "time")


def test_bisect_lets_the_provider_s_error_through() -> None:
    def estimate(_lo: int, _hi: int) -> int:
        raise KeyError("total")

    with pytest.raises(KeyError, match="total"):
        _core.bisect(0, 10, 1, estimate, "id")


@pytest.mark.parametrize(
    ("slices", "problem"),
    [
        ([], "the end is missing, from 0 on"),
        ([(0, 5)], "the end is missing, from 5 on"),
        ([(1, 10)], "slice 0 (1 to 10) leaves a gap after the window's start 0"),
        ([(-1, 10)], "slice 0 (-1 to 10) begins before the window's start 0"),
        ([(0, 5), (4, 10)], "slice 1 (4 to 10) begins before the end of the one before 5"),
        ([(0, 5), (6, 10)], "slice 1 (6 to 10) leaves a gap after the end of the one before 5"),
        ([(5, 10), (0, 5)], "slice 0 (5 to 10) leaves a gap"),
        ([(0, 5), (5, 5), (5, 10)], "slice 1 (5 to 5) is empty"),
        ([(0, 5), (5, 4)], "slice 1 (5 to 4) is reversed"),
        ([(0, 5), (5, 11)], "slice 1 (5 to 11) ends after the window"),
    ],
)
def test_custom_slices_are_the_window(slices: list[tuple[int, int]], problem: str) -> None:
    with pytest.raises(DataError) as caught:
        _core.check_slices(slices, 0, 10, "id")
    assert problem in str(caught.value)
    _core.check_slices([(0, 3), (3, 10)], 0, 10, "id")
    _core.check_slices([], 5, 5, "id")
