"""Arguments of other types: every public function says what, where and what to do, and changes nothing."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from fix_ledger import Database

import strandline as sl
from strandline import attributes
from strandline.asynchronous import _VERBS


class Ids(sl.Provider):
    """Every id of its window once."""

    name = "ids"
    cursor_type = "id"
    slice = 10
    primary_key = ("id",)

    def next(self, context: sl.Context, cursor: Any) -> Any:
        assert context.window is not None
        lo, hi = context.window.bounds
        return [{"id": each} for each in range(lo, hi)]


VERBS: dict[str, dict[str, Any]] = {
    "cancel": {"of": 1},
    "coverage": {"of": "ids"},
    "cursor": {"of": "ids"},
    "ingest": {"source": Ids, "window": (0, 10), "errors": "report"},
    "pause": {"of": 1},
    "plan": {"source": Ids, "window": (20, 30), "dry_run": True},
    "pool": {"name": "default", "limit": None},
    "priority": {"of": 1, "n": 5},
    "quarantine": {"worker": "meadow"},
    "query": {"sql": "select $1::text", "args": ("x",)},
    "report": {"plan": 1},
    "resume": {"of": 1},
    "retry": {"of": 1},
    "skip": {"task": 1},
    "split": {"task": 1, "slice": 5},
    "status": {},
    "stop": {"worker": "meadow"},
    "table": {"name": "ids"},
    "trace": {"table": "ids", "key": (1,)},
    "trigger": {"of": 1},
    "verify": {},
    "work": {"plan": 1},
}
"""Every verb of an engine with arguments that it takes, on a ledger whose plan 1 has succeeded."""

WRONG = [
    0, -1, 1.5, float("nan"), 2**70, True, "", "\0", "\ud800", "task:x", "task:-1", b"x", {}, {"a": 1}, [b"x"],
    ("a", 1), object(), dt.date(2024, 1, 1), sl.After({}), sl.After("\ud800"),
]  # fmt: skip

ACTING = [verb for verb in VERBS if "reason" in inspect.signature(getattr(sl.Engine, verb)).parameters]

REFUSED: list[tuple[str, str, Any, str]] = [
    *((verb, "reason", 1, r"reason is 1, of type int; give a text") for verb in ACTING),
    *(
        (verb, "of", wrong, r"of is|there is no|names no task")
        for verb in ACTING
        if "of" in VERBS[verb]
        for wrong in (True, -1, 1.5, b"1", "task:-1", "task:x", None)
    ),
    *(
        (verb, "task", wrong, r"task is|there is no task|names no task")
        for verb in ("split", "skip")
        for wrong in (True, -1, 1.5, "1", "17", "task:-1", None)
    ),
    ("pool", "limit", "3", r"limit is '3'; give a number of tasks from 0 on, or None"),
    ("pool", "limit", True, r"limit is True, of type bool"),
    ("work", "tasks", "3", r"tasks is '3'; give a number of tasks"),
    ("work", "seconds", "x", r"seconds is 'x'; give a number of seconds"),
    ("work", "seconds", float("nan"), r"seconds is nan"),
    ("work", "pool", 3, r"pool is 3, which is no name; give a text"),
    ("work", "plan", "1", r"plan is '1'; give a Plan or its number"),
    ("work", "forever", "no", r"forever is 'no'; give True or False"),
    ("work", "errors", "ignore", r"errors is 'ignore'; give one of raise, report"),
    ("work", "progress", "yes", r"progress is 'yes'; give True, False, or a callable"),
    ("report", "plan", True, r"plan is True; give a Plan or its number"),
    ("plan", "depends_on", {}, r"depends_on is \{\}; give a Plan"),
    ("plan", "depends_on", b"x", r"depends_on is b'x'; give a Plan"),
    ("plan", "primary_key", 5, r"primary_key is 5, of type int; give names of columns"),
    ("plan", "priority", "high", r"priority is 'high'; it goes from 1"),
    ("plan", "trigger", {"log": "a\0"}, r"trigger\['log'\] is 'a\\x00'"),
    ("priority", "n", "high", r"priority is 'high'; it goes from 1"),
    ("split", "slice", "x", "is not a duration"),
    ("status", "state", 1, r"state is 1, of type int; give a text"),
    ("status", "limit", "5", r"limit is '5'; give a number of rows"),
    ("stop", "worker", 5, r"worker is 5, which is no name; give a name"),
    ("quarantine", "release", 1, r"release is 1, of type int; give True or False"),
    ("verify", "anchor", 1, r"anchor is 1, of type int; give the hexadecimal"),
    ("query", "args", (object(), [object()]), r"no form in SQL"),
]  # fmt: skip


@pytest.fixture
def ledger_at_rest(engine: sl.Engine, database: Database) -> Callable[[], Any]:
    """A look at everything that a verb could change."""
    engine.ingest(Ids, window=(0, 10))

    def look() -> Any:
        return [
            database.rows(f"select * from strandline.{table} order by 1")
            for table in ("ing_audit_event", "ing_plan", "ing_task", "ing_pool", "ing_mutex", "ing_cursor")
        ]

    return look


def called(engine: sl.Engine, verb: str, name: str, value: Any) -> Any:
    given = {**VERBS[verb], name: value}
    variadic = [given.pop(each) for each in ("args", "key") if each in given]
    first = [given.pop(each) for each in ("sql", "table") if variadic and each in given]
    values = [each for many in variadic for each in (many if isinstance(many, tuple) else (many,))]
    return getattr(engine, verb)(*first, *values, **given)


def test_every_verb_is_here() -> None:
    assert set(VERBS) == set(_VERBS) - {"close"}


def test_a_wrong_argument_is_named_and_nothing_changes(engine: sl.Engine, ledger_at_rest: Callable[[], Any]) -> None:
    before = ledger_at_rest()
    for verb, name, value, words in REFUSED:
        with pytest.raises(sl.ConfigError, match=words):
            called(engine, verb, name, value)
    assert ledger_at_rest() == before


def parameters(verb: str) -> Iterable[str]:
    return inspect.signature(getattr(sl.Engine, verb)).parameters.keys() - {"self"}


@pytest.mark.parametrize("verb", VERBS)
def test_no_type_escapes(verb: str, engine: sl.Engine, ledger_at_rest: Callable[[], Any]) -> None:
    for name in sorted(parameters(verb)):
        for value in WRONG:
            try:
                called(engine, verb, name, value)
            except sl.Error:
                continue
            except Exception as error:
                raise AssertionError(f"{verb}({name}={value!r}) raises {type(error).__name__}: {error}") from error


@pytest.mark.nodb
def test_no_type_escapes_from_attributes() -> None:
    for name in sorted(attributes.NAMES):
        for value in WRONG:
            try:
                type("Wrong", (Ids,), {name: value})
            except sl.ConfigError:
                continue
            except Exception as error:
                raise AssertionError(f"{name} = {value!r} raises {type(error).__name__}: {error}") from error


def test_after_says_which_end_will_do() -> None:
    with pytest.raises(sl.ConfigError, match="resolved is 'yes'; give True or False"):
        sl.After(1, resolved="yes")  # type: ignore[arg-type] # the point


def test_a_drain_looks_at_its_arguments(dsn: str) -> None:
    for wrong in ({"worker": "x"}, {"seconds": "x"}, {"tasks": -1}, {"pool": 1}, {"plan": "1"}, {"schema": "\ud800"}):
        with pytest.raises(sl.ConfigError, match=next(iter(wrong))):
            sl.drain(dsn, **wrong)  # type: ignore[arg-type] # the point


# Numbers of other libraries -------------------------------------------------------------------------------------------


class Index:
    """As numpy.int64 is: no int, and yet one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_numbers_of_other_libraries_are_numbers(engine: sl.Engine) -> None:
    numpy = pytest.importorskip("numpy")
    for whole in (Index, numpy.int64):
        plan = engine.plan(Ids, f"t_{whole.__name__.lower()}", window=(0, 20), priority=whole(3))
        report = engine.work(
            whole(plan.id), workers=whole(1), tasks=whole(1), seconds=numpy.float32(60), forever=numpy.bool_(False)
        )
        assert (report.succeeded, report.pending) == (1, 1)
        assert engine.report(whole(plan.id)).plan == plan.id
        assert [each.priority for each in engine.status(whole(plan.id), limit=whole(2)).tasks if each.priority] != []
        engine.priority(whole(plan.id), whole(4))
    assert engine.pool("default", numpy.int32(3))


def test_a_number_that_is_too_large_is_named(engine: sl.Engine) -> None:
    for wrong in (10**400, True, "1"):
        with pytest.raises(sl.ConfigError, match=r"seconds is .*; give a number of seconds"):
            engine.work(seconds=wrong)  # type: ignore[arg-type] # the point
    for wrong in (1.0, True, 2**40):
        with pytest.raises(sl.ConfigError, match=r"tasks is .*; give a number of tasks"):
            engine.work(tasks=wrong)  # type: ignore[arg-type] # the point
