"""The shape of the tree: who may include or import whom, how long a file may be, where SQL stands, what lies about.

The rules are the layers of CONTRIBUTING.md. A failure names the file, the line and what to do instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.nodb

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "strandline"

# What a C++ layer may include of ours, beside itself.
CPP_EDGES = {
    "core": set(),
    "encode": {"core"},
    "pg": {"core", "encode"},
    "bindings": {"core", "encode", "pg"},
}
# Libraries that one layer alone may see.
CPP_LIBRARIES = {
    "pqxx": "pg",
    "libpq-fe.h": "pg",
    "libpq": "pg",
    "postgres_ext.h": "pg",
    "pybind11": "bindings",
    "Python.h": "bindings",
}
# Headers made from sql/ are seen by one file each, which is the interface to them.
CPP_GENERATED = {"core/states.cpp", "pg/query.cpp"}

# Python modules from the ground up: a module imports modules of lower rows only. A name with * is a family, whose
# members may import each other: `cli*` is cli, cli_act ..., `embedded*` also the modules of that folder. Imports inside
# functions count, those under TYPE_CHECKING do not. The native _core lies below all of them.
LAYERS = [
    ["redaction", "render", "context", "processes", "duration", "cause"],
    ["errors"],
    ["arguments", "reach"],
    ["settings", "report", "page", "presence", "schema", "window", "secret", "table", "classify", "picture"],
    ["rate", "target"],
    ["fields", "attributes", "walk", "reference"],
    ["embedded*", "progress", "doctor", "subject", "why", "trace", "coverage", "rows"],
    ["values", "dsn", "dependency", "status"],
    ["provider"],
    ["source", "conformance"],
    ["request"],
    ["job"],
    ["group", "ending"],
    ["execution"],
    ["completion"],
    ["seat"],
    ["worker"],
    ["reporting"],
    ["ingestion"],
    ["coverage_reading"],
    ["engine"],
    ["asynchronous", "drain"],
    ["__init__"],
    ["testing"],
    ["cli*"],
    ["demo*"],
    ["__main__"],
]

MOST_LINES = 600
VAGUE = {"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"}
TOP_LEVEL = {
    "CHANGELOG.md",
    "CMakeLists.txt",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
    "cpp",
    "docs",
    "notebooks",
    "python",
    "sql",
    "tests",
    ".ci",
    ".clang-format",
    ".clang-tidy",
    ".gitignore",
    ".stubtest",
}
# What tools leave behind; git ignores it.
LOCAL = {".git", ".venv", "build", "dist", ".cache", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

SQL = re.compile(
    r"""\binsert\s+into\s+[\w."{}%]+\s*(\(|values|select|default|as\s|$)
      | \bdelete\s+from\s+[\w."{%]+\s*(where|using|;|$)
      | \bupdate\s+[\w."{}%]+\s+(as\s+)?(\w+\s+)?set\s+\w+\s*=
      | \bcreate\s+(or\s+replace\s+)?(temp\s+|temporary\s+|unlogged\s+|unique\s+)?
          (table|index|schema|function|trigger|database)\s+[\w."{%]
      | \balter\s+(table|database|role)\s
      | \bdrop\s+(table|schema|index|database|role)\s
      | \btruncate\s+(table\s+)?[\w."{]+\s*(;|$)
      | \bcopy\s+.*\b(from\s+stdin|to\s+stdout)
      | ^\s*(/\*.*?\*/\s*)?(select|with)\s.*\bfrom\s
      | ^\s*select\s+[\w.]+\(
      | \bset\s+(local|session)\s+\w""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
CPP_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CPP_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\((?P<raw>.*?)\)(?P=tag)"|"(?P<text>(?:[^"\\\n]|\\.)*)"|\'(?:[^\'\\\n]|\\.)+\'',
    re.DOTALL,
)


def files(*folders: str, suffixes: tuple[str, ...]) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return sorted(path for path in found if path.is_file())


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def complain(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


# C++ -----------------------------------------------------------------------------------------------------------------


def cpp_complaints(path: Path, text: str) -> Iterator[str]:
    """Edges of one file that the layers do not have."""
    inside = path.relative_to(ROOT / "cpp")
    layer = inside.parts[0]
    for match in CPP_INCLUDE.finditer(text):
        quoted, target = match.group(1) == '"', match.group(2)
        where = f"{name(path)}:{line_of(text, match.start())}: includes {target}"
        first = target.split("/")[0]
        if CPP_LIBRARIES.get(first, layer) != layer:
            yield f"{where}; only cpp/{CPP_LIBRARIES[first]} may"
        elif first == "generated":
            if inside.as_posix() not in CPP_GENERATED:
                yield f"{where}; ask core/states.hpp or pg/query.hpp instead"
        elif first in CPP_EDGES:
            if first != layer and first not in CPP_EDGES[layer]:
                allowed = ", ".join(sorted(CPP_EDGES[layer])) or "nothing of ours"
                yield f"{where}; {layer} may include {allowed}"
            if not (ROOT / "cpp" / target).exists():
                yield f"{where}, which does not exist"
        elif quoted:
            yield f'{where}; "..." is for our own headers, written from cpp/, and <...> for all others'


def test_cpp_layers() -> None:
    problems: list[str] = []
    for path in files("cpp", suffixes=(".cpp", ".hpp")):
        layer = path.relative_to(ROOT / "cpp").parts[0]
        if layer not in CPP_EDGES:
            problems.append(f"{name(path)}: there is no layer {layer}")
            continue
        problems += cpp_complaints(path, path.read_text(encoding="utf-8"))
    complain(problems)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/x.cpp", '#include "pg/query.hpp"'),
        ("encode/x.cpp", '#include "pg/query.hpp"'),
        ("core/x.cpp", "#include <pqxx/pqxx>"),
        ("encode/x.cpp", "#include <libpq-fe.h>"),
        ("pg/x.cpp", "#include <pybind11/pybind11.h>"),
        ("bindings/x.cpp", "#include <pqxx/pqxx>"),
        ("pg/x.cpp", '#include "generated/queries_table.hpp"'),
        ("core/x.cpp", '#include "error.hpp"'),
    ],
)
def test_a_forbidden_include_is_seen(path: str, text: str) -> None:
    assert list(cpp_complaints(ROOT / "cpp" / path, text))


def test_headers_do_not_include_each_other_in_circles() -> None:
    headers = {path.relative_to(ROOT / "cpp").as_posix(): path for path in files("cpp", suffixes=(".hpp",))}
    edges = {
        key: [m.group(2) for m in CPP_INCLUDE.finditer(path.read_text(encoding="utf-8")) if m.group(2) in headers]
        for key, path in headers.items()
    }
    done: set[str] = set()

    def visit(key: str, trail: tuple[str, ...]) -> None:
        assert key not in trail, "a circle of includes: " + " -> ".join((*trail, key))
        if key not in done:
            for target in edges[key]:
                visit(target, (*trail, key))
            done.add(key)

    for key in edges:
        visit(key, ())


def test_headers_keep_nlohmann_json_out() -> None:
    # The whole library costs more than a second in every file that includes the header; json_fwd.hpp names the type.
    complain(
        [
            f"{name(path)}: includes <nlohmann/json.hpp>; a header uses <nlohmann/json_fwd.hpp>"
            for path in files("cpp", suffixes=(".hpp",))
            if "<nlohmann/json.hpp>" in path.read_text(encoding="utf-8")
        ]
    )


# Python --------------------------------------------------------------------------------------------------------------


def module_of(path: Path) -> str:
    """The module's name below the package: 'engine', 'embedded.launcher', '__init__' for the package itself."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def row_of(module: str) -> tuple[int, str] | None:
    """Its row in LAYERS and the entry there, or None for a module that no row names."""
    for row, entries in enumerate(LAYERS):
        for entry in entries:
            family = entry.rstrip("*")
            if module == family or (entry.endswith("*") and module.startswith((family + "_", family + "."))):
                return row, entry
    return None


def imports(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """(line, module below the package) of every import of ours that happens at run time."""
    package = ["strandline", *path.relative_to(PACKAGE).parent.parts]
    typing_only: set[ast.AST] = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            typing_only.update(inner for child in node.body for inner in ast.walk(child))
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "strandline":
                    yield node.lineno, alias.name.partition(".")[2] or "__init__"
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            if full.split(".")[0] != "strandline":
                continue
            below = full.partition(".")[2]
            for alias in node.names:
                # `from strandline import x` may name a module or something that __init__ exports.
                target = f"{below}.{alias.name}" if below else alias.name
                if is_module(target):
                    yield node.lineno, target
                else:
                    yield node.lineno, below or "__init__"


def is_module(module: str) -> bool:
    place = PACKAGE / Path(*module.split("."))
    return module == "_core" or place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def python_complaints(path: Path, text: str) -> Iterator[str]:
    """Imports of one module that do not go down."""
    module = module_of(path)
    own = row_of(module)
    if own is None:
        yield f"{name(path)}: unknown module; add it to LAYERS in {name(Path(__file__))}, above what it imports"
        return
    for line, target in imports(path, text):
        if target.split(".")[0] == "_core":
            continue
        other = row_of(target)
        if other is None:
            yield f"{name(path)}:{line}: imports {target}, which is not in LAYERS; add it there"
        elif other[0] >= own[0] and not (other == own and own[1].endswith("*")):
            yield f"{name(path)}:{line}: {module} imports {target}, which is not below it in LAYERS"


def test_python_layers() -> None:
    problems: list[str] = []
    for path in files("python/strandline", suffixes=(".py",)):
        problems += python_complaints(path, path.read_text(encoding="utf-8"))
    complain(problems)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("errors", "from .engine import Engine"),
        ("report", "def f():\n    from strandline.cli import main"),
        ("provider", "import strandline"),
        ("errors", "from strandline import embedded"),
        ("novelty", ""),
    ],
)
def test_a_forbidden_import_is_seen(module: str, text: str) -> None:
    assert list(python_complaints(PACKAGE / f"{module}.py", text))


# Everything ----------------------------------------------------------------------------------------------------------


def test_files_stay_short() -> None:
    problems = []
    for path in files("cpp", "python", "sql", "tests", suffixes=(".cpp", ".hpp", ".py", ".pyi", ".sql")):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MOST_LINES:
            problems.append(f"{name(path)}: {lines} lines, at most {MOST_LINES}: split it by subject")
    complain(problems)


def test_names_say_what_is_inside() -> None:
    problems = []
    for path in files("cpp", "python", "sql", "tests", suffixes=(".cpp", ".hpp", ".py", ".pyi", ".sql")):
        vague = VAGUE & {word for part in (path.stem, path.parent.name) for word in part.lower().split("_")}
        if vague:
            problems.append(f"{name(path)}: {', '.join(sorted(vague))} is no subject; name it after its noun")
    complain(problems)


def test_nothing_else_lies_at_the_top() -> None:
    unexpected = sorted({path.name for path in ROOT.iterdir()} - TOP_LEVEL - LOCAL)
    assert not unexpected, f"unexpected at the top of the tree: {unexpected}; each thing has its place in TOP_LEVEL"


# SQL in strings ------------------------------------------------------------------------------------------------------


def cpp_strings(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string literal; neighbours, which the compiler joins, are joined."""
    line, joined, end = 0, "", -1
    for match in CPP_STRING.finditer(text):
        piece = match.group("raw") if match.group("raw") is not None else match.group("text")
        if piece is None:
            continue
        if joined and text[end : match.start()].strip() == "":
            joined += piece
        else:
            if joined:
                yield line, joined
            line, joined = line_of(text, match.start()), piece
        end = match.end()
    if joined:
        yield line, joined


def python_strings(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string that is not a docstring; the fixed parts of an f-string are joined by {}."""
    tree = ast.parse(text)
    skip: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skip.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skip.update(id(part) for part in node.values)
            fixed = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(fixed)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skip:
            yield node.lineno, node.value


def test_sql_stands_in_sql_files() -> None:
    problems = []
    for path in files("cpp", "python", suffixes=(".cpp", ".hpp", ".py")):
        strings = python_strings if path.suffix == ".py" else cpp_strings
        for line, text in strings(path.read_text(encoding="utf-8")):
            if SQL.search(text):
                problems.append(f"{name(path)}:{line}: SQL in a string; give it a name in sql/queries: {text[:80]!r}")
    complain(problems)


@pytest.mark.parametrize(
    "text",
    [
        "select id from strandline.ing_task where id = $1",
        "select set_config('a', 'b', true)",
        "with x as (select 1) select * from x",
        "INSERT INTO t VALUES (1)",
        "update t set a = 1",
        "update strandline.ing_task t set a = 1",
        "delete from t where a",
        "create temp table x (a int)",
        "create unique index on t (a)",
        "alter table t add column a int",
        'copy "public"."t" from stdin (format binary)',
        "set local lock_timeout = '5s'",
    ],
)
def test_sql_is_recognised(text: str) -> None:
    assert SQL.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "no row left to delete from the target table",
        "with the rows of the last page",
        "update the provider and set its version",
        "select one of: missing, failed, all",
        "the table has no primary key; create it first, or give primary_key",
    ],
)
def test_prose_is_not_sql(text: str) -> None:
    assert not SQL.search(text)
