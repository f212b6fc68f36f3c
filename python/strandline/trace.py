"""From a row of a target to the page, run, task, slice, plan, trigger and configuration that brought it there."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from strandline.arguments import TEXT
from strandline.errors import ConfigError, DataError
from strandline.report import plain
from strandline.window import Window

if TYPE_CHECKING:
    from strandline._core import Ledger

# Which columns of the query make which part, and how they are called there.
_PARTS: dict[str, dict[str, str]] = {
    "batch": {
        "batch_id": "id",
        "batch_no": "batch_no",
        "page_no": "page_no",
        "batch_walk_no": "walk_no",
        "record_count": "records",
        "inserted_count": "inserted",
        "updated_count": "updated",
        "unchanged_count": "unchanged",
        "deleted_count": "deleted",
        "byte_count": "bytes",
        "before_token": "before",
        "after_token": "after",
        "content_digest": "content_digest",
        "batch_key": "key",
        "batch_started_at": "started_at",
        "batch_finished_at": "finished_at",
    },
    "run": {
        "run_id": "id",
        "attempt_no": "attempt",
        "worker": "worker",
        "run_status": "status",
        "run_record_count": "records",
        "run_started_at": "started_at",
        "run_finished_at": "finished_at",
    },
    "task": {
        "task_id": "id",
        "task_key": "key",
        "task_status": "status",
        "priority": "priority",
        "pool": "pool",
        "generation": "generation",
        "params": "params",
    },
    "slice": {
        "slice_id": "id",
        "slice_no": "slice_no",
        "slice_spec": "spec",
        "slice_signature": "signature",
        "expr_snapshot": "expr",
    },
    "plan": {
        "plan_id": "id",
        "plan_key": "key",
        "operation_code": "operation",
        "slice_strategy_code": "strategy",
        "slice_params": "slice",
        "window_spec": "asked",
        "time_zone": "time_zone",
        "plan_status": "status",
        "total_slices": "slices",
        "planned_at": "planned_at",
    },
    "trigger": {
        "trigger_id": "id",
        "scheduler_code": "scheduler",
        "scheduler_job_id": "job",
        "scheduler_log_id": "log",
        "trigger_type_code": "type",
        "triggered_at": "triggered_at",
        "actor": "actor",
        "trigger_params": "request",
    },
    "config": {
        "provenance_code": "name",
        "config_hash": "hash",
    },
}


@dataclass(frozen=True, slots=True)
class Trace:
    """Each part is a mapping; `config` is the provider's reference, version and fields as they were at the trigger."""

    batch: Mapping[str, Any]
    run: Mapping[str, Any]
    task: Mapping[str, Any]
    slice: Mapping[str, Any]
    plan: Mapping[str, Any]
    trigger: Mapping[str, Any]
    config: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The trace as plain values that JSON can hold."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}

    def _repr_html_(self) -> str:
        shown = {name: json.dumps(value, ensure_ascii=False) for name, value in self.to_dict().items()}
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{html.escape(text)}</td></tr>"
            for name, text in shown.items()
        )
        return f"<table>{rows}</table>"


def find(ledger: Ledger, schema: str, table: str, key: tuple[Any, ...]) -> Trace:
    """The trace of one row of schema.table. `key` has the values of its primary key in order, or one {column: value}.

    Raises ConfigError for a key that does not fit the table, DataError for a row that is not there, that strandline did
    not write, or that several batches match.
    """
    if ledger.describe_target(schema, table) is None:
        raise ConfigError(f"there is no table {schema}.{table}; name it as it was given to into=")
    columns, values = _named(ledger, schema, table, key)
    shown = ", ".join(f"{column} = {value}" for column, value in zip(columns, values, strict=True))
    where = f"{schema}.{table} ({shown})"
    batches = ledger.batches_of(schema, table, columns, values)
    if not batches:
        raise DataError(f"there is no row {where}; check the key's values")
    if len(batches) > 1:
        raise DataError(
            f"{where} matches rows of {len(batches)} batches; give more columns: trace(table, {{column: value}})"
        )
    rows = ledger.fetch("trace.batch", batches[0])
    if not rows:
        raise DataError(
            f"batch {batches[0]} of {where} is not in the ledger: its history was pruned, or is another database's"
        )
    return _parts(rows[0])


def _named(ledger: Ledger, schema: str, table: str, key: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    if len(key) == 1 and isinstance(key[0], Mapping):
        named = dict(key[0])
    else:
        columns = ledger.fetch("trace.keys", schema, table)[0]["keys"]
        if len(columns) != len(key):
            wanted = f"its key is ({', '.join(columns)})" if columns else "it has no key: give {column: value}"
            raise ConfigError(f"{len(key)} values are given for a row of {schema}.{table}, and {wanted}")
        named = dict(zip(columns, key, strict=True))
    if not named:
        raise ConfigError(f"no key is given for a row of {schema}.{table}")
    empty = [name for name, value in named.items() if value is None]
    if empty:
        raise ConfigError(f"{empty[0]} is None: a row is found by values that it has")
    try:
        values = [_text(value) for value in named.values()]
    except TypeError as error:
        raise ConfigError(f"the key of a row of {schema}.{table} holds a value that no column has: {error}") from error
    for name, value in zip(named, values, strict=True):
        TEXT.check("a column of the key", name)
        TEXT.check(f"{name} of the key", value)
    return list(named), values


def _text(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ConfigError(f"{value!r} has no time zone; add one, or give the value as text as PostgreSQL would read it")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return "\\x" + value.hex()
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


def _parts(row: dict[str, Any]) -> Trace:
    parts: dict[str, dict[str, Any]] = {
        part: {name: row[column] for column, name in columns.items()} for part, columns in _PARTS.items()
    }
    kind, zone = row["cursor_type_code"], row["time_zone"]
    if kind in ("TIME", "ID"):
        parts["slice"]["window"] = Window.from_bounds(row["lo"], row["hi"], kind.lower(), zone)
        parts["plan"]["window"] = Window.from_bounds(row["window_from"], row["window_to"], kind.lower(), zone)
    parts["config"].update(row["provenance_config_snapshot"])
    return Trace(**parts)
