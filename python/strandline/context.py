"""What a provider's methods are told about the work at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from strandline.window import Window


def _no_one_asks() -> None:
    """Outside a run nobody waits for a page, and nobody can cancel it."""


def _no_one_shares(cost: int, key: str | None) -> None:
    """Outside a run there is no ledger in which workers could share a rate."""


@dataclass(slots=True)
class Context:
    """The first argument of `next`, `pages` and `around`.

    window: the slice, half-open; None for tokens. params and expr: what `ingest` was given, expr localised to the
    slice. client: what `around` yielded, else what the caller gave. log: the logger strandline.provider.<name>.
    attempt: 1 for the first run of the task. walk: 1 for the first pass over the slice's pages. generation: 1 unless
    the window is read again on purpose. deadline: when the task is no longer wanted, an aware datetime or None.
    plan_id, task_id, run_id: of the ledger, None in `read` and `preview`.
    """

    window: Window | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    expr: Mapping[str, Any] | None = None
    client: Any = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("strandline.provider"))
    attempt: int = 1
    walk: int = 1
    generation: int = 1
    deadline: datetime | None = None
    plan_id: int | None = None
    task_id: int | None = None
    run_id: int | None = None
    on_alive: Callable[[], None] = field(default=_no_one_asks, repr=False, compare=False)
    on_rate_limit: Callable[[int, str | None], None] = field(default=_no_one_shares, repr=False, compare=False)

    def alive(self) -> None:
        """Says that a slow page is still being made: page_timeout counts from now. Raises Cancelled if the task is."""
        self.on_alive()

    def rate_limit(self, cost: int = 1, key: str | None = None) -> None:
        """Waits until `cost` more calls may be made at the provider's rate, or at that of another `key`.

        For pages that need several calls; one call per page is counted already. page_timeout does not count the wait.
        Where it would be longer than half a minute the run is given back instead. In `read` it returns at once.
        """
        self.on_rate_limit(cost, key)
