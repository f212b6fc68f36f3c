"""The key recipes: vectors that other languages reproduce, and what a key must tell apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import reference_canonical

from strandline import _core
from strandline.errors import DataError, Error

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keys.json").read_text(encoding="utf-8"))["cases"]
DIGESTS = {"slice_signature", "expr_hash", "task_key", "prev_hash", "coverage_digest", "namespace_key"}
KINDS = {
    "namespace_key": "namespace",
    "slice_signature": "slice",
    "task_key": "task",
    "plan_key": "plan",
    "batch_key": "batch",
    "request_hash": "request",
    "coverage_digest": "coverage",
    "event_hash": "event",
}


def native(name: str, value: Any) -> Any:
    """An argument as the binding takes it."""
    if name == "namespace":
        return _core.Namespace(**{key: native(key, member) for key, member in value.items()})
    if name in DIGESTS and value is not None:
        return bytes.fromhex(value)
    if name in {"intervals", "rows"}:
        return [tuple(item) for item in value]
    return value


def member(name: str, value: Any) -> tuple[str, Any]:
    """An argument as a member of the recipe's object."""
    if name == "namespace":
        return name, reference_canonical.namespace(**{**value, "namespace_key": bytes.fromhex(value["namespace_key"])})
    if name.endswith("_json"):
        return name.removesuffix("_json"), json.loads(value)
    return name, value


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors(case: dict[str, Any]) -> None:
    arguments = {name: native(name, value) for name, value in case["arguments"].items()}
    assert getattr(_core, case["recipe"])(**arguments).hex() == case["sha256"]
    if case["canonical"] is None:
        assert case["sha256"] == "00" * 32
        return
    text = case["canonical"].encode()
    assert hashlib.sha256(text).hexdigest() == case["sha256"]
    assert _core.canonical_json(text) == text
    members = dict(member(name, value) for name, value in case["arguments"].items())
    assert reference_canonical.recipe(KINDS[case["recipe"]], **members) == text


def test_every_recipe_has_vectors() -> None:
    assert {case["recipe"] for case in VECTORS} == set(KINDS)


def namespace(**changes: Any) -> Any:
    plain = {"provenance_code": "flights", "operation_code": "HARVEST", "cursor_key": "public.flights"}
    return _core.Namespace(**{**plain, **changes})


def test_a_backfill_works_in_the_namespace_of_the_harvest() -> None:
    def key(space: Any) -> bytes:
        return _core.slice_signature(namespace=space, strategy_code="TIME", spec_json="{}", generation=1)

    assert key(namespace(operation_code="BACKFILL")) == key(namespace())
    others = [
        namespace(operation_code="UPDATE"),
        namespace(provenance_code="flight"),
        namespace(cursor_key="public.flight"),
        namespace(namespace_scope_code="EXPR"),
        namespace(namespace_key=bytes(31) + b"\1"),
    ]
    assert len({key(space) for space in [namespace(), *others]}) == len(others) + 1


def test_parts_do_not_run_into_each_other() -> None:
    def key(**parts: str) -> bytes:
        return _core.plan_key(
            **{"scheduler_code": "", "scheduler_job_id": "", "scheduler_log_id": "", "stream": "", **parts}
        )

    keys = [
        key(scheduler_job_id="ab", scheduler_log_id="c"),
        key(scheduler_job_id="a", scheduler_log_id="bc"),
        key(scheduler_job_id='a","scheduler_log_id":"bc'),
    ]
    assert len(set(keys)) == len(keys)


def test_namespaces_show_their_parts() -> None:
    space = namespace(namespace_scope_code="EXPR", namespace_key=b"\1" * 32)
    assert (space.provenance_code, space.operation_code, space.cursor_key) == ("flights", "HARVEST", "public.flights")
    assert (space.namespace_scope_code, space.namespace_key) == ("EXPR", b"\1" * 32)
    assert namespace().namespace_key == bytes(32)
    assert namespace(operation_code="BACKFILL").operation_code == "BACKFILL"


def test_digests_have_32_bytes() -> None:
    with pytest.raises(DataError, match="task_key is a SHA-256 digest of 32 bytes, not of 31"):
        _core.batch_key(task_key=bytes(31), walk_no=1, batch_no=0)
    with pytest.raises(DataError, match="namespace_key"):
        namespace(namespace_key=b"")


@pytest.mark.parametrize("second", [(1, 5), (1, 4), (0, 9)])
def test_coverage_rows_come_in_order(second: tuple[int, int]) -> None:
    with pytest.raises(Error, match=r"\(task_id, batch_no\)"):
        _core.coverage_digest([(1, 5, 1, 0, 1, 1), (*second, 1, 1, 2, 1)])


def test_coverage_digests_of_many_rows_are_streamed() -> None:
    # Several times the block that is hashed at once.
    rows = [(task, batch, 1, task * 10, task * 10 + 9, 2000) for task in range(500) for batch in range(3)]
    text = reference_canonical.recipe("coverage", rows=rows)
    assert _core.coverage_digest(rows) == hashlib.sha256(text).digest()
