"""The story that `make demo` tells: a year of flights arrives, a worker is killed, and the ledger proves every row.

Every claim is checked where it is made, against the database or the file; the first one that does not hold ends the
story with exit code 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import strandline as sl

from . import cli, embedded, render
from ._core import Ledger
from .demo import PAGE, Flights
from .demo_archive import open_archive, package_file
from .demo_fleet import Fleet, Victim
from .demo_proof import compare, read_file
from .embedded.directory import default
from .picture import picture

WORKERS = 4
LEASE = "3 s"
FLIGHTS = 336_776
APRIL = 28_330
OUTSIDE_UTC = 88


class BrokenClaim(Exception):
    """Something that the story says is not so."""


class Teller:
    """Prints the story: chapters, sentences, commands with their output, and claims with a tick."""

    def __init__(self) -> None:
        self.style = render.Style.of(sys.stdout)
        self.began = time.monotonic()
        self._chapter = 0
        self.claims = 0

    def chapter(self, title: str) -> None:
        """The heading of a new chapter."""
        self._chapter += 1
        self._print(f"\n{self.style.paint(f'{self._chapter}. {title}', 'bold', 'cyan')}")

    def say(self, text: str) -> None:
        """Sentences, wrapped to the width of the terminal."""
        self._print("\n".join(render.wrap(text, self.style.width)))

    def show(self, text: str) -> None:
        """Lines as they are, indented."""
        self._print("\n".join(f"  {line}" if line else "" for line in text.splitlines()))

    def claim(self, text: str, holds: object, found: object = None) -> None:
        """A statement with a tick; BrokenClaim with what was found where it does not hold."""
        if not holds:
            raise BrokenClaim(f"{text}" + (f"; found {found}" if found is not None else ""))
        self.claims += 1
        tick = "✓" if self.style.unicode else "ok:"
        first, *rest = render.wrap(text, self.style.width - len(tick) - 1)
        self._print(f"{self.style.paint(tick, 'green')} {first}")
        for line in rest:
            self._print(" " * (len(tick) + 1) + line)

    def command(self, *words: str, expected: int = 0) -> None:
        """Runs `strandline` with these words, as a person would type it."""
        line = f"$ strandline {shlex.join(words)}"
        self._print(self.style.paint(line, "bold"))
        code = cli.main([*words, "--quiet"])
        if code != expected:
            raise BrokenClaim(f"`strandline {shlex.join(words)}` ends with exit code {code} instead of {expected}")
        self._print("")

    def _print(self, text: str) -> None:
        print(text, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Tells the story from an empty database to the proof; 0 when every claim in it held."""
    parser = argparse.ArgumentParser(prog="python -m strandline.demo", description="The strandline demo.")
    parser.add_argument("--keep", action="store_true", default=bool(os.environ.get("KEEP")), help="leave the server up")
    parser.add_argument("--dir", type=Path, default=None, help="directory of the demo's database; emptied first")
    arguments = parser.parse_args(argv)
    teller = Teller()
    directory = arguments.dir or default().with_name("demo")
    # Short leases and single-page commits make the kill and the resumption visible within seconds.
    os.environ.update(STRANDLINE_LEASE=LEASE, STRANDLINE_PAGE_RECORDS=str(PAGE))
    try:
        _tell(teller, directory, keep=arguments.keep)
    except BrokenClaim as broken:
        print(f"\nThe story does not hold: {broken}", file=sys.stderr)
        return 1
    except sl.Error as error:
        print(f"\nstrandline: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0


def _tell(teller: Teller, directory: Path, *, keep: bool) -> None:
    teller.say(
        "Every flight that left New York City in 2013 is to arrive in PostgreSQL: each exactly once, although a worker"
        " is killed on the way. Nothing has to be repaired by hand."
    )
    teller.chapter("A database")
    embedded.remove(directory)
    with embedded.start(directory, keep=keep) as server:
        os.environ["STRANDLINE_DSN"] = server.dsn
        sl.migrate(server.dsn)
        with sl.connect(server.dsn) as engine:
            ledger = Ledger(server.dsn)
            try:
                version = ledger.fetch("doctor.server")[0]["version"].split()[0]
                teller.say(
                    f"PostgreSQL {version} runs in {directory}, with the ledger's tables in the schema strandline."
                )
                _chapters(teller, engine, ledger)
            finally:
                ledger.close()
    _end(teller, directory, keep)


def _chapters(teller: Teller, engine: sl.Engine, ledger: Ledger) -> None:
    plans = _eleven_months(teller, engine)
    with Fleet(WORKERS, ledger) as fleet:
        victim = _kill(teller, fleet, plans)
        fleet.wait(plans)
        _resumed(teller, fleet, victim)
        _hole(teller, engine)
        _april(teller, engine, fleet)
    _ask(teller, engine)
    _again(teller, engine)
    _prove(teller, engine)


def _eleven_months(teller: Teller, engine: sl.Engine) -> list[int]:
    teller.chapter("Eleven months are planned")
    flights = open_archive()
    teller.say(
        "The source is a provider of twenty lines, strandline.demo:Flights. It has"
        f" {render.number(len(flights))} flights, in pages of {render.number(PAGE)}. Two windows are planned,"
        " in New York's time; April is left out on purpose."
    )
    plans = []
    for window in ("2013-01-01/2013-04-01", "2013-05-01/2014-01-01"):
        plan = engine.plan(Flights(), window=window)
        assert plan.id is not None
        plans.append(plan.id)
        teller.show(f"plan {plan.id}  {window.replace('/', ' to ')}  {render.plural(plan.slices, 'weekly slice')}")
    return plans


def _kill(teller: Teller, fleet: Fleet, plans: list[int]) -> Victim:
    teller.chapter("Four workers start, one is killed")
    teller.say(
        f"Each worker is a process of its own (strandline work) and holds one slice at a time, by a lease of {LEASE}."
        " When one of them has committed the first page of a slice, it gets SIGKILL: no handler runs, no goodbye."
    )
    fleet.start()
    victim = fleet.kill_after_first_page(plans)
    teller.show(f"killed process {victim.pid} while it held task {victim.task}, with page {victim.page} committed")
    return victim


def _resumed(teller: Teller, fleet: Fleet, victim: Victim) -> None:
    teller.say("The others did the rest. The dead worker's lease passed, and one of them took its slice over:")
    attempts = fleet.attempts(victim.task)
    columns = [render.Column("attempt", right=True), render.Column("process", right=True)]
    columns += [render.Column("ended", state=True), render.Column("pages committed")]
    rows = [(str(row["attempt_no"]), row["worker"].split(":")[-2], row["status_code"], _pages(row)) for row in attempts]
    teller.show(render.table(columns, rows, teller.style))
    first, last = attempts[0], attempts[-1]
    teller.claim("attempt 1 was the killed process, and its pages stayed", first["worker"] == victim.worker, first)
    teller.claim("its lease was found to be lost", first["status_code"] == "LOST", first["status_code"])
    goes_on = len(attempts) > 1 and last["first_page"] == first["last_page"] + 1
    teller.claim(
        f"attempt {last['attempt_no']} went on with page {last['first_page']}: nothing was read twice or left out",
        goes_on and last["status_code"] == "SUCCEEDED" and last["worker"] != victim.worker,
        attempts,
    )


def _pages(row: dict[str, Any]) -> str:
    first, last = row["first_page"], row["last_page"]
    return "none" if first is None else str(first) if first == last else f"{first} to {last}"


def _hole(teller: Teller, engine: sl.Engine) -> None:
    teller.chapter("What is there, and what is not")
    coverage = engine.coverage("flights", window="2013")
    teller.show(picture(coverage, teller.style))
    missing = [(_local(window.start), _local(window.stop)) for window in coverage.missing]
    teller.claim(
        "exactly April is missing; the ledger knows it without a look at the rows",
        missing == [("2013-04-01", "2013-05-01")],
        missing,
    )
    watermark = engine.cursor("flights").value
    teller.claim(
        f"the watermark stands at {_local(watermark)}: it never leads what has arrived",
        _local(watermark) == "2013-04-01",
        watermark,
    )


def _april(teller: Teller, engine: sl.Engine, fleet: Fleet) -> None:
    teller.chapter("The whole year is asked for")
    plan = engine.plan(Flights(), window="2013")
    assert plan.id is not None
    teller.say(f"engine.plan(Flights(), window='2013') makes plan {plan.id} of {render.plural(plan.slices, 'slice')}:")
    teller.show("\n".join(str(render.days(window)) for window in plan.windows()))
    missing = [(_local(window.start), _local(window.stop)) for window in plan.missing]
    teller.claim("exactly April is planned", missing == [("2013-04-01", "2013-05-01")], missing)
    fleet.wait([plan.id])
    rows = engine.report(plan).rows
    teller.claim(f"{render.number(rows)} flights arrived with it", rows == APRIL, rows)


def _ask(teller: Teller, engine: sl.Engine) -> None:
    teller.chapter("Questions to the ledger")
    teller.command("status")
    teller.command("coverage", "flights", "--window", "2013", "--check")
    teller.command("cursor", "flights")
    teller.command("trace", "flights", "carrier=UA", "flight=1545", "time_hour=2013-01-01T10:00Z")
    teller.command("verify")
    watermark = engine.cursor("flights").value
    teller.claim("the watermark is the end of the year in New York", _local(watermark) == "2014-01-01", watermark)
    teller.claim("verify folded the ledger again and found no difference", engine.verify())


def _again(teller: Teller, engine: sl.Engine) -> None:
    teller.chapter("The same again")
    teller.command("ingest", "strandline.demo:Flights", "--window", "2013")
    report = engine.ingest(Flights(), window="2013", progress=False)
    nothing = report.rows == 0 and report.slices == 0 and report.status == "SUCCEEDED"
    teller.claim("no row was added, no slice was planned, and the plan says why", nothing and report.reason, report)


def _prove(teller: Teller, engine: sl.Engine) -> None:
    teller.chapter("The proof")
    teller.say("Every field of every row of the table is compared with the file as it was published.")
    began = time.monotonic()
    result = compare(engine, read_file(package_file()))
    columns = [render.Column(title, right=title != "month") for title in ("month", "in the file", "in the table")]
    teller.show(render.table(columns, result.months, teller.style))
    teller.claim(f"{render.number(result.rows)} rows are in the table, as in the file", result.rows == FLIGHTS)
    teller.claim("all 19 fields of all of them are equal", not result.different, f"{result.different} others")
    teller.claim("no flight is there twice, by (time_hour, carrier, flight)", result.keys == FLIGHTS, result.keys)
    teller.claim(
        f"{result.outside_utc} flights of New York's 31 December are in 2014 by UTC, and here all the same",
        result.outside_utc == OUTSIDE_UTC,
        result.outside_utc,
    )
    teller.say(f"(read and compared in {render.duration(time.monotonic() - began)})")


def _end(teller: Teller, directory: Path, keep: bool) -> None:
    took = render.duration(time.monotonic() - teller.began)
    teller.say("")
    teller.claim(f"{teller.claims} claims, all of them checked, in {took}", True)
    teller.chapter("What to try next")
    if shutil.which("strandline") is None:
        teller.say("The command strandline lies in the virtual environment:")
        teller.show(f'export PATH="{Path(sys.executable).parent}:$PATH"')
    if keep:
        teller.say("The server stays. Look around, then stop it:")
        place = shlex.quote(str(directory))
        teller.show(f"export STRANDLINE_DSN=embedded:{place}\nstrandline status\nstrandline up {place} --stop")
    else:
        teller.say("The server is stopped. To look around in what it holds: make demo KEEP=1")
    teller.say("A smaller start of your own:")
    teller.show(
        "strandline preview strandline.demo:Flights --window 2013-07-04 --rows 5\n"
        'export STRANDLINE_DSN="$(strandline up)"\n'
        "strandline ingest strandline.demo:Flights --window 2013-07 --workers 2\n"
        "strandline coverage flights --window 2013"
    )
    teller.say("Then read python/strandline/demo.py: a provider of your own has the same shape.")


def _local(value: Any) -> str:
    """A moment as New York's date where it is midnight there, else in full."""
    from zoneinfo import ZoneInfo

    assert isinstance(value, dt.datetime)
    return render.moment(value, ZoneInfo("America/New_York"))
