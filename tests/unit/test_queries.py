"""sql/queries: the generator refuses what is malformed, and the statements keep to the rules of the protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import generate
import pytest

pytestmark = pytest.mark.nodb

QUERIES = generate.load_queries(generate.ROOT / "queries")
HERE = Path("noun.sql")
GOOD = "-- name: noun.verb\n-- Says what $1 is.\nselect $1;\n"


# The parser ----------------------------------------------------------------------------------------------------------


def only(text: str) -> generate.Query:
    """The single query of a file named noun.sql."""
    (query,) = generate.parse_queries(HERE, text)
    return query


def test_a_query_has_its_name_description_text_and_parameters() -> None:
    query = only("-- The file's own words.\n\n" + GOOD)
    assert (query.name, query.description, query.text) == ("noun.verb", "Says what $1 is.", "select $1")
    assert (query.parameters, query.markers, query.line) == (1, (), 3)


def test_comments_and_line_breaks_leave_the_text() -> None:
    text = "-- name: noun.verb\n-- Does.\nselect 1, -- one\n  /* two /* nested */ */ 2;\n"
    assert only(text).text == "select 1, 2"


@pytest.mark.parametrize(
    "literal",
    ["'{}'", "'{1,2}'", "'a;b'", "'it''s -- no comment'", r"e'\';'", '"odd;name"', "$$a;{}$$", "$x$ $1 ; $x$", "'$2'"],
)
def test_literals_are_left_alone(literal: str) -> None:
    query = only(f"-- name: noun.verb\n-- Does.\nselect {literal};\n")
    assert query.text == f"select {literal}"
    assert (query.parameters, query.markers) == (0, ())


def test_markers_are_collected_once_each() -> None:
    query = only("-- name: noun.verb\n-- Does.\ninsert into {target} ({columns}) select {columns} from {stage};\n")
    assert query.markers == ("columns", "stage", "target")


def test_casts_and_slices_are_no_markers_or_parameters() -> None:
    query = only("-- name: noun.verb\n-- Takes $1.\nselect ($1::timestamptz[])[1:2];\n")
    assert query.parameters == 1


def test_a_run_of_parameters_may_be_described_together() -> None:
    assert only("-- name: noun.verb\n-- $1 .. $3 as elsewhere.\nselect $1, $2, $3;\n").parameters == 3


@pytest.mark.parametrize(
    ("line", "message", "text"),
    [
        (1, "no query", "select 1;\n"),
        (1, "without a name", "select 1;\n" + GOOD),
        (1, "is no query name", "-- name: Noun\n-- Does.\nselect 1;\n"),
        (1, "is no query name", "-- name:\n-- Does.\nselect 1;\n"),
        (1, "belongs in other.sql", "-- name: other.verb\n-- Does.\nselect 1;\n"),
        (1, "has no description", "-- name: noun.verb\nselect 1;\n"),
        (1, "has no description", "-- name: noun.verb\n--\nselect 1;\n"),
        (1, "has no statement", "-- name: noun.verb\n-- Does.\n"),
        (3, "does not end with ;", "-- name: noun.verb\n-- Does.\nselect 1\n"),
        (3, "goes on after its ;", "-- name: noun.verb\n-- Does.\nselect 1; select 2;\n"),
        (3, "goes on after its ;", GOOD + "-- stray words\n"),
        (4, "is there twice", GOOD + GOOD),
        (4, "sorted by name", GOOD + "-- name: noun.act\n-- Does.\nselect 1;\n"),
        (4, "uses $3 but not $2", "-- name: noun.verb\n-- $1 $2 $3.\nselect $1,\n $3;\n"),
        (3, "does not say what $1 is", "-- name: noun.verb\n-- $10 only.\nselect $1;\n"),
        (3, "start at $1", "-- name: noun.verb\n-- Does.\nselect $0;\n"),
        (4, "no marker", "-- name: noun.verb\n-- Does.\nselect\n {Target};\n"),
        (3, "spells a marker", "-- name: noun.verb\n-- Does.\nselect '{target}' from {target};\n"),
        (3, "never closed", "-- name: noun.verb\n-- Does.\nselect 'open;\n"),
        (3, "never closed", "-- name: noun.verb\n-- Does.\nselect /* open;\n"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(line: int, message: str, text: str) -> None:
    with pytest.raises(generate.SqlError) as caught:
        generate.parse_queries(HERE, text)
    assert str(caught.value).startswith(f"noun.sql:{line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["1_first.sql", "0002_second.sql", "0001_First.sql"])
def test_migrations_are_numbered_from_one_without_a_gap(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("select 1;", encoding="utf-8")
    with pytest.raises(generate.SqlError):
        generate.load_migrations(tmp_path)


def test_generated_files_are_written_only_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "include" / "x.hpp"
    generate.write_changed(path, "one")
    path.chmod(0o444)
    before = path.stat().st_mtime_ns
    generate.write_changed(path, "one")
    assert path.stat().st_mtime_ns == before


def test_a_raw_string_grows_its_delimiter() -> None:
    query = only("-- name: noun.verb\n-- Does.\nselect ')sql\"';\n")
    assert 'R"sql_(' in generate.queries_header([query])


# The rules of the protocol -------------------------------------------------------------------------------------------

VERBS = ("select", "insert", "update", "delete", "merge")


@dataclass
class Group:
    """What stands between a pair of parentheses (or the whole statement), in lower case, without what they hold."""

    opener: str
    parent: Group | None
    words: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    @property
    def verb(self) -> str:
        return next((word for word in self.words if word in VERBS), "")

    @property
    def locks(self) -> bool:
        return re.search(r"\bfor (no key update|update|share|key share)\b", " ".join(self.words)) is not None


def grouped(text: str) -> Group:
    """The statement as nested parentheses; the opener is the word before the parenthesis."""
    top = group = Group("", None)
    last = ""
    for token in generate.tokens(HERE, text):
        if token.text == "(":
            group = Group(last, group)
            assert group.parent is not None
            group.parent.groups.append(group)
        elif token.text == ")":
            assert group.parent is not None
            group = group.parent
        elif token.kind != "space":
            group.pieces.append(token.text.lower())
            group.words += [token.text.lower()] if token.kind == "word" else []
        if token.kind != "space":
            last = token.text.lower()
    return top


def everywhere(group: Group) -> Iterator[Group]:
    yield group
    for inner in group.groups:
        yield from everywhere(inner)


def rescanned(text: str) -> bool:
    """Whether a locking sub-select can be run again by the UPDATE, DELETE or INSERT that reads from it.

    Such a sub-select locks other rows at every scan, so that more rows change than its LIMIT says. Inside array(..) it
    runs once, and so does a materialised CTE that it is alone in.
    """
    for group in everywhere(grouped(text)):
        if not group.locks or group.parent is None:
            continue
        at: Group | None = group
        while at is not None and at.opener not in ("array", "materialized"):
            at = at.parent
        if (at.verb if at else grouped(text).verb) != "select":
            return True
    return False


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_no_locking_sub_select_is_scanned_twice(query: generate.Query) -> None:
    assert not rescanned(query.text), (
        f"{query.path}:{query.line}: a locking sub-select is an operand of FROM or IN of a write; "
        "put it into array(..), or alone into a MATERIALIZED CTE"
    )


@pytest.mark.parametrize(
    "text",
    [
        "update t set a = 1 from (select id from t limit 9 for update skip locked) s where s.id = t.id",
        "update t set a = 1 where id in (select id from t limit 9 for no key update skip locked)",
        "delete from t where id in (select id from t for update)",
        "with s as (select id from t limit 9 for update) update t set a = 1 from s where s.id = t.id",
        "with s as materialized (update t set a = 1 from (select id from t for update) x returning 1) select * from s",
    ],
)
def test_the_forms_that_break_are_seen(text: str) -> None:
    assert rescanned(text)


@pytest.mark.parametrize(
    "text",
    [
        "select id from t for no key update",
        "select id from (select id from t limit 9 for update skip locked) x",
        "update t set a = 1 where id = any(array(select id from t limit 9 for no key update skip locked))",
        "update t set a = 1 where id = any(array(select x.id from p, lateral (select id from t for update) x))",
        "with s as materialized (select id from t for update) update t set a = 1 from s where s.id = t.id",
        "with s as materialized (select k from (select k from f limit 9 for update) f) update t set a = 1 from s",
    ],
)
def test_the_forms_that_hold_are_let_through(text: str) -> None:
    assert not rescanned(text)


# What leaves something behind on a server that a transaction pooler gives to the next client.
SESSION_WORDS = {"set", "reset", "listen", "unlisten", "notify", "prepare", "deallocate", "declare", "discard"}
SESSION_CALLS = re.compile(
    r"pg_(try_)?advisory_(lock|unlock)\w*\s*\(|set_config\s*\([^()]*,\s*false\s*\)", re.IGNORECASE
)


def leaves_session_state(text: str) -> str:
    """The part of a statement that outlives its transaction, empty where none does."""
    words = grouped(text).words
    first = words[0] if words else ""
    if first in SESSION_WORDS and not (first == "set" and words[1:2] == ["local"]):
        return first
    call = SESSION_CALLS.search(text)
    if call:
        return call.group()
    if re.match(r"create\s+(temp|temporary)\s", text, re.IGNORECASE) and "on commit drop" not in " ".join(
        text.lower().split()
    ):
        return "create temp without on commit drop"
    return ""


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_nothing_outlives_a_transaction(query: generate.Query) -> None:
    found = leaves_session_state(query.text)
    assert not found, f"{query.path}:{query.line}: {found}: outlives its transaction, which a pooler passes to others"


@pytest.mark.parametrize(
    "text",
    [
        "set lock_timeout = '5s'",
        "listen work",
        "prepare x as select 1",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock(1)",
        "select set_config('lock_timeout', '5s', false)",
        "create temp table x (a int)",
    ],
)
def test_session_state_is_seen(text: str) -> None:
    assert leaves_session_state(text)


@pytest.mark.parametrize(
    "text",
    [
        "set local lock_timeout = '5s'",
        "update t set a = 1",
        "select pg_advisory_xact_lock(1)",
        "select set_config('lock_timeout', '5s', true)",
        "create temp table x (a int) on commit drop",
    ],
)
def test_what_ends_with_the_transaction_is_let_through(text: str) -> None:
    assert not leaves_session_state(text)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_columns_are_named(query: generate.Query) -> None:
    # A star over a table changes what the caller gets with the next migration; inside, or over a CTE, it stays within.
    assert not re.search(r"\bselect (\w+ \. )?\* from strandline\b", " ".join(grouped(query.text).pieces)), (
        f"{query.path}:{query.line}: select * from a table: name the columns"
    )


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_tables_are_qualified(query: generate.Query) -> None:
    # search_path is session state, and a stranger's table of the same name must not be found first.
    bare = re.findall(r"(?<![\w.'])ing_[a-z_]+(?=\s+(?:\w+\s+)?(?:set|where|join|\()|\s*$)", query.text)
    named = [word for word in bare if re.search(rf"\b(?:from|join|into|update|using)\s+{word}\b", query.text)]
    assert not named, f"{query.path}:{query.line}: {named} without its schema"
