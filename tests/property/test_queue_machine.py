"""The verbs of the queue in random order, against a server and against a model in plain Python.

After every step the ledger is what queue_model says: states, attempts, leases, dependencies, limits, coverage,
watermarks, and the rows of the targets, each id once (queue_comparison). At the end of every example operators let go
of everything, workers work until nothing is left, and whatever is then not over waits for a part of a stream that
nobody has planned.

`make test` runs a sample, the same each time. STRANDLINE_MACHINE=1000 runs so many examples at random, each with twice
the steps; a failure prints its calls, shrunk. Nothing sleeps: leases are set back in the database, and pauses are an
hour or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from fix_ledger import Database
from fix_server import Connect
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from queue_comparison import Bench
from queue_machine import Machine
from queue_model import Task
from queue_planner import Planner

from strandline.errors import Error

EXAMPLES = int(os.environ.get("STRANDLINE_MACHINE", "0"))


@pytest.fixture
def bench(dsn: str, connect: Connect) -> Bench:
    return Bench(dsn, Database(connect(autocommit=True)))


def run_machine(machine: Callable[[], Machine], examples: int, steps: int, *phases: Phase, derandomize: bool) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            phases=phases,
            report_multiple_bugs=False,
            print_blob=False,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 180)
def test_the_queue_does_what_the_model_says(bench: Bench) -> None:
    if EXAMPLES:
        run_machine(lambda: Machine(bench), EXAMPLES, 80, Phase.generate, Phase.shrink, derandomize=False)
    else:
        run_machine(lambda: Machine(bench), 20, 30, Phase.generate, derandomize=True)


# What a wrong statement would do, done by a trigger: the statements themselves are compiled in.
WRONG = {
    "a parent's end does not reach those who wait": (
        "ing_task",
        "old.unmet > new.unmet and new.status_code = 'QUEUED'",
        "new.unmet := old.unmet",
    ),
    "an exit keeps its mutex": ("ing_mutex", "old.admitted > new.admitted", "new.admitted := old.admitted"),
    "the watermark runs ahead": (
        "ing_cursor",
        "new.head_sequence_no > old.head_sequence_no",
        "new.value_norm := new.observed_max",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_form_is_found(wrong: str, bench: Bench) -> None:
    table, when, change = WRONG[wrong]
    bench.database.rows(
        f"create function public.wrong() returns trigger language plpgsql as $$ begin {change}; return new; end $$"
    )
    bench.database.rows(
        f"create trigger wrong before update on strandline.{table} for each row when ({when})"
        " execute function public.wrong()"
    )
    with pytest.raises((AssertionError, Error)):
        run_machine(lambda: Machine(bench), 40, 30, Phase.generate, derandomize=True)


def test_a_wrong_rule_of_the_model_is_found(bench: Bench) -> None:
    """One to which a pause says nothing."""

    class Restless(Planner):
        def claimable(self) -> list[Task]:
            return [task for task in self.tasks.values() if task.status == "QUEUED" and self.free(task)]

        def free(self, task: Task) -> bool:
            return task.due and not (task.waiting or task.late or self.unmet(task))

    class Wrong(Machine):
        model_class = Restless

    with pytest.raises(AssertionError):
        run_machine(lambda: Wrong(bench), 40, 30, Phase.generate, derandomize=True)
