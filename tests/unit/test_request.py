"""From arguments and attributes to the request that the planner takes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

import strandline as sl
from strandline import request
from strandline.errors import ConfigError
from strandline.request import Ask, Place
from strandline.values import Stream, Value

PLACE = Place(
    ledger_schema="strandline",
    now=1_370_000_000_000_000,
    local_pool="local:here:1:0",
    max_slices=1000,
    actor="me",
)
HOUR = 3_600_000_000


@dataclasses.dataclass
class Flight:
    id: int
    updated_at: dt.datetime
    carrier: str | None


class Flights(sl.Provider):
    name = "flights"
    version = "7"
    primary_key = ("id",)
    cursor_field = "updated_at"
    slice = "1 week"
    lag = "1 hour"
    time_zone = "America/New_York"
    origin = "2013-01-01"
    schema = Flight
    base_url: str

    def next(self, context: sl.Context, cursor: Any) -> sl.Page | None:
        return None


class Ids(sl.Provider):
    name = "ids"
    cursor_type = "id"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page | None:
        return None


class Tokens(sl.Provider):
    name = "tokens"
    cursor_type = "token"

    def next(self, context: sl.Context, cursor: Any) -> sl.Page | None:
        return None


def built(provider: sl.Provider, **asked: Any) -> dict[str, Any]:
    return request.of_provider(provider, Ask(**asked), PLACE)[0]


def flights() -> Flights:
    return Flights(base_url="https://example.org")


def test_a_provider_says_most_of_it() -> None:
    made = built(flights())
    assert made["provenance"]["code"] == "flights"
    assert made["provenance"]["reference"] == f"{__name__}:Flights"
    assert made["provenance"]["version"] == "7"
    assert made["provenance"]["config"] == {"base_url": "https://example.org"}
    assert len(made["provenance"]["source_digest"]) == 64
    assert made["stream"]["schema"] == "public"
    assert made["stream"]["table"] == "flights"
    assert made["stream"]["mode"] == "merge"
    assert made["stream"]["primary_key"] == ["id"]
    assert made["stream"]["columns"] == [
        ["id", "bigint", True],
        ["updated_at", "timestamp with time zone", True],
        ["carrier", "text", False],
    ]
    assert made["cursor"] == {"type": "TIME", "time_zone": "America/New_York", "origin": 1_357_016_400_000_000}
    assert made["lag"] == HOUR
    assert made["strategy"] == {"strategy": "TIME", "step": "1 week"}
    assert made["pool"] == "default"
    assert made["actor"] == "me"
    assert made["trigger"] == {"scheduler": "MANUAL", "job": "flights", "log": None, "type": "MANUAL"}


def test_arguments_win_over_attributes() -> None:
    made = built(
        flights(), into="shop.f", slice="1 day", mode="append", primary_key=(), only="all", order="newest", priority=9,
        delay="5 s", operation="BACKFILL",
    )  # fmt: skip
    assert (made["stream"]["schema"], made["stream"]["table"], made["stream"]["mode"]) == ("shop", "f", "append")
    assert made["stream"]["primary_key"] == []
    assert made["strategy"]["step"] == "1 day"
    assert (made["only"], made["order"], made["priority"], made["operation"]) == ("all", "newest", 9, "BACKFILL")
    assert made["delay"] == 5_000_000


def test_without_a_key_rows_are_appended() -> None:
    made = built(Ids(), window=(0, 100), slice=10)
    assert made["stream"]["mode"] == "append"
    assert made["cursor"]["type"] == "ID"
    assert (made["window"]["lo"], made["window"]["hi"]) == (0, 100)
    assert made["strategy"] == {"strategy": "ID", "step": 10} or made["strategy"]["strategy"] == "ID"


def test_a_text_window_is_left_to_the_planner() -> None:
    made = built(flights(), window="2013")
    assert made["window"] == {"asked": "2013", "text": "2013", "lo": None, "hi": None}


def test_bounds_are_read_here_and_kept_as_asked() -> None:
    start = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    made = built(flights(), window=(start, None))
    assert made["window"]["asked"] == ["2013-01-01T00:00:00Z", None]
    assert (made["window"]["lo"], made["window"]["hi"]) == (1_356_998_400_000_000, None)


def test_a_relative_bound_is_asked_for_as_it_is() -> None:
    made = built(flights(), window=(dt.timedelta(days=-7), None))
    assert made["window"]["asked"] == [f"{-7 * 24 * HOUR} us", None]
    assert made["window"]["lo"] == PLACE.now - 7 * 24 * HOUR


def test_tokens_have_no_window() -> None:
    made = built(Tokens())
    assert made["cursor"]["type"] == "TOKEN"
    assert made["strategy"]["strategy"] == "CURSOR"
    with pytest.raises(ConfigError, match="goes on at the last token"):
        built(Tokens(), window="2013")


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("run-1", {"scheduler": "MANUAL", "job": "flights", "log": "run-1", "type": "MANUAL"}),
        (
            {"scheduler": "AIRFLOW", "job": "dag.task", "log": "2013-01-01"},
            {"scheduler": "AIRFLOW", "job": "dag.task", "log": "2013-01-01", "type": "MANUAL"},
        ),
    ],
)
def test_triggers(trigger: Any, expected: dict[str, Any]) -> None:
    assert built(flights(), trigger=trigger)["trigger"] == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"only": "new"}, "only is 'new'"),
        ({"order": "random"}, "order is 'random'"),
        ({"mode": "replace"}, "mode is 'replace'"),
        ({"mode": "merge", "primary_key": ()}, "matches rows by primary_key"),
        ({"priority": 0}, "priority is 0"),
        ({"priority": True}, "priority is True"),
        ({"delay": 5}, "delay is 5"),
        ({"delay": "-5 s"}, "not negative"),
        ({"trigger": ""}, "trigger is empty"),
        ({"trigger": {"scheduler": "AIRFLOW"}}, "log \\(required\\)"),
        ({"trigger": 17}, "trigger is 17"),
        ({"trigger": {"log": None}}, r"trigger\['log'\] is None, .* or leave trigger= out, for one of its own"),
        ({"trigger": {"log": ""}}, r"trigger\['log'\] is ''"),
        ({"trigger": {"log": "7", "job": None}}, r"trigger\['job'\] is None, .* or leave it out"),
        ({"trigger": {"log": "7", "job": ""}}, r"trigger\['job'\] is ''"),
        ({"deadline": dt.datetime(2013, 1, 1, tzinfo=dt.UTC)}, "has passed before anything can begin"),
        ({"params": {"a": {1, 2}}}, "a"),
        ({"params": [1]}, "params is"),
        ({"deadline": dt.datetime(2013, 1, 1)}, "no time zone"),  # noqa: DTZ001 # the point
        ({"slice": {"strategy": "NO"}}, "NO"),
        ({"slice": 10}, "ID"),
        ({"primary_key": ("a" * 64,)}, "64 bytes"),
        ({"primary_key": ("id", "id")}, "names the column 'id' twice"),
        ({"primary_key": ("_sl_batch",)}, "'_sl_batch', which is reserved"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(flights(), **asked)


def test_a_trigger_finds_its_first_plan_again_after_its_deadline() -> None:
    assert built(flights(), deadline=dt.datetime(2013, 1, 1, tzinfo=dt.UTC), trigger="run 7")["deadline"] is not None


@pytest.mark.parametrize(
    ("given", "key", "slots"),
    [(None, None, None), ("warehouse", "warehouse", None), (("warehouse", 3), "warehouse", 3)],
)
def test_a_mutex_and_its_number_of_slots(given: Any, key: str | None, slots: int | None) -> None:
    class Locked(Ids):
        name = "locked"
        mutex_key = given

    made = built(Locked(), window=(0, 1))
    assert (made["mutex_key"], made["mutex_slots"]) == (key, slots)


def test_what_a_plan_waits_for_is_left_to_whoever_has_the_ledger() -> None:
    assert built(flights(), depends_on=("orders", 7))["depends_on"] == []


def test_a_class_of_a_function_is_local() -> None:
    class Mine(sl.Provider):
        name = "mine"
        cursor_type = "id"

        def next(self, context: sl.Context, cursor: Any) -> sl.Page | None:
            return None

    made = built(Mine(), window=(0, 1))
    assert made["provenance"]["reference"].startswith("local:")
    assert made["pool"] == "local:here:1:0"


def test_a_value_is_known_by_its_content() -> None:
    def digest(rows: list[dict[str, Any]]) -> str:
        made, _ = request.of_value(Value(rows), Ask(into="t"), PLACE)
        assert made["cursor"] is None
        assert made["pool"] == "local:here:1:0"
        return str(made["value"]["digest"])

    assert digest([{"a": 1}]) == digest([{"a": 1}])
    assert digest([{"a": 1}]) != digest([{"a": 2}])


def test_an_iterator_needs_a_key_or_a_mode() -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}

    with pytest.raises(ConfigError, match="cannot be recognised"):
        request.of_value(Stream(rows()), Ask(into="t"), PLACE)
    made, target = request.of_value(Stream(rows()), Ask(into="t", primary_key=("a",)), PLACE)
    assert made["value"] == {"digest": None, "iterator": True}
    assert target.mode == "merge"


def test_a_value_must_say_where_it_goes_and_has_no_window() -> None:
    with pytest.raises(ConfigError, match="say where it goes"):
        request.of_value(Value([{"a": 1}]), Ask(), PLACE)
    with pytest.raises(ConfigError, match="window= is for providers"):
        request.of_value(Value([{"a": 1}]), Ask(into="t", window="2013"), PLACE)
