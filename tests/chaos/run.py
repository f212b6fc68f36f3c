"""Many kills and many server crashes, and a table of what they cost: `python tests/chaos/run.py` (`make chaos`).

A server of its own, in a temporary directory, is loaded by a few worker processes. Workers die by SIGKILL, half of them
whenever it happens and half when something becomes visible; the server stops at once (`pg_ctl stop -m immediate`) or
loses a process to SIGKILL. At the end every row must be there once, the ledger must prove it, and nothing may be left
for an operator. The exit code is 1 where anything was lost, doubled or stuck.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "sql")]

import psycopg  # noqa: E402 # behind the path to our own modules
from fix_chaos import PrivateServer  # noqa: E402 # the same
from fix_workers import SETTINGS, Server, Worker  # noqa: E402 # the same
from providers import Numbers  # noqa: E402 # the same

import strandline as sl  # noqa: E402 # the same

WINDOW = 2_000  # ids planned at a time: 100 slices of 4 pages
PATIENCE = 120.0

# What becomes visible with a page, with the end of a slice, and with a fold.
PAGES = "select coalesce(max(id), 0) from strandline.ing_task_run_batch"
MOMENTS = (
    PAGES,
    "select count(*) from strandline.ing_task where status_code = 'RUNNING'",
    "select coalesce(sum(head_sequence_no), 0) from strandline.ing_cursor",
)


class Blow(NamedTuple):
    """One kill or crash: what, at which Unix time, and the process id of the worker where it was one."""

    what: str
    at: float
    pid: int | None = None


@dataclass
class Fleet:
    """The workers, the plans that they work, and what has happened to them."""

    server: PrivateServer
    dsn: str
    size: int
    chance: random.Random
    place: Path
    forks: Server = field(default_factory=Server)
    workers: list[Worker] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    stop: int = 0
    started: int = 0
    failed: int = 0  # workers that ended with an error, without having been killed

    def __post_init__(self) -> None:
        self.engine = sl.connect(self.dsn)
        self.connection = self.server.connect(self.dsn)
        self.connection.execute("create table public.numbers (id bigint, v text)")

    def value(self, question: str) -> Any:
        """The answer to a question, from a server that may be crashing."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                (found,) = self.connection.execute(question).fetchone() or (None,)
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server does not come back"
                self.connection.close()
                self.connection = self.server.connect(self.dsn)
            else:
                return found

    def man(self) -> None:
        """Keeps enough work and enough workers."""
        if self.value("select count(*) from strandline.ing_task where status_code = 'QUEUED'") < 4 * self.size:
            self.stop += WINDOW
            self.engine.plan(Numbers, window=(0, self.stop))
        for worker in [worker for worker in self.workers if worker.ended]:
            self.failed += worker.wait() != 0
            self.workers.remove(worker)
        while len(self.workers) < self.size:
            self.workers.append(self.start())

    def start(self) -> Worker:
        """One more worker process."""
        self.started += 1
        log = self.place / f"worker-{self.started}.log"
        return Worker(self.forks, {"dsn": self.dsn, "pool": "default"}, SETTINGS, log)

    def kill(self) -> None:
        """SIGKILL of one of the workers, while it works."""
        victim = self.chance.choice(self.workers)
        if self.chance.random() < 0.5:
            moment = self.chance.choice(MOMENTS)
            deadline = time.monotonic() + 1.0
            seen = self.value(moment)
            while self.value(moment) == seen and time.monotonic() < deadline:
                pass
        else:
            # Whenever: so many pages from now.
            pages = self.value(PAGES) + self.chance.randrange(12)
            deadline = time.monotonic() + self.chance.random()
            while self.value(PAGES) < pages and time.monotonic() < deadline:
                pass
        if not victim.ended:
            self.blows.append(Blow("kill", time.time(), victim.pid))
            victim.kill()
            self.workers.remove(victim)

    def crash(self) -> None:
        """An immediate stop and a new start, or the death of one server process, which ends all the others."""
        pages = self.value(PAGES) + self.chance.randrange(20)
        deadline = time.monotonic() + 2.0
        while self.value(PAGES) < pages and time.monotonic() < deadline:
            pass
        if self.chance.random() < 0.5:
            at = self.server.crash()
            self.server.start()
        else:
            at = self.server.kill_backend(self.dsn, self.chance)
        self.blows.append(Blow("crash", at))

    def finish(self) -> None:
        """Lets whoever is there, and one more, do what is left: nobody is killed any more."""
        self.workers.append(self.start())
        deadline = time.monotonic() + PATIENCE
        while not all(worker.ended for worker in self.workers) and time.monotonic() < deadline:
            self.value("select pg_sleep(0.05)")
        self.failed += sum(worker.wait() != 0 for worker in self.workers if worker.ended)
        self.close()  # who has not ended is stuck, and what it holds will be in the table

    def close(self) -> None:
        """Ends every process."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    def next_pages(self, what: str) -> list[float]:
        """Seconds from each blow of this kind to the next page that anybody committed."""
        times = [
            self.value(
                f"select (extract(epoch from min(finished_at)) - {blow.at!r})::float8"
                f" from strandline.ing_task_run_batch where finished_at > to_timestamp({blow.at!r})"
            )
            for blow in self.blows
            if blow.what == what
        ]
        return [seconds for seconds in times if seconds is not None]

    def freed(self) -> list[float]:
        """Seconds from each kill that left a slice behind to the moment in which others could take that slice."""
        times = [
            self.value(
                f"select (extract(epoch from min(finished_at)) - {blow.at!r})::float8 from strandline.ing_task_run"
                f" where status_code = 'LOST' and split_part(worker, ':', 2) = '{blow.pid}'"
                f" and {blow.at!r} between extract(epoch from created_at) and extract(epoch from finished_at)"
            )
            for blow in self.blows
            if blow.pid is not None
        ]
        return [seconds for seconds in times if seconds is not None]


def rounds(kills: int, crashes: int) -> Iterator[str]:
    """ "kill" and "crash", evenly mixed."""
    done = 0
    for number in range(max(kills, crashes)):
        if number < kills:
            yield "kill"
        while done * max(kills, crashes) < (number + 1) * crashes and done < crashes:
            done += 1
            yield "crash"


@contextmanager
def fleet(arguments: argparse.Namespace) -> Iterator[Fleet]:
    """A server, a database and workers, all of them gone at the end."""
    os.environ.update(SETTINGS, STRANDLINE_PROGRESS="false")
    with tempfile.TemporaryDirectory(prefix="sl-chaos-", dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        server = PrivateServer(place / "server", None)
        made = None
        try:
            made = Fleet(server, server.create_database(), arguments.workers, random.Random(arguments.seed), place)
            yield made
        finally:
            if made is not None:
                made.close()
                made.forks.close()
                made.engine.close()
                made.connection.close()
            server.close()


@dataclass
class Outcome:
    """What is there at the end; the last four are to be nought."""

    tasks: int
    pages: int
    rows: int
    lost: int
    doubled: int
    stuck: int
    differences: int

    @property
    def whole(self) -> bool:
        return not (self.lost or self.doubled or self.stuck or self.differences)


def outcome(worked: Fleet) -> Outcome:
    """Counts what is in the table and in the ledger."""
    worked.engine.close()
    worked.engine = sl.connect(worked.dsn)
    return Outcome(
        tasks=worked.value("select count(*) from strandline.ing_task"),
        pages=worked.value("select count(*) from strandline.ing_task_run_batch"),
        rows=worked.value("select count(*) from public.numbers"),
        lost=worked.value(
            f"select count(*) from generate_series(0, {worked.stop - 1}) n(id)"
            " where not exists (select from public.numbers t where t.id = n.id)"
        ),
        doubled=worked.value("select count(*) - count(distinct id) from public.numbers"),
        stuck=worked.value(
            "select (select count(*) from strandline.ing_task where status_code <> 'SUCCEEDED')"
            " + (select count(*) from strandline.ing_plan where status_code <> 'SUCCEEDED')"
            " + (select count(*) from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING'))"
            " + (select count(*) from strandline.ing_coverage where event_sequence_no is null)"
        ),
        differences=len(worked.engine.verify().differences),
    )


def table(worked: Fleet, found: Outcome, seconds: float) -> str:
    """The table, in 80 columns."""
    kills = sum(blow.what == "kill" for blow in worked.blows)
    counts = {
        "kills": kills, "crashes": len(worked.blows) - kills, "tasks": found.tasks, "pages": found.pages,
        "rows": found.rows, "lost": found.lost, "doubled": found.doubled, "stuck": found.stuck,
        "differ": found.differences,
    }  # fmt: skip
    lines = [
        " ".join(f"{name:>8}" for name in counts),
        " ".join(f"{count:>8}" for count in counts.values()),
        "",
        f"{'time to recover':<44}{'times':>8}{'median':>10}{'max':>10}",
    ]
    for label, times in (
        ("kill, to the next committed page", worked.next_pages("kill")),
        ("kill, until its slice is free for others", worked.freed()),
        ("crash, to the next committed page", worked.next_pages("crash")),
    ):
        shown = f"{statistics.median(times):>8.2f} s{max(times):>8.2f} s" if times else f"{'-':>10}{'-':>10}"
        lines.append(f"{label:<44}{len(times):>8}{shown}")
    lease = SETTINGS["STRANDLINE_LEASE"]
    lines += ["", f"{worked.started} workers, {worked.failed} ended by an error; lease {lease}; {seconds:.0f} s in all"]
    return "\n".join(lines)


def main() -> int:
    """Runs it as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="worker processes to kill (default 1000)")
    parser.add_argument("--crashes", type=int, default=100, help="server crashes (default 100)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes side by side (default 3)")
    parser.add_argument("--seed", type=int, default=4, help="of the moments and the victims (default 4)")
    arguments = parser.parse_args()
    begun = time.monotonic()
    with fleet(arguments) as worked:
        for what in rounds(arguments.kills, arguments.crashes):
            before = len(worked.blows)
            while len(worked.blows) == before:
                worked.man()
                getattr(worked, what)()
            if len(worked.blows) % 100 == 0:
                print(f"{len(worked.blows)} kills and crashes, {time.monotonic() - begun:.0f} s", file=sys.stderr)
        worked.finish()
        found = outcome(worked)
        print(table(worked, found, time.monotonic() - begun))
    return 0 if found.whole else 1


if __name__ == "__main__":
    sys.exit(main())
