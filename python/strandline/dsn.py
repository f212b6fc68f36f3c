"""Finding the database: from a DSN or a reference to one, to the text that libpq takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from strandline import settings
from strandline.errors import ConfigError
from strandline.redaction import redact
from strandline.secret import Secret

if TYPE_CHECKING:
    from strandline.embedded import Server

__all__ = ["ResolvedDsn", "options", "redact", "resolve", "with_database"]

_URI = re.compile(r"postgres(ql)?://", re.IGNORECASE)
_PAIRS = re.compile(r"\s*\w+\s*=")
_PAIR = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^\s'\\]|\\.)*))")
_HOST = re.compile(r"(?P<host>\[[^]]*\]|[^:]*)(?::(?P<port>\d*))?")


@dataclass(slots=True)
class ResolvedDsn:
    """A DSN that libpq takes. `text` may hold a password, so that it is not part of the repr.

    `server` is this process's share in an embedded server, which runs at least until `close`; None for other servers.
    """

    text: str = field(repr=False)
    origin: str
    server: Server | None = field(default=None, repr=False)

    @property
    def embedded(self) -> bool:
        """Whether it is an embedded server, which strandline may migrate by itself."""
        return self.server is not None

    def close(self) -> None:
        """Gives the share in an embedded server back."""
        server, self.server = self.server, None
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def resolve(dsn: str | None = None) -> ResolvedDsn:
    """What `dsn` stands for: a libpq DSN or URI, env:NAME, file:PATH, embedded, embedded:DIR; None is the setting dsn.

    Starts the embedded server only where it is named. Raises ConfigError for anything else, and where nothing is given.
    """
    origin = "argument"
    if dsn is None:
        dsn = settings.load().dsn
        origin = settings.origin("dsn")
    if dsn is None:
        raise ConfigError(
            "no database is named: give a DSN (or 'embedded' for a private server), or set STRANDLINE_DSN to one"
        )
    if not isinstance(dsn, str):
        raise ConfigError(
            f"the DSN is a {type(dsn).__name__}; give a text, such as 'postgresql://host/database' or 'env:NAME'"
        )
    if dsn.startswith(("env:", "file:")):
        text = Secret(dsn).get().strip()
        if text.startswith(("env:", "file:")):
            raise ConfigError(f"{dsn} holds another reference; name the one that holds the DSN itself")
        origin = f"{dsn} ({origin})"
    else:
        text = dsn.strip()
    if text == "embedded" or text.startswith("embedded:"):
        return _embedded(text, origin)
    if not _URI.match(text) and not _PAIRS.match(text):
        # The text may hold a password that some tool has mangled: it is not repeated.
        raise ConfigError(
            f"the DSN ({origin}) is not understood: write postgresql://user@host/database or 'host=... dbname=...',"
            " env:NAME, file:PATH, embedded or embedded:DIR"
        )
    return ResolvedDsn(text, origin)


def _embedded(text: str, origin: str) -> ResolvedDsn:
    from strandline import embedded

    directory = text.partition(":")[2]
    if not directory and ":" in text:
        raise ConfigError(
            "'embedded:' names no directory: write embedded:DIR, or embedded for the one in your data home"
        )
    server = embedded.start(directory or None)
    return ResolvedDsn(server.dsn, origin, server)


def options(dsn: str) -> dict[str, str]:
    """The options of a libpq DSN or URI by libpq's names. Raises ConfigError for texts that are neither."""
    if _URI.match(dsn):
        parts = urlsplit(dsn)
        # Several hosts are written a:1,b:2, which urlsplit takes for one.
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        places = [_HOST.fullmatch(place) for place in hosts.split(",")]
        ports = ",".join(place["port"] or "" for place in places if place)
        found = {
            "host": ",".join(place["host"].strip("[]") for place in places if place),
            "port": ports if ports.strip(",") else "",
            "user": user,
            "password": password,
            "dbname": parts.path.removeprefix("/"),
        }
        found = {name: unquote(value) for name, value in found.items() if value}
        return found | dict(parse_qsl(parts.query, keep_blank_values=True))
    found = {match["name"]: _unquoted(match) for match in _PAIR.finditer(dsn)}
    if not found or _PAIR.sub("", dsn).strip():
        raise ConfigError("the DSN is not understood: write postgresql://user@host/database or 'host=... dbname=...'")
    return found


def with_database(dsn: str, name: str) -> str:
    """The same server and user, another database."""
    changed = {**options(dsn), "dbname": name}
    return " ".join(f"{key}={_quoted(value)}" for key, value in changed.items())


def _unquoted(match: re.Match[str]) -> str:
    text = match["quoted"] if match["quoted"] is not None else match["bare"]
    return re.sub(r"\\(.)", r"\1", text)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
