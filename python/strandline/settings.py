"""Settings: argument, else STRANDLINE_*, else a file in the current directory, else the default.

The file is `[tool.strandline]` in ./pyproject.toml or, where that has none, ./strandline.toml.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strandline import _core
from strandline.errors import ConfigError
from strandline.redaction import redact

_LEVELS = ("debug", "info", "warning", "error")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: its name, what its value is, the default as a user would write it, what it does.

    `read` turns what was given into the value, and raises ValueError that says what is wrong with it.
    """

    name: str
    type: str
    unit: str
    default: Any
    description: str
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """The values that hold for one engine. Durations are microseconds, sizes bytes, page_seconds seconds."""

    dsn: str | None
    schema: str
    pool: str
    workers: int
    lease: int
    poll: int
    page_records: int
    page_bytes: int
    page_seconds: float
    max_slices: int
    progress: bool | None
    log_level: str

    def __repr__(self) -> str:
        shown = ", ".join(f"{row.name}={_shown(getattr(self, row.name))!r}" for row in TABLE)
        return f"Settings({shown})"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as `doctor --settings` shows it: the value redacted, and where it comes from."""

    name: str
    value: str
    origin: str
    default: str
    type: str
    unit: str
    description: str


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("give a text that is not empty")
    return value.strip()


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*\d[\d_]*\s*", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise ValueError("give a whole number from 1 on")
    return value


def _seconds(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("give a number of seconds from 0 on")
    return number


def _size(value: Any) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        value = int(float(match[1]) * _BYTES[match[2] or "B"])
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise ValueError('give a number of bytes, or a text such as "8 MiB"')
    return value


def _duration(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError('give a duration with its unit, such as "60 s"')
    try:
        length = _core.duration_us(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if length <= 0:
        raise ValueError("give a duration longer than zero")
    return length


def _switch(value: Any) -> bool | None:
    word = str(value).strip().lower()
    if value is None or word == "auto":
        return None
    if word in _TRUE + _FALSE:
        return word in _TRUE
    raise ValueError("give true, false or auto")


def _level(value: Any) -> str:
    word = str(value).strip().lower()
    if word not in _LEVELS:
        raise ValueError(f"the valid ones are {', '.join(_LEVELS)}")
    return word


TABLE: tuple[Setting, ...] = (
    Setting(
        "dsn",
        "text",
        "",
        None,
        "The database: a libpq DSN or URI, env:NAME, file:PATH, embedded or embedded:DIR.",
        _optional_text,
    ),
    Setting("schema", "text", "", "strandline", "The schema that holds the ledger; one tenant is one schema.", _text),
    Setting("pool", "text", "", "default", "The pool that `work` and `drain` claim from when no plan is named.", _text),
    Setting(
        "workers", "int", "threads", 1, "Threads, or processes of `strandline work`, that work side by side.", _count
    ),
    Setting(
        "lease",
        "duration",
        "",
        "60 s",
        "How long a run is held without renewal; after that another worker takes it over.",
        _duration,
    ),
    Setting("poll", "duration", "", "1 s", "How often a worker without work looks for some.", _duration),
    Setting(
        "page_records",
        "int",
        "records",
        100_000,
        "A commit group closes at this many records; also the page size of a plain value.",
        _count,
    ),
    Setting("page_bytes", "size", "bytes", "8 MiB", "A commit group closes at this many encoded bytes.", _size),
    Setting("page_seconds", "float", "seconds", 1, "A commit group closes when its first page is this old.", _seconds),
    Setting(
        "max_slices",
        "int",
        "slices",
        1_000_000,
        "The most slices of one plan; what is left of the window is for the next.",
        _count,
    ),
    Setting(
        "progress", "bool", "", "auto", "Show progress: true, false, or auto (in notebooks and terminals).", _switch
    ),
    Setting("log_level", "text", "", "warning", "What the command line logs: debug, info, warning or error.", _level),
)
_BY_NAME = {row.name: row for row in TABLE}


def load(**arguments: Any) -> Settings:
    """The settings that hold here and now. Arguments that are None are not given.

    Raises ConfigError for unknown names, in arguments and in the file, and for values that a setting cannot have.
    """
    _check_names(arguments, "the arguments")
    found = _collect(arguments)
    return Settings(**{name: value for name, (value, _) in found.items()})


def origin(name: str, **arguments: Any) -> str:
    """Where the value of a setting comes from: "argument", the environment variable, the file, or "default"."""
    return _collect(arguments)[name][1]


def shown(**arguments: Any) -> list[Shown]:
    """Every setting with its value, redacted, and its origin."""
    found = _collect(arguments)
    rows = []
    for row in TABLE:
        given, where = _given(row, arguments, _file())
        value = found[row.name][0]
        text = _shown(given) if row.type in ("duration", "size") else _shown(value)
        rows.append(Shown(row.name, text, where, _shown(row.default), row.type, row.unit, row.description))
    return rows


def _collect(arguments: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    file = _file()
    found = {}
    for row in TABLE:
        value, where = _given(row, arguments, file)
        try:
            found[row.name] = (row.read(value), where)
        except ValueError as error:
            shown = redact(repr(value))
            raise ConfigError(f"the setting {row.name} is {shown} ({where}): {error}", {"setting": row.name}) from None
    return found


def _given(row: Setting, arguments: dict[str, Any], file: tuple[str, dict[str, Any]]) -> tuple[Any, str]:
    variable = f"STRANDLINE_{row.name.upper()}"
    if arguments.get(row.name) is not None:
        return arguments[row.name], "argument"
    if os.environ.get(variable):  # an empty variable is how a shell takes one back
        return os.environ[variable], variable
    name, values = file
    return (values[row.name], name) if row.name in values else (row.default, "default")


def _file() -> tuple[str, dict[str, Any]]:
    """The file's name and its settings."""
    project = _parsed(Path("pyproject.toml"), b"strandline")
    tool = project.get("tool", {}) if project is not None else {}
    section = tool.get("strandline") if isinstance(tool, dict) else None
    if section is not None:
        name, values = "pyproject.toml", section
    else:
        name, values = "strandline.toml", _parsed(Path("strandline.toml"), b"") or {}
    if not isinstance(values, dict):
        raise ConfigError(f"tool.strandline in {name} is no table; write [tool.strandline] and one setting a line")
    _check_names(values, name)
    return name, values


def _parsed(path: Path, mention: bytes) -> dict[str, Any] | None:
    """A TOML file; None where there is none, or where it does not mention us and its faults are not ours to tell."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; it may hold settings of strandline") from error
    if mention not in content:
        return None
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def _check_names(given: dict[str, Any], where: str) -> None:
    for name in given:
        if name not in _BY_NAME:
            close = difflib.get_close_matches(name, _BY_NAME, 1)
            advice = f"did you mean {close[0]!r}?" if close else f"the settings are {', '.join(_BY_NAME)}"
            raise ConfigError(f"{where} has a setting {name!r}, which does not exist; {advice}", {"setting": name})


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else redact(str(value))
