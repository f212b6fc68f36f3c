"""References to secrets: where a value is found, never the value itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NoReturn

from strandline.errors import ConfigError
from strandline.redaction import hide

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A reference, "env:NAME" or "file:PATH", that is stored and passed on in place of the value.

    `get()` reads the value where and when it is used, so that it can be changed without touching what was planned.
    Raises ConfigError for a literal value, because it would be written to the ledger and to every worker's command.
    """

    __slots__ = ("reference",)

    reference: str

    def __init__(self, reference: str | Secret) -> None:
        text = reference.reference if isinstance(reference, Secret) else reference
        if not isinstance(text, str):
            raise ConfigError(
                f"a secret is given as a reference, 'env:NAME' or 'file:PATH', not as a {type(text).__name__}"
            )
        kind, _, place = text.partition(":")
        named = _NAME.fullmatch(place) if kind == "env" else place and "\0" not in place
        if kind in ("env", "file") and not named:
            raise ConfigError(f"the reference {text!r} names nothing that can be read: write env:NAME or file:PATH")
        if kind not in ("env", "file"):
            # The text may be the secret: it is not repeated.
            raise ConfigError(
                "a secret is given as a literal, which would be stored with the configuration; put it into an"
                " environment variable or a file and give the reference: 'env:NAME' or 'file:PATH'"
            )
        object.__setattr__(self, "reference", text)

    def get(self) -> str:
        """The value, without the line end that editors put behind it. Raises ConfigError where there is none."""
        kind, _, place = self.reference.partition(":")
        value = os.environ.get(place, "") if kind == "env" else self._read(place)
        if not value:
            where = f"the environment variable {place}" if kind == "env" else f"the file {place}"
            raise ConfigError(
                f"{where} is not set or empty, and a secret is expected there; set it where this process runs"
            )
        hide(value)
        return value

    def _read(self, place: str) -> str:
        try:
            return Path(place).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise ConfigError(f"the file {place} of a secret cannot be read: {reason}") from None

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    # str() too: the reference must not end up in a header in place of the value, unseen.
    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash((Secret, self.reference))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Secret never changes; make another instead of setting {name!r}")

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self.reference,)
