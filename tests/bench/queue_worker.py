"""Processes that empty a queue for a while, strandline's or the hand-written loop's, and say how far they came.

A worker is this file run as a program. It reads a round a line from its input, {"batch", "seconds", "tasks"}, works
until the time is over, the number of tasks is reached or the queue is empty, and answers {"done", "begin", "end"} in
seconds of the monotonic clock, which the processes of a machine share.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import psycopg
from queue_ledger import EMPTY, LEASE, POOL, TARGET

from strandline import _core

Step = Callable[[int], int]
"""Claims up to so many tasks, completes them, and returns how many there were."""

LOOP_TABLE = """
create table loop_task (
  id bigint generated always as identity primary key,
  priority smallint not null default 5,
  status text not null default 'QUEUED',
  run_at timestamptz not null default clock_timestamp()
);
create index loop_task_claim on loop_task (priority, run_at, id) where status = 'QUEUED'
"""
_LOOP_CLAIM = """
update loop_task set status = 'RUNNING' where id = any(array(
  select id from loop_task where status = 'QUEUED' and run_at <= statement_timestamp()
  order by priority, run_at, id limit %s for update skip locked)) returning id
"""
_LOOP_DONE = "update loop_task set status = 'DONE' where id = any(%s)"


def _strandline(dsn: str, name: str) -> Step:
    ledger = _core.Ledger(dsn, "strandline", name)

    def step(batch: int) -> int:
        runs = ledger.claim(name, batch, LEASE, pool=POOL)
        if runs:
            ends = ledger.finish(runs, TARGET, [EMPTY] * len(runs), lease=LEASE)
            assert ends == ["SUCCEEDED"] * len(runs), ends
        return len(runs)

    return step


def _loop(dsn: str, name: str) -> Step:
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0, application_name=name)
    cursor = connection.cursor(binary=True)

    def step(batch: int) -> int:
        ids = [row[0] for row in cursor.execute(_LOOP_CLAIM, (batch,)).fetchall()]
        if ids:
            cursor.execute(_LOOP_DONE, (ids,))
        return len(ids)

    return step


ARMS: dict[str, Callable[[str, str], Step]] = {"strandline": _strandline, "loop": _loop}


class Workers:
    """So many processes of one arm, each with one connection, ready before the first round. A context manager."""

    def __init__(self, arm: str, dsn: str, count: int) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, __file__, arm, dsn, f"{arm} {number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.communicate()

    def round(self, batch: int, *, seconds: float = 1e9, tasks: int = 10**12) -> tuple[int, float]:
        """All of them at once; `tasks` are shared out. How many were done, and the seconds from first to last."""
        share = -(-tasks // len(self._processes))
        order = json.dumps({"batch": batch, "seconds": seconds, "tasks": share}) + "\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(order)
            process.stdin.flush()
        answers: list[dict[str, Any]] = []
        for process in self._processes:
            assert process.stdout is not None
            answers.append(json.loads(process.stdout.readline()))
        length = max(answer["end"] for answer in answers) - min(answer["begin"] for answer in answers)
        return sum(answer["done"] for answer in answers), length


def main(arm: str, dsn: str, name: str) -> None:
    """Rounds until the input ends."""
    step = ARMS[arm](dsn, name)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        done, begin = 0, time.monotonic()
        while done < order["tasks"] and time.monotonic() - begin < order["seconds"]:
            count = step(min(order["batch"], order["tasks"] - done))
            if not count:
                break
            done += count
        print(json.dumps({"done": done, "begin": begin, "end": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
