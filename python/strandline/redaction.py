"""Keeping secrets out of texts that people, logs and tables see.

Two nets: what looks like a password in a connection string or a URL is masked wherever it stands, and values that a
Secret has handed out in this process are masked by their text, whatever they stand in.
"""

from __future__ import annotations

import re
from urllib.parse import quote

MASK = "***"

_SHORTEST = 4
"""Characters; masking shorter values would eat ordinary words and numbers of a message."""

# From the separator on: a scheme that could begin anywhere makes long words quadratic.
_URI = re.compile(r"(?P<head>(?<=[a-z0-9+.-])://[^/@\s:?#'\"]*:)[^/@\s'\"]*(?=@)", re.IGNORECASE)
_WORD = re.compile(
    r"(?P<head>\b(?:password|passwd|pwd|sslpassword|secret|token|access_token|api_?key|apikey|client_secret)\s*=\s*)"
    r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;,'\")]+)",
    re.IGNORECASE,
)

_hidden: dict[str, None] = {}


def hide(value: str) -> None:
    """Masks `value` from now on in everything that this process passes through `redact`."""
    if len(value) >= _SHORTEST:
        for form in (value, quote(value, safe="")):
            _hidden[form] = None


def redact(text: str) -> str:
    """The text with passwords of connection strings and URLs, and every hidden value, as ***."""
    for value in sorted(_hidden.copy(), key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _URI.sub(rf"\g<head>{MASK}", text)
    return _WORD.sub(rf"\g<head>{MASK}", text)
