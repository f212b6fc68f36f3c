"""Reads sql/ and makes what is built from it: the embedded queries and migrations, and everything of sql/states.json.

    python sql/generate.py --check         says whether sql/ is well-formed, with file and line of the first mistake
    python sql/generate.py --output DIR    writes the generated C++ headers below DIR (the build does this)
    python sql/generate.py --guard         prints the SQL guard of the state machines, for a migration
    python sql/generate.py --docs          prints the generated part of docs/states.md

A query file holds the queries of one noun, sorted by name. Each begins with `-- name: noun.verb`, then one or more
comment lines that say what it does and what each of its parameters is, then one statement that ends with `;`.
`{name}` outside literals marks a place where the C++ layer puts quoted identifiers. A mistake breaks the build, because
a statement that nobody can name or explain is one that nobody dares to change. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import states

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent
NAME_LINE = re.compile(r"--\s*name:\s*(.*?)\s*\Z")
QUERY_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
MIGRATION_FILE = re.compile(r"(\d{4})_([a-z][a-z0-9_]*)\.sql\Z")
# Order matters: what opens a literal or a comment comes before what may stand inside of one.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<block>/\*)
      | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')
      | (?P<identifier>"(?:[^"]|"")*")
      | (?P<parameter>\$(?P<number>\d+))
      | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)\$|\$\$.*?\$\$)
      | (?P<marker>\{(?P<place>[a-z][a-z0-9_]*)\})
      | (?P<semicolon>;)
      | (?P<space>\s+)
      | (?P<word>\w+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
BLANK = ("comment", "block", "space")
LITERAL = ("string", "dollar", "identifier")


class SqlError(Exception):
    """A mistake in sql/: the message begins with file:line."""


@dataclass(frozen=True)
class Token:
    """One lexical piece of a statement; kind is the name of its group in TOKEN."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Query:
    """One named statement: `text` has no comments and single spaces, `markers` are its places for identifiers."""

    name: str
    description: str
    text: str
    parameters: int
    markers: tuple[str, ...]
    path: Path
    line: int


@dataclass(frozen=True)
class Migration:
    """One step of the schema. The checksum covers the file's bytes, so that a released step cannot change unseen."""

    version: int
    title: str
    text: str
    checksum: str
    path: Path


def _fail(path: Path, line: int, message: str) -> NoReturn:
    raise SqlError(f"{path}:{line}: {message}")


def tokens(path: Path, text: str, first_line: int = 1) -> Iterator[Token]:
    """Splits SQL into tokens; comments, which may nest, are one token each."""
    at, line = 0, first_line
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None  # `other` takes any character
        kind = next(name for name, value in match.groupdict().items() if value is not None)
        end = match.end()
        if kind == "block":
            end = _block_end(path, text, at, line)
        elif match.group() in ("'", '"'):
            _fail(path, line, f"a {match.group()} is opened and never closed")
        piece = text[at:end]
        yield Token(kind, piece, line)
        line += piece.count("\n")
        at = end


def _block_end(path: Path, text: str, start: int, line: int) -> int:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return start + mark.end()
    _fail(path, line, "a /* is opened and never closed")


def parse_queries(path: Path, text: str) -> list[Query]:
    """The queries of one file, checked against each other; raises SqlError with file:line."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if NAME_LINE.match(line)]
    if not starts:
        _fail(path, 1, "no query: each begins with a line `-- name: noun.verb`")
    for number, line in enumerate(lines[: starts[0]], 1):
        if line.strip() and not line.startswith("--"):
            _fail(path, number, "a statement without a name: put `-- name: noun.verb` and a description above it")
    queries: list[Query] = []
    for start in starts:
        end = next((later for later in starts if later > start), len(lines))
        query = _query(path, lines[start:end], start + 1)
        if queries and query.name == queries[-1].name:
            _fail(path, query.line, f"{query.name} is there twice")
        if queries and query.name < queries[-1].name:
            _fail(path, query.line, f"{query.name} comes after {queries[-1].name}: queries are sorted by name")
        queries.append(query)
    return queries


def _query(path: Path, lines: list[str], line: int) -> Query:
    match = NAME_LINE.match(lines[0])
    name = match.group(1) if match else ""
    if not QUERY_NAME.match(name):
        _fail(path, line, f"{name!r} is no query name: write `-- name: {path.stem}.verb` in lower case")
    if name.split(".")[0] != path.stem:
        _fail(path, line, f"{name} is in the file of another noun: it belongs in {name.split('.')[0]}.sql")
    body = 1
    while body < len(lines) and lines[body].startswith("--"):
        body += 1
    description = " ".join(text.lstrip("- ").rstrip() for text in lines[1:body]).strip()
    if not description:
        _fail(path, line, f"{name} has no description: say below its name what it does and what each parameter is")
    return _statement(path, name, description, list(tokens(path, "\n".join(lines[body:]), line + body)), line)


def _statement(path: Path, name: str, description: str, found: list[Token], line: int) -> Query:
    solid = [token for token in found if token.kind not in BLANK]
    if not solid:
        _fail(path, line, f"{name} has no statement")
    ends = [token for token in solid if token.kind == "semicolon"]
    if not ends:
        _fail(path, solid[-1].line, f"{name} does not end with ;")
    last = found.index(ends[0])
    if any(token.kind != "space" for token in found[last + 1 :]):
        _fail(path, ends[0].line, f"{name} goes on after its ; (one statement a query, comments above it)")
    text = "".join(" " if token.kind in BLANK else token.text for token in _spaced(found[:last]))
    for token in solid:
        if token.kind == "other" and token.text in "{}":
            _fail(path, token.line, f"{name}: a {token.text} outside a literal that is no marker such as {{target}}")
    markers = tuple(sorted({token.text[1:-1] for token in solid if token.kind == "marker"}))
    for token in solid:
        if token.kind in LITERAL and any(f"{{{marker}}}" in token.text for marker in markers):
            _fail(path, token.line, f"{name}: a literal spells a marker of the same query; rename the marker")
    return Query(name, description, text.strip(), _parameters(path, name, description, solid), markers, path, line)


def _spaced(found: list[Token]) -> Iterator[Token]:
    """Without runs of white space and comments: one gap, one token."""
    gap = False
    for token in found:
        blank = token.kind in BLANK
        if not (blank and gap):
            yield token
        gap = blank


def _parameters(path: Path, name: str, description: str, solid: list[Token]) -> int:
    """The highest $n. All below it must be used (PostgreSQL could not tell their types) and described."""
    used = {int(token.text[1:]): token.line for token in solid if token.kind == "parameter"}
    highest = max(used, default=0)
    told = {int(number) for number in re.findall(r"\$(\d+)", description)}
    for first, last in re.findall(r"\$(\d+) (?:\.\.|to) \$(\d+)", description):
        told |= set(range(int(first), int(last)))
    for number in range(1, highest + 1):
        if number not in used:
            _fail(path, used[highest], f"{name} uses ${highest} but not ${number}")
        if number not in told:
            _fail(path, used[number], f"{name}: the description does not say what ${number} is")
    if 0 in used:
        _fail(path, used[0], f"{name} uses $0; parameters start at $1")
    return highest


def load_queries(folder: Path) -> list[Query]:
    """All queries below a folder, sorted by name."""
    queries = [
        query
        for path in sorted(folder.glob("*.sql"))
        for query in parse_queries(path, path.read_text(encoding="utf-8"))
    ]
    if not queries:
        _fail(folder, 0, "no query files")
    return sorted(queries, key=lambda query: query.name)


def load_migrations(folder: Path) -> list[Migration]:
    """All migrations below a folder in order; versions run from 1 without a gap."""
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = MIGRATION_FILE.match(path.name)
        if not match:
            _fail(path, 1, "a migration is named NNNN_title.sql, in lower case")
        if int(match.group(1)) != len(migrations) + 1:
            _fail(path, 1, f"expected number {len(migrations) + 1:04d}: versions run without a gap")
        data = path.read_bytes()
        title = match.group(2).replace("_", " ")
        migrations.append(Migration(len(migrations) + 1, title, data.decode(), hashlib.sha256(data).hexdigest(), path))
    if not migrations:
        _fail(folder, 0, "no migrations")
    return migrations


# C++ -----------------------------------------------------------------------------------------------------------------


def _raw(text: str) -> str:
    """A raw string literal; the delimiter grows until the text does not contain it."""
    delimiter = "sql"
    while f'){delimiter}"' in text:
        delimiter += "_"
    return f'R"{delimiter}({text}){delimiter}"'


def _header(title: str, lines: list[str]) -> str:
    space = "strandline::pg::generated"
    head = [
        "#pragma once",
        f"// {title} Made from sql/ by sql/generate.py; do not edit.",
        "",
        f"namespace {space} {{",
        "",
    ]
    return "\n".join([*head, *lines, "", f"}}  // namespace {space}", ""])


def queries_header(queries: list[Query]) -> str:
    """constexpr array of Query, sorted by name. Each text begins with the query's name as a comment, so that
    pg_stat_activity and the server's log say which statement runs."""
    rows = []
    for query in queries:
        text = f"/* {query.name} */ {query.text}"
        rows.append(f'    {{"{query.name}", {_raw(query.description)},')
        rows.append(f'     {_raw(text)}, {query.parameters}, "{" ".join(query.markers)}"}},')
    return _header("The named queries.", ["inline constexpr Query queries[] = {", *rows, "};"])


def migrations_header(migrations: list[Migration]) -> str:
    """constexpr array of Migration, by version."""
    rows = [f'    {{{m.version}, "{m.title}", {_raw(m.text)}, "{m.checksum}"}},' for m in migrations]
    return _header("The migrations.", ["inline constexpr Migration migrations[] = {", *rows, "};"])


def write_changed(path: Path, text: str) -> None:
    """Leaves a file alone that already has this text: its time stamp decides what is compiled again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Returns 0, or 1 after a message on stderr."""
    parser = argparse.ArgumentParser(description="Checks sql/ and makes what is generated from it.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="check queries, migrations and states")
    choice.add_argument("--output", type=Path, metavar="DIR", help="write the C++ headers below DIR")
    choice.add_argument("--guard", action="store_true", help="print the SQL guard of the state machines")
    choice.add_argument("--docs", action="store_true", help="print the generated part of docs/states.md")
    options = parser.parse_args(arguments)
    try:
        machines = states.load(ROOT / "states.json")
        if options.guard or options.docs:
            sys.stdout.write(states.guard_sql(machines) if options.guard else states.docs_markdown(machines))
            return 0
        queries, migrations = load_queries(ROOT / "queries"), load_migrations(ROOT / "migrations")
    except (SqlError, states.StatesError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        counts = f"{len(queries)} queries, {len(migrations)} migrations, {len(machines.machines)} state machines"
        print(f"{counts}: well-formed")
        return 0
    generated = options.output / "generated"
    write_changed(generated / "queries_table.hpp", queries_header(queries))
    write_changed(generated / "migrations_table.hpp", migrations_header(migrations))
    write_changed(generated / "states_table.hpp", states.cpp_header(machines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
