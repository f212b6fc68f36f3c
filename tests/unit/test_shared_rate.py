"""Rates as text, and the turns that runs wait for, against a ledger that only says what a row would."""

from __future__ import annotations

from typing import Any

import pytest

import strandline as sl
from strandline.rate import LONGEST, Rate, Rates, Throttled, parse

pytestmark = pytest.mark.nodb


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("10/s", 10),
        ("600/min", 10),
        ("1000/h", 1000 / 3600),
        ("0.5/s", 0.5),
        (" 3 / 10 s ", 0.3),
        ("86400/day", 1),
        ("5/second", 5),
    ],
)
def test_a_rate_is_calls_per_time(text: str, per_second: float) -> None:
    rate = parse(text, "Shop.rate")
    assert rate is not None
    assert rate.per_second == pytest.approx(per_second)
    assert rate.interval == pytest.approx(1 / per_second)


@pytest.mark.parametrize("wrong", ["10", "10/", "/s", "0/s", "-1/s", "10/m", "10/0 s", "ten/s", 10, 1.5, ("10", "s")])
def test_what_is_no_rate(wrong: Any) -> None:
    with pytest.raises(sl.ConfigError, match=r"Shop\.rate is "):
        parse(wrong, "Shop.rate")


def test_no_rate_is_no_rate() -> None:
    assert parse(None, "Shop.rate") is None


class Row:
    """The row of one key, by the arithmetic of sql/queries/rate.sql, on a clock that a wait moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tat = 0.0
        self.per_second: float | None = None
        self.burst = 1.0
        self.asked = 0
        self.closed = False

    def rate_declare(self, key: str, per_second: float, burst: float) -> None:
        self.per_second, self.burst = per_second, burst

    def rate_take(self, key: str, n: int, longest: float) -> float | None:
        self.asked += 1
        if self.per_second is None:
            return None
        tat = max(self.tat, self.now)
        if tat - self.now + (n - self.burst) / self.per_second > longest:
            return None
        self.tat = tat + n / self.per_second
        return max(0.0, self.tat - self.now - self.burst / self.per_second)

    def rate_push(self, key: str, seconds: float) -> None:
        ahead = (self.burst - 1) / self.per_second if self.per_second else 0.0
        self.tat = max(self.tat, self.now + seconds + ahead)

    def rate_wait(self, key: str) -> float:
        self.asked += 1
        ahead = (self.burst - 1) / self.per_second if self.per_second else 0.0
        return max(0.0, self.tat - self.now - ahead)

    def close(self) -> None:
        self.closed = True

    def wait(self, seconds: float) -> None:
        self.now += seconds


def made() -> tuple[Row, Rates]:
    row = Row()
    return row, Rates(lambda: row)  # type: ignore[arg-type,return-value] # it answers what a ledger would


def test_calls_are_spread_evenly() -> None:
    row, rates = made()
    starts = []
    for _ in range(21):
        rates.turn("shop", Rate(10), 1, row.wait)
        starts.append(row.now)
    assert starts == pytest.approx([1000 + i / 10 for i in range(21)])


def test_a_page_of_several_calls_takes_as_many_places() -> None:
    row, rates = made()
    for cost in (1, 5, 1):
        rates.turn("shop", Rate(10), cost, row.wait)
    assert row.now == pytest.approx(1000.6)
    with pytest.raises(sl.ConfigError, match="ask for fewer"):
        rates.turn("shop", Rate(10), 1000, row.wait)


def test_a_long_line_is_left_and_nothing_reserved() -> None:
    row, rates = made()
    row.rate_declare("shop", 10, 1)
    row.rate_push("shop", LONGEST + 5)
    before = row.tat
    with pytest.raises(Throttled) as caught:
        rates.turn("shop", Rate(10), 1, row.wait)
    assert caught.value.pause == pytest.approx(LONGEST + 5)
    assert (row.tat, row.now) == (before, 1000.0)


def test_a_pause_that_comes_while_waiting_is_heard() -> None:
    """Who waits for ten seconds has no place yet; pushed meanwhile, it waits for the new end."""
    row, rates = made()
    row.rate_declare("shop", 1, 1)
    row.rate_push("shop", 10)

    def wait(seconds: float) -> None:
        row.wait(seconds)
        if row.now < 1009.5:
            row.rate_push("shop", 8)

    rates.turn("shop", Rate(1), 1, wait)
    assert row.now == pytest.approx(1017)


def test_without_a_rate_only_pauses_count_and_the_ledger_is_asked_once_a_second() -> None:
    row, rates = made()
    for _ in range(100):
        rates.free("shop", row.wait)
    assert row.asked == 1
    assert row.now == 1000.0


def test_a_pause_of_this_process_is_known_at_once() -> None:
    row, rates = made()
    rates.free("shop", row.wait)
    rates.push("shop", LONGEST + 60)
    with pytest.raises(Throttled) as caught:
        rates.free("shop", row.wait)
    assert caught.value.pause == pytest.approx(LONGEST + 60, abs=1)
    assert row.asked == 1
    assert row.tat == 1000.0 + LONGEST + 60


def test_a_key_without_a_rate_of_its_own_keeps_that_of_others() -> None:
    row, rates = made()
    rates.turn("shop", None, 1, row.wait)
    rates.turn("shop", None, 1, row.wait)
    assert row.now == 1000.0  # nobody has given it a rate
    row.rate_declare("shop", 2, 1)
    for _ in range(3):
        rates.turn("shop", None, 1, row.wait)
    assert row.now == pytest.approx(1001)


def test_the_connection_is_closed() -> None:
    row, rates = made()
    rates.close()
    assert not row.closed  # it was never opened
    rates.free("shop", row.wait)
    rates.close()
    assert row.closed
