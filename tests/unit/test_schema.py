"""Schema: what a declaration says about a table's columns, and which names and types are refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, NotRequired, TypedDict

import pyarrow as pa
import pydantic
import pytest

from strandline import _core
from strandline.errors import ConfigError
from strandline.schema import Column, Schema

Code = NewType("Code", str)


class Colour(str, enum.Enum):  # noqa: UP042 - the older spelling of StrEnum is what users have
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Plain(enum.Enum):
    ONE = object()


@dataclasses.dataclass
class Point:
    x: float


@dataclasses.dataclass
class Everything:
    flag: bool
    whole: int
    real: float
    exact: Decimal
    name: str
    data: bytes
    at: dt.datetime
    day: dt.date
    clock: dt.time
    key: uuid.UUID
    tags: list[str]
    extra: dict[str, Any]
    point: Point
    anything: Any
    colour: Colour
    level: Level
    code: Code
    kind: Literal["a", "b"]
    maybe: int | None
    noted: Annotated[str, "for people"]
    number: int | float
    mixed: int | str


EXPECTED = {
    "flag": "boolean",
    "whole": "bigint",
    "real": "double precision",
    "exact": "numeric",
    "name": "text",
    "data": "bytea",
    "at": "timestamp with time zone",
    "day": "date",
    "clock": "time without time zone",
    "key": "uuid",
    "tags": "jsonb",
    "extra": "jsonb",
    "point": "jsonb",
    "anything": "jsonb",
    "colour": "text",
    "level": "bigint",
    "code": "text",
    "kind": "text",
    "maybe": "bigint",
    "noted": "text",
    "number": "double precision",
    "mixed": "jsonb",
}


def test_dataclass_types_become_sql_types() -> None:
    schema = Schema.declare(Everything)
    assert {column.name: column.sql_type for column in schema} == EXPECTED
    assert {column.name for column in schema if not column.required} == {"maybe"}
    assert schema.extra is None


class Row(TypedDict):
    id: int
    name: str | None
    note: NotRequired[str]


def test_typed_dict() -> None:
    assert Schema.declare(Row).specs == [("id", "bigint", True), ("name", "text", False), ("note", "text", False)]


@pytest.mark.parametrize(
    ("extra", "contract"), [("allow", "evolve"), ("ignore", "discard_value"), ("forbid", "freeze"), (None, None)]
)
def test_pydantic_model(extra: Any, contract: str | None) -> None:
    class Model(pydantic.BaseModel):
        if extra:
            model_config = pydantic.ConfigDict(extra=extra)
        id: int
        at: pydantic.AwareDatetime
        local: pydantic.NaiveDatetime | None = None
        inner: dict[str, int] = {}

    schema = Schema.declare(Model, primary_key=("id",))
    assert schema.specs == [
        ("id", "bigint", True),
        ("at", "timestamp with time zone", True),
        ("local", "timestamp without time zone", False),
        ("inner", "jsonb", True),
    ]
    assert schema.extra == contract


def test_arrow_schema() -> None:
    schema = Schema.declare(
        pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                pa.field("small", pa.uint16()),
                pa.field("hash", pa.uint64()),
                pa.field("at", pa.timestamp("ns", "UTC")),
                pa.field("price", pa.decimal128(10, 2)),
                pa.field("word", pa.dictionary(pa.int8(), pa.string())),
                pa.field("nothing", pa.null()),
                pa.field("items", pa.list_(pa.int32())),
            ]
        )
    )
    assert schema.specs == [
        ("id", "bigint", True),
        ("small", "integer", False),
        ("hash", "numeric", False),
        ("at", "timestamp with time zone", False),
        ("price", "numeric", False),
        ("word", "text", False),
        ("items", "jsonb", False),
    ]


def test_mapping_of_sql_types() -> None:
    schema = Schema.declare({"id": "INT8 not null", "name": "varchar(12)", "price": "Numeric ( 10, 2 )", "n": int})
    assert schema.specs == [
        ("id", "bigint", True),
        ("name", "character varying(12)", False),
        ("price", "numeric(10,2)", False),
        ("n", "bigint", True),
    ]
    assert Schema.declare(schema) == schema


def test_key_columns_are_required() -> None:
    assert Schema.declare({"id": "bigint", "n": "int"}, primary_key=("id",)).columns == (
        Column("id", "bigint", required=True),
        Column("n", "integer"),
    )
    with pytest.raises(ConfigError, match=r"primary key column 'key' is not in the schema \(id\)"):
        Schema.declare({"id": "bigint"}, primary_key=("key",))


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("timestamptz", "timestamp with time zone"),
        ("timestamptz(3)", "timestamp(3) with time zone"),
        ("timestamp (0) without time zone", "timestamp(0) without time zone"),
        ("TIME", "time without time zone"),
        ("float", "double precision"),
        ("character  varying (12)", "character varying(12)"),
        ("character", "character(1)"),
        ("char(3)", "character(3)"),
        ("varchar", "character varying"),
        ("decimal(5)", "numeric(5,0)"),
        ("numeric(5,-2)", "numeric(5,-2)"),
        ("bool", "boolean"),
    ],
)
def test_sql_types_are_spelled_as_the_catalog_does(written: str, spelled: str) -> None:
    assert _core.sql_type(written) == spelled
    assert _core.sql_type(spelled) == spelled


@pytest.mark.parametrize(
    "sql_type",
    ["", "integer[]", "money", "varchar(0)", "bigint(3)", "text(5)", "numeric(x)", "varchar(12", "timestamp(9)"],
)
def test_unsupported_sql_type_lists_the_supported_ones(sql_type: str) -> None:
    with pytest.raises(ConfigError, match=r"'c'.*not supported.*bigint.*jsonb"):
        Schema.declare({"c": sql_type})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty name"),
        ("x" * 64, "64 bytes"),
        ("ä" * 32, "64 bytes"),
        ("a\0b", "NUL"),
        ("_sl_batch", "reserved for lineage"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_names_that_no_column_can_have(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Schema.declare({name: "text"})


def test_hostile_but_possible_names_are_kept() -> None:
    names = ['a"; drop table x --', "select", " ", "Groß", "x" * 63]
    assert list(Schema.declare(dict.fromkeys(names, "text")).names) == names


@pytest.mark.parametrize("declaration", [None, 3, "text", Point(1.0), [("id", "bigint")], object])
def test_what_declares_no_columns(declaration: object) -> None:
    with pytest.raises(ConfigError, match="declares no columns"):
        Schema.declare(declaration)


def test_types_without_sql_type() -> None:
    with pytest.raises(ConfigError, match=r"column 'c' .* Plain"):
        Schema.declare({"c": Plain})
    with pytest.raises(ConfigError, match="int, not str"):
        Schema.declare({1: "text"})


def test_duplicate_columns() -> None:
    with pytest.raises(ConfigError, match="'a' appears twice"):
        Schema([Column("a", "text"), Column("a", "text")])
    with pytest.raises(ConfigError, match="'a' appears twice"):
        Schema.declare(pa.schema([("a", pa.int8()), ("a", pa.int8())]))


def test_unsupported_arrow_type_names_the_column() -> None:
    with pytest.raises(ConfigError, match=r'column "d".*tDu'):
        Schema.declare(pa.schema([("d", pa.duration("us"))]))
