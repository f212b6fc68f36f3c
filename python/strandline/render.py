"""Text for people: numbers, durations and tables that fit the width of the terminal.

Everything here is a pure function of its arguments, so that the width of every line can be tested without a terminal.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any

WIDTH = 80
"""Columns of a line where no terminal says otherwise."""
_BELOW = 6
"""Columns by which a text below its row is indented."""
WIDEST = 120
"""Longer lines are hard to read even where the terminal has room."""

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
STATE_COLOURS = {
    "SUCCEEDED": "green", "COVERED": "green", "ok": "green",
    "RUNNING": "yellow", "ACTIVE": "yellow", "PARTIAL": "yellow", "HELD": "yellow", "YIELDED": "yellow",
    "warn": "yellow",
    "QUEUED": "blue", "PLANNED": "blue",
    "FAILED": "red", "LOST": "red", "SILENT": "red", "fail": "red",
    "MISSING": "dim", "CANCELLED": "dim", "SUPERSEDED": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """What the output stream can show: colours, characters beyond ASCII, and how many columns fit."""

    colour: bool = False
    unicode: bool = True
    width: int = WIDTH

    @classmethod
    def of(cls, stream: IO[str]) -> Style:
        """The style of a stream: colours only on a terminal and without NO_COLOR (https://no-color.org)."""
        terminal = stream.isatty()
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDEST) if terminal else WIDTH
        return cls(colour=colour, unicode=_encodes(stream, "█▒·…"), width=max(width, 40))

    def paint(self, text: str, *names: str) -> str:
        """`text` in the colours named, or as it is where the stream shows none."""
        codes = [_CODES[name] for name in names if name in _CODES]
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.colour and codes and text else text

    def state(self, text: str) -> str:
        """A status word (padded or not) in its colour."""
        colour = STATE_COLOURS.get(text.strip())
        return self.paint(text, colour) if colour else text


PLAIN = Style()
"""80 columns, no colours: what a pipe or a log gets."""


def _encodes(stream: IO[str], text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, which side it is aligned to, and whether its text may be shortened to fit.

    `whole`, of a last column: its text is never shortened, and goes on lines of its own instead.
    """

    title: str
    right: bool = False
    shrink: bool = False
    state: bool = False
    whole: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], style: Style = PLAIN) -> str:
    """Rows under their titles, aligned, every line at most `style.width` columns wide.

    Where the texts of a last column marked `whole` do not fit beside the others, they stand below their rows, wrapped.

    Numbers get thousands separators, None is empty. Columns marked `shrink` give way first, the widest of them first;
    only when they are at their narrowest do the others follow. A last left-aligned column is not padded.
    """
    cells = [[cell(value) for value in row] for row in rows]
    # A column without a single value says nothing: leaving it out gives its room to the others.
    kept = [i for i in range(len(columns)) if not cells or any(row[i] for row in cells)] or [0]
    heads = [columns[i] for i in kept]
    texts = [[row[i] for i in kept] for row in cells]
    widths = [max([cells_wide(head.title), *(cells_wide(row[i]) for row in texts)]) for i, head in enumerate(heads)]
    room = style.width - 2 * (len(heads) - 1)
    below: list[str] = []
    if heads[-1].whole and len(heads) > 1 and sum(widths) > room:
        below = [row.pop() for row in texts]
        heads, widths, room = heads[:-1], widths[:-1], room + 2
    _narrow(widths, heads, room)
    lines = [_line([head.title for head in heads], heads, widths, style, header=True)]
    for i, row in enumerate(texts):
        lines.append(_line(row, heads, widths, style))
        if below and below[i]:
            lines += [" " * _BELOW + line for line in wrap(below[i], style.width - _BELOW)]
    return "\n".join(lines)


def _narrow(widths: list[int], heads: Sequence[Column], room: int) -> None:
    shrinking = [i for i, head in enumerate(heads) if head.shrink]
    for candidates, floor in ((shrinking, 8), (list(range(len(heads))), 4)):
        while sum(widths) > room:
            widest = max((i for i in candidates if widths[i] > floor), key=lambda i: widths[i], default=None)
            if widest is None:
                break
            widths[widest] -= 1


def _line(
    texts: Sequence[str], heads: Sequence[Column], widths: Sequence[int], style: Style, header: bool = False
) -> str:
    parts = []
    for i, (text, head, width) in enumerate(zip(texts, heads, widths, strict=True)):
        short = shorten(text, width, style)
        pad = " " * (width - cells_wide(short))
        painted = style.paint(short, "bold") if header else style.state(short) if head.state else short
        last = i == len(heads) - 1
        parts.append(pad + painted if head.right else painted + ("" if last else pad))
    return "  ".join(parts).rstrip()


def fields(pairs: Iterable[tuple[str, Any]], style: Style = PLAIN, indent: int = 0) -> str:
    """`name  value` lines with the values in one column; long values are wrapped under themselves."""
    shown = [(name, cell(value)) for name, value in pairs if value is not None and value != ""]
    if not shown:
        return ""
    left = max(cells_wide(name) for name, _ in shown)
    lines = []
    for name, text in shown:
        pieces = wrap(text, style.width - left - 2 - indent)
        pad = " " * (left - cells_wide(name))
        lines.append(" " * indent + style.paint(name, "dim") + pad + "  " + style.state(pieces[0]))
        lines += [" " * (indent + left + 2) + piece for piece in pieces[1:]]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """One value as the text of a table cell: one line, no control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, dt.datetime):
        return moment(value, value.tzinfo)
    return "".join(c if c.isprintable() else " " for c in str(value))


def cells_wide(text: str) -> int:
    """Columns that a terminal gives `text`: wide characters count two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int, style: Style = PLAIN) -> str:
    """`text`, cut at `width` columns with an ellipsis where it is longer."""
    if cells_wide(text) <= width:
        return text
    return _start(text, width - 1) + ("…" if style.unicode else "~")


def _start(text: str, width: int) -> str:
    """As much of the beginning of `text` as fits into `width` columns."""
    used = 0
    for i, c in enumerate(text):
        used += cells_wide(c)
        if used > width:
            return text[:i]
    return text


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken at spaces where there are any; at least one line."""
    width = max(width, 16)
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for whole in paragraph.split(" "):
            word = whole
            candidate = f"{line} {word}" if line else word
            if cells_wide(candidate) <= width:
                line = candidate
                continue
            if line:
                lines.append(line)
            while cells_wide(word) > width:
                start = _start(word, width)
                lines.append(start)
                word = word[len(start) :]
            line = word
        lines.append(line.rstrip())
    return lines


def number(value: float) -> str:
    """336776 -> '336,776'; a float keeps one decimal."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def plural(count: int, word: str, many: str | None = None) -> str:
    """'1 slice', '54 slices'."""
    return f"{number(count)} {word if count == 1 else many or word + 's'}"


def duration(seconds: float) -> str:
    """Seconds as '40 ms', '1.2 s', '48 s', '3 min 20 s', '2 h 5 min', '3 d 4 h'."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def clock(seconds: float) -> str:
    """Elapsed seconds as '0:07', '12:40', '1:02:05': fixed enough to stand in a line that is redrawn."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def moment(value: Any, zone: dt.tzinfo | None = None) -> str:
    """A bound or a time as people write it: '2013-04-01' for a midnight in `zone`, '2013-04-01 06:30', 'Z' in UTC."""
    if value is None:
        return ""
    if not isinstance(value, dt.datetime):
        return str(value)
    local = value.astimezone(zone) if zone is not None else value
    if zone is not None and local.time() == dt.time():
        return local.date().isoformat()
    text = local.strftime("%Y-%m-%d %H:%M:%S" if local.second or local.microsecond else "%Y-%m-%d %H:%M")
    return text + ("Z" if local.utcoffset() == dt.timedelta() else local.strftime("%z") if zone is None else "")


def span(window: Any) -> str | None:
    """A window as '2013-04-01 to 2013-05-01, America/New_York': the zone once, midnights as dates; ids as they are."""
    if window is None:
        return None
    return f"{days(window)}, {window.time_zone}" if isinstance(window.start, dt.datetime) else days(window)


def days(window: Any) -> str | None:
    """A window without its zone, for a column."""
    if window is None:
        return None
    if not isinstance(window.start, dt.datetime):
        return f"{window.start} to {window.stop}"
    zone = window.start.tzinfo
    return f"{moment(window.start, zone)} to {moment(window.stop, zone)}"


def bar(share: float, width: int, style: Style = PLAIN) -> str:
    """A bar of `width` columns filled to `share` (0 to 1)."""
    full = round(min(max(share, 0.0), 1.0) * width)
    on, off = ("█", "░") if style.unicode else ("#", "-")
    return style.paint(on * full, "green") + style.paint(off * (width - full), "dim")
