"""Interval algebra against the plainest model there is: sets of points."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from strandline import _core

Intervals = list[tuple[int, int]]
intervals = st.lists(st.tuples(st.integers(-30, 30), st.integers(-30, 30)), max_size=12)
TOP = 2**63 - 1


def points(parts: Intervals) -> set[int]:
    return {point for lo, hi in parts for point in range(lo, hi)}


def is_normal(parts: Intervals) -> bool:
    return all(lo < hi for lo, hi in parts) and all(a[1] < b[0] for a, b in pairwise(parts))


@given(a=intervals, b=intervals)
def test_union(a: Intervals, b: Intervals) -> None:
    result = _core.intervals_union(a, b)
    assert is_normal(result)
    assert points(result) == points(a) | points(b)
    assert result == _core.intervals_union(b, a) == _core.intervals_union(result, a)


@given(a=intervals, b=intervals)
def test_subtract(a: Intervals, b: Intervals) -> None:
    result = _core.intervals_subtract(a, b)
    assert is_normal(result)
    assert points(result) == points(a) - points(b)
    assert _core.intervals_subtract(result, b) == result


@given(a=intervals, b=intervals)
def test_intersect(a: Intervals, b: Intervals) -> None:
    result = _core.intervals_intersect(a, b)
    assert is_normal(result)
    assert points(result) == points(a) & points(b)


@given(a=intervals, lo=st.integers(-30, 30), hi=st.integers(-30, 30))
def test_contain(a: Intervals, lo: int, hi: int) -> None:
    assert _core.intervals_contain(a, lo, hi) == (points([(lo, hi)]) <= points(a))


@given(a=intervals, origin=st.integers(-35, 35))
def test_watermark_is_the_end_of_the_covered_prefix(a: Intervals, origin: int) -> None:
    covered = points(a)
    mark = origin
    while mark in covered:
        mark += 1
    assert _core.watermark(a, origin) == mark


@given(a=intervals, origin=st.integers(-35, 35), b=intervals)
def test_more_coverage_never_moves_the_watermark_back(a: Intervals, b: Intervals, origin: int) -> None:
    assert _core.watermark(_core.intervals_union(a, b), origin) >= _core.watermark(a, origin)


def test_the_whole_range() -> None:
    everything = [(-TOP - 1, TOP)]
    assert _core.intervals_union([(-TOP - 1, 0)], [(0, TOP)]) == everything
    assert _core.intervals_subtract(everything, [(0, 1)]) == [(-TOP - 1, 0), (1, TOP)]
    assert _core.watermark(everything, -TOP - 1) == TOP
    assert _core.watermark(everything, TOP) == TOP
    assert _core.watermark([], 5) == 5
