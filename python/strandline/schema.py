"""Columns of a target table: declared by a class, an Arrow schema or SQL types, or read from the table itself."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from strandline import _core
from strandline.errors import ConfigError

LINEAGE_PREFIX = "_sl_"
MAX_NAME_BYTES = 63

# How a class of Python says what happens to members that it does not declare (Pydantic's `extra`).
_EXTRA_CONTRACTS = {"allow": "evolve", "ignore": "discard_value", "forbid": "freeze"}

# In this order: bool is an int, datetime is a date, an enum may be both str and Enum.
_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "bigint"),
    (float, "double precision"),
    (decimal.Decimal, "numeric"),
    (str, "text"),
    (bytes, "bytea"),
    (bytearray, "bytea"),
    (memoryview, "bytea"),
    (dt.datetime, "timestamp with time zone"),
    (dt.date, "date"),
    (dt.time, "time without time zone"),
    (uuid.UUID, "uuid"),
    (dict, "jsonb"),
    (list, "jsonb"),
    (tuple, "jsonb"),
)
# Pydantic's own date types are no subclasses of what their values are.
_PYDANTIC_SCALARS = {
    "AwareDatetime": "timestamp with time zone",
    "PastDatetime": "timestamp with time zone",
    "FutureDatetime": "timestamp with time zone",
    "NaiveDatetime": "timestamp without time zone",
    "PastDate": "date",
    "FutureDate": "date",
    "EmailStr": "text",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column. `sql_type` is spelled as PostgreSQL's format_type does; `required` rejects rows without a value."""

    name: str
    sql_type: str
    required: bool = False


class Schema:
    """An ordered, immutable set of columns.

    `extra` is the columns contract that the declaring class carries ("evolve", "freeze", "discard_value"), None where
    it says nothing.
    """

    __slots__ = ("_by_name", "columns", "extra")

    def __init__(self, columns: Iterable[Column], *, extra: str | None = None) -> None:
        self.columns: tuple[Column, ...] = tuple(columns)
        self.extra = extra
        self._by_name = {column.name: column for column in self.columns}
        if len(self._by_name) != len(self.columns):
            names = [column.name for column in self.columns]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"column {twice!r} appears twice; give every column a name of its own")

    @classmethod
    def declare(cls, declaration: object, primary_key: Sequence[str] = ()) -> Schema:
        """Read a dataclass, Pydantic model, TypedDict, Arrow schema or {column: SQL type}.

        Optional types are nullable, all others are required in every row; so are the columns of `primary_key`. In a
        mapping a SQL type may end in "not null", and a Python type may stand for its SQL type. Raises ConfigError for
        names and types that no table can have.
        """
        columns = [Column(name, sql_type, required) for name, sql_type, required in _read(declaration)]
        for column in columns:
            problem = name_problem(column.name)
            if problem:
                raise ConfigError(f"schema: {problem}")
        schema = cls(columns, extra=_extra_of(declaration))
        return schema.with_key(primary_key)

    def with_key(self, primary_key: Sequence[str]) -> Schema:
        """The same columns with those of the key required; ConfigError when one is missing."""
        for name in primary_key:
            if name not in self:
                raise ConfigError(
                    f"primary key column {name!r} is not in the schema ({', '.join(self.names)}); "
                    "declare it or change primary_key"
                )
        columns = [
            Column(column.name, column.sql_type, column.required or column.name in primary_key) for column in self
        ]
        return Schema(columns, extra=self.extra)

    @classmethod
    def of(cls, columns: Iterable[tuple[str, str, bool]]) -> Schema:
        """Columns as (name, SQL type, required), as the ledger and the native encoder pass them; nothing is checked."""
        return cls(Column(*column) for column in columns)

    @property
    def specs(self) -> list[tuple[str, str, bool]]:
        """The columns as (name, SQL type, required)."""
        return [(column.name, column.sql_type, column.required) for column in self.columns]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self._by_name)

    def get(self, name: str) -> Column | None:
        """The column of that name, None where there is none."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and (self.columns, self.extra) == (other.columns, other.extra)

    def __hash__(self) -> int:
        return hash((self.columns, self.extra))

    def __repr__(self) -> str:
        columns = ", ".join(f"{c.name} {c.sql_type}{' not null' if c.required else ''}" for c in self.columns)
        return f"Schema({columns})"


def name_problem(name: str) -> str | None:
    """What makes `name` unfit for a column, with the way out; None when nothing does."""
    if not name:
        return "a column has an empty name; name it"
    shown = repr(name if len(name) <= MAX_NAME_BYTES else name[:MAX_NAME_BYTES] + "...")
    if "\0" in name:
        return f"column name {shown} holds a NUL character, which PostgreSQL cannot store; rename it at the source"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return f"column name {shown} holds a lone surrogate, which is no Unicode character; rename it at the source"
    if size > MAX_NAME_BYTES:
        return f"column name {shown} has {size} bytes, PostgreSQL keeps {MAX_NAME_BYTES} and would cut it; shorten it"
    if name.startswith(LINEAGE_PREFIX):
        return f"column name {shown} begins with {LINEAGE_PREFIX!r}, which is reserved for lineage columns; rename it"
    return None


def _read(declaration: Any) -> list[tuple[str, str, bool]]:
    if hasattr(declaration, "__arrow_c_schema__"):
        columns = _core.arrow_schema(declaration)
        return [(name, sql_type, not nullable) for name, sql_type, nullable in columns if sql_type]
    if isinstance(declaration, Schema):
        return declaration.specs
    if isinstance(declaration, Mapping):
        return [_read_entry(name, value) for name, value in declaration.items()]
    if isinstance(declaration, type):
        if hasattr(declaration, "__pydantic_validator__") and hasattr(declaration, "model_fields"):
            fields = {name: field.annotation for name, field in declaration.model_fields.items()}
            return [(name, *_sql_type(declaration, name, hint)) for name, hint in fields.items()]
        if dataclasses.is_dataclass(declaration):
            hints = _hints(declaration)
            names = [field.name for field in dataclasses.fields(declaration)]
            return [(name, *_sql_type(declaration, name, hints[name])) for name in names]
        if typing.is_typeddict(declaration):
            optional: frozenset[str] = getattr(declaration, "__optional_keys__", frozenset())
            members = []
            for name, hint in _hints(declaration).items():
                sql_type, required = _sql_type(declaration, name, hint)
                members.append((name, sql_type, required and name not in optional))
            return members
    raise ConfigError(
        f"schema: {_shown(declaration)} declares no columns; use a dataclass, a Pydantic model, a TypedDict, an Arrow "
        "schema or a mapping {column: SQL type}"
    )


def _read_entry(name: object, value: object) -> tuple[str, str, bool]:
    if not isinstance(name, str):
        raise ConfigError(f"schema: column name {name!r} is {type(name).__name__}, not str")
    if not isinstance(value, str):
        return (name, *_sql_type(Mapping, name, value))
    words = value.split()
    required = [word.lower() for word in words[-2:]] == ["not", "null"]
    try:
        return name, _core.sql_type(" ".join(words[:-2]) if required else value), required
    except ConfigError as error:
        # The core names the column too, and does not know it here.
        problem = str(error).removeprefix('column "": ')
        raise ConfigError(f"schema: column {name!r}: {problem}") from None


def _hints(declaration: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(declaration, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"schema: {declaration.__name__} is annotated with a name that cannot be resolved ({error}); define it at "
            "module level, or leave out `from __future__ import annotations` there"
        ) from None


def _sql_type(owner: Any, name: str, hint: Any) -> tuple[str, bool]:
    """The SQL type of an annotation, and whether it excludes None."""
    found, required = _unwrap(hint)
    sql_type = _scalar(found)
    if sql_type is None:
        raise ConfigError(
            f"schema: column {name!r} of {getattr(owner, '__name__', owner)} has type {_shown(hint)}, for which no SQL "
            "type is known; use bool, int, float, Decimal, str, bytes, datetime, date, time, UUID, a container or "
            "class of these (jsonb), or declare {column: SQL type}"
        )
    return sql_type, required


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """Take off Annotated, Required, NewType and Optional; (int | float, False) for Optional[int | float]."""
    required = True
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired):
            required = required and origin is not typing.NotRequired
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif origin in (typing.Union, types.UnionType):
            members = [member for member in typing.get_args(hint) if member is not type(None)]
            required = required and len(members) == len(typing.get_args(hint))
            if len(members) != 1:
                return tuple(members), required
            hint = members[0]
        elif origin is typing.Literal and None in typing.get_args(hint):
            return tuple(type(value) for value in typing.get_args(hint) if value is not None), False
        else:
            return hint, required


def _scalar(hint: Any) -> str | None:
    if isinstance(hint, tuple):
        return _union(hint) if hint else None
    if hint is Any or hint is object:
        return "jsonb"
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return _union(tuple(type(value) for value in typing.get_args(hint)))
    if origin is not None:  # list[int], Mapping[str, int], Sequence[str]
        hint = origin
    if not isinstance(hint, type):
        return None
    if typing.is_typeddict(hint) or dataclasses.is_dataclass(hint) or hasattr(hint, "__pydantic_validator__"):
        return "jsonb"
    for python_type, sql_type in _SCALARS:
        if issubclass(hint, python_type):
            return sql_type
    if issubclass(hint, enum.Enum):
        return None  # its members are no str or int; a str or int Enum was found above
    if hint.__module__.split(".")[0] == "pydantic":
        return _PYDANTIC_SCALARS.get(hint.__name__)
    return "jsonb" if issubclass(hint, (Mapping, Sequence)) else None


def _union(members: tuple[Any, ...]) -> str | None:
    """Several types in one column: numbers widen, everything else that JSON can hold is jsonb."""
    found = {_scalar(_unwrap(member)[0]) for member in members}
    if len(found) == 1:
        return found.pop()
    if found <= {"bigint", "double precision"}:
        return "double precision"
    if found <= {"bigint", "double precision", "numeric"}:
        return "numeric"
    return None if None in found or "bytea" in found else "jsonb"


def _extra_of(declaration: Any) -> str | None:
    if isinstance(declaration, Schema):
        return declaration.extra
    config = getattr(declaration, "model_config", None) if isinstance(declaration, type) else None
    return _EXTRA_CONTRACTS.get(config.get("extra", "")) if isinstance(config, Mapping) else None


def _shown(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)[:80]
