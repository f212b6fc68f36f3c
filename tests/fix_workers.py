"""Worker processes that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_ledger import Database

import strandline as sl

HERE = Path(__file__).resolve().parent
KILLED = -signal.SIGKILL

Start = Callable[..., "Worker"]


class Server:
    """The process that forks them (worker_server.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HERE)},
            text=True,
        )

    def ask(self, **order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks workers is gone"
        return int(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Worker:
    """One worker process, from its fork to its end."""

    def __init__(self, server: Server, work: dict[str, Any], env: dict[str, str]) -> None:
        self._server = server
        self._code: int | None = None
        self.pid = server.ask(work=work, env=env)

    def kill(self) -> int:
        """SIGKILL, now. Returns the exit code, which is another one if it had just ended by itself."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)  # not reaped before wait(), so that the pid is still its own
        return self.wait()

    def wait(self) -> int:
        """Its exit code, a signal's number negative."""
        if self._code is None:
            self._code = self._server.ask(wait=self.pid)
        return self._code


@pytest.fixture(scope="session")
def worker_server() -> Iterator[Server]:
    """One for all tests of a process."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def start(worker_server: Server, dsn: str) -> Iterator[Start]:
    """`start(failpoint="commit.before:2", **drain)`: workers of this test's database, with leases of half a second."""
    workers: list[Worker] = []

    def make(failpoint: str = "", way: str = dsn, **work: Any) -> Worker:
        env = {
            "STRANDLINE_LEASE": "500000 us",
            "STRANDLINE_POLL": "20000 us",
            "STRANDLINE_PAGE_RECORDS": "1",  # every page is a commit of its own
            "STRANDLINE_FAILPOINT": failpoint,
        }
        workers.append(Worker(worker_server, {"dsn": way, **work}, env))
        return workers[-1]

    yield make
    for each in workers:
        each.kill()


def check_whole(engine: sl.Engine, database: Database, tables: dict[str, int], page: int = 5) -> None:
    """Each table has the numbers below its stop once, the ledger proves it, and nothing is left for an operator."""
    for table, stop in tables.items():
        rows = database.rows(f"select id from public.{table} order by id")
        assert [row["id"] for row in rows] == list(range(stop)), table
        assert engine.cursor(f"numbers>{table}").value == stop
        assert engine.coverage(f"numbers>{table}", window=(0, stop)).complete
    assert engine.verify().differences == []
    left = database.rows(
        "select 'task' as what, id from strandline.ing_task where status_code <> 'SUCCEEDED'"
        " union all select 'plan', id from strandline.ing_plan where status_code <> 'SUCCEEDED'"
        " union all select 'run', id from strandline.ing_task_run where status_code not in ('SUCCEEDED', 'LOST')"
        " union all select 'coverage', task_id from strandline.ing_coverage where event_sequence_no is null"
    )
    assert left == []
    # Every page is there once, and each begins where the one before it ended, whoever brought it.
    assert database.value("select count(*) from strandline.ing_task_run_batch") == sum(tables.values()) // page
    assert database.value(
        "select bool_and(before_token::text is not distinct from previous) from (select before_token,"
        " lag(after_token::text) over (partition by task_id order by batch_no) as previous"
        " from strandline.ing_task_run_batch) pages"
    )
    assert database.value("select max(walk_no) from strandline.ing_task") == 1
