"""The command line: one verb is one function in a `cli_*` module, which is imported when the verb runs.

Results go to stdout, as text of at most 80 columns or, with --json, as one JSON document; progress and errors go to
stderr. What a run means for a script is in its exit code (`cli_console.Exit`).
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import IO

from .cli_console import Console, Exit
from .cli_parser import parser
from .errors import ConfigError, Error, IngestError, Unreachable

# Both spellings of a DSN with a password: it would be readable by every user of the machine in the list of processes.
_PASSWORD = re.compile(r"^\s*postgres(ql)?://[^/@\s]*:[^/@\s]+@|(^|[\s?&])password\s*=", re.IGNORECASE)
_DSN_REF = re.compile(r"^--dsn-ref(=|$)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; `argv` without the program's name, default `sys.argv[1:]`. Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    console = Console.of(sys.stdout, sys.stderr)
    if _names_a_password(words):
        console.error(
            "a DSN with a password stands in the arguments, where every user of this machine can read it; put it into"
            " an environment variable or a file and name that: --dsn-ref env:NAME or --dsn-ref file:PATH"
        )
        return Exit.USAGE
    try:
        arguments = parser().parse_args(words)
    except SystemExit as stop:  # argparse has printed its message, or the help
        return stop.code if isinstance(stop.code, int) else Exit.USAGE
    if arguments.verb is None:
        parser().print_help(sys.stdout)
        return Exit.USAGE
    console.json = arguments.json
    console.quiet = arguments.quiet
    # A provider named module:Class is looked for where the person stands, as `python -m` does.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, function = arguments.run.split(":")
    try:
        _log_to(sys.stderr)
        run = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return int(run(arguments, console))
    except KeyboardInterrupt:
        console.error("interrupted; the same command goes on from the last committed page")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Error as error:
        _explain(error, console)
        return _exit_code(error)


def _names_a_password(words: Sequence[str]) -> bool:
    for before, word in zip(["", *words], words, strict=False):
        value = word.partition("=")[2] if word.startswith("--dsn-ref=") else word
        named = bool(_DSN_REF.match(word)) or before == "--dsn-ref"
        if (named or value.startswith("postgres")) and _PASSWORD.search(value):
            return True
    return False


def _explain(error: Error, console: Console) -> None:
    console.error(str(error))
    if logging.getLogger("strandline").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error, file=sys.stderr)


def _log_to(stream: IO[str]) -> None:
    """Log lines of the package go to stderr, from the level of the setting log_level on."""
    from . import settings

    level = settings.load().log_level.upper()
    logger = logging.getLogger("strandline")
    logger.setLevel(level)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.set_name("strandline.cli")
    for old in [old for old in logger.handlers if old.get_name() == handler.get_name()]:
        logger.removeHandler(old)
    logger.addHandler(handler)


def _exit_code(error: Error) -> Exit:
    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, IngestError):
        return Exit.FAILED
    return Exit.USAGE if error.kind == "config" else Exit.FAILED
