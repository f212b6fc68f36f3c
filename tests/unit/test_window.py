"""Windows: what a user may write, what the bounds become, and the class that providers see."""

from __future__ import annotations

import datetime as dt
import pickle
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from strandline import _core
from strandline.errors import ConfigError
from strandline.window import Window, resolve, strategy

NEW_YORK = "America/New_York"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NAIVE = dt.datetime(2013, 5, 1)  # noqa: DTZ001 that it has no zone is what it is for
NOW = dt.datetime(2026, 3, 10, 12, 30, tzinfo=dt.UTC)


def us(value: dt.datetime) -> int:
    return (value - EPOCH) // dt.timedelta(microseconds=1)


def at(*parts: int, zone: str = "UTC") -> int:
    return us(dt.datetime(*parts, tzinfo=ZoneInfo(zone)))  # type: ignore[misc,arg-type] # year, month, day, ...


def ask(window: object, cursor_type: str = "time", zone: str = "UTC") -> tuple[int | None, int | None]:
    return resolve(window, cursor_type=cursor_type, time_zone=zone, now=us(NOW))


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("2013", (2013, 1, 1), (2014, 1, 1)),
        ("2012-Q1", (2012, 1, 1), (2012, 4, 1)),
        ("2013-Q4", (2013, 10, 1), (2014, 1, 1)),
        ("2013-05", (2013, 5, 1), (2013, 6, 1)),
        ("2013-12", (2013, 12, 1), (2014, 1, 1)),
        ("2013-W07", (2013, 2, 11), (2013, 2, 18)),
        ("2013-W01", (2012, 12, 31), (2013, 1, 7)),
        ("2020-W53", (2020, 12, 28), (2021, 1, 4)),
        ("2012-02-29", (2012, 2, 29), (2012, 3, 1)),
        ("2013-05-01/2013-06-01", (2013, 5, 1), (2013, 6, 1)),
        (" 2013-05-01 / 2013-06-01 ", (2013, 5, 1), (2013, 6, 1)),
        ("2013/2014", (2013, 1, 1), (2014, 1, 1)),
        ("2013-Q2/2013-W40", (2013, 4, 1), (2013, 9, 30)),
        ("2013-05-01T04:00/2013-05-01 05:30:15", (2013, 5, 1, 4), (2013, 5, 1, 5, 30, 15)),
        ("2013-05-01/2013-05-01", (2013, 5, 1), (2013, 5, 1)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Asia/Kathmandu"])
def test_texts_are_read_in_the_zone(text: str, start: tuple[int, ...], stop: tuple[int, ...], zone: str) -> None:
    assert ask(text, zone=zone) == (at(*start, zone=zone), at(*stop, zone=zone))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2013-05-01T04:00Z", at(2013, 5, 1, 4)),
        ("2013-05-01t04:00:00z", at(2013, 5, 1, 4)),
        ("2013-05-01T04", at(2013, 5, 1, 8)),
        ("2013-05-01T04:00+02:00", at(2013, 5, 1, 2)),
        ("2013-05-01T04:00:00.5-0130", at(2013, 5, 1, 5, 30, 0, 500_000)),
        ("2013-05-01T04:00:00.000001+05", at(2013, 4, 30, 23, 0, 0, 1)),
        ("2013-05-01T04:00:00,123456000Z", at(2013, 5, 1, 4, 0, 0, 123_456)),
        ("-7 days", us(NOW) - 7 * 86_400_000_000 + 3_600_000_000),  # the clocks of New York changed on March 8
        ("-1 week", us(NOW) - 7 * 86_400_000_000 + 3_600_000_000),
        ("-168 h", us(NOW) - 7 * 86_400_000_000),
        ("+1 day", us(NOW) + 86_400_000_000),
        ("-1 month", at(2026, 2, 10, 8, 30, zone=NEW_YORK)),
        ("-1 quarter", at(2025, 12, 10, 8, 30, zone=NEW_YORK)),
        ("-1 year", at(2025, 3, 10, 8, 30, zone=NEW_YORK)),
    ],
)
def test_bounds(text: str, value: int) -> None:
    assert _core.parse_bound(text, NEW_YORK, us(NOW), "time") == value
    assert ask(f"{text}/", zone=NEW_YORK) == (value, None)
    assert ask(f"/{text}", zone=NEW_YORK) == (None, value)
    assert ask((None, text), zone=NEW_YORK) == (None, value)


def test_a_month_back_from_the_31st_is_the_last_day() -> None:
    assert _core.shift(at(2024, 3, 31, 10), "-1 month", "UTC") == at(2024, 2, 29, 10)
    assert _core.shift(at(2024, 2, 29), "1 year", "UTC") == at(2025, 2, 28)
    assert _core.shift(at(2023, 12, 31), "2 months", "UTC") == at(2024, 2, 29)


def test_open_sides_and_durations_alone() -> None:
    assert ask(None) == ask("/") == ask((None, None)) == (None, None)
    assert ask("-7 days") == ask("-7 days/") == ask(dt.timedelta(days=-7)) == (us(NOW) - 7 * 86_400_000_000, None)
    assert ask(None, cursor_type="token") == (None, None)


def test_python_values() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, stop = dt.datetime(2013, 5, 1, 0, 0, 0, 1, tzinfo=berlin), dt.datetime(2013, 6, 1, tzinfo=dt.UTC)
    assert ask((start, stop)) == ask([start, stop]) == ask(Window(start, stop)) == (us(start), us(stop))
    assert ask(dt.date(2013, 5, 1), zone=NEW_YORK) == ask("2013-05-01", zone=NEW_YORK)
    assert ask((dt.date(2013, 5, 1), None), zone=NEW_YORK) == (at(2013, 5, 1, zone=NEW_YORK), None)
    assert ask((dt.timedelta(hours=-1), "+0 s")) == (us(NOW) - 3_600_000_000, us(NOW))


def test_ids() -> None:
    assert ask("100/200", "id") == ask((100, "200"), "id") == ask(Window(100, 200), "id") == (100, 200)
    assert ask("/200", "id") == (None, 200)
    assert ask("-5/", "id") == (-5, None)
    assert ask((-(2**63), 2**63 - 1), "id") == (-(2**63), 2**63 - 1)


def test_local_times_that_occur_twice_or_never() -> None:
    # In New York 2013-11-03 01:30 happened twice, and the first one counts; 2013-03-10 02:30 did not happen, 03:00 came
    # after 01:59.
    assert _core.parse_bound("2013-11-03T01:30", NEW_YORK, 0, "time") == at(2013, 11, 3, 5, 30)
    assert _core.parse_bound("2013-03-10T02:30", NEW_YORK, 0, "time") == at(2013, 3, 10, 7)
    assert _core.parse_bound("2017-10-15", "America/Sao_Paulo", 0, "time") == at(2017, 10, 15, 3)
    assert _core.parse_bound("2011-12-30", "Pacific/Apia", 0, "time") == at(2011, 12, 30, 10)
    assert ask("2011-12-30", zone="Pacific/Apia") == (at(2011, 12, 30, 10),) * 2  # a day that Apia skipped is empty
    assert _core.parse_bound("2013-04-07T01:45", "Australia/Lord_Howe", 0, "time") == at(2013, 4, 6, 14, 45)


def test_the_limits_of_time() -> None:
    first, last = at(1, 1, 1), at(9999, 12, 31, 23, 59, 59, 999_999)
    assert ask("0001-01-01T00:00Z/9999-12-31T23:59:59.999999Z") == (first, last)
    assert (_core.rfc3339(first), _core.rfc3339(last)) == ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    whole = Window.from_bounds(first, last, time_zone="Asia/Kathmandu")
    assert (us(whole.start), us(whole.stop)) == (first, last)  # type: ignore[arg-type] # datetimes, for time
    for text, zone in (("9999", "UTC"), ("0001", "Europe/Berlin"), ("-3000 years/", "UTC"), ("+9000 years/", "UTC")):
        with pytest.raises(ConfigError, match="years 1 to 9999"):
            ask(text, zone=zone)
    with pytest.raises(ConfigError, match="years 1 to 9999"):
        Window.from_bounds(first - 1, last)
    with pytest.raises(ConfigError, match="64 bits"):
        ask((2**63, None), "id")


def test_rules_go_on_where_the_listed_transitions_end() -> None:
    for zone in (NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"):
        for year in (2037, 2038, 2100, 9000):
            for month in (1, 7):
                instant = dt.datetime(year, month, 3, tzinfo=ZoneInfo(zone))
                offset = instant.utcoffset()
                assert offset is not None
                assert _core.local(us(instant), zone) == offset.total_seconds()


@pytest.mark.parametrize(
    ("window", "cursor_type", "message"),
    [
        ("", "time", "is not understood"),
        ("yesterday", "time", "no date, time, calendar unit"),
        ("2013-13", "time", "months are 01 to 12"),
        ("2013-Q5", "time", "Q1 to Q4"),
        ("2013-W53", "time", "W01 to W52"),
        ("2013-02-29", "time", "no such date"),
        ("0000", "time", "no year 0000"),
        ("2013-05-01T24:00/", "time", "hours are 00 to 23"),
        ("2013-05-01T00:00:00.0000001Z/", "time", "microsecond"),
        ("2013-05-01T00:00+25:00/", "time", "offset"),
        ("2013-05-01T00:00Zulu/", "time", "no date, time"),
        ("2013-05-01T04:00Z", "time", 'write "2013-05-01T04:00Z/"'),
        ("2013/2014/2015", "time", 'more than one "/"'),
        ("2014/2013", "time", "reversed: it starts at 2014-01-01T00:00:00Z and stops before, at 2013-01-01T00:00:00Z"),
        ("7 days", "time", "no date, time"),
        ("+7 days", "time", "in the future"),
        ("-7 parsecs", "time", '"parsecs" is unknown'),
        ("100/200", "time", "no date, time"),
        ("200/100", "id", "reversed: it starts at 200 and stops before, at 100"),
        ("100", "id", 'write "100/"'),
        ("a/b", "id", 'cursor_type is "id"'),
        ("99999999999999999999/", "id", "64 bits"),
        ("2013-05-01/", "id", "no whole number"),
        ((NAIVE, None), "time", "start datetime.datetime(2013, 5, 1, 0, 0) has no time zone"),
        ((dt.datetime(2014, 5, 1, tzinfo=dt.UTC), "2013"), "time", "reversed"),
        ((1, 2), "time", "ints are for cursor_type"),
        ((True, 2), "id", "start True is no int"),
        ((1.5, None), "id", "start 1.5 is no int"),
        ((dt.datetime(2013, 5, 1, tzinfo=dt.UTC), None), "id", "is no int"),
        (("2013",), "time", "has 1 parts"),
        (2013, "time", "is not understood"),
        (100, "id", "bounds are ints"),
        (dt.date(2013, 5, 1), "id", "is not understood"),
        (dt.datetime(2013, 5, 1, tzinfo=dt.UTC), "time", "is not understood"),
        (dt.timedelta(days=1), "time", "is not understood"),
        ({"start": 1}, "time", "is not understood"),
        (Window(1, 2), "time", "is a window of id"),
        ("2013", "token", "goes on at its last token"),
        ((1, 2), "snapshot", "lists everything"),
        ("2013", "colour", '"time", "id", "token", "snapshot"'),
    ],
)
def test_refused(window: Any, cursor_type: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask(window, cursor_type)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Mars/Olympus", "Europe/Berlin"),
        ("america/new_york", 'Did you mean "America/New_York"?'),
        ("berlin", 'Did you mean "Europe/Berlin"?'),
        ("", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("/etc/localtime", "UTC"),
        ("EST5EDT,M3.2.0,M11.1.0", "UTC"),
    ],
)
def test_unknown_zone(zone: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask("2013", zone=zone)
    assert "time zone" in str(caught.value)
    assert hint in str(caught.value)


class TestWindow:
    week = Window(
        dt.datetime(2013, 3, 4, tzinfo=ZoneInfo(NEW_YORK)),
        dt.datetime(2013, 3, 11, tzinfo=ZoneInfo(NEW_YORK)),
        time_zone=NEW_YORK,
    )

    def test_sides_are_in_the_zone(self) -> None:
        assert str(self.week.start) == "2013-03-04 00:00:00-05:00"
        assert str(self.week.stop) == "2013-03-11 00:00:00-04:00"
        assert isinstance(self.week.start, dt.datetime)
        assert self.week.start.tzinfo is ZoneInfo(NEW_YORK)

    def test_between_is_half_open_in_utc(self) -> None:
        assert self.week.between("from", "to") == {"from": "2013-03-04T05:00:00Z", "to": "2013-03-11T04:00:00Z"}
        assert Window(100, 200).between("since", "until") == {"since": 100, "until": 200}

    def test_last_is_the_inclusive_end(self) -> None:
        assert str(self.week.last("1 day")) == "2013-03-10 00:00:00-05:00"
        assert str(self.week.last("1 s")) == "2013-03-10 23:59:59-04:00"
        assert str(self.week.last(dt.timedelta(microseconds=1))) == "2013-03-10 23:59:59.999999-04:00"
        assert self.week.last("1 year") == self.week.start
        assert Window(100, 200).last(1) == 199
        assert Window(100, 200).last(1000) == 100
        for step in ("-1 day", 1, "0 s", dt.timedelta(0), None):
            with pytest.raises(ConfigError, match="last"):
                self.week.last(step)  # type: ignore[arg-type] # that is the point
        for step in ("1 day", 0, True):
            with pytest.raises(ConfigError, match="last"):
                Window(1, 2).last(step)

    def test_split(self) -> None:
        days = self.week.split("1 day")
        assert len(days) == 7
        assert (days[0].start, days[-1].stop) == (self.week.start, self.week.stop)
        assert all(day.stop == later.start for day, later in pairwise(days))
        assert days[-1].bounds[1] - days[-1].bounds[0] == 23 * 3_600_000_000
        assert self.week.split(None) == [self.week]
        assert Window(5, 25).split(10) == [Window(5, 10), Window(10, 20), Window(20, 25)]
        assert Window(5, 5).split(10) == []
        assert len(self.week.split(dt.timedelta(days=7))) == 2  # counted from 1970 in UTC, on Thursdays
        with pytest.raises(ConfigError, match="asks the provider"):
            self.week.split({"strategy": "CUSTOM"})
        with pytest.raises(ConfigError, match="does not fit"):
            self.week.split(1000)

    def test_in(self) -> None:
        assert self.week.start in self.week
        assert self.week.stop not in self.week
        assert all(day in self.week for day in self.week.split("1 day"))
        assert self.week not in self.week.split("1 day")[0]
        assert 199 in Window(100, 200)
        assert 200 not in Window(100, 200)
        assert Window(100, 200) not in self.week
        for item in (5, NAIVE, "2013-03-05"):
            with pytest.raises(ConfigError):
                assert item in self.week

    def test_a_value(self) -> None:
        again = Window.from_bounds(*self.week.bounds, time_zone=NEW_YORK)
        assert again == self.week
        assert {again: 1}[self.week] == 1
        assert pickle.loads(pickle.dumps(self.week)) == self.week
        assert pickle.loads(pickle.dumps(Window(1, 2))) == Window(1, 2)
        assert again != Window.from_bounds(*self.week.bounds)
        assert Window(1, 2) != Window.from_bounds(1, 2)
        assert again != "week"
        assert ask(str(again)) == ask(again)
        with pytest.raises(AttributeError, match="never changes"):
            again.start = 5  # type: ignore[misc] # that is the point
        with pytest.raises(AttributeError, match="never changes"):
            del again.start

    def test_repr_is_short(self) -> None:
        assert repr(self.week) == "<Window 2013-03-04 to 2013-03-11 America/New_York>"
        assert repr(Window(1, 2)) == "<Window 1 to 2>"
        hour = Window.from_bounds(0, 3_600_000_000)
        assert repr(hour) == "<Window 1970-01-01T00:00:00+00:00 to 1970-01-01T01:00:00+00:00 UTC>"

    def test_both_instants_of_a_repeated_hour_are_distinct(self) -> None:
        first = dt.datetime(2013, 11, 3, 1, 30, tzinfo=ZoneInfo(NEW_YORK))
        window = Window(first, first.replace(fold=1), time_zone=NEW_YORK)
        assert window.bounds[1] - window.bounds[0] == 3_600_000_000
        assert first in window
        assert first.replace(fold=1) not in window

    @pytest.mark.parametrize(
        ("start", "stop", "message"),
        [
            (NAIVE, NOW, "no time zone"),
            (NOW, 5, "two aware datetimes, or two ints"),
            (None, NOW, "open sides"),
            (True, 5, "two ints"),
            (NOW, NOW - dt.timedelta(days=1), "reversed"),
            (5, 1, "reversed"),
        ],
    )
    def test_refused(self, start: Any, stop: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            Window(start, stop)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (None, '{"strategy":"SINGLE"}'),
        ("1 week", '{"step":"1 week","strategy":"TIME"}'),
        (1000, '{"step":1000,"strategy":"ID"}'),
        ("1000", '{"step":1000,"strategy":"ID"}'),
        (dt.timedelta(minutes=90), '{"step":"5400000000 microseconds","strategy":"TIME"}'),
        ({"strategy": "TIME", "step": dt.timedelta(hours=1)}, '{"step":"3600000000 microseconds","strategy":"TIME"}'),
        ('{"strategy": "CUSTOM"}', '{"strategy":"CUSTOM"}'),
    ],
)
def test_slice_as_given(given: Any, canonical: str) -> None:
    assert strategy(given) == canonical
    assert strategy(canonical) == canonical


@pytest.mark.parametrize("given", [1.5, True, ["1 week"], {"strategy": object()}, {1, 2}, float("nan"), b"1 week"])
def test_slice_of_a_wrong_type(given: Any) -> None:
    with pytest.raises(ConfigError, match="the slice"):
        strategy(given)
