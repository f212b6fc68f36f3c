"""What a plan waits for: the argument `depends_on`, and what the planner is told for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strandline.arguments import SWITCH
from strandline.errors import ConfigError
from strandline.report import Plan
from strandline.subject import key_of

if TYPE_CHECKING:
    from strandline._core import Ledger


@dataclass(frozen=True, slots=True)
class After:
    """What a plan's tasks wait for, and which end of it will do.

    `of` is a Plan, a plan's id, "task:ID", a provider's name or "name>table"; the latter two mean that this stream is
    covered up to the end of the new plan's window. Without `resolved` it must succeed, and a failure or cancellation
    fails those who wait, with the reason UPSTREAM_FAILED; with it any end will do. A stream has no end but being
    covered, so that `resolved` says nothing there.
    """

    of: Plan | int | str
    resolved: bool = False

    def __post_init__(self) -> None:
        SWITCH.check("resolved", self.resolved)


def dependencies(ledger: Ledger, depends_on: Any) -> list[dict[str, Any]]:
    """`depends_on`, one or several, as the planner takes it: {"plan" | "task" | "cursor": id, "resolved"}, each once.

    Of one thing that is asked for in both ways the stricter counts. Raises ConfigError for what is not there.
    """
    found: dict[tuple[str, int], bool] = {}
    for each in _listed(depends_on):
        after = each if isinstance(each, After) else After(each)
        ((kind, identity),) = key_of(ledger, after.of).items()
        found[kind, identity] = found.get((kind, identity), True) and after.resolved
    return [{kind: identity, "resolved": resolved} for (kind, identity), resolved in found.items()]


def _listed(depends_on: Any) -> list[Any]:
    if depends_on is None:
        return []
    if isinstance(depends_on, (After, Plan, int, str)):
        return [depends_on]
    # Not everything that can be iterated is a list of names: the keys of a mapping and the numbers of bytes are none.
    if isinstance(depends_on, (Mapping, bytes, bytearray)) or not isinstance(depends_on, Iterable):
        raise ConfigError(
            f"depends_on is {depends_on!r}; give a Plan, a plan id, 'task:ID', a provider name, 'name>table', After of"
            " one of these, or a list of them"
        )
    return list(depends_on)
