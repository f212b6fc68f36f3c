"""No-op jobs through Procrastinate's own worker; run by queue_peers with the Python of build/bench.

DSN JOBS CONCURRENCY. Prints {"done", "seconds", "version"} from the first job begun to the last one marked as done.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import procrastinate  # type: ignore[import-not-found]  # it is installed where this runs, and nowhere else


async def main(dsn: str, jobs: int, concurrency: int) -> None:
    """Defers the jobs in bulk, then lets one worker end all of them."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=4 + concurrency))
    begun: list[float] = []

    @app.task(name="noop")  # type: ignore[untyped-decorator]  # as above
    async def noop() -> None:
        if not begun:
            begun.append(time.monotonic())

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await noop.batch_defer_async(*({} for _ in range(jobs)))
        await app.connector.execute_query_async("analyze procrastinate_jobs")  # autovacuum is off for everybody
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False)
        ended = time.monotonic()
        query = "select count(*) as done from procrastinate_jobs where status = 'succeeded'"
        found = await app.connector.execute_query_one_async(query)
    print(json.dumps({"done": found["done"], "seconds": ended - begun[0], "version": procrastinate.__version__}))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
