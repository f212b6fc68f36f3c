"""Where a command writes and how it ends."""

from __future__ import annotations

import enum
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from .render import Style


class Exit(enum.IntEnum):
    """The exit codes, for scripts and schedulers."""

    DONE = 0
    """Done, or nothing to do."""
    FAILED = 1
    """A plan ended FAILED, PARTIAL or CANCELLED."""
    USAGE = 2
    """Wrong usage or configuration."""
    HELD = 3
    """A removal waits for a decision."""
    WORK_LEFT = 4
    """The budget of time or tasks is used; run the command again."""
    FOUND = 5
    """verify, doctor or a --check found something."""
    UNREACHABLE = 6
    """The database cannot be reached; safe to repeat."""
    INTERRUPTED = 130
    """Ctrl-C; safe to repeat."""


@dataclass
class Console:
    """stdout for results, stderr for everything else."""

    out: IO[str]
    err: IO[str]
    style: Style
    json: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, out: IO[str], err: IO[str]) -> Console:
        """A console that shows what `out` can show."""
        return cls(out=out, err=err, style=Style.of(out))

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """The result: `document` as one JSON document with --json, else `text`."""
        if self.json:
            json.dump(document, self.out, ensure_ascii=False, indent=2)
            self.out.write("\n")
        elif text:
            self.out.write(text + "\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """A remark beside the result, on stderr; nothing with --quiet."""
        if not self.quiet:
            self._lines(text)

    def error(self, text: str) -> None:
        """What is wrong, where, and what to do."""
        self._lines(f"strandline: {text}")

    def _lines(self, text: str) -> None:
        for paragraph in text.splitlines():
            # Names and addresses stay whole, so that they can be copied.
            lines = textwrap.wrap(
                paragraph, self.style.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
            self.err.write("\n".join(lines) + "\n")
        self.err.flush()
