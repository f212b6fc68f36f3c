"""Progress while slices arrive: a live line on a terminal, plain lines elsewhere, a bar in a notebook.

The engine calls `display(progress)` once, then the result with a Report whenever something happened (any rate: at most
five a second are shown), then `close()`:

    show = display(progress)            # None: nothing is to be shown
    if show: show(report)
    if show: show.close(report)
"""

from __future__ import annotations

import html
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Protocol

from . import render

if TYPE_CHECKING:
    from .report import Report

INTERVAL = 0.2
"""Seconds between two calls of a display: five a second."""
PLAIN_INTERVAL = 5.0
"""Seconds between two plain lines: a log should not drown in them."""
_RATE_SPAN = 5.0


class Display(Protocol):
    """Something that shows reports; `close` shows the last one, whatever the rate, and ends its line."""

    def __call__(self, report: Report) -> None:
        """Shows a report, or leaves it out where the last one was a moment ago."""

    def close(self, report: Report | None = None) -> None:
        """Shows this report, or the last one that was left out."""


class Limited:
    """A callable given a Report at most every `interval` seconds, from `delay` seconds on, and the last one always."""

    def __init__(
        self,
        show: Callable[[Report], object],
        interval: float = INTERVAL,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._interval = interval
        self._clock = clock
        self._next = clock() + delay
        self._skipped: Report | None = None

    def __call__(self, report: Report) -> None:
        """Shows a report, or keeps it for `close` where the last one was a moment ago."""
        now = self._clock()
        if now < self._next:
            self._skipped = report
            return
        self._next = now + self._interval
        self._skipped = None
        self._show(report)

    def close(self, report: Report | None = None) -> None:
        """Shows this report, or the last one that was left out."""
        last = report or self._skipped
        self._skipped = None
        if last is not None:
            self._show(last)


class _Rate:
    """Rows a second over the last seconds: what a person wants to know, not the mean since the start."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, seconds: float, rows: int) -> float:
        self._seen.append((seconds, rows))
        while len(self._seen) > 2 and seconds - self._seen[0][0] > _RATE_SPAN:
            self._seen.popleft()
        then, before = self._seen[0]
        if len(self._seen) == 1 or seconds <= then:
            return rows / seconds if seconds > 0 else 0.0
        return max(rows - before, 0) / (seconds - then)


def _slices(report: Report) -> tuple[int, int]:
    """How many slices are over, of how many: with those of other plans that this ingestion waits for."""
    done = report.succeeded + report.failed
    return done, done + report.pending


def line(report: Report, rate: float, style: render.Style) -> str:
    """One line of progress, at most `style.width` columns: bar, slices, rows, rows a second, elapsed, what failed."""
    done, total = _slices(report)
    parts = [
        f"{render.number(done)}/{render.plural(total, 'slice')}",
        render.plural(report.rows, "row"),
        f"{render.number(round(rate))}/s",
        render.clock(report.seconds),
    ]
    if report.failed:
        parts.append(f"{render.number(report.failed)} failed")
    if report.throttled_seconds >= 1:
        parts.append(f"throttled {render.duration(report.throttled_seconds)}")
    text = "  ".join(parts)
    room = style.width - 1 - len(text) - 2
    if room < 8:
        return render.shorten(text, style.width - 1, style)
    share = done / total if total else 1.0
    shown = render.bar(share, min(room, 28), style) + "  " + text
    return shown.replace(parts[4], style.paint(parts[4], "red")) if report.failed else shown


class Terminal:
    """A line that is redrawn in place."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rate = _Rate()
        self._drawn = False

    def __call__(self, report: Report) -> None:
        """Draws the line again."""
        style = render.Style.of(self._stream)
        text = line(report, self._rate.of(report.seconds, report.rows), style)
        self._stream.write(f"\r\x1b[2K{text}")
        self._stream.flush()
        self._drawn = True

    def close(self) -> None:
        """Leaves the line as it is and goes to the next."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
        self._drawn = False


class Plain:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rate = _Rate()

    def __call__(self, report: Report) -> None:
        """Writes a line."""
        rate = self._rate.of(report.seconds, report.rows)
        done, total = _slices(report)
        text = (
            f"{render.number(done)} of {render.plural(total, 'slice')}, {render.plural(report.rows, 'row')}, "
            f"{render.number(round(rate))} rows/s, {render.duration(report.seconds)}"
        )
        if report.failed:
            text += f", {render.number(report.failed)} failed"
        self._stream.write(text + "\n")
        self._stream.flush()


class Notebook:
    """A bar that is updated in place below the cell; its text form is the terminal's line."""

    def __init__(self) -> None:
        self._rate = _Rate()
        self._handle: Any = None

    def __call__(self, report: Report) -> None:
        """Shows the bar, or updates it."""
        rate = self._rate.of(report.seconds, report.rows)
        shown = _Rendered(report, line(report, rate, render.PLAIN))
        if self._handle is None:
            from IPython.display import display as show  # only inside a kernel, where IPython is loaded already

            self._handle = show(shown, display_id=True)
        else:
            self._handle.update(shown)


class _Rendered:
    """What a notebook front end asks for: HTML where it can, text elsewhere."""

    def __init__(self, report: Report, text: str) -> None:
        self._text = text
        done, total = _slices(report)
        caption = html.escape(text.split("  ", 1)[-1])
        self._html = (
            f'<div style="font-family:monospace"><progress value="{done}" max="{max(total, 1)}" '
            f'style="width:16em;vertical-align:middle"></progress> {caption}</div>'
        )

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


class _Closing(Limited):
    """A limited display that also ends its line."""

    def __init__(self, show: Terminal | Plain | Notebook, interval: float = INTERVAL, delay: float = 0.0) -> None:
        super().__init__(show, interval, delay)
        self._target = show

    def close(self, report: Report | None = None) -> None:
        super().close(report)
        if isinstance(self._target, Terminal):
            self._target.close()


def display(progress: Callable[[Report], object] | bool | None = None) -> Display | None:
    """The display for an engine's `progress` argument.

    None: a live line where stderr is a terminal, a bar in a notebook, else nothing (a library does not write into the
    log of a program that did not ask). True: the same, with plain lines elsewhere. False: nothing. A callable: itself,
    given a Report at most five times a second.
    """
    if progress is False:
        return None
    if callable(progress):
        # A display that was made by the caller is limited already; limiting it twice would drop its reports.
        return progress if isinstance(progress, Limited) else Limited(progress)
    if _in_notebook():
        return _Closing(Notebook())
    if sys.stderr is not None and sys.stderr.isatty():
        return _Closing(Terminal(sys.stderr))
    return plain(sys.stderr) if progress is True else None


def plain(stream: IO[str], interval: float = PLAIN_INTERVAL) -> Display:
    """Plain lines on `stream`, one every `interval` seconds and one at the end."""
    return _Closing(Plain(stream), interval, delay=interval)


def _in_notebook() -> bool:
    # A kernel has loaded IPython long before us: importing it to ask would cost every script a second.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")
