"""Slices of any window are disjoint, ordered, half-open and together the window, and their grid is the calendar's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from strandline import _core
from strandline.window import Window

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
HOUR = 3_600_000_000
DAY = 24 * HOUR
ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Santiago",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Africa/Casablanca",
    "Asia/Manila",
)
# Where clocks did something remarkable, so that windows meet it more often than once in a thousand years.
REMARKABLE = [
    dt.datetime(2013, 3, 10, tzinfo=dt.UTC),
    dt.datetime(2013, 11, 3, tzinfo=dt.UTC),
    dt.datetime(2017, 10, 15, tzinfo=dt.UTC),
    dt.datetime(2018, 2, 18, tzinfo=dt.UTC),
    dt.datetime(2011, 12, 30, tzinfo=dt.UTC),
    dt.datetime(2013, 4, 7, tzinfo=dt.UTC),
    dt.datetime(2013, 10, 6, tzinfo=dt.UTC),
    dt.datetime(2000, 10, 29, tzinfo=dt.UTC),
    dt.datetime(1993, 8, 21, tzinfo=dt.UTC),
    dt.datetime(1986, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2012, 2, 29, tzinfo=dt.UTC),
    dt.datetime(2037, 11, 1, tzinfo=dt.UTC),
    dt.datetime(1883, 11, 18, tzinfo=dt.UTC),
    dt.datetime(1844, 12, 31, tzinfo=dt.UTC),
]

zones = st.sampled_from(ZONES)
near = st.builds(
    lambda moment, away: (moment - EPOCH) // MICROSECOND + away,
    st.sampled_from(REMARKABLE),
    st.one_of(st.integers(-3 * DAY, 3 * DAY), st.integers(-72, 72).map(lambda hours: hours * HOUR)),
)
far = st.integers(-719_000 * DAY, 2_929_000 * DAY)  # all but the outermost days of the years 1 to 9989
instants = near | far
clock_steps = st.builds(
    "{} {}".format, st.sampled_from([1, 2, 5, 6, 7, 12, 24, 36, 90]), st.sampled_from(["minutes", "hours"])
)
day_steps = st.builds("{} {}".format, st.integers(1, 40), st.sampled_from(["days", "weeks"]))
month_steps = st.builds("{} {}".format, st.integers(1, 30), st.sampled_from(["months", "quarters", "years"]))
fixed_steps = st.integers(10 * 60_000_000, 40 * DAY).map("{} us".format)
steps = clock_steps | day_steps | month_steps | fixed_steps


def pairs(points: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(points))


@given(zone=zones, lo=instants, length=st.integers(0, 20 * DAY), step=steps)
@example(zone="Pacific/Apia", lo=1_325_066_400_000_000, length=5 * DAY, step="1 days")
@example(zone="UTC", lo=0, length=1, step="1 days")
def test_slices_are_the_window(zone: str, lo: int, length: int, step: str) -> None:
    hi = lo + length
    slices = pairs(_core.cut(step, zone, lo, hi))
    _core.check_slices(slices, lo, hi)
    assert all(a < b for a, b in slices)
    assert [a for a, _ in slices[1:]] == [b for _, b in slices[:-1]]
    assert (lo == hi) == (not slices)
    if slices:
        assert (slices[0][0], slices[-1][1]) == (lo, hi)
    assert pairs(_core.cut(step, zone, lo, hi, None, "newest")) == slices
    windows = Window.from_bounds(lo, hi, time_zone=zone).split(step)
    assert [window.bounds for window in windows] == slices
    for limit in (1, 2):
        assert pairs(_core.cut(step, zone, lo, hi, limit)) == slices[:limit]
        assert pairs(_core.cut(step, zone, lo, hi, limit, "newest")) == slices[-limit:]


@given(zone=zones, lo=instants, cuts=st.tuples(st.integers(0, 20 * DAY), st.integers(0, 20 * DAY)), step=steps)
def test_a_part_of_a_window_is_cut_where_the_whole_is(zone: str, lo: int, cuts: tuple[int, int], step: str) -> None:
    whole = _core.cut(step, zone, lo, lo + 20 * DAY)
    first, last = lo + min(cuts), lo + max(cuts)
    assert _core.cut(step, zone, first, last)[1:-1] == [point for point in whole if first < point < last]


def first_instant(local: dt.datetime, zone: ZoneInfo) -> int:
    """The first instant at which the wall clock shows `local` or later, by bisection over zoneinfo alone."""

    def reached(instant: int) -> bool:
        shown = (EPOCH + dt.timedelta(microseconds=instant)).astimezone(zone).replace(tzinfo=None)
        return shown >= local

    shown = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    exact = [time for time in shown if time.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) == local]
    if exact:  # twice, where clocks go back: perhaps for a minute only, which a scan would pass over
        return min((time - EPOCH) // MICROSECOND for time in exact)
    # The clock jumps over it, and is monotone there.
    lo = (local.replace(tzinfo=dt.UTC) - EPOCH) // MICROSECOND - 26 * HOUR
    while not reached(lo + HOUR):
        lo += HOUR
    hi = lo + HOUR
    while hi - lo > 1:
        half = (lo + hi) // 2
        lo, hi = (lo, half) if reached(half) else (half, hi)
    return hi


def midnights(step: str, around: dt.datetime) -> Iterator[dt.datetime]:
    """The aligned local midnights of a calendar step near a local time, by plain date arithmetic."""
    number_text, unit = step.split()
    count = int(number_text)
    if unit in ("days", "weeks"):
        length = count if unit == "days" else 7 * count
        first = dt.date(1970, 1, 1).toordinal() if unit == "days" else dt.date(1970, 1, 5).toordinal()
        block = (around.toordinal() - first) // length
        for number in range(block - 1, block + 4):
            yield dt.datetime.fromordinal(first + number * length)
        return
    length = count * {"months": 1, "quarters": 3, "years": 12}[unit]
    block = (around.year * 12 + around.month - 1) // length
    for number in range(block - 1, block + 3):
        if length * number >= 12:
            yield dt.datetime.combine(dt.date(number * length // 12, number * length % 12 + 1, 1), dt.time())


@example(zone="America/St_Johns", instant=972_777_600_000_000, step="1 days")  # back to 23:01 at 00:01
@given(zone=zones, instant=near | st.integers(-20_000 * DAY, 60_000 * DAY), step=day_steps | month_steps)
def test_calendar_boundaries_are_those_of_zoneinfo(zone: str, instant: int, step: str) -> None:
    info = ZoneInfo(zone)
    local = (EPOCH + dt.timedelta(microseconds=instant)).astimezone(info).replace(tzinfo=None)
    expected = sorted({first_instant(midnight, info) for midnight in midnights(step, local)})
    following = next(point for point in expected if point > instant)
    assert _core.cut(step, zone, instant, following + 1) == [instant, following, following + 1]


@given(zone=zones, instant=instants)
def test_bounds_and_datetimes_are_exact_both_ways(zone: str, instant: int) -> None:
    window = Window.from_bounds(instant, instant + 1, time_zone=zone)
    assert isinstance(window.start, dt.datetime)
    assert (window.start - EPOCH) // MICROSECOND == instant
    assert isinstance(window.stop, dt.datetime)
    assert Window(window.start, window.stop, time_zone=zone) == window
    text = _core.rfc3339(instant)
    assert _core.parse_bound(text, zone, 0, "time") == instant
    assert (dt.datetime.fromisoformat(text) - EPOCH) // MICROSECOND == instant
    offset = window.start.utcoffset()
    assert offset is not None
    assert _core.local(instant, zone) == offset.total_seconds()


ids = st.integers(-(2**63), 2**63 - 1)


@given(lo=ids, length=st.integers(0, 10_000), step=st.integers(1, 2**63 - 1))
def test_id_slices_are_the_window(lo: int, length: int, step: int) -> None:
    hi = min(lo + length, 2**63 - 1)
    step = max(step, (hi - lo) // 500 + 1) if step < 20 else step
    points = _core.cut(str(step), "UTC", lo, hi)
    _core.check_slices(pairs(points), lo, hi, "id")
    assert points[1:-1] == [lo - lo % step + step * number for number in range(1, len(points) - 1)]
    assert all(point % step == 0 for point in points[1:-1])
    assert _core.cut(str(step), "UTC", lo, hi, None, "newest") == points


@given(
    records=st.lists(st.integers(-2000, 2000), max_size=60),
    lo=st.integers(-2000, 0),
    hi=st.integers(0, 2000),
    most=st.integers(1, 9),
)
def test_bisected_slices_are_the_window_and_fit(records: list[int], lo: int, hi: int, most: int) -> None:
    def count(a: int, b: int) -> int:
        return sum(a <= record < b for record in records)

    slices = pairs(_core.bisect(lo, hi, most, count, "id"))
    _core.check_slices(slices, lo, hi, "id")
    assert all(count(a, b) <= most or b - a == 1 for a, b in slices)
    assert pairs(_core.bisect(lo, hi, most, count, "id", None, None, "newest")) == slices
