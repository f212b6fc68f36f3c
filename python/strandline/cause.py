"""Why runs end: the causes that a run leaves behind, for whoever asks later."""

from __future__ import annotations

from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any

ORIGINS = ("source", "engine", "destination", "operator")

# Files of this package, and of the thread pool that commits: no place in them helps whoever wrote the provider.
_OURS = (f"{Path(__file__).parent}/", f"{Path(futures.__file__).parent}/")
_STANDARD = f"{Path(futures.__file__).parents[2]}/"

# A run that is given back has no error: what the reason code stands for. Of what an operator asked for, the ledger
# knows who and why.
_YIELDS = {
    "BUDGET": ("engine", "the worker's budget of seconds or tasks is used up"),
    "INTERRUPTED": ("operator", "the worker was interrupted (Ctrl-C, SIGTERM)"),
    "DONE": ("engine", "the worker had nothing else to do"),
}


def cause(origin: str, kind: str, message: str, where: str | None = None, **more: Any) -> dict[str, Any]:
    """A cause as the ledger stores it. `origin` is one of ORIGINS, `kind` a lower-case word, `where` file:line."""
    return {"origin": origin, "kind": kind, "message": message, "where": where, **more}


def of_yield(reason: str) -> dict[str, Any] | None:
    """The cause of a run that was given back for a reason code; None where the ledger knows it better."""
    if reason not in _YIELDS:
        return None
    origin, message = _YIELDS[reason]
    return cause(origin, reason.lower(), f"{message}; committed pages stay")


def place(error: BaseException) -> str | None:
    """file:line of the innermost frame of the provider's code in which an error was raised."""
    trace = error.__traceback__
    found = None
    while trace is not None:
        found = _place(trace.tb_frame, trace.tb_lineno) or found
        trace = trace.tb_next
    return found


def place_now(frame: FrameType | None) -> str | None:
    """file:line of the innermost frame of the provider's code in which a thread stands, given the thread's frame."""
    while frame is not None:
        # A thread that waits stands in a lock or a socket of the standard library; who called it is what helps.
        if not frame.f_code.co_filename.startswith((_STANDARD, "<frozen")):
            found = _place(frame, frame.f_lineno)
            if found is not None:
                return found
        frame = frame.f_back
    return None


def _place(frame: FrameType, line: int) -> str | None:
    path = frame.f_code.co_filename
    if path.startswith(_OURS) and not path.endswith("/demo.py"):
        return None
    return f"{path}:{line} in {frame.f_code.co_name}"
