"""The verbs of the command line, their options and their help. Imports nothing heavy: --help is instant."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

_ENDS = """exit codes:
  0 done, or nothing to do        1 a plan FAILED, is PARTIAL or was CANCELLED
  2 wrong usage or configuration  3 a removal waits for a decision
  4 budget used, work is left     5 verify, doctor or --check found something
  6 database unreachable          130 interrupted (2, 4, 6, 130: safe to repeat)"""

_START = """examples:
  strandline up                           a private PostgreSQL server
  strandline preview my.module:Orders --window 2024-05
  strandline ingest my.module:Orders --window 2024 --workers 4
  strandline coverage orders              what has arrived, what has not
  strandline doctor                       what is wrong outside the code

The database is named by STRANDLINE_DSN, or --dsn-ref env:NAME, file:PATH,
embedded or embedded:DIR."""

_OF = "a provider's name, name>table, a plan's number, or task:NUMBER"
_TASK = "a task's number, or task:NUMBER"
_REF = "package.module:Class of a provider; the current directory is searched too"


class _Parser(argparse.ArgumentParser):
    """argparse with our help layout: examples keep their lines, everything fits 80 columns."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Layout)
        options.setdefault("allow_abbrev", False)  # an abbreviation in a script breaks when an option is added
        super().__init__(**options)


class _Layout(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=79)


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs. `run` of its result names the function: "module:function"."""
    root = _Parser(
        prog="strandline",
        description="Exactly-once incremental ingestion into PostgreSQL.",
        epilog=f"{_START}\n\n{_ENDS}",
    )
    root.add_argument("--version", action=_Version, help="print the version and the libraries in use")
    for action in ("verb", "run"):
        root.set_defaults(**{action: None})
    _add_common(root, defaults=True)
    verbs = _Verbs(root.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser, title="verbs"))
    _ingest_verbs(verbs)
    _inspect_verbs(verbs)
    _act_verbs(verbs)
    _admin_verbs(verbs)
    for verb in verbs.added:
        _add_common(verb, defaults=False)
    return root


class _Verbs:
    def __init__(self, into: Any) -> None:
        self._into = into
        self.added: list[argparse.ArgumentParser] = []

    def add(self, name: str, run: str, help: str, *, more: str = "", examples: str = "") -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = self._into.add_parser(
            name,
            help=help,
            description=textwrap.fill(f"{help[0].upper()}{help[1:]}. {more}".rstrip(), 79),
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=_Layout,
        )
        added.set_defaults(run=run)
        self.added.append(added)
        return added


class _Version(argparse.Action):
    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__
        from ._core import versions

        print("strandline", __version__)
        for name, version in versions().items():
            print(f"  {name} {version}")
        parser.exit()


def _add_common(to: argparse.ArgumentParser, *, defaults: bool) -> None:
    # The same options stand before and after the verb; only the first set has defaults, or the second would reset them.
    def default(value: Any) -> Any:
        return value if defaults else argparse.SUPPRESS

    group = to.add_argument_group("every verb")
    group.add_argument(
        "--dsn-ref",
        metavar="REF",
        default=default(None),
        help="env:NAME, file:PATH, embedded, embedded:DIR, or a DSN without a password (default: STRANDLINE_DSN)",
    )
    group.add_argument("--schema", metavar="S", default=default(None), help="schema of the ledger (strandline)")
    group.add_argument("--json", action="store_true", default=default(False), help="print one JSON document")
    group.add_argument("--quiet", action="store_true", default=default(False), help="no progress, no remarks")


def _source(to: argparse.ArgumentParser) -> None:
    to.add_argument("ref", metavar="REF", help=_REF)
    group = to.add_argument_group("the provider")
    group.add_argument("--config", metavar="JSON", help="its fields as a JSON object, or @FILE")
    group.add_argument(
        "--set", metavar="K=V", action="append", default=[], help="one field; V is JSON, else text (repeatable)"
    )
    group.add_argument(
        "--param", metavar="K=V", action="append", default=[], help="one parameter; V is JSON, else text (repeatable)"
    )
    to.add_argument("--window", metavar="A/B", help="2013, 2013-Q2, 2013-05, 2013-W07, 2013-05-01 or START/STOP")


def _request(to: argparse.ArgumentParser) -> None:
    _source(to)
    group = to.add_argument_group("what is loaded, and how")
    group.add_argument("--into", metavar="T", help="target: table or schema.table (default: the provider's name)")
    group.add_argument("--slice", metavar="S", help='"1 week", a number of ids, or JSON')
    group.add_argument("--expr", metavar="JSON", help="filter expression that the provider understands")
    group.add_argument("--mode", choices=("append", "merge"), help="how rows reach the table")
    group.add_argument(
        "--only", choices=("missing", "failed", "all"), default="missing", help="which part of the window (missing)"
    )
    group.add_argument("--order", choices=("oldest", "newest"), default="oldest", help="which slices first (oldest)")
    group.add_argument("--operation", metavar="O", default="HARVEST", help="HARVEST, BACKFILL, ... (HARVEST)")
    group.add_argument("--priority", metavar="N", type=int, default=5, help="1 first .. 9 last (5)")
    group.add_argument("--delay", metavar="D", help='not before this time from now, such as "10 min"')
    group.add_argument("--deadline", metavar="D", help="what nobody has begun by then fails, such as '2 hours'")
    group.add_argument(
        "--depends-on",
        metavar="OF",
        action="append",
        default=[],
        help="wait for a plan, a task, or a source to be covered up to the end of the window (repeatable)",
    )
    group.add_argument("--trigger", metavar="ID", help="text or JSON; the same one finds its first plan again")


def _budget(to: argparse.ArgumentParser, workers: str) -> argparse._ArgumentGroup:
    group = to.add_argument_group("how much work")
    group.add_argument("--workers", metavar="N", type=_positive, default=None, help=workers)
    group.add_argument("--seconds", metavar="S", type=float, help="stop after this time; exit code 4 if work is left")
    return group


def _ingest_verbs(verbs: _Verbs) -> None:
    ingest = verbs.add(
        "ingest",
        "cli_ingest:ingest",
        "load what is missing of a window",
        more="Ends when every slice has succeeded or failed.",
        examples="  strandline ingest strandline.demo:Flights --window 2013-W07 --workers 2\n"
        "  strandline ingest shop.feeds:Orders --set region=eu --into shop.orders",
    )
    _request(ingest)
    _budget(ingest, "worker threads (1)")
    plan = verbs.add(
        "plan",
        "cli_ingest:plan",
        "cut what is missing of a window into tasks",
        more="Workers do them: strandline work.",
        examples="  strandline plan strandline.demo:Flights --window 2013 --dry-run",
    )
    _request(plan)
    plan.add_argument("--dry-run", action="store_true", help="show the plan, write nothing")
    preview = verbs.add(
        "preview",
        "cli_ingest:preview",
        "read the first rows of a provider",
        more="Needs no database and writes nothing.",
        examples="  strandline preview strandline.demo:Flights --window 2013-07-04 --rows 5",
    )
    _source(preview)
    preview.add_argument("--rows", metavar="N", type=_positive, default=20, help="how many (20)")
    work = verbs.add(
        "work",
        "cli_work:work",
        "do planned tasks",
        more="Any number of these may run on any machines.",
        examples="  strandline work --workers 4 --forever\n  strandline work --plan 7 --seconds 600",
    )
    where = work.add_mutually_exclusive_group()
    where.add_argument("--plan", metavar="N", type=int, help="only the tasks of this plan")
    where.add_argument("--pool", metavar="P", default=None, help="the tasks of this pool (default)")
    group = _budget(work, "worker processes (1)")
    group.add_argument("--tasks", metavar="N", type=_positive, help="stop after this many tasks")
    group.add_argument("--forever", action="store_true", help="wait for more work instead of ending")


def _inspect_verbs(verbs: _Verbs) -> None:
    status = verbs.add(
        "status",
        "cli_inspect:status",
        "list plans, or what is going on in one of them",
        examples="  strandline status 7\n  strandline status --why 17       what task 17 waits for, down to the root",
    )
    which = status.add_mutually_exclusive_group()
    which.add_argument("of", metavar="OF", nargs="?", help=_OF)
    which.add_argument("--why", metavar="TASK", help="one task: all that it waits for, or why and by whom it ended")
    status.add_argument("--state", metavar="S", type=str.upper, help="only ACTIVE, FAILED, QUEUED, RUNNING, ...")
    status.add_argument("--limit", metavar="N", type=_positive, default=50, help="at most so many lines (50)")
    coverage = verbs.add(
        "coverage",
        "cli_inspect:coverage",
        "show which parts of a window have arrived",
        examples="  strandline coverage flights --window 2013\n"
        "  strandline coverage flights --window 2013 --by '1 month'\n"
        "  strandline coverage flights --window 2013 --check && echo complete",
    )
    coverage.add_argument("of", metavar="OF", help=_OF)
    coverage.add_argument("--window", metavar="A/B", help="default: from the origin to the end of what was planned")
    coverage.add_argument("--by", metavar="STEP", help="one line per step, such as '1 month'")
    coverage.add_argument("--check", action="store_true", help="exit code 5 unless all of it has arrived")
    cursor = verbs.add("cursor", "cli_inspect:cursor", "show the watermark: all before it has arrived")
    cursor.add_argument("of", metavar="OF", help=_OF)
    trace = verbs.add(
        "trace",
        "cli_inspect:trace",
        "show which page, run, slice, plan and trigger a row came from",
        more="KEY is the primary key, or column=value for any columns.",
        examples="  strandline trace orders 4711\n"
        "  strandline trace flights carrier=UA flight=1545 time_hour=2013-01-01T10:00Z",
    )
    trace.add_argument("table", metavar="TABLE", help="table or schema.table")
    trace.add_argument("key", metavar="KEY", nargs="+", help="one value per key column, or column=value")
    verify = verbs.add(
        "verify",
        "cli_inspect:verify",
        "prove the ledger: refold it, check its chain, counts and references",
        more="Exit code 5 when something differs.",
    )
    verify.add_argument("of", metavar="OF", nargs="?", help=_OF + " (default: everything)")
    verify.add_argument("--anchor", metavar="HASH", help="a head of the chain that was kept elsewhere")


def _act_verbs(verbs: _Verbs) -> None:
    for name, help in (
        ("cancel", "end the tasks of a plan or a source; what is committed stays"),
        ("retry", "queue failed and cancelled tasks again; they go on after their last page"),
        ("pause", "hold tasks until they are resumed; running ones stop after the page in hand"),
        ("resume", "let paused tasks go on after their last page"),
        ("trigger", "make waiting tasks due now: end a delay or a back-off"),
    ):
        verb = verbs.add(name, f"cli_act:{name}", help)
        verb.add_argument("of", metavar="OF", help=_OF)
        _reason(verb)
        asks = "do not ask" if name == "cancel" else "accepted for scripts: nothing is asked"
        verb.add_argument("--yes", action="store_true", help=asks)
    priority = verbs.add("priority", "cli_act:priority", "change who is first among waiting tasks")
    priority.add_argument("of", metavar="OF", help=_OF)
    priority.add_argument("n", metavar="N", type=int, help="1 first .. 9 last")
    _reason(priority)
    split = verbs.add(
        "split",
        "cli_act:split",
        "cut the rest of a task's slice anew",
        more="What is committed stays; the rest becomes tasks of their own.",
        examples="  strandline split 17 '1 day'\n  strandline split 17 5000",
    )
    split.add_argument("task", metavar="TASK", help=_TASK)
    split.add_argument("slice", metavar="SLICE", help='"1 day", a number of ids, or JSON')
    _reason(split)
    skip = verbs.add(
        "skip",
        "cli_act:skip",
        "pass over the page at which a task failed",
        more="Its rows are never stored; the ledger keeps that it was skipped, by whom and why.",
    )
    skip.add_argument("task", metavar="TASK", help=_TASK)
    _reason(skip)
    skip.add_argument("--yes", action="store_true", help="do not ask")
    worker = verbs.add(
        "worker",
        "cli_act:worker",
        "put a worker under quarantine, release it, or end it",
        examples="  strandline worker quarantine db7:4711 --reason 'bad disk'\n"
        "  strandline worker release db7:4711\n"
        "  strandline worker stop db7",
    )
    worker.add_argument(
        "action",
        metavar="ACTION",
        choices=("quarantine", "release", "stop"),
        help="quarantine: it claims nothing until release; stop: it ends after the page in hand",
    )
    worker.add_argument("name", metavar="NAME", help="host:pid:n, host:pid (a process) or host (a machine)")
    _reason(worker)
    pool = verbs.add(
        "pool",
        "cli_act:pool",
        "limit how many tasks of a pool run at once, over all workers",
        examples="  strandline pool warehouse --limit 3\n  strandline pool warehouse --limit none",
    )
    pool.add_argument("name", metavar="NAME", help="the pool")
    pool.add_argument("--limit", metavar="N", type=_limit, required=True, help="a number, 0 for none of them, or none")
    _reason(pool)


def _reason(to: argparse.ArgumentParser) -> None:
    to.add_argument("--reason", metavar="R", default="", help="why; kept in the audit trail")


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; 0 lets nothing run, none is no limit")
    return value


def _admin_verbs(verbs: _Verbs) -> None:
    up = verbs.add(
        "up",
        "cli_admin:up",
        "start a private PostgreSQL server, or attach to it, and print its DSN",
        more="It stays until: strandline up --stop.",
        examples='  export STRANDLINE_DSN="$(strandline up)"\n'
        "  strandline up ./ledger\n"
        "  strandline up ./ledger --stop",
    )
    up.add_argument("dir", metavar="DIR", nargs="?", help="its directory (default: in the user's data directory)")
    up.add_argument("--stop", action="store_true", help="stop it, for all its clients")
    migrate = verbs.add("migrate", "cli_admin:migrate", "bring the ledger's schema up to this version")
    which = migrate.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="change nothing; exit code 5 when something is pending")
    which.add_argument("--sql", action="store_true", help="print the pending SQL for a DBA, change nothing")
    doctor = verbs.add(
        "doctor",
        "cli_admin:doctor",
        "check server, schema, clocks, roles and settings",
        more="Each line is ok, warn or fail, and says what to do. Exit code 5 when something was found.",
    )
    doctor.add_argument("--settings", action="store_true", help="only the settings and where each comes from")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
