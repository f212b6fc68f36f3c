"""The pytest plugin: an engine on a database of its own, in a project that uses strandline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fix_server import SuiteServer

PROJECT = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_alone(strandline_engine, number):
    assert strandline_engine.ingest([{"id": number}], into="things").rows == 1
    assert [row[0] for row in strandline_engine.query("select id from public.things")] == [number]
"""


@pytest.mark.slow
def test_every_test_has_a_database_of_its_own(server: SuiteServer, tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT)
    before = plugin_databases(server)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)],
        cwd=tmp_path,
        # The working database of whoever runs the tests is named too, and must not be asked.
        env={**os.environ, "STRANDLINE_TEST_DSN": server.dsn, "STRANDLINE_DSN": "host=/nowhere"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert plugin_databases(server) == before


def plugin_databases(server: SuiteServer) -> set[str]:
    # Those of the suite's own tests, which run beside this one, have other names.
    found = server.execute("select datname from pg_database where datname ~ '^strandline_[0-9a-f]{12}(_|$)'")
    return {name for (name,) in found}


@pytest.mark.nodb
def test_the_plugin_is_light() -> None:
    # It is loaded by every pytest run on the machine, also of projects that have nothing to do with strandline.
    code = "import sys, strandline.testing; print(*(m for m in sys.modules if m.startswith('strandline')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) == {"strandline", "strandline.testing"}
