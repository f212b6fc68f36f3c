"""Engines as a user opens them, with settings that suit a test: short waits, and every page a commit of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import strandline as sl

OpenEngine = Callable[..., sl.Engine]


@pytest.fixture
def open_engine(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenEngine]:
    """`open_engine(way=dsn)`: engines on this test's database or on another way to it, closed at the test's end."""
    monkeypatch.setenv("STRANDLINE_POLL", "20000 us")
    monkeypatch.setenv(
        "STRANDLINE_LEASE", "5 s"
    )  # longer than any pause of a loaded machine: nothing is lost by chance
    monkeypatch.setenv("STRANDLINE_PAGE_RECORDS", "1")
    monkeypatch.setenv("STRANDLINE_PROGRESS", "false")
    engines: list[sl.Engine] = []

    def make(way: str = dsn) -> sl.Engine:
        engines.append(sl.connect(way))
        return engines[-1]

    yield make
    for each in engines:
        each.close()


@pytest.fixture
def engine(open_engine: OpenEngine) -> sl.Engine:
    """An engine on this test's database."""
    return open_engine()
