"""Other people's queues on no-op jobs, each with its own worker and installed into build/bench.

Each peer runs as its own documentation recommends for many short jobs. A rate counts from the first job that its worker
began to the moment when every job is marked as done: the start of the process is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from server import Bench

HERE = Path(__file__).parent
PLACE = HERE.parent.parent / "build" / "bench"
_PYTHON = PLACE / "venv" / "bin" / "python"
_NODE = PLACE / "node"
_PATIENCE = 300


class Missing(Exception):
    """A peer that could not be installed; the text says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Jobs a second, and the version of the peer."""

    rate: float
    version: str


def _run(command: list[str], **environment: str) -> str:
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_PATIENCE, env={**os.environ, **environment}
    )
    if found.returncode:
        raise subprocess.SubprocessError((found.stderr or found.stdout).strip())
    return found.stdout


def _install(*commands: list[str]) -> None:
    try:
        for command in commands:
            _run(command)
    except (OSError, subprocess.SubprocessError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise Missing(lines[-1][:80]) from error


def procrastinate(bench: Bench, jobs: int, concurrency: int) -> Measured:
    """Jobs a second of one worker of Procrastinate with so many coroutines. Raises Missing."""
    if not (PLACE / "venv" / "lib").exists() or not list((PLACE / "venv").glob("lib/*/site-packages/procrastinate")):
        _install(
            [sys.executable, "-m", "venv", str(PLACE / "venv")],
            [str(_PYTHON), "-m", "pip", "install", "-q", "procrastinate", "psycopg[binary,pool]"],
        )
    return _measured(
        _run([str(_PYTHON), str(HERE / "peer_procrastinate.py"), bench.dsn, str(jobs), str(concurrency)]), jobs
    )


def graphile_worker(bench: Bench, jobs: int, processes: int, *, batched: bool) -> Measured:
    """Jobs a second of so many processes of graphile-worker with 24 jobs at once.

    `batched`: a local queue of 500 and completion in batches, as its own performance test has it. Raises Missing.
    """
    if not (_NODE / "node_modules" / "graphile-worker").exists():
        _NODE.mkdir(parents=True, exist_ok=True)
        _install(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(_NODE), "graphile-worker"])
    script = str(HERE / "peer_graphile_worker.cjs")
    arguments = [_uri(bench), str(jobs), str(processes), "batched" if batched else "single"]
    # The script lies here and its packages there.
    return _measured(
        _run(["node", script, *arguments], NODE_PATH=str(_NODE / "node_modules"), NO_LOG_SUCCESS="1"), jobs
    )


def _measured(printed: str, jobs: int) -> Measured:
    answer = json.loads(printed.splitlines()[-1])
    assert answer["done"] == jobs, answer
    return Measured(jobs / float(answer["seconds"]), answer["version"])


def _uri(bench: Bench) -> str:
    """The DSN as node's driver takes it: a URI whose host is the directory of the socket."""
    from urllib.parse import quote

    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(bench.dsn)
    host = quote(str(found["host"]), safe="")
    return f"postgresql://{found['user']}@/{found['dbname']}?host={host}&port={found['port']}"
