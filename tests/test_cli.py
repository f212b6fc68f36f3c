"""The command line: what it prints, where, how wide, and with which exit code it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from strandline import cli, render
from strandline.cli_parser import parser

# A shop with one order an hour. Some days of `Broken` cannot be read, until the file `mended` is there.
SHOP = """
import datetime as dt
from pathlib import Path

import strandline as sl


class Orders(sl.Provider):
    name = "orders"
    primary_key = ("id",)
    cursor_field = "placed_at"
    slice = "1 day"
    region: str = "eu"

    def next(self, context, cursor):
        window = context.window
        hours = int((window.stop - window.start) / dt.timedelta(hours=1))
        begin = cursor or 0
        end = min(begin + 10, hours)
        times = [window.start + dt.timedelta(hours=hour) for hour in range(begin, end)]
        rows = [{"id": int(at.timestamp()), "placed_at": at, "region": self.region} for at in times]
        return sl.Page(rows, cursor=end if end < hours else None)


class Broken(Orders):
    name = "broken_orders_with_quite_a_long_name"
    max_attempts = 1

    def next(self, context, cursor):
        if context.window.start.day == 2 and not Path("mended").exists():
            raise sl.Fatal("the export of this day is truncated at byte 1,048,576; ask the shop to send it again " * 3)
        return super().next(context, cursor)


class Interrupted(Orders):
    name = "interrupted"

    def next(self, context, cursor):
        raise KeyboardInterrupt


NOTHING = 1
"""


@dataclass
class Ran:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the module `shop`, as a person would stand in it."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    yield tmp_path
    sys.modules.pop("shop", None)


@pytest.fixture
def run(shop: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = cli.main(words)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def here(run: Run, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run` with a database of its own."""
    monkeypatch.setenv("STRANDLINE_DSN", dsn)
    return run


def too_wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if render.cells_wide(line) > 80]


# Before a database is needed -----------------------------------------------------------------------------------------


def test_importing_the_command_line_is_light() -> None:
    heavy = {"asyncio", "numpy", "pandas", "pyarrow", "strandline.engine", "zoneinfo"}
    script = f"import sys, strandline.cli; print(*sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def verbs() -> Sequence[str]:
    action = next(action for action in parser()._actions if action.dest == "verb")
    return list(action.choices or ())


@pytest.mark.parametrize("verb", [None, *verbs()])
def test_help_fits_and_has_no_error(verb: str | None, run: Run) -> None:
    ran = run(*([verb] if verb else []), "--help")
    assert ran.code == 0
    assert not too_wide(ran.out)
    assert "--dsn-ref" in ran.out
    assert ran.err == ""


def test_without_a_verb_the_help_is_shown(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert "examples:" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        ("--dsn-ref", "postgresql://ann:s3cret@db/prod", "status"),
        ("status", "--dsn-ref=postgres://ann:s3cret@db/prod"),
        ("status", "--dsn-ref", "host=db user=ann password=s3cret"),
        ("status", "--dsn-ref=postgresql://db/prod?password=s3cret"),
        ("status", "postgresql://ann:s3cret@db/prod"),
    ],
)
def test_a_password_in_the_arguments_is_refused_and_not_repeated(words: tuple[str, ...], run: Run) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert "env:NAME" in ran.err
    assert "s3cret" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("preview", "shop.Orders"), "package.module:Class"),
        (("preview", "nowhere:Orders"), "no module 'nowhere'"),
        (("preview", "shop:Nothing"), "has no 'Nothing'; it has the providers Broken, Interrupted, Orders"),
        (("preview", "shop:NOTHING"), "not a provider class"),
        (("preview", "shop:Orders", "--set", "region"), "--set name=value"),
        (("preview", "shop:Orders", "--set", "colour=red"), "colour"),
        (("preview", "shop:Orders", "--config", "[1]"), "JSON object"),
        (("preview", "shop:Orders", "--config", "{"), "not JSON"),
        (("preview", "shop:Orders", "--config", "@absent.json"), "cannot be read"),
        (("preview", "shop:Orders", "--window", "2024-05-02/2024-05-01"), "2024-05-0"),
        (("work", "--workers", "0"), "0 is not a positive number"),
        (("status", "--dsn-ref", "env:ABSENT"), "ABSENT"),
        (("status",), "STRANDLINE_DSN"),
    ],
)
def test_wrong_usage_says_what_to_do(words: tuple[str, ...], said: str, run: Run) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_preview_needs_no_database(run: Run) -> None:
    ran = run("preview", "shop:Orders", "--window", "2024-05-01", "--rows", "3", "--set", "region=us")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 4
    assert ran.out.count("us") == 3
    assert "3 rows" in ran.err
    assert not too_wide(ran.out)
    document = run("preview", "shop:Orders", "--window", "2024-05-01", "--rows", "3", "--json").document
    assert document["rows"][0] == {"id": 1714521600, "placed_at": "2024-05-01T00:00:00Z", "region": "eu"}
    assert document["more"] is True


def test_an_unreachable_database_has_its_own_code(run: Run) -> None:
    ran = run("status", "--dsn-ref", "host=127.0.0.1 port=1 connect_timeout=1 dbname=none")
    assert ran.code == 6
    assert ran.err.startswith("strandline: ")


def test_a_debugger_gets_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_LOG_LEVEL", "debug")
    assert "Traceback" in run("preview", "nowhere:Orders").err


# The ledger's schema -------------------------------------------------------------------------------------------------


def test_migrate_from_an_empty_database(run: Run, empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", empty_dsn)
    assert run("status").code == 2
    ran = run("migrate", "--check")
    assert (ran.code, ran.out.startswith("pending: ")) == (5, True)
    ran = run("migrate", "--sql")
    assert ran.code == 0
    assert "create table strandline.ing_plan" in ran.out
    ran = run("doctor", "--json")
    assert ran.code == 5
    assert any(row["subject"] == "schema" and row["level"] == "fail" for row in ran.document["findings"])
    assert run("migrate", "--json").document["applied"]
    assert run("migrate").out == "nothing to do\n"
    assert run("migrate", "--check").code == 0


def test_migrate_sql_is_what_migrate_would_run(
    run: Run, empty_dsn: str, connect_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", empty_dsn)
    script = run("migrate", "--sql", "--schema", "other").out
    assert "strandline.ing_" not in script
    connect_to(empty_dsn, autocommit=True).execute(script)
    assert run("migrate", "--check", "--schema", "other").code == 0


# Bringing rows -------------------------------------------------------------------------------------------------------


def test_ingest_tells_what_arrived_and_then_that_nothing_is_missing(here: Run) -> None:
    first = here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04", "--workers", "2")
    assert first.code == 0, first.err
    assert first.out.startswith("SUCCEEDED  plan 1  3 of 3 slices  72 rows in 9 pages")
    again = here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    assert again.code == 0
    assert "0 rows" in again.out
    assert "reason" in again.out
    assert not too_wide(first.out + again.out)


def test_plan_and_work_in_processes(here: Run) -> None:
    dry = here("plan", "shop:Orders", "--window", "2024-05-01/2024-05-08", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith("dry run: nothing is stored")
    assert here("status", "--json").document["plans"] == []
    made = here("plan", "shop:Orders", "--window", "2024-05-01/2024-05-08", "--json").document
    assert (made["slices"], len(made["windows"])) == (7, 7)
    one = here("work", "--plan", str(made["id"]), "--tasks", "1")
    assert one.code == 4
    rest = here("work", "--plan", str(made["id"]), "--workers", "2")
    assert rest.code == 0, rest.err
    assert here("coverage", "orders", "--window", "2024-05-01/2024-05-08", "--check").code == 0
    assert here("work").code == 0  # nothing is left, which is no error


def test_a_budget_of_time_ends_with_its_own_code(here: Run) -> None:
    ran = here("ingest", "shop:Orders", "--window", "2024", "--seconds", "0")
    assert ran.code == 4
    assert "pending" in ran.out


def test_a_failed_slice_is_shown_mended_and_retried(here: Run, shop: Path) -> None:
    name = "broken_orders_with_quite_a_long_name"
    ran = here("ingest", "shop:Broken", "--window", "2024-05-01/2024-05-04")
    assert ran.code == 1
    assert ran.out.startswith("PARTIAL")
    assert "truncated at byte" in ran.out
    assert not too_wide(ran.out)
    assert here("coverage", name, "--window", "2024-05-01/2024-05-04", "--check").code == 5
    (shop / "mended").touch()
    assert here("retry", name, "--reason", "sent again").out == "queued 1 task again\n"
    assert here("work").code == 0
    assert here("coverage", name, "--window", "2024-05-01/2024-05-04", "--check").code == 0


def test_cancel_ends_what_is_queued(here: Run) -> None:
    here("plan", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    assert here("cancel", "1", "--reason", "wrong month", "--yes").out == "cancelled 3 tasks\n"
    assert here("cancel", "1", "--yes").out.startswith("nothing to do")


# Acting --------------------------------------------------------------------------------------------------------------

WINDOW = ("--window", "2024-05-01/2024-05-04")


@pytest.mark.parametrize(
    ("words", "first", "again"),
    [
        (("pause", "1"), "paused 3 tasks", "nothing to do: no task waits or runs that is not paused"),
        (("pause", "orders>public.orders"), "paused 3 tasks; what is planned for orders>", "nothing to do: "),
        (("resume", "task:4"), "resumed 1 task", "nothing to do: no task is paused"),
        (("trigger", "task:5"), "made 1 task due now", "nothing to do: no task waits for its time"),
        (("priority", "1", "2"), "gave 3 tasks priority 2", "nothing to do: no task that is not over has another"),
        (("cancel", "task:1"), "cancelled 1 task", "nothing to do: no task is queued or running"),
        (("retry", "task:6"), "queued 1 task again", "nothing to do: no task failed or was cancelled"),
        (("split", "1", "6 hours"), "cut the rest of task 1 into 4 tasks, ", "nothing to do: task 1 was cut"),
        (("pool", "default", "--limit", "2"), "pool default has the limit of 2 tasks", "nothing to do: pool default"),
        (("worker", "quarantine", "meadow"), "meadow claims nothing until it is released", "nothing to do: meadow is"),
        (("worker", "release", "brook"), "brook may claim again", "nothing to do: brook may claim"),
        (("worker", "stop", "meadow:7:1"), "meadow:7:1 ends after the page in hand", "nothing to do: meadow:7:1 is"),
    ],
)
def test_a_verb_says_what_it_did_and_then_that_there_is_nothing_to_do(
    words: tuple[str, ...], first: str, again: str, here: Run, connect: Any
) -> None:
    here("plan", "shop:Orders", *WINDOW)
    here("plan", "shop:Orders", *WINDOW, "--into", "a.one", "--slice", "3 days", "--delay", "1 h")
    here("pause", "task:4")
    here("plan", "shop:Orders", *WINDOW, "--into", "a.two", "--slice", "3 days", "--delay", "1 h")
    here("plan", "shop:Orders", *WINDOW, "--into", "a.three", "--slice", "3 days")
    here("cancel", "task:6")
    with connect(autocommit=True) as connection:
        for host in ("meadow", "brook"):
            connection.execute(
                "insert into strandline.ing_worker (worker, host, pid, version, pools)"
                f" values ('{host}:7:1', '{host}', 7, '1', '{{default}}')"
            )
    here("worker", "quarantine", "brook")
    ran = here(*words, "--reason", "a test")
    assert (ran.code, ran.err.replace("they wait for a worker: strandline work\n", "")) == (0, "")
    assert ran.out.startswith(first)
    assert not too_wide(ran.out)
    with connect(autocommit=True) as connection:
        asked = connection.execute("select verb from strandline.ing_audit_event where reason = 'a test'").fetchall()
    assert asked == [(words[1] if words[0] == "worker" else words[0],)]
    repeated = here(*words)
    assert repeated.code == 0
    assert repeated.out.startswith(again)
    document = here(*words, "--json").document
    assert not document.get("changed", False)
    assert document.get("tasks", []) == []


def test_a_page_that_can_never_be_stored_is_skipped(here: Run, connect: Any) -> None:
    with connect(autocommit=True) as connection:
        connection.execute(
            "create table public.orders (id bigint primary key, placed_at timestamptz, region text, _sl_batch"
            " bigint, _sl_generation bigint, check (id <> 1714521600 + 36000))"
        )
    assert here("ingest", "shop:Orders", "--window", "2024-05-01", "--quiet").code == 1
    ended = here("status", "--why", "1").out
    assert "destination" in ended
    ran = here("skip", "1", "--reason", "the shop has no tenth hour", "--yes")
    assert (ran.code, ran.out) == (0, "passed over page 2 of task 1; it goes on with the next\n")
    assert here("skip", "1").out.startswith("nothing to do")
    assert here("work", "--quiet").code == 0
    with connect(autocommit=True) as connection:
        assert connection.execute("select count(*) from public.orders").fetchone() == (14,)
    assert here("verify").code == 0
    assert here("status", "1").out.count("SUCCEEDED") >= 2


@pytest.mark.parametrize(
    ("answer", "code", "status"), [("y\n", 0, "CANCELLED"), ("\n", 130, "ACTIVE"), ("", 130, "ACTIVE")]
)
def test_a_person_is_asked_before_something_ends(
    answer: str, code: int, status: str, here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    here("plan", "shop:Orders", *WINDOW)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked = Terminal()
    with monkeypatch.context() as terminal:
        terminal.setattr(sys, "stdin", Terminal(answer))
        terminal.setattr(sys, "stderr", asked)
        assert here("cancel", "1").code == code
    assert asked.getvalue().startswith("cancel plan 1? [y/N] ")
    assert here("status", "--json").document["plans"][0]["status"] == status


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause", "absent"), "nothing was planned for 'absent'"),
        (("priority", "1", "10"), "priority is 10"),
        (("priority", "1", "high"), "invalid int value"),
        (("split", "1", "1 fortnight"), "fortnight"),
        (("split", "orders", "1 day"), "TASK is 'orders'"),
        (("skip", "1", "--yes"), "no page to pass over"),
        (("pool", "default", "--limit", "-1"), "negative"),
        (("pool", "default"), "--limit"),
        (("worker", "wake", "meadow"), "invalid choice"),
        (("worker", "stop", "meadow"), 'no worker "meadow" is known'),
        (("status", "1", "--why", "1"), "not allowed with"),
        (("status", "--why", "orders"), "TASK is 'orders'"),
        (("plan", "shop:Orders", "--window", "2024", "--depends-on", "4711"), "no plan 4711"),
    ],
)
def test_what_a_verb_cannot_do_is_said(words: tuple[str, ...], said: str, here: Run) -> None:
    here("plan", "shop:Orders", *WINDOW)
    ran = here(*words)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert ran.out == ""


def test_a_plan_waits_for_another(here: Run) -> None:
    here("plan", "shop:Broken", *WINDOW)
    here("plan", "shop:Orders", *WINDOW, "--depends-on", "1", "--deadline", "2 hours")
    waiting = here("status", "--why", "4").out
    assert "needs plan 1 (broken_orders_with_quite_a_long_name) to succeed" in " ".join(waiting.split())
    assert "no worker serves pool 'default'" in " ".join(waiting.split())
    assert here("work", "--quiet").code == 1
    fallen = here("status", "--why", "task:4").out
    assert "truncated at byte" in " ".join(fallen.split())


def test_an_interruption_has_its_own_code(here: Run) -> None:
    ran = here("ingest", "shop:Interrupted", "--window", "2024-05-01")
    assert ran.code == 130
    assert "interrupted" in ran.err


# Asking --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lived_in(here: Run) -> Run:
    """A ledger with plans that are done, partial, queued and cancelled, and long names and messages."""
    here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    here("ingest", "shop:Broken", "--window", "2024-05-01/2024-05-04")
    here("plan", "shop:Orders", "--window", "2023-05-01/2024-05-01", "--slice", "1 month")
    here("plan", "shop:Orders", "--window", "2022-05-01/2022-05-04", "--into", "another_place.with_a_long_table_name")
    here("cancel", "4", "--yes")
    return here


QUESTIONS = [
    ("status",),
    ("status", "1"),
    ("status", "2"),
    ("status", "orders"),
    ("status", "--state", "FAILED"),
    ("status", "task:1"),
    ("status", "--why", "1"),
    ("status", "--why", "5"),
    ("status", "--why", "7"),
    ("status", "--why", "task:20"),
    ("coverage", "orders>orders"),
    ("coverage", "orders>orders", "--window", "2024-05-01/2024-05-08"),
    ("coverage", "orders>orders", "--window", "2024", "--by", "1 month"),
    ("coverage", "broken_orders_with_quite_a_long_name"),
    ("cursor", "orders>orders"),
    ("trace", "orders", "1714521600"),
    ("trace", "orders", "region=eu", "id=1714521600"),
    ("verify",),
    ("doctor",),
    ("doctor", "--settings"),
    ("plan", "shop:Orders", "--window", "2024-06", "--dry-run"),
    ("plan", "shop:Orders", "--window", "2024-06", "--dry-run", "--into", "fresh.table"),
    ("ingest", "shop:Broken", "--window", "2024-05-02"),
]


def test_every_answer_fits_80_columns_and_has_a_document(lived_in: Run) -> None:
    for words in QUESTIONS:
        ran = lived_in(*words)
        assert ran.code in (0, 1, 5), (words, ran.err)
        assert ran.out.strip(), words
        assert not too_wide(ran.out), (words, too_wide(ran.out))
        assert "\x1b" not in ran.out, words
        assert isinstance(lived_in(*words, "--json").document, dict), words


def test_errors_and_remarks_stay_off_stdout(lived_in: Run) -> None:
    ran = lived_in("status", "absent")
    assert ran.code == 2
    assert ran.out == ""
    assert "absent" in ran.err


def test_a_trace_leads_from_the_row_to_the_trigger(lived_in: Run) -> None:
    document = lived_in("trace", "orders", "1714521600", "--json").document
    assert set(document) == {"batch", "run", "task", "slice", "plan", "trigger", "config"}
    assert document["plan"]["id"] == 1
    assert document["batch"]["batch_no"] == 1
    assert document["config"]["name"] == "orders"


def test_verify_with_a_foreign_anchor_finds_something(lived_in: Run) -> None:
    assert lived_in("verify").out.startswith("clean")
    ran = lived_in("verify", "orders>orders", "--anchor", "00" * 32)
    assert ran.code == 5
    assert lived_in("verify", "--json").document == {"clean": True, "differences": []}


def test_quiet_leaves_only_the_result(here: Run) -> None:
    ran = here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04", "--quiet")
    assert ran.err == ""
    assert ran.out


def test_progress_is_plain_lines_where_there_is_no_terminal(here: Run) -> None:
    ran = here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    assert ran.err.splitlines()[-1].startswith("3 of 3 slices, 72 rows")
    assert "\r" not in ran.err


def test_a_reader_that_has_seen_enough_is_no_error(here: Run, dsn: str) -> None:
    command = [sys.executable, "-m", "strandline", "doctor", "--settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 0


# Doctor --------------------------------------------------------------------------------------------------------------


def test_doctor_finds_late_runs_and_unfolded_coverage(here: Run, connect: Any) -> None:
    here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    found = {row["subject"] for row in here("doctor", "--json").document["findings"] if row["level"] != "ok"}
    assert found <= {"durability"}  # the suite's own server runs without fsync
    here("plan", "shop:Orders", "--window", "2024-06-01/2024-06-02")
    with connect(autocommit=True) as connection:
        connection.execute(
            "update strandline.ing_coverage set event_sequence_no = null, created_at = now() - interval '1 hour'"
        )
        connection.execute(
            "insert into strandline.ing_task_run"
            " (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no)"
            " select id, attempt_no, 'gone:1:1', 'PLANNED', now() - interval '2 hours', walk_no, batch_no"
            " from strandline.ing_task where status_code = 'QUEUED'"
        )
    ran = here("doctor", "--json")
    assert ran.code == 5
    warned = {row["subject"]: row for row in ran.document["findings"] if row["level"] == "warn"}
    assert "1 run lost the lease up to 2 h ago" in warned["leases"]["message"]
    assert "3 finished parts of 1 cursor" in warned["watermark"]["message"]
    assert all(row["advice"] for row in warned.values())


def test_settings_show_their_origin_and_no_password(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", "postgresql://ann:s3cret@db/prod")
    monkeypatch.setenv("STRANDLINE_LEASE", "30 s")
    ran = here("doctor", "--settings")
    assert ran.code == 0
    assert "s3cret" not in ran.out
    assert "STRANDLINE_LEASE" in ran.out


def test_output_survives_a_terminal_without_unicode(monkeypatch: pytest.MonkeyPatch, here: Run) -> None:
    here("ingest", "shop:Orders", "--window", "2024-05-01/2024-05-04")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert cli.main(["coverage", "orders"]) == 0
    sys.stdout.flush()
    assert b"#" in raw.getvalue()
