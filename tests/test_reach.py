"""A server that is away when work begins: workers wait for it, scripts do not, and nobody waits for a refusal."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_engine import OpenEngine
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import strandline as sl
from strandline import _core
from strandline.cli import main
from strandline.cli_console import Exit
from strandline.engine import connect_patiently
from strandline.reach import reach


class Way:
    """A way to this test's database that can be there or not: the directory of its socket under another name."""

    def __init__(self, link: Path, target: str, dsn: str) -> None:
        self._link = link
        self._target = target
        self.dsn = make_conninfo(dsn, host=str(link))
        self.tries: list[str] = []

    def open(self) -> None:
        self._link.symlink_to(self._target)

    def shut(self) -> None:
        self._link.unlink()


class OpensAtTheFirstTry(logging.Handler):
    def __init__(self, way: Way) -> None:
        super().__init__()
        self._way = way

    def emit(self, record: logging.LogRecord) -> None:
        if "next try" in record.getMessage():
            if not self._way.tries:
                self._way.open()
            self._way.tries.append(record.getMessage())


@pytest.fixture
def way(dsn: str, short_directory: Path) -> Iterator[Way]:
    """It is shut, and opens as soon as somebody has tried in vain and says that he tries again."""
    host = conninfo_to_dict(dsn).get("host", "")
    if not isinstance(host, str) or not Path(host).is_dir():
        pytest.skip("the server of this run is not reached by a socket in a directory")
    made = Way(short_directory / "way", host, dsn)
    handler = OpensAtTheFirstTry(made)
    logging.getLogger("strandline").addHandler(handler)
    yield made
    logging.getLogger("strandline").removeHandler(handler)


@pytest.fixture
def short_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The name of a socket has a hundred characters at most."""
    return tmp_path_factory.mktemp("w")


class Ids(sl.Provider):
    """Every id of its window once."""

    name = "ids"
    cursor_type = "id"
    slice = 10

    def next(self, context: sl.Context, cursor: Any) -> Any:
        assert context.window is not None
        return [{"id": each} for each in range(*context.window.bounds)]


def test_a_script_fails_at_once(way: Way) -> None:
    with pytest.raises(sl.Unreachable):
        sl.connect(way.dsn)
    assert not way.tries


def test_a_drain_waits(way: Way) -> None:
    report = sl.drain(way.dsn)
    assert (report.status, len(way.tries)) == ("SUCCEEDED", 1)


def test_the_command_waits(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", way.dsn)
    assert main(["--quiet", "work"]) == Exit.DONE
    assert len(way.tries) == 1


def test_a_budget_that_is_used_up_is_not_waited_for(way: Way) -> None:
    with pytest.raises(sl.Unreachable):
        sl.drain(way.dsn, seconds=0)
    assert not way.tries


def test_work_waits_at_its_start(way: Way, open_engine: OpenEngine, server: Any, dsn: str) -> None:
    way.open()
    engine = open_engine(way.dsn)
    engine.plan(_importable(), window=(0, 20))
    way.shut()
    server.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
        conninfo_to_dict(dsn)["dbname"],
    )
    assert engine.work(progress=False).succeeded == 1
    assert way.tries


def _importable() -> Any:
    from providers import Numbers

    return Numbers()


@pytest.mark.parametrize("wrong", [{"dbname": "nowhere"}, {"user": "nobody"}])
def test_a_refusal_is_not_waited_for(wrong: dict[str, str], dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(sl.Unreachable, match=r"nowhere|nobody"):
        connect_patiently(make_conninfo(dsn, **wrong), None, None)
    assert len([record for record in caplog.records if "next try" in record.getMessage()]) <= 1


def test_who_is_away(dsn: str, short_directory: Path) -> None:
    assert _core.away(make_conninfo(dsn, host=str(short_directory)))
    assert not _core.away(dsn)
    assert not _core.away(make_conninfo(dsn, dbname="nowhere"))


def test_an_interrupt_ends_the_wait_for_a_silent_network(short_directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(short_directory / ".s.PGSQL.5432"))
        silent.listen()
        command = [sys.executable, "-m", "strandline", "work"]
        environment = {**os.environ, "STRANDLINE_DSN": f"host={short_directory} dbname=x connect_timeout=600"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as child:
            connection, _ = silent.accept()  # it waits for an answer now, which does not come
            with connection:
                child.send_signal(signal.SIGINT)
                _, errors = child.communicate(timeout=60)
    assert child.returncode == Exit.INTERRUPTED
    assert b"interrupted" in errors


# The loop ------------------------------------------------------------------------------------------------------------


def failing(*errors: sl.Error) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


@pytest.mark.nodb
def test_pauses_double_with_jitter_up_to_a_limit() -> None:
    pauses: list[float] = []
    assert reach(failing(*[sl.Unreachable("away")] * 8), pauses.append) == "done"
    for pause, most in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0), strict=True):
        assert 0.8 * most <= pause <= most


@pytest.mark.nodb
def test_what_does_not_heal_is_raised_at_once() -> None:
    with pytest.raises(sl.Conflict):
        reach(failing(sl.Conflict("no")), lambda _: pytest.fail("it waited"))


@pytest.mark.nodb
def test_who_is_told_to_end_ends() -> None:
    with pytest.raises(sl.Unreachable):
        reach(failing(sl.Unreachable("away")), lambda _: True)


@pytest.mark.nodb
def test_the_limit_ends_it() -> None:
    with pytest.raises(sl.Unreachable):
        reach(failing(sl.Unreachable("away")), lambda _: pytest.fail("it waited"), seconds=0)
