"""Peak memory of one worker that loads ten million rows, against one that loads a hundred thousand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench_load import table
from server import server

import strandline as sl

SMALL, LARGE = 100_000, 10_000_000
PAGE = 10_000
BUDGET = 1.2


class Stream(sl.Provider):
    """Arrow pages, each made when it is asked for."""

    name = "stream"
    cursor_type = "id"
    mode = "append"

    def pages(self, context: sl.Context, cursor: int | None) -> Iterator[sl.Page]:
        """`cursor` is how many rows have been delivered."""
        assert context.window is not None
        for first in range(cursor or int(context.window.start), int(context.window.stop), PAGE):
            yield sl.Page(table(PAGE, first), cursor=first + PAGE)


def peak(dsn: str, rows: int) -> float:
    """MB of a process of its own that loads so many rows."""
    command = [sys.executable, __file__, str(rows)]
    done = subprocess.run(
        command, env={**os.environ, "STRANDLINE_DSN": dsn}, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Two processes, one after the other."""
    large = max(2 * SMALL, int(LARGE * scale))
    with server() as bench:
        sl.migrate(bench.dsn)
        small, full = peak(bench.dsn, SMALL), peak(bench.dsn, large)
    return [
        {"name": f"peak memory, {SMALL:,} rows", "value": round(small, 1), "unit": "MB"},
        {
            "name": f"peak memory, {large:,} rows",
            "value": round(full, 1),
            "unit": "MB",
            "ratio": full / small,
            "budget": BUDGET,
            "ok": full <= BUDGET * small,
        },
    ]


def main(rows: int) -> None:
    """Loads `rows` rows into a table of its own and prints the peak."""
    with sl.connect() as engine:
        report = engine.ingest(Stream(), f"stream_{rows}", window=(0, rows), progress=False)
    assert report.rows == rows
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]))
