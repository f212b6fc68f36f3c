"""The fields of a provider: annotated, keyword-only, checked, stored as JSON."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Union

from strandline.errors import ConfigError
from strandline.secret import Secret

MISSING: Any = object()
_SCALARS = (str, int, float, bool, type(None))
_SUPPORTED = "str, int, float, bool, list, dict, Optional, Literal and Secret"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its type, and its default, MISSING where a value is required."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the constructor must be given it."""
        return self.default is MISSING

    def take(self, value: Any, where: str) -> Any:
        """The value as it is kept: tuples as lists, references as Secrets. ConfigError begins with `where`."""
        return _take(self.annotation, value, f"{where}: the field {self.name!r}")


def read_fields(
    namespace: Mapping[str, Any], known: frozenset[str], scope: Mapping[str, Any], where: str
) -> dict[str, Field]:
    """The fields that one class body declares. `known` are names of attributes; `scope` resolves names.

    Raises ConfigError for types that JSON does not have, for names that cannot be resolved, and for defaults of other
    types.
    """
    found: dict[str, Field] = {}
    for name, annotation in namespace.get("__annotations__", {}).items():
        if name in known or name.startswith("_"):
            continue
        type_ = resolved(annotation, scope, f"{where}: the field {name!r}")
        if type_ is ClassVar or typing.get_origin(type_) is ClassVar:
            continue
        check_type(type_, f"{where}: the field {name!r}")
        field = Field(name, type_, MISSING)
        if name in namespace:
            field = Field(name, type_, field.take(namespace[name], where))
        found[name] = field
    return found


def check_type(annotation: Any, where: str) -> None:
    """Raises ConfigError for a type whose values have no JSON form."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation in (*_SCALARS, None, list, dict, Secret):
        return
    if origin in (Union, types.UnionType):
        for part in arguments:
            check_type(part, where)
    elif origin is Literal:
        if not all(isinstance(value, _SCALARS) for value in arguments):
            raise ConfigError(f"{where} is {annotation}; a Literal holds texts, numbers, True, False and None")
    elif origin is list:
        check_type(arguments[0], where)
    elif origin is dict:
        if arguments[0] is not str:
            raise ConfigError(f"{where} is {shown(annotation)}; the keys of a stored dict are str")
        check_type(arguments[1], where)
    else:
        raise ConfigError(
            f"{where} is a {shown(annotation)}, which is not stored as JSON; a field is one of {_SUPPORTED}. A"
            " constant of the class is written without annotation, or with ClassVar"
        )


def resolved(annotation: Any, scope: Mapping[str, Any], where: str) -> Any:
    """The type behind an annotation, which may be a text. Raises ConfigError where a name in it is not known."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(scope))
    except Exception as error:
        raise ConfigError(
            f"{where} has the annotation {annotation!r}, which cannot be resolved ({error}); import its names at run"
            " time, not under TYPE_CHECKING"
        ) from error


def as_json(value: Any) -> Any:
    """A field's value as JSON has it: a fresh copy, secrets as their references."""
    if isinstance(value, Secret):
        return value.reference
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def shown(annotation: Any) -> str:
    """A type as a user would write it."""
    if annotation in (None, type(None)):
        return "None"
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(shown(part) for part in typing.get_args(annotation))
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("strandline.secret.", "")


def _take(annotation: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return _json(value, where)
    if annotation is Secret:
        return _secret(value, where)
    if origin in (Union, types.UnionType):
        return _first_that_takes(annotation, value, where)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise ConfigError(
            f"{where} is {value!r:.200}; the valid ones are {', '.join(repr(choice) for choice in arguments)}"
        )
    if (annotation is list or origin is list) and isinstance(value, (list, tuple)):
        kind = arguments[0] if arguments else Any
        return [_take(kind, item, f"{where}[{number}]") for number, item in enumerate(value)]
    if (annotation is dict or origin is dict) and isinstance(value, Mapping):
        kind = arguments[1] if arguments else Any
        return {_key(key, where): _take(kind, item, f"{where}[{key!r}]") for key, item in value.items()}
    if _is_scalar(annotation, value):
        return _json(float(value) if annotation is float else value, where)
    raise ConfigError(f"{where} is {value!r:.200}, a {type(value).__name__}; it wants {shown(annotation)}")


def _is_scalar(annotation: Any, value: Any) -> bool:
    if annotation in (None, type(None)):
        return value is None
    if annotation not in _SCALARS:
        return False
    if isinstance(value, bool):  # which Python takes for a number
        return annotation is bool
    return isinstance(value, (int, float) if annotation is float else annotation)


def _first_that_takes(annotation: Any, value: Any, where: str) -> Any:
    parts = typing.get_args(annotation)
    if value is None and type(None) in parts:
        return None
    # An int given for float | int stays one: the exact type first.
    exact = [part for part in parts if part is type(value)]
    if exact:
        return _take(exact[0], value, where)
    others = [part for part in parts if part not in (None, type(None))]
    if len(others) == 1:
        return _take(others[0], value, where)
    for part in others:
        try:
            return _take(part, value, where)
        except ConfigError:
            continue
    shown_value = "a value that is not shown" if Secret in parts else f"{value!r:.200}, a {type(value).__name__}"
    raise ConfigError(f"{where} is {shown_value}; it wants {shown(annotation)}")


def _secret(value: Any, where: str) -> Secret:
    try:
        return Secret(value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"{where} has the key {key!r}, a {type(key).__name__}; JSON has text keys only")
    return key


def _json(value: Any, where: str) -> Any:
    """A copy of a value of any JSON type."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}, which JSON does not have")
    try:
        return value if isinstance(value, _SCALARS) else json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} is {value!r:.200}, which is no JSON: {error}") from error
