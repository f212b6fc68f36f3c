"""The documentation against the code: the reference is fresh and whole, links lead somewhere, the code in it runs."""

from __future__ import annotations

import argparse
import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fix_server import Connect

import strandline
from strandline import attributes, cli_console, cli_parser, errors, settings
from strandline.testing import check_provider

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WIDEST = 130

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PLACE = re.compile(r"`((?:cpp|docs|notebooks|python|sql|tests|\.ci)/[\w./]*)`")
OUTSIDE = re.compile(r"/work\b|\bshared/|DESIGN|\bprotocol\.md|\bissues?[ #]+\d|(?<![\w&])#\d+\b", re.IGNORECASE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def generator() -> Any:
    # By its path: sql/ has a module of the same name.
    spec = importlib.util.spec_from_file_location("docs_generate", Path(__file__).parent / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(text: str) -> str:
    """The text with its code blocks emptied, line by line, so that line numbers stay."""
    return FENCE.sub(lambda found: "\n" * found.group().count("\n"), text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference.md has no heading {heading!r}"
    return found.group(1)


def python_blocks(page: Path) -> list[str]:
    return [code for language, code in FENCE.findall(page.read_text(encoding="utf-8")) if language == "python"]


# The reference --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> str:
    return (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.mark.nodb
@pytest.mark.parametrize("name", ["reference.md", "states.md", "verbs.md"])
def test_generated_pages_are_fresh(generator: Any, name: str) -> None:
    path = ROOT / "docs" / name
    if path.read_text(encoding="utf-8") != generator.pages()[path]:
        pytest.fail(f"docs/{name} is older than the code: run `make docs`", pytrace=False)


@pytest.mark.nodb
def test_every_verb_is_there_with_all_its_options(generator: Any, reference: str) -> None:
    listed = section(reference, "## Command line")
    for name, verb in generator.verbs_of(cli_parser.parser()).items():
        text = section(listed, f"### strandline {name}")
        for action in verb._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            for word in action.option_strings or [action.metavar]:
                common = action.container.title == "every verb"  # type: ignore[attr-defined] # argparse sets it
                assert word in (listed if common else text), f"{name} does not show {word}"
        assert max(map(len, text.splitlines())) <= 80
    for code in cli_console.Exit:
        assert f"| {int(code)} | " in section(listed, "### Exit codes")


@pytest.mark.nodb
def test_every_setting_is_there(reference: str) -> None:
    text = section(reference, "## Settings")
    for row in settings.TABLE:
        assert f"| `{row.name}` | `STRANDLINE_{row.name.upper()}` |" in text
        assert row.description in text


@pytest.mark.nodb
def test_every_attribute_is_explained_or_refused(generator: Any, reference: str) -> None:
    text = section(reference, "## Provider attributes")
    for name in attributes.NAMES:
        assert f"| `{name}` | " in text
    assert set(generator.attribute_meanings()) == attributes.NAMES - set(attributes.NOT_YET)


@pytest.mark.nodb
def test_every_error_is_there(generator: Any, reference: str) -> None:
    text = section(reference, "## Errors")
    tree = [kind.__name__ for _, kind in generator.error_tree()]
    exported = [name for name in strandline.__all__ if generator._is_error(getattr(strandline, name))]
    assert sorted(tree) == sorted(exported), "an error is not exported, or not below strandline.Error"
    for name in tree:
        assert f"`{name}` | `{getattr(errors, name).code}` |" in text


@pytest.mark.nodb
def test_every_public_name_is_there(reference: str) -> None:
    text = section(reference, "## Python")
    for name in strandline.__all__:
        value = getattr(strandline, name)
        if isinstance(value, type) and issubclass(value, errors.Error):
            continue
        shown = f"### {name}\n" if isinstance(value, type) else f"sl.{name}"
        assert shown in text
        for member in vars(value) if isinstance(value, type) else ():
            if not member.startswith("_") and callable(getattr(value, member)):
                assert f".{member}(" in section(text, f"### {name}"), f"{name}.{member} is not in the reference"


# All pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.nodb
@each_page
def test_links_and_places_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link} is no heading there"
    for place in PLACE.findall(prose(text)):
        assert "NNNN" in place or (ROOT / place).exists(), f"{page.name} names {place}, which is not there"


@pytest.mark.nodb
@each_page
def test_names_nothing_outside_of_the_repository(page: Path) -> None:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        assert not OUTSIDE.search(line), f"{page.name}:{number}: a reader cannot follow this: {line}"


@pytest.mark.nodb
@each_page
def test_lines_can_be_read(page: Path) -> None:
    for number, line in enumerate(prose(page.read_text(encoding="utf-8")).splitlines(), 1):
        assert line.startswith("|") or len(line) <= WIDEST, f"{page.name}:{number} has {len(line)} columns"


@pytest.mark.nodb
@each_page
def test_commands_exist(page: Path, generator: Any) -> None:
    verbs = generator.verbs_of(cli_parser.parser())
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"(?:`|^|\$\()strandline ([a-z]+ ?[^`\n|]*)", text, re.MULTILINE):
        name, *words = line.replace(")", " ").split()
        if name not in verbs:
            continue
        options = verbs[name]._option_string_actions
        for word in words:
            if word.startswith("--"):
                assert word.rstrip('",.;:') in options, f"{page.name}: strandline {name} has no {word}"


# Code in the pages ----------------------------------------------------------------------------------------------------


@pytest.mark.nodb
@each_page
def test_python_in_it_is_accepted(page: Path) -> None:
    """Compiles every block; those of docs/ are complete and run, which makes and checks the classes in them."""
    for number, code in enumerate(python_blocks(page), 1):
        compiled = compile(code, f"{page.name}, block {number}", "exec", dont_inherit=True)
        if page.parent.name == "docs":
            exec(compiled, {"__name__": f"docs_{page.stem}"})


@pytest.mark.nodb
def test_the_first_provider_keeps_its_own_rules() -> None:
    names: dict[str, Any] = {"__name__": "docs_providers"}
    exec(compile(python_blocks(ROOT / "docs" / "providers.md")[0], "providers.md", "exec", dont_inherit=True), names)
    check_provider(names["Orders"], "2024-05-01")


class _Source(http.server.BaseHTTPRequestHandler):
    """The API of the README's example: a flight on each day of 2013, three on a page, paged by number."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        start, stop = (datetime.fromisoformat(asked[name][0]) for name in ("from", "to"))
        days = [datetime(2013, 1, 1, 12, tzinfo=UTC) + timedelta(days=number) for number in range(365)]
        flights = [
            {"id": day.timetuple().tm_yday, "updated_at": day.isoformat()} for day in days if start <= day < stop
        ]
        first = int(asked.get("page", ["0"])[0])
        page = {"items": flights[first : first + 3], "next": first + 3 if first + 3 < len(flights) else None}
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def source() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Source) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_example_of_the_readme_runs(dsn: str, connect: Connect, tmp_path: Path) -> None:
    (code,) = python_blocks(ROOT / "README.md")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == 10, "the README promises ten lines"
    for replaced in (', dsn="embedded"', "https://example.org"):
        assert replaced in code
    script = tmp_path / "example.py"
    environment = {**os.environ, "STRANDLINE_DSN": dsn, "NO_PROXY": "127.0.0.1"}

    def run() -> str:
        done = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with source() as url:
        script.write_text(code.replace(', dsn="embedded"', "").replace("https://example.org", url), encoding="utf-8")
        assert "SUCCEEDED" in run()
        assert "0 rows" in (again := run())
        assert "is covered" in again, "the second call says why it loaded nothing"
    with connect() as connection:
        assert connection.execute("select count(*), count(distinct id) from flights").fetchone() == (365, 365)
