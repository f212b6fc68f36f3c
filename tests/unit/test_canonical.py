"""The canonical form: published vectors, errors with their paths, Python types, profiles."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import hashlib
import json
import struct
import sys
import types
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import number_corpus
import pytest
import reference_canonical
import typed_values

from strandline import _core
from strandline.errors import ConfigError, DataError

VECTORS = Path(__file__).parents[1] / "vectors"


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in found]


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("profile", "defaults") if name in case}


@pytest.mark.parametrize("case", cases("canonical_json"))
def test_json_text(case: dict[str, Any]) -> None:
    canonical = case["canonical"].encode()
    assert _core.canonical_json(case["json"], **options(case)) == canonical
    assert _core.canonical_json(case["json"].encode(), **options(case)) == canonical
    assert reference_canonical.canonical_json(case["json"], **options(case)) == canonical
    assert _core.digest_json(case["json"], **options(case)).hex() == case["sha256"]
    assert hashlib.sha256(canonical).hexdigest() == case["sha256"]
    assert _core.canonical_json(canonical, **options(case)) == canonical


@pytest.mark.parametrize("case", cases("canonical_values"))
def test_typed_values(case: dict[str, Any]) -> None:
    value = typed_values.value(case["value"])
    canonical = case["canonical"].encode()
    assert _core.canonical(value, **options(case)) == canonical
    assert reference_canonical.canonical(value, **options(case)) == canonical
    assert _core.digest(value, **options(case)).hex() == hashlib.sha256(canonical).hexdigest() == case["sha256"]


@pytest.mark.parametrize("case", cases("refused"))
def test_refused(case: dict[str, Any]) -> None:
    canonical: Any = _core.canonical_json if "json" in case else _core.canonical
    value = case["json"] if "json" in case else typed_values.value(case["value"])
    with pytest.raises(DataError) as error:
        canonical(value, **options(case))
    assert str(error.value).startswith(case["path"] + ": ")
    assert error.value.context["path"] == case["path"]


@pytest.mark.parametrize("case", number_corpus.VECTORS["numbers"], ids=lambda case: case["bits"])
def test_numbers(case: dict[str, str]) -> None:
    number = typed_values.value({"$double": case["bits"]})
    assert _core.number(number) == reference_canonical.number(number) == case["text"]
    assert _core.canonical(number) == case["text"].encode()


@pytest.mark.parametrize("bits", number_corpus.VECTORS["refused"])
def test_numbers_that_are_not_finite(bits: str) -> None:
    number = typed_values.value({"$double": bits})
    with pytest.raises(DataError, match="not finite"):
        _core.number(number)
    with pytest.raises(DataError, match="not finite"):
        _core.canonical(number)


@pytest.mark.parametrize("lines", [1_000, 10_000, 1_000_000])
def test_published_checksums_of_ecmascript_numbers(lines: int) -> None:
    assert number_corpus.checksum(lines) == number_corpus.CHECKSUMS[lines]


def test_number_lines_leave_out_what_is_not_finite() -> None:
    bits = struct.pack("<3d", 1.5, float("nan"), -0.0)
    assert _core.number_lines(bits) == b"3ff8000000000000,1.5\n8000000000000000,0\n"


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Point(1, 2.0), "[1,2]"),
        (collections.OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
        (types.MappingProxyType({"b": 1, "a": (2, [])}), '{"a":[2,[]],"b":1}'),
        (2**53, "9007199254740992"),
        (float(2**53), "9007199254740992"),
        (10**22, "1" + "0" * 22),
        (1e22, "1e+22"),
        (-(2**63), "-9223372036854775808"),
        (2**63, "9223372036854775808"),
        (-(10**27) - 1, "-1" + "0" * 26 + "1"),
        (dt.datetime(2013, 11, 3, 1, 30, tzinfo=ZoneInfo("America/New_York")), '"2013-11-03T05:30:00Z"'),
        (dt.datetime(2013, 11, 3, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")), '"2013-11-03T06:30:00Z"'),
        ("\U0001f602 caf\u00e9\ufb33", '"\U0001f602 caf\u00e9\ufb33"'),
        ({"": None}, '{"":null}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_python_values(value: object, text: str) -> None:
    assert _core.canonical(value).decode() == text
    assert reference_canonical.canonical(value).decode() == text


def test_integers_beyond_pythons_own_limit_of_digits() -> None:
    limit = sys.get_int_max_str_digits()
    digits = "7" + "0123456789" * (limit // 10 + 50)
    value = sum(int(digits[i : i + 9]) * 10 ** max(0, len(digits) - i - 9) for i in range(0, len(digits), 9))
    assert len(digits) > limit
    assert _core.canonical(value).decode() == digits
    assert _core.canonical(-value).decode() == "-" + digits
    assert _core.canonical_json(digits).decode() == digits


@dataclasses.dataclass
class Filter:
    origin: str = "JFK"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (b"x", "hexadecimal or base64"),
        (bytearray(b"x"), "hexadecimal or base64"),
        (memoryview(b"x"), "hexadecimal or base64"),
        ({1, 2}, "sorted list"),
        (frozenset(), "sorted list"),
        (Filter(), r"dataclasses\.asdict"),
        (dt.timedelta(days=1), "seconds or ISO 8601"),
        (dt.time(12), "no canonical form"),
        (dt.datetime(2013, 1, 1), "give it a time zone"),  # noqa: DTZ001 - the naive one is the subject
        (object(), "no canonical form"),
        (1j, "no canonical form"),
        ((i for i in ()), "no canonical form"),
        (range(3), "no canonical form"),
        ("\udcff", "lone surrogate"),
        ({"\ud800": 1}, "key with a lone surrogate"),
        ({1: 2}, r"the key 1 \(int\) is not a string"),
        ({b"x": 2}, r"the key b'x' \(bytes\) is not a string"),
        (float("nan"), "not finite"),
        (Decimal("sNaN"), "not finite"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refused_values_say_where_and_what_to_do(value: object, hint: str) -> None:
    with pytest.raises(DataError, match=hint) as error:
        _core.canonical({"filter": {"a list": [0, value]}})
    assert str(error.value).startswith('$.filter["a list"][1]')


def test_values_that_hold_themselves() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(DataError, match="64 levels"):
        _core.canonical(loop)
    assert _core.canonical([]) == b"[]"


def test_finer_than_microseconds_is_refused_and_not_cut_off() -> None:
    class Timestamp(dt.datetime):
        nanosecond = 1

    with pytest.raises(DataError, match="round it to microseconds"):
        _core.canonical(Timestamp(2013, 1, 1, tzinfo=dt.UTC))


def test_the_errors_of_a_value_pass_through() -> None:
    class Broken(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            raise LookupError("no such zone")

    with pytest.raises(LookupError, match="no such zone"):
        _core.canonical([dt.datetime(2013, 1, 1, tzinfo=Broken())])


def test_a_value_may_canonicalise_while_it_is_canonicalised() -> None:
    class Nested(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            assert _core.canonical({"b": 1, "a": 2}) == b'{"a":2,"b":1}'
            return dt.timedelta(hours=1)

    value = {"z": [dt.datetime(2013, 1, 1, tzinfo=Nested())], "a": 1}
    assert _core.canonical(value) == b'{"a":1,"z":["2012-12-31T23:00:00Z"]}'


def test_a_dict_that_changes_meanwhile_is_refused() -> None:
    value: dict[str, object] = {}

    class Growing(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            value.update({f"k{i}": i for i in range(100)})
            return dt.timedelta()

    value["a"] = dt.datetime(2013, 1, 1, tzinfo=Growing())
    with pytest.raises(DataError, match="changed while it was read"):
        _core.canonical(value)


def test_defaults_of_other_types_meet_in_their_canonical_form() -> None:
    defaults = {"limit": 100, "since": dt.date(2013, 1, 1), "id": uuid.UUID(int=1), "f": {"b": 1, "a": None}}
    value = {"limit": Decimal("100.0"), "since": "2013-01-01", "id": str(uuid.UUID(int=1)), "f": {"b": 1.0}, "x": 1}
    assert _core.canonical(value, "params", defaults) == b'{"x":1}'
    assert _core.canonical(value, profile="params", defaults={}) == _core.canonical(value, profile="params")
    quoted = {'a "quoted, key': 'a "quoted", {value}', "list": [{"x": "]"}, 1], "z": 1}
    assert _core.canonical({**quoted, "z": 2}, "params", quoted) == b'{"z":2}'


def test_errors_in_defaults_are_told_from_errors_in_the_value() -> None:
    with pytest.raises(DataError, match=r"in the defaults, \$\.since: .*bytes"):
        _core.canonical({}, "params", {"since": b""})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"profile": "loose"}, "'exact' or 'params', not 'loose'"),
        ({"profile": 1}, "'exact' or 'params', not 1"),
        ({"defaults": {"a": 1}}, "defaults need profile='params'"),
        ({"profile": "params", "defaults": [1]}, "defaults are an object"),
    ],
)
def test_wrong_options(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        _core.canonical({}, **arguments)


def test_wrong_calls() -> None:
    canonical: Any = _core.canonical
    canonical_json: Any = _core.canonical_json
    for args, keywords in [((), {}), ((1, "exact", None, 4), {}), ((1,), {"value": 1}), ((1,), {"strict": True})]:
        with pytest.raises(TypeError, match=r"canonical\(\)"):
            canonical(*args, **keywords)
    with pytest.raises(DataError, match="the JSON text is str or bytes, not dict"):
        canonical_json({})
    with pytest.raises(DataError, match="not valid Unicode"):
        _core.canonical_json(b'"\xff"')
    with pytest.raises(DataError, match="lone surrogate"):
        _core.canonical_json('"\ud800"')


@pytest.mark.parametrize(
    "bad", [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x80\x80\x80"]
)
def test_text_that_is_not_utf8(bad: bytes) -> None:
    for text in (b'["abc' + bad + b'"]', b'["\\n' + bad + b'"]'):
        with pytest.raises(DataError, match=r"^\$\[0\]: "):
            _core.canonical_json(text)


def test_sha256() -> None:
    for data in (b"", b"abc", bytearray(1000), memoryview(b"xyz")):
        assert _core.sha256(data) == hashlib.sha256(data).digest()
