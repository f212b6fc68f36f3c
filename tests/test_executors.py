"""`drain` on executors that other people wrote: every source row lands once, wherever and however often it is called.

What runs here is the code of docs/executors.md: drain is importable, its arguments are plain, every call is a worker of
its own, and any number of calls share the plan.
"""

from __future__ import annotations

import functools
import re
import sys
import types
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fix_engine import OpenEngine
from fix_ledger import Database
from fix_workers import check_whole
from providers import Hours, Mortal, Numbers

import strandline as sl
from strandline import cli_parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "executors.md"
STOP = 400  # ids: 20 slices of 4 pages
WORKERS = 4


@pytest.fixture
def engine(open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> sl.Engine:
    """With leases whose end a test can wait for; the processes of executors inherit the environment."""
    monkeypatch.setenv("STRANDLINE_LEASE", "500000 us")
    return open_engine()


def plan_id(engine: sl.Engine, source: type[Numbers] = Numbers, **params: str) -> int:
    plan = engine.plan(source, "numbers", window=(0, STOP), params=params)
    assert plan.id is not None
    assert plan.slices == STOP // 20
    return plan.id


def check(engine: sl.Engine, database: Database, reports: list[sl.Report]) -> None:
    """All calls say the same about the plan, and the ledger proves it."""
    assert {(report.status, report.rows, report.pending) for report in reports} == {("SUCCEEDED", STOP, 0)}
    check_whole(engine, database, {"numbers": STOP})


def workers(database: Database) -> set[str]:
    """The processes that had a run, as host:pid."""
    rows = database.rows("select distinct worker from strandline.ing_task_run")
    return {row["worker"].rpartition(":")[0] for row in rows}


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The functions of the page."""
    names: dict[str, Any] = {"__name__": "docs_executors"}
    for code in blocks("python"):
        exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    return names


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_threads(shown: dict[str, Any], engine: sl.Engine, database: Database, dsn: str) -> None:
    plan = plan_id(engine)
    check(engine, database, shown["on_threads"](dsn, plan))
    (again,) = {report.rows for report in shown["on_threads"](dsn, plan)}
    assert again == STOP, "on a plan that is over it returns at once, with the same report"


@pytest.mark.slow
def test_processes(shown: dict[str, Any], engine: sl.Engine, database: Database, dsn: str) -> None:
    plan = shown["planned"](dsn, Numbers, "numbers", (0, STOP))
    check(engine, database, shown["on_processes"](dsn, plan))
    assert len(workers(database)) > 1


@pytest.mark.slow
def test_a_pool_that_lost_a_process_is_replaced_and_goes_on(
    shown: dict[str, Any], engine: sl.Engine, database: Database, dsn: str, tmp_path: Path
) -> None:
    """ProcessPoolExecutor gives all of itself up when one process dies. The same line on a new one finishes."""
    plan = plan_id(engine, Mortal, fuse=str(tmp_path / "fuse"))
    with pytest.raises(BrokenProcessPool):
        shown["on_processes"](dsn, plan)
    assert database.value("select count(*) from strandline.ing_task where status_code = 'SUCCEEDED'") < STOP // 20
    check(engine, database, shown["on_processes"](dsn, plan))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the cluster's own affair
def test_a_dask_cluster_that_loses_a_worker(
    shown: dict[str, Any], engine: sl.Engine, database: Database, dsn: str, tmp_path: Path
) -> None:
    """The nanny starts another process, the scheduler calls drain again, and the lost run goes on behind its page."""
    import distributed

    fuse = tmp_path / "fuse"
    plan = plan_id(engine, Mortal, fuse=str(fuse))
    with distributed.LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        check(engine, database, shown["on_dask"](dsn, plan, cluster.scheduler_address))
    assert fuse.exists(), "nobody was killed"
    (killed,) = database.rows(
        "select r.batch_no from strandline.ing_task_run r where r.status_code = 'LOST' and exists (select"
        " from strandline.ing_task_run n where n.task_id = r.task_id and n.attempt_no > r.attempt_no"
        " and n.status_code = 'SUCCEEDED' and n.worker <> r.worker) order by r.batch_no desc limit 1"
    )
    assert killed["batch_no"] >= 1, "what it had committed is not read again"
    assert len(workers(database)) > 1


def test_airflow_tasks(
    shown: dict[str, Any], engine: sl.Engine, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapped tasks, called one after another by a stand-in for Airflow; a second call of a DAG run does nothing."""
    airflow, source = types.ModuleType("airflow.sdk"), types.ModuleType("flights.providers")
    run = types.SimpleNamespace(dag_id="harvest", run_id="scheduled__2013-01-01")
    monkeypatch.setattr(airflow, "dag", lambda **_: lambda function: function, raising=False)
    monkeypatch.setattr(airflow, "task", functools.partial(Task, run=run), raising=False)
    monkeypatch.setattr(source, "Flights", Hours, raising=False)
    for name, module in {
        "airflow": airflow,
        "airflow.sdk": airflow,
        "flights": source,
        "flights.providers": source,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("FLIGHTS_DSN", dsn)
    monkeypatch.setattr(Hours, "origin", datetime.now(UTC) - timedelta(hours=6))
    shown["flights"]()
    rows = database.value("select count(distinct at) from public.flights")
    assert rows >= 6
    shown["flights"]()
    assert database.value("select count(*) from public.flights") == rows
    assert database.value("select count(*) from strandline.ing_plan") == 1
    assert not engine.verify().differences


class Task:
    """`@task`, as far as the page uses it: a call, and partial().expand()."""

    def __init__(self, function: Any = None, *, run: Any, **options: Any) -> None:
        self._function = function
        self._run = run

    def __call__(self, *arguments: Any) -> Any:
        if self._function is None:
            return Task(arguments[0], run=self._run)
        return self._function(dag_run=self._run)

    def partial(self, **fixed: Any) -> Task:
        return Task(functools.partial(self._function, **fixed), run=self._run)

    def expand(self, worker: list[int]) -> list[Any]:
        return [self._function(worker) for worker in worker]


@pytest.mark.nodb
def test_the_command_of_the_pod_is_one() -> None:
    import yaml

    (text,) = blocks("yaml")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    name, *words = ["7" if word == "$(PLAN)" else word for word in container["command"]]
    assert name == "strandline"
    assert cli_parser.parser().parse_args(words).plan == 7
    assert {each["name"] for each in container["env"]} == {"PLAN", "STRANDLINE_DSN"}
