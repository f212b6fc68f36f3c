"""The report's first lines: every version that a failure may depend on."""

from __future__ import annotations

import os
import platform

import pytest
from fix_server import suite_bindir

from strandline.embedded import binaries
from strandline.embedded.account import Account


def pytest_report_header(config: pytest.Config) -> list[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"server: {_server()}",
        f"native: {_native()}",
        f"python: {python}; {platform.system()} {platform.machine()}, {cores} cores",
    ]


def _server() -> str:
    if os.environ.get("STRANDLINE_TEST_DSN"):
        return "STRANDLINE_TEST_DSN"  # its version takes a connection, and the DSN may hold a password
    bindir = suite_bindir()
    if bindir is None:
        return "none found"
    return f"PostgreSQL {binaries.version(bindir, Account())} from {bindir}"


def _native() -> str:
    try:
        from strandline._core import versions
    except ImportError as error:
        return f"strandline._core is not built ({error})"
    return ", ".join(f"{name} {value}" for name, value in versions().items())
