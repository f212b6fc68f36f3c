"""Identity: canonical form and SHA-256 of a Python dict, against the usual way; key recipes; 10^8 numbers."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import number_corpus

from strandline import _core

# 200 bytes as canonical text: eight members, two of them nested.
VALUE = {
    "source": "flights",
    "carrier": ["AA", "UA"],
    "from": "2013-01-01T00:00:00Z",
    "limit": 10000,
    "ratio": 0.25,
    "filter": {"origin": "JFK", "delayed": True, "min": 15},
    "order": None,
    "name": "weekly harvest of flights, N.Y.",
}
CALLS = 100
BUDGET = 6.0  # times the usual way
SLICE_KEYS = 2  # a planned slice needs a signature and a task key


def usual(value: object) -> str:
    """What a program does without us. Its text is no canonical form: numbers, key order and types differ."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def nanoseconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The best time of each call, in the processor's time; in turns, so that all of them meet the same machine."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], timeit.timeit(call, number=CALLS, timer=time.thread_time) / CALLS * 1e9)
    return best


def row(name: str, value: float, unit: str, ratio: float | None = None, budget: float | None = None) -> dict[str, Any]:
    """One line of the bench's table. `ratio` is how many times faster than the usual way."""
    ok = ratio is None or budget is None or ratio >= budget
    return {"name": name, "value": round(value, 1), "unit": unit, "ratio": ratio, "budget": budget, "ok": ok}


def digests(scale: float) -> list[dict[str, Any]]:
    """A digest of one dict, and of the same value as JSON text."""
    text = _core.canonical(VALUE)
    assert hashlib.sha256(text).digest() == _core.digest(VALUE) == _core.digest_json(text)
    best = nanoseconds(
        {
            "usual": lambda: usual(VALUE),
            "digest": lambda: _core.digest(VALUE),
            "canonical": lambda: _core.canonical(VALUE),
            "json": lambda: _core.digest_json(text),
            "usual json": lambda: usual(json.loads(text)),
            "sha256": lambda: _core.sha256(text),
        },
        rounds=max(200, int(2000 * scale)),
    )
    size = f"{len(text)} B"
    return [
        row(f"json.dumps(sort_keys) + hashlib, {size}", best["usual"], "ns"),
        row(f"canonical + SHA-256 from Python, {size}", best["digest"], "ns", best["usual"] / best["digest"], BUDGET),
        row(f"canonical only, {size}", best["canonical"], "ns"),
        row(f"canonical + SHA-256 from JSON text, {size}", best["json"], "ns", best["usual json"] / best["json"]),
        row(f"SHA-256 only, {size}", best["sha256"], "ns"),
    ]


def slice_keys(scale: float) -> list[dict[str, Any]]:
    """The keys of one planned slice, called from Python; planning calls the same recipes from C++."""
    space = _core.Namespace(provenance_code="flights", operation_code="HARVEST", cursor_key="public.flights")
    spec = _core.canonical({"from": "2013-01-01T05:00:00Z", "to": "2013-01-08T05:00:00Z"})

    def keys() -> bytes:
        signature = _core.slice_signature(namespace=space, strategy_code="TIME", spec_json=spec, generation=1)
        return _core.task_key(kind_code="SLICE", slice_signature=signature, expr_hash=None, params_json=b"{}")

    best = nanoseconds({"keys": keys}, rounds=max(100, int(500 * scale)))
    return [row("a key of a planned slice, from Python", best["keys"] / SLICE_KEYS, "ns")]


def numbers(scale: float) -> list[dict[str, Any]]:
    """The published checksum over as many of the 10^8 lines as the scale allows."""
    wanted = 100_000_000 * scale
    lines = max((lines for lines in number_corpus.CHECKSUMS if lines <= wanted), default=min(number_corpus.CHECKSUMS))
    begin = timeit.default_timer()
    ok = number_corpus.checksum(lines) == number_corpus.CHECKSUMS[lines]
    seconds = timeit.default_timer() - begin
    return [{**row(f"published checksum of {lines:,} ECMAScript numbers", seconds, "s"), "ok": ok}]


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Every measurement, at a scale of 1 (all of it) or less."""
    return [*digests(scale), *slice_keys(scale), *numbers(scale)]


if __name__ == "__main__":
    for measured in run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0):
        print(measured)
