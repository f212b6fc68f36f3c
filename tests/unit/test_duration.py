"""Durations: every spelling, the canonical one, and messages that list the units."""

from __future__ import annotations

import pytest

from strandline import _core
from strandline.errors import ConfigError

SECOND = 1_000_000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1 week", "1 week"),
        ("week", "1 week"),
        ("7 days", "7 days"),
        ("10 min", "10 minutes"),
        ("10min", "10 minutes"),
        ("0 s", "0 seconds"),
        ("5 sec", "5 seconds"),
        (" 1  Second ", "1 second"),
        ("-7 days", "-7 days"),
        ("- 7 d", "-7 days"),
        ("-1 d", "-1 day"),
        ("+3 h", "3 hours"),
        ("2 hrs", "2 hours"),
        ("1 month", "1 month"),
        ("2 quarters", "2 quarters"),
        ("1 y", "1 year"),
        ("2 YEARS", "2 years"),
        ("90 us", "90 microseconds"),
        ("9999 years", "9999 years"),
    ],
)
def test_every_spelling_has_one_canonical_text(text: str, canonical: str) -> None:
    parsed = _core.parse_duration(text)
    assert parsed["text"] == canonical
    assert _core.parse_duration(canonical) == parsed


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("60 s", 60 * SECOND),
        ("15 min", 900 * SECOND),
        ("3 h", 10_800 * SECOND),
        ("1 day", DAY),
        ("1 week", 7 * DAY),
        ("-2 days", -2 * DAY),
        ("0 s", 0),
        ("5 us", 5),
    ],
)
def test_fixed_length(text: str, microseconds: int) -> None:
    assert _core.duration_us(text) == microseconds


@pytest.mark.parametrize("text", ["1 month", "2 quarters", "1 year"])
def test_calendar_units_have_no_fixed_length(text: str) -> None:
    with pytest.raises(ConfigError, match="depends on the calendar"):
        _core.duration_us(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("7", "no unit"),
        ("-", "no unit"),
        ("7 parsecs", 'unit "parsecs" is unknown'),
        ("5 m", 'unit "m" is unknown'),
        ("1.5 h", "not whole"),
        ("1,5 h", "not whole"),
        ("--1 day", "unknown"),
        ("1 day 2 h", "unknown"),
        ("10001 years", "longer than 10,000 years"),
        ("99999999999999999999999999 s", "longer than 10,000 years"),
        ("ss", "unknown"),
        ("1 day\0", "unknown"),
        ("1 " + "x" * 5000, "unknown"),
    ],
)
def test_refused_with_the_units(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _core.parse_duration(text)
    message = str(caught.value)
    assert problem in message
    assert "microsecond (us), second (s), minute (min), hour (h), day (d), week (w), month (mo), quarter (q)" in message
    assert len(message) < 700
