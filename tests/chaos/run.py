"""Many kills and many server crashes, and a table of what they cost: `python tests/chaos/run.py` (`make chaos`).

A server of its own, in a temporary directory, is loaded by a few worker processes, and beside them others plan the same
and overlapping windows, cancel and retry, fold and reap. Workers die by SIGKILL, half of them whenever it happens and
half when something becomes visible, or are stopped for longer than their lease; the server stops at once (`pg_ctl stop
-m immediate`) or loses a process to SIGKILL. Then every row that the ledger tells of must be there once, and no other,
whatever stands cancelled; and when that has been retried, every row of the source. The ledger must prove it, and
nothing may be left for an operator. The exit code is 1 where anything was lost, doubled, stray or stuck, or where a
process failed.
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
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "sql")]

from chaos_fleet import Fleet, Outcome  # noqa: E402 # behind the path to our own modules
from fix_chaos import PrivateServer  # noqa: E402 # the same
from fix_workers import SETTINGS  # noqa: E402 # the same


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
                made.end()
            server.close()


def counted(*columns: tuple[str, int]) -> list[str]:
    """A line of names and a line of numbers, in 80 columns."""
    return [
        " ".join(f"{name:>{max(8, len(name))}}" for name, _ in columns),
        " ".join(f"{count:>{max(8, len(name))}}" for name, count in columns),
    ]


def shown(label: str, found: Outcome) -> str:
    """What was there at one moment."""
    counts = (found.tasks, found.pages, found.rows, found.lost, found.doubled, found.stray, found.stuck)
    return f"{label:<16}" + "".join(f"{count:>8}" for count in (*counts, found.differences))


def table(worked: Fleet, cancelled: int, settled: Outcome, complete: Outcome, seconds: float) -> str:
    """The table, in 80 columns."""
    kills = sum(blow.what == "kill" for blow in worked.blows)
    done = worked.done
    names = ("tasks", "pages", "rows", "lost", "doubled", "stray", "stuck", "differ")
    lines = [
        *counted(
            ("kills", kills), ("crashes", len(worked.blows) - kills), ("stopped", done["stopped"]),
            ("actors killed", done["actors killed"]),
        ),
        "",
        *counted(
            ("planned", done["ahead"] + done["planned"]), ("reread", done["reread"]), ("denied", done["denied"]),
            ("cancelled", done["cancelled"]), ("retried", done["retried"]), ("refused", done["refused"]),
        ),
        *counted(
            ("folds", done["folds"]), ("folded", done["folded"]), ("reaps", done["reaps"]),
            ("reaped", done["lost"] + done["ended"]),
        ),
        "",
        " " * 16 + "".join(f"{name:>8}" for name in names),
        shown(f"{cancelled} cancelled", settled),
        shown("and retried", complete),
        "",
        f"{'time to recover':<44}{'times':>8}{'median':>10}{'max':>10}",
    ]  # fmt: skip
    for label, times in (
        ("kill, to the next committed page", worked.next_pages("kill")),
        ("kill, until its slice is free for others", worked.freed()),
        ("crash, to the next committed page", worked.next_pages("crash")),
    ):
        summary = f"{statistics.median(times):>8.2f} s{max(times):>8.2f} s" if times else f"{'-':>10}{'-':>10}"
        lines.append(f"{label:<44}{len(times):>8}{summary}")
    lease = SETTINGS["STRANDLINE_LEASE"]
    lines += [
        "",
        f"{worked.started} processes: {worked.turned_away} while the server was away, {len(worked.failed)} failed",
        f"{worked.deadlocks} deadlocks; lease {lease}; {seconds:.0f} s in all",
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs it as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="worker processes to kill (default 1000)")
    parser.add_argument("--crashes", type=int, default=100, help="server crashes (default 100)")
    parser.add_argument("--workers", type=int, default=5, help="worker processes side by side (default 5)")
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
        settled = worked.settle()
        cancelled = len(worked.cancelled())
        complete = worked.complete()
        print(table(worked, cancelled, settled, complete, time.monotonic() - begun))
        for said in worked.failed:
            print(f"\n{said[-2000:]}", file=sys.stderr)
    return 0 if settled.whole and complete.whole and not worked.failed else 1


if __name__ == "__main__":
    sys.exit(main())
