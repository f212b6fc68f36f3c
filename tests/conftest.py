"""Only a list: fixtures stand in the fix_*.py files, one subject each."""

from __future__ import annotations

pytest_plugins = [
    "fix_session",
    "fix_server",
    "fix_pgbouncer",
    "fix_header",
    "fix_ledger",
    "fix_proxy",
    "fix_engine",
    "fix_workers",
    "fix_chaos",
]
