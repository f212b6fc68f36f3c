"""What each verb does in each state: the table that docs/verbs.md shows, and whose cells tests/test_verbs.py tries."""

from __future__ import annotations

from dataclasses import dataclass

STATES = {
    "due": "QUEUED, claimable",
    "delayed": "QUEUED, its time has not come",
    "mutex": "QUEUED, its mutex is taken",
    "dependency": "QUEUED, waits for another task",
    "paused": "QUEUED, held",
    "running": "RUNNING",
    "ending": "RUNNING, cancelled: it ends at its next page",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "superseded": "CANCELLED, cut anew",
}
"""The states of the table, by the word that stands in its head."""

LATER = {
    "pausing": "RUNNING, is given back and held at its next page",
}
"""Where a verb can lead beside STATES: the run has to see it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a verb does: `after` is the state that it leaves, or None where nothing changes.

    A `refused` verb raises Conflict with these words in its message. `doc` is what the page says.
    """

    doc: str
    after: str | None = None
    refused: str | None = None


NOTHING = Cell("nothing to do")
LIVE = ("due", "delayed", "mutex", "dependency", "paused")


def _row(**cells: Cell) -> dict[str, Cell]:
    return {state: cells.get(state, NOTHING) for state in STATES}


def _stays(doc: str, *states: str) -> dict[str, Cell]:
    return {state: Cell(doc, state) for state in states}


def _refused(doc: str, words: str, *states: str) -> dict[str, Cell]:
    return {state: Cell(f"Conflict: {doc}", refused=words) for state in states}


TABLE: dict[str, dict[str, Cell]] = {
    "cancel": _row(
        **dict.fromkeys(LIVE, Cell("ends now", "cancelled")),
        running=Cell("ends at its next page", "ending"),
    ),
    "pause": _row(
        **dict.fromkeys(("due", "delayed", "mutex", "dependency"), Cell("held now; gives its mutex back", "paused")),
        running=Cell("given back and held at its next page", "pausing"),
        ending=Cell("marked as held, and ends all the same", "ending"),
    ),
    "resume": _row(paused=Cell("goes on", "due")),
    "trigger": _row(delayed=Cell("due now", "due")),
    "retry": _row(
        failed=Cell("queued again, committed pages kept", "due"),
        cancelled=Cell("queued again, committed pages kept", "due"),
        **_refused("other tasks have its window", "cut anew", "superseded"),
        **_refused("retry it when it has ended", "retry it when it has ended", "ending"),
    ),
    "priority": _row(
        **_stays("changed", *LIVE),
        running=Cell("changed, for when it is queued again", "running"),
        ending=Cell("changed, for when it is retried", "ending"),
    ),
    "split": _row(
        **dict.fromkeys(LIVE, Cell("cut anew; the new tasks wait for the same", "superseded")),
        running=Cell("its run ends; cut anew", "superseded"),
        **_refused("its end comes with its next page", "is being cancelled", "ending"),
        **_refused("all of its window is loaded", "has succeeded", "succeeded"),
        **_refused("retry it first", "retry it first", "failed", "cancelled"),
    ),
    "skip": _row(
        due=Cell("goes on behind the page", "due"),
        delayed=Cell("goes on behind the page, now", "due"),
        mutex=Cell("goes on behind the page, when its turn comes", "mutex"),
        dependency=Cell("goes on behind the page, when it may", "dependency"),
        paused=Cell("goes on behind the page, when it is resumed", "paused"),
        failed=Cell("queued again, behind the page", "due"),
        cancelled=Cell("queued again, behind the page", "due"),
        **_refused("the run may store it yet", "runs", "running", "ending"),
        **_refused("there is nothing to pass over", "succeeded", "succeeded"),
        **_refused("other tasks have its window", "cut anew", "superseded"),
    ),
}
"""TABLE[verb][state]. For skip the task has failed at a page before; a task that did not is refused in every state."""

WORKER_STATES = {
    "ACTIVE": "at work",
    "QUARANTINED": "under quarantine",
    "DRAINING": "asked to end",
    "STOPPED": "has ended",
}
WORKER_TABLE: dict[str, dict[str, Cell]] = {
    "worker quarantine": {
        "ACTIVE": Cell("gives its tasks back at their next page, claims nothing", "QUARANTINED"),
        "QUARANTINED": NOTHING,
        "DRAINING": Cell("claims nothing, but no longer ends", "QUARANTINED"),
        "STOPPED": Cell("claims nothing when one of its name comes back", "QUARANTINED"),
    },
    "worker release": {
        "ACTIVE": NOTHING,
        "QUARANTINED": Cell("claims again", "ACTIVE"),
        "DRAINING": Cell("goes on, where it has not ended yet", "ACTIVE"),
        "STOPPED": NOTHING,
    },
    "worker stop": {
        "ACTIVE": Cell("gives its tasks back at their next page, and ends", "DRAINING"),
        "QUARANTINED": Cell("ends", "DRAINING"),
        "DRAINING": NOTHING,
        "STOPPED": NOTHING,
    },
}
"""WORKER_TABLE[verb][status of the worker]. An unknown worker is a ConfigError."""
