"""The native canonical form against the plain Python one, on made-up values; and what holds for every value."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import reference_canonical
from hypothesis import example, given
from hypothesis import strategies as st
from reference_canonical import Refused

from strandline import _core
from strandline.errors import DataError

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    st.sampled_from('ab "\\/\b\t\n\x00\x1f\x7f\u0080\u07ff\ud7ff\ue000\ufb33\uffff\U00010000\U0010ffff'), max_size=20
)
OFFSETS = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)
DATETIMES = st.datetimes(timezones=st.timezones() | OFFSETS | st.just(dt.UTC))
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)
# Decimals that look like prices go another way through the writer than doubles of every size.
PRICES = st.builds(lambda m, k: m / 10**k, st.integers(-(10**17), 10**17), st.integers(0, 8))
JSON_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PRICES | TEXT
)
SCALARS = JSON_SCALARS | NUMBERS | DATETIMES | st.dates() | st.uuids()


def trees(scalars: st.SearchStrategy[Any], leaves: int = 20) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner) | st.lists(inner).map(tuple),
        max_leaves=leaves,
    )


def outcome(canonical: Callable[..., bytes], *arguments: object) -> bytes | str:
    """The canonical text, or the path of what has none."""
    try:
        return canonical(*arguments)
    except Refused as refused:
        return refused.path
    except DataError as error:
        return str(error.context["path"])


PROFILES = st.sampled_from(["exact", "params"])


@given(trees(SCALARS), PROFILES)
@example({chr(0xFB33): 1, "\U0001f602": 2, "a": {"": None}}, "params")
@example({f"{i * 37 % 101}": i for i in range(60)}, "exact")
@example({f"{'x' * 12}{i * 37 % 101}": i for i in range(60)}, "exact")
@example({f"\U00010000{i * 37 % 101}\ue000": i for i in range(60)}, "exact")
def test_both_implementations_agree(value: Any, profile: str) -> None:
    expected = outcome(reference_canonical.canonical, value, profile)
    assert outcome(_core.canonical, value, profile) == expected
    if isinstance(expected, bytes):
        assert _core.digest(value, profile) == hashlib.sha256(expected).digest()


MEMBERS = st.dictionaries(TEXT, trees(JSON_SCALARS, leaves=4), max_size=4)


@given(MEMBERS, MEMBERS, MEMBERS)
def test_both_agree_on_defaults(own: dict[str, Any], shared: dict[str, Any], unused: dict[str, Any]) -> None:
    value = {**own, **shared}
    defaults = {**unused, **shared}
    expected = reference_canonical.canonical(value, "params", defaults)
    assert _core.canonical(value, "params", defaults) == expected
    # What was dropped stays dropped, and nothing else is.
    assert _core.canonical_json(expected, "params", defaults) == expected


@given(trees(JSON_SCALARS), PROFILES, st.booleans())
def test_json_text_and_python_values_meet_and_twice_changes_nothing(value: Any, profile: str, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    once = _core.canonical(value, profile)
    assert _core.canonical_json(text, profile) == once
    assert _core.canonical_json(text.encode(), profile) == once
    assert reference_canonical.canonical_json(text, profile) == once
    assert _core.canonical_json(once, profile) == once


@given(trees(SCALARS), PROFILES)
def test_twice_changes_nothing_where_decimals_stay_decimals(value: Any, profile: str) -> None:
    try:
        once = _core.canonical(value, profile)
    except DataError:
        return  # a datetime at either end of the calendar
    again = json.loads(once, parse_float=Decimal)
    assert _core.canonical(again, profile) == once


@given(trees(JSON_SCALARS))
def test_the_order_of_members_and_white_space_are_no_part_of_it(value: Any) -> None:
    def backwards(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {name: backwards(member) for name, member in reversed(inner.items())}
        return [backwards(item) for item in inner] if isinstance(inner, list | tuple) else inner

    assert _core.digest(backwards(value)) == _core.digest(value)


@given(st.floats() | PRICES)
@example(0.07)
@example(0.1 + 0.2)
@example(999999999999999.9)
@example(1e15 - 0.125)
@example(2**53 + 2.0)
def test_numbers_read_back_as_themselves(value: float) -> None:
    if not math.isfinite(value):
        with pytest.raises(DataError):
            _core.number(value)
        return
    text = _core.number(value)
    assert float(text) == value
    assert text == reference_canonical.number(value)


@given(st.text() | st.text(st.sampled_from('[]{}",:\\u0dn1-.eE+ \ud800'), max_size=12))
def test_other_text_is_refused_as_by_the_other_reader(text: str) -> None:
    try:
        expected = reference_canonical.canonical_json(text)
    except (Refused, ValueError):
        with pytest.raises(DataError, match=r"^\$"):
            _core.canonical_json(text)
        return
    assert _core.canonical_json(text) == expected


@given(st.binary())
def test_bytes_are_read_or_refused(data: bytes) -> None:
    once = outcome(_core.canonical_json, data)
    if isinstance(once, bytes):
        assert _core.canonical_json(once) == once
    else:
        assert once.startswith("$")


@given(st.text(st.characters()))
def test_surrogates_are_refused_wherever_they_are(text: str) -> None:
    lone = any("\ud800" <= c <= "\udfff" for c in text)
    for value in (text, {text: 1}, [{"a": text}]):
        if lone:
            with pytest.raises(DataError):
                _core.canonical(value)
        else:
            assert _core.canonical(value) == reference_canonical.canonical(value)
