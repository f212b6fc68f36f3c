"""A process that makes worker processes by fork, so that starting one costs milliseconds: `python worker_server.py`.

It has imported everything and opened nothing. Each line on stdin is JSON, and so is each answer: {"work": {...}, "env":
{...}, "log": path} starts a worker, which writes what it logs to that file, and answers its pid; {"wait": pid} answers
its exit code, a signal's number negative. Where `work` has a "role", it is an actor (chaos_actors.py) and no worker.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from typing import Any

import chaos_actors

import strandline as sl
from strandline import _core, execution, ingestion, worker  # what a worker would import when it starts

WARM = (_core, execution, ingestion, worker, sl.drain)


def main() -> None:
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        answer = _wait(order["wait"]) if "wait" in order else _start(**order)
        print(answer, flush=True)


def _start(work: dict[str, Any], env: dict[str, str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        os.dup2(2, 1)  # the answers are the parent's
        logging.basicConfig(level=logging.INFO, format="%(created)d %(process)d %(levelname)s %(message)s")
        os.environ.update(env)
        (chaos_actors.act if "role" in work else sl.drain)(**work)
        code = 0
    except BaseException:  # noqa: BLE001 # told to whoever reads the log; a fork must not go on as the server
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
