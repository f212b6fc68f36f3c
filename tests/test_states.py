"""sql/states.json is the one source of the states: what is made from it is fresh, and the dictionaries agree."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import states

pytestmark = pytest.mark.nodb

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "sql" / "states.json"
GUARD = re.compile(
    r"^-- generated: states guard begin\n(.*?)^-- generated: states guard end$", re.MULTILINE | re.DOTALL
)
DOCS = re.compile(r"<!-- generated: states begin -->\n(.*?)<!-- generated: states end -->", re.DOTALL)


@pytest.fixture(scope="module")
def machines() -> states.States:
    return states.load(SOURCE)


def migrations() -> list[Path]:
    return sorted((ROOT / "sql" / "migrations").glob("*.sql"))


def test_the_guard_in_the_last_migration_that_has_one_is_fresh(machines: states.States) -> None:
    carrying = [(path, found) for path in migrations() for found in GUARD.findall(path.read_text(encoding="utf-8"))]
    assert carrying, "no migration holds the guard between its two marker comments"
    path, text = carrying[-1]
    assert text.strip() == states.guard_sql(machines).strip(), (
        f"{path.name} and sql/states.json differ: put `python sql/generate.py --guard` between the markers of a new "
        "migration (or of this one, while it is not released)"
    )


def test_the_documentation_is_fresh(machines: states.States) -> None:
    found = DOCS.search((ROOT / "docs" / "states.md").read_text(encoding="utf-8"))
    assert found, "docs/states.md has lost its markers"
    assert found.group(1).strip() == states.docs_markdown(machines).strip(), (
        "docs/states.md is older than sql/states.json: put `python sql/generate.py --docs` between its markers"
    )


@pytest.mark.parametrize("name", ["plan", "task", "run", "batch"])
def test_the_dictionary_has_exactly_the_states(machines: states.States, name: str) -> None:
    machine = next(machine for machine in machines.machines if machine.name == name)
    text = "\n".join(path.read_text(encoding="utf-8") for path in migrations())
    listed = re.findall(rf"\('{name}_status', '([A-Z_]+)'", text)
    assert sorted(listed) == sorted(state.name for state in machine.states)


def test_every_reason_that_a_query_writes_is_explained(machines: states.States) -> None:
    known = {reason.code for reason in machines.reasons}
    for path in sorted((ROOT / "sql" / "queries").glob("*.sql")):
        written = set(re.findall(r"reason_code = '([A-Z_]+)'", path.read_text(encoding="utf-8")))
        assert written <= known, f"{path.name}: {sorted(written - known)} is not among the reasons of sql/states.json"


def test_a_slice_shows_its_tasks_states_and_one_more(machines: states.States) -> None:
    by_name = {machine.name: machine for machine in machines.machines}
    task, part = by_name["task"], by_name["slice"]
    assert {state.name for state in part.states} - {state.name for state in task.states} == {"SUPERSEDED"}
    assert not part.table


def broken(change: str) -> dict[str, Any]:
    """states.json with one mistake in it."""
    raw: dict[str, Any] = copy.deepcopy(json.loads(SOURCE.read_text(encoding="utf-8")))
    plan, task = raw["objects"][0], raw["objects"][1]
    match change:
        case "unknown state":
            task["moves"][0]["to"] = "SLEEPING"
        case "the move is there twice":
            task["moves"].append(task["moves"][0])
        case "does not raise the rank":
            task["moves"][-2].pop("raises_attempt")
        case "leaves a terminal state":
            plan["moves"][-1].pop("audited")
            plan["states"][0]["rank"] = 2
            plan["moves"] = plan["moves"][-1:]
        case "cannot be reached":
            plan["states"].append({"name": "LIMBO", "rank": 1, "terminal": True, "description": "Nowhere."})
        case "has no way out":
            plan["states"].append({"name": "STUCK", "rank": 0, "initial": True, "description": "For ever."})
        case "a state is there twice":
            plan["states"].append(plan["states"][0])
        case "needs a table":
            plan.pop("table")
        case "not sorted":
            raw["reasons"].reverse()
        case "known objects":
            raw["reasons"][0]["of"] = ["dream"]
        case _:
            raise AssertionError(change)
    return raw


@pytest.mark.parametrize(
    "complaint",
    [
        "unknown state",
        "the move is there twice",
        "does not raise the rank",
        "leaves a terminal state",
        "cannot be reached",
        "has no way out",
        "a state is there twice",
        "needs a table",
        "not sorted",
        "known objects",
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, complaint: str) -> None:
    path = tmp_path / "states.json"
    path.write_text(json.dumps(broken(complaint)), encoding="utf-8")
    with pytest.raises(states.StatesError, match=complaint):
        states.load(path)


def test_text_that_is_no_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "states.json"
    path.write_text("{\n  oops", encoding="utf-8")
    with pytest.raises(states.StatesError, match=r"states\.json:2"):
        states.load(path)
