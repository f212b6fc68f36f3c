"""`strandline work` as a service: its processes, signals, budgets, its registry, and what it does without work."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_ledger import Database
from providers import Gated, Numbers

import strandline as sl
from strandline import _core, presence

HERE = Path(__file__).resolve().parent
INTERRUPTED = 130

Work = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def work(dsn: str, tmp_path: Path) -> Iterator[Work]:
    """`work("--forever")`: a `strandline work` of this test's database."""
    processes: list[subprocess.Popen[str]] = []

    def make(*words: str, **settings: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "STRANDLINE_DSN": dsn,
            "PYTHONPATH": str(HERE),
            "STRANDLINE_LEASE": "1 s",
            "STRANDLINE_POLL": "20000 us",
            "STRANDLINE_PAGE_RECORDS": "1",
            **settings,
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "strandline", "work", *words],
                env=environment,
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return processes[-1]

    yield make
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
        print(out)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe."""
    made = tmp_path / "gate"
    os.mkfifo(made)
    return made


def open_until_ended(gate: Path, process: subprocess.Popen[str]) -> int:
    """Opens the gate for whoever waits there, now and then, until the process has ended; returns its exit code."""
    for _ in range(100):
        with contextlib.suppress(OSError):  # nobody waits there
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.3)
    raise AssertionError("the process lives on")


def at_work(database: Database, count: int = 1) -> None:
    """Returns when so many workers are at work."""
    database.wait_until(
        "(select count(*) from strandline.ing_worker where status_code = 'ACTIVE' and worker !~ ':0$') >= $1::bigint",
        count,
    )


def ids(database: Database, table: str) -> list[int]:
    return [row["id"] for row in database.rows(f'select id from public."{table}" order by id')]


def ends(database: Database) -> Counter[tuple[str, str]]:
    rows = database.rows("select status_code, end_reason_code from strandline.ing_task_run")
    return Counter((row["status_code"], row["end_reason_code"]) for row in rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_the_page_in_hand_finish(
    engine: sl.Engine, database: Database, work: Work, gate: Path, workers: int
) -> None:
    engine.plan(Gated, window=(0, 40), params={"gate": str(gate)})
    process = work("--forever", "--workers", str(workers))
    database.wait_until("exists (select from strandline.ing_task_run where batch_no = 2)")
    process.send_signal(signal.SIGTERM)
    assert open_until_ended(gate, process) == INTERRUPTED
    # The page in hand is stored, and one more if the signal came later to Python than the gate was opened.
    stored = ids(database, "gated")
    assert stored in (list(range(15)), list(range(20)))
    assert ends(database) == {("YIELDED", "INTERRUPTED"): 1}
    assert database.value("select status_code from strandline.ing_task") == "QUEUED"
    states = {row["status_code"] for row in database.rows("select status_code from strandline.ing_worker")}
    assert states <= {"STOPPED", "ACTIVE"}
    assert (
        database.value("select count(*) from strandline.ing_worker where status_code = 'ACTIVE' and worker !~ ':0$'")
        == 0
    )
    assert engine.work(1).status == "SUCCEEDED"
    assert ids(database, "gated") == list(range(40))


def test_a_killed_parent_leaves_no_orphan(engine: sl.Engine, database: Database, work: Work, gate: Path) -> None:
    """The children of a parent that was killed end, the page in hand finished or fenced; nobody works on."""
    engine.plan(Gated, window=(0, 80), params={"gate": str(gate)})
    parent = work("--forever", "--workers", "2")
    database.wait_until("(select count(*) from strandline.ing_task_run where batch_no = 2) = 2")
    pids = [row["pid"] for row in database.rows("select distinct pid from strandline.ing_worker")]
    assert len(pids) == 2
    assert parent.pid not in pids
    parent.kill()
    parent.wait(30)
    for pid in pids:
        gone(pid, gate)
    assert sum(ends(database).values()) == 2
    database.wait_until(
        "not exists (select from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING')"
        " and leased_until > clock_timestamp())"
    )
    assert engine.work(1).status == "SUCCEEDED"
    assert ids(database, "gated") == list(range(80))
    assert engine.verify()


def gone(pid: int, gate: Path) -> None:
    """Returns when a process that is no child of ours has ended; opens the gate for it meanwhile."""
    handle = os.pidfd_open(pid)
    try:
        for _ in range(3000):
            with contextlib.suppress(OSError):  # nobody waits there
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            if select.select([handle], [], [], 0.01)[0]:
                return
    finally:
        os.close(handle)
    raise AssertionError(f"process {pid} lives on")


def test_a_budget_of_tasks_is_shared_out(engine: sl.Engine, database: Database, work: Work) -> None:
    engine.plan(Numbers, window=(0, 200))
    process = work("--workers", "2", "--tasks", "5")
    assert process.wait(60) == 4  # work is left
    assert ends(database) == {("SUCCEEDED", "DONE"): 5}


def test_the_registry_knows_who_works(engine: sl.Engine, database: Database, work: Work) -> None:
    process = work("--forever", "--pool", "default")
    at_work(database)
    (row,) = database.rows("select * from strandline.ing_worker where worker !~ ':0$'")
    assert row["pid"] == process.pid
    assert row["worker"].startswith(f"{row['host']}:{process.pid}:")
    assert row["version"] == presence.version()
    assert row["pools"] == ["default"]
    database.wait_until(
        "select heartbeat_at > $1::timestamptz from strandline.ing_worker where worker = $2::text",
        row["heartbeat_at"],
        row["worker"],
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == INTERRUPTED
    (row,) = database.rows("select * from strandline.ing_worker where worker = $1::text", row["worker"])
    assert row["status_code"] == "STOPPED"
    assert row["stopped_at"] is not None


def test_a_service_takes_up_what_is_planned_later(engine: sl.Engine, database: Database, work: Work) -> None:
    work("--forever")
    at_work(database)
    engine.plan(Numbers, window=(0, 40))
    database.wait_until("(select count(*) from strandline.ing_task where status_code = 'SUCCEEDED') = 2")
    database.wait_until("(select status_code from strandline.ing_plan) = 'SUCCEEDED'")


def test_pools_are_worked_by_their_own(engine: sl.Engine, database: Database, work: Work) -> None:
    class Special(Numbers):
        pool = "special"

    plan = engine.plan(Numbers, window=(0, 40))
    database.rows("update strandline.ing_task set pool = 'special' where lo = 0")
    assert work("--pool", "special").wait(60) == 0
    assert database.rows("select status_code, lo from strandline.ing_task order by lo") == [
        {"status_code": "SUCCEEDED", "lo": 0},
        {"status_code": "QUEUED", "lo": 20},
    ]
    assert plan.id is not None
    del Special


@pytest.mark.parametrize("depth", [1, 2], ids=["the worker", "its process"])
def test_a_worker_that_is_asked_to_stop_ends(
    engine: sl.Engine, database: Database, work: Work, gate: Path, depth: int
) -> None:
    engine.plan(Gated, window=(0, 40), params={"gate": str(gate)})
    process = work("--forever")
    database.wait_until("exists (select from strandline.ing_task_run where batch_no = 2)")
    name = database.value("select worker from strandline.ing_task_run")
    assert engine.stop(name.rsplit(":", depth - 1)[0], reason="a new version")
    assert open_until_ended(gate, process) in (0, 4)
    assert ends(database) == {("YIELDED", "DRAINING"): 1}
    # The page in hand brings the word; the one after it was on its way when that came.
    assert ids(database, "gated") in (list(range(15)), list(range(20)))


def test_an_idle_worker_that_is_asked_to_stop_ends(engine: sl.Engine, database: Database, work: Work) -> None:
    process = work("--forever")
    at_work(database)
    name = database.value("select worker from strandline.ing_worker where worker !~ ':0$'")
    assert engine.stop(name, reason="a new version")
    assert process.wait(30) == 0


def test_a_worker_in_quarantine_claims_nothing_until_it_is_released(
    engine: sl.Engine, database: Database, work: Work
) -> None:
    process = work("--forever")
    at_work(database)
    name = database.value("select worker from strandline.ing_worker where worker !~ ':0$'")
    assert engine.quarantine(name, reason="it writes nonsense")
    engine.plan(Numbers, window=(0, 40))
    seen = database.value("select heartbeat_at from strandline.ing_worker where worker = $1::text", name)
    # It lives on, for several polls.
    database.wait_until(
        "select heartbeat_at > $1::timestamptz + interval '0.5 s' from strandline.ing_worker where worker = $2::text",
        seen,
        name,
    )
    assert database.value("select count(*) from strandline.ing_task_run") == 0
    assert process.poll() is None
    assert engine.quarantine(name, release=True)
    database.wait_until("(select count(*) from strandline.ing_task where status_code = 'SUCCEEDED') = 2")


# Without work --------------------------------------------------------------------------------------------------------


class Counting(_core.Ledger):
    """A ledger that counts its claims."""

    claims = 0

    def claim(self, *arguments: Any, **options: Any) -> list[_core.Run]:
        type(self).claims += 1
        return super().claim(*arguments, **options)


@pytest.mark.parametrize(
    "blocked",
    [
        "held = true",
        "unmet = 1",
        "mutex_waiting = true, mutex_key = 'a'",
        "scheduled_at = clock_timestamp() + interval '1 h'",
    ],
)
def test_waiting_is_no_busy_loop(
    engine: sl.Engine,
    open_engine: Any,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    dsn: str,
    blocked: str,
) -> None:
    """Whatever a task waits for: a worker without work asks once a poll, and not as fast as it can."""
    monkeypatch.setenv("STRANDLINE_POLL", "200000 us")
    patient = open_engine()
    patient.plan(Numbers, window=(0, 40))
    database.rows("insert into strandline.ing_mutex (key, admitted) values ('a', 1)")
    database.rows(f"update strandline.ing_task set {blocked}")
    monkeypatch.setattr(Counting, "claims", 0)
    monkeypatch.setattr(presence, "_core", type("Native", (), {"Ledger": Counting, "Renewer": _core.Renewer}))
    report = patient.work(seconds=2, forever=True, errors="report")
    assert report.pending == 2
    # Ten polls of 0.16 to 0.2 s, and the short ones with which the wait for something that is due begins.
    assert 8 <= Counting.claims <= 22
    assert database.value("select count(*) from strandline.ing_task_run") == 0


def test_a_task_that_is_delayed_starts_when_it_is_due(
    open_engine: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_POLL", "10 s")
    patient = open_engine()
    patient.plan(Numbers, window=(0, 20), delay="1 s")
    assert patient.work(pool="default").succeeded == 1
    late = database.value(
        "select extract(epoch from r.created_at - t.scheduled_at)::float8 from strandline.ing_task t"
        " join strandline.ing_task_run r on r.task_id = t.id"
    )
    assert -0.1 < late < 5  # and not ten, as long as it sleeps when nothing is to come
