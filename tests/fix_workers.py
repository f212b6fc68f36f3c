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

# Leases that a test can wait for the end of, and every page a commit of its own.
SETTINGS = {"STRANDLINE_LEASE": "500000 us", "STRANDLINE_POLL": "20000 us", "STRANDLINE_PAGE_RECORDS": "1"}

Start = Callable[..., "Worker"]


class Server:
    """The process that forks them (worker_server.py); `env` is what it has beside our own environment."""

    def __init__(self, **env: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HERE), **env},
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
    """One worker process, from its fork to its end; `log` is the file that it writes to."""

    def __init__(self, server: Server, work: dict[str, Any], env: dict[str, str], log: Path) -> None:
        self._server = server
        self._code: int | None = None
        self._log = log
        log.touch(0o600)
        self.pid = server.ask(work=work, env=env, log=str(log))

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    @property
    def ended(self) -> bool:
        """True once the process is a zombie: only its parent, the fork server, could reap it."""
        if self._code is not None:
            return True
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; not to be called after wait()."""
        os.kill(self.pid, number)  # not reaped before wait(), so that the pid is still its own

    def kill(self) -> int:
        """SIGKILL, now. Returns the exit code, which is another one if it had just ended by itself."""
        if self._code is None:
            self.signal(signal.SIGKILL)
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
def start(worker_server: Server, dsn: str, tmp_path: Path) -> Iterator[Start]:
    """`start(failpoint="commit.before:2", **drain)`: workers of this test's database, with leases of half a second.

    `way` is another DSN, `server` another process to fork them from; they wait `answer_within` seconds for an answer.
    """
    workers: list[Worker] = []

    def make(
        failpoint: str = "", way: str = dsn, server: Server = worker_server, answer_within: int = 70, **work: Any
    ) -> Worker:
        env = {**SETTINGS, "STRANDLINE_FAILPOINT": failpoint, "STRANDLINE_ANSWER_WITHIN": str(answer_within)}
        workers.append(Worker(server, {"dsn": way, **work}, env, tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield make
    for each in workers:
        each.kill()
        print(each.said, end="")  # pytest shows it where a test has failed


def check_whole(
    engine: sl.Engine,
    database: Database,
    tables: dict[str, int],
    page: int = 5,
    runs: tuple[str, ...] = ("SUCCEEDED", "LOST"),
) -> None:
    """Each table has the numbers below its stop once, the ledger proves it, and nothing is left for an operator.

    `runs` are the ways in which runs may have ended.
    """
    for table, stop in tables.items():
        rows = database.rows(f"select id from public.{table} order by id")
        assert [row["id"] for row in rows] == list(range(stop)), table
        assert engine.cursor(f"numbers>{table}").value == stop
        assert engine.coverage(f"numbers>{table}", window=(0, stop)).complete
    assert engine.verify().differences == []
    left = database.rows(
        "select 'task' as what, id from strandline.ing_task where status_code <> 'SUCCEEDED'"
        " union all select 'plan', id from strandline.ing_plan where status_code <> 'SUCCEEDED'"
        " union all select 'run', id from strandline.ing_task_run where status_code <> all($1::text[])"
        " union all select 'coverage', task_id from strandline.ing_coverage where event_sequence_no is null",
        list(runs),
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
