"""Where rows land: reading `into`, and refusing names that PostgreSQL cannot hold.

Any name is safe, because the native layer quotes every identifier. What is refused here could not be stored as given
(too long, a NUL, empty) or would shape a table that is not the user's to shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strandline.errors import ConfigError
from strandline.schema import LINEAGE_PREFIX

_LONGEST = 63
"""Bytes of an identifier; PostgreSQL cuts longer ones off silently, so that two tables would become one."""
_FORBIDDEN_SCHEMAS = ("information_schema", "pg_catalog", "pg_toast")

Into = str | Sequence[str] | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Target:
    """A table and how rows reach it. `mode` is append or merge; merge matches rows by `primary_key`."""

    schema: str
    table: str
    mode: str = "append"
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None

    @property
    def name(self) -> str:
        """schema.table, for messages and for cursor_key."""
        return f"{self.schema}.{self.table}"

    def to_dict(self) -> dict[str, Any]:
        """The form that the native ledger takes."""
        return {
            "schema": self.schema,
            "table": self.table,
            "mode": self.mode,
            "primary_key": list(self.primary_key),
            "cursor_field": self.cursor_field,
        }


def table_of(into: Into, stream: str, *, ledger_schema: str) -> tuple[str, str]:
    """The (schema, table) of a stream.

    `into` is "table", "schema.table", (schema, table), a text with {stream} in it, {stream: any of these}, or None for
    the stream's own name in schema public. Raises ConfigError for anything else and for names that cannot be held.
    """
    if isinstance(into, Mapping):
        if stream not in into:
            raise ConfigError(
                f"into names {_listed(into)}, and the stream is {stream!r}; give into={{{stream!r}: table}}"
            )
        into = into[stream]
        if isinstance(into, Mapping):
            raise ConfigError(f"into[{stream!r}] is a mapping; give a table: 'schema.table' or (schema, table)")
    schema, table = _split(stream if into is None else into, stream, split=into is not None)
    for kind, name in (("schema", schema), ("table", table)):
        check_identifier(name, f"the {kind} of into")
    if schema in _FORBIDDEN_SCHEMAS or schema.startswith("pg_"):
        raise ConfigError(f"into names the schema {schema!r}, which belongs to PostgreSQL; choose one of your own")
    if schema == ledger_schema:
        raise ConfigError(f"into names the schema {schema!r}, which holds the ledger; choose another one for rows")
    return schema, table


def check_identifier(name: object, where: str) -> str:
    """The name, if PostgreSQL can hold it as it is. Raises ConfigError that says where it was given."""
    if not isinstance(name, str):
        raise ConfigError(f"{where} is {name!r}, a {type(name).__name__}; names are text")
    if not name:
        raise ConfigError(f"{where} is empty; give a name")
    if "\0" in name:
        raise ConfigError(f"{where} is {name!r}: PostgreSQL cannot hold a NUL in a name; remove it")
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ConfigError(f"{where} is {name!r}, which is not valid Unicode; remove the lone surrogate") from error
    if size > _LONGEST:
        raise ConfigError(f"{where} is {name[:24]!r}..., {size} bytes long; PostgreSQL holds {_LONGEST}: shorten it")
    return name


def check_columns(names: Sequence[str], where: str) -> None:
    """Raises ConfigError for a column that cannot be held, is there twice, or is one of the lineage columns."""
    seen: set[str] = set()
    for name in names:
        check_identifier(name, f"a column of {where}")
        if name.startswith(LINEAGE_PREFIX):
            raise ConfigError(f"{where} has a column {name!r}, which is reserved for lineage; rename it")
        if name in seen:
            raise ConfigError(f"{where} names the column {name!r} twice; name it once")
        seen.add(name)


def _split(into: str | Sequence[str], stream: str, *, split: bool) -> tuple[str, str]:
    if isinstance(into, str):
        text = into.replace("{stream}", stream)
        if not split or "." not in text:
            return "public", text
        schema, _, table = text.partition(".")
        if "." in table:
            raise ConfigError(f"into={into!r} has more than one dot; give a pair: into=(schema, table)")
        return schema, table
    pair: Any = into
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        return pair[0], pair[1]
    raise ConfigError(
        f"into={into!r} is not understood; give 'table', 'schema.table', (schema, table) or {{stream: table}}"
    )


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
