"""Makes the generated pages of docs/: reference.md, and the tables of states.md and verbs.md. `make docs` runs it.

    python tests/docs/generate.py            writes the pages that changed and names them

The text depends on the code alone, not on the Python that runs this: help is laid out here from the parser's actions
(argparse lays it out differently from version to version), signatures from their parameters, never from their repr.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "sql"), str(ROOT / "tests")]

import states  # noqa: E402 # found through the line above
import verb_table  # noqa: E402 # the same

import strandline  # noqa: E402
from strandline import asynchronous, attributes, cli_console, cli_parser, errors, settings, testing  # noqa: E402
from strandline.coverage import CoverageRow  # noqa: E402
from strandline.engine import Cursor, Verification  # noqa: E402
from strandline.report import Failure  # noqa: E402
from strandline.status import Cause, RunEnd, Status, TaskStatus  # noqa: E402
from strandline.table import Result  # noqa: E402
from strandline.trace import Trace  # noqa: E402
from strandline.why import Blocker  # noqa: E402

REFERENCE = ROOT / "docs" / "reference.md"
STATES = ROOT / "docs" / "states.md"
VERBS = ROOT / "docs" / "verbs.md"

_WIDTH = 80
_HELP_AT = 24
_CODE_WIDTH = 100
_BEGIN, _END = "<!-- generated: {} begin -->\n", "<!-- generated: {} end -->"

_HEAD = """# Reference

Made by `make docs` from the code; a test keeps it fresh. The words are explained in [model.md](model.md), providers in
[providers.md](providers.md).

- [Command line](#command-line), with its [exit codes](#exit-codes)
- [Settings](#settings)
- [Provider attributes](#provider-attributes) and [methods](#provider-methods)
- [Errors](#errors)
- [States and reason codes](#states-and-reason-codes)
- [Python](#python)
"""

_ARGUMENTS = {
    "`source`": "a provider or its class, a list of rows, an iterator, or Arrow data: see [providers.md](providers.md)",
    "`of`": """a `Plan`, a plan's id, `"task:ID"`, a provider's name, or `"name>schema.table"` where one provider feeds
    several tables""",
    "`into`": """`"table"`, `"schema.table"` or `(schema, table)`; none is the provider's name in schema `public`""",
    "`window`": """
    `"2013"`, `"2013-Q2"`, `"2013-05"`, `"2013-W07"`, `"2013-05-01"`, `"start/stop"`, `"-7 days/"`, a date,
    a negative timedelta, a `Window`, or `(start, stop)` with `None` for an open side; half-open, read in the provider's
    `time_zone`""",
    "`slice`": "see [strategies](model.md#strategies)",
    "`depends_on`": """one or a list of: a `Plan`, a plan's id, `"task:ID"`, a provider's name,
    `"name>schema.table"`, or `After` around one of them: see
    [dependencies](operations.md#dependencies-and-deadlines)""",
}
_RESULTS = (Cursor, Verification, Status, TaskStatus, RunEnd, Cause, Blocker, Trace, Result, Failure, CoverageRow)
_INSIDE = ("parts", "mark", "slice_windows", "on_alive")


def main() -> int:
    """Writes what changed."""
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print("wrote", path.relative_to(ROOT))
    return 0


def pages() -> dict[Path, str]:
    """Every generated page with the text that it should have."""
    machines = states.docs_markdown(states.load(ROOT / "sql" / "states.json"))
    return {
        REFERENCE: reference(),
        STATES: _between_markers(STATES, "states", machines),
        VERBS: _between_markers(VERBS, "verbs", "\n".join(verb_tables())),
    }


def _between_markers(path: Path, name: str, made: str) -> str:
    """The page with `made` between its markers."""
    begin, end = _BEGIN.format(name), _END.format(name)
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"docs/{path.name} has lost its markers; bring them back and run this again")
    return before + begin + made.strip() + "\n" + end + after


def verb_tables() -> list[str]:
    """What each verb does to a task and to a worker in each state, a line a state."""
    out = []
    for meanings, table in (
        (verb_table.STATES, verb_table.TABLE),
        (verb_table.WORKER_STATES, verb_table.WORKER_TABLE),
    ):
        rows = [
            (f"{state}: {meaning}", *(cells[state].doc for cells in table.values()))
            for state, meaning in meanings.items()
        ]
        what = "the task is" if meanings is verb_table.STATES else "the worker is"
        out += _table((what, *(f"`{verb}`" for verb in table)), rows)
    return out


def reference() -> str:
    """docs/reference.md."""
    parts = [
        _HEAD,
        command_line(),
        setting_table(),
        attribute_tables(),
        error_tables(),
        state_lists(),
        python_names(),
    ]
    return "\n".join(part.strip() + "\n" for part in parts)


# The command line -----------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every verb with its help, and the exit codes."""
    root = cli_parser.parser()
    verbs = verbs_of(root)
    common = next(group for group in root._action_groups if group.title == "every verb")
    out = ["## Command line", ""]
    out += [
        "`strandline VERB ...`, or `python -m strandline VERB ...`. These options stand before or after any verb:",
        "",
    ]
    out += _fenced(_rows(common._group_actions))
    out += [
        "Without a verb, `--version` prints the version and those of the libraries, `--help` the list of verbs.",
        "",
    ]
    out += _table(("verb", "does"), [(f"[`{name}`](#strandline-{name})", _help(root, name)) for name in verbs])
    for name, verb in verbs.items():
        out += [f"### strandline {name}", "", *_fenced(_verb_lines(name, verb))]
    members = _attribute_docstrings(cli_console.Exit)
    codes = [(str(int(code)), members[code.name]) for code in cli_console.Exit]
    out += ["### Exit codes", "", *_table(("code", "meaning"), codes)]
    return "\n".join(out)


def verbs_of(root: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The verbs by name, in the order of the help."""
    return dict(_subparsers(root).choices)


def _subparsers(root: argparse.ArgumentParser) -> Any:
    return next(action for action in root._actions if isinstance(action, argparse._SubParsersAction))


def _help(root: argparse.ArgumentParser, name: str) -> str:
    return next(str(choice.help) for choice in _subparsers(root)._choices_actions if choice.dest == name)


def _verb_lines(name: str, verb: argparse.ArgumentParser) -> Iterator[str]:
    groups = [(group.title, [a for a in group._group_actions if not _is_help(a)]) for group in verb._action_groups]
    groups = [(title, actions) for title, actions in groups if actions and title != "every verb"]
    yield from _usage(name, verb, [action for _, actions in groups for action in actions])
    yield ""
    yield from textwrap.wrap(" ".join((verb.description or "").split()), _WIDTH - 1)
    for title, actions in groups:
        yield from ("", f"{'arguments' if title == 'positional arguments' else title}:")
        yield from _rows(actions)
    if verb.epilog:
        yield from ("", *verb.epilog.splitlines())


def _usage(name: str, verb: argparse.ArgumentParser, actions: list[argparse.Action]) -> list[str]:
    exclusive = [group._group_actions for group in verb._mutually_exclusive_groups]
    words: list[str] = []
    for action in sorted(actions, key=lambda action: bool(action.option_strings)):
        group = next((group for group in exclusive if action in group), None)
        if group is None:
            words.append(_usage_word(action))
        elif action is group[0]:
            words.append("[" + " | ".join(_invocation(each) for each in group) + "]")
    start = f"strandline {name} "
    # A word of usage is never broken at its spaces.
    joined = " ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(
        joined, _WIDTH - 1, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines] or [start.rstrip()]


def _usage_word(action: argparse.Action) -> str:
    if action.option_strings:
        return f"[{_invocation(action)}]"
    shown = str(action.metavar or action.dest)
    return {"?": f"[{shown}]", "+": f"{shown} [{shown} ...]", "*": f"[{shown} ...]"}.get(str(action.nargs), shown)


def _invocation(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.metavar
    taken = action.nargs != 0 and value
    return ", ".join(f"{option} {value}" if taken else option for option in action.option_strings)


def _rows(actions: list[argparse.Action]) -> Iterator[str]:
    """Each option and, from one column on, what it means."""
    for action in actions:
        left = f"  {_invocation(action)}"
        said = (action.help or "") % {**vars(action), "prog": "strandline"}
        right = textwrap.wrap(said, _WIDTH - 1 - _HELP_AT) or [""]
        if len(left) + 2 > _HELP_AT:
            yield left
            left = ""
        yield f"{left:<{_HELP_AT}}{right[0]}".rstrip()
        for line in right[1:]:
            yield " " * _HELP_AT + line


def _is_help(action: argparse.Action) -> bool:
    return "--help" in action.option_strings


# Settings, attributes, errors, states ---------------------------------------------------------------------------------


def setting_table() -> str:
    """The settings, from their table."""
    rows = [
        (f"`{row.name}`", f"`{variable_of(row.name)}`", _unit(row), _default(row.default), row.description)
        for row in settings.TABLE
    ]
    out = ["## Settings", ""]
    out += _filled(
        """
        The first of these that says something holds: the argument or option, the environment variable (an
        empty one says nothing), `[tool.strandline]` in `pyproject.toml` of the current directory or, where
        that has none, `strandline.toml` there, the default. `strandline doctor --settings` shows which
        value holds and where it comes from.
        """
    )
    out += _table(("setting", "variable", "type", "default", "meaning"), rows)
    out += _filled(
        """
        A duration is a whole number and a unit: `us`, `s`, `min`, `h`, `d`, `w` or their names. A size is a
        number of bytes, or one with `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`. Two variables are no settings:
        `STRANDLINE_PG_BINDIR` names the directory of the PostgreSQL programs that the embedded server is
        run with, and `STRANDLINE_FAILPOINT` is for [tests of
        recovery](operations.md#recovery-in-tests-of-your-own).
        """
    )
    return "\n".join(out)


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return f"STRANDLINE_{setting.upper()}"


def _unit(row: settings.Setting) -> str:
    return f"{row.type}, {row.unit}" if row.unit and row.unit not in row.type else row.type


def attribute_tables() -> str:
    """The attributes of providers: what they mean, what they are without a word, which are refused; the methods."""
    meanings = attribute_meanings()
    rows = [("`name`", "required", meanings["name"])]
    rows += [
        (f"`{name}`", _default(default), meanings[name])
        for name, default in attributes.DEFAULTS.items()
        if name not in attributes.NOT_YET
    ]
    out = ["## Provider attributes", "", "Set in the class, checked when the class is made.", ""]
    out += _table(("attribute", "default", "meaning"), rows)
    out += [
        "These names are reserved. This version refuses them, because a promise that nobody keeps is worse than none:",
        "",
    ]
    refused = {**attributes.NOT_YET, **{f"{name}()": reason for name, reason in attributes.HOOKS_NOT_YET.items()}}
    out += _table(("name", "why"), [(f"`{name}`", reason) for name, reason in refused.items()])
    out += ["### Provider methods", ""]
    out += [
        "One of `next` and `pages` is required. Each may be `async`, but for `estimate`, `slices` and `classify`.",
        "",
    ]
    out += _table(("method", "does"), [(f"`{call}`", said) for call, said in _hooks()])
    return "\n".join(out)


def attribute_meanings() -> dict[str, str]:
    """What the docstring of Provider says about each attribute: `name: what it is. next: ...`."""
    text = " ".join(inspect.cleandoc(strandline.Provider.__doc__ or "").split())
    pieces = re.split(rf"(?:(?<=\. )|(?<=; ))({'|'.join(sorted(attributes.NAMES))}): ", text)
    return {
        name: meaning[0].upper() + meaning[1:].strip() for name, meaning in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def _hooks() -> list[tuple[str, str]]:
    """The methods that a subclass may define, from the class body that only type checkers see."""
    body = ast.parse(inspect.getsource(strandline.Provider).lstrip()).body[0]
    assert isinstance(body, ast.ClassDef)
    hidden = next(node for node in body.body if isinstance(node, ast.If))
    found = []
    for node in hidden.body:
        assert isinstance(node, ast.FunctionDef)
        arguments = ", ".join(argument.arg for argument in node.args.args)
        found.append((f"{node.name}({arguments})", _first_line(ast.get_docstring(node))))
    return found


def error_tables() -> str:
    """The tree of errors with what a program can read off each."""
    rows = []
    for depth, kind in error_tree():
        name = "&ensp;" * 2 * depth + f"`{kind.__name__}`"
        rows.append((name, f"`{kind.code}`", kind.kind, "yes" if kind.retryable else "no", _sentences(kind)))
    out = ["## Errors", ""]
    out += _filled(
        """
        All are importable from `strandline`. `error.code`, `error.kind`, `error.retryable` and
        `error.context` (the parts of the message as JSON values) are for programs. `retryable` says whether
        the same call may succeed later with nothing changed. `error.in_doubt` is true for `InDoubt` only.
        What a provider raises, and what becomes of other exceptions: [providers.md](providers.md#errors).
        """
    )
    out += _table(("error", "code", "kind", "retryable", "when"), rows)
    return "\n".join(out)


def error_tree(root: type[errors.Error] = errors.Error, depth: int = 0) -> list[tuple[int, type[errors.Error]]]:
    """(depth, class) from the root down, in the order of the source."""
    below = [
        found
        for kind in root.__subclasses__()
        if kind.__module__ == errors.__name__
        for found in error_tree(kind, depth + 1)
    ]
    return [(depth, root), *below]


def state_lists() -> str:
    """The states of each object in a line, and the reason codes; states.md explains them."""
    machines = states.load(ROOT / "sql" / "states.json")
    rows = [
        (f"[{machine.name}](states.md#{machine.name})", ", ".join(f"`{state.name}`" for state in machine.states))
        for machine in machines.machines
    ]
    reasons = ", ".join(f"`{reason.code}`" for reason in machines.reasons)
    out = ["## States and reason codes", "", *_table(("object", "states"), rows)]
    out += ["[Reason codes](states.md#reason-codes) say why something waits or ended:", ""]
    out += textwrap.wrap(reasons + ".", 120, break_on_hyphens=False)
    return "\n".join(out)


# Python ---------------------------------------------------------------------------------------------------------------


def python_names() -> str:
    """What `import strandline` gives, and the plugin for tests."""
    names = [name for name in strandline.__all__ if name != "__version__" and not _is_error(getattr(strandline, name))]
    classes = [name for name in names if inspect.isclass(getattr(strandline, name))]
    out = ["## Python", ""]
    out += _filled(
        """
        `import strandline as sl` opens nothing and starts no thread. `sl.__version__` is the version; the
        [errors](#errors) are `sl.Error` and the classes below it. Methods begin with a dot here.
        """
    )
    out += [
        "### Arguments that many take",
        "",
        *_table(("name", "is"), [(name, " ".join(text.split())) for name, text in _ARGUMENTS.items()]),
        "### Functions",
        "",
    ]
    for name in names:
        if name not in classes:
            out += _described(f"sl.{name}", getattr(strandline, name))
    for name in classes:
        out += [f"### {name}", "", *_class(name, getattr(strandline, name))]
    out += ["### What the verbs return", "", "Beside `Plan`, `Report` and `Coverage`:", ""]
    for kind in _RESULTS:
        out += [f"#### {kind.__name__}", "", *_class(kind.__name__, kind)]
    out += ["### strandline.testing", "", "A pytest plugin; it is active where strandline is installed.", ""]
    out += _described("strandline.testing.check_provider", testing.check_provider)
    out += [*_fenced(["def test_it(strandline_engine): ..."], "python"), _fixture_docstring("strandline_engine"), ""]
    return "\n".join(out)


def _is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, errors.Error)


def _class(name: str, kind: type) -> Iterator[str]:
    made = inspect.signature(kind)
    users_make_it = kind in (
        strandline.After,
        strandline.Page,
        strandline.Provider,
        strandline.Secret,
        strandline.Window,
    )
    if users_make_it:
        yield from _fenced(_call(f"sl.{name}", made.replace(return_annotation=made.empty)))
    yield from (_paragraph(kind), "")
    if dataclasses.is_dataclass(kind) and not users_make_it:
        shown = [item.name for item in dataclasses.fields(kind) if item.name not in _INSIDE]
        yield from _filled("Fields: " + ", ".join(f"`{each}`" for each in shown) + ".")
    if kind is asynchronous.AsyncEngine:
        yield from _filled("Methods: " + ", ".join(f"`{verb}`" for verb in asynchronous._VERBS) + ".")
    for member, value in vars(kind).items():
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield from (f"`.{member}`: {_first_line(value.fget.__doc__)}", "")
        elif isinstance(value, classmethod):
            yield from _described(f"sl.{name}.{member}", getattr(kind, member))
        elif inspect.isfunction(value):
            yield from _described(f".{member}", value)


def _described(shown: str, function: Any) -> list[str]:
    return [*_fenced(_call(shown, inspect.signature(function))), _paragraph(function), ""]


def _call(shown: str, signature: inspect.Signature) -> Iterator[str]:
    """A signature, on one line where it fits, else one parameter or a few to a line."""
    words: list[str] = []
    star = False
    for parameter in signature.parameters.values():
        if parameter.name == "self" or (parameter.kind is parameter.VAR_POSITIONAL and parameter.name == "positional"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        words.append(_parameter(parameter))
    result = "" if signature.return_annotation is signature.empty else f" -> {_annotation(signature.return_annotation)}"
    line = f"{shown}({', '.join(words)}){result}"
    if len(line) <= _CODE_WIDTH:
        yield line
        return
    yield f"{shown}("
    held = " "
    for word in words:
        if len(held) + len(word) + 2 > _CODE_WIDTH:
            yield held
            held = " "
        held += f" {word},"
    yield held
    yield f"){result}"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = star + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        default = "..." if type(parameter.default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS" else repr(parameter.default)
        text += f" = {default}" if parameter.annotation is not parameter.empty else f"={default}"
    return text


def _annotation(annotation: Any) -> str:
    # The package has `from __future__ import annotations` everywhere: annotations are their source text.
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


# Markdown -------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines), ""]


def _fenced(lines: Any, language: str = "text") -> list[str]:
    return [f"```{language}", *lines, "```", ""]


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"`{value}`"
    if not value and not isinstance(value, bool | int):
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value:,}`".replace(",", "_") if isinstance(value, int) else f"`{value}`"


def _paragraph(value: Any) -> str:
    """The first paragraph of a docstring, filled again."""
    first = inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0]
    return "\n".join(
        textwrap.wrap(" ".join(_plain(first).split()), 120, break_on_hyphens=False, break_long_words=False)
    )


def _sentences(value: Any) -> str:
    """A docstring in one line, without the paragraphs that go through members one by one."""
    paragraphs = inspect.cleandoc(value.__doc__ or "").split("\n\n")
    return " ".join(" ".join(_plain(each).split()) for each in paragraphs if not re.match(r"\w+: ", each))


def _first_line(docstring: str | None) -> str:
    return " ".join(_plain(inspect.cleandoc(docstring or "").partition("\n\n")[0]).split())


def _filled(text: str) -> list[str]:
    """A paragraph, and the empty line behind it."""
    return [*textwrap.wrap(" ".join(text.split()), 120, break_on_hyphens=False, break_long_words=False), ""]


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _attribute_docstrings(kind: type) -> dict[str, str]:
    """The strings below the members of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.Assign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            assert isinstance(node.targets[0], ast.Name)
            found[node.targets[0].id] = str(following.value.value)
    return found


def _fixture_docstring(name: str) -> str:
    # pytest keeps the function of a fixture to itself; its text is in the source.
    tree = ast.parse(Path(inspect.getfile(testing)).read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    first = (ast.get_docstring(function) or "").partition("\n\n")[0]
    return "\n".join(textwrap.wrap(" ".join(first.split()), 120))


if __name__ == "__main__":
    sys.exit(main())
