"""A small sample of `make chaos`: workers are killed and stopped beside planners, cancellers, folders and reapers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_fleet import Fleet
from fix_chaos import PrivateServer

KILLS = 12

# What everybody beside the workers must have done.
DEEDS = ("planned", "cancelled", "retried", "folds", "reaps")


@pytest.fixture
def fleet(
    private_server: PrivateServer, private_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setenv("STRANDLINE_PROGRESS", "false")
    made = Fleet(private_server, private_dsn, 3, random.Random(4), tmp_path)
    yield made
    made.end()


@pytest.mark.slow
def test_everybody_at_once(fleet: Fleet) -> None:
    """What the ledger tells is there and no more, whatever stands cancelled; when that is retried, all is there."""
    while len(fleet.blows) < KILLS:
        fleet.man()
        fleet.kill()
    fleet.man()
    fleet.crash()
    while not fleet.has_done(DEEDS):
        fleet.man()
        fleet.doze()
        fleet.value("select pg_sleep(0.02)")
    settled = fleet.settle()
    assert settled.whole, settled
    complete = fleet.complete()
    assert complete.whole, complete
    assert complete.rows >= settled.rows
    assert fleet.failed == []
