"""Results of `table()` and `query()`: rows that can be iterated, and handed on as Arrow."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from strandline.errors import ConfigError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_SHOWN = 10

# PostgreSQL's type names in Arrow's; what is not here is left to Arrow's own inference from the values.
_ARROW_TYPES = {
    "boolean": "bool",
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "real": "float32",
    "double precision": "float64",
    "text": "string",
    "character varying": "string",
    "bytea": "binary",
    "date": "date32",
}


class Result:
    """Rows of a query as tuples, read in one piece. `columns` are the names, `types` PostgreSQL's names of types."""

    def __init__(self, columns: Sequence[str], types: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        self.columns = tuple(columns)
        self.types = tuple(types)
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self._rows[index]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return list(self._rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """All rows as {column: value}."""
        return [dict(zip(self.columns, row, strict=True)) for row in self._rows]

    def arrow(self) -> pyarrow.Table:
        """A pyarrow.Table. Raises ConfigError where pyarrow is not installed."""
        pa = _library("pyarrow", "arrow()")
        arrays = []
        for index, (name, kind) in enumerate(zip(self.columns, self.types, strict=True)):
            values = [row[index] for row in self._rows]
            if kind in ("json", "jsonb"):
                values = [None if value is None else _json(value) for value in values]
            elif kind == "uuid":
                values = [None if value is None else str(value) for value in values]
            arrow_type = self._arrow_type(pa, kind)
            try:
                arrays.append(pa.array(values, type=arrow_type))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise ConfigError(f"column {name} ({kind}) has no Arrow form: {error}; cast it in the query") from error
        return pa.Table.from_arrays(arrays, names=list(self.columns))

    def df(self) -> pandas.DataFrame:
        """A pandas.DataFrame. Raises ConfigError where pandas or pyarrow is not installed."""
        _library("pandas", "df()")
        return self.arrow().to_pandas()

    def polars(self) -> polars.DataFrame:
        """A polars.DataFrame. Raises ConfigError where polars or pyarrow is not installed."""
        frame: polars.DataFrame = _library("polars", "polars()").from_arrow(self.arrow())
        return frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Result {len(self._rows)} rows: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>"
            for row in self._rows[:_SHOWN]
        )
        rest = f"<caption>{len(self._rows)} rows, the first {_SHOWN} are shown</caption>" if len(self) > _SHOWN else ""
        return f"<table>{rest}<tr>{head}</tr>{body}</table>"

    def _arrow_type(self, pa: Any, kind: str) -> Any:
        if kind in _ARROW_TYPES:
            return getattr(pa, _ARROW_TYPES[kind])() if kind != "boolean" else pa.bool_()
        if kind == "timestamp with time zone":
            return pa.timestamp("us", tz="UTC")
        if kind == "timestamp without time zone":
            return pa.timestamp("us")
        return pa.string() if kind in ("json", "jsonb", "uuid") else None


def _json(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _library(name: str, what: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{what} needs {name}, which is not installed: pip install {name}") from error
