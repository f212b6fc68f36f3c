"""A process that makes worker processes by fork, so that starting one costs milliseconds: `python worker_server.py`.

It has imported everything and opened nothing. Each line on stdin is JSON, and so is each answer: {"work": {...}, "env":
{...}} starts a worker and answers its pid; {"wait": pid} answers its exit code, a signal's number negative.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import strandline as sl
from strandline import _core, execution, ingestion, worker  # what a worker would import when it starts

WARM = (_core, execution, ingestion, worker, sl.drain)


def main() -> None:
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        answer = _wait(order["wait"]) if "wait" in order else _start(order["work"], order["env"])
        print(answer, flush=True)


def _start(work: dict[str, Any], env: dict[str, str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(2, 1)  # the answers are the parent's
        os.environ.update(env)
        sl.drain(**work)
        code = 0
    except BaseException as error:  # noqa: BLE001 # told to whoever reads the log; a fork must not go on as the server
        print(f"worker {os.getpid()}: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _wait(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
