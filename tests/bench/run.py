"""`make bench`: every measurement, as ratios in one run. ARGS: names of benches; --scale 0.1 for a quick look."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def line(row: dict[str, Any]) -> str:
    """One row of the table. A ratio is ours over theirs, or, where a budget is a floor, theirs over ours."""
    ratio = f"{row['ratio']:8.2f} x" if row.get("ratio") is not None else " " * 10
    budget = f"{row['budget']:6.2f}" if row.get("budget") is not None else " " * 6
    verdict = "" if row.get("ok", True) else "  MISSED"
    value = "not measured" if row["value"] is None else f"{row['value']:,}"
    return f"{row['name']:<68} {value:>12} {row['unit']:<6} {ratio} {budget}{verdict}"


def main() -> int:
    """Runs them, prints the table, keeps the figures in tests/bench/results (which git ignores)."""
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bench", nargs="*", help=f"one of {', '.join(names)}; all of them by default")
    arguments.add_argument("--scale", type=float, default=1.0, help="1 for the real sizes; 20 for rounds of a minute")
    asked = arguments.parse_args()
    if unknown := set(asked.bench) - set(names):
        arguments.error(f"no bench is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    print(f"{'what':<68} {'value':>12} {'unit':<6} {'ratio':>10} {'budget':>6}")
    rows: list[dict[str, Any]] = []
    for name in asked.bench or names:
        for row in importlib.import_module(f"bench_{name}").run(asked.scale):
            rows.append({"bench": name, **row})
            print(line(row), flush=True)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    machine = {"machine": platform.machine(), "python": platform.python_version(), "scale": asked.scale}
    (results / f"{stamp}.json").write_text(json.dumps({**machine, "rows": rows}, indent=1) + "\n")
    return 0 if all(row.get("ok", True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
