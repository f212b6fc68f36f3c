"""A second, independent implementation of the canonical form and of every key recipe, in plain Python.

Written from docs/canonical-form.md for clarity, not for speed: it builds a tree of texts and sorts it, where the native
core writes straight into a buffer. The suite holds the two against each other.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

MAX_DEPTH = 64
EMPTY = {"null", '""', "{}", "[]"}
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


class Refused(Exception):
    """The value at `path` has no canonical form."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class IntegerText(str):
    """An integer token of JSON text; int() would refuse more than 4,300 digits."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object as they came, duplicates included."""


def canonical(value: object, profile: str = "exact", defaults: Mapping[str, object] | None = None) -> bytes:
    """The canonical form of a Python value."""
    texts = {name: _text(default, profile, {}, "$", 0) for name, default in (defaults or {}).items()}
    return _text(value, profile, texts, "$", 0).encode()


def canonical_json(text: str | bytes, profile: str = "exact", defaults: Mapping[str, object] | None = None) -> bytes:
    """The canonical form of JSON text."""

    def constant(name: str) -> NoReturn:
        raise Refused("$", f"{name} is no JSON")

    value = json.loads(text, parse_int=IntegerText, parse_constant=constant, object_pairs_hook=Pairs)
    return canonical(value, profile, defaults)


def digest(value: object, profile: str = "exact", defaults: Mapping[str, object] | None = None) -> bytes:
    """SHA-256 of the canonical form of a Python value."""
    return hashlib.sha256(canonical(value, profile, defaults)).digest()


def number(value: float) -> str:
    """A double as ECMAScript writes it: the digits of Python's repr (shortest, too) in ECMAScript's layout."""
    return decimal(Decimal(repr(value)))


def decimal(value: Decimal) -> str:
    """A decimal's exact value in ECMAScript's layout."""
    sign, digit_tuple, exponent = value.as_tuple()
    assert isinstance(exponent, int), "finite"
    all_digits = "".join(map(str, digit_tuple)).lstrip("0")
    digits = all_digits.rstrip("0")
    if not digits:
        return "0"
    count, point = len(digits), len(all_digits) + exponent
    if count <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if count > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return "-" + text if sign else text


def string(text: str) -> str:
    """A string with its quotes."""
    return '"' + re.sub(r'["\\\x00-\x1f]', lambda m: ESCAPES.get(m[0], f"\\u{ord(m[0]):04x}"), text) + '"'


def integer(value: int) -> str:
    """An integer of any size; str() refuses more than 4,300 digits."""
    if abs(value) < 10**4000:
        return str(int(value))
    high, low = divmod(abs(value), 10**4000)
    return ("-" if value < 0 else "") + integer(high) + integer(low).rjust(4000, "0")


def instant(value: dt.datetime, path: str) -> str:
    """An aware datetime in UTC."""
    if value.utcoffset() is None:
        raise Refused(path, "naive datetime")
    try:
        utc = value.astimezone(dt.UTC)
    except OverflowError:
        raise Refused(path, "outside of the years 1 to 9999") from None
    text = utc.replace(tzinfo=None).isoformat(timespec="microseconds").rstrip("0").rstrip(".")
    return f'"{text}Z"'


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _path(path: str, key: str) -> str:
    return f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else f"{path}[{string(key)}]"


def _object(
    members: Sequence[tuple[Any, Any]], profile: str, defaults: Mapping[str, str], path: str, depth: int
) -> str:
    texts: dict[str, str] = {}
    for key, member in members:
        if not isinstance(key, str) or _has_surrogate(key):
            raise Refused(path, f"the key {key!r}")
        text = _text(member, profile, {}, _path(path, key), depth)
        if key in texts:
            raise Refused(path, f"the key {key!r} twice")
        texts[key] = text
    if profile == "params":
        texts = {key: text for key, text in texts.items() if text not in EMPTY and defaults.get(key) != text}
    ordered = sorted(texts.items(), key=lambda item: item[0].encode("utf-16-be"))
    return "{" + ",".join(f"{string(key)}:{text}" for key, text in ordered) + "}"


def _text(value: object, profile: str, defaults: Mapping[str, str], path: str, depth: int) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case IntegerText():
            return "0" if value == "-0" else str(value)
        case int():
            return integer(value)
        case float() if math.isfinite(value):
            return number(value)
        case Decimal() if value.is_finite():
            return decimal(value)
        case str():
            if _has_surrogate(value):
                raise Refused(path, "lone surrogate")
            return string(value)
        case dt.datetime():
            return instant(value, path)
        case dt.date():
            return f'"{value.isoformat()}"'
        case uuid.UUID():
            return f'"{value}"'
    if depth == MAX_DEPTH:
        raise Refused(path, "too deep")
    match value:
        case Pairs():
            return _object(value, profile, defaults, path, depth + 1)
        case list() | tuple():
            parts = [_text(item, profile, {}, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
            return "[" + ",".join(parts) + "]"
        case Mapping():
            return _object(list(value.items()), profile, defaults, path, depth + 1)
    raise Refused(path, type(value).__name__)


def namespace(
    provenance_code: str, operation_code: str, cursor_key: str, namespace_scope_code: str, namespace_key: bytes
) -> dict[str, object]:
    """The member `namespace` of a recipe."""
    return {
        "provenance_code": provenance_code,
        "operation_code": "HARVEST" if operation_code == "BACKFILL" else operation_code,
        "cursor_key": cursor_key,
        "namespace_scope_code": namespace_scope_code,
        "namespace_key": namespace_key.hex(),
    }


def recipe(kind: str, **members: object) -> bytes:
    """The canonical text of a key recipe; digests become hexadecimal text."""
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in members.items()}
    return canonical({"kind": kind, "v": 1, **plain})
