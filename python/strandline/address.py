"""Which database is meant: a DSN, or a reference to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strandline.errors import ConfigError
from strandline.secret import Secret

if TYPE_CHECKING:
    from strandline.embedded import Server


@dataclass(frozen=True, slots=True)
class Address:
    """A libpq DSN or URI, and the embedded server that it leads to, if it is one; whoever asked closes that."""

    dsn: str
    server: Server | None = None

    def close(self) -> None:
        """Lets go of the embedded server, if there is one."""
        if self.server is not None:
            self.server.close()


def resolve(dsn: str | None) -> Address:
    """Reads a DSN, `env:NAME`, `file:PATH`, `embedded` or `embedded:DIR`; an embedded server is started or attached to.

    Raises ConfigError for none at all: a job that lost its environment must not load into a private database.
    """
    if dsn is None:
        raise ConfigError(
            "no database is named: give a DSN to connect(), or set STRANDLINE_DSN, or name the embedded server:"
            ' connect("embedded")'
        )
    if not isinstance(dsn, str) or not dsn.strip():
        raise ConfigError(f"the dsn is {dsn!r}; give a libpq DSN or URI, env:NAME, file:PATH, embedded or embedded:DIR")
    dsn = dsn.strip()
    if dsn.startswith(("env:", "file:")):
        found = Secret(dsn).get().strip()
        if found.startswith(("env:", "file:")):
            raise ConfigError(f"{dsn} holds another reference; put the DSN itself there")
        return resolve(found)
    if dsn == "embedded" or dsn.startswith("embedded:"):
        from strandline import embedded

        server = embedded.start(dsn.partition(":")[2] or None)
        return Address(server.dsn, server)
    return Address(dsn)
