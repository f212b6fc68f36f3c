"""What `of` names: a plan, a task, a provider or one of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline.arguments import HELD
from strandline.errors import ConfigError
from strandline.report import Plan

if TYPE_CHECKING:
    from strandline._core import Ledger


_LAST = 2**63 - 1
"""The largest id that the ledger can give."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was named; a field is None where it was not."""

    plan: int | None = None
    task: int | None = None
    cursor: int | None = None
    source: str | None = None


def subject_of(ledger: Ledger, of: Any, *, cursor: bool) -> Subject:
    """Reads `of`. With `cursor` the one cursor that it means is looked up.

    Raises ConfigError for what is not there, and for a provider that feeds several tables where one must be named.
    """
    HELD.check("of", of)
    if isinstance(of, Plan):
        of = plan_of(of)
    if isinstance(of, bool) or not isinstance(of, (int, str)):
        raise ConfigError(f"of is {of!r}; give a Plan, a plan id, 'task:ID', a provider name or 'name>table'")
    if isinstance(of, int):
        return _of_plan(ledger, plan_of(of), cursor)
    if of.startswith("task:"):
        return _of_task(ledger, of, cursor)
    name, arrow, table = of.partition(">")
    if not name or (arrow and not table):
        raise ConfigError(f"of is {of!r}, which names nothing; give a plan id, 'task:ID', a provider or 'name>table'")
    rows = ledger.fetch("status.cursors", name, table if arrow else None)
    if not rows and not _known(ledger, name):
        raise ConfigError(f"nothing was planned for {of!r}; `strandline status` lists what there is")
    if not cursor:
        return Subject(source=name)
    if not rows:
        raise ConfigError(f"{of!r} has no cursor: nothing with a window was planned for it")
    if len(rows) > 1:
        names = ", ".join(dict.fromkeys(f"'{row['provenance_code']}>{row['cursor_key']}'" for row in rows))
        same = len({row["cursor_key"] for row in rows}) == 1
        hint = "it was loaded with several params or exprs: name one by its plan id" if same else f"name one of {names}"
        raise ConfigError(f"{of!r} has {len(rows)} cursors; {hint}")
    return Subject(cursor=rows[0]["id"], source=name)


def key_of(ledger: Ledger, of: Any) -> dict[str, int]:
    """`of` as the native verbs take it: {"plan": id}, {"task": id}, or {"cursor": id} for a provider's name."""
    if of is None:
        raise ConfigError("of is missing: name a plan, 'task:ID', a provider, or 'name>table'")
    found = subject_of(ledger, of, cursor=not isinstance(of, (Plan, int)) and not str(of).startswith("task:"))
    if found.task is not None:
        return {"task": found.task}
    if found.plan is not None:
        return {"plan": found.plan}
    assert found.cursor is not None
    return {"cursor": found.cursor}


def plan_of(plan: Any) -> int:
    """The id of a stored plan, from a Plan or the id itself. Raises ConfigError for anything else."""
    if isinstance(plan, Plan):
        if plan.id is None:
            raise ConfigError("this plan is a dry run: nothing of it is stored; plan without dry_run")
        plan = plan.id
    if isinstance(plan, bool) or not isinstance(plan, int):
        raise ConfigError(
            f"plan is {plan!r}; give a Plan or its number; `strandline status` lists those that there are"
        )
    if not 0 < plan <= _LAST:
        raise ConfigError(f"there is no plan {plan}; `strandline status` lists those that there are")
    return plan


def task_of(ledger: Ledger, task: Any) -> int:
    """The id of a task that is there, from "task:ID" or the id itself. Raises ConfigError for anything else."""
    if isinstance(task, int) and not isinstance(task, bool):
        task = f"task:{task}"
    if not isinstance(task, str) or not task.startswith("task:"):
        raise ConfigError(f"task is {task!r}; give its number, or 'task:NUMBER'; `strandline status PLAN` lists them")
    found = subject_of(ledger, task, cursor=False).task
    assert found is not None
    return found


def _of_plan(ledger: Ledger, plan: int, cursor: bool) -> Subject:
    rows = ledger.fetch("status.plans", plan, None, None, None, 1)
    if not rows:
        raise ConfigError(f"there is no plan {plan}; `strandline status` lists those that there are")
    if cursor and rows[0]["cursor_id"] is None:
        raise ConfigError(f"plan {plan} loads a value, which has no window, cursor or coverage")
    return Subject(plan=plan, cursor=rows[0]["cursor_id"])


def _of_task(ledger: Ledger, of: str, cursor: bool) -> Subject:
    digits = of.removeprefix("task:")
    if not digits.isdecimal():
        raise ConfigError(f"{of!r} names no task: write task: and its number, such as task:17")
    rows = ledger.fetch("status.task_cursor", int(digits)) if int(digits) <= _LAST else []
    if not rows:
        raise ConfigError(f"there is no task {digits}; `strandline status PLAN` lists those of a plan")
    if cursor and rows[0]["cursor_id"] is None:
        raise ConfigError(f"task {digits} loads a value, which has no window, cursor or coverage")
    return Subject(task=int(digits), cursor=rows[0]["cursor_id"])


def _known(ledger: Ledger, name: str) -> bool:
    return bool(ledger.fetch("status.plans", None, name, None, None, 1))
