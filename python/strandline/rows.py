"""Pages of rows on their way into a target: which columns they have, and their bytes for COPY BINARY."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from strandline import _core
from strandline.errors import ConfigError, Conflict, DataError
from strandline.schema import LINEAGE_PREFIX, Column, Schema, name_problem

_COLUMN_CONTRACTS = ("evolve", "freeze", "discard_value")

# A declared type and the table's may differ inside a family: the table's is what is written, exactly or not at all.
_FAMILIES = (
    {"smallint", "integer", "bigint", "numeric"},
    {"real", "double precision", "numeric"},
    {"text", "character varying", "character", "bpchar"},
    {"json", "jsonb"},
)

_DIGEST_ROWS = 65536
_TIMESTAMPTZ = "timestamp with time zone"


class RowEncoder:
    """Encodes the pages of one stream, and knows the columns that they have had so far.

    Columns come from the declared schema; else they are found in the rows, with the type that the target's column of
    that name has, or one inferred from the values' types. They only ever grow, at the end: `version` counts how often,
    so that the target can be given its columns before rows are stored.

    declared, known: columns as (name, SQL type, required), or a Schema: what the stream declares, and what the target
    has (None: no such table). cursor_is_time: text in cursor_field is read as RFC 3339, even where nothing is declared.
    contract: "evolve" | "freeze" | "discard_value", or a mapping with that under "columns".

    Raises Conflict when the declared type of a column is not the target's.
    """

    def __init__(
        self,
        declared: Schema | Iterable[tuple[str, str, bool]] | None = None,
        known: Schema | Iterable[tuple[str, str, bool]] | None = None,
        *,
        primary_key: Sequence[str] = (),
        cursor_field: str | None = None,
        cursor_is_time: bool = False,
        contract: str | Mapping[str, Any] | None = None,
        stream: str = "",
    ) -> None:
        self._declared = None if declared is None else _as_schema(declared)
        self._known = _target_columns(known)
        self._key = tuple(primary_key)
        self._time_cursor = cursor_field if cursor_is_time else None
        self._contract = _columns_contract(contract, self._declared)
        self._stream = stream
        self._parse: set[str] = {self._time_cursor} if self._time_cursor else set()
        self._columns: list[Column] = []
        self.version = 0
        if self._declared is not None:
            self._parse.update(self._declared.names)
            self._columns = [self._fitted(column) for column in self._declared.with_key(self._key)]
        self._encoder = self._make_encoder()

    @property
    def schema(self) -> Schema:
        """The columns so far, in the order of a page's fields."""
        return Schema(self._columns)

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """The columns so far as (name, SQL type, required)."""
        return [(column.name, column.sql_type, column.required) for column in self._columns]

    def encode(self, rows: Any, page_no: int = 0) -> _core.EncodedPage:
        """One page: a list, tuple or iterator of rows, or an Arrow object, which is read whole.

        Raises DataError, with page, row (from 0) and column in `context`, for a value that its column cannot hold
        exactly.
        """
        if is_arrow(rows):
            reader = _core.ArrowReader(rows)
            self._meet(reader, page_no)
            page = reader.next_page(self._encoder, page_no=page_no)
            return page if page is not None else self._encoder.encode([], page_no)[0]
        rows = _as_rows(rows)
        page, unknown = self._encoder.encode(rows, page_no)
        names = self._admitted(unknown, page_no)
        if names:
            self._grow(self._typed(rows, names, page_no), page_no)
            page, _ = self._encoder.encode(rows, page_no)
        if rows:
            self._require_key(page.columns, page_no)
        return page

    def pages(
        self, value: Any, *, first_page_no: int = 0, page_records: int = 10_000, page_bytes: int = 8 << 20
    ) -> Iterator[_core.EncodedPage]:
        """Pages of a whole value, of at most so many rows and about so many bytes each; memory holds one at a time.

        The same value is always cut at the same places.
        """
        number = first_page_no
        if is_arrow(value):
            reader = _core.ArrowReader(value)
            self._meet(reader, number)
            while (page := reader.next_page(self._encoder, page_records, page_bytes, number)) is not None:
                yield page
                number += 1
            return
        for rows in _chunks(value, page_records):
            for page in self._cut(rows, number, page_bytes):
                yield page
                number += 1

    def encode_keys(self, keys: Iterable[Any], page_no: int = 0) -> _core.EncodedPage:
        """A page of primary keys alone: per row a value, a tuple in the key's order, or a mapping."""
        if not self._key:
            raise ConfigError(f"{self._where()}deleted rows are named by their primary key; set primary_key")
        rows = [self._key_row(key, page_no, number) for number, key in enumerate(keys)]
        by_name = {column.name: column for column in self._columns}
        missing = [name for name in self._key if name not in by_name]
        if missing and rows:
            for column in self._typed(rows, missing, page_no):
                by_name[column.name] = column
        columns = [(name, by_name[name].sql_type, True) for name in self._key if name in by_name]
        page, _ = _core.Encoder(columns, self._parse).encode(rows, page_no)
        if rows:
            self._require_key(page.columns, page_no)
        return page

    def _key_row(self, key: Any, page_no: int, row: int) -> dict[str, Any]:
        if isinstance(key, Mapping):
            return {name: key.get(name) for name in self._key}
        values = tuple(key) if isinstance(key, (tuple, list)) else (key,)
        if len(values) != len(self._key):
            raise DataError(
                f"{self._where()}page {page_no}, deleted row {row}: the key has {len(values)} values, primary_key has "
                f"{len(self._key)} columns ({', '.join(self._key)})",
                context={"page": page_no, "row": row},
            )
        return dict(zip(self._key, values, strict=True))

    def _cut(self, rows: Sequence[Any], number: int, page_bytes: int) -> Iterator[_core.EncodedPage]:
        page = self.encode(rows, number)
        if page.nbytes <= page_bytes or len(rows) == 1:
            yield page
            return
        # By halves and not by an estimate, so that the cut depends on these rows alone.
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            for piece in self._cut(half, number, page_bytes):
                yield piece
                number += 1

    def _meet(self, reader: _core.ArrowReader, page_no: int) -> None:
        """Takes up the columns of an Arrow object; a key column that it lacks is an error before any row is read."""
        active = {column.name for column in self._columns}
        columns = {name: sql_type for name, sql_type, _ in reader.schema()}
        unknown = [name for name, sql_type in columns.items() if sql_type and name not in active]
        self._grow([self._column(name, columns[name]) for name in self._admitted(unknown, page_no)], page_no)
        self._require_key(columns, page_no)

    def _admitted(self, names: Sequence[str], page_no: int) -> list[str]:
        """Those of the new names that the contract lets in: all, unless there is a set of columns to hold rows to."""
        settled = self._declared is not None or bool(self._known) or self.version > 0
        if self._contract == "evolve" or not settled:
            return list(names)
        outside = [name for name in names if self._declared is not None or name not in self._known]
        if outside and self._contract == "freeze":
            raise DataError(
                f'{self._where()}page {page_no}: column "{outside[0]}" is not in the schema, and the contract is '
                "freeze; declare it, or choose the contract evolve",
                context={"page": page_no, "column": outside[0]},
            )
        return [name for name in names if name not in outside]

    def _typed(self, rows: Sequence[Any], names: Sequence[str], page_no: int) -> list[Column]:
        """Columns of these names with the target's types, else with types inferred from the rows."""
        untyped = [name for name in names if name not in self._known]
        inferred: dict[str, str] = {}
        if untyped:
            skipped = {*(column.name for column in self._columns), *self._known}
            inferred = dict(_core.infer(rows, page_no, skipped))
        return [self._column(name, inferred.get(name, "")) for name in names if name in self._known or name in inferred]

    def _column(self, name: str, found: str) -> Column:
        """A column that rows have brought, with the type that was found in them unless the target has one."""
        known = self._known.get(name)
        if known is not None:
            found = known.sql_type
        elif name == self._time_cursor and found == "text":
            found = _TIMESTAMPTZ
        return Column(name, found, name in self._key)

    def _grow(self, columns: Sequence[Column], page_no: int) -> None:
        for column in columns:
            problem = name_problem(column.name)
            if problem:
                context = {"page": page_no, "column": column.name}
                raise DataError(f"{self._where()}page {page_no}: {problem}", context=context)
        if columns:
            self._columns.extend(columns)
            self.version += 1
            self._encoder = self._make_encoder()

    def _fitted(self, column: Column) -> Column:
        """A declared column with the type that the target's column has."""
        known = self._known.get(column.name)
        if known is None or known.sql_type == column.sql_type:
            return column
        declared, there = _base(column.sql_type), _base(known.sql_type)
        if declared != there and not any(declared in family and there in family for family in _FAMILIES):
            raise Conflict(
                f'{self._where()}column "{column.name}" is declared {column.sql_type}, and the target has '
                f"{known.sql_type}; change the declaration, or load into another table"
            )
        return Column(column.name, known.sql_type, column.required)

    def _require_key(self, names: Collection[str], page_no: int) -> None:
        for name in self._key:
            if name not in names:
                raise DataError(
                    f'{self._where()}page {page_no}, row 0, column "{name}": no row has a value for this primary key '
                    f"column; the rows have {', '.join(names) or 'no columns'}; change primary_key or send the column",
                    context={"page": page_no, "row": 0, "column": name},
                )

    def _make_encoder(self) -> _core.Encoder:
        return _core.Encoder(self.columns, self._parse)

    def _where(self) -> str:
        return f"{self._stream}: " if self._stream else ""


def is_arrow(rows: object) -> bool:
    """Whether `rows` is read through the Arrow C interface: a table, a record batch, a frame, a stream."""
    return not isinstance(rows, type) and (hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"))


def value_schema(value: Any, declared: Schema | None = None) -> Schema:
    """The columns of a whole value: the declared ones, then those that its rows have beside them, typed over all rows.

    A value is a list, a tuple or an Arrow object that can be read again; ConfigError for an iterator.
    """
    columns = list(declared or ())
    names = {column.name for column in columns}
    if is_arrow(value):
        _refuse_iterator(value)
        found = [(name, sql_type) for name, sql_type, _ in _core.ArrowReader(value).schema() if sql_type]
    elif isinstance(value, (list, tuple)):
        found = [] if declared and _positional(value) else _core.infer(_as_rows(value), 0, names)
    else:
        _refuse_iterator(value)
        raise ConfigError(f"{type(value).__name__} is no value with rows; use a list, a tuple or an Arrow object")
    return Schema([*columns, *(Column(name, sql_type) for name, sql_type in found if name not in names)])


def content_digest(value: Any, declared: Schema | None = None) -> bytes:
    """SHA-256 (32 bytes) of a value: its column names and types, then its rows as their encoded fields, in order.

    It does not depend on how the value is cut into pages or chunks. Memory holds one piece of the value at a time.
    """
    schema = value_schema(value, declared)
    encoder = _core.Encoder(schema.specs, declared.names if declared else ())
    columns = [[column.name, column.sql_type] for column in schema]
    head = json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode()
    digest = hashlib.sha256(len(head).to_bytes(8, "big") + head)
    if is_arrow(value):
        reader = _core.ArrowReader(value)
        while (page := reader.next_page(encoder, _DIGEST_ROWS)) is not None:
            digest.update(page.fields)
    else:
        for number, rows in enumerate(_chunks(value, _DIGEST_ROWS)):
            digest.update(encoder.encode(rows, number)[0].fields)
    return digest.digest()


def _as_schema(columns: Schema | Iterable[tuple[str, str, bool]]) -> Schema:
    return columns if isinstance(columns, Schema) else Schema.of(columns)


def _target_columns(columns: Schema | Iterable[tuple[str, str, bool]] | None) -> dict[str, Column]:
    return {c.name: c for c in _as_schema(columns or ()) if not c.name.startswith(LINEAGE_PREFIX)}


def _columns_contract(contract: str | Mapping[str, Any] | None, declared: Schema | None) -> str:
    if isinstance(contract, Mapping):
        contract = contract.get("columns")
    chosen = contract or (declared.extra if declared is not None else None) or "evolve"
    if chosen not in _COLUMN_CONTRACTS:
        raise ConfigError(f"contract {chosen!r} for columns is not one of {', '.join(_COLUMN_CONTRACTS)}")
    return chosen


def _base(sql_type: str) -> str:
    """The type without its modifier: "numeric(10,2)" and "timestamp(3) with time zone" lose what is in parentheses."""
    before, _, rest = sql_type.partition("(")
    return before.rstrip() + rest.partition(")")[2]


def _as_rows(rows: Any) -> list[Any] | tuple[Any, ...]:
    if rows is None:
        return []
    if isinstance(rows, (str, bytes, bytearray, set, frozenset)):
        raise DataError(f"rows are a list of rows, not {type(rows).__name__}; wrap rows in a list")
    row_like = isinstance(rows, Mapping) or any(
        hasattr(type(rows), mark) for mark in ("_fields", "__dataclass_fields__", "__pydantic_validator__")
    )
    if row_like:
        raise DataError(f"rows are a list of rows, and this is one {type(rows).__name__}; wrap it in a list: [row]")
    if isinstance(rows, (list, tuple)):
        return rows
    if not isinstance(rows, Iterable):
        raise DataError(
            f"rows are a list, tuple, iterator or Arrow object, not {type(rows).__name__}; hand over one of these"
        )
    return list(rows)


def _chunks(value: Any, size: int) -> Iterator[Sequence[Any]]:
    if isinstance(value, (list, tuple)):
        rows = _as_rows(value)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
        return
    iterator = iter(_as_rows(value) if not isinstance(value, Iterator) else value)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _positional(rows: Sequence[Any]) -> bool:
    return bool(rows) and isinstance(rows[0], (tuple, list)) and not hasattr(rows[0], "_fields")


def _refuse_iterator(value: Any) -> None:
    if isinstance(value, Iterator):
        raise ConfigError(
            f"{type(value).__name__} can be read only once, so its content cannot be known in advance; hand over a "
            "list or a table, or give the iterator a primary_key or a mode"
        )
